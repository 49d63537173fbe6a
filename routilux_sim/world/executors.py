"""Simulated thread pools: CPython's own ``submit`` and ``shutdown``, in single operations.

What a pool's thread does between two calls is another matter in each version of CPython. Here it is in all of them what
it is from 3.12 on: a thread counts as idle when it finds nothing to do. Everything else that programs see of a pool is
as they know it: derived classes, initializers, the names of threads, when another thread is started.
"""

from __future__ import annotations

import concurrent.futures.thread
import os
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import Kernel, active, here
from routilux_sim.kernel.errors import TaskKilled
from routilux_sim.kernel.task import DONE
from routilux_sim.world.futures import note_runner
from routilux_sim.world.sync import Waitable, deadline_after, refuse, site_of_caller
from routilux_sim.world.threads import launch

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["finish", "give_back", "registered", "replacements"]

# Any: what is touched there is private, and its types are not told.
_pools: Any = concurrent.futures.thread
_Pool: Any = concurrent.futures.ThreadPoolExecutor

_pool_init = _Pool.__init__
_submit = _Pool.submit
_shutdown = _Pool.shutdown
_adjust = _Pool._adjust_thread_count


class _Box(Waitable):
    """Takes the place of a pool's queue.

    Attributes:
        execution: The number of the one that it is for.
        pool: A weak reference to whose queue it is.
    """

    kind = "Pool"
    __slots__ = ("_items", "execution", "pool")

    def __init__(self, kernel: Kernel, pool: Any) -> None:
        super().__init__(site_of_caller())
        self.pool = weakref.ref(pool)
        self.execution = kernel.number
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        """Put an item; also called when a pool is forgotten, by whoever happens to forget it."""
        self._items.append(item)
        kernel = active()
        if kernel is not None and kernel.number == self.execution:
            kernel.touch("put", self)
            if kernel.edges is not None:
                kernel.edges.send("submit", self, item)
            self._wake(kernel, 1)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item."""
        kernel = here()
        deadline = None if kernel is None else deadline_after(kernel, timeout)
        while not self._items:
            if not block:
                raise queue.Empty
            if kernel is None:
                raise refuse(self, "get()")
            if not self._wait(kernel, "take", deadline):
                raise queue.Empty
        item = self._items.popleft()
        if kernel is not None and kernel.edges is not None:
            kernel.edges.receive("submit", self, item)
        return item

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
    pool._work_queue = _Box(kernel, pool)
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
    if type(box) is not _Box or box.execution != kernel.number:
        borrowed = kernel.kept.get(id(pool))
        if borrowed is None:
            kernel.kept[id(pool)] = _Borrowed(kernel, pool)
        else:
            borrowed.swap()
    return pool._work_queue


def registered() -> list[tuple[Any, Any]]:
    """The threads of all pools, with their queues, at one moment.

    Real threads make pools meanwhile, so the table is copied in one step of the interpreter's: iterating over a
    ``WeakKeyDictionary`` is many, and raises when it changes in between.
    """
    rows = [(reference(), queue) for reference, queue in _pools._threads_queues.data.copy().items()]
    return [(thread, queue) for thread, queue in rows if thread is not None]


def give_back(kernel: Kernel) -> None:
    """When an execution is left: pools that were made before it are again what they were; threads are forgotten."""
    for borrowed in kernel.kept.values():
        if isinstance(borrowed, _Borrowed) and getattr(borrowed.pool._work_queue, "execution", 0) == kernel.number:
            borrowed.swap()
    if not _pools._threads_queues:
        return
    for thread, box in registered():
        # It would stay there for ever if a task still waits in the box: the task knows the thread.
        if type(box) is _Box:
            del _pools._threads_queues[thread]


_finishing: set[int] = set()
"""The number of the execution whose program has ended; there is one at a time."""


def finish() -> None:
    """What happens to pools when a program ends, called inside it: threads finish what is queued, and are joined."""
    kernel = here()
    assert kernel is not None  # noqa: S101 - the program's own task calls this
    if not _pools._threads_queues:
        return
    ours: list[tuple[Any, _Box]] = [row for row in registered() if _is_alive_in(kernel, *row)]
    _finishing.add(kernel.number)
    try:
        for thread, box in ours:
            pool = box.pool()
            if pool is not None and thread._target is not _worker:
                # A derived pool's own way to start threads has them run CPython's code, which knows nothing of us.
                pool._shutdown = True
            box.put(None)
        for thread, _ in ours:
            thread.join()
    finally:
        _finishing.clear()


def _is_alive_in(kernel: Kernel, thread: threading.Thread, box: Any) -> bool:
    task = thread.__dict__.get("_sim_task")
    return type(box) is _Box and box.execution == kernel.number and task is not None and task.state is not DONE


def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Replace ``ThreadPoolExecutor.submit``."""
    kernel = here()
    if kernel is not None:
        kernel.point("submit", _box_of(kernel, self))
        if kernel.number in _finishing and not self._shutdown and not self._broken:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
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
        target=_worker,
        args=(weakref.ref(self, forgotten), box, self._initializer, self._initargs),
    )
    launch(kernel, thread)
    self._threads.add(thread)
    _pools._threads_queues[thread] = box


def _worker(reference: Callable[[], Any], work_queue: _Box, initializer: Any, initargs: Any) -> None:
    """What a pool's threads run."""
    if initializer is not None and not _begin(reference, initializer, initargs):
        return
    kernel = here()
    assert kernel is not None  # noqa: S101 - only simulated threads run this
    while True:
        kernel.point("take", work_queue)
        if work_queue.empty():
            pool = reference()
            if pool is not None:
                pool._idle_semaphore.release()
            del pool
        item = work_queue.get()
        if item is not None:
            _run(kernel, item)
            del item
            continue
        pool = reference()
        if kernel.number in _finishing or pool is None or pool._shutdown:
            if pool is not None:
                pool._shutdown = True
            work_queue.put(None)
            return
        del pool


def _begin(reference: Callable[[], Any], initializer: Any, initargs: Any) -> bool:
    try:
        initializer(*initargs)
    except TaskKilled:
        raise
    except BaseException:
        _pools._base.LOGGER.critical("Exception in initializer:", exc_info=True)
        pool = reference()
        if pool is not None:
            pool._initializer_failed()
        return False
    return True


def _run(kernel: Kernel, item: Any) -> None:
    """Run a call. That it begins is an operation of its own: others may come between it and its taking."""
    future = item.future
    note_runner(future, kernel.current)
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
        (_Pool, "__init__", pool_init),
        (_Pool, "submit", submit),
        (_Pool, "shutdown", shutdown),
        (_Pool, "_adjust_thread_count", adjust_thread_count),
        (_pools, "_global_shutdown_lock", _GlobalLock(_pools._global_shutdown_lock)),
    ]
