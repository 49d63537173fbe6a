"""Thread programs made from a seed, whose result does not depend on the order in which their threads run."""
