"""Simulated locks, conditions, events and semaphores.

Each operation is one scheduling point, before it takes effect. What cannot go on is not a candidate: a task that wants
a held lock is blocked, and is put back to waiting the moment another one takes the lock first, so that no choice is
spent on a task that would only find the lock held. Waiters are kept in the order in which they came, as CPython's
``Condition`` keeps them.

Outside a running simulation (results are often looked at afterwards) nothing here waits: what would block is an error.
"""

from __future__ import annotations

import _thread
import sys
from types import CodeType
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.kernel.task import BLOCKED

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore", "Waitable", "deadline_after"]


def deadline_after(kernel: Kernel, seconds: float | None) -> int | None:
    """The virtual instant ``seconds`` from now; None for no deadline."""
    return None if seconds is None else kernel.now + max(0, round(seconds * 1e9))


class Waitable:
    """Something to wait for: it has a label, the place that made it, and waiters.

    Attributes:
        label: Kind and ordinal, e.g. ``Lock-2``: the same in every execution of one schedule.
        site: Where it was made: code object and line.
    """

    kind = "object"
    __slots__ = ("__weakref__", "_waiters", "label", "site")

    def __init__(self) -> None:
        kernel = Kernel.active
        self.label = f"{self.kind}-{kernel.ordinal(self.kind)}" if kernel is not None else self.kind
        self.site = _site()
        self._waiters: list[Task] = []

    @property
    def owner(self) -> Task | None:
        """The task that must act for waiters to go on, where there is one."""
        return None

    def _wait(self, kernel: Kernel, op: str, deadline: int | None) -> bool:
        me = kernel.current
        assert me is not None  # noqa: S101 - here() has seen to it
        self._waiters.append(me)
        woken = kernel.block(op, self, deadline)
        # Still listed when its time ran out, or when it was woken by something else than this object.
        while me in self._waiters:
            self._waiters.remove(me)
        return woken

    def _wake(self, kernel: Kernel, count: int) -> None:
        """Let the first ``count`` waiters go on; one whose time has just run out does not count."""
        waiters = self._waiters
        while waiters and count > 0:
            task = waiters.pop(0)
            if task.state is BLOCKED:
                kernel.wake(task)
                count -= 1

    def __repr__(self) -> str:
        return f"<simulated {self.label}>"


