"""Two bounds: on what a flow has queued, and on how many activations of one slot run at a time.

Know locks, counts and queued items; know nothing of errors, events or threads. Nobody waits here with a worker in
hand: a handler that finds the queue full is told so, and an activation whose turn has not come is put aside.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from routilux.abc import LONGEST_WAIT
from routilux.exceptions import FlowShutdownError, QueueFullError

if TYPE_CHECKING:
    from routilux.abc import Lock, Runtime
    from routilux.engine.activation import Item

__all__ = ["Bound", "Turnstile"]


class Bound:
    """How many activations a flow may have queued, held or waiting to be retried, over all its jobs.

    Args:
        runtime: Where locks come from.
        limit: At most so many.
        name: The flow's id, for messages.
    """

    def __init__(self, runtime: Runtime, limit: int, name: str) -> None:
        self.limit = limit
        self._runtime = runtime
        self._name = name
        self._lock = runtime.lock()
        self._count = 0
        self._waiting: deque[_Place] = deque()
        self._closed = False

    def reserve(self, count: int) -> None:
        """Take room for ``count`` activations, all or nothing.

        Raises:
            QueueFullError: There is not enough.
        """
        faults = self._runtime.faults
        is_full = faults is not None and faults.is_full(self._name)
        with self._lock:
            if is_full or self._count + count > self.limit:
                raise QueueFullError(self._name, self.limit, self._count, count)
            self._count += count

    def wait_for_room(self, count: int) -> None:
        """Take room for ``count`` activations as soon as there is enough; who waits longest comes first.

        Raises:
            QueueFullError: There will never be: more than the limit.
            FlowShutdownError: The flow has been shut down, or is so meanwhile.
        """
        if count > self.limit:
            raise QueueFullError(self._name, self.limit, self._count, count)
        with self._lock:
            if not self._closed and not self._waiting and self._count + count <= self.limit:
                self._count += count
                return
            place = _Place(count, self._runtime.lock())
            if not self._closed:
                self._waiting.append(place)
                place.gate.acquire()
        try:
            place.gate.acquire(timeout=LONGEST_WAIT)
        except BaseException:
            self._give_up(place)
            raise
        if not place.granted:
            raise FlowShutdownError(f"flow {self._name!r} was shut down while its queue was full")

    def _give_up(self, place: _Place) -> None:
        """Interrupted while waiting: give back what may have been granted meanwhile."""
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
        if place.granted:
            self.release(place.count)

    def force(self, count: int) -> None:
        """Take room that there may not be: for what must not be lost, such as a restored activation."""
        with self._lock:
            self._count += count

    def release(self, count: int) -> None:
        """Give room back: activations have started, or will never run."""
        with self._lock:
            self._count -= count
            while self._waiting and self._count + self._waiting[0].count <= self.limit:
                place = self._waiting.popleft()
                self._count += place.count
                place.granted = True
                place.gate.release()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._lock:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().gate.release()


class _Place:
    """A place in the line of those who wait for room."""

    __slots__ = ("count", "gate", "granted")

    def __init__(self, count: int, gate: Lock) -> None:
        self.count = count
        self.gate = gate
        self.granted = False


class Turnstile:
    """Lets at most ``limit`` activations of a slot through at a time, in the order in which they come.

    Who must wait is kept here, off its worker, and stays queued on its job's books: it may be dropped or held there
    meanwhile. A turn is handed on with `hand_on`; the activation that gets it passes when it comes by again.
    """

    def __init__(self, lock: Lock, limit: int) -> None:
        self._lock = lock
        self._limit = limit
        self._inside = 0
        self._waiting: deque[Item] = deque()
        self._passes: set[tuple[int, int]] = set()

    def admit(self, item: Item) -> bool:
        """Let ``item`` through, or put it aside until it is handed a turn."""
        key = (id(item[2]), item[0])
        with self._lock:
            if key in self._passes:
                self._passes.remove(key)
                return True
            if self._inside < self._limit:
                self._inside += 1
                return True
            self._waiting.append(item)
            return False

    def hand_on(self) -> Item | None:
        """Give a turn that has ended to who has waited longest; None when nobody does, and the turn is free."""
        with self._lock:
            if self._waiting:
                item = self._waiting.popleft()
                self._passes.add((id(item[2]), item[0]))
                return item
            self._inside -= 1
            return None

    def withdraw(self, item: Item) -> None:
        """Take back the turn handed to ``item``, which has no use for it; it is the caller's to hand on again."""
        with self._lock:
            self._passes.discard((id(item[2]), item[0]))
