"""What is settled before a campaign begins: that it can be shared, which share it is, who runs it, what has run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routilux_sim.campaigns.crews import Crew, Executor, ExecutorCrew, ForkCrew, HereCrew
from routilux_sim.campaigns.files import CampaignFile, load_campaign, share_of
from routilux_sim.campaigns.targets import Target, packed
from routilux_sim.kernel.core import active
from routilux_sim.replay_files import digest_of, path_of
from routilux_sim.strategy._protocol import settles
from routilux_sim.workers import check_can_fork

if TYPE_CHECKING:
    from routilux_sim.execution import Campaign
    from routilux_sim.strategy import Strategy

__all__ = ["check_settles", "check_shard", "crew_of", "opened", "settings_of"]


def check_settles(strategy: Strategy, name: str, what: str, check_determinism: bool) -> None:
    """Refuse what cannot be run in chunks.

    Args:
        strategy: Makes the decisions.
        name: What it was asked for by.
        what: What asks for chunks, for the message.
        check_determinism: Whether each schedule is to run twice.

    Raises:
        ValueError: Each of its schedules depends on those before.
    """
    if not settles(strategy):
        raise ValueError(
            f"strategy {name!r} makes schedules of what it has learned from all those before, so it does not "
            f"go with {what}; take 'mix', 'random', 'pct', 'pos' or 'surw'"
        )
    if check_determinism:
        raise ValueError(f"check_determinism works in one process, not with {what}; leave one of them out")


def check_shard(shard: Any, schedules: int) -> tuple[int, int]:
    """Return which share of how many is meant.

    Raises:
        ValueError: It is none, or has no schedules.
    """
    if shard is None:
        return 1, 1
    is_pair = isinstance(shard, tuple | list) and len(shard) == 2 and all(type(number) is int for number in shard)
    if not is_pair or not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"shard must be two whole numbers, as (3, 8) for the third of eight shares, not {shard!r}")
    if shard[1] > schedules:
        raise ValueError(f"shard={shard!r}: {schedules} schedules cannot be split over {shard[1]}; take fewer shares")
    return shard[0], shard[1]


def settings_of(target: Target, seed: int, schedules: int, strategy: Strategy | str) -> dict[str, Any]:
    """How a campaign explores, as plain data."""
    races, limits = target.races, target.limits
    settings = {
        "seed": seed,
        "schedules": schedules,
        "strategy": strategy if isinstance(strategy, str) else strategy.name,
        "max_steps": limits.max_steps,
        "max_seconds": limits.max_ns / 1e9,
        "epoch_ns": target.epoch_ns,
        "instrument": target.instrument,
        "races": None if races is None else races.mode,
        "allow_races": [] if races is None else races.allowed,
        "faults": target.faults,
        "invariants": [path_of(each) or repr(each) for each in target.invariants],
        "log": target.log,
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def opened(
    target: Target, program: Any, settings: dict[str, Any], shard: tuple[int, int], path: str | None
) -> CampaignFile:
    """What is known of a share: what its file holds, or nothing yet.

    Raises:
        CampaignFileError: The file is none, or of something else.
        OSError: It cannot be read.
    """
    share = share_of(settings["schedules"], shard)
    name = target.path or path_of(program) or getattr(program, "__qualname__", None) or type(program).__qualname__
    fresh = CampaignFile(name, digest_of(program), settings, shard, share.start, share.stop)
    if path is None or not Path(path).exists():
        return fresh
    kept = load_campaign(path)
    kept.check_same(fresh)
    return kept


def crew_of(campaign: Campaign, target: Target, executor: Executor | None, workers: int | None) -> Crew:
    """Who runs the chunks.

    Raises:
        ValueError: The program cannot travel.
        TypeError: The executor is none.
        RuntimeError: This process cannot be forked, or is itself simulated.
    """
    if active() is not None:
        raise RuntimeError("a simulated program cannot explore in chunks; explore outside of the simulation")
    if executor is not None:
        return ExecutorCrew(packed(target), executor, workers)
    if workers is None:
        return HereCrew(campaign)
    check_can_fork(workers)
    return ForkCrew(campaign, workers)
