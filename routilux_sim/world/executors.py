"""Simulated executors and futures: CPython's own code, in single operations.

``concurrent.futures`` is written in Python, and its locks, conditions and queues are there to make each of its
operations one step. In a simulation a task is not interrupted between two scheduling points anyway. So the operations
keep CPython's code, and lose what it waits in: each is one point, and then happens.

What a pool's thread does between two calls is another matter in each version of CPython. Here it is in all of them what
it is from 3.12 on: a thread counts as idle when it finds nothing to do.
"""

from __future__ import annotations

import concurrent.futures.thread
import os
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import Kernel, active, here
from routilux_sim.kernel.errors import SimulationError, TaskKilled
from routilux_sim.world.sync import Waitable, deadline_after
from routilux_sim.world.threads import launch

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["give_back", "replacements"]

# Any: what is touched there is private, and its types are not told.
_pools: Any = concurrent.futures.thread
_base: Any = concurrent.futures._base
_Pool: Any = concurrent.futures.ThreadPoolExecutor
_Future: Any = concurrent.futures.Future

_future_init = _Future.__init__
_future_hash = _Future.__hash__
_future_cancel = _Future.cancel
_pool_init = _Pool.__init__
_submit = _Pool.submit
_shutdown = _Pool.shutdown
_adjust = _Pool._adjust_thread_count
_NO_LOCK = nullcontext()


# Futures


class _Side(Waitable):
    """Takes the place of a future's condition: there is nothing to lock, only to wait for.

    Attributes:
        runner: The task that makes the result, as far as that is known.
    """

    kind = "Future"
    __slots__ = ("runner",)

    def __init__(self) -> None:
        super().__init__()
        self.runner: Task | None = None

    @property
    def owner(self) -> Task | None:
        """The task that must act for waiters to go on."""
        return self.runner

    def acquire(self) -> bool:
        """Nothing to lock."""
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Nothing to unlock."""

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to unlock."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the future is done."""
        kernel = here()
        if kernel is None:
            raise SimulationError(f"{self!r} is not done, and its simulation is not running; use it inside the program")
        if timeout is not None and timeout <= 0:
            kernel.give_way("result")
            return False
        return self._wait(kernel, "result", deadline_after(kernel, timeout))

    def notify_all(self) -> None:
        """Let everybody go on who waits."""
        kernel = here()
        if kernel is not None:
            self._wake(kernel, len(self._waiters))


def initialize(self: Any) -> None:
    """Replace ``Future.__init__``: what waits for the future is simulated, and it has a number, see `hash_of`."""
    kernel = here()
    if kernel is None:
        _future_init(self)
        return
    self._condition = _Side()
    self._sim_hash = kernel.made["Future"]
    self._state = _base.PENDING
    self._result = self._exception = None
    self._waiters = []
    self._done_callbacks = []


def hash_of(self: Any) -> int:
    """Replace ``Future.__hash__``: ``as_completed`` makes sets, whose order must not be that of addresses."""
    number: int | None = self.__dict__.get("_sim_hash")
    return _future_hash(self) if number is None else number


