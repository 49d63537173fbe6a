"""Every emit reaches each connected slot exactly once: through pause, resume, save, load, switches and shutdown."""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from routilux import ErrorHandler, Flow, JobState
from routilux.exceptions import FlowShutdownError, JobStatusError
from tests.engine.flows import fan, one, step
from tests.semantics.oracles import SCHEDULES, Observer, check
from tests.semantics.workloads import (
    BEAT,
    AsyncStep,
    Jobs,
    Plan,
    Step,
    Turns,
    busy,
    collect,
    delivered,
    endings,
    join,
    pause_and_resume,
    random_beats,
    resume,
    start_threads,
    wait,
)
from tests.sim.sim_helpers import run_threads

KINDS = (Step, AsyncStep, Turns)


def once_in_order(job, plan):
    assert job.status == "completed", job.error
    assert delivered(job) == plan.deliveries()
    assert job.pending_tasks == []


@pytest.mark.parametrize("observed", [False, True], ids=["unobserved", "observed"])
def test_pausing_and_resuming_at_random_moments_loses_and_doubles_nothing(observed):
    """Two jobs of a random graph, retries and async steps among it, are paused and resumed; each token arrives once."""

    def program():
        plan = Plan(KINDS, failures=1)
        observer = Observer()
        flow = plan.flow(max_workers=random.randint(1, 3), instruments=[observer] if observed else [])
        with flow:
            jobs = [plan.execute(flow) for _ in range(2)]
            scripts = start_threads(*[lambda job=job: pause_and_resume(flow, job) for job in jobs])
            join(scripts)
            wait(flow, *jobs)
        for job in jobs:
            once_in_order(job, plan)
        if observed:
            observer.judge(*jobs)

    check(program)


def test_several_threads_may_pause_and_resume_one_job():
    """Whoever pauses and resumes, and however they race, each token arrives once and the job ends."""

    def program():
        plan = Plan((Step, Turns), failures=1, beats=1)
        with plan.flow(max_workers=2) as flow:
            job = plan.execute(flow)
            join(start_threads(*[lambda: pause_and_resume(flow, job) for _ in range(3)]))
            resume(flow, job)
            wait(flow, job)
        once_in_order(job, plan)

    check(program)


def test_a_paused_job_has_nothing_running_and_everything_in_its_pending_tasks():
    """When ``pause`` returns no handler runs, nothing moves, and all that is to come starts from ``pending_tasks``."""

    def program():
        plan = Plan(KINDS, failures=1)
        with plan.flow(max_workers=2) as flow:
            job = plan.execute(flow)
            random_beats(6)
            if flow.pause(job):
                assert (busy(flow), job.status) == (0, "paused")
                before = delivered(job)
                waiting = [(task.routine_id, task.data["token"]) for task in job.pending_tasks]
                assert len(set(waiting)) == len(waiting)
                assert {root(token, plan, waiting) for token in set(plan.deliveries()) - set(before)} <= {True}
                time.sleep(20 * BEAT)
                assert (delivered(job), job.status) == (before, "paused")
                assert len(job.pending_tasks) == len(waiting)
                flow.resume(job)
            wait(flow, job)
        once_in_order(job, plan)

    def root(missing, plan, waiting):
        """Whether a delivery that has not been made is pending, or will come of one that is."""
        return any(missing[1] == token or missing[1].startswith(f"{token}/{name}.") for name, token in waiting)

    check(program)


