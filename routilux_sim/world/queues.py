"""Simulated queues: each put and get is one operation.

``queue.Queue`` and its subclasses, wherever they were defined, keep their ``_init``, ``_put``, ``_get`` and ``_qsize``;
only the waiting around them is replaced. ``SimpleQueue`` is written in C: a class derived from it takes its place, and
stands for the objects that were there before.
"""

from __future__ import annotations

import queue as real
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.world.captured import is_mutable
from routilux_sim.world.conditions import Side, side_of
from routilux_sim.world.ready import SimpleQueue
from routilux_sim.world.sync import Lock, Mutex, deadline_after, mutex_of, refuse, site_of_caller

__all__ = ["Stand", "replacements"]

_ShutDown: type[Exception] = getattr(real, "ShutDown", real.Empty)


class _Sides:
    """Where callers of one queue wait, in one execution.

    That is in its own conditions, ``not_empty``, ``not_full`` and ``all_tasks_done``, so that programs may wait and
    notify there too; and holding its ``mutex`` keeps operations out.
    """

    __slots__ = ("done", "execution", "getters", "mutex", "putters")

    def __init__(self, kernel: Kernel, queue: Any) -> None:
        self.execution = kernel.number
        self.mutex: Mutex = mutex_of(kernel, queue.mutex) or Lock()
        self.getters: Side = side_of(kernel, queue.not_empty, "Condition")
        self.putters: Side = side_of(kernel, queue.not_full, "Condition")
        self.done: Side = side_of(kernel, queue.all_tasks_done, "Condition")

    def enter(self, kernel: Kernel, op: str, side: Side) -> None:
        """The operation's scheduling point; then wait while somebody holds the mutex."""
        kernel.point(op, side)
        self.mutex.stand_clear(kernel)
        if kernel.trace is not None:
            self._touch(kernel, op, side)

    def wait(self, kernel: Kernel, op: str, side: Side, deadline: int | None) -> bool:
        """Wait on one side; False when the deadline came first."""
        woken = side._wait(kernel, op, deadline)
        # A program's own notify passes the waiter on to the mutex, which this operation does not take.
        self.mutex.stand_clear(kernel)
        if kernel.trace is not None:
            self._touch(kernel, op, side)
        return woken

    def _touch(self, kernel: Kernel, op: str, side: Side) -> None:
        """Note what the operation changes besides."""
        for other in (self.getters, self.putters, self.done):
            if other is not side and other in self._reach(op):
                kernel.touch(op, other)

    def _reach(self, op: str) -> tuple[Side, ...]:
        if op in {"put", "shutdown"}:
            return (self.getters, self.putters, self.done)
        return (self.getters, self.putters) if op == "get" else ()


def _sides(kernel: Kernel, queue: Any) -> _Sides:
    kept: _Sides | None = queue.__dict__.get("_sim_sides")
    if kept is None or kept.execution != kernel.number:
        kept = queue.__dict__["_sim_sides"] = _Sides(kernel, queue)
    return kept


def _is_shut(queue: Any) -> bool:
    return bool(queue.__dict__.get("is_shutdown", False))


def _shut_down(kernel: Kernel, sides: _Sides) -> Exception:
    """What is raised by operations on a queue that has been shut down."""
    if kernel.edges is not None:
        kernel.edges.acquire("shutdown", sides.getters)
    return _ShutDown()


def _within(kernel: Kernel, call: Callable[..., Any], *args: Any) -> Any:
    """Call what is a part of one operation, though a program may have written it: nobody may come in between."""
    me = kernel.current
    assert me is not None  # noqa: S101 - called by tasks only
    me.quiet += 1
    try:
        return call(*args)
    finally:
        me.quiet -= 1


def _poll(kernel: Kernel, side: Any, block: bool, timeout: float | None) -> None:
    if block and timeout == 0:
        kernel.poll(side)


