"""What has happened in one job, as it happens: written without a lock, summed up when there is a batch or a reader.

Workers append rows; an append to a deque is one atomic step in CPython, and the order of the rows is that of the
appends. Summing up (counts and durations) needs a lock, and a lock taken by every worker after every activation is a
convoy: once one of them loses the interpreter while it holds it, each acquisition becomes a switch between threads. So
rows are summed up in batches, by whoever finds a batch and the lock free.

An event's row is the queued item itself: what waits in the queue is paid for once.
"""

from __future__ import annotations

from collections import deque
from operator import length_hint
from typing import Any

from routilux.abc import Lock, Runtime
from routilux.engine.activation import Item
from routilux.engine.figures import Figures

__all__ = ["End", "Journal", "Note", "counted", "counter"]

End = tuple[None, Item, int, int, str, str | None, str]
"""None, the activation, when it ended and how long it took (nanoseconds), its outcome for the history, its error in
words or None, its outcome for the figures."""

Note = tuple[str, int, str, str, dict[str, Any]]
"""Kind ("event", "activation" or "job"), time in nanoseconds, routine, what happened, data: written by hand."""

BATCH = 256

_HIGHEST = 2**62


def counter(first: int = 1) -> Any:
    """Count from ``first``: ``next()`` on it is one step of the interpreter's, and `counted` tells how far it is."""
    return iter(range(first, _HIGHEST))


def counted(numbers: Any) -> int:
    """The number that `counter` gave last; one below the first if it has given none."""
    return _HIGHEST - 1 - length_hint(numbers)


class Journal:
    """Rows of one job, and what they add up to.

    Args:
        runtime: Where the lock comes from.
        keep: How many rows of history are kept, the latest ones.

    Attributes:
        repeats: Counts the activations that come from an event which has given its number to another one.
        write: Appends a row of any kind to the history, which forgets the oldest by itself.
        write_end: Appends the `End` of an activation to what is to be summed up; it goes to the history too. Call
            `relieve` once `unsummed` has grown to a `BATCH`.
        unsummed: Ends that have not been added up yet.
    """

    __slots__ = ("_figures", "_history", "_keep", "_lock", "_touched_ns", "repeats", "unsummed", "write", "write_end")

    def __init__(self, runtime: Runtime, keep: int) -> None:
        self._keep = keep
        self._lock: Lock = runtime.lock()
        self._history: deque[Item | End | Note] = deque(maxlen=keep)
        self._figures: dict[str, Figures] = {}
        self._touched_ns = runtime.monotonic_ns()
        self.repeats = counter()
        self.unsummed: deque[End] = deque()
        self.write = self._history.append
        self.write_end = self.unsummed.append

    def relieve(self) -> None:
        """Add up the rows that have come together, unless somebody is at it: what keeps memory bounded."""
        if self._lock.acquire(blocking=False):
            try:
                self._sum_up()
            finally:
                self._lock.release()

    def _sum_up(self) -> None:
        take = self.unsummed.popleft
        spent: dict[str, list[int]] = {}
        for _ in range(len(self.unsummed)):
            end = take()
            name = end[4]
            if name == "dropped":
                continue
            routine_id = end[1][3].routine_id
            if routine_id in spent:
                spent[routine_id].append(end[3])
            else:
                spent[routine_id] = [end[3]]
            if name != "completed":
                self._sum_up_outcome(routine_id, end[6])
        for routine_id, durations in spent.items():
            self._figures_of(routine_id).spend(durations)

    def _sum_up_outcome(self, routine_id: str, status: str) -> None:
        """Count an end that is not plain ``completed``, which is what those are that nothing is said of."""
        figures = self._figures_of(routine_id)
        figures.completed -= 1
        if status == "retry":
            figures.retries += 1
        elif status != "cancelled":
            figures.end(status)

    def _figures_of(self, routine_id: str) -> Figures:
        figures = self._figures.get(routine_id)
        if figures is None:
            figures = self._figures[routine_id] = Figures()
        return figures

    def figures(self) -> dict[str, Figures]:
        """Counts and durations by routine id, a snapshot."""
        with self._lock:
            self._sum_up()
            copies: dict[str, Figures] = {}
            for routine_id, figures in self._figures.items():
                copies[routine_id] = copy = Figures()
                copy.add(figures)
            return copies

    def take_over(self, figures: dict[str, Figures]) -> None:
        """Go on from what was counted elsewhere."""
        with self._lock:
            for routine_id, counts in figures.items():
                self._figures.setdefault(routine_id, Figures()).add(counts)

    def history(self) -> list[Item | End | Note]:
        """The rows kept, in the order in which they were written."""
        # A copy at one go: writers append all the while, and an iteration would notice.
        return list(self._history.copy())

    def touch(self, at_ns: int) -> None:
        """Note that something happened which has no row of its own."""
        with self._lock:
            self._touched_ns = max(self._touched_ns, at_ns)

    def touched_ns(self) -> int:
        """When something last happened, on the runtime's clock."""
        rows = self._history.copy()
        latest = _time_of(rows[-1]) if rows else self._touched_ns
        return max(self._touched_ns, latest)


def _time_of(row: Item | End | Note) -> int:
    return row[2] if row[0] is None else row[1]
