"""Importing inside a simulation: the lock of a module that is being imported belongs to a task, not to the real thread.

CPython's would let every task through, since all of them share one thread, and show modules that are not finished. Free
locks are taken without a scheduling point: which task imports a module first is no decision of its own, and whether a
module has been imported in an earlier execution must not change the steps of this one.
"""

from __future__ import annotations

import _thread
import importlib._bootstrap
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.task import DONE, Task
from routilux_sim.world import ready
from routilux_sim.world.sync import Waitable

__all__ = ["REPLACEMENTS", "at_import"]

at_import: Callable[[str], None] | None = None
"""Called with a module's name when it has been imported inside a simulation, if anybody wants to know."""

# Any: what is touched there is private, and its types are not told.
bootstrap: Any = importlib._bootstrap
_ModuleLock = bootstrap._ModuleLock
_acquire = _ModuleLock.acquire
_release = _ModuleLock.release


class _Importing(Waitable):
    """A module that is being imported in one execution."""

    kind = "import"
    __slots__ = ("count", "execution", "task")

    def __init__(self, kernel: Kernel, name: str) -> None:
        super().__init__()
        self.label = f"import of {name}"
        self.execution = kernel.number
        self.task: Task | None = None
        self.count = 0

    @property
    def owner(self) -> Task | None:
        """The task that imports the module."""
        return self.task


def _state(kernel: Kernel, lock: Any) -> _Importing:
    state: _Importing | None = lock.__dict__.get("_sim")
    if state is None or state.execution != kernel.number:
        state = lock._sim = _Importing(kernel, lock.name)
    return state


def acquire(self: Any) -> Any:
    """Replace ``_ModuleLock.acquire``."""
    kernel = here()
    if kernel is None:
        return _acquire(self)
    state = _state(kernel, self)
    me = kernel.current
    while state.task is not None and state.task is not me:
        if state.task.state is DONE or _leads_to(state.task, me):
            # As CPython does for threads that import each other's modules: better an unfinished module than a deadlock.
            raise bootstrap._DeadlockError(f"deadlock detected by {self!r}")
        state._wait(kernel, "import", None)
    state.task = me
    state.count += 1
    return True


def _leads_to(task: Task | None, me: Task | None) -> bool:
    """Whether ``task`` waits, over any number of imports, for ``me``."""
    while task is not None and isinstance(task.waits_for, _Importing):
        task = task.waits_for.task
        if task is me:
            return True
    return False


def release(self: Any) -> None:
    """Replace ``_ModuleLock.release``."""
    kernel = here()
    if kernel is None or "_sim" not in self.__dict__:
        _release(self)
        return
    state = _state(kernel, self)
    if state.task is not kernel.current:
        raise RuntimeError("cannot release un-acquired lock")
    state.count -= 1
    if not state.count:
        state.task = None
        if at_import is not None:
            at_import(self.name)
        state._wake(kernel, 1)


REPLACEMENTS: list[tuple[Any, str, Any]] = [
    # The locks inside the locks are real: they are never waited in here.
    (bootstrap, "_thread", SimpleNamespace(**ready.originals_of(_thread))),
    (_ModuleLock, "acquire", acquire),
    (_ModuleLock, "release", release),
]
"""Owner, name and what to put there while the simulated world is installed."""
