"""Tasks that still ran, or waited, when the program ended: daemon threads, and workers of pools nobody shut down."""

from __future__ import annotations

from typing import NamedTuple

from routilux_sim.judge.names import Names
from routilux_sim.judge.stacks import stack_lines, user_frames
from routilux_sim.judge.waits import wait_of
from routilux_sim.kernel.core import Kernel, describe
from routilux_sim.kernel.task import BLOCKED, Task

__all__ = ["LeftRunning", "left_running"]


class LeftRunning(NamedTuple):
    """A task that the end of the program cut short.

    Attributes:
        task: Its name.
        daemon: Whether it is a daemon.
        doing: What it waited for, or was about to do, e.g. ``could go on with release Lock-1``.
        stack: Where it was, the latest call last; empty if it had not begun, and when nothing was recorded.
    """

    task: str
    daemon: bool
    doing: str
    stack: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.task!r}{' (daemon)' if self.daemon else ''} {self.doing}"


def left_running(kernel: Kernel, stacks: bool) -> list[LeftRunning]:
    """Who was left; called from the driver, before the tasks are unwound.

    Args:
        kernel: Of a program that has ended.
        stacks: Whether to say where they were, which takes its time.
    """
    left = kernel.tasks
    if not left:
        return []
    names = Names([frame for task in left for frame in user_frames(task)]) if stacks else None
    return [
        LeftRunning(task.name, task.daemon, _doing(task, names), tuple(stack_lines(task)) if stacks else ())
        for task in left
    ]


def _doing(task: Task, names: Names | None) -> str:
    if task.state is not BLOCKED:
        return "had not begun" if task.greenlet is None else f"could go on with {describe(task)}"
    return f"waits in {describe(task)}" if names is None else wait_of(task, names)
