"""Lets somebody watch every choice, just before a strategy makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from routilux_sim.strategy._protocol import keeps_seed, needs_trace, weigher

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.strategy._protocol import Strategy, Weigh

__all__ = ["Observer", "RecordingStrategy"]


class Observer(Protocol):
    """Is told of each choice before it is made; what it raises ends the execution."""

    def picking(self, current: Task | None, ready: Sequence[Task]) -> None:
        """It is to be chosen who runs; see `Strategy.pick`."""

    def drawing(self, label: str, bound: int) -> None:
        """A number is to be chosen; see `Strategy.draw`."""


class RecordingStrategy:
    """Makes the choices of another strategy, whose name it goes by.

    Args:
        inner: Makes the choices.
        observer: Is told of them.
    """

    def __init__(self, inner: Strategy, observer: Observer) -> None:
        self._inner = inner
        self.name = inner.name
        self.begin = inner.begin
        self.needs_trace = needs_trace(inner)
        self.keeps_seed = keeps_seed(inner)
        self._pick = inner.pick
        self._draw = inner.draw
        self._observer = observer

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Tell of it, and choose."""
        self._observer.picking(current, ready)
        return self._pick(current, ready)

    def draw(self, label: str, bound: int) -> int:
        """Tell of it, and choose."""
        self._observer.drawing(label, bound)
        return self._draw(label, bound)

    def weigher(self, seed: int) -> Weigh:
        """Tell of it, and have the other strategy choose, or the seed."""
        inner = weigher(self._inner, seed)

        def weigh(label: str, probability: float, levels: int) -> int:
            self._observer.drawing(label, 1 + levels)
            return inner(label, probability, levels)

        return weigh
