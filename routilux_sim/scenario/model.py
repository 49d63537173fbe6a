"""What a scenario file says, as values: read and checked, not yet run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any, Literal, NamedTuple

from routilux_sim.faults import FaultPlan
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.replay_files import ReplayFile

__all__ = [
    "Action",
    "Delivery",
    "Expectation",
    "Fails",
    "Job",
    "LogPattern",
    "Observed",
    "Range",
    "Run",
    "Scenario",
    "ScenarioError",
    "Speedup",
]


class ScenarioError(SimulationError, ValueError):
    """A scenario file cannot be used; the message names the file, the line and the key."""


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


class Action(NamedTuple):
    """What is done to a job from outside.

    Attributes:
        at: Virtual seconds after the scenario's beginning.
        do: ``pause``, ``resume`` or ``cancel``.
    """

    at: float
    do: str


class Job(NamedTuple):
    """A job to execute.

    Attributes:
        name: What expectations call it.
        at: Virtual seconds after the scenario's beginning.
        entry: The id of the routine that it begins with.
        params: What that one gets.
        execution_strategy: Instead of the flow's own.
        timeout: Virtual seconds until it is failed; None: as the flow has it.
        actions: What is done to it, in order of time.
    """

    name: str
    at: float
    entry: str
    params: dict[str, Any]
    execution_strategy: str | None
    timeout: float | None
    actions: tuple[Action, ...]

    @property
    def stays_paused(self) -> bool:
        """Whether nothing lets it go on after it has been paused."""
        return bool(self.actions) and self.actions[-1].do == "pause"


class Observed(NamedTuple):
    """How one activation went in production, in nanoseconds after the first job's beginning.

    Attributes:
        job: The job's name.
        routine: The receiving routine's id.
        slot: Its slot.
        start: When its handler was called.
        end: When that returned or raised; None if it never did.
        emits: When it emitted.
    """

    job: str
    routine: str
    slot: str
    start: int
    end: int | None
    emits: tuple[int, ...]


class Delivery(NamedTuple):
    """What a slot must have got.

    Attributes:
        routine: The receiving routine's id.
        slot: Its slot.
        job: Of that job only; None: of all jobs together.
        times: How many activations must have completed there; None: at least one.
        data: Values that each of them must have been given, by name; tables are compared key by key.
    """

    routine: str
    slot: str
    job: str | None
    times: int | None
    data: dict[str, Any]


class Speedup(NamedTuple):
    """How many times as fast a scenario must be as under another setting.

    Attributes:
        over: The other one, in words.
        execution_strategy: What it is executed by; None: as the scenario is.
        arguments: What the factory gets there beside, and instead of, the scenario's.
        bounds: How many times.
    """

    over: str
    execution_strategy: str | None
    arguments: Mapping[str, Any]
    bounds: Range


class LogPattern(NamedTuple):
    """Lines that the execution log must have.

    Attributes:
        fields: What they must be, by name; a string is a regular expression for the whole text.
        at: When, in virtual seconds after the scenario's beginning; None: at any time.
        times: How many there must be.
    """

    fields: dict[str, Any]
    at: Range | None
    times: Range


class Fails(NamedTuple):
    """How some schedule must fail.

    Attributes:
        kind: A failure's kind, or ``expectation`` for something else that must hold and does not.
        message: A regular expression that is found in what is said then; None: anything.
    """

    kind: str
    message: re.Pattern[str] | None


class Expectation(NamedTuple):
    """What must hold of every execution.

    Attributes:
        status: Every job's final status.
        statuses: Those of jobs that end otherwise, by name.
        duration: Virtual seconds from the first job's `execute` to the last one's end; of a program, in all.
        durations: The same of single jobs, by name.
        speedup: How much faster than under another setting.
        delivered: What slots must have got.
        errors: How many attempts must have failed, by routine.
        retries: When attempts after the first one must have begun, in virtual seconds after the job, by routine.
        log: What the execution log must show.
        invariants: What is never to be false after a step, by import path; it is given the flow, if there is one.
        returns: What a program must return, in a tuple; empty: anything.
        fails: How some schedule must fail, if one must.
    """

    status: str
    statuses: dict[str, str]
    duration: Range | None
    durations: dict[str, Range]
    speedup: Speedup | None
    delivered: tuple[Delivery, ...]
    errors: dict[str, Range]
    retries: dict[str, tuple[float, ...]]
    log: tuple[LogPattern, ...]
    invariants: dict[str, Callable[..., Any]]
    returns: tuple[Any, ...]
    fails: Fails | None


class Run(NamedTuple):
    """How a scenario is run.

    Attributes:
        strategy: What makes the decisions.
        seed: Of the first schedule.
        schedules: How many at most.
        replay: The schedule to run instead; None: those of the strategy.
        clock: ``virtual``: simulated; ``real``: on real threads.
        epoch: Where the wall clock begins, in seconds since 1970; None: where it does by itself.
        instrument: Where accesses to memory are scheduling points, as for `explore`.
        races: What is to be done about data races, as for `explore`.
        swarm: Whether each seed draws which faults there are at all.
    """

    strategy: str
    seed: int
    schedules: int
    replay: ReplayFile | None
    clock: Literal["virtual", "real"]
    epoch: float | None
    instrument: Any
    races: Any
    swarm: bool


class Scenario(NamedTuple):
    """A scenario, read and checked.

    Attributes:
        path: Of the file.
        name: What to call it.
        factory: Makes the flow; or, if ``is_program``, is the program.
        is_program: Whether it is a plain callable and no flow.
        arguments: What the factory or program gets.
        jobs: What is executed.
        run: How.
        expect: What must hold.
        observed: How each activation went in production.
        faults: What may go wrong, and how long handlers take.
    """

    path: Path
    name: str
    factory: Callable[..., Any]
    is_program: bool
    arguments: dict[str, Any]
    jobs: tuple[Job, ...]
    run: Run
    expect: Expectation
    observed: tuple[Observed, ...]
    faults: FaultPlan
