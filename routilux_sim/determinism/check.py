"""Runs a schedule again, and says where the program did not do the same and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routilux_sim.determinism.diagnosis import CAUSES, REMEDIES, Diagnosis, diagnose
from routilux_sim.determinism.experiments import record
from routilux_sim.determinism.frames import describe_where
from routilux_sim.determinism.memory import shuffle
from routilux_sim.determinism.moments import (
    Difference,
    Moment,
    Recorder,
    difference_at_the_end,
    difference_from,
    moments_of,
)
from routilux_sim.determinism.suspects import sets_in_use
from routilux_sim.execution import Campaign, Execution
from routilux_sim.kernel.errors import NondeterminismError
from routilux_sim.strategy import Strategy
from routilux_sim.strategy.recording import RecordingStrategy

__all__ = ["check_again", "execute_recorded"]


def execute_recorded(
    campaign: Campaign,
    strategy: Strategy,
    seed: int,
    *,
    log: bool = False,
    trace: bool = False,
    points: dict[str, Any] | None = None,
) -> tuple[Execution, list[Moment]]:
    """Run a campaign's program once, and note what it looked like at each decision."""
    recorder = Recorder()
    execution = campaign.execute(
        RecordingStrategy(strategy, recorder), seed, log=log, enabled=True, trace=trace, points=points
    )
    return execution, _all_moments(recorder, execution)


def _all_moments(recorder: Recorder, execution: Execution) -> list[Moment]:
    """Those recorded, and those in which not the strategy chose: in a fair suffix."""
    if execution.fair_from is None:
        return recorder.moments
    return [*recorder.moments, *moments_of(execution.schedule)[len(recorder.moments) :]]


def check_again(
    campaign: Campaign, execution: Execution, moments: Sequence[Moment] | None = None, *, times: int = 1
) -> tuple[Execution, NondeterminismError | None]:
    """Run an execution's schedule again, and hold what happens against what happened.

    Every time the free memory is left in another order, so that what depends on addresses shows.

    Args:
        campaign: Ran it.
        execution: What came of it.
        moments: What it looked like at each decision, if that was noted.
        times: How often.

    Returns:
        The last execution, with its log; and what differed, or None.
    """
    schedule = execution.schedule
    expected = moments_of(schedule) if moments is None else moments
    again = execution
    for number in range(times):
        kept = shuffle(number)
        recorder = _Witness(expected)
        again = record(campaign, schedule, recorder, log=True)
        kept.clear()
        made = _all_moments(recorder, again)
        difference = (
            recorder.difference
            or difference_from(len(recorder.moments), expected, made)
            or difference_at_the_end(execution, again, expected, made)
        )
        if difference is not None:
            diagnosis = diagnose(campaign, schedule, difference, recorder.sets)
            return again, _error(execution, difference, diagnosis)
        expected = made
    return again, None


class _Witness(Recorder):
    """Looks around when executions part, while everything is still there.

    Attributes:
        sets: Those being iterated, in words.
    """

    def __init__(self, expected: Sequence[Moment]) -> None:
        super().__init__(expected)
        self.sets: list[str] = []

    def parted(self) -> None:
        """Look around."""
        self.sets = sets_in_use()


def _error(execution: Execution, difference: Difference, diagnosis: Diagnosis) -> NondeterminismError:
    error = NondeterminismError(
        _words(execution, difference, diagnosis),
        step=difference.step,
        cause=diagnosis.cause,
        certain=diagnosis.certain,
        first=difference.first,
        second=difference.second,
        stack=tuple(describe_where(difference.where)),
    )
    error.__cause__ = execution.error
    return error


def _words(execution: Execution, difference: Difference, diagnosis: Diagnosis) -> str:
    lines = [
        f"under seed {execution.seed} the program did not do the same twice; it depends on something not simulated",
        f"at decision {difference.step} {difference.what} was {difference.first} the first time, "
        f"and {difference.second} the second",
    ]
    lines += _places(difference)
    perhaps = "" if diagnosis.certain else "perhaps "
    lines.append(f"cause: {perhaps}{CAUSES[diagnosis.cause]}")
    lines += [f"  {words}" for words in diagnosis.evidence]
    lines.append(f"remedy: {REMEDIES[diagnosis.cause]}")
    return "\n".join(lines)


def _places(difference: Difference) -> list[Any]:
    """Where the task stood; both times if it was not in the same place."""
    lines = [f"  at {place}" for place in describe_where(difference.where)]
    if difference.was_where and difference.was_where != difference.where:
        lines += [f"  the first time at {place}" for place in describe_where(difference.was_where)]
    return lines
