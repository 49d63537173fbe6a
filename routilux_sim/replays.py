"""Running a program under recorded decisions."""

from __future__ import annotations

import os
from collections.abc import Sequence

from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.judge.races import RaceMode, policy_of
from routilux_sim.kernel.core import HANG_SECONDS, Limits
from routilux_sim.kernel.errors import DivergenceError
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.replay_files import ReplayFile, load_replay
from routilux_sim.schedule import Schedule
from routilux_sim.strategy.replay import ReplayStrategy

__all__ = ["replay", "rerun"]


def replay(
    program: Program,
    schedule_or_path: Schedule | str | os.PathLike[str],
    *,
    max_steps: int | None = None,
    max_seconds: float = 10 * 365 * 86_400.0,
    log: bool = True,
    hang_seconds: float | None = HANG_SECONDS,
    instrument: Instrument = None,
    races: RaceMode | None = None,
    allow_races: Sequence[str] = (),
) -> Execution:
    """Run ``program`` under recorded decisions.

    Args:
        program: The program that the schedule was recorded from.
        schedule_or_path: A schedule, or the path of a replay file.
        max_steps: As for `simulate`; None: as many as the recorded execution was allowed.
        max_seconds: As for `simulate`, in virtual seconds.
        log: Whether to keep the execution log.
        hang_seconds: As for `simulate`, in real seconds.
        instrument: As for `simulate`; None: as it was when the schedule was recorded.
        races: As for `simulate`; None, and the file is of a data race: ``"fail"``.
        allow_races: As for `simulate`.

    Returns:
        What came of it. If the program does not follow the schedule, ``error`` is a `DivergenceError` that names the
        first step that does not fit, and the verdict is ``inconclusive``.

    Raises:
        ReplayFileError: The file is not a replay file, or of an unknown version.
        OSError: The file cannot be read.
    """
    kept: ReplayFile | None = None
    if isinstance(schedule_or_path, Schedule):
        schedule = schedule_or_path
    else:
        kept = load_replay(schedule_or_path)
        schedule = kept.schedule
        if races is None and kept.kind == "race":
            races = "fail"
    steps = max_steps or schedule.max_steps or Limits().max_steps
    if instrument is None and schedule.points is not None:
        instrument = schedule.points["instrument"]
    campaign = Campaign(
        program, Limits(steps, max_seconds, hang_seconds), schedule.epoch_ns, instrument, policy_of(races, allow_races)
    )
    with campaign.running():
        execution = rerun(campaign, schedule, log=log)
    if kept is not None and isinstance(execution.error, DivergenceError):
        execution.error.add_note(kept.origin(program))
    return execution


def rerun(campaign: Campaign, schedule: Schedule, *, log: bool) -> Execution:
    """Execute a campaign's program once under recorded decisions, and check that it made just these."""
    strategy = ReplayStrategy(schedule)
    strategy.begin(schedule.seed)
    execution = campaign.execute(strategy, schedule.seed, log=log, enabled=True, points=schedule.points)
    divergence = _first_difference(schedule, execution.schedule)
    if divergence is not None:
        execution.error = divergence
    return execution


def _first_difference(recorded: Schedule, made: Schedule) -> DivergenceError | None:
    """Where the labels part: the bounds may agree by chance on a program that does something else."""
    for index, (old, new) in enumerate(zip(recorded.steps, made.steps, strict=False)):
        if (old.label, old.bound) != (new.label, new.bound):
            return DivergenceError(
                index, f"{old.label!r} with {old.bound} candidates", f"{new.label!r} with {new.bound}"
            )
    if len(made) < len(recorded):
        return DivergenceError(len(made), repr(recorded[len(made)].label), "the end of the program")
    if len(made) > len(recorded):
        return DivergenceError(len(recorded), "the end of the program", repr(made[len(recorded)].label))
    return None
