"""No thread of a flow outlives its shutdown, and a flow that is dropped without one leaks none."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
import weakref
from contextlib import suppress

from routilux import ErrorHandler, FlowShutdownError, JobState
from tests.engine.flows import fan, one
from tests.semantics.oracles import check
from tests.semantics.workloads import (
    BEAT,
    AsyncStep,
    Plan,
    Step,
    Turns,
    delivered,
    join,
    pause_and_resume,
    random_beats,
    resume,
    start_threads,
    wait,
)


def only_callers_left(*mine):
    """Whether no thread is alive but the main one and some of one's own."""
    return set(threading.enumerate()) <= {threading.main_thread(), *mine}


def test_after_shutdown_no_thread_is_alive():
    """Workers, timer and event loop have ended when ``shutdown(wait=True)`` returns, and nothing is lost."""

    def program():
        plan = Plan((Step, AsyncStep, Turns), failures=1)
        flow = plan.flow(max_workers=random.randint(1, 3))
        jobs = [plan.execute(flow) for _ in range(2)]
        random_beats(2)
        if random.random() < 0.3:
            flow.cancel(jobs[0])
        assert flow.shutdown(wait=True) is True
        assert only_callers_left()
        for job in jobs:
            assert job.status in {"completed", "cancelled"}
            assert job.status == "cancelled" or delivered(job) == plan.deliveries()

    check(program)


def test_several_threads_may_shut_down_at_once_while_a_job_is_paused_and_resumed():
    """Each ``shutdown(wait=True)`` returns True once nothing is alive; a job that rests then is refused to go on."""

    def program():
        plan = Plan((Step, AsyncStep), failures=1, beats=1)
        flow = plan.flow(max_workers=2)
        job = plan.execute(flow)
        answers = []

        def stop():
            random_beats(2)
            answers.append(flow.shutdown(wait=True))

        def stir():
            with suppress(FlowShutdownError):
                pause_and_resume(flow, job, 1)

        join(start_threads(stop, stop, stir))
        assert answers == [True, True]
        assert only_callers_left()
        assert (job.status == "paused") != (delivered(job) == plan.deliveries() and job.status == "completed")

    check(program)


def test_shutdown_without_waiting_lets_everything_end_by_itself():
    """``shutdown(wait=False)`` returns at once; jobs go on to their ends, and then the threads to theirs."""

    def program():
        plan = Plan((Step, AsyncStep), failures=1)
        flow = plan.flow(max_workers=2)
        job = plan.execute(flow)
        random_beats(1)
        at = time.monotonic_ns()
        flow.shutdown(wait=False)
        assert time.monotonic_ns() == at
        time.sleep(100.0)
        assert (job.status, delivered(job)) == ("completed", plan.deliveries())
        assert only_callers_left()

    check(program)


def test_a_retry_keeps_the_threads_until_it_has_been_made():
    """A shutdown while nothing is queued or runs, but something waits to be tried again, waits for that."""

    def program():
        tries = []

        async def handler():
            await asyncio.sleep(0)
            tries.append(time.monotonic())
            if len(tries) < 3:
                raise ValueError

        flow = one(handler, execution_strategy="concurrent")
        flow.set_error_handler(ErrorHandler("retry", retry_delay=1.0, retry_backoff=1.0))
        flow.execute("entry")
        time.sleep(random.choice([0.5, 1.0, 1.5]))
        assert flow.shutdown()
        assert only_callers_left()
        assert tries == [0.0, 1.0, 2.0]

    check(program)


def test_a_dropped_flow_leaks_no_thread():
    """Nobody shuts it down and nobody refers to it any more: its threads end by themselves, job kept or not."""

    def program():
        def use():
            async def later(n):
                await asyncio.sleep(BEAT)

            handler = random.choice([later, lambda n: time.sleep(BEAT)])
            flow = fan(handler, count=2, max_workers=2)
            flow.set_error_handler(ErrorHandler("retry"))
            job = flow.execute("entry")
            wait(flow, job)
            return weakref.ref(flow), job

        reference, job = use()
        time.sleep(BEAT)
        gc.collect()
        time.sleep(BEAT)
        assert reference() is None
        assert job.status == "completed"
        assert only_callers_left()

    check(program)


def test_a_flow_dropped_while_its_jobs_run_lets_them_end_first():
    """Its jobs keep it alive, and it goes when they have ended; a paused one goes with who last knew of it."""

    def program():
        def use():
            flow = fan(lambda n: time.sleep(BEAT), count=3, max_workers=2)
            paused = flow.execute("entry")
            flow.pause(paused)
            return weakref.ref(flow), weakref.ref(paused), flow.execute("entry")

        reference, paused, job = use()
        gc.collect()
        assert reference() is not None
        time.sleep(9 * BEAT)
        assert job.status == "completed"
        # Its flow's other jobs are known to it.
        del job
        gc.collect()
        time.sleep(BEAT)
        assert (reference(), paused()) == (None, None)
        assert only_callers_left()

    check(program)


def test_a_job_paused_for_good_does_not_keep_a_shutdown():
    """With jobs that rest, ``shutdown`` returns with every thread ended; they can be cancelled, or saved, after it."""

    def program():
        flow = fan(lambda n: time.sleep(BEAT), count=2, max_workers=2)
        jobs = [flow.execute("entry") for _ in range(2)]
        script = start_threads(lambda: flow.pause(jobs[0]))
        random_beats(1)
        paused = flow.pause(jobs[1])
        assert flow.shutdown()
        join(script)
        assert only_callers_left()
        for job in jobs:
            document = job.serialize()
            assert document["status"] == job.status
            flow.cancel(job)
            assert JobState.wait_for_completion(flow, job, timeout=0)
        assert jobs[1].status == ("cancelled" if paused else "completed")
        assert only_callers_left()

    check(program)


def test_resuming_against_a_shutdown_is_done_or_refused():
    """The job goes on to its end before the shutdown returns, or rests for good: never half of it, never a hang."""

    def program():
        flow = fan(lambda n: time.sleep(BEAT), count=2, max_workers=2)
        job = flow.execute("entry")
        paused = flow.pause(job)
        refused = []

        def go_on():
            try:
                resume(flow, job)
            except FlowShutdownError:
                refused.append(True)

        join(start_threads(go_on, flow.shutdown))
        assert flow.shutdown()
        assert only_callers_left()
        assert job.status == ("paused" if paused and refused else "completed")

    check(program)
