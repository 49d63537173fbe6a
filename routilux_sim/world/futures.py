"""Simulated futures: CPython's own code, in single operations.

``concurrent.futures`` is written in Python, and its locks and conditions are there to make each of its operations one
step. In a simulation a task is not interrupted between two scheduling points anyway. So the operations keep CPython's
code, and lose what it waits in: each is one point, and then happens.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.world.sync import Waitable, deadline_after, refuse, site_of_caller

if TYPE_CHECKING:
    from routilux_sim.kernel.edges import Edges
    from routilux_sim.kernel.task import Task

__all__ = ["note_runner", "replacements"]

# Any: what is touched there is private, and its types are not told.
_base: Any = concurrent.futures._base
_Future: Any = concurrent.futures.Future

_future_init = _Future.__init__
_future_hash = _Future.__hash__
_future_cancel = _Future.cancel
_NO_LOCK = nullcontext()


class _Side(Waitable):
    """Takes the place of a future's condition: nobody waits for its lock, because while it is held nobody else runs.

    Attributes:
        execution: The number of the one that it is for.
        held: How often the running task has taken it; meanwhile the future's methods are no scheduling points.
        runner: The task that makes the result, as far as that is known.
    """

    kind = "Future"
    __slots__ = ("execution", "held", "runner")

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(site_of_caller())
        self.execution = kernel.number
        self.held = 0
        self.runner: Task | None = None

    @property
    def owner(self) -> Task | None:
        """The task that must act for waiters to go on."""
        return self.runner

    def acquire(self) -> bool:
        """Keep others out."""
        self.held += 1
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Let others come."""
        self.held -= 1

    def __exit__(self, *exc_info: object) -> None:
        self.held -= 1

    def wait(self, timeout: float | None = None) -> bool:
        """Let others come, and wait until the future is done."""
        held, self.held = self.held, 0
        try:
            return self._until_done(timeout)
        finally:
            self.held = held

    def _until_done(self, timeout: float | None) -> bool:
        kernel = here()
        if kernel is None:
            raise refuse(self, "result()")
        if timeout is not None and timeout <= 0:
            kernel.poll(self)
            return False
        return self._wait(kernel, "result", deadline_after(kernel, timeout))

    def notify_all(self) -> None:
        """Let everybody go on who waits."""
        kernel = here()
        if kernel is not None:
            self._wake(kernel, len(self._waiters))


def initialize(self: Any) -> None:
    """Replace ``Future.__init__``: what waits for the future is simulated, and it has a number, see `hash_of`."""
    kernel = here()
    if kernel is None:
        _future_init(self)
        return
    self._condition = _Side(kernel)
    self._sim_hash = kernel.made["Future"]
    self._state = _base.PENDING
    self._result = self._exception = None
    self._waiters = []
    self._done_callbacks = []


def hash_of(self: Any) -> int:
    """Replace ``Future.__hash__``: ``as_completed`` makes sets, whose order must not be that of addresses."""
    number: int | None = self.__dict__.get("_sim_hash")
    return _future_hash(self) if number is None else number


