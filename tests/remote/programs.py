"""The settled semantics, as programs that hold wherever activations run.

Each takes a scheduler, runs jobs on it and asserts. Nothing in them is shared with handlers but what flows carry; naps
are short, as some places are real. The docstring of each says what it claims.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

from routilux import ErrorHandler, Flow, JobState, QueueOutputHandler, Routine
from routilux.abc import Scheduler
from routilux.engine.accounting import CLOSED
from routilux.exceptions import JobStatusError
from tests.remote import routines
from tests.remote.routines import AsyncStep, BoomError, Counter, Flaky, Flood, Gatherer, Reporter, Source, Step, Turns

NAP = 0.01
PATIENCE = 60.0

Program = Callable[[Scheduler], None]

PROGRAMS: list[Program] = []


def anywhere(program: Program) -> Program:
    """List a program among those that hold anywhere."""
    PROGRAMS.append(program)
    return program


def chain(scheduler: Scheduler, *steps: Routine, retries: int = 0, **options: Any) -> Flow:
    """A flow from a source through ``steps``, which are called ``s0``, ``s1`` …; what is lost is tried again."""
    flow = Flow(**{"execution_strategy": "concurrent", "max_workers": 4, "scheduler": scheduler, **options})
    flow.add_routine(Source(), "source")
    before = "source"
    for number, step in enumerate(steps):
        flow.add_routine(step, f"s{number}")
        flow.connect(before, "out", f"s{number}", "in")
        before = f"s{number}"
    # Workers may be lost anywhere; nothing else that these programs do is RETRY's to mend, unless they say so.
    only = BoomError if retries else NeverError
    flow.set_error_handler(
        ErrorHandler("retry", max_retries=retries or 60, retry_delay=NAP, retry_backoff=1.0, retryable_exceptions=only)
    )
    return flow


class NeverError(Exception):
    """What nobody raises."""


def configured(step: Routine, **config: Any) -> Routine:
    """A routine with a configuration."""
    step.set_config(**config)
    return step


def finish(flow: Flow, *jobs: JobState) -> None:
    """Wait for jobs, and see that their books are clear."""
    for job in jobs:
        assert JobState.wait_for_completion(flow, job, timeout=PATIENCE), job
        account = job._account
        assert account is not None
        assert account.gate == CLOSED
        assert not [*account.queued, *account.held, *account.delayed, *account.dropping]


def noted(job: JobState, routine_id: str) -> list[Any]:
    """What the handlers of a routine have noted, in order."""
    return [entry["n"] for entry in job.get_shared_log() if entry["routine"] == routine_id]


def lost(job: JobState) -> bool:
    """Whether a worker was lost with something of the job."""
    return any("WorkerLostError" in str(row.data.get("error")) for row in job.execution_history)


def ends(job: JobState, routine_id: str | None = None) -> list[str]:
    """What became of the attempts of a job, or of one routine's, but for those whose worker was lost."""
    rows = job.get_execution_history(routine_id)
    return [row.event_name for row in rows if row.kind == "activation" and row.event_name != "lost"]


@anywhere
def jobs_run_to_their_end_by_themselves(scheduler: Scheduler) -> None:
    """``execute`` returns while the job runs; it ends with everything delivered once, plain handlers and async ones."""
    with chain(scheduler, Step(), AsyncStep()) as flow:
        job = flow.execute("source", {"n": 4})
        assert job.status == "running"
        finish(flow, job)
        assert (job.status, job.error) == ("completed", None)
        for name in ("s0", "s1"):
            assert sorted(noted(job, name)) == [0, 1, 2, 3]
            assert ends(job, name) == ["completed"] * 4
        assert job.events_emitted == 12


@anywhere
def a_sequential_job_runs_in_its_caller(scheduler: Scheduler) -> None:
    """One activation at a time, in queue order, whatever the flow's scheduler is."""
    with chain(scheduler, Step(), Counter()) as flow:
        job = flow.execute("source", {"n": 3}, execution_strategy="sequential")
        assert job.status == "completed"
        assert noted(job, "s1") == [0, 1, 2]


