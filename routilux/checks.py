"""What arguments of flows must be like."""

from __future__ import annotations

import math

from routilux.exceptions import UnknownNameError

__all__ = ["STRATEGIES", "check_count", "check_seconds", "check_strategy"]

STRATEGIES = ("concurrent", "sequential")


def check_strategy(name: object) -> str:
    """Check an execution strategy's name.

    Raises:
        UnknownNameError: It is none.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("execution strategy", name, STRATEGIES)
    return str(name)


def check_count(name: str, count: object) -> int:
    """Check the parameter ``name``: a whole number from 1 up.

    Raises:
        ValueError: It is none.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{name} must be a whole number from 1 up, not {count!r}")
    return count


def check_seconds(name: str, value: object, *, zero: bool = False) -> float | None:
    """Check the parameter ``name``: a time limit in seconds, above 0 or, with ``zero``, from there; None means none.

    Raises:
        ValueError: It is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number of seconds or None, not {value!r}")
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be {'at least' if zero else 'above'} 0 seconds, not {value!r}")
    return value
