"""Interrupts, forks, broken figures and left-behind threads: jobs end all the same, and nothing is kept alive."""

from __future__ import annotations

import contextvars
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path

import pytest

from routilux import ErrorHandler, Flow, JobState, Routine
from tests.engine.flows import fan, one, step
from tests.exploring import explore


class Interrupting:
    """An instrument through which Ctrl-C arrives at one moment."""

    def __init__(self, moment):
        setattr(self, moment, self.interrupt)

    def interrupt(self, *arguments):
        raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["job_start", "emit", "activation_start", "activation_end", "job_end"])
def test_an_interrupt_anywhere_in_a_sequential_job_leaves_nothing_hanging(moment):
    """Ctrl-C leaves ``execute`` as KeyboardInterrupt; the job has a final status, and the flow can be shut down."""
    jobs = []
    flow = Flow(
        instruments=[type("Jobs", (), {"job_start": lambda self, job: jobs.append(job)})(), Interrupting(moment)]
    )
    source = step(lambda: source.emit("out"), "out")
    flow.add_routine(source, "entry")
    with pytest.raises(KeyboardInterrupt):
        flow.execute("entry")
    assert jobs[0].status in {"failed", "completed"}
    assert JobState.wait_for_completion(flow, jobs[0], timeout=1)
    assert flow.shutdown(timeout=1)


def spoiled(**attributes):
    handler = ErrorHandler("retry")
    for name, value in attributes.items():
        setattr(handler, name, value)
    return handler


@pytest.mark.parametrize(
    "handler", [spoiled(retryable_exceptions=[ValueError]), spoiled(retry_delay="1s")], ids=["list", "text"]
)
@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_an_error_handler_that_cannot_be_asked_fails_the_job(handler, strategy):
    """The job fails with what went wrong in deciding, and the handler's own error is its context."""

    def broken():
        raise ValueError("first")

    with one(broken, execution_strategy=strategy) as flow:
        flow.set_error_handler(handler)
        job = flow.execute("entry")
        assert JobState.wait_for_completion(flow, job, timeout=5)
    assert isinstance(job.error, TypeError | ValueError)
    assert (job.status, str(job.error.__context__)) == ("failed", "first")


def test_an_idle_timer_keeps_nothing_alive():
    """After a retry, a flow that its own routines refer to can be dropped, and its threads end."""

    def make():
        tries = []

        def flaky():
            tries.append(1)
            if len(tries) == 1:
                raise ValueError

        flow = one(flaky, flow_id="idle-timer", execution_strategy="concurrent")
        flow.set_error_handler(ErrorHandler("retry", retry_delay=0.001))
        flow.routines["entry"].flow = flow
        assert JobState.wait_for_completion(flow, flow.execute("entry"), timeout=5)
        return weakref.ref(flow), [thread for thread in threading.enumerate() if thread.name.startswith("idle-timer")]

    reference, threads = make()
    gc.collect()
    for thread in threads:
        thread.join(5)
    assert reference() is None
    assert not any(thread.is_alive() for thread in threads)


def test_what_a_left_behind_thread_emits_is_delivered_whole_or_not_at_all():
    """A thread that a handler started emits while the job drains: if ``x`` runs, so does the ``y`` that it emits."""

    def program():
        ran = []

        def start():
            context = contextvars.copy_context()
            threading.Thread(target=lambda: context.run(source.emit, "x")).start()

        def on_x():
            ran.append("x")
            relay.emit("y")

        flow = Flow(execution_strategy="concurrent", max_workers=2)
        source, relay = step(start, "x"), step(on_x, "y", slot="in")
        flow.add_routine(source, "source")
        flow.add_routine(relay, "relay")
        flow.add_routine(step(lambda: ran.append("y"), slot="in"), "sink")
        flow.connect("source", "x", "relay", "in")
        flow.connect("relay", "y", "sink", "in")
        with flow:
            job = flow.execute("source")
            assert JobState.wait_for_completion(flow, job)
        assert ran in ([], ["x", "y"]), ran

    explore(program, schedules=3000).raise_if_failed()


def test_an_instrument_that_raised_is_left_alone_in_later_jobs():
    """One failure disables a hook for the flow, not for a job."""
    calls = []

    class Broken:
        def activation_start(self, activation):
            calls.append(activation)
            raise RuntimeError("cannot look")

    with one(lambda: None, instruments=[Broken()]) as flow:
        for _ in range(5):
            flow.execute("entry")
    assert len(calls) == 1


def test_retries_and_drops_do_not_pile_up():
    """Ten thousand retried activations, or dropped ones, leave a bounded journal behind."""
    with one(lambda: 1 / 0, history_limit=10) as flow:
        flow.set_error_handler(ErrorHandler("retry", max_retries=2000, retry_delay=0))
        retried = flow.execute("entry")
    assert len(retried._journal.unsummed) <= 600

    class Stubborn(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", self.go)
            self.define_event("out")

        def go(self, flow, job):
            flow._engine.close(job[0]._account, "failed", None)
            for n in range(2000):
                self.emit("out", n=n)

    flow = fan(lambda n: None)
    flow.routines["entry"] = Stubborn()
    jobs = []
    flow.add_instrument(type("Jobs", (), {"job_start": lambda self, job: jobs.append(job)})())
    with flow:
        flow.execute("entry", {"flow": flow, "job": jobs}, execution_strategy="sequential")
    assert len(jobs[0]._journal.unsummed) <= 600


FORK = """
import os, sys, time
from routilux import Flow, JobState, Routine

class Napper(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.nap)
    def nap(self, seconds):
        time.sleep(seconds)

flow = Flow(execution_strategy="concurrent")
flow.add_routine(Napper(), "napper")
assert JobState.wait_for_completion(flow, flow.execute("napper", {"seconds": 0}), timeout=5)
running = flow.execute("napper", {"seconds": 0.5})
child = os.fork()
if child == 0:
    job = flow.execute("napper", {"seconds": 0})
    assert JobState.wait_for_completion(flow, job, timeout=5) and job.status == "completed"
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert JobState.wait_for_completion(flow, running, timeout=5)
print("both ended")
"""

EXIT = """
from routilux import ErrorHandler, Flow, Routine

class Flaky(Routine):
    tries = 0
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.go)
    def go(self):
        Flaky.tries += 1
        if Flaky.tries < 3:
            raise ValueError
        print("done after", Flaky.tries, flush=True)

flow = Flow(execution_strategy="concurrent", execution_timeout=None)
flow.set_error_handler(ErrorHandler("retry", retry_delay=0.05))
flow.add_routine(Flaky(), "flaky")
flow.execute("flaky")
"""

# The interpreter takes the module's variables down when nothing is left of what the flow's references need.
KEPT = """
from examples.concurrent_flow_demo import create_concurrent_flow
from routilux import JobState

flow = create_concurrent_flow()
job = flow.execute("trigger", {"task_id": "kept"})
print(JobState.wait_for_completion(flow, job))
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [(FORK, "both ended"), (EXIT, "done after 3"), (KEPT, "True")],
    ids=["fork", "exit", "kept"],
)
def test_forked_and_ending_programs(code, said):
    """A forked child runs the flow on threads of its own and exits; one that ends lets its jobs end first, quietly."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr
    assert "Exception ignored" not in done.stderr
