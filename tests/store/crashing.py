"""Kill a process that runs a job with a store, at random moments, and see what becomes of the job.

``python -m tests.store.crashing KILLS SEED`` forks children that run a job, or recover it, and ends each by SIGKILL
after a random time, until so many have been killed. What has really run, the children write to a file beside the store,
a line at a time; what is on record is read from the store between the kill and the next child. Prints what it has seen
as JSON; fails at the first thing that is lost, doubled or left locked.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import closing
from pathlib import Path

from routilux import JobState
from routilux.engine import context
from routilux.engine.activation import EPOCH
from routilux.store import JobStore
from tests.store.trees import ROOT, Spec, build, family

PLAN = {
    "entry": Spec(("work", "work", "work", "flaky", "work"), delay=0.001),
    "work": Spec(("sum", "leaf", "flaky"), delay=0.001),
    "flaky": Spec(("leaf", "sum"), fails=1),
    "sum": Spec(("leaf",), merge="append"),
    "leaf": Spec(delay=0.001),
}
WHOLE = family(PLAN)


class Written:
    """What `trees.Runs` has in lists, as lines of a file that outlives the process."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.begun = self.ended = self

    def append(self, what):
        word, name = ("begin", what[0]) if isinstance(what, tuple) else ("end", what)
        number = context.current()[0] % EPOCH
        os.write(self._file, f"{word} {number} {name}\n".encode())


class Place:
    """A store, and what the handlers have written beside it."""

    def __init__(self, folder):
        self.store = Path(folder) / "jobs.db"
        self.runs = Path(folder) / "runs"

    def lines(self):
        if not self.runs.exists():
            return []
        return [line.split(" ") for line in self.runs.read_text().splitlines()]

    def jobs(self):
        """The jobs on record, as another process sees them."""
        if not self.store.exists():
            return []
        try:
            with JobStore(self.store, read_only=True) as store:
                return store.jobs()
        except Exception as error:
            if "it is empty" in str(error):  # killed before there was a table
                return []
            raise

    def rows(self):
        """Number, outcome and routine of each activation on record."""
        with closing(sqlite3.connect(f"{self.store.as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT number, outcome, routine FROM activations").fetchall()

    def gathered(self):
        with closing(sqlite3.connect(f"{self.store.as_uri()}?mode=ro", uri=True)) as database:
            return [json.loads(data)["token"] for (data,) in database.execute("SELECT data FROM gathered")]


def child(place):
    """Begin the job, or recover it, and see it to its end."""
    # The store's owner is dead: there is nothing to wait for.
    with JobStore(place.store, timeout=0) as store:
        flow = build(PLAN, Written(place.runs), store, max_workers=4)
        jobs = flow.recover() if store.jobs() else [flow.execute("entry", {"token": ROOT})]
        for job in jobs:
            assert JobState.wait_for_completion(flow, job, timeout=60)
            assert job.status == "completed", job.error
        flow.shutdown()


def fork(place):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(place)
            status = 0
        except BaseException:  # noqa: BLE001 - the child must not go on as its parent
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def running(place, pid, size):
    """Wait until a child's handlers run, or it has done its work without any; False then."""
    while not place.runs.exists() or place.runs.stat().st_size == size:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.0005)
    return True


def killed(place, seconds):
    """Run a child, and kill it so long after its first handler has begun; False when it had done its work by then."""
    size = place.runs.stat().st_size if place.runs.exists() else 0
    pid = fork(place)
    if running(place, pid, size):
        time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "a child has failed"
        return False
    return True


class Campaign:
    """Kills, and what was on record at each."""

    def __init__(self, chance):
        self.chance = chance
        self.kills = 0
        self.jobs = 0
        self.again = 0
        self.on_record = []
        self.longest = self.time_of_one()

    def time_of_one(self):
        with tempfile.TemporaryDirectory() as folder:
            place = Place(folder)
            pid = fork(place)
            assert running(place, pid, 0)
            began = time.monotonic()
            assert os.waitpid(pid, 0)[1] == 0
            return time.monotonic() - began

    def crash_one_job(self):
        """Kill the processes that run a job until one comes to its end."""
        with tempfile.TemporaryDirectory() as folder:
            place = Place(folder)
            ended, seen = set(), 0
            while killed(place, self.chance.uniform(0, self.longest)):
                self.kills += 1
                ended = self.check_kill(place, ended, seen)
                seen = len(place.lines())
            self.check_end(place, ended, seen)
            self.jobs += 1

    def check_kill(self, place, ended_before, seen):
        """What had ended on record before has not run since; return what has now."""
        self.check_nothing_again(place, ended_before, seen)
        jobs = place.jobs()
        assert len(jobs) <= 1
        if not jobs:
            self.on_record.append(0)
            return set()
        # A number that is not on record may be given out again; the one that was, is the last to have it.
        names = {int(number): name for _, number, name in place.lines()}
        really = {name for word, _, name in place.lines() if word == "end"}
        ended = [names[number] for number, outcome, _ in place.rows() if outcome is not None]
        assert len(ended) == len(set(ended)), "an end is on record twice"
        assert really >= set(ended), "an end is on record that has not been"
        assert ended_before <= set(ended), "an end on record is lost"
        self.on_record.append(len(ended))
        return set(ended)

    def check_nothing_again(self, place, ended, seen):
        begun = {name for word, _, name in place.lines()[seen:] if word == "begin"}
        assert not begun & ended, f"run again: {begun & ended}"

    def check_end(self, place, ended, seen):
        self.check_nothing_again(place, ended, seen)
        (job,) = place.jobs()
        assert (job.status, job.pending) == ("completed", 0)
        names = {int(number): name for _, number, name in place.lines()}
        assert Counter(names[number] for number, _, _ in place.rows()) == WHOLE
        assert {outcome for _, outcome, _ in place.rows()} == {"completed"}
        sums = {names[number] for number, _, routine in place.rows() if routine == "sum"}
        assert sorted(place.gathered()[0]) == sorted(sums), "gathered otherwise than once each"
        times = Counter(name for word, _, name in place.lines() if word == "end")
        assert times.keys() == WHOLE.keys(), "something has not been run"
        self.again += times.total() - len(times)


def main(kills, seed):
    campaign = Campaign(random.Random(seed))
    began = time.monotonic()
    while campaign.kills < kills:
        campaign.crash_one_job()
    partly = [ended for ended in campaign.on_record if 0 < ended < len(WHOLE)]
    seen = {
        "kills": campaign.kills,
        "jobs": campaign.jobs,
        "activations_a_job": len(WHOLE),
        "kills_with_a_part_on_record": len(partly),
        "different_records": len(set(campaign.on_record)),
        "run_again": campaign.again,
        "seconds": round(time.monotonic() - began, 1),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
