"""Jobs are islands: what becomes of one job of a flow changes nothing of another."""

from __future__ import annotations

import random
import time

from routilux import ErrorHandler, Flow, JobState, Routine
from tests.engine.flows import step
from tests.semantics.oracles import check
from tests.semantics.workloads import (
    BEAT,
    AsyncStep,
    Plan,
    Step,
    attempt,
    delivered,
    join,
    random_beats,
    resume,
    start_threads,
    wait,
)

ENOUGH = 20
"""Workers, so that no job waits for one that another has."""


class Trace:
    """An instrument that notes when what of a job happens, from the job's beginning on."""

    def __init__(self):
        self.began = {}
        self.rows = {}

    def job_start(self, job):
        self.began[job.job_id] = time.monotonic_ns()
        self.rows[job.job_id] = []

    def _note(self, what, job, *more):
        self.rows[job.job_id].append((time.monotonic_ns() - self.began[job.job_id], what, *more))

    def activation_start(self, activation):
        self._note("start", activation.job, activation.routine_id, activation.data["token"], activation.attempt)

    def activation_end(self, activation, status, error):
        self._note(status, activation.job, activation.routine_id, activation.data["token"], activation.attempt)

    def activation_retry(self, activation, error, delay):
        self._note("retry", activation.job, activation.routine_id, activation.data["token"], activation.attempt)

    def job_end(self, job):
        self._note(job.status, job)

    def of(self, job):
        """What happened when; at one instant the order is chance."""
        return sorted(self.rows[job.job_id])


def figures(job):
    return {
        rid: (f.calls, f.completed, f.failed, f.retries, f.total_ns, f.min_ns, f.max_ns)
        for rid, f in job.figures().items()
    }


def portrait(trace, job):
    """All there is to see of a job but its name and its date."""
    return (trace.of(job), figures(job), job.status, delivered(job), job.error, job.routine_states)


def stir(flow, job):
    """Do something to a job at some moments."""
    for _ in range(2):
        random_beats(3)
        action = random.choice(["pause", "resume", "cancel", "save", "wait"])
        if action == "pause":
            flow.pause(job)
        elif action == "cancel":
            flow.cancel(job)
        elif action == "save":
            job.serialize()
        elif action == "wait":
            JobState.wait_for_completion(flow, job, timeout=BEAT)
        else:
            resume(flow, job)
    flow.cancel(job)


def test_a_job_is_the_same_with_and_without_another_that_is_paused_cancelled_or_saved():
    """Trace, times, figures and statuses of one job do not change when another is stirred at random moments."""

    def program():
        plan = Plan((Step, AsyncStep), failures=1)
        trace = Trace()
        with plan.flow("alone", max_workers=ENOUGH, instruments=[trace]) as flow:
            job = plan.execute(flow)
            wait(flow, job)
            alone = portrait(trace, job)
        with plan.flow("together", max_workers=ENOUGH, instruments=[trace]) as flow:
            other = plan.execute(flow)
            script = start_threads(lambda: stir(flow, other))
            random_beats(2)
            job = plan.execute(flow)
            wait(flow, job)
            assert portrait(trace, job) == alone
            join(script)
            wait(flow, other)

    check(program)


def test_a_job_is_the_same_with_and_without_another_that_fails_or_runs_out_of_time():
    """One job's failure, retries or deadline neither stop, delay nor complete another of the same flow."""

    def program():
        delay = random.randint(0, 2) * BEAT

        class Fragile(Routine):
            def __init__(self):
                super().__init__()
                self.define_slot("trigger", handler=self.work)
                self.define_event("out")

            def work(self, token, fails):
                time.sleep(BEAT)
                if attempt() <= fails:
                    raise ValueError(token)
                if "." not in token:
                    for n in range(3):
                        self.emit("out", token=f"{token}.{n}", fails=fails)

        def make(name):
            flow = Flow(name, execution_strategy="concurrent", max_workers=ENOUGH, instruments=[trace])
            flow.add_routine(Fragile(), "one")
            flow.add_routine(Fragile(), "two")
            flow.connect("one", "out", "two", "trigger")
            flow.set_error_handler(ErrorHandler("retry", max_retries=2, retry_delay=BEAT))
            return flow

        trace = Trace()
        with make("alone") as flow:
            job = flow.execute("one", {"token": "b", "fails": 1})
            wait(flow, job)
            alone = portrait(trace, job)
            assert job.status == "completed"
        with make("together") as flow:
            failing = flow.execute("one", {"token": "a", "fails": 3})
            late = flow.execute("one", {"token": "c", "fails": 0}, timeout=1.5 * BEAT)
            time.sleep(delay)
            job = flow.execute("one", {"token": "b", "fails": 1})
            wait(flow, job)
            assert portrait(trace, job) == alone
            wait(flow, failing, late)
        assert (failing.status, late.status) == ("failed", "failed")
        assert isinstance(late.error, TimeoutError)

    check(program)


def test_slot_data_and_retry_counts_are_each_jobs_own():
    """Jobs that gather in one slot, with one error handler, neither see each other's data nor use up its retries."""

    def program():
        gathered = {}

        def gather(job, n):
            if attempt() <= 2:
                raise ValueError(n)
            gathered.setdefault(job[0], []).append(list(n))
            assert handler.retry_count >= 2

        flow = Flow(execution_strategy="concurrent", max_workers=random.randint(1, 4))
        source = step(lambda job: [source.emit("out", job=job, n=n) for n in range(2)], "out")
        sink = Routine()
        sink.define_slot("in", handler=gather, merge_strategy="append")
        flow.add_routine(source, "entry")
        flow.add_routine(sink, "sink")
        flow.connect("entry", "out", "sink", "in")
        handler = ErrorHandler("retry", max_retries=2, retry_delay=BEAT)
        flow.set_error_handler(handler)
        with flow:
            jobs = [flow.execute("entry", {"job": n}) for n in range(3)]
            wait(flow, *jobs)
        assert {job.status for job in jobs} == {"completed"}
        assert set(gathered) == {0, 1, 2}
        assert all(sorted(map(len, seen)) == [1, 2] for seen in gathered.values())
        for job in jobs:
            performance = flow.execution_tracker.get_routine_performance("sink", job)
            assert (performance["completed"], performance["retries"]) == (2, 4)

    check(program)


def test_waiting_for_one_job_does_not_wait_for_another():
    """A short job's wait ends with it, whatever a long or a paused one of the same flow is at."""

    def program():
        with Flow(execution_strategy="concurrent", max_workers=3) as flow:
            flow.add_routine(step(lambda beats: time.sleep(beats * BEAT)), "entry")
            long, paused = flow.execute("entry", {"beats": 9}), flow.execute("entry", {"beats": 1})
            script = start_threads(lambda: flow.pause(paused))
            short = flow.execute("entry", {"beats": 2})
            wait(flow, short)
            assert time.monotonic_ns() == round(2 * BEAT * 1e9)
            assert long.status == "running"
            join(script)
            flow.cancel(paused)

    check(program)
