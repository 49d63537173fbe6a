"""Serialization: flows and jobs that went through plain JSON behave as those that did not."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime

import pytest

from routilux import ErrorHandler, Flow, JobState, Routine
from routilux.exceptions import SerializationError
from tests.engine.flows import fan
from tests.semantics.oracles import check
from tests.semantics.workloads import (
    BEAT,
    AsyncStep,
    Jobs,
    Plan,
    Step,
    Turns,
    delivered,
    endings,
    random_beats,
    start_threads,
    wait,
)


class Gather(Routine):
    """Gathers, and logs what it has."""

    def __init__(self):
        super().__init__()
        self.define_slot("in", handler=self.gather, merge_strategy="append")

    def gather(self, item):
        self.get_execution_context().job_state.append_to_shared_log({"routine": "gather", "token": "+".join(item)})


def through_json(data):
    return json.loads(json.dumps(data))


def copied(flow):
    """The flow that a flow's document describes."""
    fresh = Flow()
    fresh.deserialize(through_json(flow.serialize()))
    return fresh


def portrait(job):
    """What is to be seen of a job, apart from its name, its date, and chance at one instant."""
    return (
        job.status,
        delivered(job),
        {rid: (f.completed, f.failed, f.retries, f.total_ns) for rid, f in job.figures().items()},
        sorted(endings(job)),
        (job.updated_at - job.created_at).total_seconds(),
        job.events_emitted,
    )


def test_a_flow_that_went_through_json_behaves_as_before():
    """Same deliveries, retries, times and limits: two jobs of the original against two of its copy's copy."""

    def program():
        plan = Plan((Step, AsyncStep), failures=1)
        original = plan.flow(max_workers=20, execution_timeout=random.choice([None, 50.0]), history_limit=99)
        original.add_routine(Gather(), "gather")
        original.connect("s0", "out", "gather", "in", param_mapping={"token": "item"})
        copy = copied(copied(original))
        assert copy.serialize() == original.serialize()
        assert (copy.flow_id, copy.max_workers) == (original.flow_id, 20)
        outcomes = []
        for flow in (original, copy):
            with flow:
                jobs = [plan.execute(flow) for _ in range(2)]
                wait(flow, *jobs)
            for job in jobs:
                # Which of several values at one instant is gathered first is chance; how many at a time is not.
                outcomes.append(portrait(job)[:1] + portrait(job)[2:])
                gathered = [token.split("+") for name, token in delivered(job) if name == "gather"]
                assert sorted(map(len, gathered)) == list(range(1, plan.config["s0"]["emits"] + 1))
        assert all(outcome == outcomes[0] for outcome in outcomes)

    check(program)


def test_the_settings_of_a_flow_survive_and_take_effect():
    """Strategy, workers, limits, turns, error handlers of the flow and of routines: the copy runs by the same ones."""

    def program():
        plan = Plan((Turns,), beats=1)
        flow = plan.flow(execution_strategy="sequential", max_workers=3, max_pending=9)
        flow.routines["s1"].set_config(failures=1)
        flow.routines["s1"].set_as_critical(max_retries=2, retry_delay=2 * BEAT, retry_backoff=3.0)
        flow = copied(flow)
        handler = flow.routines["s1"].get_error_handler()
        figures = (handler.max_retries, handler.retry_delay, handler.retry_backoff, handler.is_critical)
        assert figures == (2, 2 * BEAT, 3.0, True)
        assert (flow.execution_strategy, flow.max_workers, flow.max_pending) == ("sequential", 1, 9)
        assert flow.routines["s1"].get_slot("trigger").max_concurrency == 1
        with flow:
            job = plan.execute(flow)
            assert (job.status, delivered(job)) == ("completed", plan.deliveries())
            visits = [name for name, _ in plan.deliveries()].count("s1")
            assert endings(job, "s1").count("retry") == visits

    check(program)


