"""From a failure to what a person wants to know of it: the simplest schedule, the nearest that passes, the conflict."""

from __future__ import annotations

import time

from routilux_sim.conflicts import Conflict, conflict_of
from routilux_sim.execution import Campaign, Execution
from routilux_sim.judge.signature import signature_of
from routilux_sim.nearest import Nearest, nearest_passing
from routilux_sim.schedule import Schedule
from routilux_sim.shrink import Shrunk, shrink
from routilux_sim.story import Story, Teller
from routilux_sim.strategy.recording import RecordingStrategy
from routilux_sim.strategy.replay import ReplayStrategy
from routilux_sim.trials import Budget, Trials
from routilux_sim.world.watchdog import sooner

__all__ = ["REPEATS", "Findings", "investigate"]

REPEATS = 10
"""How often the simplest schedule is run in the end, to see that it fails each time."""

REPEAT_SECONDS = 1.0
"""Real seconds after which it is not run once more."""

NEAREST_SECONDS = 1.0
"""Real seconds in which a schedule that passes is looked for."""

HANGING = 3.0
"""Real seconds without a step after which a schedule that is only tried is broken off."""

# Bound before the simulated world takes its place.
_clock = time.perf_counter


class Findings:
    """What is known of a failure.

    Attributes:
        execution: Fails under the simplest schedule.
        story: Of that execution.
        shrunk: What shrinking came to; None if it was not wanted or not possible.
        nearest: The nearest schedule that passes, if one was found.
        conflict: What went wrong, if it has a name.
        runs: How often the schedule was run in the end, to see whether it fails.
        reproduced: How often it failed in the same way.
    """

    def __init__(self, execution: Execution, story: Story) -> None:
        self.execution = execution
        self.story = story
        self.shrunk: Shrunk | None = None
        self.nearest: Nearest | None = None
        self.conflict: Conflict | None = None
        self.runs = 0
        self.reproduced = 0

    @property
    def schedule(self) -> Schedule:
        """The simplest schedule."""
        return self.execution.schedule

    @property
    def deviations(self) -> list[int]:
        """The indices of its decisions that are not the plain choice, without those of a fair suffix."""
        steps = self.schedule.steps
        if self.execution.fair_from is not None and self.story.is_whole:
            steps = steps[: len(self.story.moments)]
        return [index for index, step in enumerate(steps) if step.value]


def investigate(campaign: Campaign, execution: Execution, *, simplify: bool, budget: Budget | None = None) -> Findings:
    """Find out about a failure.

    Args:
        campaign: Of the program; it must be running.
        execution: One that failed, and does so when it is replayed.
        simplify: Whether to look for a simpler schedule; else its own is explained.
        budget: How much shrinking may try.
    """
    budget = budget or Budget()
    ends = _clock() + budget.seconds + NEAREST_SECONDS
    if not simplify:
        budget.executions = 1
    with sooner(HANGING):
        shrunk = shrink(campaign, execution.schedule, budget)
        if shrunk is not None and simplify:
            shrunk = _with_all_points(campaign, shrunk, budget)
    found = _told(campaign, shrunk.schedule) if shrunk is not None else None
    if found is None or not _is_same(found.execution, execution):
        shrunk = None
        found = _told(campaign, execution.schedule) or Findings(execution, Story())
    if shrunk is not None:
        found.shrunk = shrunk if simplify else None
        with sooner(HANGING):
            left = min(NEAREST_SECONDS, ends - _clock())
            found.nearest = nearest_passing(campaign, shrunk.schedule, shrunk.plan, left)
    found.conflict = _conflict(campaign, found)
    began, signature = _clock(), signature_of(found.execution.error)
    while found.runs < REPEATS and _clock() - began < REPEAT_SECONDS:
        found.runs += 1
        found.reproduced += signature_of(_replay(campaign, found.schedule, None).error) == signature
    return found


def _with_all_points(campaign: Campaign, shrunk: Shrunk, budget: Budget) -> Shrunk:
    """The same with each access a scheduling point of which it has turned out meanwhile that it is to shared memory.

    The first execution to fail may be the first of all, and know of none; and what is no point is not told either.
    """
    old = shrunk.schedule
    if old.points is None or campaign.shared == frozenset(old.points["shared"]):
        return shrunk
    anywhere = Schedule(old.seed, old.strategy, (), old.epoch_ns, old.max_steps)
    trial, execution = Trials(campaign, anywhere, budget).record(shrunk.plan)
    if trial.signature is None or trial.signature != shrunk.signature:
        return shrunk
    again = shrink(campaign, execution.schedule, budget)
    if again is None or again.after[:3] > shrunk.after[:3]:
        return shrunk
    again.before = shrunk.before
    return again


def _conflict(campaign: Campaign, found: Findings) -> Conflict | None:
    passing = None
    if found.nearest is not None:
        teller = Teller(names=False)
        _replay(campaign, found.nearest.schedule, teller)
        passing = teller.story
    error = found.execution.error
    if error is None:
        return None
    return conflict_of(found.story, error, found.deviations, found.execution.failed_task, passing)


def _is_same(one: Execution, other: Execution) -> bool:
    first, second = signature_of(one.error), signature_of(other.error)
    if first is None or second is None:
        return False
    # A deadlock's cause is told apart better with a log than without one, as in shrinking.
    return first == second or first[0] == second[0] == "deadlock"


def _told(campaign: Campaign, schedule: Schedule) -> Findings | None:
    """Run a schedule once more, and listen; None if it does not fail, or makes other decisions."""
    teller = Teller()
    execution = _replay(campaign, schedule, teller)
    if execution.kind is None or execution.schedule != schedule:
        return None
    execution.schedule.strategy = schedule.strategy
    found = Findings(execution, teller.story)
    found.runs = found.reproduced = 1
    return found


def _replay(campaign: Campaign, schedule: Schedule, teller: Teller | None) -> Execution:
    strategy = ReplayStrategy(schedule)
    strategy.begin(schedule.seed)
    if teller is None:
        return campaign.execute(strategy, schedule.seed, log=True, points=schedule.points)
    recording = RecordingStrategy(strategy, teller)
    return campaign.execute(
        recording, schedule.seed, log=True, enabled=True, attend=teller.attend, points=schedule.points
    )