def test_pausing_inside_a_handler_waits_for_the_others_only():
    """A handler that pauses its own job goes on when nothing else of it runs; what it emits then is held."""

    def program():
        running = []

        def go(n):
            running.append(n)
            time.sleep(BEAT)
            if n == 1:
                assert flow.pause(jobs[0])
                assert running == [1] or jobs[0].status != "paused", running
                sink.emit("more")
            running.remove(n)

        jobs, more = Jobs(), []
        flow = Flow(execution_strategy="concurrent", max_workers=3)
        source = step(lambda: [source.emit("out", n=n) for n in range(3)], "out")
        sink = step(go, "more", slot="in")
        flow.add_routine(source, "source")
        flow.add_routine(sink, "sink")
        flow.add_routine(step(lambda: more.append(1), slot="in"), "last")
        flow.connect("source", "out", "sink", "in")
        flow.connect("sink", "more", "last", "in")
        flow.add_instrument(jobs)
        with flow:
            job = flow.execute("source")
            while job.status == "running":
                time.sleep(BEAT)
            flow.pause(job)
            assert more == []
            assert [task.routine_id for task in job.pending_tasks].count("last") == 1
            flow.resume(job)
            wait(flow, job)
            assert more == [1]
            assert job.status == "completed"

    check(program)


def test_two_handlers_may_pause_their_job_at_once():
    """Neither waits for the other; whoever pauses from outside waits for both to end."""

    def program():
        began, ended = [], []

        def handler(n):
            began.append(n)
            time.sleep(random.randint(0, 1) * BEAT)
            if n < 2:
                assert flow.pause(job)
            time.sleep(random.randint(0, 1) * BEAT)
            ended.append(n)

        flow = fan(handler, count=3, max_workers=3)
        with flow:
            job = flow.execute("entry")
            time.sleep(BEAT)
            while not JobState.wait_for_completion(flow, job, timeout=0):
                if flow.pause(job):
                    assert sorted(began) == sorted(ended)
                resume(flow, job)
                time.sleep(BEAT)
        assert sorted(ended) == [0, 1, 2]
        assert job.status == "completed"

    check(program)


@pytest.mark.parametrize("end", ["cancel", "failure", "deadline"])
def test_a_pause_that_races_with_the_end_of_its_job(end):
    """Pausing and resuming against a cancel, a failure or the deadline: the job ends once, with what it had dropped."""

    def program():
        observer = Observer()

        def handler(n):
            time.sleep(BEAT)
            if end == "failure" and n == 1:
                raise ValueError(n)

        flow = fan(handler, count=4, max_workers=2, instruments=[observer] if random.random() < 0.5 else [])
        with flow:
            job = flow.execute("entry", timeout=BEAT if end == "deadline" else None)
            scripts = [lambda: pause_and_resume(flow, job, 1)]
            if end == "cancel":
                scripts.append(lambda: (random_beats(2), flow.cancel(job, "a test")))
            join(start_threads(*scripts))
            wait(flow, job)
        expected = {"cancel": {"cancelled", "completed"}, "failure": {"failed"}, "deadline": {"failed", "completed"}}[
            end
        ]
        assert job.status in expected
        rows = endings(job)
        assert len(rows) == 5 or (len(rows) == 1 and rows == ["dropped"]), rows
        if observer.calls:
            observer.judge(job)

    check(program)


