"""What a command line needs of flows and stores that somebody else has made."""

from __future__ import annotations

import subprocess
import sys

import pytest

from routilux import Flow, JobState
from routilux.store import JobStore
from tests.engine.flows import one, step


def pausing(**options):
    """A flow whose entry pauses its own job and emits to ``sink``."""
    flow = Flow("orders", **options)
    jobs = []

    def go():
        source.emit("out", n=1)
        flow.pause(jobs[0], "to be approved")

    class Seen:
        def job_start(self, job):
            jobs.append(job)

    source = step(go, "out")
    flow.add_routine(source, "entry")
    flow.add_routine(step(lambda n: None, slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    flow.add_instrument(Seen())
    return flow


def test_a_flow_made_without_a_store_can_be_given_one(tmp_path):
    """Its jobs are recorded there, and it closes a store that was given as a path."""
    with one(lambda: None, flow_id="orders") as flow:
        flow.use_store(tmp_path / "jobs.db")
        job = flow.execute("entry")
    assert flow.store.closed
    with JobStore(tmp_path / "jobs.db", read_only=True) as store:
        assert [(line.job_id, line.status) for line in store.jobs()] == [(job.job_id, "completed")]


def test_a_store_comes_before_the_first_job_and_only_once(tmp_path):
    """Jobs of one flow are not to be half in a store, or in two."""
    flow = one(lambda: None, flow_id="orders")
    with JobStore(":memory:") as store:
        flow.use_store(store)
        with pytest.raises(RuntimeError, match=r"records its jobs in .* already"):
            flow.use_store(tmp_path / "jobs.db")
        late = one(lambda: None, flow_id="late")
        late.execute("entry")
        with pytest.raises(RuntimeError, match="has run jobs already"):
            late.use_store(store)
    assert not (tmp_path / "jobs.db").exists()


def test_a_flow_whose_id_was_made_up_takes_no_store(tmp_path):
    """No other process could find its jobs again; nothing is made on the disk."""
    with pytest.raises(ValueError, match=r"has an id that was made up.*give it one where it is made"):
        one(lambda: None).use_store(tmp_path / "jobs.db")
    assert not (tmp_path / "jobs.db").exists()


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_waiting_can_end_when_the_job_is_paused(strategy):
    """With ``or_paused``, a paused job of which nothing runs is as good as one that has ended."""
    with pausing(execution_strategy=strategy) as flow:
        job = flow.execute("entry")
        assert flow.wait_for(job, timeout=10.0, or_paused=True)
        assert job.status == "paused"
        assert [task.routine_id for task in job.pending_tasks] == ["sink"]
        flow.resume(job)
        assert JobState.wait_for_completion(flow, job, timeout=10.0)


def test_why_a_job_was_cancelled_is_kept_in_the_store():
    """The reason stands in the history of the job that is loaded, as in that of the one that was cancelled."""
    with JobStore(":memory:") as store, pausing(store=store) as flow:
        job = flow.execute("entry")
        assert job.cancel_reason == ""
        flow.cancel(job, "ordered twice")
        loaded = store.load(job.job_id)
    assert job.cancel_reason == loaded.cancel_reason == "ordered twice"
    assert loaded.execution_history[-1].event_name == "cancelled"
    assert JobState.deserialize(loaded.serialize()).cancel_reason == "ordered twice"


def test_a_job_that_no_flow_runs_keeps_the_reason_too():
    """`JobStore.put` records it, as `Flow.cancel` does."""
    with JobStore(":memory:") as store:
        with pausing(store=store) as flow:
            job = store.load(flow.execute("entry").job_id)
        assert job.cancel_unstarted("stale")
        store.put(job)
        assert store.load(job.job_id).cancel_reason == "stale"


def test_a_store_tells_whether_anybody_has_it_open(tmp_path):
    """An owner says so, and so does who only looks while there is one, also in another process."""
    path = tmp_path / "jobs.db"
    code = "import sys; from routilux.store import JobStore; print(JobStore(sys.argv[1], read_only=True).in_use)"

    def elsewhere():
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    with JobStore(path) as store, JobStore(path, read_only=True) as look:
        assert store.in_use
        assert look.in_use
        assert elsewhere() == "True"
        store.close()
        assert not look.in_use
        assert elsewhere() == "False"
