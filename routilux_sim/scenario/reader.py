"""Reading a scenario file: every key is checked, and an error names the file, the line and the key.

``schema/scenario.schema.json``, in the package, describes the same keys for editors.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from routilux.checks import STRATEGIES as FLOW_STRATEGIES
from routilux.loading import LoadError, load_callable, load_flow_factory
from routilux_sim.excerpts import excerpt
from routilux_sim.faults import Fault, FaultPlan, Latencies
from routilux_sim.faults.arming import error_of
from routilux_sim.replay_files import ReplayFile, ReplayFileError, load_replay
from routilux_sim.scenario.expected import expectation
from routilux_sim.scenario.fit import check_fit
from routilux_sim.scenario.lines import lines_of
from routilux_sim.scenario.model import Action, Job, Observed, Run, Scenario, ScenarioError
from routilux_sim.scenario.table import Document, Table
from routilux_sim.strategy import check_name

__all__ = ["load_scenario"]

_CLOCKS = ("real", "virtual")
_ACTIONS = ("cancel", "pause", "resume")


def load_scenario(path: str | os.PathLike[str], only_from: Iterable[str] = ()) -> Scenario:
    """Read a scenario file and import what it names.

    Modules are looked for in the current directory, beside the file, and in the project that the file belongs to (the
    nearest directory above it with a ``pyproject.toml`` or ``.git``).

    Args:
        path: Of the file.
        only_from: Packages that what it names must be defined in, if there are any; nothing else is imported then.

    Raises:
        ScenarioError: The file is not a scenario, or what it names cannot be found.
        OSError: It cannot be read.
    """
    file = Path(path)
    top = _parsed(file)
    reader = _Reader(file, tuple(only_from))
    scenario = reader.scenario(top)
    check_fit(scenario, top)
    return scenario


def _parsed(file: Path) -> Table:
    content = file.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScenarioError(f"{file}:{line}: not a TOML document: {error}") from error
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # A number of too many digits is a ValueError of another kind.
        found = _LINE.search(str(error))
        place = file if found is None else f"{file}:{found[1]}"
        raise ScenarioError(f"{place}: not a TOML document: {error}") from error
    return Table(Document(file, lines_of(text)), (), data)


_LINE = re.compile(r"\(at line (\d+), column \d+\)$")
"""Where the standard library's parser says that it stopped."""


class _Reader:
    """Reads one file."""

    def __init__(self, file: Path, only_from: tuple[str, ...]) -> None:
        self._file = file
        self._search = _search_path(file)
        self._only_from = only_from

    def scenario(self, top: Table) -> Scenario:
        """Read all of it."""
        name = top.string("name", self._file.stem)
        top.string("description", "")
        is_program = "program" in top
        subject = top.table("program", optional=True)
        if subject is None:
            subject = top.table("flow")
        else:
            top.refuse(["flow", "job", "observed"], "a plain program has none; name a flow's factory under [flow]")
        # What is misspelt is said before anything is imported.
        path = subject.string("callable" if is_program else "factory")
        arguments = subject.mapping("arguments")
        subject.finish()
        running = top.table("run", optional=is_program or "job" in top)
        if running is None:
            running = Table(Document(self._file, {}), ("run",), {})
        jobs = () if is_program else self._jobs(top, running)
        if is_program:
            running.refuse(_JOB_KEYS, "a plain program takes no job; give it [program] arguments")
        run = self._run(running)
        running.finish()
        observed = _observed(top, [job.name for job in jobs])
        faults = self._faults(top)
        wanted = top.table("expect", optional=True)
        if wanted is None:
            wanted = Table(Document(self._file, {}), ("expect",), {})
        expect = expectation(wanted, [job.name for job in jobs], self._callable, is_program=is_program)
        top.finish()
        if run.clock == "real":
            top.refuse(["observed", "latency", "faults"], "run.clock = 'real' takes what comes")
        return Scenario(
            path=self._file,
            name=name,
            factory=self._loaded(subject, path, is_program=is_program),
            is_program=is_program,
            arguments=arguments,
            jobs=jobs,
            run=run,
            expect=expect,
            observed=observed,
            faults=faults,
        )

    def _faults(self, top: Table) -> FaultPlan:
        """The tables ``[faults]`` and ``[latency]``, which have a reader of their own."""
        faults, latencies = top.mapping("faults"), top.mapping("latency")
        try:
            plan = FaultPlan.from_dict(faults)
            if latencies:
                plan = replace(plan, latencies=Latencies.from_dict(latencies, "latency"))
        except ValueError as error:
            raise top.error_about(str(error)) from error
        if latencies and "latencies" in faults:
            top.complain("latency", "there are [faults.latencies], too; leave one of them out")
        for kind, index, fault in plan.numbered():
            self._check_exception(top.at(("faults", kind, index)), fault)
        return plan

    def _check_exception(self, table: Table, fault: Fault) -> None:
        """See that a fault's exception may be imported, and made; the library's own may."""
        name = fault.error_name
        if name is None:
            return
        try:
            if ":" in name:
                self._load_error(name)
            error_of(name, getattr(fault, "message", ""))
        except ValueError as error:
            raise table.error("error", str(error)) from error

    def _load_error(self, path: str) -> None:
        """Import an exception: one of the library's own, if not one that may be."""
        load_callable(path, self._search, (*self._only_from, "routilux") if self._only_from else ())

    def _loaded(self, subject: Table, path: str, *, is_program: bool) -> Callable[..., Any]:
        load = load_callable if is_program else load_flow_factory
        try:
            return load(path, self._search, self._only_from)
        except LoadError as error:
            raise subject.error("callable" if is_program else "factory", str(error)) from error

    def _callable(self, path: str) -> Callable[..., Any]:
        return load_callable(path, self._search, self._only_from)

    def _jobs(self, top: Table, run: Table) -> tuple[Job, ...]:
        rows = top.tables("job")
        if not rows:
            job = _job(run, "job", entry_at=False)
            return (job,)
        run.refuse(_JOB_KEYS, "there are [[job]] tables, which say that for each job")
        jobs: list[Job] = []
        for index, row in enumerate(rows, 1):
            job = _job(row, row.string("name", f"job-{index}"), entry_at=True)
            if any(job.name == other.name for other in jobs):
                row.complain("name", f"there is another job {job.name!r}; give each a name of its own")
            row.finish()
            jobs.append(job)
        return tuple(jobs)

    def _run(self, table: Table) -> Run:
        clock = table.choice("clock", _CLOCKS, "virtual")
        replay = self._replay(table)
        given = [key for key in ("strategy", "seed", "schedules") if key in table]
        if replay is not None and given:
            table.complain(given[0], "the schedule is the one in run.replay; leave one of them out")
        if clock == "real":
            table.refuse(
                ["strategy", "seed", "replay", "epoch", "instrument", "races", "swarm"],
                "run.clock = 'real' takes what comes",
            )
        races = table.choice("races", ("report", "fail"), None)
        return Run(
            strategy=_strategy(table),
            seed=table.whole("seed", 0, least=0) or 0,
            schedules=table.whole("schedules", 1, least=1) or 1,
            replay=replay,
            clock=cast(Literal["virtual", "real"], clock),
            epoch=_epoch(table),
            instrument=_instrument(table),
            races=races,
            swarm=table.flag("swarm"),
        )

    def _replay(self, table: Table) -> ReplayFile | None:
        if "replay" not in table:
            table.string("replay", "")
            return None
        path = self._file.parent / table.string("replay")
        try:
            kept = load_replay(path)
            if kept.schedule.faults is not None:
                for name in FaultPlan.from_dict(kept.schedule.faults["plan"]).import_paths:
                    self._load_error(name)
        except (ReplayFileError, OSError, ValueError) as error:
            raise table.error("replay", str(error)) from error
        return kept


