"""Running a program under recorded decisions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.faults.arming import Armed, FaultsGiven, arm
from routilux_sim.judge.invariants import Invariant
from routilux_sim.judge.races import RaceMode, RacePolicy, policy_of
from routilux_sim.kept_invariants import load_invariants, unreachable
from routilux_sim.kernel.core import HANG_SECONDS, Kernel, Limits
from routilux_sim.kernel.errors import DivergenceError
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.replay_files import ReplayFile, ReplayFileError, load_replay
from routilux_sim.schedule import Schedule
from routilux_sim.strategy.replay import ReplayStrategy

__all__ = ["campaign_of", "check_reachable", "replay", "rerun"]


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
    faults: FaultsGiven = None,
    swarm: bool = False,
    invariants: Sequence[Invariant] | None = None,
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
        races: As for `simulate`; None: ``"fail"`` if it was that when the schedule was recorded.
        allow_races: As for `simulate`, if ``races`` is given.
        faults: As for `simulate`; None: what could go wrong when the schedule was recorded.
        swarm: As for `simulate`, if ``faults`` is given.
        invariants: As for `simulate`; None: those that were checked when the schedule was recorded, as far as they can
            be imported.

    Returns:
        What came of it. If the program does not follow the schedule, ``error`` is a `DivergenceError` that names the
        first step that does not fit, and the verdict is ``inconclusive``.

    Raises:
        ReplayFileError: The file is not a replay file, or of an unknown version; or the failure is that of an
            invariant which cannot be imported, and ``invariants`` is not given.
        LoadError: An invariant is not where it was.
        OSError: The file cannot be read.
    """
    kept: ReplayFile | None = None
    if isinstance(schedule_or_path, Schedule):
        schedule = schedule_or_path
    else:
        kept = load_replay(schedule_or_path)
        schedule = kept.schedule
        if invariants is None:
            check_reachable(kept)
    steps = max_steps or schedule.max_steps or Limits().max_steps
    campaign = campaign_of(
        program,
        schedule,
        Limits(steps, max_seconds, hang_seconds),
        instrument,
        policy_of(races, allow_races),
        None if kept is None else kept.kind,
        None if faults is None else arm(faults, swarm),
        invariants=invariants,
    )
    with campaign.running():
        execution = rerun(campaign, schedule, log=log)
    if isinstance(execution.error, DivergenceError):
        if kept is not None:
            execution.error.add_note(kept.origin(program))
        missing = [repr(name) for name, path in schedule.invariants if path is None]
        if missing and invariants is None:
            execution.error.add_note(
                f"not checked, as it cannot be imported, was {' and '.join(missing)}; give it as invariants=[...]"
            )
    return execution


def check_reachable(kept: ReplayFile) -> None:
    """Refuse a file of which nothing can come: its failure is that of an invariant that no import path leads to.

    Raises:
        ReplayFileError: It is such a file.
    """
    name = unreachable(kept.schedule.invariants, kept.failure) if kept.kind == "invariant" else None
    if name is not None:
        raise ReplayFileError(
            f"{kept.path}: the failure is that of the invariant {name!r}, which cannot be imported; make it a function "
            "of a module, or give it: replay(program, path, invariants=[...])"
        )


def campaign_of(
    program: Program,
    schedule: Schedule,
    limits: Limits | None = None,
    instrument: Instrument = None,
    races: RacePolicy | None = None,
    kind: str | None = None,
    faults: Armed | None = None,
    invariants: Sequence[Invariant] | None = None,
    log: bool = False,
) -> Campaign:
    """What can run a schedule again: with the memory points that it was recorded with, and races as failures if so.

    Args:
        program: The program that it was recorded from.
        schedule: The schedule.
        limits: How long an execution may go on; None: as the recorded one might.
        instrument: As for `simulate`; None: as it was when the schedule was recorded.
        races: What is to be done about races; None: what was done.
        kind: What kind of failure it is, if that is known.
        faults: What may go wrong; None: what could then.
        invariants: What is checked at each step; None: what was checked, as far as it can be imported.
        log: Whether each execution keeps a log, also if it is not asked to.
    """
    if limits is None:
        limits = Limits(schedule.max_steps or Limits().max_steps)
    points = schedule.points or {}
    if races is None and (kind == "race" or "allow_races" in points):
        races = RacePolicy("fail", points.get("allow_races", ()))
    if faults is None and schedule.faults is not None:
        faults = arm(schedule.faults["plan"], schedule.faults["swarm"])
    if invariants is None:
        invariants = load_invariants(schedule.invariants)
    return Campaign(
        program,
        limits,
        schedule.epoch_ns,
        instrument or points.get("instrument"),
        races,
        faults,
        invariants=invariants,
        log=log,
    )


def rerun(
    campaign: Campaign,
    schedule: Schedule,
    *,
    log: bool,
    attend: Callable[[Kernel], object] | None = None,
    instruments: Sequence[object] = (),
) -> Execution:
    """Execute a campaign's program once under recorded decisions, and check that it made just these.

    Args:
        campaign: Of the program; it must be running.
        schedule: The decisions.
        log: As for `Campaign.execute`; so are ``attend`` and ``instruments``.
        attend: Called with the kernel before it runs.
        instruments: Told of what flows do.
    """
    strategy = ReplayStrategy(schedule)
    strategy.begin(schedule.seed)
    execution = campaign.execute(
        strategy,
        schedule.seed,
        log=log,
        enabled=True,
        points=schedule.points,
        attend=attend,
        instruments=instruments,
    )
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
