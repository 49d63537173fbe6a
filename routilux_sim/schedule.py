"""A schedule: the decisions of one execution, as a person reads them and as a file keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from routilux_sim.kernel.core import DEFAULT_EPOCH_NS, label_of
from routilux_sim.kernel.tape import Decision
from routilux_sim.kernel.task import Task

__all__ = ["NamedInvariant", "Schedule", "Step"]


class Step(NamedTuple):
    """One decision.

    Attributes:
        label: Which task was about to do what, without line numbers, addresses or anything a Python version changes.
        value: The choice; 0 is the plain one.
        bound: How many there were.
        enabled: The names of the tasks that could run, in the order of the choices; empty when not recorded, as
            in the later part of an execution with thousands of tasks.
    """

    label: str
    value: int
    bound: int
    enabled: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the task that was running could go on: any but the plain choice preempts it."""
        # Who waits, gives way or ends is not the first candidate.
        return bool(self.enabled) and self.label.startswith(f"{self.enabled[0]}: ")


class NamedInvariant(NamedTuple):
    """What is known of an invariant that was checked.

    Attributes:
        name: What messages call it.
        path: Where others find it, ``module:name``; None if they cannot.
    """

    name: str
    path: str | None


class Schedule:
    """The decisions of one execution.

    Attributes:
        seed: What the program's own randomness was seeded with.
        strategy: The name of the strategy that made the decisions.
        steps: The decisions.
        epoch_ns: What the wall clock read at the beginning, in nanoseconds since 1970.
        max_steps: How many steps the execution was allowed; None if that is not known. Past them tasks are scheduled
            fairly, so that a livelock comes back only under the same limit.
        points: Where accesses to memory were scheduling points from the beginning, as plain data: ``instrument`` as it
            was given, and ``shared``, the names of what was known to be shared; where data races were failures also
            ``allow_races``, those that were not. None if no access was one.
        faults: What could go wrong, as plain data: ``plan`` for `FaultPlan.from_dict`, and ``swarm``, whether each
            execution drew which of it existed; where the program itself added something, also ``joined``, a list of
            what it added. None if nothing could.
        invariants: What was checked at each step, from the beginning.
    """

    def __init__(
        self,
        seed: int,
        strategy: str,
        steps: Sequence[Step],
        epoch_ns: int = DEFAULT_EPOCH_NS,
        max_steps: int | None = None,
        points: dict[str, Any] | None = None,
        faults: dict[str, Any] | None = None,
        invariants: Sequence[NamedInvariant] = (),
    ) -> None:
        self.seed = seed
        self.invariants = tuple(invariants)
        self.faults = faults
        self.points = points
        self.max_steps = max_steps
        self.epoch_ns = epoch_ns
        self.strategy = strategy
        self.steps = tuple(steps)

    @classmethod
    def of(
        cls,
        seed: int,
        strategy: str,
        tape: Iterable[Decision],
        enabled: Sequence[tuple[Task, ...]],
        epoch_ns: int,
        max_steps: int | None = None,
        points: dict[str, Any] | None = None,
        faults: dict[str, Any] | None = None,
        invariants: Sequence[NamedInvariant] = (),
    ) -> Schedule:
        """Make a schedule of a kernel's tape."""
        steps = []
        for position, (value, bound, task, op, obj) in enumerate(tape):
            what = op if obj is None else f"{op} {label_of(obj)}"
            names = tuple(candidate.name for candidate in enabled[position]) if position < len(enabled) else ()
            steps.append(Step(f"{task.name}: {what}", value, bound, names))
        return cls(seed, strategy, steps, epoch_ns, max_steps, points, faults, invariants)

    @property
    def deviations(self) -> int:
        """How many decisions differ from the plain choice."""
        return sum(1 for step in self.steps if step.value)

    @property
    def preemptions(self) -> int:
        """How many of them switch away from a task that could go on; only of schedules that tell who could run."""
        return sum(1 for step in self.steps if step.value and step.is_open)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return [step[:3] for step in self.steps] == [step[:3] for step in other.steps]

    def __hash__(self) -> int:
        return hash(tuple(step[:3] for step in self.steps))

    def __repr__(self) -> str:
        return f"<Schedule of {len(self.steps)} decisions, {self.deviations} not the plain one, seed {self.seed}>"
