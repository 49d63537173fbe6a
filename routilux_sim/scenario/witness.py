"""Gathers in one execution what a scenario's expectations are about."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from routilux.abc import Instrument
from routilux.engine.activation import Activation
from routilux.job_state import JobState

__all__ = ["Ended", "LogLines", "Seen", "Witness"]


class Ended(NamedTuple):
    """How a job went.

    Attributes:
        status: Its status.
        error: What it failed with, or None.
        duration: Virtual seconds from `execute` to the end of waiting for it.
    """

    status: str
    error: BaseException | None
    duration: float


class Seen(NamedTuple):
    """A completed delivery.

    Attributes:
        job: The job's name.
        routine: The receiving routine's id.
        slot: Its slot.
        data: What it got.
    """

    job: str
    routine: str
    slot: str
    data: dict[str, Any]


class Witness(Instrument):
    """Hears what happens to a scenario's jobs.

    Args:
        only: The name of the only job; None: the thread that executes a job is called as the job.

    Attributes:
        jobs: The jobs that have begun, by name.
        seen: The deliveries that have completed.
        errors: How many attempts have failed, by routine.
        retries: When attempts after the first one began, in virtual seconds after the job, by routine.
        ended: How the jobs went, by name.
    """

    def __init__(self, only: str | None) -> None:
        self._only = only
        self._names: dict[str, str] = {}
        self._began: dict[str, int] = {}
        self.jobs: dict[str, JobState] = {}
        self.seen: list[Seen] = []
        self.errors: dict[str, int] = {}
        self.retries: dict[str, list[float]] = {}
        self.ended: dict[str, Ended] = {}

    def name_of(self, job_id: str) -> str:
        """What the scenario calls a job."""
        return self._names.get(job_id, job_id)

    def job_start(self, job: JobState) -> None:
        """Learn which job it is."""
        name = self._only or threading.current_thread().name
        self._names[job.job_id] = name
        self._began[job.job_id] = time.monotonic_ns()
        self.jobs[name] = job

    def activation_start(self, activation: Activation) -> None:
        """Note another attempt."""
        if activation.attempt > 1:
            after = (time.monotonic_ns() - self._began[activation.job.job_id]) / 1e9
            self.retries.setdefault(activation.routine_id, []).append(after)

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:
        """Note a delivery or an error."""
        if status == "completed":
            job = self.name_of(activation.job.job_id)
            self.seen.append(Seen(job, activation.routine_id, activation.slot, activation.data))
        if error is not None:
            self._count(activation)

    def activation_retry(self, activation: Activation, error: BaseException, delay: float) -> None:  # noqa: ARG002
        """Note an error."""
        self._count(activation)

    def _count(self, activation: Activation) -> None:
        self.errors[activation.routine_id] = self.errors.get(activation.routine_id, 0) + 1


class LogLines:
    """Takes an execution log's lines, with jobs under the names that the scenario has for them."""

    def __init__(self, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._began = time.monotonic_ns()
        self.lines: list[tuple[float, Mapping[str, Any]]] = []

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Keep a line, with the virtual seconds since the beginning."""
        line = {"event": event, "task": threading.current_thread().name, **fields}
        if "job" in fields:
            line["job"] = self._name_of(fields["job"])
        self.lines.append(((time.monotonic_ns() - self._began) / 1e9, line))
