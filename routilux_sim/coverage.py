"""How much of a program's schedule space an exploration has seen."""

from __future__ import annotations

from collections.abc import Iterable

from routilux_sim.footprint import Footprint

__all__ = ["Coverage"]

CLASSES = 200_000
"""So many classes are told apart in one campaign; later ones are not counted."""


class Coverage:
    """What a campaign's schedules have come to, counted one after the other.

    Attributes:
        schedules: How many were looked at.
        classes: How many happens-before classes there were among them.
        pairs: How many ordered conflicting pairs.
        curve: The number of classes after 1, 2, 4, 8 … schedules that were looked at, and after the last.
    """

    def __init__(self) -> None:
        self.schedules = 0
        self._times: dict[int, int] = {}
        self._pairs: set[int] = set()
        self._once = 0
        self._curve: list[tuple[int, int]] = []
        self._next = 1
        self._is_full = False

    def add(self, footprint: Footprint) -> bool:
        """Count a schedule; return whether it showed a class or a pair that none before it did."""
        kind, pairs = footprint
        times = self._times.get(kind, 0)
        self.schedules += 1
        if times or len(self._times) < CLASSES:
            self._times[kind] = times + 1
            self._once += (not times) - (times == 1)
        else:
            self._is_full = True
        before = len(self._pairs)
        self._pairs.update(pairs)
        if self.schedules == self._next:
            self._curve.append((self.schedules, len(self._times)))
            self._next *= 2
        return not times or len(self._pairs) > before

    def add_all(self, kinds: Iterable[int], pairs: Iterable[int]) -> None:
        """Count schedules of which only that is known: the class of each, in order, and the pairs of all of them."""
        for kind in kinds:
            self.add(Footprint(kind, ()))
        self._pairs.update(pairs)

    @property
    def classes(self) -> int:
        """How many happens-before classes there were."""
        return len(self._times)

    @property
    def pairs(self) -> int:
        """How many ordered conflicting pairs there were."""
        return len(self._pairs)

    @property
    def curve(self) -> list[tuple[int, int]]:
        """How the number of classes has grown with that of schedules."""
        last = (self.schedules, len(self._times))
        return self._curve if not self.schedules or self._curve[-1] == last else [*self._curve, last]

    @property
    def unseen(self) -> float:
        """The share of further schedules that would be of a new class.

        After Good and Turing ("The Population Frequencies of Species and the Estimation of Population Parameters",
        Biometrika 1953): the share of schedules whose class was seen once. Of schedules like these, that is: a strategy
        may leave out whole regions.
        """
        return self._once / self.schedules if self.schedules else 1.0

    def describe(self, schedules: int, *, complete: bool = False) -> str:
        """Say what was seen in so many schedules; ``complete`` tells that further ones would show nothing new."""
        least = "at least " if self._is_full else ""
        sampled = f" in the {self.schedules} schedules that were looked at" if self.schedules < schedules else ""
        text = (
            f"{least}{_many(self.classes, 'happens-before class', 'es')} and "
            f"{_many(self.pairs, 'ordered conflicting pair', 's')}{sampled}"
        )
        return (
            text
            if complete
            else f"{text}; about {self.unseen:.1%} of further schedules like these would show a new class"
        )


def _many(count: int, word: str, ending: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}{ending}"
