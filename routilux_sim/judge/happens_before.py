"""What happened before what, by vector clocks (Lamport 1978, Mattern 1989): one a task, one an object released.

Only synchronization orders. That one thing came later than another, on the virtual clock as well, orders nothing: a
task that has slept long enough for another to have written has not been told that it has, and on a real machine may be
early. So neither sleeping, deadlines nor the clock have a row in `EDGES`.

Conditions and barriers have none either. Who is notified takes the lock again, which the notifier has given back: the
lock orders them. ``threading.Barrier`` is made of a condition, ``threading.Timer`` of a thread and an event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.trace import address

if TYPE_CHECKING:
    from routilux_sim.kernel.core import Kernel
    from routilux_sim.kernel.task import Task

__all__ = ["EDGES", "Clock", "Clocks", "join"]

Clock = dict[int, int]
"""For each task by number: how many of its releases have been seen."""

EDGES = {
    "start": "starting a thread of any kind, a timer's and a pool's too -> all that it does",
    "end": "all that a thread does -> join() of it, and is_alive() that says no",
    "lock": "release of a Lock or RLock, also by wait() of a condition -> the next acquire, also after waiting",
    "semaphore": "release -> acquire",
    "event": "set() -> wait() that returns True, and is_set() that does",
    "queue": "put() of an item into a Queue or SimpleQueue -> get() of it",
    "room": "get() from a bounded Queue -> put() into it",
    "task_done": "task_done() -> join() of the queue",
    "shutdown": "shutdown() of a queue -> ShutDown raised by an operation on it",
    "submit": "submit() to a pool -> the call",
    "future": "result, exception or cancellation of a future -> whoever sees that it is done",
    "callback": "add_done_callback() -> the callback",
    "futures": "a future of several that are waited for is done -> wait() or as_completed() that goes on",
    "call": "call_soon_threadsafe() -> what the loop does next",
}
"""What orders the doings of two tasks: from what was done before the left to what is done after the right."""


_DEEDS = {
    "start": "started",
    "end": "ended",
    "lock": "given back",
    "semaphore": "released",
    "event": "set",
    "queue": "put into",
    "room": "taken from",
    "task_done": "done a task of",
    "shutdown": "shut down",
    "submit": "submitted to",
    "future": "completed",
    "callback": "added a callback to",
    "futures": "completed one of",
    "call": "called into",
}
"""What somebody has done who has released something."""


class Clocks:
    """Keeps the vector clocks of an execution; an implementation of `routilux_sim.kernel.edges.Edges`.

    Args:
        kernel: Runs the execution.
        edges: The names of those that count.

    Attributes:
        at_release: Called when a task has released something, if anybody wants to know.
    """

    def __init__(self, kernel: Kernel, edges: frozenset[str] | None = None) -> None:
        self._kernel = kernel
        self.at_release: Callable[[], None] | None = None
        self._edges = frozenset(EDGES) if edges is None else edges
        self._clocks: dict[int, Clock] = {}
        # With the objects, which are to keep their ids.
        self._released: dict[int, tuple[Any, Clock]] = {}
        self._sent: dict[tuple[int, int], tuple[Any, deque[Clock]]] = {}
        self._deeds: dict[int, deque[tuple[int, str, Any]]] = {}

    def clock(self, task: Task) -> Clock:
        """What a task has seen, and its own count of releases."""
        found = self._clocks.get(task.number)
        if found is None:
            found = self._clocks[task.number] = {task.number: 1}
        return found

    def deeds(self, number: int, since: int) -> list[str]:
        """What a task has released since its count was ``since``, in words; the latest few."""
        return [f"{_DEEDS[edge]} {label_of(obj)}" for count, edge, obj in self._deeds.get(number, ()) if count >= since]

    def release(self, edge: str, obj: Any) -> None:
        """See `Edges`."""
        task = self._kernel.current
        if edge in self._edges and task is not None:
            clock = self.clock(task)
            key = address(obj)
            held = self._released.get(key)
            if held is None:
                self._released[key] = obj, clock.copy()
            else:
                join(held[1], clock)
            self._advance(task, clock, edge, obj)

    def acquire(self, edge: str, obj: Any) -> None:
        """See `Edges`."""
        task = self._kernel.current
        if edge in self._edges and task is not None:
            held = self._released.get(address(obj))
            if held is not None:
                join(self.clock(task), held[1])

    def send(self, edge: str, obj: Any, item: Any) -> None:
        """See `Edges`."""
        task = self._kernel.current
        if edge in self._edges and task is not None:
            clock = self.clock(task)
            _, waiting = self._sent.setdefault((address(obj), address(item)), ((obj, item), deque()))
            waiting.append(clock.copy())
            self._advance(task, clock, edge, obj)

    def receive(self, edge: str, obj: Any, item: Any) -> None:
        """See `Edges`."""
        task = self._kernel.current
        if edge in self._edges and task is not None:
            key = address(obj), address(item)
            _, waiting = self._sent.get(key, (None, None))
            if waiting:
                join(self.clock(task), waiting.popleft())
                if not waiting:
                    del self._sent[key]

    def _advance(self, task: Task, clock: Clock, edge: str, obj: Any) -> None:
        if self.at_release is not None:
            self.at_release()
        number = task.number
        count = clock[number]
        clock[number] = count + 1
        deeds = self._deeds.get(number)
        if deeds is None:
            deeds = self._deeds[number] = deque(maxlen=DEEDS)
        deeds.append((count, edge, obj))


DEEDS = 8
"""So many of a task's latest releases are remembered, to be named in a report."""


def join(clock: Clock, other: Clock) -> None:
    """Note in ``clock`` what has been seen in ``other``."""
    for task, count in other.items():
        if count > clock.get(task, 0):
            clock[task] = count
