"""The job store: what is in it, who may open it, and what a job recovered from it has."""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
import time
import warnings
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from routilux import ErrorHandler, Flow, JobState
from routilux.builtin import Aggregator, Batcher
from routilux.exceptions import JobStatusError, RestoredError, SerializationError, StoreError
from routilux.store import JobStore
from routilux_sim import explore, simulate
from tests.engine.flows import step
from tests.store.trees import FAN_IN, ROOT, SMALL, Runs, build, family


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path):
    with JobStore(path) as store:
        yield store


def entry(handler, store, *events, **options):
    """A sequential flow of one entry routine, with a store."""
    flow = Flow("flow", store=store, **options)
    flow.add_routine(step(handler, *events), "entry")
    return flow


# What is in it


def test_jobs_are_listed_oldest_first_with_what_they_have_to_do(store):
    """By flow, or all; those that have ended, or not."""
    with entry(lambda: None, store) as flow:
        first, second = flow.execute("entry"), flow.execute("entry")
    other = JobState("other")
    store.put(other)
    listed = store.jobs()
    assert [job.job_id for job in listed] == [first.job_id, second.job_id, other.job_id]
    assert [(job.status, job.pending, job.ended) for job in listed] == [
        ("completed", 0, 1),
        ("completed", 0, 1),
        ("pending", 0, 0),
    ]
    assert [job.flow_id for job in store.jobs("other")] == ["other"]
    assert [job.job_id for job in store.jobs(unfinished=True)] == [other.job_id]
    assert store.jobs("flow", unfinished=True) == []
    assert abs(listed[0].created_at - first.created_at) < timedelta(milliseconds=1)
    assert listed[0].updated_at >= listed[0].created_at


