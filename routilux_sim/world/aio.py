"""Simulated event loops: CPython's own asyncio on the virtual clock.

Everything is asyncio's but what a loop waits in, which becomes one timed wait of its task in the kernel, and what would
differ from run to run by chance: the names of tasks, and the order of sets of tasks, futures and generators, which is
that of addresses. Input and output, other processes and signals are not simulated: asking a loop for them ends the
execution as inconclusive.

asyncio counts time in floating-point seconds. They are exact to the nanosecond in the first weeks of an execution, and
lose no timer after that.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import asyncio.tasks
import math
import sys
import threading
import warnings
from _thread import get_ident
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.errors import SimulationError, TaskKilled, TaskStuckError
from routilux_sim.world.escapes import NO_IO, guard
from routilux_sim.world.sync import Waitable, site_of_caller
from routilux_sim.world.thread_state import Keeper

__all__ = ["EventLoop", "replacements"]

_Policy = asyncio.events.BaseDefaultEventLoopPolicy
_new_event_loop = _Policy.new_event_loop
_all_tasks = asyncio.tasks.all_tasks
_as_completed = asyncio.tasks.as_completed
_eager_task_factory = getattr(asyncio, "eager_task_factory", None)


class _Selector(Waitable):
    """What a loop waits in: until its next timer, or until it is called from elsewhere."""

    kind = "EventLoop"
    __slots__ = ("_called", "_kernel", "_loop")

    def __init__(self, kernel: Kernel, loop: EventLoop) -> None:
        super().__init__(site_of_caller())
        self._kernel = kernel
        self._loop = loop
        self._called = False

    def call(self) -> None:
        """Let the wait that is under way, or the next one, end at once."""
        self._called = True
        if here() is self._kernel:
            self._kernel.touch("call", self)
            self._wake(self._kernel, 1)

    def select(self, timeout: float | None) -> list[object]:
        """Wait, at most ``timeout`` seconds; no file is ever ready."""
        kernel = self._kernel
        if here() is not kernel:
            raise SimulationError(f"{self!r} runs in its simulation only; use it inside the simulated program")
        deadline = self._deadline(timeout)
        if deadline is not None and deadline <= kernel.now:
            self._called = False
            kernel.give_way("poll")
            kernel.touch("select", self)
            self._see(kernel)
            return []
        kernel.point("select", self)
        if not self._called:
            self._wait(kernel, "select", deadline)
        self._called = False
        self._see(kernel)
        return []

    def _see(self, kernel: Kernel) -> None:
        """What the loop runs from now on comes after the calls that have asked for it."""
        if kernel.edges is not None:
            kernel.edges.acquire("call", self)

    def _deadline(self, timeout: float | None) -> int | None:
        """The instant of the next timer: asked itself, because ``timeout`` is a rounded difference."""
        if timeout is None:
            return None
        if timeout <= 0:
            return 0
        return round(self._loop._scheduled[0].when() * 1e9)


class _Task(asyncio.Task[Any]):
    """A task whose place in a set is that of its number."""

    def __init__(self, coro: Any, *, loop: EventLoop, **options: Any) -> None:
        self._number = loop._kernel.ordinal("asyncio.Future")
        super().__init__(coro, loop=loop, **options)
        _hide(self)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    """A future whose place in a set is that of its number."""

    def __init__(self, *, loop: EventLoop) -> None:
        self._number = loop._kernel.ordinal("asyncio.Future")
        super().__init__(loop=loop)
        _hide(self)

    def __hash__(self) -> int:
        return self._number


def _hide(future: Any) -> None:
    """In debug mode, futures say where they were made: not here."""
    if future._source_traceback:
        del future._source_traceback[-2:]


# As they are called in what asyncio says about them.
_Task.__name__ = _Task.__qualname__ = "Task"
_Future.__name__ = _Future.__qualname__ = "Future"


class _InOrder(WeakKeyDictionary[Any, None]):
    """A weak set in the order of adding."""

    def add(self, item: object) -> None:
        self[item] = None

    def discard(self, item: object) -> None:
        self.pop(item, None)


class EventLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time, for one task of ``kernel`` at a time."""

    _scheduled: list[asyncio.TimerHandle]
    _check_closed: Callable[[], None]
    _default_executor: Any
    _do_shutdown: Callable[[asyncio.Future[Any]], None]

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        super().__init__()
        self._selector = _Selector(kernel, self)
        self._asyncgens = _InOrder()
        if kernel.entering is None:
            kernel.entering = Keeper(kernel.current).enter
        kernel.at_end.append(self._wind_up)

    # Time

    def time(self) -> float:
        """Virtual seconds since the execution began."""
        kernel = self._kernel
        if here() is kernel:
            kernel.tick()
        return kernel.now / 1e9

    @property
    def _clock_resolution(self) -> float:
        """How early a timer may be: less than a nanosecond, or what floating-point numbers leave."""
        seconds = self._kernel.now / 1e9
        return 0.75e-9 + 4 * math.ulp(seconds)

    @_clock_resolution.setter
    def _clock_resolution(self, seconds: float) -> None:
        """The real clock's does not matter."""

    # Waiting

    def _process_events(self, event_list: list[object]) -> None:
        """Nothing happens to files."""

    def _write_to_self(self) -> None:
        self._selector.call()

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Call ``callback(*args)`` in the loop, from another simulated thread."""
        kernel = here()
        if kernel is not None:
            kernel.point("call", self._selector)
            if kernel.edges is not None:
                kernel.edges.release("call", self._selector)
        elif get_ident() != self._kernel.thread_id:
            raise SimulationError(f"{self._selector!r} is called from a real thread; start that one in the simulation")
        return super().call_soon_threadsafe(callback, *args, context=context)

    # Tasks

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future."""
        return _Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, **options: Any) -> asyncio.Task[Any]:
        """Make a task, named by its number in this execution if not otherwise."""
        if name is None:
            name = f"Task-{self._kernel.ordinal('asyncio.Task')}"
        factory = self.get_task_factory()
        if factory is None or factory is _eager_task_factory:
            self._check_closed()
            if factory is not None:
                options["eager_start"] = True
            return _Task(coro, loop=self, name=name, **options)
        return super().create_task(coro, name=name, **options)

    # Ends

    def close(self) -> None:
        """Close the loop; while the execution ends, only once the coroutines that are left have been unwound."""
        kernel = self._kernel
        if kernel.ending and self._wind_up in kernel.at_end:
            return
        super().close()
        if self._wind_up in kernel.at_end and not all_tasks(self):
            kernel.at_end.remove(self._wind_up)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Shut the default executor down: in each version of Python what it is from 3.13 on, in the same steps."""
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is None:
            return
        future = self.create_future()
        thread = threading.Thread(target=self._do_shutdown, args=(future,))
        thread.start()
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            message = f"The executor did not finishing joining its threads within {timeout} seconds."
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            executor.shutdown(wait=False)
        else:
            thread.join()

    def _wind_up(self) -> None:
        """At the end of the execution: unwind the coroutines that are left, inside the loop, then close it."""
        coroutines: list[Any] = [task.get_coro() for task in all_tasks(self)]
        asyncio._set_running_loop(self)
        try:
            for coroutine in coroutines:
                # Whatever it makes of its end is of no interest any more, but the others shall have theirs.
                with suppress(BaseException):
                    coroutine.close()
        finally:
            asyncio._set_running_loop(None)
        self.close()
        if unending := [coroutine for coroutine in coroutines if getattr(coroutine, "cr_frame", None) is not None]:
            self._keep(unending)

    def _keep(self, unending: list[Any]) -> None:
        """Keep coroutines that go on when they are closed, in a task that never ends: to let go of one closes it again.

        And then it has no loop that it could wait in, and may go round for ever.
        """
        kernel = self._kernel
        kernel.failure = kernel.failure or TaskStuckError(
            f"coroutine {unending[0].__qualname__!r} caught every attempt to end it"
        )
        while True:
            with suppress(TaskKilled):
                kernel.block("keep", unending)

    def call_exception_handler(self, context: Any) -> None:
        """Handle an error; that an execution ends under a loop's feet is none."""
        if not self._kernel.ending:
            super().call_exception_handler(context)

    def __del__(self) -> None:
        """A simulated loop has nothing of the system's to give back."""


