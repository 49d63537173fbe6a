"""Time limits: a job has failed if it is not over at its deadline, and a shutdown returns by the time given."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from routilux import ErrorHandler, Flow, JobState, Routine
from tests.engine.flows import fan, one, step
from tests.semantics.oracles import Observer, check
from tests.semantics.workloads import BEAT, collect, endings, join, random_beats, start_threads, wait


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_at_the_deadline_a_job_has_failed_and_nothing_more_of_it_starts(strategy):
    """The status is final at that instant; what is queued is dropped; a handler that runs is late, and recorded so."""

    def program():
        starts, statuses = [], []

        def handler(n):
            starts.append(time.monotonic_ns())
            time.sleep(2 * BEAT)

        observer = Observer()
        limit = random.choice([1.0, 3.0]) * BEAT
        with fan(handler, count=4, max_workers=2, instruments=[observer]) as flow:
            script = start_threads(lambda: (time.sleep(limit + 1e-9), statuses.append(observer.calls[0][2].status)))
            job = flow.execute("entry", timeout=limit, execution_strategy=strategy)
            wait(flow, job)
            join(script)
        assert statuses == ["failed"]
        assert isinstance(job.error, TimeoutError)
        assert max(starts) < limit * 1e9
        ends = endings(job, "sink")
        at_once = 2 if strategy == "concurrent" else 1
        done = at_once * (limit > 2 * BEAT)
        assert sorted(ends) == ["completed"] * done + ["dropped"] * (4 - at_once - done) + ["late"] * at_once
        observer.judge(job)

    check(program)


def test_async_handlers_are_cancelled_at_the_deadline():
    """They end at that very instant, whatever they were at, are recorded as late, and have cleaned up."""

    def program():
        ended = []

        async def sleeper(n):
            try:
                await asyncio.sleep(9)
            finally:
                ended.append(time.monotonic_ns())

        limit = random.randint(0, 2) * BEAT or 1e-9
        with fan(sleeper, count=3, max_workers=2) as flow:
            job = flow.execute("entry", timeout=limit)
            wait(flow, job)
            assert time.monotonic_ns() == round(limit * 1e9)
        assert set(ended) <= {round(limit * 1e9)}
        assert (job.status, type(job.error)) == ("failed", TimeoutError)
        ends = endings(job, "sink")
        assert len(ends) == 3 or endings(job) == ["dropped"] or endings(job) == ["late"] + ["dropped"] * len(ends)
        assert ends.count("late") >= len(ended)
        assert "completed" not in ends

    check(program)


def test_cancelling_cancels_async_handlers_at_once_also_those_that_have_not_begun():
    """A job of async handlers is over at the moment at which it is cancelled; no coroutine is forgotten."""

    def program():
        began, ended = [], []

        async def sleeper(n):
            began.append(n)
            try:
                await asyncio.sleep(9)
            finally:
                ended.append(n)

        observer = Observer()
        with fan(sleeper, count=3, max_workers=2, instruments=[observer]) as flow:
            job = flow.execute("entry")
            random_beats(1)
            flow.cancel(job)
            at = time.monotonic_ns()
            wait(flow, job)
            assert time.monotonic_ns() == at
            assert (job.status, job.error) == ("cancelled", None)
        assert sorted(began) == sorted(ended)
        assert set(endings(job, "sink")) <= {"cancelled", "dropped"}
        observer.judge(job)

    check(program)


def test_a_late_result_is_recorded_and_changes_nothing():
    """Whatever a handler does after its job's deadline - emit, fail, ask to be retried - the job stays as it is."""

    def program():
        arrived = []

        def handler(n):
            time.sleep(2 * BEAT)
            if n == 1:
                raise ValueError(n)
            sink.emit("out", n=n)

        flow = fan(handler, count=3, max_workers=3)
        sink = flow.routines["sink"]
        sink.define_event("out")
        flow.add_routine(step(collect(arrived), slot="in"), "last")
        flow.connect("sink", "out", "last", "in")
        flow.set_error_handler(ErrorHandler(random.choice(["retry", "continue", "skip", "stop"])))
        with flow:
            job = flow.execute("entry", timeout=BEAT)
            time.sleep(1.5 * BEAT)
            error = job.error
            wait(flow, job)
            assert (job.status, job.error) == ("failed", error)
        assert isinstance(error, TimeoutError)
        assert arrived == []
        assert endings(job, "sink") == ["late"] * 3
        assert endings(job, "last") == ["dropped"] * 2

    check(program)


