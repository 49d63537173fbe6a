"""Simulated locks, and what everything that tasks wait in has in common.

Each operation is one scheduling point, before it takes effect. What cannot go on is not a candidate: a task that wants
a held lock is blocked, and is put back to waiting the moment another one takes the lock first, so that no choice is
spent on a task that would only find the lock held. Waiters are kept in the order in which they came.

Outside a running simulation (results are often looked at afterwards) nothing here waits: what would block is an error.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import Kernel, active, here
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.kernel.task import BLOCKED
from routilux_sim.world.ready import Kind, Ready, ReadyLock, ReadyRLock, refuse_to_derive

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = [
    "Lock",
    "Mutex",
    "RLock",
    "Waitable",
    "deadline_after",
    "lock_twin",
    "mutex_of",
    "refuse",
    "rlock_twin",
    "site_of_caller",
]


def deadline_after(kernel: Kernel, seconds: float | None) -> int | None:
    """The virtual instant ``seconds`` from now; None for no deadline."""
    if seconds is None:
        return None
    # However short, it is not nothing: who waits out what is left of a time would else do so forever.
    return kernel.now + (max(1, round(seconds * 1e9)) if seconds > 0 else 0)


class Waitable:
    """Something to wait for: it has a label, the place that made it, and waiters.

    Attributes:
        label: Kind and ordinal, e.g. ``Lock-2``: the same in every execution of one schedule.
        site: Where it was made: code object and line; None if that was before the simulation.
        is_exclusive: Whether a task that has it keeps others from being candidates to take it.
    """

    kind = "object"
    is_exclusive = False
    __slots__ = ("__weakref__", "_waiters", "label", "site")

    def __init__(self, site: tuple[CodeType, int] | None = None) -> None:
        kernel = active()
        self.label = f"{self.kind}-{kernel.ordinal(self.kind)}" if kernel is not None else self.kind
        self.site = site
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


def site_of_caller() -> tuple[CodeType, int]:
    """The code object and line, outside the simulator and what it stands in for, that the caller was called from."""
    frame = sys._getframe(2)
    while frame.f_back is not None and _machinery[frame.f_globals.get("__name__", "")]:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


class _Machinery(dict[str, bool]):
    """Whether a module is none of the program's; asked for several frames with each object that is made."""

    def __missing__(self, module: str) -> bool:
        answer = self[module] = module in _STANDS_FOR or module.startswith(("routilux_sim.", "asyncio."))
        return answer


_STANDS_FOR = {"threading", "queue", "concurrent.futures.thread", "concurrent.futures._base"}
_machinery = _Machinery()


def refuse(obj: Waitable, op: str) -> SimulationError:
    """What is raised when ``op`` would have to wait for something outside a simulation."""
    return SimulationError(
        f"{op} on <simulated {obj.label}> would wait, but its simulation is not running; "
        "use it inside the simulated program"
    )


