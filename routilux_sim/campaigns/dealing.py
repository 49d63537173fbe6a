"""Deals the schedules of a round to a crew, and goes on until what came of it is what one process would have seen.

How many schedules are dealt at a time depends on how long they take, on how many are left and on who is free; what
comes of them does not, since a chunk is a pure function. So one that is lost with its process is dealt again; one that
kills its process is dealt in halves, down to the schedule that does it. A schedule that fails makes all those after it
void, and those before it are waited for: it may not be the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from routilux_sim.campaigns.chunks import Chunk, Knowledge
from routilux_sim.campaigns.crews import Crew, Death
from routilux_sim.campaigns.parts import Part, Stop

__all__ = ["Dealer", "without"]

SECONDS = 1.0
"""Real time that a chunk is to take."""

MOST = 1 << 20
"""Schedules of a chunk at most."""

TOLD = 0.25
"""Seconds after which somebody is told that nothing has come."""

GRACE = 30.0
"""Seconds that what is out is waited for once the time is up: a cluster without workers never answers."""

UNCERTAIN = 2
"""A chunk that was out so many times when a process died is dealt alone, so that it is known whether it was the one."""

CERTAIN = 2
"""A chunk whose process has died so many times, with nothing else in it, is what kills it; once may be chance."""


@dataclass(order=True)
class _Stretch:
    """Schedules to be dealt.

    Attributes:
        first, end: Their numbers.
        uncertain: How many processes have died that may have run it.
        certain: How many have that did.
        alone: Nothing else is to be out with it.
        error: What the latest one died of.
    """

    first: int
    end: int
    uncertain: int = 0
    certain: int = 0
    alone: bool = False
    error: str = ""


class Dealer:
    """Deals rounds of schedules.

    Args:
        crew: Runs them.
        took: Told of each part as it comes, those that turn out void included; raises `KeyboardInterrupt` to stop.
        left: The real seconds that are left; None: any.

    Attributes:
        cost: What a schedule takes, in real seconds, as far as is known.
        is_late: The time is up.
        chunks: How many have been dealt.
    """

    def __init__(self, crew: Crew, took: Callable[[Part], object], left: Callable[[], float | None]) -> None:
        self._crew = crew
        self._took = took
        self._left = left
        self._keys = count()
        self._out: dict[int, _Stretch] = {}
        self._waiting: list[_Stretch] = []
        self._stop: Stop | None = None
        self._knowledge: Knowledge
        self._has_heard = False
        self.cost: float | None = None
        self.is_late = False
        self.chunks = 0

    def deal(self, ranges: Iterable[range], knowledge: Knowledge) -> list[Part]:
        """Have all those schedules run, or those up to a stop, or as many as there is time for.

        Returns:
            What came of them, in order, without what is void.
        """
        self._knowledge = knowledge
        self._waiting = []
        for numbers in ranges:
            if numbers:
                heappush(self._waiting, _Stretch(numbers.start, numbers.stop))
        self._stop = None
        parts: list[Part] = []
        silent = 0.0
        while True:
            self._hand_out()
            if not self._is_expected():
                break
            answer = self._crew.take(TOLD)
            if answer is None:
                silent += TOLD
                if self.is_late and silent >= GRACE:
                    break
                continue
            silent = 0.0
            if isinstance(answer, Death):
                parts += self._buried(answer)
            elif answer[0] in self._out:
                parts += self._taken(*answer)
        ended = self._stop
        parts.sort(key=lambda part: part.first)
        return parts if ended is None else [part for part in parts if part.first < ended.end]

    def _is_expected(self) -> bool:
        """Whether something is out that counts, or that has to come back before what counts can go out."""
        if any(self._counts(stretch) for stretch in self._out.values()):
            return True
        return bool(self._out and self._waiting and not self.is_late and self._counts(self._waiting[0]))

    def _counts(self, stretch: _Stretch) -> bool:
        return self._stop is None or stretch.first < self._stop.end

    def _hand_out(self) -> None:
        """Give as much as the crew can take."""
        left = self._left()
        if left is not None and left <= 0:
            self.is_late = True
        while self._waiting and not self.is_late and len(self._out) < self._crew.places:
            if any(stretch.alone for stretch in self._out.values()):
                return
            stretch = self._waiting[0]
            if not self._counts(stretch):
                self._waiting.clear()
                return
            if stretch.alone and self._out:
                return
            heappop(self._waiting)
            size = self._size(stretch)
            if stretch.end - stretch.first > size:
                heappush(self._waiting, _Stretch(stretch.first + size, stretch.end))
                stretch = _Stretch(stretch.first, stretch.first + size)
            self._give(stretch, left)

    def _give(self, stretch: _Stretch, left: float | None) -> None:
        key = next(self._keys)
        self._out[key] = stretch
        self.chunks += 1
        self._crew.give(key, self._knowledge, Chunk(stretch.first, stretch.end, left))

    def _size(self, stretch: _Stretch) -> int:
        """How many schedules to give: of what is left, half of everybody's share, until that is too little."""
        if stretch.certain or stretch.uncertain:
            # As it was.
            return stretch.end - stretch.first
        if self.cost is None:
            return 1
        cost = max(self.cost, 1e-9)
        waiting = sum(other.end - other.first for other in self._waiting) + stretch.end - stretch.first
        share = -(-waiting // (2 * self._crew.places))
        return min(max(min(share, int(SECONDS / cost)), int(self._crew.least / cost), 1), MOST)

    def _taken(self, key: int, part: Part) -> list[Part]:
        stretch = self._out.pop(key)
        self._has_heard = True
        if part.count:
            cost = part.seconds / part.count
            self.cost = cost if self.cost is None else (self.cost + cost) / 2
        if part.stop is not None:
            self._stopped(part.stop)
        elif part.end < stretch.end:
            heappush(self._waiting, _Stretch(part.end, stretch.end))
        if not part.count and part.stop is None:
            return []
        self._took(part)
        return [part]

    def _stopped(self, stop: Stop) -> None:
        if self._stop is None or stop.end < self._stop.end:
            self._stop = stop

    def _buried(self, death: Death) -> list[Part]:
        """Deal again what has been lost; returns what came of a schedule that cannot be dealt again."""
        lost = [self._out.pop(key) for key in death.keys if key in self._out]
        found: list[Part] = []
        for stretch in lost:
            stretch.error = death.error
            if death.is_certain or (stretch.alone and len(lost) == 1):
                stretch.certain += 1
            else:
                stretch.uncertain += 1
                stretch.alone = stretch.uncertain >= UNCERTAIN
            if stretch.certain < CERTAIN:
                heappush(self._waiting, stretch)
            elif stretch.end - stretch.first > 1:
                self._halve(stretch)
            else:
                found.append(self._killer(stretch))
        return found

    def _halve(self, stretch: _Stretch) -> None:
        middle = (stretch.first + stretch.end) // 2
        for first, end in ((stretch.first, middle), (middle, stretch.end)):
            # Of one schedule it is to be seen twice that it is the one.
            certain = CERTAIN - 1 if end - first > 1 else 0
            heappush(self._waiting, _Stretch(first, end, stretch.uncertain, certain, stretch.alone, stretch.error))

    def _killer(self, stretch: _Stretch) -> Part:
        part = Part(stretch.first, stretch.end)
        error = stretch.error
        if not self._has_heard:
            error += "; but no other has come back either, so it may be the executor that cannot run anything"
        part.stop = Stop(stretch.first, "killed", error=error)
        self._stopped(part.stop)
        self._took(part)
        return part


def without(numbers: range, done: Iterable[range]) -> list[range]:
    """What is left of a range without others."""
    left = []
    first = numbers.start
    for other in sorted(done, key=lambda other: other.start):
        if other.stop <= first or other.start >= numbers.stop:
            continue
        if other.start > first:
            left.append(range(first, other.start))
        first = max(first, other.stop)
    if first < numbers.stop:
        left.append(range(first, numbers.stop))
    return left
