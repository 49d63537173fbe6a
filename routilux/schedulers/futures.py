"""Activations on an executor: a process pool, Dask, Ray, or whatever else has ``submit(fn, *args) -> Future``.

Knows executors and how to make one anew; knows nothing of activations (`routilux.remote` does). The flow stays in this
process, which is called the driver: jobs, the state of routines, order, errors, retries, timers, the store and the log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import WeakSet

from routilux import runtime as runtimes
from routilux.abc import FutureLike, Runtime, Sender
from routilux.checks import check_seconds
from routilux.schedulers.thread_pool import ThreadPoolScheduler

__all__ = ["ExecutorLike", "FuturesScheduler"]

MAKINGS = 3
"""How many executors are made, one after the other, to send one load."""


class ExecutorLike(Protocol):
    """What activations can be sent to."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> FutureLike:
        """Let ``function(*args)`` run in a worker."""


class FuturesScheduler(ThreadPoolScheduler):
    """Runs activations on an executor, in other processes or on other machines.

    At most ``max_workers`` (the flow's) are under way at a time: give the flow some more than the executor has
    workers, so that none of these waits for the next activation to travel. Sequential jobs, routines that say
    ``runs_in_driver`` and slots without a handler run in the driver, as they do on threads.

    Args:
        executor: An executor, or a function that makes one. One that was made by a function is made again when it
            breaks, as a process pool does when a worker dies, and is shut down with the scheduler. One that was given
            is its owner's: what is sent to it once it is broken fails.
        journey: About what sending a call costs, in seconds. Handlers of which the latest took less travel several at
            a time, up to a quarter of what may be under way; 0: each travels alone.
        by_value: Send the code of what workers cannot import (classes of ``__main__``, lambdas), with cloudpickle,
            which Dask and Ray bring along.
        runtime: What the driver's threads are made of; by default that of the world in which a flow first executes.

    Raises:
        TypeError: ``executor`` is neither.
        ValueError: ``journey`` is no number of seconds from 0 up.
        ImportError: ``by_value`` without cloudpickle.
    """

    def __init__(
        self,
        executor: ExecutorLike | Callable[[], ExecutorLike],
        *,
        journey: float = 0.0001,
        by_value: bool = False,
        runtime: Runtime | None = None,
    ) -> None:
        if not (hasattr(executor, "submit") or callable(executor)):
            raise TypeError(f"executor must have submit(), or be a function that makes one that has, not {executor!r}")
        super().__init__(runtime)
        check_seconds("journey", journey, zero=True)
        self.sender: _ExecutorSender = _ExecutorSender(executor, by_value, journey)

    @classmethod
    def processes(cls, workers: int | None = None, **options: Any) -> Self:
        """Run activations on a process pool of the scheduler's own, which is made again when a worker dies.

        Args:
            workers: How many processes; by default one for each processor.
            options: For ``concurrent.futures.ProcessPoolExecutor``. Processes come from a fork server unless
                ``mp_context`` says otherwise (where there is none, they are spawned): to fork a process that has
                threads is not safe.
        """
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - only for who asks for it

        options.setdefault("mp_context", runtimes.process_context())
        return cls(partial(ProcessPoolExecutor, workers, **options))

    @classmethod
    def dask(cls, client: Any, **options: Any) -> Self:
        """Run activations on a Dask cluster.

        Args:
            client: A ``distributed.Client``.
            options: For ``client.get_executor``: ``workers``, ``resources`` …
        """
        # A task is an activation, and not what its arguments are; and what is tried again is for the flow to say.
        return cls(client.get_executor(**{"pure": False, "retries": 0, **options}), by_value=True, journey=0.002)

    @classmethod
    def ray(cls, **options: Any) -> Self:
        """Run activations on a Ray cluster: the one that ``ray.init`` has joined, or a new one on this machine.

        Args:
            options: For `routilux.schedulers.ray.RayExecutor`: ``address``, ``cpus`` …

        Raises:
            ImportError: Ray is not installed.
        """
        from routilux.schedulers.ray import RayExecutor  # noqa: PLC0415 - an extra

        return cls(RayExecutor(**options), by_value=True, journey=0.001)

    def shutdown(self, wait: bool = True) -> None:
        """Shut down the executor, if a function has made it; shut down the flows before that."""
        self.sender.close(wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()


def _need_cloudpickle() -> None:
    try:
        import_module("cloudpickle")
    except ImportError as error:
        raise ImportError("by_value=True sends code along with cloudpickle; pip install cloudpickle") from error


class _ExecutorSender(Sender):
    """Submits to an executor, and has a broken one made again."""

    def __init__(self, executor: Any, by_value: bool, journey: float) -> None:
        if by_value:
            _need_cloudpickle()
        self.by_value = by_value
        self.journey = journey
        self.direct = False
        given = hasattr(executor, "submit")
        self._make: Callable[[], Any] | None = None if given else executor
        self._executor: Any = executor if given else None
        self._lock = runtimes.current().lock()
        self._closed = False
        self._left_behind: Any = None
        _senders.add(self)
        if given:
            self._look_at(executor)

    def submit(self, function: Callable[..., Any], /, *args: Any) -> FutureLike:
        """Let ``function(*args)`` run in a worker.

        Raises:
            BrokenExecutor: The executor is broken, and nobody has said how to make another one.
            RuntimeError: It was shut down.
        """
        made = 0
        while True:
            executor = self._current()
            made += 1
            try:
                future: FutureLike = executor.submit(function, *args)
            except BrokenExecutor:
                # One that is broken as soon as it is made is not mended by making another one.
                if self._make is None or made > MAKINGS:
                    raise
                # What was refused has not begun: no attempt of its activation is lost by that.
                self._forget(executor)
            else:
                return future

    def _current(self) -> Any:
        with self._lock:
            if self._executor is None:
                if self._make is None:
                    raise RuntimeError(
                        "the executor has stayed in the process that this one was forked from; give FuturesScheduler a "
                        "function that makes one, or make a new FuturesScheduler here"
                    )
                if self._closed:
                    raise RuntimeError("the FuturesScheduler was shut down; make a new one to run flows on it")
                self._executor = self._make()
                self._look_at(self._executor)
            return self._executor

    def move(self) -> None:
        """In a forked child: the executor's threads, and whoever may have had the lock, have stayed with the parent."""
        # Not let go of: on its way out it would wake the parent.
        self._left_behind, self._executor = self._executor, None
        self._lock = runtimes.current().lock()

    def _look_at(self, executor: Any) -> None:
        # Those of the standard library; what others do in their threads is not known.
        self.direct = isinstance(executor, ThreadPoolExecutor) or type(executor).__name__ == "ProcessPoolExecutor"

    def _forget(self, broken: Any) -> None:
        with self._lock:
            if self._executor is broken:
                self._executor = None
        broken.shutdown(wait=False)

    def close(self, wait: bool) -> None:
        """Shut down what was made here."""
        with self._lock:
            executor, self._closed = self._executor, True
            if self._make is not None:
                self._executor = None
        if self._make is not None and executor is not None:
            executor.shutdown(wait=wait)


_senders: WeakSet[_ExecutorSender] = WeakSet()


def _move_all() -> None:
    for sender in list(_senders):
        sender.move()


if hasattr(os, "register_at_fork"):
    # After the runtime's own call, which was registered before.
    os.register_at_fork(after_in_child=_move_all)
