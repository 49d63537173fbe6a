"""The marker ``sim``: what it takes, and on what it works."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from routilux_sim import given, pytest_points, pytest_races

__all__ = ["MARKER", "check_marker"]

MARKER = (
    "sim(schedules=1, strategy='random', seed=None, max_steps=1000000, hang_seconds=30): run the test in simulated "
    "threads and virtual time, under so many schedules; seed= fixes the seed instead of deriving it from --sim-seed; "
    "hang_seconds= is the real time without a step after which a schedule is broken off, None for none; "
    "epoch= is what the wall clock reads at the beginning, a datetime or seconds since 1970; "
    "faults= is what may go wrong, a FaultPlan or a dictionary; swarm=True has each schedule draw which of it exists; "
    "races='report' or 'fail' looks for data races, but not for those in allow_races=; instrument='auto', or a list of "
    "modules, makes accesses to the memory that tasks share scheduling points, too. What is said at the command line "
    "(--sim-schedules, --sim-strategy, --sim-max-steps) goes before the marker, and the marker before the ini file"
)


def check_marker(item: pytest.Item, marker: pytest.Mark) -> None:
    """Refuse a marker that would be half ignored.

    Raises:
        UsageError: Something about it is not as it must be.
    """
    _check_function(item)
    if marker.args:
        raise pytest.UsageError(f"{item.nodeid}: sim takes keyword arguments only, not {marker.args!r}")
    for name, value in marker.kwargs.items():
        if name not in _ARGUMENTS:
            raise pytest.UsageError(f"{item.nodeid}: sim has no argument {name!r}; there are: {', '.join(_ARGUMENTS)}")
        if not _ARGUMENTS[name](value):
            raise pytest.UsageError(f"{item.nodeid}: sim({name}={value!r}) is out of range; see 'pytest --markers'")
    if isinstance(marker.kwargs.get("strategy"), str):
        _check_strategy(item, marker.kwargs["strategy"])
    if marker.kwargs.get("faults") is not None:
        _check_faults(item, marker.kwargs["faults"])


def _check_function(item: pytest.Item) -> None:
    """Refuse what pytest would not hand over, or what would not run its body."""
    function = getattr(item, "obj", None)
    if given.is_state_machine(getattr(item, "cls", None)):
        raise pytest.UsageError(
            f"{item.nodeid}: sim cannot run a state machine's TestCase; call simulate() in the machine's rules"
        )
    if not isinstance(item, pytest.Function) or type(item).__name__ == "TestCaseFunction":
        raise pytest.UsageError(f"{item.nodeid}: sim works on test functions and plain classes, not on unittest's")
    function = given.inner_test(function) or function
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise pytest.UsageError(f"{item.nodeid}: sim cannot run an 'async def' test; make it a plain function")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_epoch(value: Any) -> bool:
    try:
        from routilux_sim.simulation import epoch_of  # noqa: PLC0415 - only when one is given
    except ModuleNotFoundError:
        return True  # Running the test says what to install.
    try:
        epoch_of(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


_ARGUMENTS: dict[str, Callable[[Any], bool]] = {
    "schedules": lambda value: _is_whole(value) and value >= 1,
    "strategy": lambda value: isinstance(value, str) or callable(getattr(value, "pick", None)),
    "seed": lambda value: value is None or _is_whole(value),
    "max_steps": lambda value: _is_whole(value) and value >= 1,
    "hang_seconds": lambda value: value is None or (_is_number(value) and value > 0),
    "epoch": _is_epoch,
    "faults": lambda value: value is None or isinstance(value, Mapping) or type(value).__name__ == "FaultPlan",
    "swarm": lambda value: isinstance(value, bool),
    **pytest_races.ARGUMENTS,
    **pytest_points.ARGUMENTS,
}
"""The marker's arguments, and which values they may have."""


def _check_strategy(item: pytest.Item, name: str) -> None:
    try:
        from routilux_sim.strategy import check_name  # noqa: PLC0415 - not before a marked test is there
    except ModuleNotFoundError:
        return  # running the test says what to install
    try:
        check_name(name)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error


def _check_faults(item: pytest.Item, plan: Any) -> None:
    try:
        from routilux_sim.faults import FaultPlan  # noqa: PLC0415 - not before a marked test is there
    except ModuleNotFoundError:
        return  # running the test says what to install
    try:
        FaultPlan.from_dict(plan)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: sim(faults=): {error}") from error
