"""Reading an execution log (`routilux.log`): what jobs there were, and how each of their activations went."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from routilux.log import EVENTS
from routilux_sim.excerpts import excerpt
from routilux_sim.kernel.errors import SimulationError

__all__ = ["LogFileError", "LoggedActivation", "LoggedJob", "read_log"]


class LogFileError(SimulationError, ValueError):
    """An execution log cannot be read; the message names the file and the line."""


class LoggedActivation:
    """One attempt at an activation.

    Attributes:
        routine: The receiving routine's id.
        slot: Its slot.
        number: Its number in the job.
        start: When it started, in nanoseconds of the log.
        end: When it ended; None if the log does not say.
        status: How; None likewise.
        error: What it raised, in words, or None.
        emits: When it emitted.
        task: The thread that it began in.
        is_async: Whether it ended in another one: an event loop's, whose emits are not told apart.
    """

    def __init__(self, routine: str, slot: str, number: int, start: int, task: str) -> None:
        self.routine = routine
        self.slot = slot
        self.number = number
        self.start = start
        self.task = task
        self.end: int | None = None
        self.status: str | None = None
        self.error: str | None = None
        self.emits: list[int] = []
        self.is_async = False


class LoggedJob:
    """One job.

    Attributes:
        name: Its id.
        flow: The id of its flow.
        start: When it began, in nanoseconds of the log.
        task: The thread that executed it.
        status: How it ended; None if the log does not say.
        error: What it failed with, in words, or None.
        activations: In the order in which they started.
        actions: When it was paused, resumed or cancelled.
        dropped: When something of it was dropped first; None: nothing was.
    """

    def __init__(self, name: str, flow: str, start: int, task: str) -> None:
        self.name = name
        self.flow = flow
        self.start = start
        self.task = task
        self.status: str | None = None
        self.error: str | None = None
        self.activations: list[LoggedActivation] = []
        self.actions: list[tuple[int, str]] = []
        self.dropped: int | None = None


class _Line(NamedTuple):
    """One line, with where it stands."""

    place: str
    data: dict[str, Any]

    def text(self, key: str) -> str:
        """A field that is a string."""
        value = self.data.get(key)
        if not isinstance(value, str):
            raise LogFileError(f"{self.place}: {key!r} must be a string, not {excerpt(value)}")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise LogFileError(f"{self.place}: {key!r} is no text: {error}") from error
        return value

    def whole(self, key: str, least: int = 0) -> int:
        """A field that is a whole number."""
        value = self.data.get(key)
        if type(value) is not int or not least <= value < _MOST:
            raise LogFileError(f"{self.place}: {key!r} must be a whole number from {least} up, not {excerpt(value)}")
        return value


_MOST = 1 << 63


def read_log(path: str | os.PathLike[str]) -> list[LoggedJob]:
    """Read the jobs in an execution log, in the order in which they began.

    What belongs to jobs that began before the log did is left out.

    Raises:
        LogFileError: A line is none of an execution log's; the message says which and why.
        OSError: The file cannot be read.
    """
    file = Path(path)
    reader = _Reader()
    for line in _lines(file):
        reader.take(line)
    return list(reader.jobs.values())


def _lines(file: Path) -> Iterator[_Line]:
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if raw.strip():
                yield _line(f"{file}:{number}", raw)


def _line(place: str, raw: bytes) -> _Line:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LogFileError(f"{place}: not a JSON object: {error}") from error
    if not isinstance(data, dict):
        raise LogFileError(f"{place}: must be a JSON object, not {excerpt(data)}")
    line = _Line(place, data)
    event = line.text("event")
    if event not in EVENTS:
        raise LogFileError(f"{place}: there is no event {excerpt(event)} in an execution log; is this one?")
    return line


class _Reader:
    """Puts lines together to jobs."""

    def __init__(self) -> None:
        self.jobs: dict[str, LoggedJob] = {}
        self._running: dict[tuple[str, int], LoggedActivation] = {}
        self._in_task: dict[tuple[str, str], LoggedActivation] = {}

    def take(self, line: _Line) -> None:
        """Take the next line."""
        kind, _, what = line.text("event").partition(".")
        if kind not in {"job", "activation", "emit"}:
            return
        at, name, task = line.whole("t_ns"), line.text("job"), line.text("task")
        if kind == "job" and what == "start":
            if name in self.jobs:
                raise LogFileError(f"{line.place}: job {excerpt(name)} begins a second time; read one run's log alone")
            self.jobs[name] = LoggedJob(name, line.text("flow"), at, task)
            return
        job = self.jobs.get(name)
        if job is None:
            return
        if at < job.start:
            raise LogFileError(f"{line.place}: 't_ns' is {at}, and the job began at {job.start}")
        if kind == "job":
            self._job(job, what, at, line)
        elif kind == "emit":
            running = self._in_task.get((name, task))
            if running is not None:
                running.emits.append(at)
        else:
            self._activation(job, what, at, task, line)

    def _job(self, job: LoggedJob, what: str, at: int, line: _Line) -> None:
        if what == "end":
            job.status = line.text("status")
            job.error = line.text("error") if "error" in line.data else None
            if job.status == "cancelled":
                job.actions.append((job.dropped or _just_after_the_last_start(job), "cancel"))
        else:
            job.actions.append((at, what))

    def _activation(self, job: LoggedJob, what: str, at: int, task: str, line: _Line) -> None:
        routine, slot, number = line.text("routine"), line.text("slot"), line.whole("activation", 1)
        if what == "drop":
            job.dropped = job.dropped or at
            return
        key = (job.name, number)
        if what == "start":
            found = LoggedActivation(routine, slot, number, at, task)
            job.activations.append(found)
            self._running[key] = self._in_task[job.name, task] = found
            return
        found_or_none = self._running.pop(key, None)
        if found_or_none is None:
            raise LogFileError(f"{line.place}: activation {number} of job {excerpt(job.name)} ends without a start")
        found = found_or_none
        if at < found.start:
            raise LogFileError(f"{line.place}: 't_ns' is {at}, and the activation started at {found.start}")
        found.end = at
        found.is_async = task != found.task
        found.status = line.text("status") if what == "end" else "retry"
        found.error = line.text("error") if "error" in line.data else None
        if self._in_task.get((job.name, found.task)) is found:
            del self._in_task[job.name, found.task]


def _just_after_the_last_start(job: LoggedJob) -> int:
    """When a job was cancelled of which nothing was dropped: the log tells the end only, which comes later."""
    return max([job.start, *(activation.start for activation in job.activations)]) + 1
