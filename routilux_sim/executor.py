"""An executor that is a cluster in virtual time: calls travel, workers die, results come late, out of order or twice.

What runs on it is code for a process pool, Dask or Ray (`routilux.schedulers.futures`, or anybody's own): functions and
arguments are pickled on the way there, results on the way back. Each misfortune is a draw on the choice tape, of which
0 is that all goes well, so it replays and shrinks with the schedule. Knows the kernel's draws and CPython's threads and
futures, which are simulated; knows nothing of routilux.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, TypeVar

from routilux_sim.faults.distributions import Distribution
from routilux_sim.kernel.active import here

__all__ = ["SimulatedExecutor", "WorkerDiedError"]

T = TypeVar("T")

FINE, LOST_BEFORE, LOST_AFTER, TWICE = range(4)
"""What becomes of a call. Greater draws are fine, too."""


class WorkerDiedError(BrokenExecutor):
    """A simulated worker has died: before it ran the call, or after, before anybody could hear of it."""


class SimulatedExecutor(Executor):
    """Runs calls in simulated workers, each in a process of its own as far as the call can tell.

    Module-level state is shared with the workers, which a real process would not do; arguments and results are not.

    Args:
        max_workers: How many calls run at a time.
        latency: Seconds that a call and its result travel, each way: a number, or a distribution as in a fault plan
            (`routilux_sim.Latencies`). Results overtake each other when it varies.
        trouble: How likely it is that something happens to a call: its worker dies before or after it has run, or it is
            run twice and both results arrive; 0: never.
        breaks: A death breaks the executor, as it does ``ProcessPoolExecutor``: all calls under way are lost, and
            `submit` refuses more.

    Raises:
        ValueError: A figure is out of range.
    """

    def __init__(
        self,
        max_workers: int = 2,
        *,
        latency: float | Mapping[str, Any] = 0.0,
        trouble: float = 0.0,
        breaks: bool = False,
    ) -> None:
        if type(max_workers) is not int or max_workers < 1:
            raise ValueError(f"max_workers must be a whole number from 1 up, not {max_workers!r}")
        if not 0 <= trouble <= 1:
            raise ValueError(f"trouble must be a probability from 0 to 1, not {trouble!r}")
        self._latency = Distribution.from_dict(latency, "latency")
        self._bound = 1 if not trouble else max(TWICE + 1, round(TWICE / trouble))
        self._breaks = breaks
        self._workers = threading.Semaphore(max_workers)
        self._lock = threading.Lock()
        self._count = 0
        self._under_way: dict[int, tuple[_Future[Any], threading.Thread]] = {}
        self._broken: WorkerDiedError | None = None
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Let ``fn(*args, **kwargs)`` run in a worker.

        Raises:
            RuntimeError: It was shut down, or this is no simulation.
            BrokenExecutor: A worker has died before, and that breaks this executor.
            Exception: What pickling the call raises.
        """
        if here() is None:
            raise RuntimeError("a SimulatedExecutor works in a simulation only; call routilux_sim.simulate() with it")
        parcel = pickle.dumps((fn, args, kwargs))
        future: _Future[T] = _Future()
        with self._lock:
            if self._broken is not None:
                raise WorkerDiedError(str(self._broken))
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._count += 1
            number = self._count
            thread = threading.Thread(
                target=self._carry, args=(number, parcel, future), name=f"executor-{number}", daemon=True
            )
            self._under_way[number] = (future, thread)
        thread.start()
        return future

    def _carry(self, number: int, parcel: bytes, future: _Future[Any]) -> None:
        """The way of one call, there and back."""
        try:
            self._travel(number)
            with self._workers:
                if not future.begin():
                    return
                fate = self._draw(f"executor: what becomes of call {number}", self._bound)
                result = None if fate == LOST_BEFORE else _run(parcel)
            self._travel(number)
            if fate in {LOST_BEFORE, LOST_AFTER}:
                self._die(number, future)
            else:
                self._arrive(future, result)
                if fate == TWICE:
                    _run(parcel)
                    self._travel(number)
                    future.arrive_again()
        finally:
            with self._lock:
                self._under_way.pop(number, None)

    def _travel(self, number: int) -> None:
        seconds = self._latency.at(self._draw(f"executor: how long call {number} travels", self._latency.levels))
        if seconds:
            time.sleep(seconds)

    @staticmethod
    def _draw(label: str, bound: int) -> int:
        kernel = here()
        return 0 if kernel is None else kernel.draw(label, bound)

    def _die(self, number: int, future: _Future[Any]) -> None:
        error = WorkerDiedError(f"the worker that ran call {number} has died")
        lost = [future]
        if self._breaks:
            with self._lock:
                self._broken = error
                lost = [each for each, _ in self._under_way.values()]
        for each in lost:
            each.settle(error=error)

    @staticmethod
    def _arrive(future: _Future[Any], result: bytes | None) -> None:
        assert result is not None  # noqa: S101 - it was run
        try:
            done, value = pickle.loads(result)  # noqa: S301 - made by `_run`
        except Exception as error:  # noqa: BLE001 - an object's own way of being unpickled may raise anything
            done, value = False, error
        if done:
            future.settle(value)
        else:
            future.settle(error=value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those under way."""
        with self._lock:
            self._closed = True
            under_way = list(self._under_way.values())
        if cancel_futures:
            for future, _ in under_way:
                future.cancel()
        if wait:
            for _, thread in under_way:
                thread.join()


class _Future(Future[T]):
    """A future that may be settled more than once, which counts once; its callbacks hear of it each time."""

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[Callable[[Future[T]], object]] = []
        self._settling = threading.Lock()
        self._begun = False

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """As usual, and keep it."""
        self._listeners.append(fn)
        super().add_done_callback(fn)

    def begin(self) -> bool:
        """Run from now on; False when it was cancelled, or lost while it was on its way."""
        with self._settling:
            if self._begun:
                return False
            self._begun = True
            return self.set_running_or_notify_cancel()

    def settle(self, value: Any = None, *, error: BaseException | None = None) -> None:
        """Have an outcome, unless there is one."""
        with self._settling:
            # What was not begun when its executor broke is lost as well.
            begun, self._begun = self._begun, True
            if self.done() or not (begun or self.set_running_or_notify_cancel()):
                return
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(value)

    def arrive_again(self) -> None:
        """Let the callbacks hear of it once more."""
        for listener in list(self._listeners):
            listener(self)


def _run(parcel: bytes) -> bytes:
    """What a worker does: unpack, call, and pack what comes of it."""
    function, args, kwargs = pickle.loads(parcel)  # noqa: S301 - made by `submit`
    try:
        outcome = True, function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it is the caller's
        outcome = False, error
    try:
        return pickle.dumps(outcome)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller is to hear of it
        return pickle.dumps((False, pickle.PicklingError(f"what the call has made cannot be pickled: {error}")))
