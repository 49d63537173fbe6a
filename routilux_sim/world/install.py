"""Puts the simulated world in the real one's place, and takes it away again, whatever happens in between.

What is put there asks on every call whether the caller is simulated, and does the real thing if not: other threads of
the process, and the simulator itself, notice nothing.
"""

from __future__ import annotations

import asyncio.events
import concurrent.futures.thread
import itertools
import os
import queue
import random
import signal
import threading
import time
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from routilux import runtime as runtimes
from routilux.abc import Runtime
from routilux_sim.kernel.core import Kernel, here
from routilux_sim.world import aio, chance, clock, escapes, queues, sync, thread_state, threads

__all__ = ["SavedState", "World"]

# Any: what is touched there is private, and its types are not told. Imported here and not when a program first uses an
# executor, so that the locks which the module makes for itself are real ones.
pools: Any = concurrent.futures.thread
futures: Any = concurrent.futures._base


def _replacement(simulated: type, original: Any) -> Any:
    """What makes simulated objects in a simulation and real ones elsewhere: a class if the original is one."""
    if isinstance(original, type):
        return _switching_class(simulated, original)

    def make(*args: Any, **kwargs: Any) -> Any:
        return (original if here() is None else simulated)(*args, **kwargs)

    make.__name__ = make.__qualname__ = original.__name__
    make.__doc__ = original.__doc__
    return make


def _switching_class(simulated: type, original: type) -> type:
    """May also be derived from, and asked whether something is one of its instances."""

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, simulated | original) if cls is Switch else super().__instancecheck__(instance)

    class Switch(simulated, metaclass=Kind):  # type: ignore[misc]
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            if cls is Switch:
                return (original if _stays_real(simulated, args, kwargs) else simulated)(*args, **kwargs)
            # object.__new__ takes no arguments; whoever has one of its own may.
            if "__new__" in vars(simulated):
                return simulated.__new__(cls, *args, **kwargs)
            return super().__new__(cls)

    Switch.__name__ = Switch.__qualname__ = original.__name__
    Switch.__module__ = original.__module__
    Switch.__doc__ = original.__doc__
    return Switch


