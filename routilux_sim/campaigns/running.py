"""Runs a share of an exploration's schedules in chunks, round by round, and keeps a campaign file of it.

The rounds are those that one process has. The first ones, up to where strategies have settled, are run for every share,
since what they teach is what later schedules rest on; those that are not of the share are not counted. After that only
memory that turns out to be shared is learned, at the end of rounds that double in size, counted from where the share
begins. So shares add up to the whole exactly if no more of it turns out later.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from routilux_sim.campaigns.chunks import Knowledge
from routilux_sim.campaigns.dealing import Dealer, without
from routilux_sim.campaigns.files import CampaignFile, save_campaign
from routilux_sim.campaigns.parts import Part, Stop, first_stop, joined
from routilux_sim.strategy._protocol import SETTLED

if TYPE_CHECKING:
    from routilux_sim.campaigns.crews import Crew
    from routilux_sim.judge.verdict import Verdict
    from routilux_sim.search import Search

__all__ = ["Keeper", "Shared", "run_share"]

EVERY = 1.0
"""Real seconds after which a campaign file is written again, if there is something new."""

SLOW = 20
"""A file is not written before so many times as much time has gone by as writing it took."""

_clock = time.perf_counter


class Keeper:
    """What has run of a share, and the file that it is kept in.

    Args:
        kept: What is known of it.
        path: Of the file; None: there is none.
        progress: Told how many schedules of the share have run.

    Attributes:
        kept: All of it.
    """

    def __init__(self, kept: CampaignFile, path: str | None, progress: Callable[[int], object] | None) -> None:
        self.kept = kept
        self._path = path
        self._progress = progress
        self._parts: list[Part] = []
        self._count = sum(part.count for part in kept.parts)
        self._began = _clock()
        self._before = kept.seconds
        self._next = self._began + EVERY
        self._is_new = False

    def take(self, part: Part) -> None:
        """Keep a part, if it is of the share and has not run before; write the file if it is time."""
        kept = self.kept
        if not kept.first <= part.first < kept.end or any(part.first in done for done in kept.done):
            return
        self._parts.append(part)
        self._is_new = True
        self._count += part.count
        if self._path is not None and _clock() >= self._next:
            self.save()
        if self._progress is not None:
            self._progress(self._count)

    def gather(self) -> None:
        """Have all that has run in `kept`."""
        kept = self.kept
        kept.parts = joined([*kept.parts, *self._parts])
        self._parts = []
        kept.seconds = self._before + _clock() - self._began

    def tell(self, number: int, verdict: Verdict, words: str) -> None:
        """Keep what was found out about a schedule that stopped it."""
        self.kept.told = number, verdict, words
        self._is_new = True
        self.save()

    def save(self) -> None:
        """Write the file, if there is something that is not in it."""
        began = _clock()
        kept = self.kept
        self.gather()
        if self._path is not None and self._is_new:
            save_campaign(kept, self._path)
            self._is_new = False
        ended = _clock()
        self._next = ended + max(EVERY, SLOW * (ended - began))


class Shared:
    """What a share has come to.

    Attributes:
        parts: What came of its schedules, in order, up to the stop.
        stop: Why no later ones count; None if they do. It may be of a schedule that is not of the share.
        is_late: There was no time for all of it.
        chunks: How many were dealt.
    """

    def __init__(self, parts: list[Part], stop: Stop | None, is_late: bool, chunks: int) -> None:
        self.stop = stop
        self.parts = parts if stop is None else [part for part in parts if part.first < stop.end]
        self.is_late = is_late
        self.chunks = chunks


def run_share(search: Search, crew: Crew, keeper: Keeper, left: Callable[[], float | None]) -> Shared:
    """Have the schedules of a share run that have not; `search` knows afterwards what the stop's schedule rests on.

    Args:
        search: Of the exploration; it runs nothing, but learns.
        crew: Runs them.
        keeper: Keeps what comes of it.
        left: The real seconds that are left; None: any.
    """
    search.prepare()
    dealer = Dealer(crew, keeper.take, left)
    stop: Stop | None = None
    try:
        for numbers in _rounds(search, keeper.kept):
            known = [part for part in keeper.kept.parts if part.first < numbers.stop]
            found = dealer.deal(_missing(search, keeper.kept, numbers, first_stop(known)), _knowledge(search))
            stop = first_stop([*found, *known])
            if dealer.is_late or (stop is not None and stop.number < numbers.stop):
                break
            notes = [note for part in found for note in part.notes]
            search.learn(notes, _grown([*found, *known], numbers), settled=search.is_settled(numbers.start))
            keeper.gather()
    finally:
        keeper.save()
    return Shared(keeper.kept.parts, stop, dealer.is_late, dealer.chunks)


def _teaches(search: Search) -> bool:
    """Whether there is something to learn of the first schedules."""
    return search.shared is not None or hasattr(search.strategy, "learn")


def _rounds(search: Search, share: CampaignFile) -> Iterator[range]:
    """The numbers of the schedules of each round."""
    if _teaches(search):
        numbers = search.round_from(0)
        while numbers and numbers.start < SETTLED:
            yield numbers
            numbers = search.round_from(numbers.stop)
        first, size = max(share.first, SETTLED), SETTLED
    else:
        first, size = share.first, share.end
    while first < share.end:
        end = share.end if search.shared is None else min(first + size, share.end)
        yield range(first, end)
        first, size = end, 2 * size


def _missing(search: Search, kept: CampaignFile, numbers: range, stop: Stop | None) -> list[range]:
    """Which schedules of a round are to run; each range is of the share and new, or neither."""
    own = range(max(numbers.start, kept.first), min(numbers.stop, kept.end))
    if stop is not None and stop.number < numbers.stop:
        # Nothing is learned of this round any more, and what comes after the stop does not count.
        return without(range(own.start, min(own.stop, stop.end)), kept.done)
    new = without(own, kept.done)
    if numbers.start >= SETTLED or not _teaches(search):
        return new
    if not hasattr(search.strategy, "learn"):
        # What has been seen of them is enough.
        return [*new, *without(numbers, [own])]
    return [*new, *without(numbers, new)]


def _grown(parts: Iterable[Part], numbers: range) -> frozenset[str]:
    return frozenset(name for part in parts for name, number in part.grown.items() if number < numbers.stop)


def _knowledge(search: Search) -> Knowledge:
    return Knowledge(pickle.dumps(search.strategy), search.shared, *search.bounds)
