"""Waiting for a job: True when nothing of it is left and at that very moment, False when the time is up."""

from __future__ import annotations

import random
import time

from routilux import ErrorHandler, JobState
from tests.engine.flows import fan
from tests.semantics.oracles import Observer, books_are_clear, check
from tests.semantics.workloads import (
    BEAT,
    AsyncStep,
    Plan,
    Step,
    Turns,
    join,
    pause_and_resume,
    random_beats,
    resume,
    start_threads,
    wait,
)


def test_waiting_is_true_at_the_instant_of_the_last_end_with_nothing_left():
    """For each of three jobs, with retries and async steps: not a nanosecond late, and its books are clear."""

    def program():
        plan = Plan((Step, AsyncStep, Turns), failures=1)
        observer = Observer()

        def waiter(job):
            assert JobState.wait_for_completion(flow, job)
            now = time.monotonic_ns()
            assert books_are_clear(job)
            assert job.status == "completed"
            assert now == max(at for at, hook, about, _ in observer.calls if about is job and hook == "end")

        with plan.flow(max_workers=2, instruments=[observer]) as flow:
            jobs = [plan.execute(flow) for _ in range(3)]
            join(start_threads(*[lambda job=job: waiter(job) for job in jobs]))
        observer.judge(*jobs)

    check(program)


def test_waiting_ends_at_its_timeout_or_at_the_jobs_end_whichever_is_first():
    """Any number of threads with any timeouts: each answer is right, and comes at the exact virtual instant."""

    def program():
        end = round(3 * BEAT * 1e9)
        answers = []

        def waiter(timeout):
            over = JobState.wait_for_completion(flow, job, timeout=timeout)
            answers.append((round(timeout * 1e9), over, time.monotonic_ns()))

        with fan(lambda n: time.sleep((n + 1) * BEAT)) as flow:
            job = flow.execute("entry")
            join(
                start_threads(*[lambda: waiter(random.choice([0, BEAT, 2.5 * BEAT, 3.5 * BEAT, 9])) for _ in range(3)])
            )
        for limit, over, at in answers:
            assert (over, at) == (limit > end, min(limit, end))

    check(program)


def test_a_wait_that_ends_with_its_timeout_at_the_jobs_last_instant_says_what_is_true():
    """Timeout and end at one instant: either answer will do, but True means that the books are clear."""

    def program():
        with fan(lambda n: time.sleep(BEAT), max_workers=3) as flow:
            job = flow.execute("entry")
            over = JobState.wait_for_completion(flow, job, timeout=BEAT)
            assert time.monotonic_ns() == BEAT * 1e9
            assert not over or (books_are_clear(job) and job.status == "completed")
            wait(flow, job)

    check(program)


def test_a_job_that_waits_to_be_retried_or_is_paused_is_not_over():
    """Nothing of it is queued or runs, but that is not completion; waiting goes on until it is."""

    def program():
        tries = []

        def handler(n):
            tries.append(n)
            if tries.count(n) == 1:
                raise ValueError(n)

        with fan(handler, count=2, max_workers=2) as flow:
            flow.set_error_handler(ErrorHandler("retry", retry_delay=10 * BEAT))
            job = flow.execute("entry")
            assert not JobState.wait_for_completion(flow, job, timeout=BEAT)
            paused = random.random() < 0.5 and flow.pause(job)
            assert not JobState.wait_for_completion(flow, job, timeout=20 * BEAT if paused else BEAT)
            assert sorted(tries) == [0, 1]
            if paused:
                flow.resume(job)
            assert JobState.wait_for_completion(flow, job)
            assert sorted(tries) == [0, 0, 1, 1]

    check(program)


def test_no_interruption_makes_a_wait_come_true_too_early():
    """While a job is paused, resumed, failed or cancelled at random moments, True is said only of clear books."""

    def program():
        plan = Plan((Step, Turns), failures=1, beats=1)
        with plan.flow(max_workers=2) as flow:
            job = plan.execute(flow)

            def waiter():
                while not JobState.wait_for_completion(flow, job, timeout=BEAT):
                    pass
                assert books_are_clear(job)
                assert job.status in {"completed", "cancelled"}

            def stopper():
                pause_and_resume(flow, job, 1)
                if random.random() < 0.5:
                    random_beats(2)
                    flow.cancel(job)
                else:
                    resume(flow, job)

            join(start_threads(waiter, waiter, stopper))

    check(program)
