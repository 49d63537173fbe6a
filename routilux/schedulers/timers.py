"""Calls at given times, from one thread that sleeps until the next is due.

Knows a runtime and a heap; knows nothing of jobs. Nothing polls: the thread waits for the earliest deadline, or for
ever when there is none.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from routilux.abc import LONGEST_WAIT, Runtime, Thread

__all__ = ["Timer", "Timers"]

COMPACT_AT = 64


class Timer:
    """A call that is due at ``deadline_ns``; `Timers.cancel` takes it back."""

    __slots__ = ("args", "callback", "deadline_ns", "order")

    def __init__(self, deadline_ns: int, order: int, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.deadline_ns = deadline_ns
        self.order = order
        self.callback: Callable[..., None] | None = callback
        self.args = args

    def __lt__(self, other: Timer) -> bool:
        return (self.deadline_ns, self.order) < (other.deadline_ns, other.order)


class Timers:
    """Runs callbacks at their deadlines, in order of deadline and, within one, of asking.

    The thread starts with the first call and ends with `close`.
    """

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._mutex = runtime.lock()
        self._gate = runtime.lock()
        self._gate.acquire()
        self._heap: list[Timer] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._thread: Thread | None = None
        self._closing = False

    def call_at(self, deadline_ns: int, callback: Callable[..., None], *args: Any) -> Timer:
        """Call ``callback(*args)`` in the timer thread once the runtime's clock reads ``deadline_ns``.

        Raises:
            RuntimeError: The timer thread was needed and could not be started; nothing will be called.
        """
        timer = Timer(deadline_ns, next(self._order), callback, args)
        self.start()
        with self._mutex:
            heapq.heappush(self._heap, timer)
            if self._heap[0] is timer:
                self._nudge()
        return timer

    def start(self) -> None:
        """Start the thread, if it has not been.

        Raises:
            RuntimeError: It could not be started.
        """
        if self._thread is None:
            with self._mutex:
                if self._thread is None:
                    self._thread = self._runtime.start_thread(self._run, self._name)

    def cancel(self, timer: Timer) -> bool:
        """Take a timer back; False when its callback has been called or is about to be."""
        with self._mutex:
            if timer.callback is None:
                return False
            # Dropping the references now, not when the deadline comes: they may keep a whole flow alive.
            timer.callback = None
            timer.args = ()
            self._cancelled += 1
            if self._cancelled > COMPACT_AT and self._cancelled * 2 > len(self._heap):
                self._heap = [item for item in self._heap if item.callback is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0
            return True

    def close(self) -> None:
        """Let the thread end; what is not yet due is never called.

        Takes no lock, so that a finalizer may call it wherever garbage collection happens to run.
        """
        self._closing = True
        self._nudge()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end, at most ``timeout`` seconds; True when it has ended or never began."""
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _nudge(self) -> None:
        # The gate is a binary semaphore: releasing it twice is once.
        with suppress(RuntimeError):
            self._gate.release()

    def _run(self) -> None:
        while True:
            with self._mutex:
                if self._closing:
                    self._heap.clear()
                    return
                due = self._take_due()
                wait = self._until_next()
            # In a function, whose variables do not live on through what may be a long sleep.
            _call_all(due)
            self._gate.acquire(timeout=wait)

    def _take_due(self) -> list[tuple[Callable[..., None], tuple[Any, ...]]]:
        now = self._runtime.monotonic_ns()
        due: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        heap = self._heap
        while heap and (heap[0].callback is None or heap[0].deadline_ns <= now):
            timer = heapq.heappop(heap)
            if timer.callback is None:
                self._cancelled -= 1
            else:
                due.append((timer.callback, timer.args))
                timer.callback = None
        return due

    def _until_next(self) -> float:
        """Seconds until the earliest deadline, as ``Lock.acquire`` takes them; -1 when there is none."""
        if not self._heap:
            return -1
        wait = (self._heap[0].deadline_ns - self._runtime.monotonic_ns()) / 1e9
        return min(max(0.0, wait), LONGEST_WAIT)


def _call_all(due: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    while due:
        callback, args = due.pop(0)
        try:
            callback(*args)
        except Exception:
            # The timers of other jobs must not suffer.
            import logging  # noqa: PLC0415 - only when something is wrong

            logging.getLogger("routilux").exception("timer callback %r failed", callback)