def test_a_deadline_at_the_instant_of_the_end_makes_the_job_one_or_the_other():
    """Completed with all its activations, or failed with TimeoutError; never both, and never a final status changed."""

    def program():
        with fan(lambda n: time.sleep(BEAT), count=2, max_workers=2) as flow:
            job = flow.execute("entry", timeout=BEAT)
            wait(flow, job)
            status, error = job.status, job.error
            time.sleep(BEAT)
            assert (job.status, job.error) == (status, error)
        if status == "completed":
            assert error is None
            assert endings(job) == ["completed"] * 3
        else:
            assert (status, type(error)) == ("failed", TimeoutError)

    check(program)


def test_a_paused_jobs_time_stands_still():
    """However long it is paused, it has as much time left as before, to the nanosecond; also after save and load."""

    def program():
        def make():
            flow = Flow("flow", execution_strategy="concurrent", execution_timeout=4 * BEAT)
            source = step(lambda: (time.sleep(BEAT), source.emit("out")), "out")
            flow.add_routine(source, "entry")
            flow.add_routine(step(lambda: time.sleep(9), slot="in"), "sink")
            flow.connect("entry", "out", "sink", "in")
            return flow

        flow = make()
        job = flow.execute("entry")
        time.sleep(BEAT / 2)
        flow.pause(job)
        paused_at = time.monotonic_ns()
        assert paused_at == round(BEAT * 1e9)
        time.sleep(random.randint(0, 3) * 10)
        if random.random() < 0.5:
            document = job.serialize()
            flow.cancel(job)
            flow.shutdown()
            flow, job = make(), JobState.deserialize(document)
        flow.resume(job)
        # It stood still from the call of pause() on, not from its return.
        time.sleep(3.5 * BEAT - 1e-9)
        assert job.status == "running"
        time.sleep(2e-9)
        assert job.status == "failed"
        assert isinstance(job.error, TimeoutError)
        flow.shutdown()

    check(program)


def test_shutdown_returns_by_its_timeout():
    """With plain and async handlers under way: False at that instant, and True once all has ended."""

    def program():
        async def later():
            await asyncio.sleep(4 * BEAT)

        handler = random.choice([later, lambda: time.sleep(4 * BEAT)])
        flow = one(handler, execution_strategy="concurrent")
        job = flow.execute("entry")
        limit = random.randint(0, 3) * BEAT
        assert flow.shutdown(timeout=limit) is False
        assert time.monotonic_ns() == round(limit * 1e9)
        assert job.status == "running"
        assert flow.shutdown(timeout=9) is True
        assert time.monotonic_ns() == round(4 * BEAT * 1e9)
        assert job.status == "completed"

    check(program)


def test_a_jobs_own_limit_comes_before_the_flows():
    """``execute(timeout=)`` holds for that job alone; the others have the flow's ``execution_timeout``."""

    def program():
        with one(lambda: time.sleep(2 * BEAT), execution_strategy="concurrent", execution_timeout=3 * BEAT) as flow:
            short, plain = flow.execute("entry", timeout=BEAT), flow.execute("entry")
            wait(flow, short, plain)
        assert (type(short.error), endings(short)) == (TimeoutError, ["late"])
        assert (plain.status, endings(plain)) == ("completed", ["completed"])

    check(program)


def test_a_retry_that_would_come_after_the_deadline_never_does():
    """An activation that waits to be tried again is dropped at the deadline, which the job does not outlive."""

    def program():
        routine = Routine()
        tries = []

        def handler():
            tries.append(1)
            raise ValueError

        routine.define_slot("trigger", handler=handler)
        with Flow(execution_strategy="concurrent") as flow:
            flow.add_routine(routine, "entry")
            flow.set_error_handler(ErrorHandler("retry", retry_delay=random.choice([2, 2.5]) * BEAT))
            job = flow.execute("entry", timeout=2 * BEAT)
            wait(flow, job)
            assert time.monotonic_ns() == round(2 * BEAT * 1e9)
        assert isinstance(job.error, TimeoutError)
        assert endings(job)[0] == "retry"
        assert len(endings(job)) == 2
        assert len(tries) <= 2

    check(program)
