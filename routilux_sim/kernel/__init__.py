"""The mechanism: tasks on greenlets, a virtual clock, and one place where the next task is chosen. It names no policy."""
