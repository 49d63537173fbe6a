"""Conditions, events and semaphores: the methods of ``threading``'s own classes, replaced.

So subclasses from anywhere, names imported beforehand and objects made before the simulation are simulated as well.
Each operation is one scheduling point, and not CPython's choreography of locks, so that the points are the same on
every Python. What tasks wait in hangs on the object for the length of an execution; flag and value stay where CPython
keeps them. Waiters are notified in the order in which they came, as CPython's ``Condition`` does.

A condition over a lock of somebody's own making is CPython's as it is, on the simulated locks that it makes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.errors import EscapeError
from routilux_sim.kernel.faults import Faults
from routilux_sim.kernel.task import BLOCKED
from routilux_sim.world.sync import Waitable, deadline_after, mutex_of, refuse, site_of_caller

__all__ = ["REPLACEMENTS", "Side", "side_of"]

_Condition = threading.Condition
_Event = threading.Event
_Semaphore = threading.Semaphore
_Bounded = threading.BoundedSemaphore

_condition_init = _Condition.__init__
_condition_text = _Condition.__repr__
_condition_wait = _Condition.wait
_condition_wait_for = _Condition.wait_for
_condition_notify = _Condition.notify
_condition_notify_all = _Condition.notify_all
_event_init = _Event.__init__
_event_is_set = _Event.is_set
_event_set = _Event.set
_event_clear = _Event.clear
_event_wait = _Event.wait
_semaphore_init = _Semaphore.__init__
_semaphore_acquire = _Semaphore.acquire
_semaphore_release = _Semaphore.release
_bounded_init = _Bounded.__init__
_bounded_release = _Bounded.release


class Side(Waitable):
    """What tasks wait in, of one object in one execution.

    Args:
        kernel: The execution.
        kind: What the object is called in labels.
        site: Where the object was made.
    """

    __slots__ = ("execution", "kind")

    def __init__(self, kernel: Kernel, kind: str, site: Any = None) -> None:
        self.execution = kernel.number
        self.kind = kind
        super().__init__(site)

    # In the place of the condition that CPython's methods use: they run once the simulation is over.

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *exc_info: object) -> None:
        """Nobody else is there any more."""

    def wait(self, timeout: float | None = None) -> bool:
        """Refuse to wait."""
        if timeout is not None and timeout <= 0:
            return False
        return self.refuse()

    def notify(self, n: int = 1) -> None:
        """Nobody waits any more."""

    def notify_all(self) -> None:
        """Nobody waits any more."""

    def _at_fork_reinit(self) -> None:
        """Nothing to reset in a forked child."""

    def refuse(self) -> NoReturn:
        """Raise what is raised for waiting outside a simulation."""
        raise refuse(self, "waiting")


def side_of(kernel: Kernel, obj: Any, kind: str) -> Side:
    """What tasks of this execution wait in on ``obj``."""
    side: Side | None = obj.__dict__.get("_sim")
    if side is None or side.execution != kernel.number:
        # Made before, so where is not known.
        side = obj.__dict__["_sim"] = Side(kernel, kind)
    return side


def _attach(kernel: Kernel, obj: Any, kind: str) -> Side:
    side = obj.__dict__["_sim"] = Side(kernel, kind, site_of_caller())
    return side


def _refuse_real_waiters(kernel: Kernel, condition: Any) -> None:
    """End the execution if a real thread waits in an object that was made before the simulation."""
    if type(condition) is not Side and condition._waiters:
        kernel.stop(
            EscapeError(
                f"a real thread waits in {condition!r}, which was made before the simulation, and cannot be woken from "
                "inside it: start that thread in the simulated program"
            )
        )


# Condition


def condition_init(self: Any, lock: Any = None) -> None:
    """Replace ``Condition.__init__``."""
    _condition_init(self, lock)
    kernel = here()
    if kernel is not None and mutex_of(kernel, self._lock) is not None:
        # What CPython's wait() begins with, once the simulation is over.
        self._release_save = partial(_release_save, self._lock, _attach(kernel, self, "Condition"))


def _release_save(lock: Any, side: Side) -> Any:
    if here() is None:
        side.refuse()
    return getattr(lock, "_release_save", lock.release)()


def condition_text(self: Any) -> str:
    """Replace ``Condition.__repr__``: it counts those who wait."""
    kernel = here()
    if kernel is None or mutex_of(kernel, self._lock) is None:
        return str(_condition_text(self))
    return f"<Condition({self._lock!r}, {len(side_of(kernel, self, 'Condition')._waiters)})>"


def condition_wait(self: Any, timeout: float | None = None) -> Any:
    """Replace ``Condition.wait``: let the lock go, wait to be notified, and take the lock again."""
    kernel = here()
    if kernel is None:
        return _condition_wait(self, timeout)
    mutex = mutex_of(kernel, self._lock)
    if mutex is None:
        return _condition_wait(self, timeout)
    if mutex._owner is not kernel.current:
        kernel.touch("locked", mutex)
    if not mutex._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    side = side_of(kernel, self, "Condition")
    kernel.point("wait", side)
    count = mutex._held
    mutex._free(kernel)
    if kernel.trace is not None:
        kernel.touch("release", mutex)
    try:
        if timeout is not None and timeout <= 0:
            kernel.give_way("wait")
            kernel.poll(side)
            return False
        deadline = deadline_after(kernel, timeout)
        if kernel.faults is not None:
            return _wait_with_faults(kernel, kernel.faults, side, deadline)
        return side._wait(kernel, "wait", deadline)
    finally:
        mutex._regain(kernel, count)
        if kernel.trace is not None:
            kernel.touch("reacquire", mutex)


def _wait_with_faults(kernel: Kernel, faults: Faults, side: Side, deadline: int | None) -> bool:
    """Wait to be notified, or until a spurious wake-up, which cannot be told from a notify."""
    after = faults.spurious(side)
    if after is None or (deadline is not None and deadline <= kernel.now + after):
        return side._wait(kernel, "wait", deadline)
    if after:
        side._wait(kernel, "wait", kernel.now + after)
    else:
        kernel.give_way("wait")
    return True


def condition_wait_for(self: Any, predicate: Any, timeout: float | None = None) -> Any:
    """Replace ``Condition.wait_for``: its deadline is exact to the nanosecond."""
    kernel = here()
    if kernel is None or mutex_of(kernel, self._lock) is None:
        return _condition_wait_for(self, predicate, timeout)
    deadline = deadline_after(kernel, timeout)
    result = predicate()
    while not result:
        left = None if deadline is None else (deadline - kernel.now) / 1e9
        if left is not None and left <= 0:
            break
        self.wait(left)
        result = predicate()
    return result


def condition_notify(self: Any, n: int = 1) -> None:
    """Replace ``Condition.notify``: let the first ``n`` waiters go on once the lock is free."""
    kernel = here()
    if kernel is None:
        _condition_notify(self, n)
        return
    mutex = mutex_of(kernel, self._lock)
    if mutex is None:
        _condition_notify(self, n)
        return
    if mutex._owner is not kernel.current:
        kernel.touch("locked", mutex)
    if not mutex._is_owned():
        raise RuntimeError("cannot notify on un-acquired lock")
    side = side_of(kernel, self, "Condition")
    kernel.point("notify", side)
    _refuse_real_waiters(kernel, self)
    for task in side._waiters[:n]:
        # One whose time has run out but that has not run yet takes a notify with it, as in CPython.
        if task.state is BLOCKED:
            mutex.adopt(kernel, task)
    del side._waiters[:n]


def condition_notify_all(self: Any) -> None:
    """Replace ``Condition.notify_all``."""
    kernel = here()
    if kernel is None or mutex_of(kernel, self._lock) is None:
        _condition_notify_all(self)
    else:
        self.notify(len(side_of(kernel, self, "Condition")._waiters))


# Event


def event_init(self: Any) -> None:
    """Replace ``Event.__init__``."""
    kernel = here()
    if kernel is None:
        _event_init(self)
        return
    self._flag = False
    self._cond = _attach(kernel, self, "Event")


def event_is_set(self: Any) -> bool:
    """Replace ``Event.is_set``."""
    kernel = here()
    if kernel is not None:
        side = side_of(kernel, self, "Event")
        kernel.point("is_set", side)
        if self._flag and kernel.edges is not None:
            kernel.edges.acquire("event", side)
    return self._flag  # type: ignore[no-any-return]


def event_set(self: Any) -> None:
    """Replace ``Event.set``: let everybody go on who waits for it."""
    kernel = here()
    if kernel is None:
        _event_set(self)
        return
    side = side_of(kernel, self, "Event")
    kernel.point("set", side)
    _refuse_real_waiters(kernel, self._cond)
    self._flag = True
    if kernel.edges is not None:
        kernel.edges.release("event", side)
    side._wake(kernel, len(side._waiters))


def event_clear(self: Any) -> None:
    """Replace ``Event.clear``."""
    kernel = here()
    if kernel is not None:
        kernel.point("clear", side_of(kernel, self, "Event"))
        self._flag = False
    else:
        _event_clear(self)


def event_wait(self: Any, timeout: float | None = None) -> bool:
    """Replace ``Event.wait``."""
    kernel = here()
    if kernel is None:
        return _event_wait(self, timeout)
    side = side_of(kernel, self, "Event")
    is_set = _until_set(kernel, self, side, timeout)
    if is_set and kernel.edges is not None:
        kernel.edges.acquire("event", side)
    return is_set


def _until_set(kernel: Kernel, event: Any, side: Side, timeout: float | None) -> bool:
    kernel.point("wait", side)
    if event._flag:
        return True
    if timeout is not None and timeout <= 0:
        kernel.poll(side)
        return bool(event._flag)
    return side._wait(kernel, "wait", deadline_after(kernel, timeout))


# Semaphore


def semaphore_init(self: Any, value: int = 1) -> None:
    """Replace ``Semaphore.__init__``."""
    kernel = here()
    if kernel is None:
        _semaphore_init(self, value)
        return
    if value < 0:
        raise ValueError("semaphore initial value must be >= 0")
    self._value = value
    self._cond = _attach(kernel, self, "Semaphore")


def bounded_init(self: Any, value: int = 1) -> None:
    """Replace ``BoundedSemaphore.__init__``."""
    kernel = here()
    if kernel is None:
        _bounded_init(self, value)
        return
    if value < 0:
        raise ValueError("semaphore initial value must be >= 0")
    self._value = self._initial_value = value
    self._cond = _attach(kernel, self, "BoundedSemaphore")


def _kind(semaphore: Any) -> str:
    return "BoundedSemaphore" if isinstance(semaphore, _Bounded) else "Semaphore"


def semaphore_acquire(self: Any, blocking: bool = True, timeout: float | None = None) -> bool:
    """Replace ``Semaphore.acquire``: take one, waiting for it if there is none."""
    kernel = here()
    if kernel is None:
        return _semaphore_acquire(self, blocking, timeout)
    if not blocking and timeout is not None:
        raise ValueError("can't specify timeout for non-blocking acquire")
    side = side_of(kernel, self, _kind(self))
    kernel.point("acquire", side)
    deadline = deadline_after(kernel, timeout)
    while not self._value:
        # Not a poll as the others are: executors ask in this way, and do not wait, whether a worker is idle.
        if not blocking or (timeout is not None and timeout <= 0):
            return False
        if not side._wait(kernel, "acquire", deadline):
            return False
    self._value -= 1
    if kernel.edges is not None:
        kernel.edges.acquire("semaphore", side)
    return True


def semaphore_release(self: Any, n: int = 1) -> None:
    """Replace ``Semaphore.release``."""
    kernel = here()
    if kernel is None:
        _semaphore_release(self, n)
    else:
        _give(kernel, self, n, None)


def bounded_release(self: Any, n: int = 1) -> None:
    """Replace ``BoundedSemaphore.release``."""
    kernel = here()
    if kernel is None:
        _bounded_release(self, n)
    else:
        _give(kernel, self, n, self._initial_value)


def _give(kernel: Kernel, semaphore: Any, n: int, limit: int | None) -> None:
    if n < 1:
        raise ValueError("n must be one or more")
    side = side_of(kernel, semaphore, _kind(semaphore))
    kernel.point("release", side)
    _refuse_real_waiters(kernel, semaphore._cond)
    if limit is not None and semaphore._value + n > limit:
        raise ValueError("Semaphore released too many times")
    semaphore._value += n
    if kernel.edges is not None:
        kernel.edges.release("semaphore", side)
    side._wake(kernel, n)


REPLACEMENTS: list[tuple[type, str, Callable[..., Any]]] = [
    (_Condition, "__init__", condition_init),
    (_Condition, "__repr__", condition_text),
    (_Condition, "wait", condition_wait),
    (_Condition, "wait_for", condition_wait_for),
    (_Condition, "notify", condition_notify),
    (_Condition, "notify_all", condition_notify_all),
    (_Event, "__init__", event_init),
    (_Event, "is_set", event_is_set),
    (_Event, "set", event_set),
    (_Event, "clear", event_clear),
    (_Event, "wait", event_wait),
    (_Semaphore, "__init__", semaphore_init),
    (_Semaphore, "acquire", semaphore_acquire),
    (_Semaphore, "__enter__", semaphore_acquire),
    (_Semaphore, "release", semaphore_release),
    (_Bounded, "__init__", bounded_init),
    (_Bounded, "release", bounded_release),
]
"""Class, name and what to put there while the simulated world is installed."""
