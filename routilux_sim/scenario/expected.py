"""Reading what must hold: the table ``[expect]`` of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from routilux.checks import STRATEGIES as FLOW_STRATEGIES
from routilux.loading import LoadError
from routilux.log import EVENTS
from routilux_sim.scenario.model import Delivery, Expectation, Fails, LogPattern, Range, Speedup
from routilux_sim.scenario.table import Table

__all__ = ["FAILURES", "expectation"]

FAILURES = ("deadlock", "exception", "expectation", "invariant", "livelock", "race")
"""What a schedule may have to fail with."""

_STATUSES = ("cancelled", "completed", "failed", "paused")
_AT_LEAST_ONE = Range(1, inf)
_LOGGED = sorted(event for event in EVENTS if event.partition(".")[0] in {"job", "emit", "activation"})
"""What flows log; the rest is the simulator's, which is not written while it explores."""
_FIELDS = (
    "activation",
    "attempt",
    "delay_ns",
    "error",
    "flow",
    "name",
    "params",
    "reason",
    "routine",
    "slot",
    "status",
    "targets",
    "task",
)
"""What their lines have, beside ``event`` and ``job``."""
_OF_FLOWS = ("status", "speedup", "delivered", "errors", "retries", "jobs")


def expectation(
    table: Table, jobs: Sequence[str], load: Callable[[str], Callable[..., Any]], *, is_program: bool
) -> Expectation:
    """Read what must hold.

    Args:
        table: ``[expect]``.
        jobs: The names of the scenario's jobs.
        load: Imports what an import path names, or raises a LoadError.
        is_program: Whether the scenario is about a plain callable.

    Raises:
        ScenarioError: Something in it is wrong.
    """
    if is_program:
        table.refuse(_OF_FLOWS, "a plain program has no jobs; say what it returns, with expect.returns")
    else:
        table.refuse(["returns"], "only a plain program returns something; say what is delivered")
    statuses, durations = _of_jobs(table, jobs)
    wanted = Expectation(
        status=table.choice("status", _STATUSES, "completed") or "completed",
        statuses=statuses,
        duration=table.range("duration"),
        durations=durations,
        speedup=_speedup(table.table("speedup", optional=True)),
        delivered=tuple(_delivery(row, jobs) for row in table.tables("delivered")),
        errors=_ranges(table.table("errors", optional=True)),
        retries=_moments(table.table("retries", optional=True)),
        log=tuple(_pattern(row, jobs) for row in table.tables("log")),
        invariants=_invariants(table, load),
        returns=table.anything("returns"),
        fails=_fails(table),
    )
    table.finish()
    return wanted


def _of_jobs(table: Table, jobs: Sequence[str]) -> tuple[dict[str, str], dict[str, Range]]:
    statuses: dict[str, str] = {}
    durations: dict[str, Range] = {}
    section = table.table("jobs", optional=True)
    for name in () if section is None else section.keys():
        if name not in jobs:
            section.complain(name, f"there is no such job; there are: {', '.join(map(repr, jobs))}")
        row = section.table(name)
        status, duration = row.choice("status", _STATUSES, None), row.range("duration")
        row.finish()
        if status is not None:
            statuses[name] = status
        if duration is not None:
            durations[name] = duration
    return statuses, durations


def _speedup(table: Any) -> Speedup | None:
    if table is None:
        return None
    over = table.anything("over")
    arguments: dict[str, Any] = {}
    strategy = None
    if over and isinstance(over[0], dict):
        arguments = table.mapping("over")
        words = ", ".join(f"{key} = {value!r}" for key, value in arguments.items())
    else:
        strategy = words = table.choice("over", FLOW_STRATEGIES, "sequential")
    found = Speedup(words, strategy, arguments, table.bounds())
    table.finish()
    return found


def _delivery(table: Table, jobs: Sequence[str]) -> Delivery:
    delivery = Delivery(
        routine=table.string("routine"),
        slot=table.string("slot"),
        job=table.choice("job", jobs, None),
        times=table.whole("count", None, least=0),
        data=table.mapping("data"),
    )
    table.finish()
    if delivery.times == 0 and delivery.data:
        table.complain("data", "nothing is delivered with count = 0, so there is nothing to compare")
    return delivery


def _ranges(table: Any) -> dict[str, Range]:
    return {} if table is None else {name: table.range(name) for name in table.keys()}  # noqa: SIM118 - no dictionary


def _moments(table: Any) -> dict[str, tuple[float, ...]]:
    return {} if table is None else {name: table.moments(name) for name in table.keys()}  # noqa: SIM118 - likewise


def _pattern(table: Table, jobs: Sequence[str]) -> LogPattern:
    event = table.choice("event", _LOGGED, None)
    job = table.choice("job", jobs, None) if jobs else None
    at, count = table.range("at"), table.range("count")
    named = {"event": event, "job": job}
    fields = {key: value for key, value in named.items() if value is not None} | table.fields(_FIELDS)
    if not fields:
        raise table.error_here("asks for nothing; give an event, or other fields of a log line")
    return LogPattern(fields, at, _AT_LEAST_ONE if count is None else count)


def _invariants(table: Table, load: Callable[[str], Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    found = {}
    for index, path in enumerate(table.strings("invariants")):
        try:
            found[path] = load(path)
        except LoadError as error:
            raise table.error_at(("invariants", index), str(error)) from error
    return found


def _fails(table: Table) -> Fails | None:
    found = table.anything("fails")
    if not found:
        return None
    if isinstance(found[0], str):
        kind = table.choice("fails", FAILURES, None)
        return Fails(kind or "", None)
    row = table.table("fails")
    fails = Fails(row.one_of("kind", FAILURES), row.pattern("message"))
    row.finish()
    return fails
