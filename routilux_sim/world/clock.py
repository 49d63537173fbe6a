"""Simulated time: what the ``time`` module's functions become inside a simulation.

Clocks of the processor's time stand still: in a simulation, computing costs nothing. Local time is that of the
machine's zone, or of the one that ``TZ`` names.
"""

from __future__ import annotations

import time as real
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import Kernel, wall_seconds
from routilux_sim.world.ready import ORIGINALS

__all__ = ["SIMULATED", "now_ns"]


def now_ns(kernel: Kernel) -> int:
    """The wall clock's reading, in nanoseconds since 1970."""
    kernel.tick()
    return kernel.epoch_ns + kernel.now


_LONGEST_SLEEP = 2**63 / 1e9
"""Seconds; CPython's clock cannot count more."""


def _sleep(kernel: Kernel, seconds: Any, /) -> None:
    kernel.sleep(_nanoseconds(seconds))


def _nanoseconds(seconds: Any) -> int:
    if isinstance(seconds, int | float):
        if 0 <= seconds < _LONGEST_SLEEP:
            # However short, it is not a plain yield: who sleeps out what is left of a time would else do so forever.
            return max(1, round(seconds * 1e9)) if seconds else 0
    elif hasattr(seconds, "__index__"):
        return _nanoseconds(seconds.__index__())
    # CPython says what is wrong in its own words before it sleeps.
    real_sleep(seconds)
    raise ValueError(f"sleep length must be a number of seconds, not {seconds!r}")


def _monotonic_ns(kernel: Kernel) -> int:
    kernel.tick()
    return kernel.now


def _monotonic(kernel: Kernel) -> float:
    kernel.tick()
    return kernel.now / 1e9


def _time(kernel: Kernel) -> float:
    kernel.tick()
    return wall_seconds(kernel.epoch_ns + kernel.now)


def _standing(kernel: Kernel) -> float:
    kernel.tick()
    return 0.0


def _standing_ns(kernel: Kernel) -> int:
    kernel.tick()
    return 0


def _clock_gettime_ns(kernel: Kernel, clock: int, /) -> int:
    kernel.tick()
    if clock in _WALL_CLOCKS:
        return kernel.epoch_ns + kernel.now
    return 0 if clock in _CPU_CLOCKS else kernel.now


def _clock_gettime(kernel: Kernel, clock: int, /) -> float:
    return wall_seconds(_clock_gettime_ns(kernel, clock))


def _seconds(kernel: Kernel, given: Any) -> Any:
    return (kernel.epoch_ns + kernel.now) // 1_000_000_000 if given is None else given


def _localtime(kernel: Kernel, seconds: Any = None, /) -> Any:
    return real_localtime(_seconds(kernel, seconds))


def _gmtime(kernel: Kernel, seconds: Any = None, /) -> Any:
    return real_gmtime(_seconds(kernel, seconds))


def _ctime(kernel: Kernel, seconds: Any = None, /) -> str:
    return str(real_ctime(_seconds(kernel, seconds)))


def _asctime(kernel: Kernel, when: Any = None, /) -> str:
    return str(real_asctime(_localtime(kernel) if when is None else when))


def _strftime(kernel: Kernel, text: str, when: Any = None, /) -> str:
    return str(real_strftime(text, _localtime(kernel) if when is None else when))


real_sleep = ORIGINALS["sleep"]
real_localtime = ORIGINALS["localtime"]
real_gmtime = ORIGINALS["gmtime"]
real_ctime = ORIGINALS["ctime"]
real_asctime = ORIGINALS["asctime"]
real_strftime = ORIGINALS["strftime"]

_WALL_CLOCKS = {getattr(real, name) for name in ("CLOCK_REALTIME", "CLOCK_TAI") if hasattr(real, name)}
_CPU_CLOCKS = {
    getattr(real, name)
    for name in ("CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID", "CLOCK_PROF")
    if hasattr(real, name)
}


SIMULATED: dict[str, Callable[..., Any]] = {
    "sleep": _sleep,
    "monotonic": _monotonic,
    "monotonic_ns": _monotonic_ns,
    "perf_counter": _monotonic,
    "perf_counter_ns": _monotonic_ns,
    "time": _time,
    "time_ns": now_ns,
    "process_time": _standing,
    "process_time_ns": _standing_ns,
    "thread_time": _standing,
    "thread_time_ns": _standing_ns,
    "clock_gettime": _clock_gettime,
    "clock_gettime_ns": _clock_gettime_ns,
    "localtime": _localtime,
    "gmtime": _gmtime,
    "ctime": _ctime,
    "asctime": _asctime,
    "strftime": _strftime,
}
"""By name in the ``time`` module: called with the kernel and the arguments."""
