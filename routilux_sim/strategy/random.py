"""Every candidate equally likely, at every choice: a random walk through the interleavings."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["RandomStrategy"]


class RandomStrategy:
    """Draws each choice from a generator of its own, seeded for each execution."""

    name = "random"
    divisible = True
    settles = True

    def __init__(self) -> None:
        self._generator = Random(0)  # noqa: S311 - a seeded generator is the point
        self._random = self._generator.random

    def begin(self, seed: int) -> bool:
        """Seed the generator."""
        self._generator.seed(seed)
        return True

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose among all candidates alike."""
        # int(random() * n) and not randrange: a third of the price, and its bias is below 2**-40 for any such n.
        return int(self._random() * (len(ready) if current is None else len(ready) + 1))

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Choose among all numbers alike."""
        return int(self._random() * bound)
