"""Deadlines: which task waits for what instant of the virtual clock."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from routilux_sim.kernel.task import BLOCKED

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["Deadlines"]

STALE = 1_000
"""So many that are not to come any more may stay, and be dropped when the clock gets there."""


class Deadlines:
    """Those that are to come, in a heap; of one instant, in the order in which they were set."""

    __slots__ = ("_entries", "_order", "_stale")

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Task, int]] = []
        self._order = itertools.count()
        self._stale = 0

    def add(self, at: int, task: Task) -> None:
        """Have a task that is being suspended go on at an instant, in virtual nanoseconds, if not woken before."""
        heapq.heappush(self._entries, (at, next(self._order), task, task.wait))

    def forget(self, task: Task) -> None:
        """Note that a task's deadline is not to come any more; when most of those kept are such, drop them."""
        task.wait += 1
        self._stale += 1
        if self._stale > STALE and self._stale * 2 > len(self._entries):
            self._entries = [entry for entry in self._entries if entry[2].wait == entry[3]]
            heapq.heapify(self._entries)
            self._stale = 0

    def __len__(self) -> int:
        return len(self._entries)

    def first(self) -> int | None:
        """The next instant that some task waits for."""
        entries = self._entries
        while entries:
            at, _, task, wait = entries[0]
            if task.wait == wait and task.state is BLOCKED:
                return at
            heapq.heappop(entries)
        return None

    def due(self, now: int) -> list[Task]:
        """Take out the tasks that wait for an instant up to ``now``, in order."""
        entries = self._entries
        found = []
        while entries and entries[0][0] <= now:
            _, _, task, wait = heapq.heappop(entries)
            if task.wait == wait and task.state is BLOCKED:
                found.append(task)
        return found

    def in_order(self) -> list[tuple[Task, int]]:
        """Who waits for what instant, the next one first."""
        return [
            (task, at)
            for at, _, task, wait in sorted(self._entries, key=lambda entry: entry[:2])
            if task.wait == wait and task.state is BLOCKED
        ]