class Mutex(Waitable, metaclass=Kind):
    """What `Lock` and `RLock` have in common: at most one task has it."""

    __slots__ = ("_contenders", "_held", "_offer", "_owner", "_timed")
    real_type_name: str
    is_exclusive = True

    def __init__(self) -> None:
        super().__init__(site_of_caller())
        self._held = 0
        self._owner: Task | None = None
        # Tasks that have come to take it while it is free.
        self._contenders: list[Task] = []
        # While it is free, waiters are candidates: the kernel's mark for them. None: they are not.
        self._offer: int | None = None
        # How many of the waiters have a deadline.
        self._timed = 0

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
        if kernel.trace is not None:
            kernel.touch("pass", self)
        if kernel.edges is not None:
            kernel.edges.acquire("lock", self)

    def forgo(self, kernel: Kernel) -> None:
        """Note that the current task, which could take it, does not want it."""
        me = kernel.current
        for tasks in (self._contenders, self._waiters):
            while me in tasks:
                tasks.remove(me)

    def _wait(self, kernel: Kernel, op: str, deadline: int | None) -> bool:
        """Wait until it is free: whoever is woken stays listed until it has taken it, or forgone it."""
        me = kernel.current
        assert me is not None  # noqa: S101 - here() has seen to it
        self._waiters.append(me)
        if deadline is None:
            return kernel.block(op, self, None)
        self._timed += 1
        woken = kernel.block(op, self, deadline)
        self._timed -= 1
        if not woken and me in self._waiters:
            self._waiters.remove(me)
        return woken

    def _obtain(self, kernel: Kernel, blocking: bool, timeout: float) -> bool:
        """Take the mutex for the current task."""
        me = kernel.current
        if not self._held:
            # Not with a timeout: the clock holds no deadline for it yet, and `disable` would make it wait without one.
            if blocking and timeout < 0 and kernel.ready:
                self._contenders.append(me)  # type: ignore[arg-type] # here() has seen to it
            kernel.point("acquire", self)
            if kernel.trace is not None and (not blocking or timeout == 0):
                # It need not be free for that.
                kernel.touch("try-acquire", self)
        elif not blocking or timeout == 0:
            kernel.point("try-acquire", self)
        if self._held:
            if not blocking:
                return False
            if timeout == 0:
                kernel.poll(self)
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
        if kernel.edges is not None:
            kernel.edges.acquire("lock", self)
        if self._offer is not None:
            if me in self._waiters:
                self._waiters.remove(me)
            kernel.retract(self._waiters, self._offer)
            self._offer = None
        if self._contenders:
            for task in self._contenders:
                if task is not me:
                    kernel.disable(task, self)
                    self._waiters.append(task)
            self._contenders.clear()

    def _free(self, kernel: Kernel | None) -> None:
        if kernel is not None and kernel.edges is not None:
            kernel.edges.release("lock", self)
        self._held = 0
        self._owner = None
        if self._waiters and kernel is not None:
            if self._timed:
                # Those whose time has run out are candidates already.
                self._waiters[:] = [task for task in self._waiters if task.state is BLOCKED]
            self._offer = kernel.offer(self._waiters)

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
            if kernel.trace is not None:
                kernel.trace.pending[task.number] = "reacquire", self
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

    def __repr__(self) -> str:
        """What CPython writes, with the label for an address: a program's output is to be the same every time."""
        return f"<{'locked' if self._held else 'unlocked'} {self.real_type_name} object {self._state()}at {self.label}>"

    def _state(self) -> str:
        """What else is said about it."""
        return ""

    @property  # type: ignore[misc] # nobody sets it
    def __class__(self) -> type:
        """Whoever asks ``isinstance(lock, type(threading.Lock()))`` with a type from outside gets a yes."""
        return type(self).real_type or type(self)


def _check_timeout(blocking: bool, timeout: float) -> None:
    """Raise what a real lock raises, in the words of the running CPython; a free lock is had without waiting."""
    ReadyLock.make_real().acquire(blocking, timeout)


class Lock(Mutex):
    """``threading.Lock``: any task may release it."""

    kind = "Lock"
    __slots__ = ()
    real_type = ReadyLock.real_type
    real_type_name = "_thread.lock"

    def __init_subclass__(cls) -> None:
        refuse_to_derive()

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
            raise refuse(self, "acquire()")
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
    real_type = ReadyRLock.real_type
    real_type_name = "_thread.RLock"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, or count one more if one has it."""
        if timeout != -1:
            _check_timeout(blocking, timeout)
        kernel = here()
        if kernel is None:
            if self._held and self._owner is not None:
                raise refuse(self, "acquire()")
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
        if not count:
            raise RuntimeError("cannot release un-acquired lock")
        kernel = here()
        if kernel is not None:
            kernel.point("release", self)
        self._free(kernel)
        return count

    def _acquire_restore(self, count: int) -> None:
        """Undo `_release_save`."""
        self.acquire()
        self._held = count

    def _recursion_count(self) -> int:
        """How often the current task has taken it."""
        return self._held if self._is_owned() else 0

    def _state(self) -> str:
        owner = self._owner
        kernel = active()
        ident = 0 if owner is None else owner.number
        if owner is not None and owner.is_caller and kernel is not None:
            ident = kernel.thread_id
        return f"owner={ident} count={self._held} "


def mutex_of(kernel: Kernel, lock: Any) -> Mutex | None:
    """The simulated lock that stands for ``lock`` in an execution; None for a lock of somebody's own making."""
    kind = type(lock)
    if issubclass(kind, Mutex):
        return lock  # type: ignore[no-any-return] # just seen
    return lock.twin(kernel) if issubclass(kind, Ready) else None


def lock_twin(ready: ReadyLock) -> Lock:
    """What stands for a lock that was made before the simulation; held if that one is, by nobody inside."""
    lock = Lock()
    lock.site = ready.site
    lock._held = int(ready.real.locked())
    return lock


def rlock_twin(ready: ReadyRLock) -> RLock:
    """The same for a re-entrant lock; what the calling thread has taken, the program's own task has."""
    lock = RLock()
    lock.site = ready.site
    real = ready.real
    if real._is_owned():
        kernel = active()
        lock._owner = kernel.caller if kernel is not None else None
        lock._held = _count(real)
    elif real.acquire(blocking=False):
        real.release()
    else:
        lock._held = 1
    return lock


def _count(real: Any) -> int:
    """How often its owner has taken a real lock."""
    count = 0
    while real._is_owned():
        real.release()
        count += 1
    for _ in range(count):
        real.acquire()
    return count
