"""What a watched execution remembers of the operations in it: for each object the last of each kind by each task.

Enough to say afterwards who holds something since where, and which wake-up came too early. It grows with the objects
and tasks of a program, not with its steps, and keeps none of the program's objects alive.
"""

from __future__ import annotations

from typing import Any

from routilux_sim.judge.stacks import Place
from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.task import Task

__all__ = ["Fact", "Memory"]

_Key = tuple[int, str]


class Fact:
    """An operation that took effect.

    Attributes:
        task: Who did it.
        now: Virtual nanoseconds since the beginning.
        step: Its number in the execution.
        place: Where in the program.
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


class Memory:
    """The facts of one execution."""

    def __init__(self) -> None:
        self._facts: dict[tuple[_Key, str], dict[Task, Fact]] = {}
        self._heard: dict[tuple[_Key, Task], int] = {}

    def note(self, task: Task, op: str, obj: Any, now: int, step: int, place: Place | None) -> None:
        """Keep that ``task`` does ``op`` to ``obj`` now."""
        key = _key(obj)
        facts = self._facts.setdefault((key, op), {})
        fact = facts.get(task)
        if fact is None:
            fact = facts[task] = Fact(task)
        elif op == "wait" and not fact.timed_out:
            self._heard[key, task] = max(fact.step, self._heard.get((key, task), 0))
        fact.count += 1
        fact.now, fact.step, fact.place = now, step, place
        fact.waiters = len(getattr(obj, "_waiters", ()))
        fact.timed_out = False

    def resumed(self, task: Task, op: str, obj: Any, woken: bool, now: int, step: int) -> None:
        """Keep that ``task``, which waited to do ``op``, goes on."""
        key = _key(obj)
        if op == "wait" and woken:
            self._heard[key, task] = step
        fact = self._facts.get((key, op), {}).get(task)
        if fact is not None:
            fact.now, fact.step = now, step
            fact.timed_out = not woken

    def by(self, task: Task, op: str, obj: Any) -> Fact | None:
        """What a task did last to an object."""
        return self._facts.get((_key(obj), op), {}).get(task)

    def all(self, op: str, obj: Any) -> list[Fact]:
        """What each task did last to an object, the latest first."""
        return sorted(self._facts.get((_key(obj), op), {}).values(), key=lambda fact: -fact.step)

    def last(self, op: str, obj: Any) -> Fact | None:
        """What was done last to an object."""
        facts = self.all(op, obj)
        return facts[0] if facts else None

    def heard(self, task: Task, obj: Any) -> int:
        """The step at which a task last came back from waiting for an object without its time having run out."""
        return self._heard.get((_key(obj), task), -1)


def _key(obj: Any) -> _Key:
    # An address alone may be used again; the object itself is not kept.
    return (id(obj), label_of(obj))
