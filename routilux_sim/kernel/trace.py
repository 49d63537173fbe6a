"""The trace: what tasks really did, in the order in which it took effect.

The tape tells what was chosen, the trace what came of it. It is kept for whoever asks for it (`Kernel.trace`); nobody
else pays for more than a look whether there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["DEPENDENT", "LOOKS", "NOBODY", "TASKS", "Event", "Trace", "address"]

# What `id` tells too, but every call of that raises an audit event, which the simulator listens to.
address = object.__hash__

Event = tuple[int, str, Any, int, bool]
"""Task number, operation, object, how many decisions had been made, and whether a step begins with it."""

WIDTH = 5

NOBODY = 0
"""In the place of a task's number: the clock, or the driver."""

LOOKS = frozenset(
    {
        "cancelled",
        "done",
        "enumerate",
        "invoke",
        "is_alive",
        "is_set",
        "locked",
        "look",
        "outlast",
        "pass",
        "poll",
        "qsize",
        "read",
        "running",
    }
)
"""Operations that change nothing: their order among each other does not matter."""


def DEPENDENT(one: str, other: str) -> bool:  # noqa: N802 - a table, by the look of it
    """Whether the order of two operations on one object may matter: always, unless both only look."""
    return one not in LOOKS or other not in LOOKS


class _Tasks:
    """Stands for the list of all tasks, which is looked at and added to."""

    label = "tasks"


TASKS = _Tasks()
"""The list of an execution's tasks, as an object that operations work on."""


class Trace:
    """Events, in the order in which they happened.

    A *step* is what a task does from one scheduling point to its next: it begins with the operation of the first, and
    `touch` adds what else it does on the way. An object of None means that the operation is about no object.

    What the kernel itself adds: ``begin`` and ``end`` with the task; ``spawn`` with the new one; ``grow`` and
    ``shrink`` with `TASKS`; ``wake`` with the task that may go on now; ``clock`` by `NOBODY` when the clock moves, and
    ``due`` by each task whose time has come then.

    Attributes:
        pending: For each task that is suspended: the operation and object that it waits in.
    """

    __slots__ = ("_extend", "_flat", "pending")

    def __init__(self) -> None:
        self._flat: list[Any] = []
        self._extend = self._flat.extend
        self.pending: dict[int, tuple[str, Any]] = {}

    def add(self, task: int, op: str, obj: Any, decision: int) -> None:
        """A step begins: a task goes on with an operation, ``decision`` choices having been made."""
        self._extend((task, op, obj, decision, True))

    def touch(self, task: int, op: str, obj: Any) -> None:
        """The step that is under way does something else as well."""
        self._extend((task, op, obj, 0, False))

    def __len__(self) -> int:
        return len(self._flat) // WIDTH

    def __iter__(self) -> Iterator[Event]:
        return self.since(0)

    def since(self, start: int) -> Iterator[Event]:
        """The events from the given one on."""
        field = iter(self._flat[start * WIDTH :] if start else self._flat)
        return zip(field, field, field, field, field, strict=True)
