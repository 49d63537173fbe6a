"""What must hold in every schedule of every program here, whatever the program is about.

`check` explores a program and judges each execution: statuses have only moved forward, no thread is left, and the
engine's inner books are clear. Nothing of it is in the program's way: statuses are seen where they are written.
An `Observer` is an instrument whose records are judged as well; the engine takes another path for jobs that have one.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from routilux import JobState
from routilux.engine.accounting import CLOSED, JobAccount
from routilux.engine.limits import Turnstile
from routilux.job_state import FINAL
from routilux_sim import Report
from tests.exploring import explore

SCHEDULES = 1_000

FORWARD = {
    "pending": {"running", "cancelled"},
    "running": {"paused", *FINAL},
    "paused": {"running", *FINAL},
}
"""What each status may be followed by; a final one by nothing."""


def check(program: Callable[[], object], schedules: int = SCHEDULES, seed: int = 0) -> Report:
    """Explore ``program``, and raise unless it and every oracle hold in each of so many schedules."""
    watch = Watch()

    def judged() -> None:
        watch.begin()
        program()
        watch.judge()

    with watch.installed():
        report = explore(judged, schedules=schedules, seed=seed)
    report.raise_if_failed()
    assert report.schedules == schedules or report.verdict == "exhausted"
    return report


class Watch:
    """Sees each status that a job takes, and the books of each job, while it is installed."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the last execution."""
        self._backwards: list[str] = []
        self._jobs: list[weakref.ref[JobState]] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Look on for as long as the body runs."""
        make = JobAccount.__init__

        def made(account: JobAccount, *args: Any, **kwargs: Any) -> None:
            make(account, *args, **kwargs)
            # Weakly: who looks on keeps nothing alive.
            self._jobs.append(weakref.ref(account.job))

        JobAccount.__init__ = made
        JobState.status = _Status(self._backwards_of)
        try:
            yield
        finally:
            JobAccount.__init__ = make
            del JobState.status

    def _backwards_of(self, job: JobState, before: str | None, after: str) -> None:
        if before is None or (job.__dict__.get("_account") is None and before == "pending"):
            return  # made, or read from a document
        if after not in FORWARD.get(before, ()):
            if before == after and after not in FINAL and job.__dict__.get("_account") is None:
                return  # a paused job that was loaded becomes a flow's
            self._backwards.append(f"{job.job_id}: from {before} to {after}")

    def judge(self) -> None:
        """Raise unless all that the execution left behind is as it must be."""
        assert not self._backwards, f"statuses went backwards: {self._backwards}"
        assert threading.enumerate() == [threading.main_thread()], f"still alive: {threading.enumerate()}"
        # Two threads that resume a loaded job may both make books for it; it has those that its state refers to.
        jobs = {job for reference in self._jobs if (job := reference()) is not None}
        accounts = [job._account for job in jobs if job._account is not None]
        for account in accounts:
            judge_books(account)
        for engine in {account.engine for account in accounts}:
            judge_limits(engine, [account for account in accounts if account.engine is engine])


class _Status:
    """Stands in for ``JobState.status``, and reports each status that is written."""

    def __init__(self, report: Callable[[JobState, str | None, str], None]) -> None:
        self._report = report

    def __get__(self, job: JobState | None, owner: type[JobState]) -> Any:
        return self if job is None else job.__dict__["status"]

    def __set__(self, job: JobState, status: str) -> None:
        self._report(job, job.__dict__.get("status"), status)
        job.__dict__["status"] = status


def judge_books(account: JobAccount) -> None:
    """Raise unless a job is over and clear, or paused and at rest."""
    job = account.job
    if account.over:
        assert (job.status in FINAL, account.gate, account.outstanding()) == (True, CLOSED, 0), job
        assert account.flow is None
        assert job.pending_tasks == []
        assert "running" not in {state["status"] for state in job.routine_states.values()}
    else:
        assert (job.status, account.paused, account.rested) == ("paused", True, True), job
        assert not account.queued
        assert not account.dropping
    assert not account.running
    assert not account.coroutines
    assert account.holds == 0
    assert (account.watchers, account._waiters, account.pausers) == ([], [], set())


def judge_limits(engine: Any, accounts: list[JobAccount]) -> None:
    """Raise unless an engine's bounds count what there is, and no turn is taken by nobody."""
    if engine.bound is not None:
        kept = sum(account.outstanding() for account in accounts)
        assert engine.bound._count == kept, f"{engine.bound._count} counted as queued, {kept} are"
        assert not engine.bound._waiting
    for turnstile in engine._turnstiles.values():
        judge_turnstile(turnstile)