def test_resuming_against_cancelling_never_revives_a_job():
    """However ``resume`` races with ``cancel``, a job that was cancelled stays so; its deferred events are dropped."""

    def program():
        flow = one(lambda: source.emit_deferred_event("out", n=1), execution_strategy="concurrent")
        source = flow.routines["entry"]
        source.define_event("out")
        arrived = []
        flow.add_routine(step(collect(arrived), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            paused = flow.pause(job)
            told = []
            join(start_threads(lambda: told.append(flow.cancel(job)), lambda: resume(flow, job)))
            wait(flow, job)
            assert job.status == ("cancelled" if told[0] else "completed")
            assert len(arrived) <= paused

    check(program)


def test_a_retry_that_is_due_while_its_job_is_stopped_is_made_once():
    """Pausing and resuming, or cancelling, at the very instant of a retry neither doubles nor loses it."""

    def program():
        tries = {}

        def handler(name):
            tries.setdefault(name, []).append(time.monotonic())
            if len(tries[name]) == 1:
                raise ValueError

        flow = one(handler, execution_strategy="concurrent", max_workers=2, max_pending=6)
        flow.set_error_handler(ErrorHandler("retry", retry_delay=1.0))
        with flow:
            jobs = [flow.execute("entry", {"name": n}) for n in range(3)]
            time.sleep(1.0)
            for job in jobs:
                if random.random() < 0.3:
                    if flow.pause(job):
                        flow.resume(job)
                else:
                    flow.cancel(job)
            wait(flow, *jobs)
        for n, job in enumerate(jobs):
            rows = endings(job)
            assert rows in (["retry", "completed"], ["retry", "dropped"])
            assert tries[n] == [0.0, 1.0][: 2 - (rows[1] == "dropped")]
            assert job.status in {"completed", "cancelled"}

    # The moment is short.
    check(program, schedules=4 * SCHEDULES)


def test_a_job_whose_time_is_up_before_it_starts_is_dropped_once():
    """A deadline that comes while ``execute`` still queues the entry drops that once, and gives room back."""

    def program():
        ran = []
        with one(lambda: ran.append(1), execution_strategy="concurrent", max_pending=4) as flow:
            jobs = [flow.execute("entry", timeout=1e-10) for _ in range(3)]
            wait(flow, *jobs)
        rows = [endings(job) for job in jobs]
        assert all(row in (["dropped"], ["completed"], ["late"]) for row in rows), rows
        assert len(ran) == 3 - rows.count(["dropped"])

    check(program, schedules=2 * SCHEDULES)


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_resuming_twice_at_once_is_resuming_once(strategy):
    """Two threads that resume one paused job: it goes on once, in one of them if it is sequential."""

    def program():
        arrived = []
        jobs = Jobs()
        flow = Flow(execution_strategy=strategy)
        source = step(lambda: (flow.pause(jobs[0]), source.emit("out")), "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(lambda: arrived.append(1), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        flow.add_instrument(jobs)
        with flow:
            job = flow.execute("entry")
            if strategy == "sequential":
                assert job.status == "paused"
            while job.status != "paused":
                time.sleep(BEAT)
            flow.pause(job)
            run_threads(lambda: resume(flow, job), lambda: resume(flow, job))
            wait(flow, job)
        assert (arrived, job.status) == ([1], "completed")
        assert [r.event_name for r in job.execution_history if r.kind == "job"].count("resumed") == 1

    check(program)


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_saved_and_loaded_jobs_finish_exactly_what_was_outstanding(strategy):
    """A job saved while it runs, and loaded in a fresh flow, delivers there exactly what it had not, as here."""

    def program():
        plan = Plan(KINDS, failures=1)
        with plan.flow(max_workers=2, execution_strategy=strategy) as flow:
            jobs = Jobs()
            flow.add_instrument(jobs)
            runner = start_threads(lambda: plan.execute(flow))
            random_beats(6)
            while not jobs:
                time.sleep(BEAT)
            job = jobs[0]
            document = json.loads(json.dumps(job.serialize()))
            join(runner)
            wait(flow, job)
        once_in_order(job, plan)
        with plan.flow(max_workers=2, execution_strategy=strategy) as fresh:
            loaded = JobState.deserialize(document)
            if loaded.status != "completed":
                fresh.resume(loaded)
                wait(fresh, loaded)
        once_in_order(loaded, plan)
        assert {rid: f.completed for rid, f in loaded.figures().items()} == {
            rid: f.completed for rid, f in job.figures().items()
        }

    check(program)


def test_a_paused_job_goes_on_from_its_file(tmp_path, monkeypatch):
    """Paused, saved, cancelled where it was, loaded and resumed elsewhere, again and again: each token arrives once."""
    # What takes time, and shows only when the power fails.
    monkeypatch.setattr(os, "fsync", lambda file: None)

    def program():
        plan = Plan((Step, Turns), failures=1)
        path = tmp_path / "job.json"
        flow = plan.flow(max_workers=2)
        job = plan.execute(flow)
        for _ in range(2):
            random_beats(3)
            if not flow.pause(job):
                break
            job.save(path)
            flow.cancel(job)
            flow.shutdown()
            flow = plan.flow(max_workers=2)
            job = JobState.load(path)
            assert job.status == "paused"
            flow.resume(job)
        wait(flow, job)
        flow.shutdown()
        once_in_order(job, plan)

    check(program)


def test_saving_against_the_end_of_the_job_gives_a_document_that_can_be_loaded():
    """A document written while its job is cancelled is of the job before, which goes on, or after, which cannot."""

    def program():
        plan = Plan((Step,))
        documents = []
        with plan.flow(max_workers=2) as flow:
            job = plan.execute(flow)
            join(
                start_threads(
                    lambda: (random_beats(2), flow.cancel(job)),
                    lambda: (random_beats(2), documents.append(json.loads(json.dumps(job.serialize())))),
                )
            )
            wait(flow, job)
        loaded = JobState.deserialize(documents[0])
        if loaded.status == "cancelled":
            assert loaded.pending_tasks == []
            with pytest.raises(JobStatusError):
                flow.resume(loaded)
        elif loaded.status != "completed":
            with plan.flow() as fresh:
                fresh.resume(loaded)
                wait(fresh, loaded)
            once_in_order(loaded, plan)

    check(program)


def test_saving_inside_an_async_handler_lists_each_activation_once():
    """It cannot wait for the others, which may be on their way to a retry: each is in the document under one number."""

    def program():
        documents, tries = [], []

        def sink(n):
            tries.append(n)
            if tries.count(n) == 1:
                raise ValueError(n)

        async def saver():
            documents.append(job.serialize())

        flow = Flow("f", execution_strategy="concurrent")
        source = step(lambda: (source.emit("save"), source.emit("out", n=1), source.emit("out", n=2)), "out", "save")
        flow.add_routine(source, "entry")
        flow.add_routine(step(sink, slot="in"), "sink")
        flow.add_routine(step(saver, slot="in"), "saver")
        flow.connect("entry", "out", "sink", "in")
        flow.connect("entry", "save", "saver", "in")
        flow.set_error_handler(ErrorHandler("retry", retry_delay=1))
        with flow:
            job = flow.execute("entry")
            wait(flow, job)
        numbers = [task["number"] for task in documents[0]["pending"]]
        assert len(set(numbers)) == len(numbers), documents[0]["pending"]

    check(program)


def loaded_job():
    """A job that was saved with two activations outstanding; where they arrive; and the flow for it."""
    arrived = []

    def flow():
        made = Flow("f", execution_strategy="concurrent", max_pending=8)
        source = step(lambda: [source.emit("out", n=n) for n in range(2)], "out")
        made.add_routine(source, "entry")
        made.add_routine(step(collect(arrived), slot="in"), "sink")
        made.connect("entry", "out", "sink", "in")
        return made

    first = flow()
    job = first.execute("entry")
    first.pause(job)
    document = job.serialize()
    first.cancel(job)
    first.shutdown()
    return JobState.deserialize(document), arrived, flow()


def test_two_threads_that_resume_a_loaded_job_resume_it_once():
    """One of them makes it the flow's; nothing it had outstanding is lost, or run by both."""

    def program():
        job, arrived, flow = loaded_job()
        with flow:
            if job.status == "paused":
                run_threads(lambda: resume(flow, job), lambda: resume(flow, job))
                wait(flow, job)
        assert sorted(map(str, arrived)) == ["0", "1"]

    check(program)


def test_a_loaded_job_that_is_resumed_against_a_shutdown_hangs_nobody():
    """It goes on to its end before the shutdown does, or is refused; ``shutdown`` returns either way."""

    def program():
        job, arrived, flow = loaded_job()
        if job.status != "paused":
            flow.shutdown()
            return
        refused = []

        def go_on():
            try:
                flow.resume(job)
            except FlowShutdownError:
                refused.append(True)

        run_threads(go_on, flow.shutdown)
        assert flow.shutdown()
        assert sorted(map(str, arrived)) == ["0", "1"] or refused

    check(program)


def test_a_loaded_job_may_be_cancelled_against_its_resumption():
    """It ends as cancelled, or completed if the cancel came too late; never as both, and never hanging."""

    def program():
        job, _, flow = loaded_job()
        told = []
        with flow:
            if job.status == "paused":
                run_threads(lambda: resume(flow, job), lambda: told.append(flow.cancel(job)))
                if job._account is not None:
                    wait(flow, job)
                assert job.status == ("cancelled" if told[0] else "completed")

    check(program)


def test_switching_the_strategy_during_a_run_keeps_every_task():
    """``set_execution_strategy`` at random moments, with any number of workers, between jobs of both kinds."""

    def program():
        plan = Plan(KINDS, failures=1)
        with plan.flow(max_workers=random.randint(1, 3)) as flow:
            jobs = [plan.execute(flow)]
            for _ in range(3):
                random_beats(1)
                flow.set_execution_strategy(random.choice(["sequential", "concurrent"]), random.randint(1, 3))
                if len(jobs) < 3:
                    jobs.append(plan.execute(flow))
            wait(flow, *jobs)
        for job in jobs:
            once_in_order(job, plan)

    check(program)


def test_resuming_keeps_the_number_of_workers_that_was_set_since():
    """A job that began with four workers goes on with one, once the flow has been given one."""

    def program():
        at_once = [0, 0]

        def handler(n):
            at_once[0] += 1
            at_once[1] = max(at_once)
            time.sleep(BEAT)
            at_once[0] -= 1

        with fan(handler, count=6, max_workers=4) as flow:
            job = flow.execute("entry")
            time.sleep(BEAT / 2)
            flow.set_execution_strategy(random.choice(["sequential", "concurrent"]), 1)
            if flow.pause(job):
                at_once[1] = 0
                flow.resume(job)
                wait(flow, job)
                assert at_once == [0, 1]

    check(program)


def test_shutdown_lets_all_that_is_queued_or_delayed_come_to_its_end():
    """``shutdown(wait=True)`` right after ``execute`` loses nothing of jobs that run or wait to be tried again."""

    def program():
        plan = Plan(KINDS, failures=1)
        flow = plan.flow(max_workers=random.randint(1, 3))
        jobs = [plan.execute(flow) for _ in range(2)]
        random_beats(2)
        assert flow.shutdown(wait=True)
        for job in jobs:
            once_in_order(job, plan)

    check(program)


def test_a_job_paused_at_shutdown_keeps_what_it_has():
    """A shutdown does not wait for a paused job that rests; it can still be saved, and goes on in another flow."""

    def program():
        plan = Plan((Step, Turns), failures=1)
        flow = plan.flow(max_workers=2)
        job = plan.execute(flow)
        other = plan.execute(flow)
        script = start_threads(lambda: (random_beats(3), flow.pause(job)))
        join(script) if random.random() < 0.5 else None
        assert flow.shutdown()
        join(script)
        once_in_order(other, plan)
        if job.status == "paused":
            assert flow.shutdown()
            with pytest.raises(FlowShutdownError):
                flow.resume(job)
            with plan.flow() as fresh:
                loaded = JobState.deserialize(json.loads(json.dumps(job.serialize())))
                fresh.resume(loaded)
                wait(fresh, loaded)
            once_in_order(loaded, plan)
        else:
            once_in_order(job, plan)

    check(program)


def test_deferred_events_are_emitted_once_on_resume():
    """What handlers deferred, before or while the job is paused, is delivered once when it goes on, also elsewhere."""

    def program():
        def go():
            for n in range(2):
                source.emit_deferred_event("out", n=n)
            time.sleep(BEAT)

        arrived = []
        flow = one(go, execution_strategy="concurrent")
        source = flow.routines["entry"]
        source.define_event("out")
        flow.add_routine(step(collect(arrived), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            random_beats(1)
            paused = flow.pause(job)
            assert arrived == []
            deferred = len(job.deferred_events)
            if paused:
                flow.resume(job)
            wait(flow, job)
        assert sorted(map(str, arrived)) == ["0", "1"][: deferred * paused]

    check(program)
