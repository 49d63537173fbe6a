"""What a job has that is recovered from its store, and that it has it once."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

from routilux import ErrorHandler, Flow, JobState
from routilux.builtin import Aggregator, Batcher
from routilux.exceptions import SerializationError
from routilux.store import JobStore
from routilux_sim import simulate
from tests.engine.flows import step
from tests.store.helpers import Crash, finish, paused
from tests.store.trees import FAN_IN, ROOT, SMALL, Runs, build, family


def test_recovering_twice_is_once(store, tmp_path):
    """The second time the flow runs the job already, the third it has ended."""
    crash, runs = Crash(store, tmp_path), Runs()
    with build(SMALL, Runs(), store) as flow:
        paused(flow)
        crash()
    with build(SMALL, runs, crash.path) as again:
        (taken,) = again.recover()
        assert again.recover() == []
        again.resume(taken)
        assert finish(again, taken) == "completed"
        assert again.recover() == []


def test_a_sequential_job_goes_on_in_the_thread_that_recovers_it(store, tmp_path):
    """It has ended when ``recover`` returns; the handler that was interrupted runs again, what had ended does not."""
    crash, threads = Crash(store, tmp_path), []

    def flow_of(store, last):
        flow = Flow("flow", store=store)
        source = step(lambda: (threads.append("entry"), source.emit("out")), "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(last, slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        return flow

    with flow_of(store, crash) as flow:
        flow.execute("entry")
    with flow_of(crash.path, lambda: threads.append(threading.current_thread())) as again:
        (job,) = again.recover()
        assert job.status == "completed"
    assert threads == ["entry", threading.current_thread()]


def test_a_paused_job_stays_paused(store, tmp_path):
    """With its reason and checkpoint; it goes on when it is resumed."""
    crash = Crash(store, tmp_path)
    with build(SMALL, Runs(), store) as flow:
        job = paused(flow, ROOT, "lunch", {"page": 3})
        crash()
    runs = Runs()
    with build(SMALL, runs, crash.path) as again:
        (taken,) = again.recover()
        assert (taken.status, taken.pause_reason) == ("paused", "lunch")
        assert taken.pause_points[0]["checkpoint"] == {"page": 3}
        assert runs.begun == []
        again.resume(taken)
        assert finish(again, taken) == "completed"
        assert again.store.load(job.job_id).pause_reason == "lunch"


def test_jobs_that_do_not_fit_or_cannot_be_read_hide_no_other(store, tmp_path):
    """The others go on; the error is about the first that cannot. Given what it lacked, that one goes on as well."""
    crash = Crash(store, tmp_path)
    with build(FAN_IN, Runs(), store, execution_strategy="concurrent") as flow:
        jobs = [paused(flow, str(n)) for n in range(4)]
        crash()
    lost, broken, mute = (job.job_id for job in jobs[:3])
    crash.alter(
        "UPDATE jobs SET status = 'running', document = replace(document, 'paused', 'running')",
        f"UPDATE activations SET slot = 'gone' WHERE job_id = '{lost}' AND outcome IS NULL",
        f"UPDATE jobs SET document = '[' WHERE job_id = '{broken}'",
        f"UPDATE jobs SET document = CAST(x'fffe' AS TEXT) WHERE job_id = '{mute}'",
    )
    with JobStore(crash.path) as crashed:
        runs = Runs()
        with build(FAN_IN, runs, crashed) as again, pytest.raises(SerializationError, match=r"'gone'.*no such slot"):
            again.recover()
        assert {job.job_id: job.status for job in crashed.jobs()} == {
            lost: "running",
            broken: "running",
            mute: "running",
            jobs[3].job_id: "completed",
        }
        crashed._database.execute("UPDATE activations SET slot = 'trigger'")
        with build(FAN_IN, runs, crashed) as again, pytest.raises(SerializationError, match=f"{broken}.*is not JSON"):
            again.recover()
        assert crashed.load(lost).status == "completed"


def test_a_retry_keeps_its_time_across_a_restart():
    """What was to be tried again at a time is so then, on the wall clock, or at once if that has gone by."""

    def program():
        tries = []

        def flaky():
            tries.append(time.time())
            if len(tries) == 1:
                raise ValueError

        def flow_of(store):
            flow = Flow("flow", "concurrent", store=store)
            routine = step(flaky)
            routine.set_error_handler(ErrorHandler("retry", retry_delay=100.0))
            flow.add_routine(routine, "entry")
            return flow

        for pause in (30.0, 300.0):
            tries.clear()
            with JobStore(":memory:") as store:
                flow = flow_of(store)
                job = flow.execute("entry")
                time.sleep(1.0)
                image = store._database.serialize()
                time.sleep(pause)
                flow.cancel(job)
                del tries[1:]
            with JobStore(":memory:") as store:
                store._database.deserialize(image)
                again = flow_of(store)
                (taken,) = again.recover()
                assert finish(again, taken, 1000) == "completed"
                assert tries[1] - tries[0] == pytest.approx(max(100.0, pause + 1.0), abs=1e-3)

    def finish(flow, job, seconds):
        assert JobState.wait_for_completion(flow, job, timeout=seconds)
        return job.status

    simulate(program)


def test_a_time_limit_goes_on_across_a_restart():
    """What was left of it when something was recorded last is what is left."""

    def program():
        def flow_of(store):
            flow = Flow("flow", "concurrent", store=store, execution_timeout=10.0)
            source = step(lambda: (time.sleep(4.0), source.emit("out")), "out")
            flow.add_routine(source, "entry")
            flow.add_routine(step(lambda: time.sleep(100.0), slot="in"), "sink")
            flow.connect("entry", "out", "sink", "in")
            return flow

        with JobStore(":memory:") as store, flow_of(store) as flow:
            job = flow.execute("entry")
            images = [store._database.serialize()]
            time.sleep(5.0)
            images.append(store._database.serialize())
            flow.cancel(job)
        for image, left in zip(images, (10.0, 6.0), strict=True):
            with JobStore(":memory:") as store:
                store._database.deserialize(image)
                again = flow_of(store)
                began = time.monotonic()
                (taken,) = again.recover()
                while taken.status == "running":
                    time.sleep(0.01)
                assert isinstance(taken.error, TimeoutError)
                assert time.monotonic() - began == pytest.approx(left, abs=0.02)
                again.shutdown()

    simulate(program)


def test_deferred_events_are_emitted_once_when_a_recovered_job_is_resumed(store, tmp_path):
    """As they would have been without the crash."""
    crash = Crash(store, tmp_path)
    with build(SMALL, Runs(), store) as flow:
        job = paused(flow)
        job.add_deferred_event("work", "to_sum", {"token": "late"})
        flow.resume(job)
        assert finish(flow, job) == "completed"
    with build(SMALL, Runs(), store) as flow:
        job = paused(flow)
        job.add_deferred_event("work", "to_sum", {"token": "late"})
        job.update_shared_data("told", "while it was paused")
        crash()
    runs = Runs()
    with build(SMALL, runs, crash.path) as again:
        (taken,) = again.recover()
        assert [event.data for event in taken.deferred_events] == [{"token": "late"}]
        again.resume(taken)
        assert finish(again, taken) == "completed"
        assert taken.shared_data == {"told": "while it was paused"}
        assert runs.ended.count("late") == 1
        assert again.store.load(taken.job_id).deferred_events == []


def test_cancelled_is_on_record(store):
    """Also of a job that was loaded only; what it had to run is dropped."""
    with build(SMALL, Runs(), store) as flow:
        jobs = [paused(flow) for _ in range(2)]
        flow.cancel(jobs[0], "no need")
        assert store.load(jobs[0].job_id).status == "cancelled"
    with build(SMALL, Runs(), store) as again:
        left = store.load(jobs[1].job_id)
        assert again.cancel(left, "nor this")
        assert again.recover() == []
    assert [(job.status, job.pending) for job in store.jobs()] == [("cancelled", 0)] * 2
    assert store.load(jobs[1].job_id).pending_tasks == []


@pytest.mark.parametrize("routine", ["batcher", "aggregator"])
def test_what_built_in_routines_gather_is_recovered_exactly(routine):
    """Whichever commit is the last: every item is in one batch, and the sum is of all, once."""
    outputs = []

    def flow_of(store):
        flow = Flow("flow", store=store)

        def go():
            for n in range(5):
                source.emit("out", item=n, total=5)

        source = step(go, "out")
        flow.add_routine(source, "entry")
        gatherer = Batcher() if routine == "batcher" else Aggregator()
        gatherer.configure(**({"size": 2} if routine == "batcher" else {"combine": "sum"}))
        flow.add_routine(gatherer, "gather")
        flow.add_routine(step(lambda items: outputs.append(list(items)), slot="in"), "sink")
        flow.connect("entry", "out", "gather", "input")
        flow.connect("gather", "output", "sink", "in")
        return flow

    class Watched(JobStore):
        images = ()

        @contextmanager
        def writing(self):
            with super().writing() as database:
                yield database
                query = "SELECT count(*) FROM activations WHERE routine = 'sink' AND outcome IS NOT NULL"
                self.images = (*self.images, (database.serialize(), database.execute(query).fetchone()[0]))

    with Watched(":memory:") as store, flow_of(store) as flow:
        assert flow.execute("entry").status == "completed"
    whole, images = list(outputs), store.images
    assert whole == ([[0, 1], [2, 3], [4]] if routine == "batcher" else [[0, 1, 2, 3, 4]])
    assert len(images) > 10
    for image, ended in images[:-1]:
        outputs.clear()
        with JobStore(":memory:") as crashed:
            crashed._database.deserialize(image)
            with flow_of(crashed) as again:
                assert [job.status for job in again.recover()] == ["completed"]
        assert outputs == whole[ended:]


def test_numbers_on_record_are_not_given_out_again(store, tmp_path):
    """Not even those of what came from outside any handler, after which nothing else was written."""
    crash = Crash(store, tmp_path)
    with build(SMALL, Runs(), store) as flow:
        paused(flow)
        crash()
    crash.alter("UPDATE jobs SET next_number = 1")
    with JobStore(crash.path) as crashed, build(SMALL, Runs(), crashed) as again:
        (taken,) = again.recover()
        again.resume(taken)
        assert finish(again, taken) == "completed"
        (stored,) = crashed.jobs()
        assert stored.ended == family(SMALL).total()


def test_lines_are_recovered_once(store, tmp_path):
    """Those of what had ended on record; a job that was recovered goes on where they end."""
    crash = Crash(store, tmp_path)

    def flow_of(store, then):
        flow = Flow("flow", store=store)

        def tell(n):
            source.send_output("progress", n=n)
            if n == 3:
                then()
            if n < 5:
                source.emit("next", n=n + 1)

        source = step(tell, "next")
        flow.add_routine(source, "entry")
        flow.connect("entry", "next", "entry", "trigger")
        return flow

    with flow_of(store, crash) as flow:
        flow.execute("entry", {"n": 1})
    with JobStore(crash.path) as crashed:
        with flow_of(crashed, lambda: None) as again:
            (job,) = again.recover()
        for each in (job, crashed.load(job.job_id)):
            assert [output["data"]["n"] for output in each.output_log] == [1, 2, 3, 4, 5]
