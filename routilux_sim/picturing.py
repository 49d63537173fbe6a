"""From a program and a schedule or seed to the timelines that a picture shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from routilux_sim.execution import Campaign, Execution
from routilux_sim.explanation import explain_findings
from routilux_sim.findings import investigate
from routilux_sim.gathering import Gatherer
from routilux_sim.kernel.core import Limits
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.replays import campaign_of, rerun
from routilux_sim.schedule import Schedule
from routilux_sim.simulation import epoch_of
from routilux_sim.strategy import make_strategy
from routilux_sim.timeline import Timeline

__all__ = ["Picture", "of_schedule", "of_seed"]

SCOUTS = 4
"""Executions at most in which it is found out which memory is shared: what is not is not told of."""


class Picture(NamedTuple):
    """What a picture shows.

    Attributes:
        timeline: Of the execution.
        nearest: Of the nearest execution that passes, if that one fails and there is one.
    """

    timeline: Timeline
    nearest: Timeline | None


def of_schedule(
    program: Callable[[], Any],
    name: str,
    schedule: Schedule,
    *,
    kind: str | None = None,
    nearest: bool = True,
    command: str | None = None,
) -> Picture:
    """Run a program under recorded decisions.

    Args:
        program: What the schedule was recorded of.
        name: What it is called.
        schedule: The decisions.
        kind: What kind of failure it is, if that is known.
        nearest: Whether to look for a schedule that passes, if this one fails.
        command: What to type to run it again.
    """
    campaign = campaign_of(program, schedule, kind=kind)
    with campaign.running():
        return _picture(campaign, name, schedule, nearest, command)


def of_seed(
    program: Callable[[], Any],
    name: str,
    seed: int,
    *,
    strategy: str = "random",
    instrument: Instrument = "auto",
    nearest: bool = True,
    command: str | None = None,
) -> Picture:
    """Run a program under a seed, as `simulate` does.

    Args:
        program: A callable without arguments.
        name: What it is called.
        seed: The seed.
        strategy: What makes the decisions.
        instrument: Where accesses to memory are told of.
        nearest: As for `of_schedule`; so is ``command``.
        command: What to type to run it again.

    Raises:
        ValueError: An unknown strategy.
    """
    chosen = make_strategy(strategy)
    campaign = Campaign(program, Limits(), epoch_of(None), instrument)
    with campaign.running():
        chosen.begin(seed)
        for _ in range(SCOUTS):
            execution = campaign.execute(chosen, seed, log=True, enabled=True)
            chosen.begin(seed)
            if not execution.outcome.grown:
                break
        # Its strategy's name is that of who chose, not of who chooses again.
        return _picture(campaign, name, execution.schedule, nearest, command)


def _picture(campaign: Campaign, name: str, schedule: Schedule, nearest: bool, command: str | None) -> Picture:
    execution, timeline = _gathered(campaign, name, schedule)
    if execution.verdict != "failed" or not nearest:
        return Picture(timeline, None)
    findings = investigate(campaign, execution, simplify=False)
    timeline = timeline._replace(report=explain_findings(findings, execution, command))
    if findings.nearest is None:
        return Picture(timeline, None)
    _, passing = _gathered(campaign, name, findings.nearest.schedule)
    return Picture(timeline, passing if passing.verdict == "passed" else None)


def _gathered(campaign: Campaign, name: str, schedule: Schedule) -> tuple[Execution, Timeline]:
    gatherer = Gatherer()
    execution = rerun(campaign, schedule, log=True, attend=gatherer.attend, instruments=(gatherer.flows,))
    execution.schedule.strategy = schedule.strategy
    return execution, gatherer.timeline(execution, name)
