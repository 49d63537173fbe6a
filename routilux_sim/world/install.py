"""Puts the simulated world in the real one's place, and takes it away again, whatever happens in between.

What is put there asks on every call whether the caller is simulated, and does the real thing if not: other threads of
the process, and the simulator itself, notice nothing.
"""

from __future__ import annotations

import asyncio.events
import concurrent.futures.thread
import functools
import itertools
import random
import signal
import sys
import threading
import uuid
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType
from typing import Any

from routilux import runtime as runtimes
from routilux.abc import Runtime
from routilux_sim.kernel.core import Kernel, activate, active, here
from routilux_sim.world import (
    aio,
    chance,
    clock,
    conditions,
    dates,
    escapes,
    executors,
    freezing,
    futures,
    imports,
    locals,  # noqa: A004 - as threading calls it
    queues,
    raw_threads,
    ready,
    sync,
    thread_state,
    threads,
)
from routilux_sim.world.captured import Captured

__all__ = ["SavedState", "World"]

# Any: what is touched there is private, and its types are not told.
pools: Any = concurrent.futures.thread

_ABSENT = object()
Row = tuple[Any, str, Any, Any]
"""Owner, name, what CPython has there, and what is put there."""


def _static_rows() -> list[Row]:
    rows: list[tuple[Any, str, Any]] = []
    rows += [(threading.Thread, name, function) for name, function in threads.THREAD_REPLACEMENTS.items()]
    rows += threads.module_replacements()
    rows += raw_threads.replacements()
    rows += conditions.REPLACEMENTS
    rows += futures.replacements()
    rows += executors.replacements()
    rows += chance.replacements()
    rows += imports.REPLACEMENTS
    rows += aio.replacements()
    rows += escapes.replacements()
    return [_row(owner, name, replacement) for owner, name, replacement in rows]


def _row(owner: Any, name: str, replacement: Any) -> Row:
    original = vars(owner).get(name, _ABSENT)
    if isinstance(original, BuiltinFunctionType) and isinstance(replacement, FunctionType):
        replacement = _unbound(replacement, original)
    return owner, name, original, replacement


@functools.cache
def _unbound(function: FunctionType, original: BuiltinFunctionType) -> Any:
    """One and the same wherever the original is."""
    return ready.Function(function, original)


_STATIC: list[Row] = [*ready.ROWS, *_static_rows()]


def _rows() -> list[Row]:
    """What to replace; classes that programs have derived from CPython's may have come since."""
    derived = [*locals.replacements(), *queues.replacements(), *dates.replacements()]
    return _STATIC + [(owner, name, vars(owner).get(name, _ABSENT), value) for owner, name, value in derived]


def _capturable(rows: list[Row]) -> list[tuple[Any, Any]]:
    """What others may have references to: methods are reached through their classes, which stay what they are."""
    return [
        (original, replacement)
        for owner, _, original, replacement in rows
        if not isinstance(owner, type) and callable(original) and callable(replacement)
    ]


_captured = Captured(
    {
        ready.ReadyLock.real_type: ready.ReadyLock.over,
        ready.ReadyRLock.real_type: ready.ReadyRLock.over,
        ready.SimpleQueue.__mro__[1]: queues.Stand,
        ready.local.__mro__[1]: locals.Stand,
    }
)


