"""The thread pool: a FIFO queue and workers that park, of which an arrival wakes at most one.

Knows items and threads; knows nothing of jobs, errors or time. The queue is a deque, whose appends and pops are atomic;
a mutex is taken only to park, to wake or to start a worker, never while everybody is busy (measured: with the mutex
around each append and pop, four workers on CPython 3.11 spend three quarters of their time handing it to each other).
Each worker parks on a raw lock of its own. At most one wake-up is on its way at any time, and a worker that takes an
item while more remain wakes the next: nobody is woken in vain, and FIFO order is kept. Whether anybody could be woken
or started is kept in one flag, ``hungry``, which is all that is looked at while everybody is busy.

No wake-up is lost, because both sides write before they read: `submit` appends, then looks for somebody to wake; a
worker lists itself as parked, then looks at the queue once more. A woken worker is "on its way" until it has said so,
and it looks at the queue after that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from routilux import runtime as runtimes
from routilux.abc import Lock, Runtime, Scheduler, Thread, Workers
from routilux.engine.activation import Item

__all__ = ["ThreadPool", "ThreadPoolScheduler"]


class ThreadPool(Workers):
    """Workers over one FIFO queue.

    Args:
        runtime: What threads and locks are made of.
        run: Called with each item; it does not raise.
        name: Workers are called ``name-1``, ``name-2`` …
        max_workers: The most that run at a time. Threads are started as work asks for them, and stay.
        threads: False when the only worker is a caller inside `work`.
        leave: Called by a worker before it parks or ends, to let go of whatever it still has of the last item.
    """

    def __init__(
        self,
        runtime: Runtime,
        run: Callable[[Item], None],
        name: str,
        max_workers: int,
        *,
        threads: bool = True,
        leave: Callable[[], object] | None = None,
    ) -> None:
        self._runtime = runtime
        self._leave_item = leave
        self._run = run
        self._name = name
        self._max_workers = max_workers
        self._may_start = threads
        self._point = runtime.point
        self._mutex = runtime.lock()
        self._queue: deque[Item] = deque()
        # The very method: what queues an activation pays for no call of ours.
        self.put: Callable[[Item], object] = self._queue.append
        self._parked: list[Lock] = []
        # True from the moment a worker is woken or started until it holds the mutex.
        self._waking = False
        self._workers = 0 if threads else 1
        # How many workers are to end because the limit went down.
        self._surplus = 0
        self._started = 0
        self._threads: list[Thread] = []
        self._closing = False
        self.hungry = False
        self._look_locked()

    def _look_locked(self) -> None:
        """See again whether there is anybody to be sent for; whatever that hangs on has changed."""
        room = self._may_start and self._workers < self._max_workers
        self.hungry = not self._waking and (room or bool(self._parked))

    def submit(self, activations: Sequence[Item]) -> None:
        """Queue ``activations`` and see that somebody comes for them."""
        self._queue.extend(activations)
        if self._point is not None:
            self._point("wake")
        if self.hungry:
            self.summon()

    def summon(self) -> None:
        """Wake a parked worker, or start one if there is room, unless one is on its way."""
        gate = None
        with self._mutex:
            if self._waking or not self._queue:
                return
            if self._parked:
                # close() takes no mutex: it may have woken them all since.
                with suppress(IndexError):
                    gate = self._parked.pop()
                    self._waking = True
            elif self._may_start and self._workers < self._max_workers:
                self._start_worker()
            self._look_locked()
        if gate is not None:
            gate.release()

    def _start_worker(self) -> None:
        self._started += 1
        self._workers += 1
        self._waking = True
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        try:
            thread = self._runtime.start_thread(self.work, f"{self._name}-{self._started}")
        except BaseException as error:
            self._workers -= 1
            self._waking = False
            # No more threads to be had: fewer workers do as well, none do not.
            if not self._workers or not isinstance(error, RuntimeError):
                raise
        else:
            self._threads.append(thread)

    def work(self) -> None:
        """Be a worker until the pool is closed and its queue empty, or there are too many workers."""
        queue, run, point = self._queue, self._run, self._point
        take = queue.popleft
        gate = self._runtime.lock()
        gate.acquire()
        self._arrive()
        while not self._surplus or not self._leave():
            if point is not None:
                point("take")
            try:
                item = take()
            except IndexError:
                if self._leave_item is not None:
                    self._leave_item()
                if not self._park(gate):
                    return
                continue
            if self.hungry and queue:
                self.summon()
            try:
                run(item)
            except BaseException:
                # Ctrl-C, or a fault of the engine's own: this worker ends, and another takes its place.
                self._quit()
                raise
            # What has been run must not live on in the frame of a worker that parks.
            del item

    def _arrive(self) -> None:
        with self._mutex:
            self._waking = False
            self._look_locked()

    def _leave(self) -> bool:
        """End this worker if there are too many; somebody else comes for what is queued."""
        with self._mutex:
            if not self._surplus:
                return False
            self._surplus -= 1
        self._quit()
        return True

    def _quit(self) -> None:
        """Take a worker off the count; whoever submitted while it still counted relies on its looking once more."""
        with self._mutex:
            self._workers -= 1
            self._look_locked()
        self.summon()

    def _park(self, gate: Lock) -> bool:
        """Wait to be woken; False when the pool is closed and there is nothing left to do."""
        with self._mutex:
            self._parked.append(gate)
            self._look_locked()
        if self._point is not None:
            self._point("park")
        # Whoever appended or closed before it could see this worker listed relies on its looking once more.
        if (self._queue or self._closing) and self._unlist(gate):
            if self._queue or not self._closing:
                return True
            self._quit()
            return False
        gate.acquire()
        self._arrive()
        return True

    def _unlist(self, gate: Lock) -> bool:
        """Take oneself off the parked list; False if somebody has done so and is about to release the gate."""
        with self._mutex, suppress(ValueError):
            self._parked.remove(gate)
            self._look_locked()
            return True
        return False

    def resize(self, max_workers: int) -> None:
        """Allow ``max_workers`` from now on: surplus workers end after what they run, missing ones start as needed."""
        with self._mutex:
            self._max_workers = max_workers
            self._surplus = max(0, self._workers - max_workers)
            idle: list[Lock] = []
            with suppress(IndexError):
                while len(idle) < self._surplus:
                    idle.append(self._parked.pop())
            self._look_locked()
        for gate in idle:
            gate.release()
        self.summon()

    def close(self) -> None:
        """Let each worker end as soon as the queue is empty.

        Takes no lock, so that a finalizer may call it wherever garbage collection happens to run: a worker that it
        misses sees ``_closing`` before it parks.
        """
        self._closing = True
        while self._parked:
            with suppress(IndexError):
                self._parked.pop().release()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the workers' end, at most ``timeout`` seconds in all."""
        deadline = None if timeout is None else self._runtime.monotonic_ns() + round(timeout * 1e9)
        # A worker may start another one while it is being waited for, so look again until all have ended.
        while (thread := self._any_alive()) is not None:
            thread.join(None if deadline is None else max(0, deadline - self._runtime.monotonic_ns()) / 1e9)
            if thread.is_alive():
                return False
        return True

    def _any_alive(self) -> Thread | None:
        with self._mutex:
            return next((thread for thread in self._threads if thread.is_alive()), None)


class ThreadPoolScheduler(Scheduler):
    """Runs activations on a pool of threads a flow.

    Args:
        runtime: What the threads are made of; by default that of the world in which the flow first executes.
    """

    def __init__(self, runtime: Runtime | None = None) -> None:
        self._runtime = runtime

    @property
    def runtime(self) -> Runtime:
        """The runtime given, or the calling thread's."""
        return self._runtime or runtimes.current()

    def open(
        self,
        run: Callable[[Item], None],
        *,
        name: str,
        max_workers: int,
        leave: Callable[[], object] | None = None,
    ) -> ThreadPool:
        """Make a pool; it starts no thread before there is work."""
        return ThreadPool(self.runtime, run, name, max_workers, leave=leave)
