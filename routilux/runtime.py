"""The production runtime: operating-system threads and clocks.

This is the only production module that imports ``threading`` or ``time``, and ``asyncio`` or ``multiprocessing`` when
somebody wants an event loop or processes. It knows nothing of flows or jobs. A simulator makes itself ambient with
`set_ambient`; a flow asks `current` when it first executes.
"""

from __future__ import annotations

import atexit
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from routilux.abc import Lock, Runtime, Thread

if TYPE_CHECKING:
    import asyncio

    EventLoop: TypeAlias = asyncio.AbstractEventLoop

__all__ = [
    "OsRuntime",
    "current",
    "fault_point",
    "finish_loop",
    "lock_types",
    "new_user_lock",
    "new_user_rlock",
    "pause",
    "process_context",
    "run_to_its_end",
    "running_loop",
    "set_ambient",
]

_POOLS = {"concurrent.futures.process", "concurrent.futures.thread"}

CANCELLATIONS = 10
"""How many times an event loop that ends cancels what its tasks have started since: some never stop starting more."""


class OsRuntime(Runtime):
    """Threads, locks and clocks of the operating system."""

    # The very functions, so that the seam costs nothing; bound at import, so that nobody's later patch reaches them.
    lock: Callable[[], Lock] = staticmethod(threading.Lock)
    monotonic_ns: Callable[[], int] = staticmethod(time.monotonic_ns)
    wall_time: Callable[[], float] = staticmethod(time.time)

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._exit_calls: set[weakref.WeakMethod[Callable[[], object]]] = set()
        self._early_calls: set[weakref.WeakMethod[Callable[[], object]]] = set()
        self._earlier_than: set[str] = set()
        atexit.register(self._exit)
        # 48 random bits a process and a counter: as unique as is needed, at a hundredth of uuid4's price.
        self._process = os.urandom(6).hex()

    def disown(self) -> None:
        """In a forked child: what this runtime's threads were to do at exit is the parent's business."""
        self._exit_calls, self._early_calls = set(), set()

    def start_thread(self, target: Callable[[], None], name: str) -> Thread:
        """Start a daemon thread: parked workers must not keep the interpreter from ending."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def thread_name(self) -> str:
        """The name of the calling thread."""
        return threading.current_thread().name

    def new_event_loop(self) -> EventLoop:
        """Make a loop of the kind that asyncio's policy says."""
        import asyncio  # noqa: PLC0415 - costs more than routilux does, and few flows need it

        return asyncio.new_event_loop()

    def new_id(self, prefix: str) -> str:
        """Make an identifier of the prefix, the process's random part and a counter."""
        return f"{prefix}-{self._process}-{next(self._ids)}"

    def at_exit(self, callback: Callable[[], object], *, early: bool = False) -> None:
        """Call the bound method ``callback`` at interpreter exit, while daemon threads still run."""
        calls = self._early_calls if early else self._exit_calls
        calls.add(weakref.WeakMethod(callback, calls.discard))
        if early:
            self._exit_before(_POOLS & sys.modules.keys())

    def _exit_before(self, pools: set[str]) -> None:
        """Have the early calls made before those modules' own; last in is first out."""
        if pools <= self._earlier_than:
            return
        self._earlier_than |= pools
        # What these modules themselves use, for want of a public way; if it goes, flows end with all others.
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            with suppress(RuntimeError):  # the interpreter is ending
                register(self._exit_early)

    def _exit_early(self) -> None:
        try:
            _call_all(self._early_calls)
        except KeyboardInterrupt:
            # Who interrupts this will not wait for jobs. What comes next must be called: it lets the pools end.
            self._early_calls.clear()

    def _exit(self) -> None:
        _call_all(self._early_calls)
        _call_all(self._exit_calls)


def _call_all(calls: set[weakref.WeakMethod[Callable[[], object]]]) -> None:
    for reference in list(calls):
        callback = reference()
        if callback is not None:
            callback()
    # A `WeakMethod` that outlives its object in an interpreter that is being taken down fails, on standard error.
    calls.clear()


