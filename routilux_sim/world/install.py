"""Puts the simulated world in the real one's place, and takes it away again, whatever happens in between.

What is put there asks on every call whether the caller is simulated, and does the real thing if not: other threads of
the process, and the simulator itself, notice nothing.
"""

from __future__ import annotations

import itertools
import queue
import random
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from routilux import runtime as runtimes
from routilux.abc import Runtime
from routilux_sim.kernel.core import Kernel, here
from routilux_sim.world import clock, queues, sync, threads

__all__ = ["SavedState", "World"]


def _factory(simulated: Callable[..., Any], original: Callable[..., Any], name: str) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        return (original if here() is None else simulated)(*args, **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = original.__doc__
    return make


def _subclassable(simulated: type, original: type) -> type:
    """A class that makes simulated objects in a simulation, and the original's elsewhere, and may be derived from."""

    class Switch(simulated):  # type: ignore[misc]
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            if cls is Switch:
                return (original if here() is None else simulated)(*args, **kwargs)
            return super().__new__(cls)

    Switch.__name__ = Switch.__qualname__ = original.__name__
    Switch.__module__ = original.__module__
    Switch.__doc__ = original.__doc__
    return Switch


def _replacements() -> list[tuple[Any, str, Any]]:
    rows: list[tuple[Any, str, Any]] = []
    rows += [(time, name, function) for name, function in clock.REPLACEMENTS.items()]
    rows += [(threading.Thread, name, function) for name, function in threads.THREAD_REPLACEMENTS.items()]
    rows += [(threading, name, function) for name, function in threads.MODULE_REPLACEMENTS.items()]
    rows += [(queue.Queue, name, function) for name, function in queues.METHOD_REPLACEMENTS.items()]
    rows += [
        (threading, "Lock", _factory(sync.Lock, threading.Lock, "Lock")),
        (threading, "_allocate_lock", _factory(sync.Lock, threading.Lock, "Lock")),
        (threading, "RLock", _factory(sync.RLock, threading.RLock, "RLock")),
        (queue, "SimpleQueue", _factory(queues.SimpleQueue, queue.SimpleQueue, "SimpleQueue")),
        (threading, "local", _subclassable(threads.Local, threading.local)),
    ]
    rows += [
        (threading, kind.__name__, _subclassable(kind, getattr(threading, kind.__name__)))
        for kind in (sync.Condition, sync.Event, sync.Semaphore, sync.BoundedSemaphore)
    ]
    return rows


_ROWS = _replacements()


class World:
    """The simulated world of one campaign: installed once, entered by one execution after the other."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace what programs wait in and read time from.

        Raises:
            RuntimeError: Another simulation is under way; or this thread is itself simulated.
        """
        self._claim()
        kept = [(owner, name, owner.__dict__[name]) for owner, name, _ in _ROWS]
        previous = runtimes.set_ambient(self._ambient)
        state = random.getstate()
        pools = self._pools = _ExecutorModule()
        try:
            for owner, name, replacement in _ROWS:
                setattr(owner, name, replacement)
            pools.install()
            yield
        finally:
            pools.restore()
            for owner, name, original in kept:
                setattr(owner, name, original)
            random.setstate(state)
            runtimes.set_ambient(previous)
            _claimed.clear()

    def _claim(self) -> None:
        mine = get_ident()
        if _claimed.setdefault("thread", mine) != mine:
            raise RuntimeError("another thread is simulating; one simulation at a time can patch a process")
        if "campaign" in _claimed:
            raise RuntimeError("a simulation is under way already; a simulated program cannot simulate")
        _claimed["campaign"] = mine

    def finish_executors(self) -> None:
        """At the end of a simulated program, and inside it: shut its executors down."""
        self._pools.finish()

    def _ambient(self) -> Runtime | None:
        return None if here() is None else self._runtime

    @contextmanager
    def inhabited(self, kernel: Kernel, runtime: Runtime, seed: int) -> Iterator[None]:
        """Make ``kernel``'s execution the one that is under way, with its randomness seeded."""
        self._runtime = runtime
        Kernel.active = kernel
        counter = threading._counter  # type: ignore[attr-defined]
        random.seed(seed)
        threading._counter = itertools.count(1).__next__  # type: ignore[attr-defined]
        try:
            yield
        finally:
            threading._counter = counter  # type: ignore[attr-defined]
            Kernel.active = None
            self._runtime = None

    @contextmanager
    def resumed(self, kernel: Kernel, runtime: Runtime, state: SavedState) -> Iterator[None]:
        """Go on with an execution that was left: its randomness and names continue where they stood."""
        with self.inhabited(kernel, runtime, 0):
            random.setstate(state.random)
            threading._counter = state.counter  # type: ignore[attr-defined]
            try:
                yield
            finally:
                state.random = random.getstate()


class SavedState:
    """What an execution that is left and resumed takes with it.

    Args:
        seed: What its randomness begins with.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).getstate()  # noqa: S311 - what is simulated must be predictable
        self.counter = itertools.count(1).__next__


_claimed: dict[str, int] = {}


class _ExecutorModule:
    """``concurrent.futures.thread``: its module-wide lock, taken around starting threads, must be a simulated one."""

    NAME = "concurrent.futures.thread"

    def __init__(self) -> None:
        # Any: what is touched here is private, and its types are not told.
        self._module: Any = sys.modules.get(self.NAME)
        self._lock: Any = None
        self._known: set[Any] = set()

    def install(self) -> None:
        if self._module is not None:
            self._lock = self._module._global_shutdown_lock
            self._known = set(self._module._threads_queues)
            self._module._global_shutdown_lock = _SwitchingLock(self._lock)

    def finish(self) -> None:
        """What ``concurrent.futures`` does when a program ends: let every executor's threads finish and join them."""
        module: Any = sys.modules.get(self.NAME)
        if module is None:
            return
        ours = [
            (thread, items)
            for thread, items in list(module._threads_queues.items())
            if "_sim_task" in thread.__dict__ and thread.is_alive()
        ]
        module._shutdown = True
        try:
            for _, items in ours:
                items.put(None)
            for thread, _ in ours:
                thread.join()
        finally:
            module._shutdown = False

    def restore(self) -> None:
        module: Any = self._module or sys.modules.get(self.NAME)
        if module is None:
            return
        if self._lock is not None:
            module._global_shutdown_lock = self._lock
        for thread in set(module._threads_queues) - self._known:
            if "_sim_task" in thread.__dict__:
                del module._threads_queues[thread]


class _SwitchingLock:
    """A lock that is a simulated one in each execution, and the real one elsewhere."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._kernel: Kernel | None = None
        self._simulated = sync.Lock()

    def _lock(self) -> Any:
        kernel = here()
        if kernel is None:
            return self._real
        if kernel is not self._kernel:
            self._kernel = kernel
            self._simulated = sync.Lock()
        return self._simulated

    def __enter__(self) -> bool:
        return bool(self._lock().acquire())

    def __exit__(self, *exc_info: object) -> None:
        self._lock().release()
