"""Running jobs of a flow to their end, with a main thread that is free to hear Ctrl-C.

Handlers cannot be interrupted: what Ctrl-C does is to cancel or pause the jobs, and to give the handlers that run a
little time. Knows flows and jobs; prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal, NamedTuple

from routilux import runtime as runtimes
from routilux.abc import Instrument
from routilux.flow import Flow
from routilux.job_state import FINAL, JobState

__all__ = ["Attendant", "Ended", "Interruption"]

RECORDING = 2.0
"""Seconds that a second Ctrl-C leaves for recording what the first has brought about."""

REASON = "interrupted (Ctrl-C)"


class Interruption(NamedTuple):
    """What Ctrl-C does.

    Attributes:
        action: Whether jobs are cancelled or paused.
        grace: Seconds that handlers which run get to end; a second Ctrl-C waits no longer.
        notice: Called when it has come.
    """

    action: Literal["cancel", "pause"]
    grace: float
    notice: Callable[[], object]


class Ended(NamedTuple):
    """What became of it.

    Attributes:
        jobs: Those that began, in their order, and those that they began.
        problems: Why others did not.
        interrupted: Whether Ctrl-C was pressed.
        left: Whether handlers still run, so that the process can only be ended by force.
    """

    jobs: list[JobState]
    problems: list[BaseException]
    interrupted: bool
    left: bool


class Attendant(Instrument):
    """Starts jobs of a flow one after the other, and waits until all have ended or are paused.

    Args:
        flow: Whose jobs; it is shut down when they have ended.
        interruption: What Ctrl-C does.
    """

    def __init__(self, flow: Flow, interruption: Interruption) -> None:
        self._flow = flow
        self._interruption = interruption
        self._runtime = runtimes.current()
        self._jobs: list[JobState] = []
        self._problems: list[BaseException] = []
        self._interrupted = False
        # Each is let go of once: when a job has begun or none ever will, when all have been stopped after Ctrl-C, and
        # when there is nothing left to wait for.
        self._begun = self._runtime.lock()
        self._stopped = self._runtime.lock()
        self._done = self._runtime.lock()

    def attend(self, starts: Sequence[Callable[[], object]], patience: float | None = None) -> Ended:
        """Call each of ``starts``, which begins a job, and wait for the jobs; from the main thread.

        Args:
            starts: What begins the jobs. One that runs its job to the end is good, too.
            patience: Seconds after which a job that has failed is not waited for any more, even if a handler of it
                still runs; None: as long as it takes.
        """
        self._flow.add_instrument(self)
        self._begun.acquire()
        self._done.acquire()
        try:
            self._runtime.start_thread(partial(self._work, starts), "routilux-jobs")
            finished = self._wait(patience)
        except KeyboardInterrupt:
            self._interrupted = True
            finished = self._wind_up()
        return Ended(list(self._jobs), list(self._problems), self._interrupted, not finished)

    def job_start(self, job: JobState) -> None:
        """Take note of a job that begins."""
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._begun.release()
        elif self._interrupted:
            # Too late to be stopped with the others, and not to be stopped in the middle of its beginning.
            self._runtime.start_thread(partial(self._stop_one, job), "routilux-stop")

    # In a thread of its own

    def _work(self, starts: Sequence[Callable[[], object]]) -> None:
        try:
            for start in starts:
                if not self._interrupted:
                    self._start(start)
            for job in list(self._jobs):
                self._flow.wait_for(job, or_paused=True)
            self._flow.shutdown(wait=True)
        finally:
            if not self._jobs:
                self._begun.release()
            self._done.release()

    def _start(self, start: Callable[[], object]) -> None:
        before = len(self._jobs)
        try:
            start()
        except BaseException as error:  # noqa: BLE001 - told by whoever asked, in the main thread
            # Once it has begun, a job keeps its error itself.
            if len(self._jobs) == before:
                self._problems.append(error)

    def _stop(self) -> None:
        try:
            self._begun.acquire(timeout=self._interruption.grace)
            for job in list(self._jobs):
                self._stop_one(job)
        finally:
            self._stopped.release()

    def _stop_one(self, job: JobState) -> None:
        if self._interruption.action == "cancel":
            self._flow.cancel(job, REASON)
        else:
            # It waits for handlers that run.
            self._runtime.start_thread(partial(self._pause, job), "routilux-pause")

    def _pause(self, job: JobState) -> None:
        self._flow.pause(job, REASON)

    # In the main thread

    def _wait(self, patience: float | None) -> bool:
        """Wait for the other thread; False if what it waits for is not worth it."""
        while not self._done.acquire(timeout=-1 if patience is None else patience):
            if all(job.status in FINAL for job in self._jobs):
                return False
            patience = self._interruption.grace
        return True

    def _wind_up(self) -> bool:
        _, grace, notice = self._interruption
        self._stopped.acquire()
        try:
            # A second Ctrl-C must not come in the middle of it.
            self._runtime.start_thread(self._stop, "routilux-stop")
            notice()
            return self._done.acquire(timeout=grace)
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):
                self._stopped.acquire(timeout=RECORDING)
            return False