class World:
    """The simulated world of one campaign: installed once, entered by one execution after the other."""

    def __init__(self, program: object = None) -> None:
        self._program = program
        self._runtime: Runtime | None = None
        self._usual_excepthook: Any = threading.excepthook
        self._usual_unraisablehook: Any = sys.unraisablehook
        self._pools = _Executors()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace what programs wait in and read time from.

        Raises:
            RuntimeError: Another simulation is under way; or this thread is itself simulated.
        """
        self._claim()
        kept: list[tuple[Any, str, Any]] = []
        self._usual_excepthook = threading.excepthook
        self._usual_unraisablehook = sys.unraisablehook
        previous = runtimes.set_ambient(self._ambient)
        state = random.getstate()
        try:
            rows = _rows()
            prepared = threading.Lock is ready.ReadyLock
            lasting = [replacement for *_, replacement in ready.ROWS] if prepared else []
            _captured.find(_capturable(rows), self._program, prepared, lasting)
            self._put(rows, kept)
            _captured.apply()
            ready.switch_on(here, _SIMULATED, _TWINS)
            self._pools.install()
            with freezing.installed(clock.SIMULATED, kept), _interruptible():
                yield
        finally:
            self._pools.restore()
            ready.switch_off()
            _captured.undo()
            for owner, name, original in reversed(kept):
                if original is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)
            random.setstate(state)
            runtimes.set_ambient(previous)
            _captured.remember()
            _claimed.clear()

    def _put(self, rows: list[Row], kept: list[tuple[Any, str, Any]]) -> None:
        for owner, name, _, replacement in rows:
            kept.append((owner, name, vars(owner).get(name, _ABSENT)))
            setattr(owner, name, replacement)

    def _claim(self) -> None:
        mine = get_ident()
        if _claimed.setdefault("thread", mine) != mine:
            raise RuntimeError("another thread is simulating; one simulation at a time can patch a process")
        if "campaign" in _claimed:
            raise RuntimeError("a simulation is under way already; a simulated program cannot simulate")
        _claimed["campaign"] = mine

    def finish_executors(self) -> None:
        """At the end of a simulated program, and inside it: shut its executors down."""
        executors.finish()

    @contextmanager
    def quiet_executors(self) -> Iterator[None]:
        """Keep executors from logging that their threads are being unwound."""
        logger = pools._base.LOGGER
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
        kernel.usual_unraisablehook = sys.unraisablehook = self._usual_unraisablehook
        activate(kernel)
        counter = threading._counter  # type: ignore[attr-defined]
        policy = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
        if policy is None:
            # It is made when first asked for, under a lock: whether that has been must not change the steps.
            asyncio.events._event_loop_policy = asyncio.DefaultEventLoopPolicy()  # type: ignore[attr-defined]
        outside = thread_state.take()
        random.seed(seed)
        uuid._last_timestamp = None  # type: ignore[attr-defined] # kept from one identifier to the next
        threading._counter = itertools.count(1).__next__  # type: ignore[attr-defined]
        self._pools.count_from(0)
        frozen = freezing.enter(kernel)
        try:
            yield
        finally:
            freezing.leave(frozen)
            if kernel.entering is not None:
                kernel.entering(None)
            thread_state.put(outside)
            executors.give_back(kernel)
            asyncio.events._event_loop_policy = policy  # type: ignore[attr-defined]
            threading._counter = counter  # type: ignore[attr-defined]
            threading.excepthook = self._usual_excepthook
            sys.unraisablehook = self._usual_unraisablehook
            activate(None)
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
        kernel = active()
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

    Executors are numbered for their threads' names, and at the end of a program it shuts all of them down.
    """

    def __init__(self) -> None:
        self._counter = pools.ThreadPoolExecutor._counter
        self._numbers = itertools.count()
        self._known: set[Any] = set()

    def install(self) -> None:
        self._known = {thread for thread, _ in executors.registered()}
        pools.ThreadPoolExecutor._counter = self._number

    def count_from(self, number: int) -> None:
        self._numbers = itertools.count(number)

    def _number(self) -> int:
        # The class keeps this method for the whole campaign: changing a class has its price, see `core.active`.
        return next(self._numbers)

    def restore(self) -> None:
        pools.ThreadPoolExecutor._counter = self._counter
        for thread in {thread for thread, _ in executors.registered()} - self._known:
            if "_sim_task" in thread.__dict__:
                del pools._threads_queues[thread]


_SIMULATED: dict[Any, Any] = {
    ready.ReadyLock: sync.Lock,
    ready.ReadyRLock: sync.RLock,
    **clock.SIMULATED,
}
_TWINS: dict[type, Any] = {ready.ReadyLock: sync.lock_twin, ready.ReadyRLock: sync.rlock_twin}