def _operation(name: str) -> Callable[..., Any]:
    """A method of Future as one operation: a scheduling point, and what CPython does."""
    original = getattr(_Future, name)
    op = {"set_running_or_notify_cancel": "set_running"}.get(name, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        kernel = here()
        if kernel is not None and type(self._condition) is _Side:
            kernel.point(op, self._condition)
        return original(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = original.__doc__
    return method


_OPERATIONS = (
    "add_done_callback",
    "cancel",
    "cancelled",
    "done",
    "exception",
    "result",
    "running",
    "set_exception",
    "set_result",
    "set_running_or_notify_cancel",
)


def result_or_cancel(fut: Any, timeout: float | None = None) -> Any:
    """Replace what ``map`` calls for each result: one operation, since what is done cannot be cancelled any more."""
    try:
        try:
            return fut.result(timeout)
        finally:
            (_future_cancel if fut._state == _base.FINISHED else _Future.cancel)(fut)
    finally:
        # The future may hold the exception, whose traceback holds this frame.
        del fut


# Waiting for several futures


class _Signal(Waitable):
    """Takes the place of the event that ``wait`` and ``as_completed`` wait for."""

    kind = "Futures"
    __slots__ = ("_flag", "_is_new")

    def __init__(self) -> None:
        super().__init__()
        self._flag = False
        self._is_new = True

    def set(self) -> None:
        """Let whoever waits go on."""
        self._flag = True
        kernel = here()
        if kernel is not None:
            self._wake(kernel, len(self._waiters))

    def clear(self) -> None:
        """Take it back."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait; the first time is part of the operation that made it."""
        kernel = here()
        if kernel is None:
            raise SimulationError(f"{self!r} waits in its simulation only; use it inside the program")
        if not self._is_new:
            kernel.point("wait", self)
        self._is_new = False
        if self._flag:
            return True
        if timeout is not None and timeout <= 0:
            kernel.poll(self)
            return self._flag
        return self._wait(kernel, "wait", deadline_after(kernel, timeout))


def acquire_futures(self: Any, futures: Iterable[Any]) -> None:
    """Replace the constructor of what locks several futures at once: in the order of their numbers, not addresses."""
    self.futures = sorted(futures, key=hash)
    kernel = here()
    if kernel is not None:
        kernel.point("wait")


def _waiter_init(kind: Any) -> Callable[..., None]:
    original = kind.__init__

    def init(self: Any, num_pending_calls: int | None = None, stop_on_exception: bool = False) -> None:
        if here() is None:
            arguments = () if num_pending_calls is None else (num_pending_calls, stop_on_exception)
            original(self, *arguments)
            return
        self.event = _Signal()
        self.lock = _NO_LOCK
        self.finished_futures = []
        if num_pending_calls is not None:
            self.num_pending_calls = num_pending_calls
            self.stop_on_exception = stop_on_exception

    return init


# Pools


class _Box(Waitable):
    """Takes the place of a pool's queue."""

    kind = "Pool"
    __slots__ = ("_items", "kernel")

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        """Put an item; also called when a pool is forgotten, by whoever happens to forget it."""
        self._items.append(item)
        if active() is self.kernel:
            self._wake(self.kernel, 1)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item."""
        deadline = deadline_after(self.kernel, timeout)
        while not self._items:
            if not block or not self._wait(self.kernel, "take", deadline):
                raise queue.Empty
        return self._items.popleft()

    def get_nowait(self) -> Any:
        """Take the oldest item, or raise Empty."""
        return self.get(block=False)

    def qsize(self) -> int:
        """How many items there are."""
        return len(self._items)

    def empty(self) -> bool:
        """Whether there are none."""
        return not self._items


class _Idle:
    """Takes the place of the semaphore that counts idle threads."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: ARG002 - as CPython's
        """Take one if there is one; nobody waits for one."""
        if not self.count:
            return False
        self.count -= 1
        return True

    def release(self) -> None:
        """One more."""
        self.count += 1


class _Turn(Waitable):
    """Takes the place of a pool's lock: no scheduling point, but it does hold if a derived pool makes one under it."""

    kind = "PoolLock"
    __slots__ = ("_holder",)

    def __init__(self) -> None:
        super().__init__()
        self._holder: Task | None = None

    @property
    def owner(self) -> Task | None:
        """The task whose turn it is."""
        return self._holder

    def acquire(self) -> bool:
        """Wait for a turn."""
        kernel = here()
        if kernel is not None:
            while self._holder is not None:
                self._wait(kernel, "acquire", None)
            self._holder = kernel.current
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Let another one have its turn."""
        self._holder = None
        kernel = here()
        if kernel is not None and self._waiters:
            self._wake(kernel, 1)

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class _GlobalLock:
    """Takes the place of the module's lock: real for real threads; nothing to lock for simulated ones."""

    def __init__(self, real: Any) -> None:
        self._real = real
        # What forking calls.
        self._at_fork_reinit = real._at_fork_reinit

    def acquire(self) -> bool:
        """Lock for real threads."""
        return here() is not None or bool(self._real.acquire())

    __enter__ = acquire

    def release(self) -> None:
        """Unlock for real threads."""
        if here() is None:
            self._real.release()

    def __exit__(self, *exc_info: object) -> None:
        self.release()


def pool_init(
    self: Any, max_workers: int | None = None, thread_name_prefix: str = "", initializer: Any = None, initargs: Any = ()
) -> None:
    """Replace ``ThreadPoolExecutor.__init__``."""
    kernel = here()
    is_wrong = max_workers is not None and max_workers <= 0
    if kernel is None or is_wrong or not (initializer is None or callable(initializer)):
        _pool_init(self, max_workers, thread_name_prefix, initializer, initargs)
        return
    if max_workers is None:
        processors = getattr(os, "process_cpu_count", os.cpu_count)() or 1
        max_workers = min(32, processors + 4)
    self._max_workers = max_workers
    self._broken = self._shutdown = False
    self._thread_name_prefix = thread_name_prefix or f"ThreadPoolExecutor-{self._counter()}"
    self._initializer = initializer
    self._initargs = initargs
    _furnish(kernel, self)


def _furnish(kernel: Kernel, pool: Any) -> None:
    pool._work_queue = _Box(kernel)
    pool._idle_semaphore = _Idle()
    pool._shutdown_lock = _Turn()
    pool._threads = set()


_STATE = ("_work_queue", "_idle_semaphore", "_shutdown_lock", "_threads", "_shutdown", "_broken")


class _Borrowed:
    """A pool that was made before the execution that uses it: inside, it is as good as new, with no thread started."""

    def __init__(self, kernel: Kernel, pool: Any) -> None:
        self.pool = pool
        self._other = {name: getattr(pool, name) for name in _STATE}
        _furnish(kernel, pool)

    def swap(self) -> None:
        """Put in what the pool has outside, or inside again."""
        other = self._other
        self._other = {name: getattr(self.pool, name) for name in _STATE}
        vars(self.pool).update(other)


def _box_of(kernel: Kernel, pool: Any) -> Any:
    """The queue of a pool in this execution."""
    box = pool._work_queue
    if type(box) is not _Box or box.kernel is not kernel:
        borrowed = kernel.kept.get(id(pool))
        if borrowed is None:
            kernel.kept[id(pool)] = _Borrowed(kernel, pool)
        else:
            borrowed.swap()
    return pool._work_queue


def give_back(kernel: Kernel) -> None:
    """When an execution is left: pools that were made before it are again what they were; threads are forgotten."""
    for borrowed in kernel.kept.values():
        if isinstance(borrowed, _Borrowed) and getattr(borrowed.pool._work_queue, "kernel", None) is kernel:
            borrowed.swap()
    for thread, box in list(_pools._threads_queues.items()):
        # It would stay there for ever: the box knows the kernel, and the kernel the thread.
        if type(box) is _Box:
            del _pools._threads_queues[thread]


def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Replace ``ThreadPoolExecutor.submit``."""
    kernel = here()
    if kernel is not None:
        kernel.point("submit", _box_of(kernel, self))
    return _submit(self, fn, *args, **kwargs)


def shutdown(self: Any, wait: bool = True, *, cancel_futures: bool = False) -> None:
    """Replace ``ThreadPoolExecutor.shutdown``."""
    kernel = here()
    if kernel is not None:
        kernel.point("shutdown", _box_of(kernel, self))
    _shutdown(self, wait, cancel_futures=cancel_futures)


def adjust_thread_count(self: Any) -> None:
    """Replace what starts another thread if none is idle: starting it is part of the operation."""
    kernel = here()
    if kernel is None:
        _adjust(self)
        return
    if self._idle_semaphore.acquire(timeout=0):
        return
    number = len(self._threads)
    if number >= self._max_workers:
        return
    box = self._work_queue

    def forgotten(_: object) -> None:
        box.put(None)

    thread = threading.Thread(
        name=f"{self._thread_name_prefix or self}_{number}",
        target=work,
        args=(weakref.ref(self, forgotten), box, self._initializer, self._initargs),
    )
    launch(kernel, thread)
    self._threads.add(thread)
    _pools._threads_queues[thread] = box


def work(reference: Callable[[], Any], box: _Box, initializer: Any, initargs: Any) -> None:
    """Replace what a pool's threads run."""
    if initializer is not None and not _begin(reference, initializer, initargs):
        return
    kernel = box.kernel
    while True:
        kernel.point("take", box)
        if box.empty():
            pool = reference()
            if pool is not None:
                pool._idle_semaphore.release()
            del pool
        item = box.get()
        if item is not None:
            _run(kernel, item)
            del item
            continue
        pool = reference()
        if _pools._shutdown or pool is None or pool._shutdown:
            if pool is not None:
                pool._shutdown = True
            box.put(None)
            return
        del pool


def _begin(reference: Callable[[], Any], initializer: Any, initargs: Any) -> bool:
    try:
        initializer(*initargs)
    except TaskKilled:
        raise
    except BaseException:
        _base.LOGGER.critical("Exception in initializer:", exc_info=True)
        pool = reference()
        if pool is not None:
            pool._initializer_failed()
        return False
    return True


def _run(kernel: Kernel, item: Any) -> None:
    """Run a call. That it begins is an operation of its own: others may come between it and its taking."""
    future = item.future
    if type(future._condition) is _Side:
        future._condition.runner = kernel.current
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = item.fn(*item.args, **item.kwargs)
    except TaskKilled:
        raise
    except BaseException as error:  # noqa: BLE001 - it is the future's
        future.set_exception(error)
        # The exception's traceback holds this frame.
        del item, future
    else:
        future.set_result(result)


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    return [
        (_Future, "__init__", initialize),
        (_Future, "__hash__", hash_of),
        *((_Future, name, _operation(name)) for name in _OPERATIONS),
        (_base, "_result_or_cancel", result_or_cancel),
        (_base._AcquireFutures, "__init__", acquire_futures),
        *(
            (kind, "__init__", _waiter_init(kind))
            for kind in (_base._Waiter, _base._AsCompletedWaiter, _base._AllCompletedWaiter)
        ),
        (_Pool, "__init__", pool_init),
        (_Pool, "submit", submit),
        (_Pool, "shutdown", shutdown),
        (_Pool, "_adjust_thread_count", adjust_thread_count),
        (_pools, "_global_shutdown_lock", _GlobalLock(_pools._global_shutdown_lock)),
    ]
