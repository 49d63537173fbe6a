#!/usr/bin/env python
"""A job that outlives its process: recorded in a store, killed half-way, taken up again by another process.

python examples/durable_jobs.py
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from routilux import Flow, JobState, JobStore, Routine

PAGES = 12


class Crawl(Routine):
    """Asks for every page."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.crawl)
        self.define_event("page", ["n"])

    def crawl(self, pages: int):
        for n in range(pages):
            self.emit("page", n=n)


class Fetch(Routine):
    """Takes its time for each page, and says so."""

    def __init__(self):
        super().__init__()
        self.define_slot("page", handler=self.fetch)

    def fetch(self, n: int):
        time.sleep(0.1)
        print(f"  process {os.getpid()} fetched page {n}", flush=True)


def make_flow(store: JobStore) -> Flow:
    """The same flow in each process: it finds its jobs by its id."""
    flow = Flow("crawler", execution_strategy="concurrent", max_workers=2, store=store)
    flow.add_routine(Crawl(), "crawl")
    flow.add_routine(Fetch(), "fetch")
    flow.connect("crawl", "page", "fetch", "page")
    return flow


def work(path: str) -> None:
    """Begin a job, and never come back: the parent kills this process."""
    with JobStore(path) as store, make_flow(store) as flow:
        JobState.wait_for_completion(flow, flow.execute("crawl", {"pages": PAGES}))


def recover(path: str) -> list[JobState]:
    """Take up whatever has not ended, and wait for it."""
    with JobStore(path) as store, make_flow(store) as flow:
        jobs = flow.recover()
        for job in jobs:
            assert JobState.wait_for_completion(flow, job, timeout=30.0)
        return jobs


def main() -> None:
    """Kill a child in the middle of its job, and finish the job here."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "jobs.db")
        print("a child process begins a job ...")
        child = subprocess.Popen([sys.executable, __file__, path], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(4):
            print(child.stdout.readline(), end="")
        child.send_signal(signal.SIGKILL)
        child.wait()
        print("... and is killed. This process takes the job up:")
        (job,) = recover(path)
        fetched = [record for record in job.get_execution_history("fetch") if record.event_name == "completed"]
        print(f"{job.job_id}: {job.status}, {len(fetched)} pages on record")
        assert (job.status, len(fetched)) == ("completed", PAGES)


if __name__ == "__main__":
    work(sys.argv[1]) if len(sys.argv) > 1 else main()
