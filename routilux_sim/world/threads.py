"""Simulated threads: ``threading.Thread``'s own methods, replaced, so that subclasses from anywhere are simulated too.

A thread started in a simulation is a task; its ``run`` and everything else about it stay CPython's.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.errors import TaskKilled
from routilux_sim.kernel.task import DONE, Task
from routilux_sim.kernel.trace import TASKS
from routilux_sim.world.sync import deadline_after

__all__ = [
    "THREAD_REPLACEMENTS",
    "TaskThread",
    "join_task",
    "launch",
    "mark_foreign",
    "module_replacements",
    "spawn_thread",
]

_init = threading.Thread.__init__
_hash = threading.Thread.__hash__
_repr = threading.Thread.__repr__
_start = threading.Thread.start
_join = threading.Thread.join
_is_alive = threading.Thread.is_alive
_current_thread = threading.current_thread
_get_ident = threading.get_ident
_get_native_id = threading.get_native_id
_enumerate = threading.enumerate


class TaskThread:
    """A started task, as `routilux.abc.Thread`."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    def join(self, timeout: float | None = None) -> None:
        """Wait until the task has ended."""
        kernel = here()
        if kernel is not None:
            join_task(kernel, self._task, timeout)

    def is_alive(self) -> bool:
        """True until the task has ended."""
        return self._task.state is not DONE


def join_task(kernel: Kernel, task: Task, timeout: float | None) -> None:
    """Wait until ``task`` has ended, at most ``timeout`` virtual seconds."""
    _wait_for_end(kernel, task, timeout)
    if kernel.edges is not None and task.state is DONE:
        kernel.edges.acquire("end", task)


def _wait_for_end(kernel: Kernel, task: Task, timeout: float | None) -> None:
    kernel.point("join", task)
    if task.state is DONE:
        if timeout is not None and timeout <= 0:
            kernel.touch("poll", task)
        return
    if timeout is not None and timeout <= 0:
        kernel.touch("poll", task)
        kernel.poll(task)
        return
    me = kernel.current
    assert me is not None  # noqa: S101 - here() has seen to it
    task.joiners.append(me)
    if not kernel.block("join", task, deadline_after(kernel, timeout)) and me in task.joiners:
        task.joiners.remove(me)


def spawn_thread(kernel: Kernel, target: Callable[[], Any], name: str, daemon: bool = True) -> TaskThread:
    """Start a task that runs ``target``."""
    kernel.point("start")
    return TaskThread(kernel.spawn(target, name, daemon))


def initialize(self: threading.Thread, *args: Any, **kwargs: Any) -> None:
    """Replace ``Thread.__init__``: number the thread, see `hash_of`."""
    kernel = here()
    if kernel is not None:
        self._sim_hash = kernel.ordinal("Thread")  # type: ignore[attr-defined]
        # Names are counted.
        kernel.touch("name", TASKS)
    _init(self, *args, **kwargs)


def hash_of(self: threading.Thread) -> int:
    """Replace ``Thread.__hash__``: executors keep their threads in a set, whose order must not be that of addresses."""
    number: int | None = self.__dict__.get("_sim_hash")
    return _hash(self) if number is None else number


def start(self: threading.Thread) -> None:
    """Replace ``Thread.start``."""
    kernel = here()
    if kernel is None:
        _start(self)
        return
    if not self._initialized:  # type: ignore[attr-defined]
        raise RuntimeError("thread.__init__() not called")
    kernel.touch("look", self)
    if self._started._flag:  # type: ignore[attr-defined]
        raise RuntimeError("threads can only be started once")
    kernel.point("start")
    launch(kernel, self)


def launch(kernel: Kernel, self: threading.Thread) -> None:
    """Start a thread, as part of some operation."""
    usual_hook = kernel.usual_excepthook
    task = kernel.spawn(lambda: _run(self, usual_hook), self.name, self.daemon)
    task.thread = self
    self._sim_task = task  # type: ignore[attr-defined]
    self._ident = task.number  # type: ignore[attr-defined]
    self._native_id = task.number  # type: ignore[attr-defined]
    self._started._flag = True  # type: ignore[attr-defined] # no scheduling point: starting is one operation
    kernel.touch("launch", self)


def _run(thread: threading.Thread, usual_hook: Any) -> None:
    """Run a thread's body as CPython does; ``usual_hook`` is what uncaught exceptions go to unless a program objects.

    The usual hook only reports, and what it would report is a failure of the program. One that the program sets itself
    is the program's way of handling them.
    """
    try:
        thread.run()
    except TaskKilled:
        raise
    except BaseException as error:
        if threading.excepthook is usual_hook:
            if isinstance(error, SystemExit):
                return
            raise
        _call_hook(thread)
    finally:
        # Until 3.12 the mark that a thread has ended, for whoever asks it after the simulation.
        thread._is_stopped = True  # type: ignore[attr-defined]


def _call_hook(thread: threading.Thread) -> None:
    """Let the program's hook have what ended a thread, and another one of the program's what ended that hook."""
    try:
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))
    except Exception as error:
        if sys.excepthook is sys.__excepthook__:
            raise
        error.__suppress_context__ = True
        print("Exception in threading.excepthook:", file=sys.stderr, flush=True)  # noqa: T201 - CPython does
        sys.excepthook(type(error), error, error.__traceback__)


