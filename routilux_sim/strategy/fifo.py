"""The plain choice, always: no preemption, and whoever has waited longest runs next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["FifoStrategy"]


class FifoStrategy:
    """Knows one schedule, whatever the seed."""

    name = "fifo"
    divisible = True
    settles = True

    def __init__(self) -> None:
        self._done = False
        self._first: int | None = None

    def prepare(self, seed: int, schedules: int) -> None:  # noqa: ARG002 - one is all there is
        """Remember which schedule of a campaign it is."""
        self._first = seed

    def begin(self, seed: int) -> bool:
        """There is one schedule: nothing more to explore after the first execution."""
        if self._first is not None:
            return seed == self._first
        done, self._done = self._done, True
        return not done

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:  # noqa: ARG002
        """Take the first candidate."""
        return 0

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002
        """Take the plain choice."""
        return 0
