"""The tape: every decision of an execution, in the order in which they were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["Decision", "Tape"]

Decision = tuple[int, int, "Task", str, Any]
"""A choice on the tape: value, bound, the task that was running, and its operation and object."""

WIDTH = 5


class Tape(Sequence[Decision]):
    """A sequence of decisions that takes 40 bytes each: a million tuples would take 100, and the collector's time.

    Attributes:
        add: Called with a `Decision`, appends it.
    """

    __slots__ = ("_flat", "add")

    def __init__(self, flat: list[Any] | None = None) -> None:
        self._flat: list[Any] = [] if flat is None else flat
        self.add = self._flat.extend

    def __len__(self) -> int:
        return len(self._flat) // WIDTH

    def __iter__(self) -> Iterator[Decision]:
        field = iter(self._flat)
        return zip(field, field, field, field, field, strict=True)

    @overload
    def __getitem__(self, index: int) -> Decision: ...

    @overload
    def __getitem__(self, index: slice) -> Tape: ...

    def __getitem__(self, index: int | slice) -> Decision | Tape:
        if isinstance(index, int):
            number = range(len(self))[index]
            found: Decision = tuple(self._flat[number * WIDTH : (number + 1) * WIDTH])
            return found
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError(f"a slice of the tape has a step of 1, not {step}")
        return Tape(self._flat[start * WIDTH : stop * WIDTH])
