"""Replaying a schedule, and the files that keep one."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from routilux._version import __version__
from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.kernel.core import HANG_SECONDS, Limits
from routilux_sim.kernel.errors import DivergenceError, SimulationError
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.schedule import Schedule, Step
from routilux_sim.strategy.replay import ReplayStrategy

__all__ = ["FORMAT", "VERSION", "ReplayFileError", "load_schedule", "replay", "rerun", "save_schedule"]

FORMAT = "routilux-sim/replay"
VERSION = 1


class ReplayFileError(SimulationError, ValueError):
    """A replay file cannot be read; the message names the file and the place in it."""


def replay(
    program: Program,
    schedule_or_path: Schedule | str | os.PathLike[str],
    *,
    max_steps: int | None = None,
    max_seconds: float = 10 * 365 * 86_400.0,
    log: bool = True,
    hang_seconds: float | None = HANG_SECONDS,
    instrument: Instrument = None,
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

    Returns:
        What came of it. If the program does not follow the schedule, ``error`` is a `DivergenceError` that names the
        first step that does not fit, and the verdict is ``inconclusive``.

    Raises:
        ReplayFileError: The file is not a replay file of this version.
        OSError: The file cannot be read.
    """
    schedule = schedule_or_path if isinstance(schedule_or_path, Schedule) else load_schedule(schedule_or_path)
    steps = max_steps or schedule.max_steps or Limits().max_steps
    if instrument is None and schedule.points is not None:
        instrument = schedule.points["instrument"]
    campaign = Campaign(program, Limits(steps, max_seconds, hang_seconds), schedule.epoch_ns, instrument)
    with campaign.running():
        return rerun(campaign, schedule, log=log)


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


def save_schedule(schedule: Schedule, path: str | os.PathLike[str], failure: str | None = None) -> None:
    """Write a replay file, whole or not at all.

    Args:
        schedule: What to keep.
        path: Where; by convention it ends in ``.replay.json``.
        failure: What happened under it, in words.
    """
    document = {
        "format": FORMAT,
        "version": VERSION,
        "tool": f"routilux {__version__}",
        "greenlet": _version_of("greenlet"),
        "python": platform.python_version(),
        "seed": schedule.seed,
        "epoch_ns": schedule.epoch_ns,
        "max_steps": schedule.max_steps,
        "strategy": schedule.strategy,
        "failure": failure,
        "steps": [
            {"label": step.label, "value": step.value, "bound": step.bound, "enabled": list(step.enabled)}
            for step in schedule.steps
        ],
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def load_schedule(path: str | os.PathLike[str]) -> Schedule:
    """Read a replay file.

    Raises:
        ReplayFileError: It is not one, or of another version.
        OSError: It cannot be read.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ReplayFileError(f"{path}: not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ReplayFileError(f"{path}: not a replay file: 'format' must be {FORMAT!r}")
    if document.get("version") != VERSION:
        raise ReplayFileError(
            f"{path}: 'version' is {document.get('version')!r}; this routilux-sim reads version {VERSION}"
        )
    seed = _field(path, document, "seed", int)
    strategy = _field(path, document, "strategy", str)
    steps = _field(path, document, "steps", list)
    epoch_ns = _field(path, document, "epoch_ns", int)
    # Files of before have none: a limit that was never reached.
    max_steps = None if document.get("max_steps") is None else _field(path, document, "max_steps", int)
    rows = [_step(path, index, row) for index, row in enumerate(steps)]
    return Schedule(seed, strategy, rows, epoch_ns, max_steps)


def _field(path: Any, document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ReplayFileError(f"{path}: {name!r} must be a {kind.__name__}, not {value!r}")
    return value


def _step(path: Any, index: int, row: Any) -> Step:
    place = f"{path}: step {index}"
    if not isinstance(row, dict):
        raise ReplayFileError(f"{place}: must be an object, not {row!r}")
    label, value, bound, enabled = (row.get(key) for key in ("label", "value", "bound", "enabled"))
    if not isinstance(label, str):
        raise ReplayFileError(f"{place}: 'label' must be a string, not {label!r}")
    if type(value) is not int or type(bound) is not int or not 0 <= value < bound:
        raise ReplayFileError(f"{place}: 'value' must be a whole number below 'bound', not {value!r} of {bound!r}")
    if not isinstance(enabled, list) or not all(isinstance(name, str) for name in enabled):
        raise ReplayFileError(f"{place}: 'enabled' must be a list of names, not {enabled!r}")
    return Step(label, value, bound, tuple(enabled))
