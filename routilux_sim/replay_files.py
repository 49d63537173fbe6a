"""The files that keep a schedule: written whole or not at all, and checked field by field when read."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from routilux._version import __version__
from routilux_sim.excerpts import MOST, excerpt, shorten
from routilux_sim.faults.plan import FaultPlan
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.schedule import NamedInvariant, Schedule, Step

__all__ = [
    "FORMAT",
    "READ",
    "VERSION",
    "ReplayFile",
    "ReplayFileError",
    "digest_of",
    "load_replay",
    "load_schedule",
    "path_of",
    "save_schedule",
]

FORMAT = "routilux-sim/replay"
VERSION = 2
"""What is written."""

WITH_FAULTS = 3
"""What is written where something could go wrong: who reads earlier versions only would not have it go wrong."""

WITH_INVARIANTS = 4
"""What is written where invariants were checked, for the same reason."""

READ = (1, 2, 3, 4)
"""What is read."""


class ReplayFileError(SimulationError, ValueError):
    """A replay file cannot be read; the message names the file and the place in it."""


class ReplayFile(NamedTuple):
    """What a replay file holds.

    Attributes:
        path: Of the file.
        schedule: What is replayed.
        program: Where the program is found: ``module:callable``, or in a test's words; None if that is not known.
        digest: Of the source that the program was in, for information; None if that was not at hand.
        kind: What kind of failure it was; None for none, or in files of before.
        failure: What happened, in words.
        tool: What wrote the file, with its version.
        python: Its Python's version.
    """

    path: str
    schedule: Schedule
    program: str | None
    digest: str | None
    kind: str | None
    failure: str | None
    tool: str
    python: str

    def origin(self, program: Callable[..., Any]) -> str:
        """Where the file comes from, and whether ``program`` has changed since."""
        text = f"{self.path} was written by {self.tool} under Python {self.python}"
        now = digest_of(program)
        if self.digest is None or now is None:
            return text
        changed = "has changed since" if now != self.digest else "has not changed since: not in that file, at least"
        return f"{text}; the program's source {changed}"


def path_of(program: Any) -> str | None:
    """Where others find a program: ``module:callable``; None if they cannot, as a nested function's."""
    module, name = getattr(program, "__module__", None), getattr(program, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name or module == "__main__":
        return None
    return f"{module}:{name}"


def digest_of(program: Any) -> str | None:
    """What tells one state of a program's source file from another; None if the source is not at hand."""
    try:
        path = program if isinstance(program, Path) else inspect.getsourcefile(inspect.unwrap(program))
        text = Path(path).read_bytes() if path is not None else None
    except (OSError, TypeError, ValueError):
        return None
    if text is None:
        return None
    # Line ends are Git's on some systems, not the program's.
    return "sha256:" + hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest()


def save_schedule(
    schedule: Schedule,
    path: str | os.PathLike[str],
    failure: str | None = None,
    *,
    kind: str | None = None,
    program: str | None = None,
    digest: str | None = None,
) -> None:
    """Write a replay file, whole or not at all.

    Args:
        schedule: What to keep.
        path: Where; by convention it ends in ``.replay.json``.
        failure: What happened under it, in words.
        kind: What kind of failure that is.
        program: Where the program is found, as `path_of` says it.
        digest: Of its source, as `digest_of` says it.
    """
    document = {
        "format": FORMAT,
        "version": _version_for(schedule),
        "tool": f"routilux {__version__}",
        "greenlet": _version_of("greenlet"),
        "python": platform.python_version(),
        "program": program,
        "digest": digest,
        "instrument": None if schedule.points is None else schedule.points["instrument"],
        "points": schedule.points,
        "seed": schedule.seed,
        "epoch_ns": schedule.epoch_ns,
        "max_steps": schedule.max_steps,
        "strategy": schedule.strategy,
        "kind": kind,
        "failure": failure,
    }
    if schedule.faults is not None:
        document["faults"] = schedule.faults
    if schedule.invariants:
        document["invariants"] = [invariant._asdict() for invariant in schedule.invariants]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as stream:
            stream.writelines(_written(document, schedule))
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _version_for(schedule: Schedule) -> int:
    if schedule.invariants:
        return WITH_INVARIANTS
    return VERSION if schedule.faults is None else WITH_FAULTS


def _written(document: dict[str, Any], schedule: Schedule) -> Iterator[str]:
    """A line for each field and each step: what differs between two files is then seen line by line."""
    yield "{\n"
    for name, value in document.items():
        yield f" {json.dumps(name)}: {json.dumps(value, sort_keys=True)},\n"
    yield ' "steps": ['
    before = "\n"
    for step in schedule.steps:
        row = {"label": step.label, "value": step.value, "bound": step.bound, "enabled": list(step.enabled)}
        yield f"{before}  {json.dumps(row)}"
        before = ",\n"
    yield "\n ]\n}\n"


def _version_of(package: str) -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version(package)
    return None


def load_schedule(path: str | os.PathLike[str]) -> Schedule:
    """Read the schedule in a replay file.

    Raises:
        ReplayFileError: It is not one, or of an unknown version.
        OSError: It cannot be read.
    """
    return load_replay(path).schedule


def load_replay(path: str | os.PathLike[str]) -> ReplayFile:
    """Read a replay file.

    Raises:
        ReplayFileError: It is not one, or of an unknown version.
        OSError: It cannot be read.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ReplayFileError(f"{path}: not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ReplayFileError(f"{path}: not a replay file: 'format' must be {FORMAT!r}")
    found = document.get("version")
    if type(found) is not int or found not in READ:
        known = ", ".join(map(str, READ[:-1])) + f" and {READ[-1]}"
        newer = "; a later routilux-sim wrote it" if type(found) is int and found > READ[-1] else ""
        raise ReplayFileError(f"{path}: 'version' is {excerpt(found)}; this routilux-sim reads versions {known}{newer}")
    seed = _field(path, document, "seed", int)
    strategy = _field(path, document, "strategy", str)
    steps = _field(path, document, "steps", list)
    epoch_ns = _field(path, document, "epoch_ns", int)
    # Files of before have none: a limit that was never reached.
    max_steps = _optional(path, document, "max_steps", int)
    rows = [_step(path, index, row) for index, row in enumerate(steps)]
    points, faults, invariants = _points(path, document), _faults(path, document), _invariants(path, document)
    schedule = Schedule(seed, strategy, rows, epoch_ns, max_steps, points, faults, invariants)
    return ReplayFile(
        path=os.fspath(path),
        schedule=schedule,
        program=_optional(path, document, "program", str),
        digest=_optional(path, document, "digest", str),
        kind=_optional(path, document, "kind", str),
        failure=_optional(path, document, "failure", str),
        tool=_optional(path, document, "tool", str) or "an unknown tool",
        python=_optional(path, document, "python", str) or "of an unknown version",
    )


def _field(path: Any, document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ReplayFileError(f"{path}: {name!r} must be a {kind.__name__}, not {excerpt(value)}")
    return value


def _optional(path: Any, document: dict[str, Any], name: str, kind: type) -> Any:
    return None if document.get(name) is None else _field(path, document, name, kind)


def _points(path: Any, document: dict[str, Any]) -> dict[str, Any] | None:
    """What memory was looked at, checked as far as it is used."""
    points: dict[str, Any] | None = _optional(path, document, "points", dict)
    if points is None:
        return None
    instrument, shared = points.get("instrument"), points.get("shared")
    if not isinstance(instrument, str) and not _are_names(instrument):
        raise ReplayFileError(
            f"{path}: points: 'instrument' must be a string or a list of names, not {excerpt(instrument)}"
        )
    if not _are_names(shared):
        raise ReplayFileError(f"{path}: points: 'shared' must be a list of names, not {excerpt(shared)}")
    allowed = points.get("allow_races")
    if allowed is not None and not _are_names(allowed):
        raise ReplayFileError(f"{path}: points: 'allow_races' must be a list of names, not {excerpt(allowed)}")
    return points


def _faults(path: Any, document: dict[str, Any]) -> dict[str, Any] | None:
    """What could go wrong, checked; no exception is imported yet."""
    faults: dict[str, Any] | None = _optional(path, document, "faults", dict)
    if faults is None:
        return None
    swarm = faults.get("swarm")
    if not isinstance(swarm, bool):
        raise ReplayFileError(f"{path}: faults: 'swarm' must be true or false, not {excerpt(swarm)}")
    joined = faults.get("joined", [])
    if not isinstance(joined, list):
        raise ReplayFileError(f"{path}: faults: 'joined' must be a list of plans, not {excerpt(joined)}")
    try:
        FaultPlan.from_dict(faults.get("plan"), "faults.plan")
        for index, plan in enumerate(joined):
            FaultPlan.from_dict(plan, f"faults.joined[{index}]")
    except ValueError as error:
        raise ReplayFileError(f"{path}: {shorten(str(error), 5 * MOST)}") from error
    return faults


def _invariants(path: Any, document: dict[str, Any]) -> list[NamedInvariant]:
    """What was checked; nothing is imported yet."""
    rows = _optional(path, document, "invariants", list) or []
    for index, row in enumerate(rows):
        found = row if isinstance(row, dict) else {}
        if not isinstance(found.get("name"), str) or not isinstance(found.get("path"), str | None):
            raise ReplayFileError(
                f"{path}: invariants[{index}] must be an object with a 'name', and a 'path' that is an import path or "
                f"null, not {excerpt(row)}"
            )
    return [NamedInvariant(row["name"], row.get("path")) for row in rows]


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _step(path: Any, index: int, row: Any) -> Step:
    place = f"{path}: step {index}"
    if not isinstance(row, dict):
        raise ReplayFileError(f"{place}: must be an object, not {excerpt(row)}")
    label, value, bound, enabled = (row.get(key) for key in ("label", "value", "bound", "enabled"))
    if not isinstance(label, str):
        raise ReplayFileError(f"{place}: 'label' must be a string, not {excerpt(label)}")
    if type(value) is not int or type(bound) is not int or not 0 <= value < bound:
        raise ReplayFileError(
            f"{place}: 'value' must be a whole number below 'bound', not {excerpt(value)} of {excerpt(bound)}"
        )
    if not isinstance(enabled, list) or not all(isinstance(name, str) for name in enabled):
        raise ReplayFileError(f"{place}: 'enabled' must be a list of names, not {excerpt(enabled)}")
    return Step(label, value, bound, tuple(enabled))
