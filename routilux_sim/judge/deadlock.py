"""Names a deadlock: its cause, who waits for what, who holds it since where, the ring if there is one, all stacks."""

from __future__ import annotations

from routilux_sim.judge.causes import REMEDIES, Cause, Scene
from routilux_sim.judge.names import Names
from routilux_sim.judge.stacks import is_engines, stacks_of, user_frames
from routilux_sim.judge.waits import is_idle_worker, is_mutex, is_signal, pending_futures, runners, wait_of
from routilux_sim.judge.watch import memory_of
from routilux_sim.kernel.core import Kernel
from routilux_sim.kernel.errors import DeadlockError
from routilux_sim.kernel.task import BLOCKED, DONE, Task

__all__ = ["describe_deadlock"]

SHOWN = 50
"""Tasks that are told about one by one."""


def describe_deadlock(kernel: Kernel) -> DeadlockError:
    """Describe why nothing can run; called from the driver, before the tasks are unwound."""
    return _Report(kernel).error()


class _Report:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._stuck = [task for task in kernel.tasks if task.state is BLOCKED]
        self._names = Names([frame for task in self._stuck for frame in user_frames(task)])
        self._scene = Scene(self._stuck, self._names, memory_of(kernel))
        self._runners = runners(self._stuck)
        self._holders = {task: self._holder(task) for task in self._stuck}

    def error(self) -> DeadlockError:
        needed = self._needed()
        cycle = self._cycle(needed)
        cause = self._of_cycle(cycle) if cycle else self._root(needed)
        # In the order in which they were made, but the first to be left out are those that explain nothing.
        telling = set(list(dict.fromkeys([*cycle, *needed, *self._stuck]))[:SHOWN])
        shown = [task for task in self._stuck if task in telling]
        lines = [
            f"deadlock after {self._kernel.now / 1e9:g} virtual seconds: no task can go on and no deadline is coming",
            f"  {cause.name}: {cause.text}",
            f"  what to do: {REMEDIES[cause.name]}",
        ]
        lines += [f"  {self._sentence(task)}" for task in shown]
        if len(shown) < len(self._stuck):
            lines.append(f"  … and {len(self._stuck) - len(shown)} more tasks that wait")
        if cycle:
            ring = " -> ".join(repr(task.name) for task in (*cycle, cycle[0]))
            lines.append(f"  each waits for the next: {ring}")
        lines += stacks_of(shown)
        return DeadlockError("\n".join(lines), tuple(self._stuck), tuple(cycle), cause.name)

    def _holder(self, task: Task) -> Task | None:
        """The task that must act for this one to go on, where there is one."""
        obj = task.waits_for
        if isinstance(obj, Task):
            return obj
        for future in pending_futures(task):
            runner = self._runners.get(id(future))
            if runner is not None:
                return runner
        holder = getattr(obj, "owner", None)
        # Who has taken a lock itself to wait in it is waiting for a signal, not for itself.
        if not isinstance(holder, Task) or (holder is task and is_signal(task)):
            return None
        return holder

    def _needed(self) -> list[Task]:
        """Tasks whose wait keeps the program from ending, directly or not; all if that is not to be seen."""
        needed: dict[Task, None] = {}
        for start in self._stuck:
            task: Task | None = None if start.daemon or is_idle_worker(start) else start
            while task is not None and task not in needed and task in self._holders:
                needed[task] = None
                task = self._holders[task]
        if not needed or any(is_engines(task) for task in needed):
            needed.update(dict.fromkeys(task for task in self._stuck if not is_idle_worker(task)))
        return list(needed) or self._stuck

    def _cycle(self, tasks: list[Task]) -> list[Task]:
        seen: set[Task] = set()
        for start in tasks:
            path: dict[Task, None] = {}
            task: Task | None = start
            while task is not None and task not in seen:
                seen.add(task)
                path[task] = None
                task = self._holders.get(task)
            if task in path:
                ring = list(path)
                return ring[ring.index(task) :]
        return []

    def _root(self, tasks: list[Task]) -> Cause:
        """The cause that explains most: of tasks that wait for no other stuck one."""
        order = list(REMEDIES)
        roots = [task for task in tasks if self._holders[task] not in self._holders] or tasks
        return min(map(self._scene.cause, roots[:SHOWN]), key=lambda cause: order.index(cause.name))

    def _of_cycle(self, cycle: list[Task]) -> Cause:
        waits = [task.waits_for for task in cycle]
        links = [f"{task.name!r} waits for {self._names.short(task.waits_for)}" for task in cycle]
        if all(is_mutex(obj) for obj in waits):
            if len(cycle) == 1:
                return Cause("lock taken twice", f"{links[0]}, which it has taken already, and which is no RLock")
            return Cause("lock cycle", "; ".join(self._link(task) for task in cycle))
        if all(isinstance(obj, Task) for obj in waits):
            text = f"{cycle[0].name!r} waits for its own end" if len(cycle) == 1 else "; ".join(links)
            return Cause("join on itself", text)
        return Cause("wait cycle", "; ".join(self._link(task) for task in cycle))

    def _link(self, task: Task) -> str:
        obj, holder = task.waits_for, self._holders[task]
        assert holder is not None  # noqa: S101 - in a ring each has one
        if isinstance(obj, Task):
            return f"{task.name!r} waits for the end of {holder.name!r}"
        if is_mutex(obj) and not pending_futures(task):
            return f"{task.name!r} waits for {self._names.short(obj)}, which {holder.name!r} holds"
        return f"{task.name!r} waits for a future that {holder.name!r} is to complete"

    def _sentence(self, task: Task) -> str:
        obj = task.waits_for
        text = f"task {task.name!r} {wait_of(task, self._names)}"
        if obj is None or isinstance(obj, Task):
            return text
        holder = getattr(obj, "owner", None)
        if holder is task:
            return f"{text}, which it holds itself"
        if isinstance(holder, Task):
            fact = self._scene.taken(holder, obj)
            text += f", held by {holder.name!r}{fact.since() if fact is not None else ''}"
            if holder.state is DONE:
                text += "; that task has ended"
        return text
