"""The engine: what happens to an activation between an emit and its end. It knows no thread and no clock but its runtime's."""
