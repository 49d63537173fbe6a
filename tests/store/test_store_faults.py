"""Jobs that fail, data that cannot be stored, disks that are full: nothing hangs, and what is on record is sound."""

from __future__ import annotations

import json
import sqlite3
import threading

import pytest

from routilux import ErrorHandler, Flow
from routilux.exceptions import JobStatusError, RestoredError, SerializationError, StoreError
from routilux.store import JobStore
from tests.engine.flows import step
from tests.exploring import explore
from tests.store.helpers import Crash, entry, finish
from tests.store.trees import ROOT, SMALL, Runs, build, family


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
