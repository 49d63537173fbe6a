"""What the tests of stores have in common."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from routilux import Flow, JobState
from tests.engine.flows import step
from tests.store.trees import ROOT


def entry(handler, store, *events, **options):
    """A sequential flow of one entry routine, with a store."""
    flow = Flow("flow", store=store, **options)
    flow.add_routine(step(handler, *events), "entry")
    return flow


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
