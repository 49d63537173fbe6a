"""A random priority for each operation that is pending, drawn anew where an operation races with it.

After "Partial Order Aware Concurrency Sampling" (Yuan, Yang and Gu, CAV 2018). Random walks favour some partial orders
of a program by far, because many of their interleavings are the same one; priorities of operations, rather than of
choices, make long delays likely. Drawing those anew that conflict with what has just been done makes the order of each
race independent of the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from routilux_sim.kernel.trace import DEPENDENT

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["PosStrategy"]


class PosStrategy:
    """Partial order sampling."""

    name = "pos"
    divisible = True
    settles = True

    def __init__(self) -> None:
        self._generator = Random(0)  # noqa: S311 - a seeded generator is the point
        self._random = self._generator.random
        self._priorities: dict[int, float] = {}

    def begin(self, seed: int) -> bool:
        """Forget the priorities."""
        self._generator.seed(seed)
        self._priorities = {}
        return True

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose the operation with the highest priority."""
        priorities = self._priorities
        best = -1.0
        index = place = 0
        chosen = current
        if current is not None:
            best = priorities.get(current.number, -1.0)
            if best < 0:
                best = priorities[current.number] = self._random()
            place = 1
        for task in ready:
            priority = priorities.get(task.number)
            if priority is None:
                priority = priorities[task.number] = self._random()
            if priority > best:
                best, index, chosen = priority, place, task
            place += 1
        assert chosen is not None  # noqa: S101 - there are at least two candidates
        # What it does next is another operation.
        del priorities[chosen.number]
        obj = chosen.obj
        if obj is not None:
            op = chosen.op
            if current is not None and current is not chosen and current.obj is obj and DEPENDENT(op, current.op):
                priorities.pop(current.number, None)
            for task in ready:
                if task.obj is obj and task is not chosen and DEPENDENT(op, task.op):
                    priorities.pop(task.number, None)
        return index

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Choose among all numbers alike."""
        return int(self._random() * bound)