def test_a_running_job_is_held_still_while_it_is_saved_and_goes_on():
    """No handler runs while it is described; the document agrees with itself; the job is not delayed by more."""

    def program():
        plan = Plan((Step, AsyncStep, Turns), failures=1)
        jobs = Jobs()
        with plan.flow(max_workers=2, instruments=[jobs]) as flow:
            runner = start_threads(lambda: plan.execute(flow, execution_strategy=random.choice(["sequential", None])))
            random_beats(3)
            while not jobs:
                time.sleep(BEAT)
            (job,) = jobs
            document = through_json(job.serialize())
            runner[0].join()
            wait(flow, job)
            assert (job.status, delivered(job)) == ("completed", plan.deliveries())
        done = [(entry["routine"], entry["token"]) for entry in JobState.deserialize(document).get_shared_log()]
        waiting = [(task["routine"], task["data"]["token"]) for task in document["pending"]]
        assert not set(done) & set(waiting)
        assert len(set(waiting)) == len(waiting)
        numbers = [task["number"] for task in document["pending"]]
        assert all(number < document["next_number"] for number in numbers)
        assert sum(figures["completed"] for figures in document["figures"].values()) == len(done)

    check(program)


def test_a_jobs_document_tells_all_there_is_to_tell():
    """What went through JSON and back is described by the same document: a job at rest, over, or with an error."""

    def program():
        def handler(n):
            time.sleep(BEAT)
            if n == 2 and kind == "failed":
                raise ValueError("two")
            job.update_shared_data("when", datetime(2026, 1, 1, tzinfo=UTC))
            job.update_routine_state("sink", {"seen": (1, {n})})

        kind = random.choice(["failed", "paused", "cancelled", "completed"])
        with fan(handler, max_workers=2, flow_id="told") as flow:
            job = flow.execute("entry")
            if kind == "cancelled":
                random_beats(1)
                flow.cancel(job, "enough")
            if kind == "paused":
                random_beats(2)
                flow.pause(job, "a test", checkpoint={"at": 1})
            else:
                wait(flow, job)
            document = through_json(job.serialize())
            again = JobState.deserialize(document)
            assert through_json(again.serialize()) == document
            assert (again.status, again.job_id, again.pending_tasks) == (job.status, job.job_id, job.pending_tasks)
            assert again.routine_states == job.routine_states
            assert again.execution_history == job.execution_history
            assert again.shared_data == job.shared_data
            assert str(again.error) == (f"ValueError: {job.error}" if job.error else "None")
            if job.status == "paused":
                flow.resume(job)
                wait(flow, job)

    check(program)


def test_a_retry_that_is_due_elsewhere_comes_at_the_time_that_was_set():
    """A job saved between two attempts goes on, in a fresh flow, with the next one at the instant that it was due."""

    def program():
        def make():
            flow = Flow("flow", execution_strategy="concurrent")
            step = Step()
            step.set_config(failures=2)
            flow.add_routine(step, "s0")
            flow.set_error_handler(ErrorHandler("retry", retry_delay=1.0, retry_backoff=3.0))
            return flow

        flow = make()
        job = flow.execute("s0", {"token": "t"})
        # Attempts are due at 0, 1 and 4 seconds.
        time.sleep(random.choice([0.5, 1.5, 3.0]))
        document = through_json(job.serialize())
        flow.cancel(job)
        flow.shutdown()
        with make() as fresh:
            loaded = JobState.deserialize(document)
            fresh.resume(loaded)
            wait(fresh, loaded)
            assert time.monotonic_ns() == 4_000_000_000
        assert endings(loaded, "s0") == ["retry", "retry", "completed"]

    check(program)


def test_what_cannot_be_stored_is_refused_by_name_and_the_job_goes_on():
    """SerializationError names a value that is not JSON; the job, held still for the attempt, ends as it would."""

    def program():
        thing = object()
        with fan(lambda n, thing: time.sleep(BEAT), max_workers=1) as flow:
            job = flow.execute("entry", {"thing": thing})
            random_beats(2)
            if flow.pause(job):
                with pytest.raises(SerializationError, match="thing"):
                    job.serialize()
                flow.resume(job)
            with pytest.raises(SerializationError, match="thing"):
                job.serialize()
            wait(flow, job)
            assert (job.status, endings(job, "sink")) == ("completed", ["completed"] * 3)

    check(program)
