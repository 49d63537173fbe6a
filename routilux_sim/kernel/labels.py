"""What tasks and objects are called in labels: without line numbers, addresses or anything a Python version changes."""

from __future__ import annotations

from typing import Any

from routilux_sim.kernel.task import Task

__all__ = ["describe", "label_of"]


def describe(task: Task) -> str:
    """What a task is about to do, in words without addresses: ``acquire Lock-1``."""
    if task.obj is None:
        return task.op
    return f"{task.op} {label_of(task.obj)}"


def label_of(obj: Any) -> str:
    """The name by which labels call an object."""
    if isinstance(obj, Task):
        return obj.name
    label = getattr(obj, "label", None)
    return label if isinstance(label, str) else type(obj).__name__
