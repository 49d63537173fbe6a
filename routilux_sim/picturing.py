"""From a program and a schedule or seed to the timelines that a picture shows.

What goes on for long is drawn in part: of what fails the end, of what passes the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from routilux_sim.execution import Campaign, Execution
from routilux_sim.explanation import explain_findings
from routilux_sim.findings import investigate
from routilux_sim.gathering import Gatherer
from routilux_sim.judge.invariants import Invariant
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
    invariants: Sequence[Invariant] = (),
    first: int | None = None,
) -> Picture:
    """Run a program under recorded decisions.

    Args:
        program: What the schedule was recorded of.
        name: What it is called.
        schedule: The decisions.
        kind: What kind of failure it is, if that is known.
        nearest: Whether to look for a schedule that passes, if this one fails.
        command: What to type to run it again.
        invariants: What is checked at each step.
        first: The first step that is drawn; None: that is settled by what comes of it.

    Raises:
        ValueError: There is no such step.
    """
    campaign = campaign_of(program, schedule, kind=kind, invariants=invariants)
    with campaign.running():
        return _picture(campaign, name, schedule, nearest, command, first)


def of_seed(
    program: Callable[[], Any],
    name: str,
    seed: int,
    *,
    strategy: str = "random",
    instrument: Instrument = "auto",
    nearest: bool = True,
    command: str | None = None,
    first: int | None = None,
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
        first: As for `of_schedule`.

    Raises:
        ValueError: An unknown strategy, or no such step.
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
        return _picture(campaign, name, execution.schedule, nearest, command, first)


def _picture(
    campaign: Campaign, name: str, schedule: Schedule, nearest: bool, command: str | None, first: int | None
) -> Picture:
    execution, timeline = _gathered(campaign, name, schedule, first or 0)
    if first is not None and not timeline.steps:
        raise ValueError(f"there is no step {first}: there are {timeline.total}, counted from 0")
    if first is None and timeline.left and execution.error is not None:
        execution, timeline = _gathered(campaign, name, schedule, timeline.total - len(timeline.steps))
    if execution.verdict != "failed" or not nearest:
        return Picture(timeline, None)
    findings = investigate(campaign, execution, simplify=False)
    timeline = timeline._replace(report=explain_findings(findings, execution, command))
    if findings.nearest is None:
        return Picture(timeline, None)
    passing = _beside(campaign, name, findings.nearest.schedule, timeline)
    return Picture(timeline, passing if passing.verdict == "passed" else None)


def _beside(campaign: Campaign, name: str, schedule: Schedule, other: Timeline) -> Timeline:
    """The same steps of another execution; its last ones, where it is over sooner."""
    _, timeline = _gathered(campaign, name, schedule, other.skipped)
    if not timeline.steps:
        _, timeline = _gathered(campaign, name, schedule, max(0, timeline.total - len(other.steps)))
    return timeline


def _gathered(campaign: Campaign, name: str, schedule: Schedule, first: int) -> tuple[Execution, Timeline]:
    gatherer = Gatherer(first)
    execution = rerun(campaign, schedule, log=True, attend=gatherer.attend, instruments=(gatherer.flows,))
    execution.schedule.strategy = schedule.strategy
    return execution, gatherer.timeline(execution, name)
