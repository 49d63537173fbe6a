"""Bounds: ``max_pending`` on what is queued, and limits on what is remembered of what has finished."""

from __future__ import annotations

import random
import threading
import time

import pytest

from routilux import ErrorHandler, Flow, FlowShutdownError, QueueFullError
from tests.engine.flows import fan, one, step
from tests.semantics.oracles import Observer, check
from tests.semantics.workloads import BEAT, Jobs, endings, join, pause_and_resume, random_beats, start_threads, wait


class Level:
    """An instrument that keeps count of what a flow has queued, and of the most that it ever was."""

    def __init__(self, flow_of):
        self.flow_of = flow_of
        self.most = 0

    def look(self, *_):
        accounts = list(self.flow_of[0]._engine._live.values())
        self.most = max(self.most, sum(len({**a.queued, **a.held, **a.delayed}.keys() - a.running) for a in accounts))

    activation_queue = activation_start = activation_end = emit = job_start = look


def test_never_more_than_max_pending_are_queued():
    """Callers that execute wait for room, handlers that emit too much are told; the bound holds at every moment."""

    def program():
        bound = random.randint(1, 3)
        full = []

        def emit_many():
            for n in range(3):
                try:
                    source.emit("out", n=n)
                except QueueFullError:
                    full.append(n)
                time.sleep(random.randint(0, 1) * BEAT)

        flow_of, ran = [], []
        level = Level(flow_of)
        source = step(emit_many, "out")
        flow = Flow(execution_strategy="concurrent", max_workers=2, max_pending=bound, instruments=[level])
        flow_of.append(flow)
        flow.add_routine(source, "entry")
        flow.add_routine(step(lambda n: (time.sleep(BEAT), ran.append(n)), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        jobs = []
        with flow:
            join(start_threads(*[lambda: jobs.append(flow.execute("entry")) for _ in range(3)]))
            wait(flow, *jobs)
        assert level.most <= bound
        assert [job.status for job in jobs] == ["completed"] * 3
        assert len(ran) + len(full) == 9

    check(program)


def test_an_outside_caller_waits_for_room_in_the_order_of_coming():
    """``execute`` returns at the very moment at which a handler starts and makes room; first come, first served."""

    def program():
        flow = one(lambda: time.sleep(BEAT), execution_strategy="concurrent", max_workers=1, max_pending=1)
        with flow:
            jobs = [flow.execute("entry") for _ in range(4)]
            # One that runs, one that is queued: the n-th can be queued when the n-2nd has ended.
            assert time.monotonic_ns() in {round(2 * BEAT * 1e9)}
            wait(flow, *jobs)
            assert time.monotonic_ns() == round(4 * BEAT * 1e9)

    check(program)


def test_a_handler_is_told_at_once_and_nothing_of_that_emit_is_queued():
    """An event for two slots with room for one: QueueFullError, at that instant, and neither of them gets it."""

    def program():
        got = []
        flow = Flow(execution_strategy="concurrent", max_workers=1, max_pending=3)
        source = step(lambda: [emit(n) for n in range(3)], "out")
        outcomes = []

        def emit(n):
            at = time.monotonic_ns()
            try:
                source.emit("out", n=n)
                outcomes.append("queued")
            except QueueFullError as error:
                outcomes.append(("full", error.limit, time.monotonic_ns() - at))

        flow.add_routine(source, "entry")
        for name in ("a", "b"):
            flow.add_routine(step(lambda n, name=name: got.append((name, n)), slot="in"), name)
            flow.connect("entry", "out", name, "in")
        with flow:
            job = flow.execute("entry")
            wait(flow, job)
        assert outcomes == ["queued", ("full", 3, 0), ("full", 3, 0)]
        assert sorted(got) == [("a", 0), ("b", 0)]
        assert job.events_emitted == 1

    check(program)


def test_a_handler_that_is_refused_may_try_again_by_its_error_strategy():
    """With RETRY the emit is made when there is room; each that was queued arrives, and none is lost."""

    def program():
        got = []
        flow = Flow(execution_strategy="concurrent", max_workers=2, max_pending=2)
        entry = step(lambda: [entry.emit("out", n=n) for n in range(2)], "out")
        middle = step(lambda n: middle.emit("out", n=n), "out", slot="in")
        flow.add_routine(entry, "entry")
        flow.add_routine(middle, "middle")
        flow.add_routine(step(lambda n: (time.sleep(BEAT), got.append(n)), slot="in"), "last")
        flow.connect("entry", "out", "middle", "in")
        flow.connect("middle", "out", "last", "in")
        middle.set_error_handler(ErrorHandler("retry", max_retries=20, retry_delay=BEAT, retry_backoff=1.0))
        entry.set_error_handler(ErrorHandler("continue"))
        with flow:
            job = flow.execute("entry")
            wait(flow, job)
            assert job.status == "completed"
        assert sorted(got) == list(range(endings(job, "middle").count("completed")))

    check(program)


@pytest.mark.parametrize("action", ["pause", "cancel", "deadline", "failure"])
def test_room_is_given_back_whatever_becomes_of_the_jobs(action):
    """Jobs that are paused, cancelled, out of time or failed at any moment leave the count as it was; others go on."""

    def program():
        def handler(n):
            time.sleep(BEAT)
            if action == "failure" and n == 1:
                raise ValueError(n)

        observer = Observer()
        flow = fan(handler, count=2, max_workers=2, max_pending=random.randint(2, 4), instruments=[observer])
        flow.routines["entry"].set_error_handler(ErrorHandler("continue"))
        flow.set_error_handler(random.choice([None, ErrorHandler("retry", retry_delay=BEAT, max_retries=1)]))
        jobs = []

        def caller():
            job = flow.execute("entry", timeout=BEAT if action == "deadline" else None)
            jobs.append(job)
            if action == "cancel":
                random_beats(2)
                flow.cancel(job)
            elif action == "pause":
                pause_and_resume(flow, job, 1)

        with flow:
            join(start_threads(*[caller] * 3))
            wait(flow, *jobs)
            assert flow._engine.bound._count == 0
        observer.judge(*jobs)

    check(program)


def test_callers_that_wait_for_room_are_let_go_by_a_shutdown():
    """They get FlowShutdownError, those that come later too; who was given room just before gives it back."""

    def program():
        begin = threading.Event()
        flow = one(lambda: begin.wait(9), execution_strategy="concurrent", max_workers=1, max_pending=1)
        jobs, refused = [flow.execute("entry")], []

        def caller():
            try:
                jobs.append(flow.execute("entry"))
            except FlowShutdownError:
                refused.append(True)

        scripts = start_threads(caller, caller, begin.set)
        flow.shutdown()
        caller()
        join(scripts)
        assert refused
        assert len(jobs) + len(refused) == 4
        assert [job.status for job in jobs] == ["completed"] * len(jobs)

    check(program)


def test_a_full_queue_of_a_paused_job_keeps_nobody_waiting_after_a_shutdown():
    """The paused job has all the room and keeps it; whoever executes is refused, and does not wait for ever."""

    def program():
        jobs = Jobs()
        flow = Flow(execution_strategy="concurrent", max_pending=1, instruments=[jobs])
        source = step(lambda: (flow.pause(jobs[0]), source.emit("out")), "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(None, slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        job = flow.execute("entry")
        time.sleep(BEAT)
        assert (job.status, len(job.pending_tasks)) == ("paused", 1)
        refused = []

        def caller():
            try:
                flow.execute("entry")
            except FlowShutdownError:
                refused.append(True)

        scripts = start_threads(caller, caller, flow.shutdown)
        caller() if random.random() < 0.5 else time.sleep(BEAT)
        join(scripts)
        assert len(refused) >= 2

    check(program)


def test_history_and_figures_are_bounded_and_count_all():
    """A job keeps the latest records only; the tracker keeps sums, which are of all that there was."""

    def program():
        limit = random.randint(1, 4)
        with fan(lambda n: None, count=6, max_workers=2, history_limit=limit) as flow:
            jobs = [flow.execute("entry") for _ in range(2)]
            wait(flow, *jobs)
            for job in jobs:
                assert len(job.execution_history) == limit
                assert len(job._journal.unsummed) == 0 or job.figures()["sink"].completed == 6
                assert job.events_emitted == 6
            assert flow.execution_tracker.get_routine_performance("sink")["completed"] == 12
            assert flow.execution_tracker.get_flow_performance()["total_events"] == 12
            assert not flow.execution_tracker._live

    check(program)
