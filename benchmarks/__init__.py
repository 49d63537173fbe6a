"""Programs that measure routilux: run from the project's root, as ``python -m benchmarks.engine``."""
