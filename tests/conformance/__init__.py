"""CPython's own tests of what is simulated, in the simulator."""
