"""`explore`, as tests of the engine and of the simulated world want it: a random walk over synchronization operations.

Handlers and threads in these tests keep their books without locks, which is not what is tested.
"""

from __future__ import annotations

import functools

import routilux_sim

__all__ = ["explore"]

explore = functools.partial(routilux_sim.explore, strategy="random", instrument=None)
