"""Simulated queues: each put and get is one operation.

``queue.Queue`` and its subclasses, wherever they were defined, keep their ``_init``, ``_put``, ``_get`` and ``_qsize``;
only the waiting around them is replaced. `SimpleQueue` is written in C, so it is replaced whole.
"""

from __future__ import annotations

import queue as real
from collections import deque
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.world.sync import Condition, Lock, Waitable, deadline_after

__all__ = ["METHOD_REPLACEMENTS", "SimpleQueue"]

_ShutDown: type[Exception] = getattr(real, "ShutDown", real.Empty)


class _Sides:
    """Where callers of one queue wait, in one execution.

    A queue made in the simulation waits in its own conditions, ``not_empty``, ``not_full`` and ``all_tasks_done``, so
    that programs may wait and notify there too, and holding its ``mutex`` keeps operations out. One made before has
    real conditions: it gets simulated ones beside them.
    """

    __slots__ = ("done", "getters", "kernel", "mutex", "putters")

    def __init__(self, kernel: Kernel, queue: Any) -> None:
        self.kernel = kernel
        simulated = isinstance(queue.mutex, Lock)
        self.mutex: Lock = queue.mutex if simulated else Lock()
        self.getters: Condition = queue.not_empty if simulated else Condition(self.mutex)
        self.putters: Condition = queue.not_full if simulated else Condition(self.mutex)
        self.done: Condition = queue.all_tasks_done if simulated else Condition(self.mutex)

    def enter(self, op: str, side: Condition) -> None:
        """The operation's scheduling point; then wait while somebody holds the mutex."""
        self.kernel.point(op, side)
        self.mutex.stand_clear(self.kernel)

    def wait(self, op: str, side: Condition, deadline: int | None) -> bool:
        """Wait on one side; False when the deadline came first."""
        woken = side._wait(self.kernel, op, deadline)
        # A program's own notify passes the waiter on to the mutex, which this operation does not take.
        self.mutex.stand_clear(self.kernel)
        return woken


def _sides(kernel: Kernel, queue: Any) -> _Sides:
    kept: _Sides | None = queue.__dict__.get("_sim_sides")
    if kept is None or kept.kernel is not kernel:
        kept = queue.__dict__["_sim_sides"] = _Sides(kernel, queue)
    return kept


def _is_shut(queue: Any) -> bool:
    return bool(queue.__dict__.get("is_shutdown", False))


def _put(kernel: Kernel, self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
    sides = _sides(kernel, self)
    sides.enter("put", sides.putters)
    if _is_shut(self):
        raise _ShutDown
    if self.maxsize > 0:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        deadline = deadline_after(kernel, timeout)
        while self._qsize() >= self.maxsize:
            if not block or not sides.wait("put", sides.putters, deadline):
                raise real.Full
            if _is_shut(self):
                raise _ShutDown
    self._put(item)
    self.unfinished_tasks += 1
    sides.getters._wake(kernel, 1)


def _get(kernel: Kernel, self: Any, block: bool = True, timeout: float | None = None) -> Any:
    sides = _sides(kernel, self)
    sides.enter("get", sides.getters)
    if _is_shut(self) and not self._qsize():
        raise _ShutDown
    if block and timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    deadline = deadline_after(kernel, timeout)
    while not self._qsize():
        if not block or not sides.wait("get", sides.getters, deadline):
            raise real.Empty
        if _is_shut(self) and not self._qsize():
            raise _ShutDown
    item = self._get()
    sides.putters._wake(kernel, 1)
    return item


def _task_done(kernel: Kernel, self: Any) -> None:
    sides = _sides(kernel, self)
    sides.enter("task_done", sides.done)
    unfinished = self.unfinished_tasks - 1
    if unfinished < 0:
        raise ValueError("task_done() called too many times")
    self.unfinished_tasks = unfinished
    if not unfinished:
        sides.done._wake(kernel, len(sides.done._waiters))


def _join(kernel: Kernel, self: Any) -> None:
    sides = _sides(kernel, self)
    sides.enter("join", sides.done)
    while self.unfinished_tasks:
        sides.wait("join", sides.done, None)


def _qsize(kernel: Kernel, self: Any) -> int:
    sides = _sides(kernel, self)
    sides.enter("qsize", sides.getters)
    return int(self._qsize())


def _empty(kernel: Kernel, self: Any) -> bool:
    return not _qsize(kernel, self)


def _full(kernel: Kernel, self: Any) -> bool:
    return bool(0 < self.maxsize <= _qsize(kernel, self))


def _shutdown(kernel: Kernel, self: Any, immediate: bool = False) -> None:
    sides = _sides(kernel, self)
    sides.enter("shutdown", sides.getters)
    self.is_shutdown = True
    if immediate:
        while self._qsize():
            self._get()
            if self.unfinished_tasks > 0:
                self.unfinished_tasks -= 1
    for side in (sides.getters, sides.putters, sides.done):
        side._wake(kernel, len(side._waiters))


def _dispatch(simulated: Callable[..., Any], name: str) -> Callable[..., Any]:
    original = getattr(real.Queue, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        kernel = here()
        return original(self, *args, **kwargs) if kernel is None else simulated(kernel, self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = original.__doc__
    return method


_SIMULATED: dict[str, Callable[..., Any]] = {
    "put": _put,
    "get": _get,
    "task_done": _task_done,
    "join": _join,
    "qsize": _qsize,
    "empty": _empty,
    "full": _full,
    "shutdown": _shutdown,
}

METHOD_REPLACEMENTS = {
    name: _dispatch(simulated, name) for name, simulated in _SIMULATED.items() if hasattr(real.Queue, name)
}
"""By name on ``queue.Queue``; ``put_nowait`` and ``get_nowait`` call these."""


class SimpleQueue(Waitable):
    """``queue.SimpleQueue``: unbounded, and nothing but put and get."""

    kind = "SimpleQueue"
    __slots__ = ("_items",)

    def __init__(self) -> None:
        super().__init__()
        self._items: deque[Any] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - as CPython's
        """Put an item; never waits."""
        kernel = here()
        if kernel is not None:
            kernel.point("put", self)
        self._items.append(item)
        if kernel is not None:
            self._wake(kernel, 1)

    def put_nowait(self, item: Any) -> None:
        """Put an item."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item, waiting for one if asked to."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        kernel = here()
        if kernel is None:
            if not self._items:
                raise real.Empty
            return self._items.popleft()
        kernel.point("get", self)
        deadline = deadline_after(kernel, timeout)
        while not self._items:
            if not block or not self._wait(kernel, "get", deadline):
                raise real.Empty
        return self._items.popleft()

    def get_nowait(self) -> Any:
        """Take the oldest item, or raise Empty."""
        return self.get(block=False)

    def qsize(self) -> int:
        """How many items there are."""
        kernel = here()
        if kernel is not None:
            kernel.point("qsize", self)
        return len(self._items)

    def empty(self) -> bool:
        """Whether there are none."""
        return not self.qsize()
