"""From a schedule that fails to one that passes and differs from it in one decision: what the failure hangs on.

A schedule is told by what it changes in a plain one, and a failure by the passing run that is nearest to it, as
IOSimPOR does for Haskell's concurrent programs (QuviQ and IOG, `io-sim`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from routilux_sim.execution import Campaign
from routilux_sim.schedule import Schedule
from routilux_sim.shrink import LARGEST
from routilux_sim.strategy.guided import Plan
from routilux_sim.trials import Budget, BudgetSpentError, Trial, Trials

__all__ = ["Nearest", "nearest_passing"]

LATEST = 300
"""So many decisions before the end are tried one by one; from there on ever fewer."""


class Nearest:
    """A schedule that passes.

    Attributes:
        schedule: What passes.
        plan: Its decisions that are not the plain choice, by name.
        step: The index of the one decision at which it parts from the failing one; up to there both are the same.
    """

    def __init__(self, schedule: Schedule, plan: Plan, step: int) -> None:
        self.schedule = schedule
        self.plan = plan
        self.step = step

    def __repr__(self) -> str:
        return f"<Nearest passing schedule, parting at step {self.step}>"


def nearest_passing(campaign: Campaign, schedule: Schedule, plan: Plan, seconds: float = 1.0) -> Nearest | None:
    """Look for a schedule that passes and differs from a failing one in a single decision.

    First the plain choice in place of one that is not, the latest first; then any other choice anywhere, the latest
    first. What follows that decision is chosen as before, where it still can be.

    Args:
        campaign: Of the program; it must be running.
        schedule: One that fails.
        plan: Its decisions that are not the plain choice.
        seconds: Real time that it may take; it takes a limited number of executions and steps in any case.
    """
    trials = Trials(campaign, schedule, Budget(executions=400, steps=1_000_000, seconds=seconds))
    if len(schedule) > LARGEST:
        return None
    with suppress(BudgetSpentError):
        failing = trials.run(plan)
        if failing is None or failing.passed:
            return None
        for other, step in _changes(failing):
            trial = trials.run(other)
            if trial is not None and trial.passed:
                again, execution = trials.record(trial.plan)
                return Nearest(execution.schedule, again.plan, step) if again.passed else None
    return None


def _changes(failing: Trial) -> Iterator[tuple[Plan, int]]:
    plan = failing.plan
    for anchor in reversed(list(plan)):
        yield {other: to for other, to in plan.items() if other != anchor}, failing.places[anchor]
    back = 0
    while back < len(failing.choices):
        step = len(failing.choices) - 1 - back
        anchor, options, _ = failing.choices[step]
        for option in options[1:]:
            if plan.get(anchor) != option:
                yield {**plan, anchor: option}, step
        back += 1 + back // LATEST