_os_runtime = OsRuntime()


def _renew() -> None:
    # Locks and threads are not what they were in the parent: flows find another runtime, and make themselves new ones.
    global _os_runtime  # noqa: PLW0603 - one process, one operating system
    _os_runtime.disown()
    _os_runtime = OsRuntime()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)

_ambient: Callable[[], Runtime | None] | None = None


def current() -> Runtime:
    """Return the runtime of the world that the calling thread is in."""
    if _ambient is not None and (runtime := _ambient()) is not None:
        return runtime
    return _os_runtime


def set_ambient(find: Callable[[], Runtime | None] | None) -> Callable[[], Runtime | None] | None:
    """Ask ``find`` for the runtime before falling back on the operating system's; return what was asked before.

    ``find`` returns None in threads that are not its business.
    """
    global _ambient
    previous, _ambient = _ambient, find
    return previous


def fault_point(name: str) -> None:
    """Name a place in a program where a simulation's fault plan may raise an exception, or let time go by.

    Anywhere else it does nothing, in some ten nanoseconds, so it may stay in code that runs in production. Time goes by
    for the thread, as in ``time.sleep``: in a coroutine for the whole event loop.

    Args:
        name: What plans call it: ``{"point": [{"name": "after commit", "error": "OSError"}]}``.
    """
    if _ambient is not None and (runtime := _ambient()) is not None and runtime.faults is not None:
        runtime.faults.point(name)


def running_loop() -> EventLoop | None:
    """Return the event loop that the calling code runs in, or None."""
    import asyncio  # noqa: PLC0415 - see OsRuntime.new_event_loop

    # The one that does not raise: it is asked on every call, mostly outside.
    return asyncio._get_running_loop()  # noqa: SLF001 - exported, for those who implement loops


async def pause(seconds: float) -> None:
    """Let time go by for one coroutine."""
    import asyncio  # noqa: PLC0415 - see OsRuntime.new_event_loop

    await asyncio.sleep(seconds)


def lock_types() -> tuple[type, type]:
    """What locks are that programs make for themselves, plain and reentrant, in the calling thread's world."""
    return type(threading.Lock()), type(threading.RLock())


def new_user_lock() -> object:
    """Make a lock of the kind that programs make for themselves."""
    return threading.Lock()


def new_user_rlock() -> object:
    """Make a reentrant one."""
    return threading.RLock()


def run_to_its_end(awaitable: Awaitable[object]) -> None:
    """Await something in an event loop of its own, in the calling thread."""
    import asyncio  # noqa: PLC0415 - as above

    asyncio.run(_awaited(awaitable))


async def _awaited(awaitable: Awaitable[object]) -> None:
    await awaitable


def process_context() -> Any:
    """The way to start processes that is safe in a program with threads: a fork server, or spawning where none is."""
    from multiprocessing import get_all_start_methods, get_context  # noqa: PLC0415 - few programs need it

    return get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")


def finish_loop(loop: EventLoop) -> None:
    """Bring a stopped event loop to its end.

    The tasks left in it are cancelled and awaited, its asynchronous generators and executor shut down, and the loop is
    closed. What a task raises on being cancelled goes to the loop's exception handler.
    """
    import asyncio  # noqa: PLC0415 - see OsRuntime.new_event_loop

    try:
        for _ in range(CANCELLATIONS):
            if tasks := asyncio.all_tasks(loop):
                loop.run_until_complete(_cancel(loop, tasks))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            if not asyncio.all_tasks(loop):
                return
    finally:
        loop.close()


async def _cancel(loop: EventLoop, tasks: set[asyncio.Task[object]]) -> None:
    import asyncio  # noqa: PLC0415 - see OsRuntime.new_event_loop

    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler(
                {"message": "a task failed as its loop ended", "exception": error, "task": task}
            )