@anywhere
def waiting_is_honest(scheduler: Scheduler) -> None:
    """A wait that times out says False while something runs; True comes with clear books."""
    with chain(scheduler, configured(Step(), nap=5 * NAP)) as flow:
        job = flow.execute("source", {"n": 1})
        if JobState.wait_for_completion(flow, job, timeout=NAP / 10):
            assert job.status == "completed"
        finish(flow, job)


@anywhere
def jobs_are_islands(scheduler: Scheduler) -> None:
    """One job fails, another of the same flow neither notices nor waits."""
    with chain(scheduler, configured(Step(), bad=[7]), Step()) as flow:
        good, bad = flow.execute("source", {"n": 3}), flow.execute("source", {"n": 9})
        finish(flow, good, bad)
        assert good.status == "completed"
        assert sorted(noted(good, "s1")) == [0, 1, 2]
        assert bad.status == "failed"
        assert isinstance(bad.error, BoomError)


@anywhere
def stop_fails_the_job_with_the_very_error(scheduler: Scheduler) -> None:
    """The exception arrives as what it was, attributes and all, with the traceback of where it was raised."""
    with chain(scheduler, configured(Step(), bad=[1])) as flow:
        job = flow.execute("source", {"n": 2})
        finish(flow, job)
        error = job.error
        assert type(error) is BoomError
        assert str(error) == "s0 failed"
        assert isinstance(error.number, int)
        assert "finish" in "".join(error.__notes__) or error.__traceback__ is not None
        assert ends(job, "s0").count("failed") == 1 or lost(job)


@anywhere
def continue_and_skip_let_all_else_go_on(scheduler: Scheduler) -> None:
    """The job completes; only what failed is missing, and is recorded as such."""
    name, state = random.choice([("continue", "error_continued"), ("skip", "skipped")])
    with chain(scheduler, configured(Step(), bad=[1]), Step()) as flow:
        flow.routines["s0"].set_error_handler(ErrorHandler(name))
        job = flow.execute("source", {"n": 3})
        finish(flow, job)
        assert job.status == "completed"
        if not lost(job):  # which these strategies do not make good
            assert sorted(noted(job, "s1")) == [0, 2]
            assert ends(job, "s0").count(state) == 1


@anywhere
def retries_are_the_drivers(scheduler: Scheduler) -> None:
    """Attempts come after the delays that were asked for, and are counted for each activation."""
    with chain(scheduler, configured(Flaky(), failures=2), retries=60) as flow:
        began = time.monotonic()
        job = flow.execute("source", {"n": 3})
        finish(flow, job)
        assert time.monotonic() - began >= 2 * NAP
        assert job.status == "completed"
        assert sorted(noted(job, "s0")) == [0, 1, 2]
        rows = [row for row in job.get_execution_history("s0") if row.kind == "activation"]
        attempts = [row.data["attempt"] for row in rows if row.event_name == "completed"]
        assert len(attempts) == 3
        assert min(attempts) >= 3
        retries = [row for row in rows if row.event_name in {"retry", "lost"}]
        assert len(retries) >= 6


@anywhere
def retries_may_come_at_once(scheduler: Scheduler) -> None:
    """With nothing else under way, and no delay: the next attempt is queued while the last one is being entered."""
    with chain(scheduler, configured(Flaky(), failures=2)) as flow:
        flow.set_error_handler(ErrorHandler("retry", max_retries=60, retry_delay=0.0))
        job = flow.execute("source", {"n": 1})
        finish(flow, job)
        assert job.status == "completed"
        assert noted(job, "s0") == [0]


@anywhere
def a_deadline_fails_the_job(scheduler: Scheduler) -> None:
    """Nothing more of it starts; what runs may end, and is recorded as late."""
    with chain(scheduler, configured(Step(), nap=5 * NAP), Step()) as flow:
        job = flow.execute("source", {"n": 12}, timeout=4 * NAP)
        finish(flow, job)
        assert job.status == "failed"
        assert isinstance(job.error, TimeoutError)
        assert noted(job, "s1") == []
        other = flow.execute("source", {"n": 1})
        finish(flow, other)
        assert other.status == "completed"


