"""What comes of a stretch of schedules: counts, coverage and what stopped it, and no schedule's decisions.

Parts that follow each other can be joined. So what many processes have done, in whatever order, adds up to what one
would have.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from routilux_sim.judge.races import Race, merge

if TYPE_CHECKING:
    from routilux_sim.search import Row

__all__ = ["STOP_KINDS", "Part", "Stop", "first_stop", "joined", "stop_of"]

StopKind = Literal["failed", "inconclusive", "killed", "only-one", "over"]
"""A schedule that failed; one that says nothing of the program; one that ended its process; one that left nothing to
choose; none is left."""

STOP_KINDS = frozenset({"failed", "inconclusive", "killed", "only-one", "over"})


class Stop(NamedTuple):
    """Why no schedule after a certain one counts.

    Attributes:
        number: That one's; for ``over``, the number of the first that there is not.
        kind: Why.
        strategy: The name of the strategy that made it.
        error: What ended it, in words.
    """

    number: int
    kind: StopKind
    strategy: str = ""
    error: str = ""

    @property
    def end(self) -> int:
        """The number of the first schedule that does not count."""
        return self.number + (self.kind != "over")


@dataclass(slots=True)
class Part:
    """What came of the schedules from ``first`` up to, not including, ``end``.

    Attributes:
        first, end: Their numbers.
        strategies: How many each strategy has made.
        virtual_ns: Virtual nanoseconds.
        kinds: The happens-before classes of those that were looked at, in order.
        pairs: The ordered conflicting pairs in them.
        races: The data races that were seen.
        unfair: Number, and error in words, of the first that its strategy did not let end.
        grown: What memory turned out to be shared, with the number of the first schedule that showed it.
        notes: What the strategy learns, in order; for who runs the next round only.
        stop: Why there are no more, though more were asked for.
        seconds: Real time that it took.
    """

    first: int
    end: int
    strategies: dict[str, int] = field(default_factory=dict)
    virtual_ns: int = 0
    kinds: array[int] = field(default_factory=lambda: array("q"))
    pairs: set[int] = field(default_factory=set)
    races: list[Race] = field(default_factory=list)
    unfair: tuple[int, str] | None = None
    grown: dict[str, int] = field(default_factory=dict)
    notes: list[Any] = field(default_factory=list)
    stop: Stop | None = None
    seconds: float = 0.0

    def add(self, row: Row) -> None:
        """Count the next schedule, and see whether it is the last."""
        self.end = row.number + 1
        self.strategies[row.strategy] = self.strategies.get(row.strategy, 0) + 1
        self.virtual_ns += row.elapsed_ns
        if row.footprint is not None:
            self.kinds.append(row.footprint.kind)
            self.pairs.update(row.footprint.pairs)
        if row.races:
            merge(self.races, row.races)
        for name in row.grown:
            self.grown.setdefault(name, row.number)
        if row.note is not None:
            self.notes.append(row.note)
        self.stop = stop_of(row)
        if row.is_unfair and self.unfair is None:
            self.unfair = row.number, row.error or ""

    @property
    def count(self) -> int:
        """How many schedules have run."""
        return self.end - self.first


def stop_of(row: Row) -> Stop | None:
    """Why no schedule after this one counts; None if they do."""
    if row.is_unfair:
        return None
    if row.error is not None:
        is_failure = row.execution is None or row.execution.kind is not None
        return Stop(row.number, "failed" if is_failure else "inconclusive", row.strategy, row.error)
    return Stop(row.number, "only-one", row.strategy) if row.only_one else None


def joined(parts: Iterable[Part]) -> list[Part]:
    """The same in as few parts as there are stretches, in order; notes are let go.

    Raises:
        ValueError: Two of them have a schedule in common.
    """
    found: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.first, part.end)):
        if found and part.first < found[-1].end:
            raise ValueError(f"schedule {part.first} is in two parts")
        if found and part.first == found[-1].end and found[-1].stop is None:
            _extend(found[-1], part)
        else:
            found.append(_copied(part))
    return found


def _copied(part: Part) -> Part:
    copy = Part(part.first, part.first)
    _extend(copy, part)
    return copy


def _extend(whole: Part, part: Part) -> None:
    whole.end = part.end
    for name, count in part.strategies.items():
        whole.strategies[name] = whole.strategies.get(name, 0) + count
    whole.virtual_ns += part.virtual_ns
    whole.kinds.extend(part.kinds)
    whole.pairs |= part.pairs
    merge(whole.races, part.races)
    whole.unfair = whole.unfair or part.unfair
    for name, number in part.grown.items():
        whole.grown.setdefault(name, number)
    whole.stop = part.stop
    whole.seconds += part.seconds


def first_stop(parts: Sequence[Part]) -> Stop | None:
    """The one of the lowest number."""
    stops = [part.stop for part in parts if part.stop is not None]
    return min(stops, key=lambda stop: stop.end) if stops else None
