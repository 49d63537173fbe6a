"""Several strategies by turns, each schedule's by its number alone.

What a portfolio is where schedules cannot come out of each other: because other machines run them, or another day. The
first one is the plain one. What members learn, they learn from the first schedules, and each from its own.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux_sim.strategy import names
from routilux_sim.strategy._protocol import Outcome, Strategy

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["SHARES", "MixStrategy", "Note"]

SHARES = {"random": 2.0, "pct": 3.0, "pos": 2.0, "surw": 1.5}
"""Whose schedules how many are, in proportion; as in the portfolio."""

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly, however many one takes."""


class Note(NamedTuple):
    """What a member learns from a schedule of its own."""

    member: str
    inner: Any


class MixStrategy:
    """Random walks, priorities and uniform orders by turns."""

    divisible = True
    settles = True

    def __init__(self) -> None:
        self._members: dict[str, Strategy] = {name: names.make_strategy(name) for name in SHARES}
        self._names = tuple(self._members)
        self._cumulated = list(accumulate(SHARES.values()))
        self._first = 0
        self._current: Strategy = self._members["random"]
        # The current member's own: asked at each decision, so not through methods of this class.
        self.pick: Callable[[Task | None, Sequence[Task]], int] = self._current.pick
        self.draw: Callable[[str, int], int] = self._current.draw

    @property
    def name(self) -> str:
        """The name of the member whose turn it is."""
        return self._current.name

    def prepare(self, seed: int, schedules: int) -> None:  # noqa: ARG002 - the shares are the same for any number
        """Count schedules from here."""
        self._first = seed

    def begin(self, seed: int) -> bool:
        """Let the member whose turn it is get ready."""
        number = seed - self._first
        strategy = names.make_strategy("fifo") if not number else self._members[self._whose(number)]
        self._current = strategy
        self.pick, self.draw = strategy.pick, strategy.draw
        return strategy.begin(seed)

    def _whose(self, number: int) -> str:
        place = number * GOLDEN % 1.0 * self._cumulated[-1]
        return self._names[min(bisect(self._cumulated, place), len(self._names) - 1)]

    def end(self, outcome: Outcome) -> Note | None:
        """Tell the member."""
        end = getattr(self._current, "end", None)
        inner = None if end is None else end(outcome)
        return None if inner is None else Note(self._current.name, inner)

    def learn(self, notes: Sequence[Note]) -> None:
        """Let the members learn."""
        for name, strategy in self._members.items():
            own = [note.inner for note in notes if note.member == name]
            learn = getattr(strategy, "learn", None)
            if learn is not None and own:
                learn(own)

    def restart(self) -> None:
        """Pass it on to those who counted operations."""
        for strategy in self._members.values():
            restart = getattr(strategy, "restart", None)
            if restart is not None:
                restart()
