"""Whether the flow and the modules are there that a scenario speaks of: what is misspelt would else do nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

from routilux.exceptions import UnknownNameError
from routilux.flow import ENTRY_SLOT, Flow
from routilux_sim.scenario.lines import Path
from routilux_sim.scenario.model import Scenario
from routilux_sim.scenario.table import Table

__all__ = ["check_fit"]


def check_fit(scenario: Scenario, top: Table) -> None:
    """Make the flow once, outside any simulation, and see that it has what the scenario speaks of.

    Raises:
        ScenarioError: The factory fails, or an entry, a routine, a slot or a module is not there.
    """
    _check_modules(scenario, top)
    if scenario.is_program:
        return
    flow = _made(scenario, top, ("flow", "factory"), {})
    if scenario.expect.speedup is not None and scenario.expect.speedup.arguments:
        _made(scenario, top, ("expect", "speedup", "over"), scenario.expect.speedup.arguments)
    for place, routine_id, slot in _slots(scenario, top):
        try:
            flow.check_slot(routine_id, slot)
        except UnknownNameError as error:
            raise top.error_at(place, str(error)) from error
    for section in ("errors", "retries"):
        for routine_id in getattr(scenario.expect, section):
            if routine_id not in flow.routines:
                raise top.error_at(("expect", section, routine_id), _no_routine(routine_id, flow))
    _check_latencies(scenario, top, flow)
    _check_faults(scenario, top, flow)


def _made(scenario: Scenario, top: Table, place: Path, arguments: Mapping[str, Any]) -> Flow:
    try:
        flow: Flow = scenario.factory(**{**scenario.arguments, **arguments})
    except Exception as error:
        raise top.error_at(place, f"{type(error).__name__}: {error}") from error
    return flow


def _slots(scenario: Scenario, top: Table) -> Iterator[tuple[Path, str, str]]:
    """Where a slot is spoken of, and which."""
    for index, job in enumerate(scenario.jobs):
        table: Path = ("job", index) if "job" in top else ("run",)
        yield (*table, "entry"), job.entry, ENTRY_SLOT
    for index, delivery in enumerate(scenario.expect.delivered):
        yield ("expect", "delivered", index), delivery.routine, delivery.slot
    for index, row in enumerate(scenario.observed):
        yield ("observed", "activations", index), row.routine, row.slot


def _check_latencies(scenario: Scenario, top: Table, flow: Flow) -> None:
    known = {f"{routine_id}.{slot}" for routine_id, routine in flow.routines.items() for slot in routine.slots}
    place: Path = ("latency",) if "latency" in top else ("faults", "latencies")
    for name in scenario.faults.latencies.routines:
        if name in flow.routines or name in known:
            continue
        routine_id, _, slot = name.rpartition(".")
        if routine_id in flow.routines:
            raise top.error_at((*place, name), _no_slot(slot, flow, [routine_id]))
        raise top.error_at((*place, name), _no_routine(name, flow))


def _check_faults(scenario: Scenario, top: Table, flow: Flow) -> None:
    for kind, index, fault in scenario.faults.numbered():
        if kind not in {"raise", "slow"}:
            continue
        routine, slot = getattr(fault, "routine", "*"), getattr(fault, "slot", "*")
        meant = [routine_id for routine_id in flow.routines if fnmatchcase(routine_id, routine)]
        place: Path = ("faults", kind, index)
        if not meant:
            raise top.error_at((*place, "routine"), _no_routine(routine, flow))
        if not any(fnmatchcase(name, slot) for routine_id in meant for name in flow.routines[routine_id].slots):
            raise top.error_at((*place, "slot"), _no_slot(slot, flow, meant))


def _no_routine(name: str, flow: Flow) -> str:
    return f"there is no routine {name!r}; there are: {', '.join(map(repr, flow.routines))}"


def _no_slot(name: str, flow: Flow, routines: list[str]) -> str:
    known = [f"{routine_id}.{slot}" for routine_id in routines for slot in flow.routines[routine_id].slots]
    return f"there is no slot {name!r}; there are: {', '.join(map(repr, known)) or 'none'}"


def _check_modules(scenario: Scenario, top: Table) -> None:
    names = scenario.run.instrument
    for index, name in enumerate(() if names in {None, "auto"} else names):
        if not _may_be_imported(name):
            raise top.error_at(("run", "instrument", index), f"there is no module {name!r}")


def _may_be_imported(name: str) -> bool:
    """Whether there is such a module, as far as that can be told without importing anything."""
    if name in sys.modules:
        return True
    if name.rpartition(".")[0] not in {"", *sys.modules}:
        name = name.partition(".")[0]
    try:
        return name in sys.modules or find_spec(name) is not None
    except (ImportError, ValueError):
        return False
