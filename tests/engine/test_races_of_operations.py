"""Operations on one job that come at the same time: each counts as a whole, and a final status stays."""

from __future__ import annotations

import threading
from contextlib import suppress

from routilux import Flow, JobState
from tests.engine.flows import fan, nap, one, step
from tests.exploring import explore


def at_once(*calls):
    """Make these calls at the same time; what they raise does not matter."""

    def quietly(call):
        with suppress(RuntimeError):
            call()

    threads = [threading.Thread(target=quietly, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def stopped_and_read(flow):
    """A job of a flow, paused and read from a document; the flow is a twin of the one that it began in."""
    twin = fan(None, flow_id=flow.flow_id)
    job = twin.execute("entry")
    twin.pause(job)
    read = JobState.deserialize(job.serialize())
    twin.cancel(job)
    twin.shutdown()
    return read


def test_a_job_that_was_read_is_taken_up_once():
    """Two threads that resume it at the same time resume it once: nothing runs twice."""

    def program():
        ran = []
        flow = fan(ran.append, flow_id="f")
        job = stopped_and_read(flow)
        left = len(job.pending_tasks)
        at_once(lambda: flow.resume(job), lambda: flow.resume(job))
        assert JobState.wait_for_completion(flow, job)
        assert len(ran) == len(set(map(str, ran))) <= 3
        assert job.next_number > left
        flow.shutdown()

    explore(program, schedules=200).raise_if_failed()


def test_a_job_that_was_read_is_cancelled_or_resumed():
    """Whatever comes first, in the end it is over, with a final status, and each activation has one record."""

    def program():
        flow = fan(None, flow_id="f")
        job = stopped_and_read(flow)
        at_once(lambda: flow.resume(job), lambda: flow.cancel(job))
        if job._account is not None:
            assert JobState.wait_for_completion(flow, job)
        assert job.status in ("cancelled", "completed")
        assert job.pending_tasks == []
        records = [r for r in job.execution_history if r.kind == "activation"]
        assert len(records) == job.events_emitted + 1
        flow.shutdown()

    explore(program, schedules=300).raise_if_failed()


def test_what_a_cancelled_job_had_outstanding_is_recorded():
    """Also when no flow had taken the job up since it was read."""
    flow = fan(None, flow_id="f")
    job = flow.execute("entry")
    flow.pause(job)
    read = JobState.deserialize(job.serialize())
    waiting = [(task.routine_id, task.slot) for task in read.pending_tasks]
    assert flow.cancel(read)
    dropped = [r for r in read.execution_history if r.event_name == "dropped"]
    assert [(r.routine_id, r.data["slot"]) for r in dropped] == waiting
    flow.resume(job)
    flow.shutdown()


def test_a_cancelled_job_stays_cancelled():
    """A resume that comes at the same time does not make it run again, nor a second resume."""

    def program():
        flow = fan(lambda n: nap(0.01), max_workers=1)
        job = flow.execute("entry")
        flow.pause(job)
        at_once(lambda: flow.cancel(job), lambda: flow.resume(job), lambda: flow.resume(job))
        assert job.status in ("cancelled", "completed")
        assert JobState.wait_for_completion(flow, job)
        flow.shutdown()

    explore(program, schedules=300).raise_if_failed()


def test_a_sequential_job_goes_on_however_often_it_is_resumed_and_paused():
    """Nobody is left waiting for a thread that has gone."""

    def program():
        flow = one(lambda: flow.pause(flow.routines["entry"].get_execution_context().job_state))
        job = flow.execute("entry")
        at_once(lambda: flow.resume(job), lambda: flow.pause(job), lambda: flow.resume(job))
        while not JobState.wait_for_completion(flow, job, timeout=1):
            flow.resume(job)
        assert job.status == "completed"
        flow.shutdown()

    explore(program, schedules=300).raise_if_failed()


def test_a_failed_job_can_be_stored_while_a_handler_of_it_still_runs():
    """What still runs is not to be run again, so it does not stand in the document, which can be read."""

    def program():
        def handle(n):
            if n:
                nap(1)
            else:
                raise ValueError

        flow = fan(handler=handle, count=2)
        job = flow.execute("entry")
        nap(0.5)
        assert job.status == "failed"
        read = JobState.deserialize(job.serialize())
        assert (read.status, read.pending_tasks) == ("failed", [])
        flow.shutdown()

    explore(program, schedules=20).raise_if_failed()


def test_a_document_is_from_one_moment():
    """A job that ends while it is stored stands there whole: as it was, or as it has ended."""

    def program():
        documents = []
        flow = fan(None, max_workers=1)
        job = flow.execute("entry")
        at_once(lambda: documents.append(job.serialize()), lambda: flow.cancel(job))
        read = JobState.deserialize(documents[0])
        dropped = [r for r in read.execution_history if r.event_name == "dropped"]
        assert not (dropped and read.pending_tasks)
        flow.shutdown()

    explore(program, schedules=300).raise_if_failed()


def test_what_a_worker_comes_late_for_is_stored_once():
    """An activation that was put aside stands in the document once, though a worker has it in hand for a moment."""

    def program():
        flow = fan(None, count=4, max_workers=3)
        job = flow.execute("entry")
        numbers = [task["number"] for task in job.serialize()["pending"]]
        assert len(numbers) == len(set(numbers))
        flow.shutdown()

    explore(program, schedules=1000).raise_if_failed()


def test_pause_from_outside_waits_for_a_handler_that_pauses():
    """When it returns nothing of the job runs, not even a handler that has paused the job itself."""

    def program():
        inside = []

        def handle():
            inside.append(1)
            found = routine.get_execution_context()
            found.flow.pause(found.job_state)
            nap(0.01)
            inside.pop()

        flow = Flow(execution_strategy="concurrent")
        routine = step(handle)
        flow.add_routine(routine, "entry")
        job = flow.execute("entry")
        flow.pause(job)
        assert inside == []
        flow.resume(job)
        flow.shutdown()

    explore(program, schedules=200).raise_if_failed()


def test_a_job_that_nobody_runs_is_stored_as_it_was_before_a_cancel_or_after_it():
    """What is outstanding stands in the document once: as outstanding, or as dropped."""

    def program():
        flow = fan(None, flow_id="f")
        job = stopped_and_read(flow)
        documents = []
        at_once(lambda: documents.append(job.serialize()), lambda: flow.cancel(job))
        (document,) = documents
        dropped = [record for record in document["history"] if record["name"] == "dropped"]
        outstanding = len(document["pending"])
        assert (document["status"] == "cancelled") == (not outstanding)
        assert bool(dropped) != bool(outstanding)
        flow.shutdown()

    explore(program, schedules=1000).raise_if_failed()
