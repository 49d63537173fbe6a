"""What waits to be sent, and how much of it may be under way: so many at a time, and of a routine with state one.

Knows a queue, room and lines of items; knows nothing of executors, routines or outcomes, which it is told of by three
functions. Nobody waits here with a thread in hand. While there is no room, queueing is an append and no more: whoever
enters an outcome takes the next item along. Only when there is room, and nobody about to look, is a thread sent for.

No item is left: who queues one appends, then reads ``hungry``; who has looked at an empty queue sets ``hungry``, then
looks once more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from routilux.abc import Workers

if TYPE_CHECKING:
    from routilux.abc import Runtime
    from routilux.engine.activation import Item

__all__ = ["Lane", "Load"]


Load = list[Any]
"""What one thread has to send, from several items; made and emptied by others."""


class Lane(Workers):
    """The queue of one engine before an executor.

    Args:
        runtime: Where the lock comes from.
        admit: Says whether an item is to be sent now; if not, it has been given to somebody else, or put aside and will
            be queued again.
        send: Puts one in the load that the calling thread is putting together; False when that was all there was to it,
            and it is under way no longer.
        key: Items with the same one are under way one at a time, in their order; None: with any others.
        summon: Has some thread call `pump` soon.

    Attributes:
        limit: How many may be under way at a time.
    """

    def __init__(
        self,
        runtime: Runtime,
        admit: Callable[[Item], bool],
        send: Callable[[Item, Load], bool],
        key: Callable[[Item], Hashable | None],
        summon: Callable[[], object],
    ) -> None:
        self._mutex = runtime.lock()
        self._point = runtime.point
        self._admit = admit
        self._send = send
        self._key = key
        self._call = summon
        self._queue: deque[Item] = deque()
        self.put: Callable[[Item], object] = self._queue.append
        self.limit = 1
        self._inside = 0
        # Whose turn came when there was no room any more, as the limit had gone down: they come first.
        self._next: deque[Item] = deque()
        # By key: who waits for the one that is under way.
        self._lines: dict[Hashable, deque[Item]] = {}
        # How many threads are about to look at the queue.
        self._coming = 0
        self.hungry = True

    def _look_locked(self) -> None:
        self.hungry = not self._coming and self._inside < self.limit

    def submit(self, activations: Sequence[Item]) -> None:
        """Queue ``activations`` in their order."""
        self._queue.extend(activations)
        if self._point is not None:
            self._point("wake")
        if self.hungry:
            self.summon()

    def summon(self) -> None:
        """Have somebody look at the queue, unless somebody is about to."""
        with self._mutex:
            if not self.hungry:
                return
            self._coming += 1
            self._look_locked()
        try:
            self._call()
        except BaseException:
            with self._mutex:
                self._coming -= 1
                self._look_locked()
            raise

    def come(self) -> None:
        """Say that the calling thread will `pump` in a moment, so that nobody else is sent for."""
        with self._mutex:
            self._coming += 1
            self._look_locked()

    def pump(self, load: Load) -> None:
        """Load what there is room for; called once for each `come`, and for each call of ``summon``."""
        with self._mutex:
            # Somebody may come who was given up, as there was no thread for him.
            self._coming = max(0, self._coming - 1)
            self._look_locked()
        while self._take_room():
            self._fill(None, load)

    def leave(self, item: Item, load: Load) -> None:
        """An item that was sent is under way no longer: the next one is loaded in its place."""
        self._fill(self._following(item), load)

    def _take_room(self) -> bool:
        # Looked at without the mutex, which is right: who queues something after this finds `hungry` set.
        if not (self._queue or self._next):
            return False
        with self._mutex:
            if self._inside >= self.limit:
                return False
            self._inside += 1
            self._look_locked()
            return True

    def _fill(self, item: Item | None, load: Load) -> None:
        """Use the room that the caller has: for ``item``, or for what comes next; or give it back."""
        while True:
            if self._inside > self.limit and self._give_back(item):
                return
            if item is None:
                item = self._pull()
                if item is None:
                    return
            if self._send(item, load):
                return
            item = self._following(item)

    def _give_back(self, item: Item | None) -> bool:
        """Give back room that there is no more since the limit went down; False if there is."""
        with self._mutex:
            if self._inside <= self.limit:
                return False
            self._inside -= 1
            if item is not None:
                self._next.append(item)
            self._look_locked()
            return True

    def _pull(self) -> Item | None:
        """The next item whose turn it is; None, and the room given back, when there is none."""
        while True:
            if self._next:
                try:
                    return self._next.popleft()
                except IndexError:  # another thread has taken it
                    continue
            try:
                item = self._queue.popleft()
            except IndexError:
                pass
            else:
                if self._admit(item) and self._in_line(item):
                    return item
                continue
            with self._mutex:
                self._inside -= 1
                self._look_locked()
            if self._point is not None:
                self._point("park")
            # Queued by somebody who still saw it all taken.
            if not self._take_room():
                return None

    def _in_line(self, item: Item) -> bool:
        """Whether it is the item's turn; if not, it stands in line."""
        key = self._key(item)
        if key is None:
            return True
        with self._mutex:
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = deque()
                return True
            line.append(item)
            return False

    def _following(self, item: Item) -> Item | None:
        key = self._key(item)
        if key is None:
            return None
        with self._mutex:
            line = self._lines[key]
            if line:
                return line.popleft()
            del self._lines[key]
            return None

    def resize(self, max_workers: int) -> None:
        """Have at most ``max_workers`` under way from now on; what is goes on."""
        with self._mutex:
            self.limit = max_workers
            self._look_locked()
        if (self._queue or self._next) and self.hungry:
            self.summon()

    def close(self) -> None:
        """Nothing is to be closed: the threads are others'."""

    def join(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the interface's
        """There is no thread to wait for."""
        return True
