"""Listeners, output handlers and merge functions are called by the thread that sends and enters, whatever they do.

On clusters in virtual time, of which some enter outcomes in the executor's own threads; each claim over many schedules.
"""

from __future__ import annotations

import random

import pytest

from routilux import CallbackOutputHandler, ErrorHandler, Flow, JobState, Routine
from routilux.exceptions import JobStatusError, WouldDeadlockError
from tests.exploring import explore
from tests.remote.programs import NAP, chain, configured, ends, finish, noted
from tests.remote.routines import Counter, Reporter, Step, Turns
from tests.remote.test_simulated import cluster

SCHEDULES = 40


def hold(program, schedules=SCHEDULES, trouble=0.0):
    """A program holds on many clusters."""

    def on_a_cluster():
        with cluster(trouble) as scheduler:
            program(scheduler)

    explore(on_a_cluster, schedules=schedules).raise_if_failed()


class Meddler:
    """Does something to its flow's jobs, once, one of the first times that it hears of something."""

    flow: Flow

    def __init__(self, hook, deed):
        self._deed = deed
        self._after = 0 if hook == "activation_retry" else random.randint(0, 3)
        self.done = []
        setattr(self, hook, self._hear)

    def _hear(self, what, *_rest):
        self._after -= 1
        if self._after < 0 and not self.done:
            self.done.append(what)
            self._deed(self.flow, getattr(what, "job", what))


