"""Jobs that are attended to, in simulated threads: where exactly Ctrl-C comes is for a schedule to say."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from routilux import Flow
from routilux.cli.attending import Attendant, Interruption
from routilux_sim import explore
from tests.engine.flows import nap, step

GRACE = 10.0


class Interrupted(Attendant):
    """Hears Ctrl-C when an event is set.

    Attributes:
        stopped: Set when all jobs that had begun by then have been told to stop.
    """

    def __init__(self, flow, action, press):
        super().__init__(flow, Interruption(action, GRACE, lambda: self.notices.append("once")))
        self.notices = []
        self.press = press
        self.stopped = threading.Event()

    def _wait(self, patience):
        self.press.wait()
        raise KeyboardInterrupt

    def _stop(self):
        super()._stop()
        self.stopped.set()


def orders(strategy):
    """A flow whose jobs take longer than the grace, and each handler less."""
    flow = Flow("orders", strategy, max_workers=2)

    def go():
        for n in range(4):
            source.emit("out", n=n)

    source = step(go, "out")
    flow.add_routine(source, "entry")
    flow.add_routine(step(lambda n: nap(6.0), slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    return flow


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
@pytest.mark.parametrize(("action", "stopped"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_job_is_stopped_as_it_begins(strategy, action, stopped):
    """In whichever order things happen then, it does not go on, and nothing is left behind."""

    def program():
        flow, press = orders(strategy), threading.Event()
        attendant = Interrupted(flow, action, press)

        class Press:
            def job_start(self, job):
                press.set()

        flow.add_instrument(Press())
        ended = attendant.attend([partial(flow.execute, "entry")])
        assert [job.status for job in ended.jobs] == [stopped]
        assert (ended.interrupted, ended.left, attendant.notices) == (True, False, ["once"])

    report = explore(program, schedules=200)
    assert report.verdict in {"passed", "exhausted"}, report


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_a_job_that_begins_when_others_have_been_stopped_is_stopped_too(strategy):
    """It was about to begin when Ctrl-C came."""

    def program():
        flow, press = orders(strategy), threading.Event()
        attendant = Interrupted(flow, "cancel", press)

        def late():
            press.set()
            attendant.stopped.wait()
            flow.execute("entry")

        ended = attendant.attend([partial(flow.execute, "entry"), late])
        assert [job.status for job in ended.jobs] == [
            "completed" if strategy == "sequential" else "cancelled",
            "cancelled",
        ]
        assert not ended.left

    report = explore(program, schedules=200)
    assert report.verdict in {"passed", "exhausted"}, report


def test_handlers_that_outstay_the_grace_are_left_behind():
    """The job is cancelled all the same."""

    def program():
        flow, press = orders("concurrent"), threading.Event()
        flow.routines["sink"].define_slot("long", handler=lambda n: nap(60.0))
        flow.connect("entry", "out", "sink", "long")
        threading.Timer(1.0, press.set).start()
        ended = Interrupted(flow, "cancel", press).attend([partial(flow.execute, "entry")])
        assert ended.left
        assert ended.jobs[0].status == "cancelled"

    assert explore(program, schedules=20).verdict in {"passed", "exhausted"}


def test_what_cannot_begin_is_told_apart():
    """Without Ctrl-C there is nothing to it."""

    def program():
        flow = Flow("orders", "concurrent")
        flow.add_routine(step(lambda: None), "entry")
        attendant = Attendant(flow, Interruption("cancel", GRACE, lambda: None))
        ended = attendant.attend([partial(flow.execute, "entry"), partial(flow.execute, "nobody")])
        assert [job.status for job in ended.jobs] == ["completed"]
        assert [type(problem).__name__ for problem in ended.problems] == ["UnknownNameError"]
        assert (ended.interrupted, ended.left) == (False, False)

    assert explore(program, schedules=100).verdict in {"passed", "exhausted"}
