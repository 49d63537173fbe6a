"""Instruments: all that happens is told, in calls that fit together, and one that raises is not called again."""

from __future__ import annotations

import io
import json
import logging
import random
import threading
import time

import pytest

from routilux.abc import hook_names
from routilux.log import EVENTS, ExecutionLog, json_lines
from tests.engine.flows import fan
from tests.semantics.oracles import Observer, check
from tests.semantics.workloads import (
    BEAT,
    AsyncStep,
    Plan,
    Step,
    Turns,
    delivered,
    join,
    pause_and_resume,
    random_beats,
    start_threads,
    wait,
)


@pytest.fixture
def complaints(monkeypatch):
    """What is logged as an error on the logger ``routilux``: records would keep all that their tracebacks refer to."""
    messages = []
    monkeypatch.setattr(logging.getLogger("routilux"), "error", lambda text, *args, **_: messages.append(text % args))
    return messages


def stirred(plan, flow):
    """Two jobs of a plan, both of them paused and resumed, one of them perhaps cancelled."""
    jobs = [plan.execute(flow) for _ in range(2)]

    def stop():
        random_beats(4)
        if random.random() < 0.5:
            flow.cancel(jobs[1])

    join(start_threads(stop, *[lambda job=job: pause_and_resume(flow, job, 1) for job in jobs]))
    wait(flow, *jobs)
    return jobs


def test_every_call_fits_the_others_whatever_happens():
    """Of each job one start, first, and one end, last; of each activation a start for each retry or end."""

    def program():
        plan = Plan((Step, AsyncStep, Turns), failures=1)
        observer = Observer()
        with plan.flow(max_workers=2, instruments=[observer]) as flow:
            jobs = stirred(plan, flow)
        observer.judge(*jobs)
        for job in jobs:
            hooks = observer.hooks_of(job)
            assert hooks.count("emit") == job.events_emitted
            assert hooks.count("job_pause") == len(job.pause_points)
            assert hooks.count("retry") == sum(figures.retries for figures in job.figures().values())

    check(program)


def test_an_instrument_that_raises_is_disabled_and_breaks_nothing(complaints):
    """Its other methods and other instruments are called as before; it is logged once; no job notices."""

    def program():
        complaints.clear()
        hook = random.choice(sorted(hook_names()))
        calls = []

        class Broken(Observer):
            pass

        def broken(self, *arguments):
            calls.append(threading.current_thread().name)
            time.sleep(random.randint(0, 1) * BEAT)
            raise random.choice([ValueError, SystemExit])("broken")

        setattr(Broken, hook, broken)
        plan = Plan((Step, Turns), failures=1, beats=1)
        bad, good = Broken(), Observer()
        with plan.flow(max_workers=2, instruments=[bad, good]) as flow:
            jobs = [plan.execute(flow), plan.execute(flow)]
            if hook in {"job_pause", "job_resume", "activation_drop"}:
                for job in jobs:
                    if flow.pause(job):
                        flow.resume(job)
            if hook == "activation_drop":
                flow.cancel(jobs[1])
            wait(flow, *jobs)
        for job in jobs:
            assert job.status == "cancelled" or delivered(job) == plan.deliveries()
        good.judge(*jobs)
        # Several threads may have been in it when it first raised, not one after that.
        assert len(set(calls)) == len(calls)
        assert len(complaints) == bool(calls)
        assert all(hook in message for message in complaints)

    check(program)


def test_an_instrument_may_have_any_of_the_methods():
    """A plain object with one method is called for that, and is in nobody's way."""

    def program():
        counts = {}
        names = random.sample(sorted(hook_names()), 3)

        def counter(name):
            return lambda *arguments: counts.update({name: counts.get(name, 0) + 1})

        flow = fan(lambda n: time.sleep(BEAT), count=2, max_workers=2)
        for name in names:
            flow.add_instrument(type("One", (), {name: staticmethod(counter(name))})())
        with flow:
            wait(flow, flow.execute("entry"), flow.execute("entry"))
        usual = {"job_start": 2, "job_end": 2, "emit": 4}
        usual |= dict.fromkeys(["activation_queue", "activation_start", "activation_end"], 6)
        assert counts == {name: usual[name] for name in names if name in usual}

    check(program)


def test_the_execution_log_uses_names_of_the_closed_set_and_is_complete():
    """Each line's event is a known one, and each activation's lines are there: starts as many as ends and retries."""

    def program():
        plan = Plan((Step, AsyncStep, Turns), failures=1)
        lines = []
        log = ExecutionLog(lambda event, fields: lines.append((event, fields)))
        with plan.flow(max_workers=2, instruments=[log]) as flow:
            jobs = stirred(plan, flow)
        assert {event for event, _ in lines} <= EVENTS
        for job in jobs:
            mine = [event for event, fields in lines if fields["job"] == job.job_id]
            assert (mine[0], mine[-1]) == ("job.start", "job.end")
            starts, ends, retries = (mine.count(f"activation.{what}") for what in ("start", "end", "retry"))
            assert starts == ends + retries
            assert mine.count("emit") == job.events_emitted

    check(program)


def test_lines_are_whole_and_numbered_in_their_order():
    """However threads write, the file holds one JSON object a line, numbered without a gap, in the order of time."""

    def program():
        stream = io.BytesIO()
        with fan(lambda n: time.sleep(n * BEAT), max_workers=3, instruments=[json_lines(stream)]) as flow:
            wait(flow, flow.execute("entry"), flow.execute("entry"))
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["seq"] for line in lines] == list(range(len(lines)))
        assert [line["t_ns"] for line in lines] == sorted(line["t_ns"] for line in lines)
        assert {line["event"] for line in lines} <= EVENTS

    check(program)
