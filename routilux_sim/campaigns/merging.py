"""Joins the campaign files of several jobs into one, and says in words what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from routilux_sim.campaigns.dealing import without
from routilux_sim.campaigns.files import CampaignFile, CampaignFileError
from routilux_sim.campaigns.parts import Part, Stop, joined
from routilux_sim.coverage import Coverage
from routilux_sim.judge.races import Race, merge
from routilux_sim.strategy._protocol import SETTLED

__all__ = ["Sum", "added_up", "merged"]


def merged(files: Sequence[CampaignFile]) -> CampaignFile:
    """What several jobs have done, as if one had.

    Raises:
        CampaignFileError: They are not of one campaign, or two have a schedule in common; the message names the files.
    """
    first, *others = files
    for other in others:
        first.check_same(other, share=False)
    ordered = sorted(files, key=lambda kept: (kept.first, kept.end))
    for one, two in pairwise(ordered):
        if two.first < one.end:
            last = min(one.end, two.end) - 1
            raise CampaignFileError(
                f"{one.path} and {two.path} overlap: schedules {two.first} to {last} are of both; leave one of them out"
            )
    return CampaignFile(
        program=first.program,
        digest=first.digest,
        settings=first.settings,
        shard=(1, 1),
        first=0,
        end=first.settings["schedules"],
        seconds=sum(kept.seconds for kept in files),
        parts=joined(part for kept in ordered for part in kept.parts),
        path=" + ".join(kept.path for kept in ordered),
    )


class Sum(NamedTuple):
    """What a campaign has come to.

    Attributes:
        schedules: How many have run, up to the first stop.
        virtual_seconds: What went by in them.
        strategies: How many each strategy has made.
        coverage: What they have shown.
        races: The data races that were seen.
        unfair: Number and error of the first that its strategy did not let end.
        stops: What was found, in order; all of them, though only what came before the first is counted.
        missing: The numbers of the schedules before the first stop that have not run.
        late: What memory turned out to be shared after strategies had settled, with the first schedule that showed it.
    """

    schedules: int
    virtual_seconds: float
    strategies: dict[str, int]
    coverage: Coverage
    races: list[Race]
    unfair: tuple[int, str] | None
    stops: list[Stop]
    missing: list[range]
    late: dict[str, int]


def added_up(kept: CampaignFile) -> Sum:
    """Count what a campaign file holds."""
    stops = sorted({part.stop for part in kept.parts if part.stop is not None}, key=lambda stop: stop.end)
    end = min(kept.end, stops[0].end) if stops else kept.end
    parts: list[Part] = [part for part in kept.parts if part.first < end]
    strategies: dict[str, int] = {}
    coverage = Coverage()
    races: list[Race] = []
    unfair: tuple[int, str] | None = None
    early = {name for part in parts for name, number in part.grown.items() if number < SETTLED}
    late: dict[str, int] = {}
    for part in parts:
        for name, count in part.strategies.items():
            strategies[name] = strategies.get(name, 0) + count
        coverage.add_all(part.kinds, part.pairs)
        merge(races, part.races)
        unfair = unfair or part.unfair
        for name, number in part.grown.items():
            if name not in early:
                late.setdefault(name, number)
    return Sum(
        schedules=sum(part.count for part in parts),
        virtual_seconds=sum(part.virtual_ns for part in parts) / 1e9,
        strategies=strategies,
        coverage=coverage,
        races=races,
        unfair=unfair,
        stops=stops,
        missing=without(range(kept.first, end), [range(part.first, part.end) for part in parts]),
        late=late,
    )