def judge_turnstile(turnstile: Turnstile) -> None:
    """Raise unless nobody is inside, about to be, or waiting to be."""
    assert (turnstile._inside, turnstile._passes, list(turnstile._waiting)) == (0, set(), [])


def books_are_clear(job: JobState) -> bool:
    """Whether nothing of a job is queued, running, or waiting to be retried, at this moment."""
    return job._account.outstanding() == 0 and not job.pending_tasks


class Observer:
    """An instrument that notes every call, and says whether they fit together."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str, JobState, Any]] = []

    def _note(self, hook: str, job: JobState, *more: Any) -> None:
        self.calls.append((time.monotonic_ns(), hook, job, more))

    def job_start(self, job):
        self._note("job_start", job)

    def job_pause(self, job):
        self._note("job_pause", job)

    def job_resume(self, job):
        self._note("job_resume", job)

    def job_end(self, job):
        assert job.status in FINAL
        self._note("job_end", job)

    def emit(self, job, routine_id, event, data, targets):
        self._note("emit", job, targets)

    def activation_queue(self, activation):
        self._note("queue", activation.job, activation.number)

    def activation_start(self, activation):
        self._note("start", activation.job, activation.number, activation.attempt)

    def activation_end(self, activation, status, error):
        self._note("end", activation.job, activation.number, activation.attempt)

    def activation_retry(self, activation, error, delay):
        self._note("retry", activation.job, activation.number, activation.attempt)

    def activation_drop(self, activation, reason):
        self._note("drop", activation.job, activation.number, activation.attempt)

    def hooks_of(self, job: JobState) -> list[str]:
        """The calls about one job, in their order."""
        return [hook for _, hook, about, _ in self.calls if about is job]

    def judge(self, *jobs: JobState) -> None:
        """Raise unless what was heard of each job, which is over, is a whole."""
        for job in jobs:
            self._judge_job(job)

    def _judge_job(self, job: JobState) -> None:
        hooks = self.hooks_of(job)
        assert (hooks[0], hooks[-1]) == ("job_start", "job_end"), hooks
        counts = Counter(hooks)
        assert (counts["job_start"], counts["job_end"]) == (1, 1)
        assert counts["job_pause"] - counts["job_resume"] in {0, 1}
        delivered = sum(more[0] for _, hook, about, more in self.calls if about is job and hook == "emit")
        assert counts["queue"] == delivered + 1, "not as many queued as emitted, and the entry"
        by_number: dict[int, Counter[tuple[str, int]]] = {}
        for _, hook, about, more in self.calls:
            if about is job and hook in {"queue", "start", "end", "retry", "drop"}:
                attempt = more[1] if len(more) > 1 else 1
                by_number.setdefault(more[0], Counter())[hook, attempt] += 1
        for number, seen in by_number.items():
            judge_activation(number, seen)


def judge_activation(number: int, seen: Counter[tuple[str, int]]) -> None:
    """Raise unless an activation was queued once, started once an attempt, and came to one end."""
    assert set(seen.values()) == {1}, f"activation {number}: {seen}"
    starts = sorted(attempt for hook, attempt in seen if hook == "start")
    retries = sorted(attempt for hook, attempt in seen if hook == "retry")
    ends = [attempt for hook, attempt in seen if hook == "end"]
    drops = [attempt for hook, attempt in seen if hook == "drop"]
    assert seen["queue", 1] == 1
    assert starts == list(range(1, len(starts) + 1)), f"activation {number}: {seen}"
    assert len(ends) + len(drops) == 1, f"activation {number} came to {len(ends)} ends and {len(drops)} drops"
    assert retries == (starts[:-1] if ends else starts), f"activation {number}: {seen}"
    assert ends == starts[-1:] if ends else drops == [len(starts) + 1]
