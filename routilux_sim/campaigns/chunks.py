"""Running a chunk of a campaign's schedules: a pure function of the target, what is known and which schedules.

Strategies that settle make this possible: a schedule comes of its number, of what the strategy has learned and of what
memory is known to be shared. All of that is in the call, so it does not matter who runs it, when, or how often.
"""

from __future__ import annotations

import pickle
import time
from _thread import allocate_lock
from collections import OrderedDict
from typing import NamedTuple

from routilux_sim.campaigns.parts import Part, Stop
from routilux_sim.campaigns.targets import unpacked
from routilux_sim.execution import Campaign
from routilux_sim.search import Search
from routilux_sim.strategy import Strategy

__all__ = ["Chunk", "Knowledge", "run_chunk", "work_off"]

KEPT = 4
"""So many targets are kept by a process that runs chunks."""

# Bound before the simulated world takes its place.
_clock = time.perf_counter

# A process can be simulated in once at a time, and an executor may have several threads in one.
_mine = allocate_lock()

_kept: OrderedDict[bytes, Campaign] = OrderedDict()


class Knowledge(NamedTuple):
    """What schedules depend on besides their numbers.

    Attributes:
        strategy: Makes their decisions; pickled, as it is now.
        shared: What memory is known to be shared; None if accesses to it are no scheduling points.
        seed: The exploration's.
        schedules: How many there are at most.
    """

    strategy: bytes
    shared: frozenset[str] | None
    seed: int
    schedules: int


class Chunk(NamedTuple):
    """Which schedules.

    Attributes:
        first: The first one's number.
        end: The number after the last one's.
        seconds: Real time after which no other is begun; None: any.
    """

    first: int
    end: int
    seconds: float | None = None


def run_chunk(target: bytes, knowledge: Knowledge, chunk: Chunk) -> Part:
    """Run a chunk in this process."""
    with _mine:
        campaign = _campaign_of(target)
        with campaign.running():
            return work_off(campaign, knowledge, chunk)


def work_off(campaign: Campaign, knowledge: Knowledge, chunk: Chunk) -> Part:
    """Run a chunk; the campaign is running."""
    began = _clock()
    strategy: Strategy = pickle.loads(knowledge.strategy)  # noqa: S301 - from who runs the campaign
    ends = None if chunk.seconds is None else began + chunk.seconds
    search = Search(campaign, strategy, knowledge.seed, knowledge.schedules, lambda: False, False)
    search.shared = knowledge.shared
    part = Part(chunk.first, chunk.first)
    for number in range(chunk.first, chunk.end):
        if ends is not None and _clock() >= ends:
            break
        row = search.run(number)
        if row is None:
            part.stop = Stop(number, "over")
            break
        part.add(row)
        if part.stop is not None:
            break
    part.seconds = _clock() - began
    return part


def _campaign_of(target: bytes) -> Campaign:
    campaign = _kept.pop(target, None)
    if campaign is None:
        campaign = unpacked(target).campaign()
        while len(_kept) >= KEPT:
            _kept.popitem(last=False)
    _kept[target] = campaign
    return campaign
