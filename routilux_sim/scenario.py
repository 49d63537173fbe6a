"""Scenario files: which flow to simulate, how, and what must hold.

TOML, written by hand; ``schema/scenario.schema.json`` beside this module describes it for editors. Every key is
checked: what is misspelt, missing or of the wrong type is an error that names the file and the key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from math import inf, isnan
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from routilux.checks import STRATEGIES as FLOW_STRATEGIES
from routilux.exceptions import UnknownNameError
from routilux.flow import ENTRY_SLOT
from routilux.loading import LoadError, load_flow_factory
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.strategy import check_name

__all__ = ["Delivery", "Expectation", "Range", "Scenario", "ScenarioError", "load_scenario"]


class ScenarioError(SimulationError, ValueError):
    """A scenario file cannot be used; the message names the file and the key."""


class Range(NamedTuple):
    """Bounds, both included."""

    least: float
    most: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.least <= value <= self.most

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least:g}"
        if self.most == inf:
            return f"at least {self.least:g}"
        return f"at most {self.most:g}" if self.least == -inf else f"{self.least:g} to {self.most:g}"


class Delivery(NamedTuple):
    """What a slot must have got.

    Attributes:
        routine: The receiving routine's id.
        slot: Its slot.
        times: How many activations must have completed there; None: at least one.
        data: Values that each of them must have been given, by name; tables are compared key by key.
    """

    routine: str
    slot: str
    times: int | None
    data: dict[str, Any]


class Expectation(NamedTuple):
    """What must hold of every execution.

    Attributes:
        status: The job's final status.
        duration: Virtual seconds from `execute` to the job's end.
        speedup: How many times as fast as with ``speedup_over``.
        speedup_over: The execution strategy to compare with.
        delivered: What slots must have got.
    """

    status: str
    duration: Range | None
    speedup: Range | None
    speedup_over: str
    delivered: tuple[Delivery, ...]


class Scenario(NamedTuple):
    """A scenario, read and checked."""

    path: Path
    name: str
    factory: Any
    arguments: dict[str, Any]
    entry: str
    params: dict[str, Any]
    execution_strategy: str | None
    timeout: float | None
    strategy: str
    seed: int
    schedules: int
    expect: Expectation


def load_scenario(path: str | os.PathLike[str]) -> Scenario:
    """Read a scenario file and import its flow factory.

    The factory's module is looked for in the current directory, beside the file, and in the project that the file
    belongs to (the nearest directory above it with a ``pyproject.toml`` or ``.git``).

    Raises:
        ScenarioError: The file is not a scenario, or its factory cannot be found.
        OSError: It cannot be read.
    """
    file = Path(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{file}: not a TOML document: {error}") from error
    top = _Table(file, "", document)
    flow, run, expect = top.table("flow"), top.table("run"), top.table("expect")
    factory_path = flow.string("factory")
    scenario = Scenario(
        path=file,
        name=top.string("name", file.stem),
        factory=None,
        arguments=flow.mapping("arguments"),
        entry=run.string("entry"),
        params=run.mapping("params"),
        execution_strategy=run.choice("execution_strategy", FLOW_STRATEGIES, None),
        timeout=run.number("timeout", None),
        strategy=run.strategy("strategy"),
        seed=run.whole("seed", 0, least=0) or 0,
        schedules=run.whole("schedules", 1, least=1) or 1,
        expect=_expectation(expect),
    )
    top.string("description", "")
    for table in (top, flow, run, expect):
        table.finish()
    try:
        factory = load_flow_factory(factory_path, _search_path(file))
    except LoadError as error:
        raise ScenarioError(f"{file}: flow.factory: {error}") from error
    scenario = scenario._replace(factory=factory)
    _check_flow(scenario)
    return scenario


def _check_flow(scenario: Scenario) -> None:
    """Make the flow once, outside any simulation, to see that it has what the scenario speaks of.

    Raises:
        ScenarioError: The factory fails, or the entry, a routine or a slot is not there.
    """
    try:
        flow = scenario.factory(**scenario.arguments)
    except Exception as error:
        raise ScenarioError(f"{scenario.path}: flow.factory: {type(error).__name__}: {error}") from error
    wanted = [("run.entry", scenario.entry, ENTRY_SLOT)]
    wanted += [
        (f"expect.delivered[{index}]", delivery.routine, delivery.slot)
        for index, delivery in enumerate(scenario.expect.delivered)
    ]
    for place, routine_id, slot in wanted:
        try:
            flow.check_slot(routine_id, slot)
        except UnknownNameError as error:
            raise ScenarioError(f"{scenario.path}: {place}: {error}") from error


def _search_path(file: Path) -> list[Path]:
    here = file.resolve().parent
    places = [Path.cwd(), here]
    for directory in (here, *here.parents):
        if (directory / "pyproject.toml").exists() or (directory / ".git").exists():
            places.append(directory)
            break
    return places


_STATUSES = ("completed", "failed", "cancelled", "paused")


def _expectation(table: _Table) -> Expectation:
    speedup = table.table("speedup", optional=True)
    over = speedup.choice("over", FLOW_STRATEGIES, "sequential") if speedup is not None else None
    wanted = Expectation(
        status=table.choice("status", _STATUSES, "completed") or "completed",
        duration=table.range("duration"),
        speedup=speedup.bounds() if speedup is not None else None,
        speedup_over=over or "sequential",
        delivered=tuple(_delivery(item) for item in table.tables("delivered")),
    )
    if speedup is not None:
        speedup.finish()
    return wanted


def _delivery(table: _Table) -> Delivery:
    delivery = Delivery(
        routine=table.string("routine"),
        slot=table.string("slot"),
        times=table.whole("count", None, least=0),
        data=table.mapping("data"),
    )
    table.finish()
    if delivery.times == 0 and delivery.data:
        table.complain("data", "nothing is delivered with count = 0, so there is nothing to compare")
    return delivery


_REQUIRED: Any = object()


class _Table:
    """Takes the keys of one table of a scenario, each of its type; complains about what is missing or left over."""

    def __init__(self, file: Path, place: str, data: Any) -> None:
        self._file = file
        self._place = place
        self._seen: list[str] = []
        if not isinstance(data, Mapping):
            raise ScenarioError(f"{file}: {place} must be a table, not {data!r}")
        self._data = data

    def _where(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def _take(self, key: str, default: Any, kind: type | tuple[type, ...], words: str) -> Any:
        self._seen.append(key)
        if key not in self._data:
            if default is _REQUIRED:
                near = difflib.get_close_matches(key, set(self._data) - set(self._seen), 1)
                hint = f"; found {near[0]!r} instead" if near else ""
                raise ScenarioError(f"{self._file}: {self._where(key)} is missing{hint}")
            return default
        value = self._data[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(key, words)
        return value

    def _wrong(self, key: str, words: str) -> ScenarioError:
        return ScenarioError(f"{self._file}: {self._where(key)} must be {words}, not {self._data[key]!r}")

    def complain(self, key: str, problem: str) -> NoReturn:
        raise ScenarioError(f"{self._file}: {self._where(key)}: {problem}")

    def string(self, key: str, default: str = _REQUIRED) -> str:
        return str(self._take(key, default, str, "a string"))

    def choice(self, key: str, allowed: Any, default: str | None) -> str | None:
        value: str | None = self._take(key, default, str, "a string")
        if value is not None and value not in allowed:
            raise self._wrong(key, "one of " + ", ".join(repr(item) for item in sorted(allowed)))
        return value

    def strategy(self, key: str) -> str:
        value = self.string(key, "random")
        try:
            check_name(value)
        except ValueError as error:
            self.complain(key, str(error))
        return value

    def number(self, key: str, default: float | None) -> float | None:
        value: float | None = self._take(key, default, (int, float), "a number above 0")
        if value is not None and not 0 < value < inf:
            raise self._wrong(key, "a finite number above 0")
        return value

    def whole(self, key: str, default: int | None, *, least: int) -> int | None:
        value: int | None = self._take(key, default, int, f"a whole number from {least} up")
        if value is not None and value < least:
            raise self._wrong(key, f"a whole number from {least} up")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        return dict(self._take(key, {}, dict, "a table"))

    def table(self, key: str, *, optional: bool = False) -> Any:
        data = self._take(key, None if optional else _REQUIRED, dict, "a table")
        return None if data is None else _Table(self._file, self._where(key), data)

    def tables(self, key: str) -> list[_Table]:
        rows = self._take(key, [], list, "an array of tables")
        return [_Table(self._file, f"{self._where(key)}[{index}]", row) for index, row in enumerate(rows)]

    def range(self, key: str) -> Range | None:
        value = self._take(key, None, (int, float, dict), "a number, or a table with min and max")
        if value is None:
            return None
        if isinstance(value, dict):
            inner = _Table(self._file, self._where(key), value)
            bounds = inner.bounds()
            inner.finish()
            return bounds
        if isnan(value):
            raise self._wrong(key, "a number")
        return Range(float(value), float(value))

    def bounds(self) -> Range:
        least = self._take("min", -inf, (int, float), "a number")
        most = self._take("max", inf, (int, float), "a number")
        if least == -inf and most == inf:
            raise ScenarioError(f"{self._file}: {self._place} must have min, max or both")
        if isnan(least) or isnan(most):
            raise ScenarioError(f"{self._file}: {self._place}: nan bounds nothing")
        if least > most:
            raise ScenarioError(f"{self._file}: {self._place}: min {least!r} is above max {most!r}")
        return Range(float(least), float(most))

    def finish(self) -> None:
        for key in self._data:
            if key not in self._seen:
                near = difflib.get_close_matches(key, self._seen, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(self._seen))}"
                raise ScenarioError(f"{self._file}: unknown key {self._where(key)!r}; {hint}")
