"""What has happened in one job, as it happens: written without a lock, summed up when there is a batch or a reader.

Workers append rows; an append to a deque is one atomic step in CPython. Summing up (counts and durations) needs a lock,
and a lock taken by every worker after every activation is a convoy: once one of them loses the interpreter while it
holds it, each acquisition becomes a switch between threads. So rows are summed up in batches, by whoever finds a batch
and the lock free.
"""

from __future__ import annotations

import itertools
from collections import deque
from operator import itemgetter
from typing import Any

from routilux.abc import Lock, Runtime
from routilux.engine.figures import Figures

__all__ = ["Journal", "Row"]

Row = tuple[int, int, str, str, str, Any]
"""Order, time (nanoseconds), kind ("event" or "activation"), routine, event or outcome, and the rest: an event's data,
or ``(slot, attempt, duration in nanoseconds, error in words or None, status for the figures)``."""

BATCH = 256


class Journal:
    """Rows of one job, and what they add up to.

    Args:
        runtime: Where the lock comes from.
        keep: How many rows of history are kept, the latest ones.

    Attributes:
        order: Numbers the rows, of both kinds, in the order in which they are written.
        emits: Numbers the events that routines emit, for `mark_emit`.
        write_event: Appends an event's row; the deque behind it forgets by itself.
        write_end: Appends the row of an activation's end. Call `relieve` once `unsummed` has grown to a `BATCH`.
        unsummed: Rows of ends that have not been added up yet.
    """

    __slots__ = (
        "_ends",
        "_events",
        "_figures",
        "_keep",
        "_lock",
        "_marks",
        "_touched_ns",
        "emits",
        "mark_emit",
        "order",
        "unsummed",
        "write_end",
        "write_event",
    )

    def __init__(self, runtime: Runtime, keep: int) -> None:
        self._keep = keep
        self._lock: Lock = runtime.lock()
        self._events: deque[Row] = deque(maxlen=keep)
        self._ends: deque[Row] = deque(maxlen=keep)
        self._figures: dict[str, Figures] = {}
        self._touched_ns = runtime.monotonic_ns()
        self.order = itertools.count()
        self.emits = itertools.count(1)
        # Numbers noted at the same time may stand in each other's place, so the highest is among the last few.
        self._marks: deque[int] = deque(maxlen=64)
        self.mark_emit = self._marks.append
        self.unsummed: deque[Row] = deque()
        self.write_event = self._events.append
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
        rows = [take() for _ in range(len(self.unsummed))]
        self._ends.extend(rows)
        table = self._figures
        for _, _, _, routine_id, name, (_, _, duration_ns, _, status) in rows:
            if name == "dropped":
                continue
            figures = table.get(routine_id)
            if figures is None:
                figures = table[routine_id] = Figures()
            if duration_ns > figures.max_ns or duration_ns < figures.min_ns or not figures.calls:
                figures.stretch(duration_ns)
            figures.calls += 1
            figures.total_ns += duration_ns
            if status == "completed":
                figures.completed += 1
            elif status == "retry":
                figures.retries += 1
            else:
                figures.end(status)

    def figures(self) -> dict[str, Figures]:
        """Counts and durations by routine id, a snapshot."""
        with self._lock:
            self._sum_up()
            copies: dict[str, Figures] = {}
            for routine_id, figures in self._figures.items():
                copies[routine_id] = copy = Figures()
                copy.add(figures)
            return copies

    def history(self) -> list[Row]:
        """The rows kept, in the order in which they were written."""
        with self._lock:
            self._sum_up()
            # Copies first: writers append all the while, and an iteration would notice.
            rows = [*self._events.copy(), *self._ends]
        rows.sort(key=_ORDER)
        return rows[-self._keep :]

    def events(self) -> int:
        """How many events the job's routines have emitted."""
        return max(self._marks.copy(), default=0)

    def touch(self, at_ns: int) -> None:
        """Note that something happened which has no row of its own."""
        with self._lock:
            self._touched_ns = max(self._touched_ns, at_ns)

    def touched_ns(self) -> int:
        """When something last happened, on the runtime's clock."""
        with self._lock:
            self._sum_up()
            latest = [rows[-1][1] for rows in (self._events.copy(), self._ends) if rows]
            return max(self._touched_ns, *latest) if latest else self._touched_ns


_ORDER = itemgetter(0)