HOOKS = ["activation_start", "activation_end", "activation_queue", "emit", "activation_retry"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_listener_may_pause_its_job(hook):
    """``pause`` returns, although nobody but the calling thread could let anything come to rest; nothing is lost."""

    def program(scheduler):
        meddler = Meddler(hook, Flow.pause)
        with chain(scheduler, configured(Step(), nap=NAP, bad=[5]), Counter(), instruments=[meddler]) as flow:
            meddler.flow = flow
            flow.routines["s0"].set_error_handler(ErrorHandler("retry", max_retries=1, retry_delay=NAP))
            job = flow.execute("source", {"n": 4 if hook != "activation_retry" else 6})
            assert flow.wait_for(job, timeout=60, or_paused=True)
            assert meddler.done
            assert job.status == "paused"
            flow.resume(job)
            finish(flow, job)
            if hook != "activation_retry":
                assert sorted(noted(job, "s1")) == [0, 1, 2, 3]

    hold(program)


@pytest.mark.parametrize("hook", HOOKS[:3])
@pytest.mark.parametrize("deed", ["cancel", "save", "execute", "resize", "sequential"])
def test_a_listener_may_do_what_does_not_wait(hook, deed):
    """Cancel its job, describe it, begin another one, run one to its end in its own thread, change the workers."""
    others = []
    deeds = {
        "cancel": Flow.cancel,
        "save": lambda _flow, job: others.append(job.serialize()),
        "execute": lambda flow, _job: others.append(flow.execute("source", {"n": 2})),
        "resize": lambda flow, _job: flow.set_execution_strategy("concurrent", max_workers=random.choice([1, 9])),
        "sequential": lambda flow, _job: others.append(
            flow.execute("source", {"n": 2}, execution_strategy="sequential")
        ),
    }

    def program(scheduler):
        others.clear()
        meddler = Meddler(hook, deeds[deed])
        last = Step() if deed == "sequential" else Turns()
        with chain(scheduler, Step(), configured(last, nap=NAP), instruments=[meddler]) as flow:
            meddler.flow = flow
            job = flow.execute("source", {"n": 3})
            finish(flow, job)
            assert meddler.done
            assert job.status == ("cancelled" if deed == "cancel" else "completed")
            if deed in {"execute", "sequential"}:
                finish(flow, *others)
                assert others[0].status == "completed"

    hold(program, schedules=20)


@pytest.mark.parametrize("hook", HOOKS[:2])
def test_a_listener_that_would_wait_for_ever_is_refused(hook):
    """WouldDeadlockError when it waits for another job, which it would itself have to enter; that one goes on."""
    refused = []

    def wait(flow, job):
        other = flow.execute("source", {"n": 1})
        try:
            JobState.wait_for_completion(flow, other, timeout=5)
        except WouldDeadlockError as error:
            refused.append((other, error))

    def program(scheduler):
        refused.clear()
        meddler = Meddler(hook, wait)
        with chain(scheduler, configured(Step(), nap=NAP), instruments=[meddler]) as flow:
            meddler.flow = flow
            job = flow.execute("source", {"n": 3})
            finish(flow, job)
            [(other, error)] = refused
            assert "runs_in_driver" in str(error)
            finish(flow, other)
            assert {job.status, other.status} == {"completed"}

    hold(program)


def test_a_listener_may_wait_for_another_flow():
    """Also when both share the executor: its flow's outcomes are entered by a thread of its flow's own."""

    def program(scheduler):
        with chain(scheduler, Step()) as other:

            def wait(_flow, _job):
                job = other.execute("source", {"n": 2})
                assert JobState.wait_for_completion(other, job, timeout=60)

            meddler = Meddler("activation_end", wait)
            with chain(scheduler, Step(), instruments=[meddler]) as flow:
                meddler.flow = flow
                job = flow.execute("source", {"n": 3})
                finish(flow, job)
                assert meddler.done
                assert sorted(noted(job, "s0")) == [0, 1, 2]
                assert flow._engine._disabled == {}

    hold(program)


@pytest.mark.parametrize("what", ["pause", "cancel", "raise"])
def test_an_output_handler_may_do_likewise(what, caplog):
    """It pauses or cancels its job while a handler's outputs come home; what it raises is logged."""

    def program(scheduler):
        flow = Flow(execution_strategy="concurrent", scheduler=scheduler)
        flow.add_routine(Reporter(), "reporter")
        jobs = []

        def hear(*_args):
            if what == "raise":
                raise ZeroDivisionError
            if jobs and not jobs[0].pause_points:
                getattr(flow, what)(jobs[0])

        with flow:
            jobs.append(flow.execute("reporter", {"n": 3}, output_handler=CallbackOutputHandler(hear)))
            assert flow.wait_for(jobs[0], timeout=60, or_paused=True)
            try:
                flow.resume(jobs[0])
            except JobStatusError:
                assert jobs[0].status != "paused"
            finish(flow, jobs[0])
            expected = {"pause": {"completed"}, "cancel": {"cancelled", "completed"}, "raise": {"completed"}}
            assert jobs[0].status in expected[what]

    hold(program)
    assert ("failed for" in caplog.text) == (what == "raise")


class Merging(Routine):
    """Merges with a function."""

    stateless = True
    merge = staticmethod(lambda old, new: new)

    def __init__(self):
        super().__init__()
        self.define_slot("in", handler=self.take, merge_strategy=lambda old, new: type(self).merge(old, new))

    def take(self, n):
        """Take it."""


def test_a_merge_function_may_pause_the_job():
    """It is called where activations are sent; likewise."""

    def program(scheduler):
        paused = []

        def merge(old, new):
            if not paused:
                paused.append(flow.pause(jobs[0]))
            return new

        Merging.merge = staticmethod(merge)
        jobs = []
        with chain(scheduler, configured(Step(), nap=NAP), Merging()) as flow:
            jobs.append(flow.execute("source", {"n": 3}))
            assert flow.wait_for(jobs[0], timeout=60, or_paused=True)
            assert paused == [True]
            flow.resume(jobs[0])
            finish(flow, jobs[0])
            assert ends(jobs[0], "s1") == ["completed"] * 3

    hold(program)


@pytest.mark.parametrize("hook", ["activation_start", "activation_end", "job_end"])
def test_an_interrupt_in_a_listener_ends_its_job_and_no_other(hook):
    """KeyboardInterrupt out of an instrument fails the job that it was called for; turns and room are handed on."""

    class Interrupting:
        def __init__(self):
            setattr(self, hook, self._hear)

        def _hear(self, what, *_rest):
            if getattr(what, "job", what) is doomed[0]:
                raise KeyboardInterrupt

    doomed = []

    def program(scheduler):
        doomed.clear()
        with chain(scheduler, Turns(), instruments=[Interrupting()], max_workers=2) as flow:
            doomed.append(None)
            job = flow.execute("source", {"n": 0})
            finish(flow, job)
            doomed[0] = other = flow.execute("source", {"n": 3})
            good = flow.execute("source", {"n": 3})
            finish(flow, good, other)
            assert good.status == "completed"
            assert ends(good, "s0") == ["completed"] * 3
            if other.status != "completed":
                assert isinstance(other.error, KeyboardInterrupt)
        assert flow._engine.remote.lane._inside == 0

    hold(program)