def _stays_real(simulated: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if here() is None:
        return True
    # CPython's Condition works over any lock, on the simulated locks that it makes for its waiters.
    lock = args[0] if args else kwargs.get("lock")
    return simulated is sync.Condition and lock is not None and not isinstance(lock, sync.Mutex)


def _replacements() -> list[tuple[Any, str, Any]]:
    rows: list[tuple[Any, str, Any]] = []
    rows += [(time, name, function) for name, function in clock.REPLACEMENTS.items()]
    rows += [(threading.Thread, name, function) for name, function in threads.THREAD_REPLACEMENTS.items()]
    rows += [(threading, name, function) for name, function in threads.MODULE_REPLACEMENTS.items()]
    rows += [(queue.Queue, name, function) for name, function in queues.METHOD_REPLACEMENTS.items()]
    rows += [(futures.Future, name, function) for name, function in chance.FUTURE_REPLACEMENTS.items()]
    rows += [(futures._AcquireFutures, "__init__", chance.acquire_futures)]
    rows += [(os, "urandom", chance.urandom), (random, "_urandom", chance.urandom)]
    rows += aio.replacements()
    rows += escapes.replacements()
    rows += [
        (threading, "_allocate_lock", _replacement(sync.Lock, threading.Lock)),
        (queue, "SimpleQueue", _replacement(queues.SimpleQueue, queue.SimpleQueue)),
        (threading, "local", _replacement(threads.Local, threading.local)),
    ]
    rows += [
        (threading, kind.__name__, _replacement(kind, getattr(threading, kind.__name__)))
        for kind in (sync.Lock, sync.RLock, sync.Condition, sync.Event, sync.Semaphore, sync.BoundedSemaphore)
    ]
    return rows


_ROWS = _replacements()
_ABSENT = object()


class World:
    """The simulated world of one campaign: installed once, entered by one execution after the other."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._usual_excepthook: Any = threading.excepthook

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace what programs wait in and read time from.

        Raises:
            RuntimeError: Another simulation is under way; or this thread is itself simulated.
        """
        self._claim()
        kept = [(owner, name, owner.__dict__.get(name, _ABSENT)) for owner, name, _ in _ROWS]
        self._usual_excepthook = threading.excepthook
        previous = runtimes.set_ambient(self._ambient)
        state = random.getstate()
        self._pools = _Executors()
        try:
            for owner, name, replacement in _ROWS:
                setattr(owner, name, replacement)
            self._pools.install()
            with _interruptible():
                yield
        finally:
            self._pools.restore()
            for owner, name, original in kept:
                if original is _ABSENT:
                    delattr(owner, name)
                else:
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

    @contextmanager
    def quiet_executors(self) -> Iterator[None]:
        """Keep executors from logging that their threads are being unwound."""
        logger = futures.LOGGER
        kept, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = kept

    def _ambient(self) -> Runtime | None:
        return None if here() is None else self._runtime

    @contextmanager
    def inhabited(self, kernel: Kernel, runtime: Runtime, seed: int) -> Iterator[None]:
        """Make ``kernel``'s execution the one that is under way, with its randomness seeded."""
        self._runtime = runtime
        kernel.usual_excepthook = threading.excepthook = self._usual_excepthook
        Kernel.active = kernel
        counter = threading._counter  # type: ignore[attr-defined]
        policy = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
        outside = thread_state.take()
        random.seed(seed)
        threading._counter = itertools.count(1).__next__  # type: ignore[attr-defined]
        self._pools.count_from(0)
        try:
            yield
        finally:
            if kernel.entering is not None:
                kernel.entering(None)
            thread_state.put(outside)
            asyncio.events._event_loop_policy = policy  # type: ignore[attr-defined]
            threading._counter = counter  # type: ignore[attr-defined]
            threading.excepthook = self._usual_excepthook
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


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the simulation instead of being raised in a task, where the program may handle it as its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        yield
        return

    def interrupt(signum: int, frame: object) -> None:  # noqa: ARG001 - a signal handler's
        kernel = Kernel.active
        if kernel is None:
            raise KeyboardInterrupt
        kernel.interrupt()

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class SavedState:
    """What an execution that is left and resumed takes with it.

    Args:
        seed: What its randomness begins with.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).getstate()  # noqa: S311 - what is simulated must be predictable
        self.counter = itertools.count(1).__next__


_claimed: dict[str, int] = {}


class _Executors:
    """``concurrent.futures.thread``: what of it is the module's and not an executor's.

    Its lock is taken around starting threads, so it must be a simulated one; executors are numbered for their threads'
    names; and at the end of a program it shuts all executors down.
    """

    def __init__(self) -> None:
        self._lock = pools._global_shutdown_lock
        self._counter = pools.ThreadPoolExecutor._counter
        self._known: set[Any] = set()

    def install(self) -> None:
        self._known = set(pools._threads_queues)
        pools._global_shutdown_lock = _SwitchingLock(self._lock)

    def count_from(self, number: int) -> None:
        pools.ThreadPoolExecutor._counter = itertools.count(number).__next__

    def finish(self) -> None:
        """What happens to executors when a program ends: their threads finish what is queued, and are joined."""
        ours = [
            (thread, items)
            for thread, items in list(pools._threads_queues.items())
            if "_sim_task" in thread.__dict__ and thread.is_alive()
        ]
        pools._shutdown = True
        try:
            for _, items in ours:
                items.put(None)
            for thread, _ in ours:
                thread.join()
        finally:
            pools._shutdown = False

    def restore(self) -> None:
        pools._global_shutdown_lock = self._lock
        pools.ThreadPoolExecutor._counter = self._counter
        for thread in set(pools._threads_queues) - self._known:
            if "_sim_task" in thread.__dict__:
                del pools._threads_queues[thread]


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
