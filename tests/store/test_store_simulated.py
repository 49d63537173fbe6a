"""A crash at every commit, in virtual time: whatever is on record at any commit is a state that a job can go on from.

Every transaction of every schedule leaves a snapshot of the database; each is what a crash right after it would leave.
What `routilux.causality` promises is checked of each: no record stands on something that is not on record, what slots
have gathered is what the record says they have, and a fresh flow that recovers it runs whatever has not ended on
record, each once, and nothing that has.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from functools import partial

import pytest

from routilux import JobState
from routilux.store import JobStore
from tests.exploring import explore
from tests.store.trees import FLAKY, PLANS, ROOT, SMALL, Names, Runs, attempts, build, emitter, family, own


class Snapshot:
    """What is on record of the jobs at one commit."""

    def __init__(self, database, names):
        self.image = database.serialize()
        self.names = names
        self.rows = database.execute(
            "SELECT job_id, number, routine, attempt, due IS NOT NULL, merged, outcome, data FROM activations"
        ).fetchall()
        for job_id, number, *_, data in self.rows:
            if data is not None:
                self.names.of.setdefault((job_id, number), own(json.loads(data)["token"]))
        self.gathered = {
            (job_id, routine): json.loads(data)["token"]
            for job_id, routine, data in database.execute("SELECT job_id, routine, data FROM gathered")
        }
        self.jobs = {
            job_id: (status, json.loads(document)["deferred_events"])
            for job_id, status, document in database.execute("SELECT job_id, status, document FROM jobs")
        }

    def name(self, row):
        return self.names.of[row[0], row[1]]

    def of(self, job_id):
        return [row for row in self.rows if row[0] == job_id]

    def ended(self, job_id):
        """Names of the activations whose ends are on record."""
        return [self.name(row) for row in self.of(job_id) if row[6] not in {None, "dropped"}]

    @property
    def unfinished(self):
        return {job_id for job_id, (status, _) in self.jobs.items() if status != "completed"}

    @property
    def paused(self):
        return {job_id for job_id, (status, _) in self.jobs.items() if status == "paused"}

    @property
    def key(self):
        """All that can matter to a recovery: not times, nor which of the free numbers an activation has."""
        rows = sorted((row[0], self.name(row), *row[2:7]) for row in self.rows)
        return repr((sorted(self.jobs.items()), rows, sorted(self.gathered.items())))


class Watched(JobStore):
    """A store that takes a snapshot at the end of every transaction."""

    def __init__(self, names, image=None):
        super().__init__(":memory:")
        self.names = names
        self.snapshots = []
        if image is not None:
            # Not deserialized in place: what such a database serializes lacks what is not committed yet.
            with closing(sqlite3.connect(":memory:")) as source:
                source.deserialize(image)
                source.backup(self._database)

    @contextmanager
    def writing(self):
        with super().writing() as database:
            yield database
            self.snapshots.append(Snapshot(database, self.names))


def check_causes(snapshot):
    """What has an emitter is on record only if that attempt's end is."""
    for job_id in snapshot.jobs:
        rows = {snapshot.name(row): row for row in snapshot.of(job_id)}
        assert len(rows) == len(snapshot.of(job_id)), "an activation is on record twice"
        for name in rows:
            if (cause := emitter(name)) is not None:
                parent, attempt = cause
                assert parent in rows, f"{name} is on record, its emitter is not"
                over = rows[parent][6] is not None or rows[parent][3] > attempt
                assert over, f"{name} is on record, the end of its emitter's attempt {attempt} is not"


def check_gathered(plan, snapshot):
    """What a slot has gathered is what those have brought whose rows say that they are merged."""
    for job_id in snapshot.jobs:
        for routine, spec in plan.items():
            if spec.merge != "override":
                rows = [row for row in snapshot.of(job_id) if row[2] == routine]
                merged = Counter(snapshot.name(row) for row in rows if row[5])
                assert Counter(snapshot.gathered.get((job_id, routine), [])) == merged
                assert all(row[5] for row in rows if row[6] not in {None, "dropped"})


