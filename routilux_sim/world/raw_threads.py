"""Threads started by ``_thread`` itself, beneath ``threading``: simulated tasks without a ``Thread`` of their own.

Those that 3.13 can join are started with a handle, which asks its task.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.errors import TaskKilled
from routilux_sim.kernel.task import DONE, Task
from routilux_sim.kernel.trace import TASKS
from routilux_sim.world.threads import join_task, mark_foreign

__all__ = ["replacements"]

# Any: what is touched there is private or new in 3.13, and its types are not told.
_real: Any = _thread
_start = _thread.start_new_thread
_start_joinable: Any = getattr(_real, "start_joinable_thread", None)
_RealHandle: Any = getattr(_real, "_ThreadHandle", None)
_count = _thread._count


def start_new_thread(*arguments: Any) -> int:
    """Replace ``_thread.start_new_thread``."""
    kernel = here()
    if kernel is None or not _can_start(*arguments):
        # CPython says what is wrong in its own words before it starts anything.
        return _start(*arguments)
    kernel.point("start")
    return _spawn(kernel, *arguments).number


def _can_start(function: Any = None, args: Any = None, kwargs: Any = None, *more: Any) -> bool:
    return callable(function) and isinstance(args, tuple) and isinstance(kwargs, dict | None) and not more


def _spawn(
    kernel: Kernel,
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    daemon: bool = True,
) -> Task:
    usual_hook = kernel.usual_unraisablehook
    # As `threading.current_thread` calls such threads.
    name = f"Dummy-{kernel.ordinal('Dummy')}"
    task = kernel.spawn(lambda: _run(function, args, kwargs or {}, usual_hook), name, daemon)
    mark_foreign(task)
    return task


def _run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], usual_hook: Any) -> None:
    """What a task does: as for `threads`, a hook that the program has set handles what is raised."""
    try:
        function(*args, **kwargs)
    except (TaskKilled, SystemExit) as error:
        if isinstance(error, TaskKilled):
            raise
    except BaseException as error:
        hook = sys.unraisablehook
        if hook is usual_hook:
            raise
        words = "Exception ignored in thread started by"
        if sys.version_info >= (3, 13):
            hook(_unraisable(type(error), error, error.__traceback__, f"{words} {function!r}", None))
        else:
            hook(_unraisable(type(error), error, error.__traceback__, words, function))


def _unraisable(*fields: Any) -> Any:
    """What hooks are called with: the interpreter has no name for the type, of which the usual hook takes no other."""
    kind: Any = next(kind for kind in tuple.__subclasses__() if kind.__name__ == "UnraisableHookArgs")
    return kind(fields)


def count() -> int:
    """Replace ``_thread._count``: the program's own thread does not count."""
    kernel = here()
    if kernel is None:
        return _count()
    kernel.point("count")
    kernel.touch("enumerate", TASKS)
    return sum(not task.is_caller for task in kernel.tasks)


class ThreadHandle:
    """Stands for ``_thread._ThreadHandle``, which is made as it always was by real threads."""

    def __new__(cls) -> Any:
        """Make one for a thread that is yet to be started."""
        return object.__new__(cls) if here() is not None else _RealHandle()

    def __init__(self) -> None:
        self._task: Task | None = None

    @property
    def ident(self) -> int:
        """The thread's identifier; 0 before it is started."""
        return 0 if self._task is None else self._task.number

    def _started(self) -> Task:
        if self._task is None:
            raise RuntimeError("thread not started")
        return self._task

    def is_done(self) -> bool:
        """Whether the thread has ended."""
        kernel = here()
        if kernel is not None:
            kernel.point("is_alive", self._task)
            kernel.touch("look", self)
            if kernel.edges is not None and self._task is not None and self._task.state is DONE:
                kernel.edges.acquire("end", self._task)
        return self._task is not None and self._task.state is DONE

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, at most ``timeout`` seconds; a negative number means no limit."""
        kernel = here()
        if kernel is not None:
            kernel.touch("look", self)
        task = self._started()
        if kernel is None:
            return
        if task is kernel.current:
            raise RuntimeError("Cannot join current thread")
        join_task(kernel, task, None if timeout is None or timeout < 0 else timeout)

    def _set_done(self) -> None:
        self._started()

    def __repr__(self) -> str:
        return f"<_ThreadHandle object: ident={self.ident}>"


def start_joinable_thread(function: Any, handle: Any = None, daemon: bool = True) -> Any:
    """Replace ``_thread.start_joinable_thread``."""
    kernel = here()
    if kernel is None or not callable(function) or not (handle is None or isinstance(handle, ThreadHandle)):
        return _start_joinable(function, handle=handle, daemon=daemon)
    if handle is None:
        handle = ThreadHandle()
    if handle._task is not None:
        raise RuntimeError("thread already started")
    kernel.point("start")
    handle._task = _spawn(kernel, function, daemon=daemon)
    kernel.touch("launch", handle)
    return handle


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    rows: list[tuple[Any, str, Any]] = [
        (_thread, "start_new_thread", start_new_thread),
        (_thread, "start_new", start_new_thread),
    ]
    rows.append((_thread, "_count", count))
    if _start_joinable is not None:
        rows += [(_thread, "start_joinable_thread", start_joinable_thread), (_thread, "_ThreadHandle", ThreadHandle)]
    return rows
