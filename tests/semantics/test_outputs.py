"""Output handlers: set before the job starts, they receive everything, from the first handler on."""

from __future__ import annotations

import logging
import queue
import random
import time

from routilux import CallbackOutputHandler, NullOutputHandler, OutputHandler, QueueOutputHandler
from tests.engine.flows import fan
from tests.semantics.oracles import check
from tests.semantics.workloads import BEAT, pause_and_resume, start_threads, wait


def sending(count=2, **options):
    """A flow whose entry and whose sinks send outputs."""

    def handler(n, job):
        time.sleep(random.randint(0, 1) * BEAT)
        flow.routines["sink"].send_output("done", n=n, job=job)

    flow = fan(handler, count=count, max_workers=random.randint(1, 3), **options)
    entry = flow.routines["entry"]
    go = entry.get_slot("trigger").handler

    def begin(job):
        entry.send_output("begun", job=job)
        go(job=job)

    entry.redefine_slot("trigger", begin)
    return flow


def expected(name, count=2):
    return sorted([("entry", "begun", name, None)] + [("sink", "done", name, n) for n in range(count)], key=repr)


def as_rows(entries):
    """Outputs in a form to compare."""
    rows = [(e["routine_id"], e["output_type"], e["data"]["job"], e["data"].get("n")) for e in entries]
    return sorted(rows, key=repr)


def test_a_handler_given_to_execute_receives_all_outputs_of_its_job_only():
    """Concurrent jobs with a queue each: all that theirs sent, the very first included, and nothing of the others."""

    def program():
        queues = [queue.Queue() for _ in range(3)]
        with sending() as flow:
            jobs = [
                flow.execute("entry", {"job": n}, output_handler=QueueOutputHandler(each))
                for n, each in enumerate(queues)
            ]
            script = start_threads(lambda: pause_and_resume(flow, jobs[0], 1))
            script[0].join()
            wait(flow, *jobs)
        for n, (job, each) in enumerate(zip(jobs, queues, strict=True)):
            entries = [each.get_nowait() for _ in range(each.qsize())]
            assert {entry["job_id"] for entry in entries} == {job.job_id}
            assert entries[0]["output_type"] == "begun"
            assert as_rows(entries) == as_rows(job.output_log) == expected(n)

    check(program)


def test_outputs_come_in_the_thread_and_at_the_instant_in_which_they_are_sent():
    """A callback is called by the sender, whatever the strategy, with the simulated time."""

    def program():
        calls = []

        def callback(job_id, routine_id, output_type, data, timestamp):
            calls.append((output_type, job_id, round(timestamp.timestamp() * 1e9), time.time_ns()))

        with sending() as flow:
            job = flow.execute(
                "entry",
                {"job": 0},
                execution_strategy=random.choice(["sequential", "concurrent"]),
                output_handler=CallbackOutputHandler(callback),
            )
            wait(flow, job)
        assert [call[0] for call in calls] == ["begun", "done", "done"]
        assert {call[1] for call in calls} == {job.job_id}
        # Wall time is a float of seconds: good for a microsecond.
        assert all(abs(said - now) < 1_000 for _, _, said, now in calls)

    check(program)


class Broken(OutputHandler):
    """Raises."""

    def handle(self, *arguments):
        raise ValueError("broken")


def test_an_output_handler_that_raises_breaks_nothing(monkeypatch):
    """Nor does one that throws everything away, or none: the job completes and its log has each output once."""
    complaints = []
    monkeypatch.setattr(logging.getLogger("routilux"), "exception", lambda text, *_: complaints.append(text))

    def program():
        handler = random.choice([Broken(), NullOutputHandler(), None])
        with sending(count=1) as flow:
            job = flow.execute("entry", {"job": 0}, output_handler=handler)
            wait(flow, job)
        assert job.status == "completed"
        assert as_rows(job.output_log) == expected(0, 1)

    check(program)
    assert set(complaints) == {"output handler %r failed for %r"}


def test_the_output_log_is_bounded_and_keeps_the_latest():
    """A job that sends more than its flow's history limit keeps that many; its handler has received all."""

    def program():
        received = queue.Queue()
        with sending(count=4, history_limit=3) as flow:
            job = flow.execute("entry", {"job": 0}, output_handler=QueueOutputHandler(received))
            wait(flow, job)
        entries = [received.get_nowait() for _ in range(received.qsize())]
        assert as_rows(entries) == expected(0, 4)
        assert len(job.output_log) == 3
        assert {row[1] for row in as_rows(job.output_log)} == {"done"}

    check(program)
