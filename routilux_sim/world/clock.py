"""Simulated time: what the ``time`` module's functions become inside a simulation."""

from __future__ import annotations

import time as real
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import Kernel, here, wall_seconds

__all__ = ["REPLACEMENTS"]


def _sleep(kernel: Kernel, seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    kernel.sleep(round(seconds * 1e9))


def _monotonic_ns(kernel: Kernel) -> int:
    kernel.tick()
    return kernel.now


def _monotonic(kernel: Kernel) -> float:
    kernel.tick()
    return kernel.now / 1e9


def _time_ns(kernel: Kernel) -> int:
    kernel.tick()
    return kernel.epoch_ns + kernel.now


def _time(kernel: Kernel) -> float:
    kernel.tick()
    return wall_seconds(kernel.epoch_ns + kernel.now)


def _dispatch(simulated: Callable[..., Any], name: str) -> Callable[..., Any]:
    original = getattr(real, name)

    def function(*args: Any) -> Any:
        kernel = here()
        return original(*args) if kernel is None else simulated(kernel, *args)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = original.__doc__
    return function


_SIMULATED: dict[str, Callable[..., Any]] = {
    "sleep": _sleep,
    "monotonic": _monotonic,
    "monotonic_ns": _monotonic_ns,
    "perf_counter": _monotonic,
    "perf_counter_ns": _monotonic_ns,
    "time": _time,
    "time_ns": _time_ns,
}

REPLACEMENTS = {name: _dispatch(simulated, name) for name, simulated in _SIMULATED.items()}
"""By name in the ``time`` module. In real threads they are what they were."""
