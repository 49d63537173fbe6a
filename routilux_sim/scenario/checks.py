"""Holding what happened in one execution against what must hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from routilux_sim.scenario.model import Delivery, Expectation, LogPattern, Range
from routilux_sim.scenario.witness import Seen, Witness

__all__ = ["BrokenExpectationError", "check_duration", "check_flow", "check_log", "check_speedup", "words_of_error"]

CLOSE = 1e-9
"""Seconds between a moment that is expected and one that is as it should be: less than a nanosecond, rounded."""


class BrokenExpectationError(AssertionError):
    """Something that a scenario says must hold does not.

    Args:
        about: Which of its expectations: shrinking keeps to that one.
        message: What was found, and what must be.
    """

    def __init__(self, about: str, message: str) -> None:
        super().__init__(message)
        self.__about__ = about


def check_flow(expect: Expectation, witness: Witness) -> None:
    """Check statuses, deliveries, errors and retries.

    Raises:
        BrokenExpectationError: Something does not hold.
    """
    for name, ended in witness.ended.items():
        status = expect.statuses.get(name, expect.status)
        job = "" if len(witness.ended) == 1 else f"job {name!r}: "
        if ended.status != status:
            because = f" ({words_of_error(ended.error)})" if ended.error is not None else ""
            raise BrokenExpectationError(f"{job}status", f"{job}status is {ended.status}{because}, must be {status}")
        check_duration(f"{job}duration", ended.duration, expect.durations.get(name))
    for delivery in expect.delivered:
        _check_delivery(delivery, witness.seen)
    for routine, allowed in expect.errors.items():
        count = witness.errors.get(routine, 0)
        if count not in allowed:
            raise BrokenExpectationError(
                f"errors of {routine}", f"{routine} failed {count} times, must fail {allowed} times"
            )
    for routine, moments in expect.retries.items():
        _check_retries(routine, moments, witness.retries.get(routine, []))


def check_duration(name: str, seconds: float, allowed: Range | None) -> None:
    """Check virtual seconds.

    Raises:
        BrokenExpectationError: They are out of range.
    """
    if allowed is not None and seconds not in allowed:
        raise BrokenExpectationError(name, f"{name} is {seconds:.10g} virtual seconds, must be {allowed}")


def check_speedup(over: str, times: float, allowed: Range) -> None:
    """Check how much faster it was than under another setting.

    Raises:
        BrokenExpectationError: It is out of range.
    """
    if times not in allowed:
        raise BrokenExpectationError("speed-up", f"speed-up over {over} is {times:g} times, must be {allowed}")


def check_log(patterns: Sequence[LogPattern], lines: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
    """Check what the execution log shows.

    Raises:
        BrokenExpectationError: Too many lines are as described, or too few.
    """
    for pattern in patterns:
        count = sum(1 for at, line in lines if _matches(pattern, at, line))
        if count not in pattern.times:
            words = _words(pattern)
            raise BrokenExpectationError(f"log: {words}", f"{count} log lines have {words}, must be {pattern.times}")


def words_of_error(error: BaseException) -> str:
    """An exception, or what does not hold, in words."""
    return str(error) if isinstance(error, BrokenExpectationError) else f"{type(error).__name__}: {error}"


def _matches(pattern: LogPattern, at: float, line: Mapping[str, Any]) -> bool:
    if pattern.at is not None and at not in pattern.at:
        return False
    return all(key in line and _fits(wanted, line[key]) for key, wanted in pattern.fields.items())


def _fits(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return isinstance(found, str) and wanted.fullmatch(found) is not None
    return bool(wanted == found)


def _words(pattern: LogPattern) -> str:
    parts = [
        f"{key} = {value.pattern if isinstance(value, re.Pattern) else value!r}"
        for key, value in pattern.fields.items()
    ]
    if pattern.at is not None:
        parts.append(f"at {pattern.at} virtual seconds")
    return ", ".join(parts)


def _check_delivery(delivery: Delivery, seen: Sequence[Seen]) -> None:
    place = f"{delivery.routine}.{delivery.slot}"
    about = f"delivered {place}"
    got = [
        row.data
        for row in seen
        if (row.routine, row.slot) == (delivery.routine, delivery.slot) and delivery.job in {None, row.job}
    ]
    if delivery.times is None and not got:
        raise BrokenExpectationError(about, f"{place} got nothing, must get at least one delivery")
    if delivery.times is not None and len(got) != delivery.times:
        raise BrokenExpectationError(about, f"{place} got {len(got)} deliveries, must get {delivery.times}")
    for data in got:
        difference = difference_of(delivery.data, data, place)
        if difference is not None:
            raise BrokenExpectationError(about, difference)


def difference_of(wanted: Any, found: Any, place: str) -> str | None:
    """Where ``found`` lacks something wanted; tables are compared key by key, everything else as a whole."""
    if not isinstance(wanted, dict):
        return None if wanted == found else f"{place} is {found!r}, must be {wanted!r}"
    if not isinstance(found, dict):
        return f"{place} is {found!r}, must be a table"
    for key, value in wanted.items():
        if key not in found:
            return f"{place} lacks {key!r}; it has: {', '.join(sorted(map(str, found)))}"
        difference = difference_of(value, found[key], f"{place}[{key!r}]")
        if difference is not None:
            return difference
    return None


def _check_retries(routine: str, wanted: Sequence[float], found: Sequence[float]) -> None:
    same = len(wanted) == len(found) and all(abs(a - b) <= CLOSE for a, b in zip(wanted, found, strict=True))
    if not same:
        raise BrokenExpectationError(
            f"retries of {routine}",
            f"{routine} was tried again at {_moments(found)} virtual seconds, must be at {_moments(wanted)}",
        )


def _moments(moments: Sequence[float]) -> str:
    return ", ".join(f"{moment:.10g}" for moment in moments) or "no"
