"""Who may be under way in the workers of an executor: so many at a time, and of a routine with state one.

Knows a lock, items and keys; knows nothing of executors or routines. Nobody waits here with a thread in hand: who must
wait is put aside, stays queued on its job's books (where it may be held or dropped meanwhile), and is returned when its
turn has come; it then passes when it comes by again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux.abc import Lock
    from routilux.engine.activation import Item

__all__ = ["Admission"]


class Admission:
    """Turns of items, first come, first served.

    Args:
        lock: Guards it.
        limit: At most so many are inside at a time.
    """

    def __init__(self, lock: Lock, limit: int) -> None:
        self._lock = lock
        self._limit = limit
        self._inside = 0
        # By key: who waits for the one that has it now. Who has a key is inside, or waits for room with it.
        self._lines: dict[Hashable, deque[Item]] = {}
        self._ready: deque[Item] = deque()
        self._passes: set[tuple[int, int]] = set()

    def passes(self, item: Item) -> bool:
        """Whether the item was given its turn before, and comes by for it now."""
        name = _name(item)
        with self._lock:
            if name not in self._passes:
                return False
            self._passes.remove(name)
            return True

    def admit(self, item: Item, key: Hashable | None) -> bool:
        """Let an item in, or put it aside.

        Args:
            item: It.
            key: Items with the same key go in one at a time; None: with any others.
        """
        with self._lock:
            if key is not None:
                line = self._lines.get(key)
                if line is not None:
                    line.append(item)
                    return False
                self._lines[key] = deque()
            if self._inside < self._limit:
                self._inside += 1
                return True
            self._ready.append(item)
            return False

    def leave(self, key: Hashable | None) -> Item | None:
        """An item that was let in has ended; return one whose turn it is now.

        Whoever gets one lets it come by again, or says with another `leave` that it is no longer wanted.
        """
        with self._lock:
            self._inside -= 1
            if key is not None:
                line = self._lines[key]
                if line:
                    self._ready.append(line.popleft())
                else:
                    del self._lines[key]
            return self._next_locked()

    def resize(self, limit: int) -> list[Item]:
        """Let in at most ``limit`` from now on; return those whose turn that makes it."""
        turns = []
        with self._lock:
            self._limit = limit
            while (item := self._next_locked()) is not None:
                turns.append(item)
        return turns

    def withdraw(self, item: Item) -> None:
        """The item does not come by for its turn."""
        with self._lock:
            self._passes.discard(_name(item))

    def _next_locked(self) -> Item | None:
        if self._inside >= self._limit or not self._ready:
            return None
        self._inside += 1
        item = self._ready.popleft()
        self._passes.add(_name(item))
        return item


def _name(item: Item) -> tuple[int, int]:
    return id(item[2]), item[0]