_NOT_SIMULATED = (
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
    "sendfile",
    "start_tls",
    "getaddrinfo",
    "getnameinfo",
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_exec",
    "subprocess_shell",
    "add_signal_handler",
    "remove_signal_handler",
)

for _name in _NOT_SIMULATED:
    setattr(EventLoop, _name, guard(EventLoop, _name, f"{_name}() of an asyncio event loop", NO_IO))


def new_event_loop(self: Any) -> Any:
    """Replace the method of asyncio's policies."""
    kernel = here()
    return _new_event_loop(self) if kernel is None else EventLoop(kernel)


class _Current:
    """The event loop that a task has set; what policies keep in a ``threading.local``."""

    _loop = None
    _set_called = False


def _get_local(policy: Any) -> Any:
    kernel = here()
    if kernel is None or kernel.current is None:
        return policy.__dict__["_local"]
    current, _ = kernel.current.storage.setdefault(id(policy), (_Current(), policy))
    return current


def _set_local(policy: Any, local: object) -> None:
    policy.__dict__["_local"] = local


def all_tasks(loop: Any = None) -> set[asyncio.Task[Any]]:
    """Replace ``asyncio.all_tasks``: a set made in the order of numbers is in the same order every time."""
    tasks = _all_tasks(loop)
    if here() is None:
        return tasks
    in_order = sorted(tasks, key=hash)
    return set(in_order)


def as_completed(fs: Any, *, timeout: float | None = None) -> Any:
    """Replace ``asyncio.as_completed``, which makes a set of what may be coroutines."""
    if here() is None or not _is_plain_iterable(fs):
        return _as_completed(fs, timeout=timeout)
    if sys.version_info >= (3, 13):
        return _as_completed(_in_order(fs), timeout=timeout)
    return _as_completed_when_asked(fs, timeout)


def _as_completed_when_asked(fs: Iterable[Any], timeout: float | None) -> Iterator[Any]:
    """Until 3.12 it is a generator, which starts nothing before it is asked for something."""
    yield from _as_completed(_in_order(fs), timeout=timeout)


def _is_plain_iterable(fs: Any) -> bool:
    return not (asyncio.isfuture(fs) or asyncio.iscoroutine(fs)) and isinstance(fs, Iterable)


def _in_order(fs: Iterable[Any]) -> list[Any]:
    """Make futures of awaitables in the order in which they come, each once."""
    return [asyncio.ensure_future(awaitable) for awaitable in dict.fromkeys(fs)]


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    functions: list[Callable[..., Any]] = [all_tasks, as_completed]
    return [
        (_Policy, "new_event_loop", new_event_loop),
        (_Policy, "_local", property(_get_local, _set_local)),
        *((place, function.__name__, function) for place in (asyncio, asyncio.tasks) for function in functions),
    ]
