"""What has happened in one job, as it happens: written without a lock, summed up when there is a batch or a reader.

Workers append rows; an append to a deque is one atomic step in CPython. Summing up (counts, durations, the bounded
history) needs a lock, and a lock taken by every worker after every activation is a convoy: once one of them loses the
interpreter while holding it, each acquisition becomes a switch between threads. So rows are summed up in batches, by
whoever finds a batch and the lock free.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from routilux.abc import Lock, Runtime
from routilux.engine.figures import Figures

__all__ = ["Journal", "Row"]

Row = tuple[int, str, str, str, Any]
"""When (nanoseconds), kind ("event" or "activation"), routine, event or outcome, and the rest: an event's data, or
``(slot, attempt, duration in nanoseconds, error in words or None)``."""

BATCH = 256


class Journal:
    """Rows of one job, and what they add up to.

    Args:
        runtime: Where the lock comes from.
        keep: How many rows of history are kept, the latest ones.
    """

    __slots__ = ("_events", "_figures", "_kept", "_lock", "_rows", "_touched_ns", "write")

    def __init__(self, runtime: Runtime, keep: int) -> None:
        self._lock: Lock = runtime.lock()
        self._rows: deque[Row] = deque()
        self._kept: deque[Row] = deque(maxlen=keep)
        self._figures: dict[str, Figures] = {}
        self._events = 0
        self._touched_ns = runtime.monotonic_ns()
        self.write = self._rows.append
        """Adds a row. Call `relieve` now and then."""

    def relieve(self) -> None:
        """Sum up if a batch has come together and nobody else is at it: what keeps memory bounded."""
        if len(self._rows) >= BATCH and self._lock.acquire(blocking=False):
            try:
                self._sum_up()
            finally:
                self._lock.release()

    def _sum_up(self) -> None:
        rows = self._rows
        for _ in range(len(rows)):
            row = rows.popleft()
            self._kept.append(row)
            at_ns, kind, routine_id, name, rest = row
            self._touched_ns = max(self._touched_ns, at_ns)
            if kind == "event":
                self._events += 1
            elif kind == "activation" and name != "dropped":
                figures = self._figures.get(routine_id)
                if figures is None:
                    figures = self._figures[routine_id] = Figures()
                figures.spend(rest[2])
                if name == "completed":
                    figures.completed += 1
                elif name == "retry":
                    figures.retries += 1
                else:
                    figures.end(rest[4] if name == "late" else name)

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
        """The rows kept, oldest first."""
        with self._lock:
            self._sum_up()
            return list(self._kept)

    def events(self) -> int:
        """How many events were emitted."""
        with self._lock:
            self._sum_up()
            return self._events

    def touch(self, at_ns: int) -> None:
        """Note that something happened which has no row of its own."""
        with self._lock:
            self._sum_up()
            self._touched_ns = max(self._touched_ns, at_ns)

    def touched_ns(self) -> int:
        """When the latest row was written, on the runtime's clock."""
        with self._lock:
            self._sum_up()
            return self._touched_ns