def _operation(name: str) -> Callable[..., Any]:
    """A method of Future as one operation: a scheduling point, and what CPython does."""
    original = getattr(_Future, name)
    op = {"set_running_or_notify_cancel": "set_running"}.get(name, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        kernel = here()
        if kernel is not None and type(side := self._condition) is _Side:
            if side.execution != kernel.number:
                side = self._condition = _Side(kernel)
            if not side.held:
                kernel.point(op, side)
            if kernel.edges is not None:
                return _ordered(kernel.edges, name, self, partial(original, self, *args, **kwargs))
        return original(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = original.__doc__
    return method


def _ordered(edges: Edges, name: str, future: Any, operation: Callable[[], Any]) -> Any:
    """Do an operation, and tell what it orders: who sees that a future is done sees what was done before that."""
    side = future._condition
    if name in _SETTERS:
        if future._state not in _DONE:
            edges.release("future", side)
            # Callbacks run in here.
            edges.acquire("callback", side)
        return operation()
    if name == "add_done_callback":
        if future._state in _DONE:
            edges.acquire("future", side)
        else:
            edges.release("callback", side)
        return operation()
    try:
        return operation()
    finally:
        if future._state in _DONE:
            edges.acquire("future", side)


_SETTERS = {"set_result", "set_exception", "cancel"}
_DONE = {_base.FINISHED, _base.CANCELLED, _base.CANCELLED_AND_NOTIFIED}

_OPERATIONS = (
    "add_done_callback",
    "cancel",
    "cancelled",
    "done",
    "exception",
    "result",
    "running",
    "set_exception",
    "set_result",
    "set_running_or_notify_cancel",
)


def result_or_cancel(fut: Any, timeout: float | None = None) -> Any:
    """Replace what ``map`` calls for each result: one operation, since what is done cannot be cancelled any more."""
    try:
        try:
            return fut.result(timeout)
        finally:
            (_future_cancel if fut._state == _base.FINISHED else _Future.cancel)(fut)
    finally:
        # The future may hold the exception, whose traceback holds this frame.
        del fut


# Waiting for several futures


class _Signal(Waitable):
    """Takes the place of the event that ``wait`` and ``as_completed`` wait for."""

    kind = "Futures"
    __slots__ = ("_flag", "_is_new")

    def __init__(self) -> None:
        super().__init__(site_of_caller())
        self._flag = False
        self._is_new = True

    def set(self) -> None:
        """Let whoever waits go on."""
        self._flag = True
        kernel = here()
        if kernel is not None:
            kernel.touch("set", self)
            if kernel.edges is not None:
                kernel.edges.release("futures", self)
            self._wake(kernel, len(self._waiters))

    def clear(self) -> None:
        """Take it back."""
        self._flag = False
        kernel = here()
        if kernel is not None:
            kernel.touch("clear", self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait; the first time is part of the operation that made it."""
        kernel = here()
        if kernel is None:
            raise refuse(self, "waiting")
        if not self._is_new:
            kernel.point("wait", self)
        self._is_new = False
        is_set = self._until_set(kernel, timeout)
        if is_set and kernel.edges is not None:
            kernel.edges.acquire("futures", self)
        return is_set

    def _until_set(self, kernel: Kernel, timeout: float | None) -> bool:
        if self._flag:
            return True
        if timeout is not None and timeout <= 0:
            kernel.poll(self)
            return self._flag
        return self._wait(kernel, "wait", deadline_after(kernel, timeout))


def acquire_futures(self: Any, futures: Iterable[Any]) -> None:
    """Replace the constructor of what locks several futures at once: in the order of their numbers, not addresses."""
    self.futures = sorted(futures, key=hash)
    kernel = here()
    if kernel is not None:
        kernel.point("wait")
        if kernel.trace is not None:
            for future in self.futures:
                # Waiting is to be in the list of those that it tells.
                kernel.touch("wait", future._condition)
        if kernel.edges is not None:
            for future in self.futures:
                if future._state in _DONE:
                    kernel.edges.acquire("future", future._condition)


def _waiter_init(kind: Any) -> Callable[..., None]:
    original = kind.__init__

    def init(self: Any, num_pending_calls: int | None = None, stop_on_exception: bool = False) -> None:
        counts = () if num_pending_calls is None else (num_pending_calls, stop_on_exception)
        if here() is None:
            original(self, *counts)
            return
        self.event = _Signal()
        self.lock = _NO_LOCK
        self.finished_futures = []
        if counts:
            self.num_pending_calls, self.stop_on_exception = counts

    return init


def note_runner(future: Any, task: Task | None) -> None:
    """Note that ``task`` makes a future's result from now on."""
    if type(future._condition) is _Side:
        future._condition.runner = task


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    return [
        (_Future, "__init__", initialize),
        (_Future, "__hash__", hash_of),
        *((_Future, name, _operation(name)) for name in _OPERATIONS),
        (_base, "_result_or_cancel", result_or_cancel),
        (_base._AcquireFutures, "__init__", acquire_futures),
        *(
            (kind, "__init__", _waiter_init(kind))
            for kind in (_base._Waiter, _base._AsCompletedWaiter, _base._AllCompletedWaiter)
        ),
    ]