@anywhere
def pausing_loses_nothing(scheduler: Scheduler) -> None:
    """When ``pause`` returns nothing runs; what was queued is pending; after ``resume`` each has run once."""
    with chain(scheduler, configured(Step(), nap=NAP), Counter()) as flow:
        job = flow.execute("source", {"n": 8})
        for _ in range(2):
            time.sleep(random.choice([0, NAP, 2 * NAP]))
            if flow.pause(job, "a test"):
                before = len(job.get_shared_log())
                time.sleep(2 * NAP)
                assert len(job.get_shared_log()) == before
                assert not job._account.running
                _resume(flow, job)
        finish(flow, job)
        assert job.status == "completed"
        assert sorted(noted(job, "s1")) == list(range(8))
        assert sorted(flow.routines["s1"].seen) == list(range(8))


def _resume(flow: Flow, job: JobState) -> None:
    try:
        flow.resume(job)
    except JobStatusError:
        assert job.status in {"completed", "failed", "cancelled"}


@anywhere
def a_paused_job_goes_on_in_another_flow(scheduler: Scheduler) -> None:
    """Saved, loaded and resumed elsewhere: what had not run there runs here, each once."""
    with chain(scheduler, configured(Step(), nap=NAP), flow_id="moving") as flow:
        job = flow.execute("source", {"n": 6})
        time.sleep(random.choice([0, NAP, 3 * NAP]))
        paused = flow.pause(job)
        document = job.serialize()
        if paused:
            flow.cancel(job)
    if not paused:
        return
    with chain(scheduler, configured(Step(), nap=NAP), flow_id="moving") as other:
        again = JobState()
        again.deserialize(document)
        other.resume(again)
        finish(other, again)
        assert again.status == "completed"
        assert sorted(noted(again, "s0")) == list(range(6))


@anywhere
def cancelling_ends_a_job(scheduler: Scheduler) -> None:
    """What is queued is dropped, what runs ends; the job is cancelled, and others are not."""
    with chain(scheduler, configured(Step(), nap=3 * NAP)) as flow:
        doomed, other = flow.execute("source", {"n": 9}), flow.execute("source", {"n": 2})
        time.sleep(NAP)
        cancelled = flow.cancel(doomed, "a test")
        finish(flow, doomed, other)
        assert doomed.status == ("cancelled" if cancelled else "completed")
        assert other.status == "completed"
        assert sorted(noted(other, "s0")) == [0, 1]


@anywhere
def shutting_down_loses_nothing(scheduler: Scheduler) -> None:
    """``shutdown(wait=True)`` returns when all has run, and no thread of the flow is left."""
    flow = chain(scheduler, configured(Step(), nap=NAP), Step())
    job = flow.execute("source", {"n": 6})
    assert flow.shutdown(wait=True, timeout=PATIENCE)
    assert job.status == "completed"
    assert sorted(noted(job, "s1")) == list(range(6))
    crew = flow._engine.crew
    assert all(part is None or part.join(0) for part in (crew.pool, crew.clerk, crew.loop))


@anywhere
def the_number_of_workers_may_change(scheduler: Scheduler) -> None:
    """More or fewer at a time while a job runs: it keeps every task."""
    with chain(scheduler, configured(Step(), nap=NAP), max_workers=1) as flow:
        job = flow.execute("source", {"n": 8})
        time.sleep(NAP)
        flow.set_execution_strategy("concurrent", max_workers=random.randint(1, 6))
        time.sleep(NAP)
        flow.set_execution_strategy(random.choice(["sequential", "concurrent"]), max_workers=2)
        finish(flow, job)
        assert sorted(noted(job, "s0")) == list(range(8))


@anywhere
def merging_is_the_jobs(scheduler: Scheduler) -> None:
    """Each handler gets its own list of what has come so far; no value is merged twice, and no job sees another's."""
    with chain(scheduler, Gatherer()) as flow:
        jobs = [flow.execute("source", {"n": n}) for n in (3, 5)]
        finish(flow, *jobs)
        for job, n in zip(jobs, (3, 5), strict=True):
            seen = sorted(noted(job, "s0"), key=len)
            assert sorted(seen[-1]) == list(range(n))
            assert all(-1 not in each for each in seen)