def text_of(self: threading.Thread) -> str:
    """Replace ``Thread.__repr__``: its words, about the task."""
    task: Task | None = self.__dict__.get("_sim_task")
    if task is None:
        return _repr(self)
    status = "stopped" if task.state is DONE else "started"
    daemon = " daemon" if self.daemon else ""
    return f"<{type(self).__name__}({self.name}, {status}{daemon} {self.ident})>"


def join(self: threading.Thread, timeout: float | None = None) -> None:
    """Replace ``Thread.join``."""
    kernel = here()
    task = _task_of(self)
    if kernel is None or (task is None and _is_real(self)):
        if task is None:
            _join(self, timeout)
        return
    # Who comes before its start is told so.
    kernel.touch("look", self)
    if task is None:
        raise RuntimeError("cannot join thread before it is started")
    if task is kernel.current:
        raise RuntimeError("cannot join current thread")
    join_task(kernel, task, timeout)


def _is_real(thread: Any) -> bool:
    """Whether CPython's own methods have something to say: about threads it has started, and half-made ones."""
    return not thread.__dict__.get("_initialized") or thread._started._flag


def is_alive(self: threading.Thread) -> bool:
    """Replace ``Thread.is_alive``."""
    kernel = here()
    task = _task_of(self)
    if task is None and (kernel is None or _is_real(self)):
        return _is_alive(self)
    if kernel is not None:
        kernel.point("is_alive", task)
        kernel.touch("look", self)
        # Somebody may have started it meanwhile.
        task = _task_of(self)
        if kernel.edges is not None and task is not None and task.state is DONE:
            kernel.edges.acquire("end", task)
    return task is not None and task.state is not DONE


def _task_of(thread: threading.Thread) -> Task | None:
    task: Task | None = thread.__dict__.get("_sim_task")
    if task is None:
        kernel = here()
        if kernel is not None and thread is _calling_thread():
            return kernel.caller
    return task


def _calling_thread() -> threading.Thread:
    """The real thread that runs the simulation, whichever task is running."""
    thread: threading.Thread = threading._active.get(_get_ident()) or threading.main_thread()  # type: ignore[attr-defined]
    return thread


def current_thread() -> threading.Thread:
    """Replace ``threading.current_thread``."""
    kernel = here()
    if kernel is None:
        return _current_thread()
    task = kernel.current
    assert task is not None  # noqa: S101 - here() has seen to it
    if task.thread is None:
        task.thread = _calling_thread() if task.is_caller else _stand_in(task)
    thread: threading.Thread = task.thread
    return thread


def mark_foreign(task: Task) -> None:
    """Note that ``threading`` knows nothing of a task before it asks who it is."""
    task.storage[id(_FOREIGN)] = _FOREIGN


def _is_foreign(task: Task) -> bool:
    return id(_FOREIGN) in task.storage


_FOREIGN = object()


def _stand_in(task: Task) -> threading.Thread:
    """A Thread object for a task that was not started through one."""
    kind: Any = threading._DummyThread if _is_foreign(task) else threading.Thread
    thread: threading.Thread = kind.__new__(kind)
    threading.Thread.__init__(thread, name=task.name, daemon=task.daemon)
    thread._sim_task = task  # type: ignore[attr-defined]
    thread._ident = thread._native_id = task.number  # type: ignore[attr-defined]
    thread._started._flag = True  # type: ignore[attr-defined]
    return thread


def get_ident() -> int:
    """Replace ``threading.get_ident``: the task's number, but the program's own task keeps its thread's."""
    kernel = here()
    if kernel is None or kernel.current is None or kernel.current.is_caller:
        return _get_ident()
    return kernel.current.number


def get_native_id() -> int:
    """Replace ``threading.get_native_id``."""
    return _get_native_id() if here() is None else get_ident()


def enumerate_threads() -> list[threading.Thread]:
    """Replace ``threading.enumerate``: inside a simulation, its threads alone."""
    kernel = here()
    if kernel is None:
        return _enumerate()
    kernel.point("enumerate", TASKS)
    tasks = [task for task in kernel.tasks if task.thread is not None or not _is_foreign(task)]
    for task in tasks:
        if task.thread is None:
            task.thread = _calling_thread() if task.is_caller else _stand_in(task)
    return [task.thread for task in tasks]


def active_count() -> int:
    """Replace ``threading.active_count``."""
    return len(enumerate_threads())


THREAD_REPLACEMENTS: dict[str, Callable[..., Any]] = {
    "__init__": initialize,
    "__hash__": hash_of,
    "__repr__": text_of,
    "start": start,
    "join": join,
    "is_alive": is_alive,
}
"""By name on ``threading.Thread``."""


def module_replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    rows = [
        (threading, "current_thread", current_thread),
        (threading, "get_ident", get_ident),
        (threading, "get_native_id", get_native_id),
        (threading, "enumerate", enumerate_threads),
        (threading, "active_count", active_count),
        (_thread, "get_ident", get_ident),
        (_thread, "get_native_id", get_native_id),
    ]
    for owner, name, function in rows:
        # Whoever lists a module's own names goes by this.
        function.__name__ = function.__qualname__ = name
        function.__module__ = vars(owner)[name].__module__
    return rows
