"""A simulated thread, and the greenlets that carry it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from sys import gettrace, settrace
from typing import TYPE_CHECKING, Any

import greenlet

if TYPE_CHECKING:
    from routilux_sim.kernel.core import Kernel

__all__ = ["BLOCKED", "DONE", "READY", "Carriers", "Task"]

READY = "ready"
BLOCKED = "blocked"
DONE = "done"


class Task:
    """A simulated thread.

    Attributes:
        number: Counts the tasks of an execution from 1, in the order in which they were made; the program's own is 1.
        name: For people and labels.
        daemon: Whether the program may end before it.
        is_caller: Whether it stands for the thread that runs the simulation: the program's own task.
        state: `READY` (also while it runs), `BLOCKED` or `DONE`.
        op, obj: What it is about to do, or waits in: an operation's name, and the object it works on.
        waits_for: While it waits, the object that must change for it to go on.
        woken: After a wait, whether somebody woke it; False when its deadline came.
        context: The context variables that it sees when it begins; None: none.
        thread: The ``threading.Thread`` that stands for it, once there is one.
        site: Where in the program it was about to access shared memory, the last time it did.
        quiet: Above 0 while it is inside what is one operation: no access to memory is a scheduling point then.
        polled: Its last look that found nothing: when, after how many clock readings, and at what.
        storage: What is local to it: `threading.local` and the like keep their data here.
    """

    __slots__ = (
        "body",
        "context",
        "daemon",
        "error",
        "greenlet",
        "is_caller",
        "joiners",
        "name",
        "number",
        "obj",
        "op",
        "polled",
        "quiet",
        "site",
        "state",
        "storage",
        "thread",
        "wait",
        "waits_for",
        "woken",
    )

    def __init__(self, number: int, name: str, body: Callable[[], Any], daemon: bool) -> None:
        self.number = number
        self.name = name
        self.body = body
        self.daemon = daemon
        self.is_caller = False
        self.state = READY
        self.greenlet: greenlet.greenlet | None = None
        self.context: Context | None = None
        self.op = "begin"
        self.obj: Any = None
        self.waits_for: Any = None
        self.woken = False
        # Tells one wait from the next, so that a deadline left in the clock finds out that it is stale.
        self.wait = 0
        self.error: BaseException | None = None
        self.joiners: list[Task] = []
        self.thread: Any = None
        self.site: Any = None
        self.quiet = 0
        self.polled: tuple[int, int, Any] = (-1, 0, None)
        self.storage: dict[int, Any] = {}

    def release(self) -> None:
        """Let go of what only a task that has not ended needs: the tape keeps those that have."""
        self.body = _nothing
        self.context = None
        self.storage.clear()
        self.thread = None

    def __repr__(self) -> str:
        return f"<task {self.number} {self.name!r} {self.state}>"


def _nothing() -> None:
    """Stand in for the body of a task that has ended."""


class Carriers:
    """Greenlets to run tasks on, kept for the next task when one ends: starting a fresh one costs ten times a switch.

    All belong to the operating-system thread that made this object, and their parent is its running greenlet.

    Attributes:
        idle: Those that wait for a task.
    """

    def __init__(self) -> None:
        self._home = greenlet.getcurrent()
        self.idle: list[greenlet.greenlet] = []

    def take(self) -> greenlet.greenlet:
        """A greenlet that runs the task that is switched to it; to be called by the home greenlet."""
        if self.idle:
            return self.idle.pop()
        return greenlet.greenlet(self._carry, self._home)

    def _carry(self, kernel: Kernel, task: Task) -> None:
        here = greenlet.getcurrent()
        while True:
            context = Context() if task.context is None else task.context
            context.run(kernel.run_task, task)
            task.greenlet = None
            self.idle.append(here)
            following = kernel.after(task)
            del task
            # Sleeps here until somebody has another task for this greenlet.
            kernel, task = kernel.leave_for(following)
            kernel.trace_anew()

    def close(self) -> None:
        """End the idle greenlets: they refer to this object, and nothing collects a greenlet that is asleep."""
        trace = gettrace()
        while self.idle:
            self.idle.pop().throw(greenlet.GreenletExit)
            # What traced the tasks that it ran is not what traces us.
            if gettrace() is not trace:
                settrace(trace)
