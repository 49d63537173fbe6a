"""The mechanism: tasks on greenlets, a virtual clock, and one place where the next one is chosen. No policy."""
