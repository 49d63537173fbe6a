"""Names a deadlock: who waits for what, who holds it, and the ring if there is one."""

from __future__ import annotations

from typing import Any

from routilux_sim.kernel.core import Kernel, label_of
from routilux_sim.kernel.errors import DeadlockError
from routilux_sim.kernel.task import BLOCKED, Task

__all__ = ["describe_deadlock"]


def describe_deadlock(kernel: Kernel) -> DeadlockError:
    """Describe why nothing can run; called from the driver, before the tasks are unwound."""
    stuck = [task for task in kernel.tasks if task.state is BLOCKED]
    cycle = _find_cycle(stuck)
    lines = [f"deadlock after {kernel.now / 1e9:g} virtual seconds: no task can go on and no deadline is coming"]
    lines += [f"  {_sentence(task)}" for task in stuck]
    if cycle:
        ring = " -> ".join(repr(task.name) for task in (*cycle, cycle[0]))
        lines.append(f"  each waits for the next: {ring}")
    return DeadlockError("\n".join(lines), tuple(stuck), tuple(cycle))


def _sentence(task: Task) -> str:
    text = f"task {task.name!r} waits to {_verb(task)}"
    holder = _holder(task)
    if holder is not None and not isinstance(task.waits_for, Task):
        text += f", held by {holder.name!r}" if holder is not task else ", which it holds itself"
    return text


def _verb(task: Task) -> str:
    obj = task.waits_for
    if obj is None:
        return task.op
    if isinstance(obj, Task):
        return f"join task {obj.name!r}"
    verbs = {
        "wait": "be notified by",
        "reacquire": "acquire",
        "select": "be called in",
        "result": "have the result of",
        "take": "get work from",
    }
    return f"{verbs.get(task.op, task.op)} {label_of(obj)}{_made_at(obj)}"


def _made_at(obj: Any) -> str:
    site = getattr(obj, "site", None)
    if site is None:
        return ""
    code, line = site
    return f" (made at {code.co_filename}:{line} in {code.co_qualname})"


def _holder(task: Task) -> Task | None:
    obj = task.waits_for
    if isinstance(obj, Task):
        return obj
    holder = getattr(obj, "owner", None)
    return holder if isinstance(holder, Task) else None


def _find_cycle(stuck: list[Task]) -> list[Task]:
    for start in stuck:
        path: list[Task] = []
        task: Task | None = start
        while task is not None and task not in path:
            path.append(task)
            task = _holder(task)
        if task is not None:
            return path[path.index(task) :]
    return []
