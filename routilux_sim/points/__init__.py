"""Memory points: accesses to memory that tasks share, in the code under test, become scheduling points."""