def _put(kernel: Kernel, self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
    sides = _sides(kernel, self)
    sides.enter(kernel, "put", sides.putters)
    if _is_shut(self):
        raise _shut_down(kernel, sides)
    if self.maxsize > 0:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        deadline = deadline_after(kernel, timeout)
        if kernel.faults is not None and not (block and timeout is None) and kernel.faults.is_full(self):
            if deadline is not None and block:
                kernel.sleep(deadline - kernel.now)
            raise real.Full
        while self._qsize() >= self.maxsize:
            if not block or not sides.wait(kernel, "put", sides.putters, deadline):
                _poll(kernel, sides.putters, block, timeout)
                raise real.Full
            if _is_shut(self):
                raise _shut_down(kernel, sides)
        if kernel.edges is not None:
            kernel.edges.acquire("room", sides.putters)
    _within(kernel, self._put, item)
    if kernel.edges is not None:
        kernel.edges.send("queue", sides.getters, item)
    self.unfinished_tasks += 1
    sides.getters._wake(kernel, 1)


def _get(kernel: Kernel, self: Any, block: bool = True, timeout: float | None = None) -> Any:
    sides = _sides(kernel, self)
    sides.enter(kernel, "get", sides.getters)
    if _is_shut(self) and not self._qsize():
        raise _shut_down(kernel, sides)
    if block and timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    deadline = deadline_after(kernel, timeout)
    while not self._qsize():
        if not block or not sides.wait(kernel, "get", sides.getters, deadline):
            _poll(kernel, sides.getters, block, timeout)
            raise real.Empty
        if _is_shut(self) and not self._qsize():
            raise _shut_down(kernel, sides)
    item = _within(kernel, self._get)
    if kernel.edges is not None:
        kernel.edges.receive("queue", sides.getters, item)
        if self.maxsize > 0:
            kernel.edges.release("room", sides.putters)
    sides.putters._wake(kernel, 1)
    return item


def _task_done(kernel: Kernel, self: Any) -> None:
    sides = _sides(kernel, self)
    sides.enter(kernel, "task_done", sides.done)
    unfinished = self.unfinished_tasks - 1
    if unfinished < 0:
        raise ValueError("task_done() called too many times")
    self.unfinished_tasks = unfinished
    if kernel.edges is not None:
        kernel.edges.release("task_done", sides.done)
    if not unfinished:
        sides.done._wake(kernel, len(sides.done._waiters))


def _join(kernel: Kernel, self: Any) -> None:
    sides = _sides(kernel, self)
    sides.enter(kernel, "join", sides.done)
    while self.unfinished_tasks:
        sides.wait(kernel, "join", sides.done, None)
    if kernel.edges is not None:
        kernel.edges.acquire("task_done", sides.done)


def _qsize(kernel: Kernel, self: Any) -> int:
    sides = _sides(kernel, self)
    sides.enter(kernel, "qsize", sides.getters)
    return int(self._qsize())


def _empty(kernel: Kernel, self: Any) -> bool:
    return not _qsize(kernel, self)


def _full(kernel: Kernel, self: Any) -> bool:
    return bool(0 < self.maxsize <= _qsize(kernel, self))


def _shutdown(kernel: Kernel, self: Any, immediate: bool = False) -> None:
    sides = _sides(kernel, self)
    sides.enter(kernel, "shutdown", sides.getters)
    self.is_shutdown = True
    if kernel.edges is not None:
        kernel.edges.release("shutdown", sides.getters)
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

# ``put_nowait`` and ``get_nowait`` call these.
METHOD_REPLACEMENTS = {
    name: _dispatch(simulated, name) for name, simulated in _SIMULATED.items() if hasattr(real.Queue, name)
}


_RealSimple: Any = SimpleQueue.__mro__[1]
_simple_init = _RealSimple.__init__
_simple_put = _RealSimple.put
_simple_get = _RealSimple.get
_simple_size = _RealSimple.qsize


class Stand(SimpleQueue):
    """Stands for a ``SimpleQueue`` of the C type that was there before the simulation.

    Args:
        other: That object.
    """

    def __init__(self, other: Any) -> None:
        self._stands_for = other


def _inner(self: Any) -> Any:
    """The object that holds the items."""
    return self.__dict__.get("_stands_for", self)


def simple_init(self: Any) -> None:
    """Replace ``SimpleQueue.__init__``."""
    _simple_init(self)
    kernel = here()
    if kernel is not None:
        self._sim = Side(kernel, "SimpleQueue", site_of_caller())


def simple_put(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG001 - CPython's
    """Replace ``SimpleQueue.put``, which never waits."""
    kernel = here()
    if kernel is None:
        _simple_put(_inner(self), item)
        return
    side = side_of(kernel, self, "SimpleQueue")
    kernel.point("put", side)
    _simple_put(_inner(self), item)
    if kernel.edges is not None:
        kernel.edges.send("queue", side, item)
    side._wake(kernel, 1)


def simple_put_nowait(self: Any, item: Any) -> None:
    """Replace ``SimpleQueue.put_nowait``."""
    self.put(item)


def simple_get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
    """Replace ``SimpleQueue.get``: take the oldest item, waiting for one if asked to."""
    kernel = here()
    inner = _inner(self)
    if kernel is None:
        if block and timeout is None and "_sim" in self.__dict__ and not _simple_size(inner):
            raise refuse(self, "get()")
        return _simple_get(inner, block, timeout)
    if block and timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    side = side_of(kernel, self, "SimpleQueue")
    kernel.point("get", side)
    deadline = deadline_after(kernel, timeout)
    while not _simple_size(inner):
        if not block or not side._wait(kernel, "get", deadline):
            _poll(kernel, side, block, timeout)
            raise real.Empty
    item = _simple_get(inner, False)
    if kernel.edges is not None:
        kernel.edges.receive("queue", side, item)
    return item


def simple_get_nowait(self: Any) -> Any:
    """Replace ``SimpleQueue.get_nowait``."""
    return self.get(block=False)


def simple_qsize(self: Any) -> int:
    """Replace ``SimpleQueue.qsize``."""
    kernel = here()
    if kernel is not None:
        kernel.point("qsize", side_of(kernel, self, "SimpleQueue"))
    return int(_simple_size(_inner(self)))


def simple_empty(self: Any) -> bool:
    """Replace ``SimpleQueue.empty``."""
    return not self.qsize()


_SIMPLE: dict[str, Callable[..., Any]] = {
    "put": simple_put,
    "put_nowait": simple_put_nowait,
    "get": simple_get,
    "get_nowait": simple_get_nowait,
    "qsize": simple_qsize,
    "empty": simple_empty,
}

# Also outside a simulation: the items are elsewhere.
for _name, _function in _SIMPLE.items():
    setattr(Stand, _name, _function)


def replacements() -> list[tuple[type, str, Callable[..., Any]]]:
    """Class, name and what to put there while the simulated world is installed."""
    rows: list[tuple[type, str, Callable[..., Any]]] = [
        (real.Queue, name, function) for name, function in METHOD_REPLACEMENTS.items()
    ]
    for kind in filter(is_mutable, _RealSimple.__subclasses__()):
        methods = {"__init__": simple_init, **_SIMPLE}
        rows += [
            (kind, name, function)
            for name, function in methods.items()
            if name not in vars(kind) or vars(kind)[name] is function
        ]
    return rows
