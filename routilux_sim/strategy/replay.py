"""Makes the choices that a tape tells, and says where the program does not follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from routilux_sim.kernel.errors import DivergenceError

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.schedule import Schedule

__all__ = ["ReplayStrategy"]


class ReplayStrategy:
    """Feeds a recorded schedule back; each choice must come with the bound and the label that were recorded."""

    name = "replay"

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._position = 0

    def begin(self, seed: int) -> bool:  # noqa: ARG002 - the tape decides, not the seed
        """Rewind the tape."""
        self._position = 0
        return True

    @property
    def position(self) -> int:
        """How many choices have been made."""
        return self._position

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Take the next choice from the tape."""
        return self._next(len(ready) if current is None else len(ready) + 1)

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - labels are compared after the run
        """Take the next choice from the tape."""
        return self._next(bound)

    def weigh(self, label: str, probability: float, levels: int) -> int:  # noqa: ARG002 - as above
        """Take the next choice from the tape."""
        return self._next(1 + levels)

    def _next(self, bound: int) -> int:
        position = self._position
        steps = self._schedule.steps
        if position >= len(steps):
            raise DivergenceError(position, "the end of the program", f"a choice among {bound}")
        step = steps[position]
        if step.bound != bound:
            raise DivergenceError(position, f"{step.label} with {step.bound} candidates", f"{bound} candidates")
        self._position = position + 1
        return step.value
