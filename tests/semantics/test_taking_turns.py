"""``max_concurrency``: activations of a slot take turns, over all jobs, and hold no worker while they wait."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from routilux import ErrorHandler, Flow, Routine
from tests.engine.flows import step
from tests.semantics.oracles import Observer, check
from tests.semantics.workloads import (
    BEAT,
    Plan,
    Step,
    Turns,
    attempt,
    delivered,
    endings,
    join,
    pause_and_resume,
    random_beats,
    start_threads,
    wait,
)


class Narrow(Routine):
    """A slot that lets so many through at a time, and notes how many were."""

    def __init__(self, limit=1, is_async=False, fails=0, beats=1):
        super().__init__()
        self.inside = 0
        self.most = 0
        self.done = []
        self.fails = fails
        self.beats = beats
        self.define_slot("in", handler=self.later if is_async else self.now, max_concurrency=limit)

    def enter(self):
        self.inside += 1
        self.most = max(self.most, self.inside)

    def leave(self, n):
        self.inside -= 1
        if attempt() <= self.fails:
            raise ValueError(n)
        self.done.append((self.get_execution_context().job_state.job_id, n))

    def now(self, n):
        self.enter()
        time.sleep(self.beats * BEAT)
        self.leave(n)

    async def later(self, n):
        self.enter()
        await asyncio.sleep(self.beats * BEAT)
        self.leave(n)


def into(narrow, count=3, **options):
    """A flow whose entry emits n from 0 to ``count`` to a narrow slot."""
    flow = Flow(execution_strategy="concurrent", **options)
    source = step(lambda: [source.emit("out", n=n) for n in range(count)], "out")
    flow.add_routine(source, "entry")
    flow.add_routine(narrow, "narrow")
    flow.connect("entry", "out", "narrow", "in")
    flow.set_error_handler(ErrorHandler("retry", retry_delay=BEAT, retry_backoff=1.0))
    return flow


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_no_more_than_the_limit_are_inside_and_all_get_their_turn(is_async):
    """Three jobs with any number of workers, retries among it: never more than the limit, each activation once."""

    def program():
        limit = random.randint(1, 2)
        narrow = Narrow(limit, is_async, fails=random.randint(0, 1))
        observer = Observer()
        flow = into(narrow, max_workers=random.randint(1, 4), instruments=[observer] if random.random() < 0.3 else [])
        with flow:
            jobs = [flow.execute("entry") for _ in range(3)]
            wait(flow, *jobs)
        assert narrow.most <= limit
        assert sorted(narrow.done) == sorted((job.job_id, n) for job in jobs for n in range(3))
        assert [job.status for job in jobs] == ["completed"] * 3
        if observer.calls:
            observer.judge(*jobs)

    check(program)


def test_turns_come_in_the_order_of_the_queue():
    """With nothing to upset it, the activations of a slot have their turns first come, first served."""

    def program():
        narrow = Narrow(is_async=True)
        with into(narrow, count=4, max_workers=1) as flow:
            wait(flow, flow.execute("entry"))
        assert [n for _, n in narrow.done] == [0, 1, 2, 3]

    check(program)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_who_waits_for_a_turn_holds_no_worker(workers):
    """While one async activation is inside, for long, and others wait for their turns, other slots have all workers."""

    def program():
        narrow = Narrow(is_async=True, beats=5)
        flow = into(narrow, count=3, max_workers=workers)
        freely = []

        def other(n):
            time.sleep(BEAT)
            freely.append(time.monotonic_ns())

        flow.add_routine(step(other, slot="in"), "other")
        flow.connect("entry", "out", "other", "in")
        with flow:
            job = flow.execute("entry")
            wait(flow, job)
            assert time.monotonic_ns() == round(15 * BEAT * 1e9)
        assert freely[-1] == round(-(-3 // workers) * BEAT * 1e9)
        assert len(narrow.done) == 3

    check(program)


@pytest.mark.parametrize("end", ["cancel", "deadline", "failure"])
def test_a_job_that_ends_while_it_waits_for_a_turn_gives_its_place_up(end):
    """Its activations are dropped; those of the other job have their turns one after the other, without a gap."""

    def program():
        narrow = Narrow(beats=2)
        with into(narrow, count=2, max_workers=3) as flow:
            if end == "failure":
                flow.add_routine(step(lambda n: (time.sleep(BEAT), 1 / 0), slot="in"), "failing")
                flow.connect("entry", "out", "failing", "in")
                flow.routines["failing"].set_error_handler(ErrorHandler("stop"))
            doomed = flow.execute("entry", timeout=BEAT if end == "deadline" else None)
            job = None if end == "failure" else flow.execute("entry")
            time.sleep(random.choice([0, 0.5, 1]) * BEAT)
            if end == "cancel":
                flow.cancel(doomed)
            wait(flow, doomed)
            if job is not None:
                wait(flow, job)
                mine = sum(1 for about, _ in narrow.done if about == doomed.job_id)
                assert time.monotonic_ns() <= round((2 * 2 + 2 * mine) * BEAT * 1e9)
                assert sum(1 for about, _ in narrow.done if about == job.job_id) == 2
        assert doomed.status in {"cancelled", "failed", "completed"}
        assert narrow.most == 1 or not narrow.done

    check(program)


def test_a_job_that_is_paused_while_it_waits_for_a_turn_loses_and_doubles_nothing():
    """Pausing takes its place in the line, resuming gives it another; the other job's turns go on meanwhile."""

    def program():
        narrow = Narrow(is_async=random.random() < 0.5, fails=random.randint(0, 1))
        with into(narrow, count=2, max_workers=random.randint(1, 2)) as flow:
            jobs = [flow.execute("entry") for _ in range(3)]
            join(start_threads(*[lambda job=job: pause_and_resume(flow, job) for job in jobs[:2]]))
            wait(flow, *jobs)
        assert narrow.most == 1
        assert sorted(narrow.done) == sorted((job.job_id, n) for job in jobs for n in range(2))

    check(program)


def test_a_paused_job_stops_nobody_elses_turn():
    """A job that is paused for good has no turn and no place; the other one has them all."""

    def program():
        narrow = Narrow()
        with into(narrow, count=3, max_workers=2) as flow:
            paused, job = flow.execute("entry"), flow.execute("entry")
            random_beats(2)
            flow.pause(paused)
            wait(flow, job)
            assert sum(1 for about, _ in narrow.done if about == job.job_id) == 3
            before = len(narrow.done)
            flow.cancel(paused)
            wait(flow, paused)
            assert len(narrow.done) == before
        assert set(endings(paused, "narrow")) <= {"completed", "dropped"}

    check(program)


def test_sequential_and_concurrent_jobs_share_the_turns_of_a_slot():
    """A sequential job waits for a turn that a concurrent one has, and goes on when it is its own turn."""

    def program():
        plan = Plan((Step, Turns), failures=1, beats=1)
        with plan.flow(max_workers=2) as flow:
            done = []

            def caller():
                done.append(plan.execute(flow, execution_strategy="sequential"))

            scripts = start_threads(caller, caller)
            done.append(plan.execute(flow))
            join(scripts)
            wait(flow, *done)
        assert len(done) == 3
        for job in done:
            assert (job.status, delivered(job)) == ("completed", plan.deliveries())

    check(program)