class Crashes:
    """Recovers once from each state on record, however many schedules have come by it, and from what that leads to.

    Attributes:
        commits: How many snapshots were looked at.
        seen: The states among them.
    """

    def __init__(self, plan, extra=()):
        self.plan = plan
        self.extra = set(extra)
        self.commits = 0
        self.seen = set()
        self._todo = []

    def take(self, store):
        """Check what a run has left on record at its commits, and keep it for later."""
        self.commits += len(store.snapshots)
        for snapshot in store.snapshots:
            check_causes(snapshot)
            check_gathered(self.plan, snapshot)
        self._todo.extend(store.snapshots)

    def recover_all(self, times=2):
        """Crash each of the states once, under some schedules, and then those that this leaves on record."""
        for _ in range(times):
            todo, self._todo = self._todo, []
            for snapshot in todo:
                if snapshot.key not in self.seen:
                    self.seen.add(snapshot.key)
                    explore(partial(self.recover, snapshot), schedules=2, seed=len(self.seen)).raise_if_failed()

    def recover(self, before):
        runs, names = Runs(), Names()
        names.of.update(before.names.of)
        with Watched(names, before.image) as store, build(self.plan, runs, store, names) as flow:
            jobs = flow.recover()
            assert {job.job_id for job in jobs} == before.unfinished
            for job in jobs:
                if job.job_id in before.paused:
                    assert job.status == "paused"
                    flow.resume(job)
                assert JobState.wait_for_completion(flow, job, timeout=100.0)
                assert (job.status, job.error) == ("completed", None)
        for snapshot in store.snapshots:
            assert snapshot.paused <= before.paused, "nobody has paused it"
        self.check(before, store.snapshots[-1] if store.snapshots else before, runs)
        self.take(store)

    def check(self, before, after, runs):
        """What had ended on record and what ran now are together all that there is, each once."""
        for job_id in before.jobs:
            assert Counter(after.ended(job_id)) == self.expected(before, job_id)
        missing = Counter()
        for job_id in before.unfinished:
            missing += self.expected(before, job_id) - Counter(before.ended(job_id))
        fail_for_good = {after.name(row) for row in after.rows if row[6] in {"skipped", "error_continued"}}
        assert Counter(runs.ended) == Counter({name: n for name, n in missing.items() if name not in fail_for_good})
        assert all(row[3] == attempts(self.plan[row[2]]) for row in after.rows), "an attempt that was not due"
        first_attempts = {before.name(row): row[3] for row in before.rows}
        assert {name for name, _ in runs.begun} == set(missing)
        assert all(attempt >= first_attempts.get(name, 1) for name, attempt in runs.begun)

    def expected(self, before, job_id):
        """Names of all that a job has to run, with what came from outside, if that is on record: once, as it was."""
        root = before.names.of[job_id, 1]
        waiting = [event["data"]["token"] for event in before.jobs[job_id][1]]
        emitted = [name for name in map(before.name, before.of(job_id)) if name in self.extra]
        assert len({*waiting, *emitted}) == len(waiting) + len(emitted), "deferred and emitted"
        late = [family(self.plan, self.plan["entry"].emits[0], name) for name in (*waiting, *emitted)]
        return sum(late, family(self.plan, token=root))


def run_job(flow, root=ROOT):
    job = flow.execute("entry", {"token": root})
    assert JobState.wait_for_completion(flow, job, timeout=100.0)
    assert (job.status, job.error) == ("completed", None)
    return job


@pytest.mark.parametrize("name", PLANS)
def test_a_job_survives_a_crash_at_every_commit(name):
    """Under every kind of error handling and merging, and whatever the schedule."""
    crashes = Crashes(PLANS[name])

    def program():
        names = Names()
        with Watched(names) as store, build(PLANS[name], Runs(), store, names) as flow:
            job = run_job(flow)
            assert Counter(store.snapshots[-1].ended(job.job_id)) == family(PLANS[name])
        crashes.take(store)

    explore(program, schedules=250).raise_if_failed()
    crashes.recover_all()
    assert crashes.commits > 250 * len(family(PLANS[name])) / 2
    assert len(crashes.seen) > len(family(PLANS[name]))


def test_jobs_of_one_flow_survive_a_crash_at_every_commit():
    """Two that run at the same time: what is on record of the one says nothing of the other."""
    crashes = Crashes(SMALL)

    def program():
        names = Names()
        with Watched(names) as store, build(SMALL, Runs(), store, names) as flow:
            jobs = [flow.execute("entry", {"token": root}) for root in ("0", "9")]
            assert all(JobState.wait_for_completion(flow, job, timeout=100.0) for job in jobs)
        crashes.take(store)

    explore(program, schedules=150).raise_if_failed()
    crashes.recover_all()


@pytest.mark.parametrize("plan", [SMALL, FLAKY], ids=["plain", "retries"])
def test_a_paused_job_survives_a_crash_at_every_commit(plan):
    """It stays paused until it is resumed, and what it was given to emit then is emitted once."""
    crashes = Crashes(plan, ["late-1", "late-2"])

    def program():
        names = Names()
        with Watched(names) as store, build(plan, Runs(), store, names) as flow:
            job = flow.execute("entry", {"token": ROOT})
            for late in ("late-1", "late-2"):
                job.add_deferred_event("entry", f"to_{plan['entry'].emits[0]}", {"token": late})
            if flow.pause(job):
                flow.resume(job)
            assert JobState.wait_for_completion(flow, job, timeout=100.0)
        crashes.take(store)

    explore(program, schedules=100).raise_if_failed()
    crashes.recover_all()


def test_a_sequential_job_survives_a_crash_at_every_commit():
    """It goes on in the thread that recovers it, in queue order."""
    crashes = Crashes(PLANS["retries"])

    def program():
        names = Names()
        with Watched(names) as store:
            flow = build(PLANS["retries"], Runs(), store, names, execution_strategy="sequential")
            run_job(flow)
        crashes.take(store)

    explore(program, schedules=20).raise_if_failed()
    crashes.recover_all()
