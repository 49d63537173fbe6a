"""What the interpreter and asyncio keep for each operating-system thread: each simulated thread has its own.

That is the running event loop, the hooks of asynchronous generators, and how far coroutines note where they come from.
All simulated threads share one real one, so whoever gets control finds what it left there. Knows tasks and nothing of
the loops themselves; not used at all by a program without event loops, except that nothing from outside is seen inside.
"""

from __future__ import annotations

import sys
from asyncio import _get_running_loop, _set_running_loop
from typing import Any

from routilux_sim.kernel.task import Task

__all__ = ["Keeper", "put", "take"]

State = tuple[Any, Any, int]

FRESH: State = (None, (None, None), 0)
"""What a thread begins with."""


def _read() -> State:
    return (_get_running_loop(), sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth())


def put(state: State) -> None:
    """Make ``state`` that of the calling operating-system thread."""
    # Setting it, even to what it is, raises audit events, which cost more than looking.
    if state == _read():
        return
    loop, hooks, depth = state
    _set_running_loop(loop)
    sys.set_asyncgen_hooks(*hooks)
    sys.set_coroutine_origin_tracking_depth(depth)


def take() -> State:
    """Return the state of the calling operating-system thread, and leave it a fresh one."""
    state = _read()
    if state != FRESH:
        put(FRESH)
    return state


class Keeper:
    """Gives each task its own state.

    Args:
        task: The one that has control now.
    """

    def __init__(self, task: Task | None) -> None:
        self._saved: dict[Task, State] = {}
        self._holder = task

    def enter(self, task: Task | None) -> None:
        """Put what ``task`` left behind in place; None: the simulation is left."""
        holder = self._holder
        if task is holder:
            return
        self._holder = task
        state = _read()
        if holder is not None and state != FRESH:
            self._saved[holder] = state
        following = FRESH if task is None else self._saved.pop(task, FRESH)
        if following != state:
            put(following)