@anywhere
def a_slot_with_a_limit_takes_turns(scheduler: Scheduler) -> None:
    """``max_concurrency=1`` holds for a routine without state, over all jobs, and holds up nobody else."""
    with chain(scheduler, configured(Turns(), nap=NAP)) as flow:
        jobs = [flow.execute("source", {"n": 3}) for _ in range(2)]
        finish(flow, *jobs)
        spans = sorted((entry["began"], entry["ended"]) for job in jobs for entry in job.get_shared_log())
        assert len(spans) == 6
        if not any(map(lost, jobs)):
            assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


@anywhere
def state_is_handed_on(scheduler: Scheduler) -> None:
    """A routine with state runs one activation at a time, in queue order; each finds what the last one has left."""
    with chain(scheduler, configured(Counter(), nap=NAP / 5), max_workers=6) as flow:
        jobs = [flow.execute("source", {"n": 4}) for _ in range(2)]
        finish(flow, *jobs)
        counter = flow.routines["s0"]
        assert len(counter.seen) == 8
        counts = sorted(entry["count"] for job in jobs for entry in job.get_shared_log())
        assert counts == list(range(1, 9))
        if not any(map(lost, jobs)):
            for job in jobs:
                assert noted(job, "s0") == [0, 1, 2, 3]


@anywhere
def what_is_queued_has_a_bound(scheduler: Scheduler) -> None:
    """A handler that emits more than there is room for fails with QueueFullError; the flow goes on."""
    flow = Flow(execution_strategy="concurrent", max_workers=2, max_pending=3, scheduler=scheduler)
    flow.add_routine(Flood(), "flood")
    flow.add_routine(Step(), "step")
    flow.connect("flood", "out", "step", "in")
    with flow:
        job = flow.execute("flood", {"n": 60})
        finish(flow, job)
        assert job.status == "failed"
        flow.set_error_handler(ErrorHandler("retry", max_retries=60, retry_delay=NAP, retry_backoff=1.0))
        again = flow.execute("flood", {"n": 2})
        finish(flow, again)
        assert again.status == "completed"
        assert set(noted(again, "step")) == {0, 1}


@anywhere
def a_flow_that_was_stored_runs_the_same(scheduler: Scheduler) -> None:
    """Serialized and read back: configuration, limits and error handlers hold in the workers as well."""
    with chain(scheduler, configured(Step(), bad=[2]), Counter()) as flow:
        flow.routines["s0"].set_error_handler(ErrorHandler("continue"))
        document = flow.serialize()
    copy = Flow(scheduler=scheduler)
    copy.deserialize(document)
    with copy:
        job = copy.execute("source", {"n": 4})
        finish(copy, job)
        assert job.status == "completed"
        assert 2 not in noted(job, "s1")
        assert lost(job) or sorted(noted(job, "s1")) == [0, 1, 3]


@anywhere
def names_are_mapped_on_the_way(scheduler: Scheduler) -> None:
    """``param_mapping`` renames before the handler is called; to several slots, each in its own way."""
    flow = Flow(execution_strategy="concurrent", scheduler=scheduler)
    flow.set_error_handler(ErrorHandler("retry", max_retries=60, retry_delay=NAP, retryable_exceptions=NeverError))
    flow.add_routine(Source(), "source")
    for name in ("plain", "renamed"):
        flow.add_routine(Step() if name == "plain" else Renamed(), name)
    flow.connect("source", "out", "plain", "in")
    flow.connect("source", "out", "renamed", "in", {"n": "number"})
    with flow:
        job = flow.execute("source", {"n": 2})
        finish(flow, job)
        assert sorted(noted(job, "plain")) == sorted(noted(job, "renamed")) == [0, 1]


