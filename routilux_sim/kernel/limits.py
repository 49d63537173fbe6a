"""How long one execution may go on, and when its clock begins."""

from __future__ import annotations

from routilux.abc import LONGEST_WAIT

__all__ = ["DEFAULT_EPOCH_NS", "HANG_SECONDS", "Limits", "wall_seconds"]

DEFAULT_EPOCH_NS = 1_767_225_600_000_000_000
"""What ``time.time_ns()`` reads when an execution begins: 2026-01-01 00:00:00 UTC."""

HANG_SECONDS = 30.0
"""Real seconds without a step after which an execution is broken off, if not told otherwise."""


class Limits:
    """How long one execution may go on.

    Args:
        max_steps: Scheduling points and clock readings.
        max_seconds: Virtual time.
        hang_seconds: Real time that may go by without a step before the watchdog breaks the execution off; None: any.
    """

    __slots__ = ("hang_seconds", "max_ns", "max_steps")

    def __init__(
        self,
        max_steps: int = 1_000_000,
        max_seconds: float = 10 * 365 * 86_400.0,
        hang_seconds: float | None = HANG_SECONDS,
    ) -> None:
        if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
            raise ValueError(f"max_steps must be a whole number from 1 up, not {max_steps!r}")
        if not isinstance(max_seconds, int | float) or not 0 < max_seconds <= LONGEST_WAIT:
            raise ValueError(f"max_seconds must be a number above 0, at most a century, not {max_seconds!r}")
        if hang_seconds is not None and (
            isinstance(hang_seconds, bool)
            or not isinstance(hang_seconds, int | float)
            or not 0 < hang_seconds <= LONGEST_WAIT
        ):
            raise ValueError(f"hang_seconds must be a number above 0 or None, not {hang_seconds!r}")
        self.max_steps = max_steps
        self.max_ns = round(max_seconds * 1e9)
        self.hang_seconds = hang_seconds


def wall_seconds(nanoseconds: int) -> float:
    """Nanoseconds since 1970 in seconds, to the nearest float; a plain quotient would round twice."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return whole + rest / 1e9
