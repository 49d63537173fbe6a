"""The engine: what happens to an activation between an emit and its end, on whatever threads and clock it is given."""