_JOB_KEYS = ("entry", "params", "execution_strategy", "timeout", "actions")


def _job(table: Table, name: str, *, entry_at: bool) -> Job:
    at = table.seconds("at", 0) if entry_at else 0
    return Job(
        name=name,
        at=at,
        entry=table.string("entry"),
        params=table.mapping("params"),
        execution_strategy=table.choice("execution_strategy", FLOW_STRATEGIES, None),
        timeout=table.number("timeout", None),
        actions=tuple(sorted(_action(row, at) for row in table.tables("actions"))),
    )


def _action(table: Table, job_at: float) -> Action:
    action = Action(table.seconds("at"), table.one_of("do", _ACTIONS))
    if action.at <= job_at:
        table.complain("at", f"must be later than the job's own, {job_at:g}, not {action.at!r}")
    table.finish()
    return action


def _strategy(table: Table) -> str:
    value = table.string("strategy", "random")
    try:
        check_name(value)
    except ValueError as error:
        table.complain("strategy", str(error))
    return value


def _instrument(table: Table) -> Any:
    if "instrument" not in table:
        table.strings("instrument")
        return "auto"
    names = table.strings("instrument")
    if not all(names) or any(name.partition(".")[0] == "routilux_sim" for name in names):
        table.complain("instrument", "must name modules or packages other than the simulator's own")
    return names or None


def _epoch(table: Table) -> float | None:
    found = table.anything("epoch")
    if not found:
        return None
    value = found[0]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LATEST:
        table.complain("epoch", f"must be a date and time with an offset, or seconds since 1970, not {excerpt(value)}")
    return float(value)


_LATEST = 253_402_300_799
"""The last second of the year 9999, beyond which there are no dates."""


def _observed(top: Table, jobs: list[str]) -> tuple[Observed, ...]:
    section = top.table("observed", optional=True)
    if section is None:
        return ()
    found = []
    for row in section.tables("activations"):
        job = row.one_of("job", jobs)
        routine, slot = row.string("routine"), row.string("slot")
        start = _ns(row.seconds("start"))
        end = _ns(row.seconds("end")) if "end" in row else None
        row.seconds("end", 0)
        emits = tuple(map(_ns, row.moments("emits"))) if "emits" in row else ()
        if "emits" not in row:
            row.strings("emits")
        if end is not None and not start <= end:
            row.complain("end", "an activation cannot end before it starts")
        row.finish()
        found.append(Observed(job, routine, slot, start, end, emits))
    section.finish()
    return tuple(found)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _search_path(file: Path) -> list[Path]:
    here = file.resolve().parent
    places = [Path.cwd(), here]
    for directory in (here, *here.parents):
        if (directory / "pyproject.toml").exists() or (directory / ".git").exists():
            places.append(directory)
            break
    return places
