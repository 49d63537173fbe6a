"""The simulated world: what programs wait in, and how it takes the place of the real one for a while."""