def test_a_job_that_has_ended_is_read_as_it_was(store):
    """Status, figures, history, shared data and log, outputs, notes."""

    def handler(routine=None):
        job = source.get_execution_context().job_state
        job.update_shared_data("answer", 42)
        job.append_to_shared_log({"line": 1})
        job.update_routine_state("entry", {"note": "kept"})
        source.send_output("progress", percent=50)
        source.emit("out", n=1)

    flow = Flow("flow", store=store)
    source = step(handler, "out")
    flow.add_routine(source, "entry")
    flow.add_routine(step(lambda n: None, slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    with flow:
        job = flow.execute("entry")
    loaded = store.load(job.job_id)
    assert (loaded.status, loaded.flow_id, loaded.error) == ("completed", "flow", None)
    assert loaded.created_at == job.created_at
    assert loaded.shared_data == {"answer": 42}
    assert loaded.shared_log == [{"line": 1}]
    assert loaded.output_log == job.output_log
    assert loaded.routine_states == job.routine_states
    assert loaded.events_emitted == 1
    assert loaded.pending_tasks == []
    ends = [record for record in job.execution_history if record.kind == "activation"]
    assert [record[:3] for record in loaded.execution_history] == [record[:3] for record in ends]
    for name in ("entry", "sink"):
        mine, its = job.figures()[name], loaded.figures()[name]
        assert (mine.calls, mine.completed, mine.total_ns) == (its.calls, its.completed, its.total_ns)


def test_only_so_much_history_is_read_as_is_kept(store):
    """The latest, oldest first, as in the job itself."""
    with build(FAN_IN, Runs(), store, history_limit=3) as flow:
        job = flow.execute("entry", {"token": ROOT}, execution_strategy="sequential")
    history = store.load(job.job_id).execution_history
    assert [record.routine_id for record in history] == ["leaf", "leaf", "leaf"]
    assert sum(figures.calls for figures in store.load(job.job_id).figures().values()) == family(FAN_IN).total()


def test_what_is_not_there_cannot_be_read(store):
    """A KeyError names the job."""
    with pytest.raises(KeyError, match="nobody"):
        store.load("nobody")


def test_a_job_can_be_forgotten(store):
    """With all that is on record of it; again, it is not there."""
    with entry(lambda: None, store) as flow:
        job = flow.execute("entry")
    assert store.delete(job.job_id) is True
    assert store.delete(job.job_id) is False
    assert store.jobs() == []
    assert store._database.execute("SELECT count(*) FROM activations").fetchone() == (0,)


def test_pruning_keeps_the_latest_and_those_that_have_not_ended(store):
    """Of one flow, or of all."""
    with entry(lambda: None, store) as flow:
        jobs = [flow.execute("entry") for _ in range(4)]
    store.put(JobState("flow", "unfinished"))
    assert store.prune(keep=2, flow_id="other") == 0
    assert store.prune(keep=2) == 2
    assert [job.job_id for job in store.jobs()] == [jobs[2].job_id, jobs[3].job_id, "unfinished"]
    assert store.prune() == 2
    assert [job.job_id for job in store.jobs()] == ["unfinished"]


def test_a_job_that_is_put_has_all_that_it_had(store, tmp_path):
    """A job that was saved in a file goes on from the store, with what it had outstanding and gathered."""
    runs = Runs()
    with build(SMALL, runs) as flow:
        job = paused(flow)
        job.save(tmp_path / "job.json")
    store.put(JobState.load(tmp_path / "job.json"))
    with build(SMALL, runs, store) as again:
        (taken,) = again.recover()
        again.resume(taken)
        assert JobState.wait_for_completion(again, taken, timeout=10)
    assert Counter(runs.ended) == family(SMALL)


def test_a_job_that_a_flow_runs_cannot_be_put(store):
    """The flow records it itself."""
    with entry(lambda: None, store) as flow:
        job = flow.execute("entry")
    with pytest.raises(ValueError, match="run by a flow, which records it itself"):
        store.put(job)


# The file


def test_a_database_of_somebody_else_is_refused_and_left_alone(path):
    """It says so, and changes nothing in it."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="is not a routilux job store, but some other database"):
            JobStore(path, read_only=read_only)
    assert path.read_bytes() == before


def test_a_store_of_another_version_is_refused(path):
    """The message names both versions."""
    JobStore(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="has version 7; this routilux reads version 1"):
        JobStore(path)


@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_database_is_refused(path, tmp_path, read_only):
    """A text file, a directory, a place that is not there, nothing."""
    path.write_text("this is no database, however long it is " * 100)
    for wrong in (path, tmp_path, tmp_path / "nowhere" / "jobs.db"):
        with pytest.raises(StoreError, match="cannot be opened"):
            JobStore(wrong, read_only=read_only)
    with pytest.raises(StoreError, match="needs the name of a file"):
        JobStore("", read_only=read_only)


def test_a_store_that_is_not_there_is_not_made_to_be_looked_into(path):
    """Nor is a file left behind."""
    with pytest.raises(StoreError, match="cannot be opened"):
        JobStore(path, read_only=True)
    path.touch()
    with pytest.raises(StoreError, match="it is empty"):
        JobStore(path, read_only=True)
    assert path.read_bytes() == b""


def test_a_closed_store_says_so(path):
    """Whatever is asked of it; closing twice is once."""
    store = JobStore(path)
    store.close()
    store.close()
    assert store.closed
    assert "closed" in repr(store)
    for ask in (store.jobs, store.prune, lambda: store.load("x"), lambda: store.delete("x")):
        with pytest.raises(StoreError, match="is closed"):
            ask()


def test_an_owner_can_be_waited_for(path):
    """Within ``timeout``, when the first closes the second has it."""
    first = JobStore(path)
    timer = threading.Timer(0.02, first.close)
    timer.start()
    JobStore(path, timeout=10).close()
    timer.join()


def test_a_store_that_cannot_be_opened_leaves_no_owner(path):
    """After the error another may own it."""
    path.write_bytes(b"x" * 5000)
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be opened"):
            JobStore(path)
    path.unlink()
    JobStore(path, timeout=0).close()


def test_a_store_can_be_looked_into_beside_its_owner(store, path):
    """It sees each commit, and stays as it is."""
    with JobStore(path, read_only=True) as looker:
        assert looker.jobs() == []
        with entry(lambda: None, store) as flow:
            job = flow.execute("entry")
        assert [each.job_id for each in looker.jobs()] == [job.job_id]
        assert looker.load(job.job_id).status == "completed"
        for write in (looker.prune, lambda: looker.delete(job.job_id), lambda: looker.put(JobState("x"))):
            with pytest.raises(StoreError, match="read only"):
                write()


@pytest.mark.parametrize(("sync", "level"), [(False, 1), (True, 2)])
def test_commits_are_flushed_to_the_disk_if_asked(path, sync, level):
    """``sync=True``: each; otherwise the operating system does it when it likes. Written ahead in both cases."""
    with JobStore(path, sync=sync) as store:
        assert store._database.execute("PRAGMA synchronous").fetchone() == (level,)
        assert store._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_transaction_is_all_or_nothing_whatever_interrupts_it(store):
    """Ctrl-C in the middle undoes it, and the next one begins as ever."""

    def interrupted():
        with store.writing() as database:
            database.execute("DELETE FROM jobs")
            raise KeyboardInterrupt

    store.put(JobState("flow", "job"))
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [job.job_id for job in store.jobs()] == ["job"]
    assert store.delete("job")


# Flows and stores


def test_a_flow_with_a_store_needs_an_id(path):
    """By which it finds its jobs again."""
    with pytest.raises(ValueError, match="needs a flow_id"):
        Flow(store=path)
    with pytest.raises(TypeError, match="store must be"):
        Flow("flow", store=7)


def test_a_store_by_path_is_the_flows_own(path):
    """It closes with the flow, and not before."""
    flow = Flow("flow", store=path)
    assert not flow.store.closed
    flow.shutdown()
    assert flow.store.closed
    JobStore(path, timeout=0).close()


def test_two_flows_may_share_a_store(store):
    """Each recovers its own jobs; it stays open when they are shut down."""
    for name in ("one", "two"):
        with Flow(name, store=store) as flow:
            flow.add_routine(step(lambda: None), "entry")
            flow.execute("entry")
            assert flow.recover() == []
    assert sorted(job.flow_id for job in store.jobs()) == ["one", "two"]


def test_two_flows_of_one_id_do_not_run_a_job_twice(store):
    """While the one has it, the other leaves it alone; once that was shut down, it takes the job up."""
    one, two = Runs(), Runs()
    first, second = build(SMALL, one, store), build(SMALL, two, store)
    job = paused(first)
    assert second.recover() == []
    with pytest.raises(StoreError, match="run by another flow already"):
        second.resume(store.load(job.job_id))
    first.shutdown()
    (taken,) = second.recover()
    second.resume(taken)
    assert JobState.wait_for_completion(second, taken, timeout=10)
    second.shutdown()
    assert Counter(one.ended + two.ended) == family(SMALL)
    first.cancel(job)
    assert store.load(job.job_id).status == "completed"


def test_dropped_flows_and_stores_do_not_warn(path):
    """Their files are closed with them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow = entry(lambda: None, path)
        flow.execute("entry")
        del flow
        gc.collect()
        JobStore(path, timeout=0)
        gc.collect()
        JobStore(path, timeout=0).close()


def test_a_flow_without_a_store_has_nothing_to_recover():
    """It says how to give it one."""
    with pytest.raises(RuntimeError, match=r"Flow\(\.\.\., store=\.\.\.\)"):
        Flow().recover()


# Recovered


class Crash:
    """Called in a handler: the first time, copies what is on record, as a kill at that moment would leave it."""

    def __init__(self, store, tmp_path):
        self._store = store
        self.path = tmp_path / "crashed.db"

    def __call__(self):
        if not self.path.exists():
            with closing(sqlite3.connect(self.path)) as copy, self._store._reading() as database:
                database.backup(copy)

    def alter(self, *statements):
        with closing(sqlite3.connect(self.path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()


def paused(flow, token=ROOT, reason="", checkpoint=None):
    """A job of the flow that was paused before anything of it has run."""
    listeners = flow._instruments
    flow.add_instrument(type("Pause", (), {"job_start": lambda self, job: flow.pause(job, reason, checkpoint)})())
    job = flow.execute("entry", {"token": token})
    flow._instruments = listeners
    assert job.status == "paused"
    return job


def finish(flow, job):
    assert JobState.wait_for_completion(flow, job, timeout=10)
    return job.status


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


def test_a_failure_is_on_record_with_its_words_and_traceback(store):
    """The exception itself is not kept, but what would have been printed of it."""

    def broken():
        raise LookupError("no such file: \udcff")

    with entry(broken, store) as flow:
        job = flow.execute("entry")
    loaded = store.load(job.job_id)
    assert loaded.status == "failed"
    assert isinstance(loaded.error, RestoredError)
    assert (loaded.error.kind, loaded.error.message) == ("LookupError", "no such file: \udcff")
    assert "in broken" in loaded.error.traceback
    assert loaded.execution_history[-1].data["error"] == "LookupError: no such file: \\udcff"
    assert loaded.figures()["entry"].failed == 1
    with pytest.raises(JobStatusError):
        flow.resume(loaded)


def test_a_job_that_has_failed_can_be_read_while_its_handlers_run_on(store, tmp_path):
    """Nothing of it will run after a crash: what has not ended is not outstanding any more."""
    crash = Crash(store, tmp_path)
    running, failed = threading.Event(), threading.Event()

    def flow_of(store):
        flow = Flow("flow", "concurrent", store=store)

        def go():
            source.emit("bad")
            source.emit("slow")

        source = step(go, "bad", "slow")

        def slow():
            running.set()
            assert failed.wait(10)
            crash()

        def bad():
            assert running.wait(10)
            raise ValueError

        flow.add_routine(source, "entry")
        flow.add_routine(step(slow), "slow")
        flow.add_routine(step(bad), "bad")
        flow.connect("entry", "bad", "bad", "trigger")
        flow.connect("entry", "slow", "slow", "trigger")
        flow.add_instrument(type("Tell", (), {"activation_end": tell})())
        return flow

    def tell(self, activation, status, error):
        if activation.routine_id == "bad":
            failed.set()

    with flow_of(store) as flow:
        assert finish(flow, flow.execute("entry")) == "failed"
    with JobStore(crash.path) as crashed:
        (job,) = crashed.jobs()
        assert (job.status, job.pending) == ("failed", 0)
        assert crashed.load(job.job_id).pending_tasks == []
        with flow_of(crashed) as again:
            assert again.recover() == []


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


# What goes wrong


def test_what_cannot_be_stored_fails_the_job_and_that_is_on_record(store):
    """An emit is refused in the handler; shared data, which nobody refuses, when it is to be recorded."""

    def emits():
        flow_routine.emit("out", x=object())

    def shares():
        shared.get_execution_context().job_state.update_shared_data("x", object())

    flow_routine, shared = step(emits, "out"), step(shares)
    with Flow("flow", store=store) as flow:
        flow.add_routine(flow_routine, "entry")
        flow.add_routine(step(lambda x: None, slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        flow.add_routine(shared, "shared")
        jobs = [flow.execute("entry"), flow.execute("shared")]
        with pytest.raises(SerializationError):
            flow.execute("entry", {"x": object()})
    for job in jobs:
        assert (job.status, type(job.error)) == ("failed", SerializationError)
        loaded = store.load(job.job_id)
        assert (loaded.status, loaded.error.kind) == ("failed", "SerializationError")
    assert store.jobs(unfinished=True) == []


def test_a_job_that_is_deleted_while_it_runs_fails(store):
    """And does not come back."""
    flow = Flow("flow", store=store)
    source = step(lambda: (store.delete(store.jobs()[0].job_id), source.emit("out")), "out")
    flow.add_routine(source, "entry")
    flow.add_routine(step(lambda: None, slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    with flow:
        job = flow.execute("entry")
    assert job.status == "failed"
    assert isinstance(job.error, StoreError)
    assert store.jobs() == []


def test_a_store_that_is_closed_under_a_job_fails_it(path):
    """With an error that says so; what is on record is taken up again."""
    store = JobStore(path)
    flow = Flow("flow", store=store)
    flow.add_routine(step(store.close), "entry")
    job = flow.execute("entry")
    assert (job.status, str(job.error)) == ("failed", f"job store {str(path)!r} is closed")
    with JobStore(path) as again:
        assert [(each.status, each.pending) for each in again.jobs()] == [("running", 1)]
    with pytest.raises(StoreError, match="is closed"):
        flow.execute("entry")


class Full:
    """A connection to a disk that is full from the ``first``-th statement on that writes, for so many statements."""

    def __init__(self, database, first, count):
        self._database = database
        self._fails = range(first, first + count)
        self.statements = 0

    def _write(self, call, statement, *parameters):
        if statement.split()[0] in {"INSERT", "UPDATE", "DELETE", "COMMIT"}:
            self.statements += 1
            if self.statements - 1 in self._fails:
                raise sqlite3.OperationalError("database or disk is full")
        return call(statement, *parameters)

    def execute(self, *arguments):
        return self._write(self._database.execute, *arguments)

    def executemany(self, *arguments):
        return self._write(self._database.executemany, *arguments)

    def __getattr__(self, name):
        return getattr(self._database, name)


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
@pytest.mark.parametrize("count", [1, 10**6], ids=["once", "for good"])
def test_a_full_disk_fails_the_job_and_leaves_a_consistent_store(strategy, count):
    """At whichever statement: nothing hangs, and once there is room the job goes on from what is on record."""
    for first in range(1000):
        runs, later = Runs(), Runs()
        with JobStore(":memory:") as store:
            flow = build(SMALL, runs, store, execution_strategy=strategy)
            healthy = store._database
            disk = store._database = Full(healthy, first, count)
            try:
                job = flow.execute("entry", {"token": ROOT})
            except StoreError:
                job = None
            if job is not None:
                finish(flow, job)
            flow.shutdown()
            store._database = healthy
            assert not healthy.in_transaction
            if disk.statements <= first:
                assert job.status == "completed"
                break
            if job is not None and job.status == "failed":
                assert "database or disk is full" in str(job.error)
            check_goes_on(store, later)
    assert first > 10


def check_goes_on(store, runs):
    """Every job in the store that has not ended does so, with all that it has."""
    with build(SMALL, runs, store) as again:
        for job in again.recover():
            assert finish(again, job) == "completed"
            assert store.load(job.job_id).status == "completed"
            assert sum(figures.calls for figures in job.figures().values()) == family(SMALL).total()
            (gathered,) = store._database.execute("SELECT data FROM gathered WHERE job_id = ?", (job.job_id,))
            assert len(json.loads(gathered[0])["token"]) == 2


def test_concurrent_jobs_share_a_store_without_a_deadlock():
    """Retries, which are recorded with the job's books locked, beside pauses, saves and ends."""

    def program():
        with JobStore(":memory:") as store, Flow("flow", "concurrent", 3, store=store) as flow:
            tries = []

            def flaky():
                tries.append(1)
                if len(tries) % 2:
                    raise ValueError

            routine = step(flaky)
            routine.set_error_handler(ErrorHandler("retry", retry_delay=0.01))
            flow.add_routine(routine, "entry")
            jobs = [flow.execute("entry") for _ in range(2)]
            if flow.pause(jobs[0]):
                jobs[0].serialize()
                flow.resume(jobs[0])
            assert [finish(flow, job) for job in jobs] == ["completed"] * 2

    explore(program, schedules=100).raise_if_failed()


def test_outputs_and_log_are_recorded_a_line_at_a_time(store):
    """What a job sends and notes is written once, whatever it has sent before, and the job itself not again."""
    written = []

    def chatty(n):
        job = source.get_execution_context().job_state
        source.send_output("progress", n=n)
        job.append_to_shared_log({"n": n})
        if n:
            source.emit("next", n=n - 1)

    flow = Flow("flow", store=store, history_limit=5)
    source = step(chatty, "next")
    flow.add_routine(source, "entry")
    flow.connect("entry", "next", "entry", "trigger")
    store._database.set_trace_callback(lambda statement: written.append(statement.split("(")[0]))
    with flow:
        job = flow.execute("entry", {"n": 19})
    store._database.set_trace_callback(None)
    assert sum(statement.startswith("INSERT INTO lines") for statement in written) == 40
    assert sum(statement.startswith("UPDATE jobs SET status") for statement in written) <= 3
    loaded = store.load(job.job_id)
    assert [output["data"]["n"] for output in loaded.output_log] == [4, 3, 2, 1, 0]
    assert loaded.output_log == job.output_log
    assert [entry["n"] for entry in loaded.shared_log] == list(range(19, -1, -1))


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