class Renamed(Routine):
    """Wants a ``number``."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("in", handler=self.take)

    def take(self, number: int) -> None:
        routines.note(self, n=number)


@anywhere
def outputs_and_shared_data_come_home(scheduler: Scheduler) -> None:
    """What a handler sends and sets is the job's when the handler has ended, in order, and the output handler's."""
    flow = Flow(execution_strategy="concurrent", scheduler=scheduler)
    flow.set_error_handler(ErrorHandler("retry", max_retries=60, retry_delay=NAP))
    flow.add_routine(Reporter(), "reporter")
    sink: Queue[dict[str, Any]] = Queue()
    with flow:
        job = flow.execute("reporter", {"n": 3}, output_handler=QueueOutputHandler(sink))
        finish(flow, job)
        assert [entry["data"]["n"] for entry in job.output_log] == [0, 1, 2]
        assert [sink.get_nowait()["data"]["n"] for _ in range(3)] == [0, 1, 2]
        assert job.get_shared_data("reported") == 3
        assert job.get_routine_state("reporter")["reports"] == 3


@anywhere
def listeners_hear_of_everything(scheduler: Scheduler) -> None:
    """Of each activation a start for each end or retry; of each job one start, first, and one end, last."""
    heard: list[tuple[str, int]] = []

    class Ear:
        def job_start(self, job: JobState) -> None:
            heard.append(("job_start", 0))

        def job_end(self, job: JobState) -> None:
            heard.append(("job_end", 0))

        def activation_start(self, activation: Any) -> None:
            heard.append(("start", activation.number))

        def activation_end(self, activation: Any, status: str, error: BaseException | None) -> None:
            heard.append(("end", activation.number))

        def activation_retry(self, activation: Any, error: BaseException, delay: float) -> None:
            heard.append(("retry", activation.number))

    with chain(scheduler, configured(Flaky(), failures=1), retries=60, instruments=[Ear()]) as flow:
        job = flow.execute("source", {"n": 2})
        finish(flow, job)
    assert heard[0] == ("job_start", 0)
    assert heard[-1] == ("job_end", 0)
    kinds = [kind for kind, _ in heard]
    assert kinds.count("start") == kinds.count("end") + kinds.count("retry")
    assert kinds.count("end") == 3


@anywhere
def what_a_store_has_is_what_happened(scheduler: Scheduler) -> None:
    """A job with a store completes, and its record is the job's; nothing is outstanding in it."""
    import tempfile  # noqa: PLC0415 - for this one alone

    from routilux import JobStore  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory() as folder, JobStore(Path(folder) / "jobs.db") as store:
        with chain(scheduler, Step(), Counter(), flow_id="stored", store=store) as flow:
            job = flow.execute("source", {"n": 3})
            finish(flow, job)
            assert job.status == "completed"
        kept = store.load(job.job_id)
        assert kept.status == "completed"
        assert not kept.pending_tasks
        assert sorted(noted(kept, "s1")) == [0, 1, 2]


@anywhere
def the_activation_has_one_id(scheduler: Scheduler) -> None:
    """All attempts of an activation are told the same id, and no two activations share one."""
    with chain(scheduler, Marked(), retries=60) as flow:
        job = flow.execute("source", {"n": 3})
        finish(flow, job)
        assert job.status == "completed"
        found = [entry["id"] for entry in job.get_shared_log()]
        assert all(each.startswith(job.job_id) for each in found)
        assert len(set(found)) == 3
        # One note for each attempt that came home: those that failed, and the last.
        assert lost(job) or all(found.count(each) == 2 for each in found)


class Marked(Step):
    """Notes its id, and fails the first time."""

    def work(self, n: int) -> None:
        from routilux.engine import context  # noqa: PLC0415 - which attempt it is, no public name says

        routines.note(self, n=n, id=self.get_activation_id())
        if context.current()[5] == 1:
            raise BoomError("marked", n)


@anywhere
def a_routine_may_stay_at_home(scheduler: Scheduler) -> None:
    """``runs_in_driver``: its handlers see the flow, the job and whatever else this process has."""
    seen: list[int] = []
    home = Home()
    home.seen = seen
    with chain(scheduler, Step(), home) as flow:
        home.flow = flow
        job = flow.execute("source", {"n": 3})
        finish(flow, job)
    assert sorted(seen) == [0, 1, 2]


class Home(Routine):
    """Runs where its flow is."""

    runs_in_driver = True
    seen: list[int]
    flow: Flow

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("in", handler=self.take)

    def take(self, n: int) -> None:
        assert self.get_execution_context().flow is self.flow
        self.seen.append(n)
