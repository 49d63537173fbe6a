"""Two processes that open one store: one has it at a time, and no job runs twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from routilux.exceptions import StoreError, StoreLockedError
from routilux.store import JobStore
from tests.store.trees import FLAKY, ROOT, Runs, build

TOP = Path(__file__).parents[2]

HOLD = """
import sys
from routilux.store import JobStore
store = JobStore(sys.argv[1])
print("open", flush=True)
sys.stdin.read(1)
"""

RECOVER = """
import sys
from routilux import JobState
from routilux.store import JobStore
from tests.store.crashing import Written
from tests.store.trees import FLAKY, build
with JobStore(sys.argv[1], timeout=60) as store:
    with build(FLAKY, Written(sys.argv[2]), store) as flow:
        for job in flow.recover():
            assert JobState.wait_for_completion(flow, job, timeout=60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has a store open, until it reads a character or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "jobs.db")],
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "open\n"
    with process:
        yield process
        process.kill()


@pytest.mark.real_time
def test_the_second_gets_an_error_within_its_timeout(holder, tmp_path):
    """It says which store is open elsewhere, and what to do; at once, or when its time is up."""
    path = tmp_path / "jobs.db"
    began = time.monotonic()
    with pytest.raises(StoreLockedError, match=r"jobs\.db' is open elsewhere, still so after 0 s; close it"):
        JobStore(path, timeout=0)
    assert time.monotonic() - began < 1
    with pytest.raises(StoreLockedError, match=r"after 0\.3 s"):
        JobStore(path, timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 3


@pytest.mark.real_time
@pytest.mark.parametrize("end", ["exits", "is killed"])
def test_the_second_waits_and_gets_it_when_the_first(holder, tmp_path, end):
    """Either way the lock goes with the process."""
    waiting = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "jobs.db")], cwd=TOP, stdin=subprocess.PIPE)
    with waiting:
        time.sleep(0.2)
        if end == "exits":
            holder.communicate("x")
        else:
            holder.kill()
        holder.wait(10)
        waiting.communicate(b"x", timeout=20)
    assert waiting.returncode == 0
    JobStore(tmp_path / "jobs.db", timeout=0).close()


@pytest.mark.real_time
def test_one_may_look_while_the_other_writes(holder, tmp_path):
    """A store that is opened to read only needs no owner's leave, and cannot be written."""
    with JobStore(tmp_path / "jobs.db", read_only=True) as store:
        assert store.jobs() == []
        with pytest.raises(StoreError, match="read only"):
            store.prune()


@pytest.mark.real_time
def test_two_that_recover_run_no_job_twice(tmp_path):
    """Both find the job unfinished, if they look; the one that has the store runs it, the other finds it ended."""
    path, runs = tmp_path / "jobs.db", tmp_path / "runs"
    with JobStore(path) as store:
        flow = build(FLAKY, Runs(), store)
        job = flow.execute("entry", {"token": ROOT})
        flow.pause(job)
        flow.shutdown()
        left_over = store.load(job.job_id)
        left_over.status = "running"  # as a crash would leave it
        store.put(left_over)
    both = [subprocess.Popen([sys.executable, "-c", RECOVER, path, runs], cwd=TOP) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    lines = [line.split(" ") for line in runs.read_text().splitlines()]
    ended = [name for word, _, name in lines if word == "end"]
    assert len(ended) == len(set(ended)) > 0
    with JobStore(path, read_only=True) as store:
        assert [job.status for job in store.jobs()] == ["completed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.real_time
def test_a_forked_child_leaves_its_parents_store_alone(tmp_path):
    """It can neither use nor close it, and the parent can go on."""
    script = """
import os, sys
from routilux.exceptions import StoreError
from routilux.store import JobStore
store = JobStore(sys.argv[1])
pid = os.fork()
if pid == 0:
    try:
        store.jobs()
    except StoreError as error:
        assert "opened in another process" in str(error), error
        store.close()
        del store
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert store.jobs() == []
assert store.prune() == 0
"""
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path / "jobs.db")]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_process_cannot_have_a_store_twice_under_any_name(tmp_path):
    """Nor by a link to it, or by a roundabout path: two owners would run its jobs twice."""
    path, link = tmp_path / "jobs.db", tmp_path / "link.db"
    with JobStore(path):
        link.symlink_to(path)
        for other in (path, link, tmp_path / "." / ".." / tmp_path.name / "jobs.db"):
            with pytest.raises(StoreLockedError):
                JobStore(other, timeout=0)
    for again in (path, link):
        JobStore(again, timeout=0).close()
