"""What a watched execution remembers of the operations in it: for each object the last of each kind by each task.

Enough to say afterwards who holds something since where, and which wake-up came too early. It grows with the objects
and tasks of a program, not with its steps, and keeps none of the program's objects alive.
"""

from __future__ import annotations

from typing import Any

from routilux_sim.judge.stacks import Place
from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.task import Task

__all__ = ["KEPT", "Fact", "Memory"]

KEPT = frozenset(
    {"acquire", "try-acquire", "reacquire", "release", "wait", "notify", "set", "clear", "get", "put", "task_done"}
)
"""The operations that are remembered: those by which tasks hold up each other, or let each other go on."""

_WAKING = {"notify", "set"}


class Fact:
    """An operation that took effect.

    Attributes:
        task: Who did it.
        now: Virtual nanoseconds since the beginning.
        step: Its number in the execution.
        place: Where in the program; None if nothing of the program's called it.
        count: How often this task has done it to this object.
        waiters: How many tasks waited for the object at that moment.
        timed_out: Of a wait: it ended because its time had run out.
    """

    __slots__ = ("count", "now", "place", "step", "task", "timed_out", "waiters")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.now = 0
        self.step = 0
        self.place: Place | None = None
        self.count = 0
        self.waiters = 0
        self.timed_out = False

    def since(self) -> str:
        """When and where, of something that lasts."""
        place = f", taken at {self.place}" if self.place is not None else ""
        return f" since {self.now / 1e9:g} s{place}"

    def __str__(self) -> str:
        place = f", at {self.place}" if self.place is not None else ""
        return f"{self.task.name!r} at {self.now / 1e9:g} s{place}"


class _Record:
    """What is remembered of one object: by operation and task, and by task the step at which it last heard of it."""

    __slots__ = ("facts", "heard", "label")

    def __init__(self, label: str) -> None:
        self.label = label
        self.facts: dict[str, dict[Task, Fact]] = {}
        self.heard: dict[Task, int] = {}


class Memory:
    """The facts of one execution."""

    def __init__(self) -> None:
        self._records: dict[int, _Record] = {}

    def note(self, task: Task, op: str, obj: Any, now: int, step: int, place: Place | None) -> None:
        """Keep that ``task`` does ``op`` to ``obj`` now."""
        record = self._record(obj)
        facts = record.facts.get(op)
        if facts is None:
            facts = record.facts[op] = {}
        fact = facts.get(task)
        if fact is None:
            fact = facts[task] = Fact(task)
        elif op == "wait" and not fact.timed_out:
            record.heard[task] = max(fact.step, record.heard.get(task, 0))
        fact.count += 1
        fact.now = now
        fact.step = step
        fact.place = place
        fact.timed_out = False
        if op in _WAKING:
            fact.waiters = len(obj._waiters)  # noqa: SLF001 - of what has such operations

    def resumed(self, task: Task, op: str, obj: Any, woken: bool, now: int, step: int) -> None:
        """Keep that ``task``, which waited to do ``op``, goes on."""
        record = self._record(obj)
        if op == "wait" and woken:
            record.heard[task] = step
        fact = record.facts.get(op, {}).get(task)
        if fact is not None:
            fact.now, fact.step = now, step
            fact.timed_out = not woken

    def by(self, task: Task, op: str, obj: Any) -> Fact | None:
        """What a task did last to an object."""
        return self._record(obj).facts.get(op, {}).get(task)

    def all(self, op: str, obj: Any) -> list[Fact]:
        """What each task did last to an object, the latest first."""
        return sorted(self._record(obj).facts.get(op, {}).values(), key=lambda fact: -fact.step)

    def last(self, op: str, obj: Any) -> Fact | None:
        """What was done last to an object."""
        facts = self.all(op, obj)
        return facts[0] if facts else None

    def heard(self, task: Task, obj: Any) -> int:
        """The step at which a task last came back from waiting for an object without its time having run out."""
        return self._record(obj).heard.get(task, -1)

    def _record(self, obj: Any) -> _Record:
        record = self._records.get(id(obj))
        label = label_of(obj)
        # An address may be used again, by an object of another number; the object itself is not kept.
        if record is None or record.label != label:
            record = self._records[id(obj)] = _Record(label)
        return record
