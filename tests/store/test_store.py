"""The job store: what is in it, who may open it, and which flows it serves."""

from __future__ import annotations

import gc
import sqlite3
import threading
import warnings
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest

from routilux import Flow, JobState
from routilux.exceptions import StoreError
from routilux.store import JobStore
from tests.engine.flows import step
from tests.store.helpers import entry, paused
from tests.store.trees import FAN_IN, ROOT, SMALL, Runs, build, family

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