def _site() -> tuple[CodeType, int]:
    frame = sys._getframe(2)
    while frame.f_back is not None and _is_machinery(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def _is_machinery(module: str) -> bool:
    return module in _MACHINERY or module.startswith(("routilux_sim.", "asyncio."))


_MACHINERY = {"threading", "queue", "concurrent.futures.thread", "concurrent.futures._base"}


def _refuse(obj: Waitable, op: str) -> SimulationError:
    return SimulationError(
        f"{op} on {obj!r} would wait, but its simulation is not running; use it inside the simulated program"
    )


class Mutex(Waitable):
    """What `Lock` and `RLock` have in common: at most one task has it."""

    __slots__ = ("_contenders", "_held", "_owner")

    def __init__(self) -> None:
        super().__init__()
        self._held = 0
        self._owner: Task | None = None
        # Tasks that could take it as soon as they run.
        self._contenders: list[Task] = []

    @property
    def owner(self) -> Task | None:
        """The task that took it."""
        return self._owner

    def locked(self) -> bool:
        """Whether some task has it."""
        kernel = here()
        if kernel is not None:
            kernel.point("locked", self)
        return self._held > 0

    def stand_clear(self, kernel: Kernel) -> None:
        """Wait while some task has it, without taking it."""
        while self._held:
            self._wait(kernel, "acquire", None)
        self.forgo(kernel)

    def forgo(self, kernel: Kernel) -> None:
        """Note that the current task, which could take it, does not want it."""
        while kernel.current in self._contenders:
            self._contenders.remove(kernel.current)

    def _obtain(self, kernel: Kernel, blocking: bool, timeout: float) -> bool:
        """Take the mutex for the current task."""
        me = kernel.current
        if not self._held:
            # Not with a timeout: the clock holds no deadline for it yet, and `disable` would make it wait without one.
            if blocking and timeout < 0 and kernel.ready:
                self._contenders.append(me)  # type: ignore[arg-type] # here() has seen to it
            kernel.point("acquire", self)
        elif not blocking or timeout == 0:
            kernel.point("try-acquire", self)
        if self._held:
            if not blocking or timeout == 0:
                return False
            deadline = None if timeout < 0 else deadline_after(kernel, timeout)
            while self._held:
                if not self._wait(kernel, "acquire", deadline):
                    return False
        self._take(kernel, 1)
        return True

    def _take(self, kernel: Kernel, count: int) -> None:
        me = kernel.current
        self._held = count
        self._owner = me
        if self._contenders:
            for task in self._contenders:
                if task is not me:
                    kernel.disable(task, self)
                    self._waiters.append(task)
            self._contenders.clear()

    def _free(self, kernel: Kernel | None) -> None:
        self._held = 0
        self._owner = None
        if self._waiters and kernel is not None:
            timed_out = []
            for task in self._waiters:
                if task.state is BLOCKED:
                    kernel.wake(task)
                    self._contenders.append(task)
                else:
                    timed_out.append(task)
            self._waiters[:] = timed_out

    def _regain(self, kernel: Kernel, count: int) -> None:
        """Take the mutex back after waiting in a condition; a task that is being unwound takes it by force."""
        while self._held and not kernel.ending:
            self._wait(kernel, "reacquire", None)
        self._take(kernel, count)

    def adopt(self, kernel: Kernel, task: Task) -> None:
        """Let a blocked task, woken by a notify, wait for the mutex from now on."""
        kernel.promise(task)
        if self._held:
            task.op, task.obj, task.waits_for = "reacquire", self, self
            self._waiters.append(task)
        else:
            kernel.wake(task)

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it."""
        raise NotImplementedError

    def release(self) -> None:
        """Give it back."""
        raise NotImplementedError

    def _is_owned(self) -> bool:
        """Whether the current task may act as its owner."""
        raise NotImplementedError

    def _at_fork_reinit(self) -> None:
        """Become unlocked, in a forked child."""
        self._free(None)


def _check_timeout(blocking: bool, timeout: float) -> None:
    """Raise what a real lock raises, in the words of the running CPython; a free lock is had without waiting."""
    _thread.allocate_lock().acquire(blocking, timeout)


class Lock(Mutex):
    """``threading.Lock``: any task may release it."""

    kind = "Lock"
    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock."""
        if timeout != -1:
            _check_timeout(blocking, timeout)
        kernel = here()
        if kernel is not None:
            return self._obtain(kernel, blocking, timeout)
        if self._held:
            if not blocking:
                return False
            raise _refuse(self, "acquire()")
        self._held = 1
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Give the lock back, whoever has it."""
        kernel = here()
        if kernel is not None:
            kernel.point("release", self)
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._free(kernel)

    def _is_owned(self) -> bool:
        return self._held > 0


class RLock(Mutex):
    """``threading.RLock``: its owner may take it again, and nobody else may release it."""

    kind = "RLock"
    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, or count one more if one has it."""
        if timeout != -1:
            _check_timeout(blocking, timeout)
        kernel = here()
        if kernel is None:
            if self._held and self._owner is not None:
                raise _refuse(self, "acquire()")
            self._held += 1
            return True
        if self._held and self._owner is kernel.current:
            # Nobody can tell whether somebody else ran first: no scheduling point.
            self._held += 1
            return True
        return self._obtain(kernel, blocking, timeout)

    __enter__ = acquire

    def release(self) -> None:
        """Give the lock back once."""
        kernel = here()
        if not self._held or (kernel is not None and self._owner is not kernel.current):
            raise RuntimeError("cannot release un-acquired lock")
        if self._held > 1:
            self._held -= 1
            return
        if kernel is not None:
            kernel.point("release", self)
        self._free(kernel)

    def _is_owned(self) -> bool:
        kernel = here()
        return self._held > 0 and (kernel is None or self._owner is kernel.current)

    def _release_save(self) -> int:
        """Give the lock back however often it was taken, as conditions do."""
        count = self._held
        kernel = here()
        if kernel is not None:
            kernel.point("release", self)
        self._free(kernel)
        return count

    def _acquire_restore(self, count: int) -> None:
        """Undo `_release_save`."""
        self.acquire()
        self._held = count


class Condition(Waitable):
    """``threading.Condition`` over a simulated lock: waiters are notified in the order in which they came.

    A waiter that is notified does not become a candidate before the lock is free. Over a lock of somebody's own making,
    CPython's Condition is used as it is.
    """

    kind = "Condition"
    __slots__ = ("_lock", "acquire", "release")

    def __init__(self, lock: Any = None) -> None:
        super().__init__()
        self._lock: Mutex = RLock() if lock is None else lock
        self.acquire = self._lock.acquire
        self.release = self._lock.release

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Let the lock go, wait to be notified, and take the lock again; False when the time ran out."""
        if not self._lock._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        kernel = here()
        if kernel is None:
            raise _refuse(self, "wait()")
        kernel.point("wait", self)
        count = self._lock._held
        self._lock._free(kernel)
        try:
            if timeout is not None and timeout <= 0:
                kernel.give_way("wait")
                return False
            return self._wait(kernel, "wait", deadline_after(kernel, timeout))
        finally:
            self._lock._regain(kernel, count)

    def wait_for(self, predicate: Any, timeout: float | None = None) -> Any:
        """Wait until ``predicate()`` holds; return its last value."""
        kernel = here()
        if kernel is None:
            raise _refuse(self, "wait_for()")
        deadline = deadline_after(kernel, timeout)
        result = predicate()
        while not result:
            left = None if deadline is None else (deadline - kernel.now) / 1e9
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Let the first ``n`` waiters go on once the lock is free."""
        if not self._lock._is_owned():
            raise RuntimeError("cannot notify on un-acquired lock")
        kernel = here()
        if kernel is None:
            return
        kernel.point("notify", self)
        for task in self._waiters[:n]:
            # One whose time has run out but that has not run yet takes a notify with it, as in CPython.
            if task.state is BLOCKED:
                self._lock.adopt(kernel, task)
        del self._waiters[:n]

    def notify_all(self) -> None:
        """Let all waiters go on."""
        self.notify(len(self._waiters))

    notifyAll = notify_all  # noqa: N815 - CPython's deprecated name

    def _is_owned(self) -> bool:
        return self._lock._is_owned()

    def _release_save(self) -> int:
        count = self._lock._held
        if isinstance(self._lock, RLock):
            return self._lock._release_save()
        self._lock.release()
        return count

    def _acquire_restore(self, count: int) -> None:
        self._lock.acquire()
        self._lock._held = count


class Event(Waitable):
    """``threading.Event``."""

    kind = "Event"
    __slots__ = ("_flag",)

    def __init__(self) -> None:
        super().__init__()
        self._flag = False

    def is_set(self) -> bool:
        """Whether it has been set."""
        kernel = here()
        if kernel is not None:
            kernel.point("is_set", self)
        return self._flag

    isSet = is_set  # noqa: N815 - CPython's deprecated name

    def set(self) -> None:
        """Set it, and let everybody go on who waits for it."""
        kernel = here()
        if kernel is not None:
            kernel.point("set", self)
        self._flag = True
        if kernel is not None:
            self._wake(kernel, len(self._waiters))

    def clear(self) -> None:
        """Take it back."""
        kernel = here()
        if kernel is not None:
            kernel.point("clear", self)
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it was."""
        kernel = here()
        if kernel is None:
            if self._flag or timeout == 0:
                return self._flag
            raise _refuse(self, "wait()")
        kernel.point("wait", self)
        if self._flag:
            return True
        if timeout is not None and timeout <= 0:
            return False
        return self._wait(kernel, "wait", deadline_after(kernel, timeout))


class Semaphore(Waitable):
    """``threading.Semaphore``."""

    kind = "Semaphore"
    __slots__ = ("_initial", "_value")

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        super().__init__()
        self._value = value
        self._initial = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take one, waiting for it if there is none."""
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        kernel = here()
        if kernel is None:
            if not self._value:
                if blocking and timeout != 0:
                    raise _refuse(self, "acquire()")
                return False
            self._value -= 1
            return True
        kernel.point("acquire", self)
        deadline = deadline_after(kernel, timeout)
        while not self._value:
            if not blocking or (timeout is not None and timeout <= 0):
                return False
            if not self._wait(kernel, "acquire", deadline):
                return False
        self._value -= 1
        return True

    __enter__ = acquire

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def release(self, n: int = 1) -> None:
        """Give ``n`` back."""
        if n < 1:
            raise ValueError("n must be one or more")
        kernel = here()
        if kernel is not None:
            kernel.point("release", self)
        self._add(n)
        if kernel is not None:
            self._wake(kernel, n)

    def _add(self, n: int) -> None:
        self._value += n


class BoundedSemaphore(Semaphore):
    """``threading.BoundedSemaphore``."""

    kind = "BoundedSemaphore"
    __slots__ = ()

    def _add(self, n: int) -> None:
        if self._value + n > self._initial:
            raise ValueError("Semaphore released too many times")
        self._value += n
