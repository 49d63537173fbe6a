"""A kernel that is watched: it tells what each operation is once it takes effect. The plain one pays nothing for it."""

from __future__ import annotations

from typing import Any, Protocol

from routilux_sim.judge.memory import KEPT, Memory
from routilux_sim.judge.stacks import Place, caller
from routilux_sim.kernel.core import Kernel
from routilux_sim.kernel.task import Task

__all__ = ["READING", "Listener", "Watched", "memory_of", "watch"]


READING = "read the clock"
"""What a clock reading is called."""


class Listener(Protocol):
    """Wants to hear of every step."""

    def step(self, task: Task, op: str, obj: Any, place: Place | None) -> None:
        """Hear that a task does something now; may end the execution."""

    def resumed(self, task: Task, op: str, obj: Any) -> None:
        """Hear that a task has been woken from what it was suspended in, and does it now."""


class Watched(Kernel):
    """A kernel with a memory, or with a listener, or with both."""

    memory: Memory | None = None
    listener: Listener | None = None

    def point(self, op: str, obj: Any = None) -> None:
        """Say what the current task is about to do; it does it when this returns."""
        Kernel.point(self, op, obj)
        if op in KEPT or self.listener is not None:
            self._tell(op, obj)

    def block(self, op: str, obj: Any, deadline: int | None = None) -> bool:
        """Suspend the current task."""
        me = self.current
        listener = self.listener
        if me is not None and not self.ending:
            if listener is not None:
                listener.step(me, f"suspended in {op}", obj, caller(1))
            if self.memory is not None and op in KEPT:
                fact = self.memory.by(me, op, obj)
                # Its scheduling point has noted it just now; a lock that is held has none.
                if fact is None or fact.step != self.steps:
                    self.memory.note(me, op, obj, self.now, self.steps, caller(1))
        woken = Kernel.block(self, op, obj, deadline)
        if woken and me is not None and self.listener is not None:
            self.listener.resumed(me, op, obj)
        if self.memory is not None and me is not None and op in KEPT:
            self.memory.resumed(me, op, obj, woken, self.now, self.steps)
        return woken

    def access(self, op: str, obj: Any) -> None:
        """Say that the current task accesses memory that others have accessed too, in an order that is settled."""
        if self.listener is not None and self.current is not None and not self.ending:
            self.listener.step(self.current, op, obj, caller(1))

    def give_way(self, op: str) -> None:
        """Let others run first."""
        self._hear(op)
        Kernel.give_way(self, op)

    def tick(self) -> None:
        """Count a clock reading."""
        Kernel.tick(self)
        self._hear(READING)

    def _hear(self, op: str) -> None:
        """Tell the listener of a step that is about no object."""
        if self.listener is not None and self.current is not None and not self.ending:
            self.listener.step(self.current, op, None, caller(2))

    def _tell(self, op: str, obj: Any) -> None:
        me = self.current
        if me is None or self.ending:
            return
        place = caller(2)
        if self.memory is not None and op in KEPT:
            self.memory.note(me, op, obj, self.now, self.steps, place)
        if self.listener is not None:
            self.listener.step(me, op, obj, place)


def watch(kernel: Kernel) -> Watched:
    """Make a kernel a watched one, from now on."""
    if not isinstance(kernel, Watched):
        kernel.__class__ = Watched
    assert isinstance(kernel, Watched)  # noqa: S101 - just said so
    return kernel


def memory_of(kernel: Kernel) -> Memory | None:
    """What an execution remembers; None when it was not watched."""
    return kernel.memory if isinstance(kernel, Watched) else None
