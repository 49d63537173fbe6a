"""Executors, states and errors that are not as one would like them: each costs its own activation, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import pytest

from routilux import Flow, JobState, Routine
from routilux.exceptions import CannotTravelError, RestoredError
from routilux.runtime import OsRuntime
from routilux.schedulers.futures import FuturesScheduler
from routilux_sim import SimulatedExecutor, simulate
from tests.exploring import explore
from tests.remote.programs import NAP, chain, configured, finish, noted
from tests.remote.routines import Counter, Step, Turns
from tests.remote.test_listeners import hold
from tests.remote.test_what_travels import Inline, run


class Stubborn(Routine):
    """Says what of it travels, and fails to: on its way back, or on its way there."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.worked = False
        self.how = ""

    def __getstate__(self):
        if self.worked and self.how == "getstate":
            raise ArithmeticError("no state")
        return {"how": self.how, "worked": self.worked}

    def __setstate__(self, state):
        if state["how"] == "setstate":
            raise ArithmeticError("no state")
        vars(self).update(state)

    def work(self, fail=False):
        self.worked = True
        if fail:
            raise LookupError("the handler's own")


@pytest.mark.parametrize("how", ["getstate", "setstate"])
def test_a_class_that_cannot_say_its_state_fails_with_its_own_error(how):
    """Not as a lost worker; the routine in the driver stays as it was."""
    routine = Stubborn()
    routine.how = how
    job = run(routine)
    assert isinstance(job.error, ArithmeticError)
    assert not routine.worked


def test_the_handlers_error_comes_before_that_of_its_state():
    """If both fail, it is the handler's that is told."""
    routine = Stubborn()
    routine.how = "getstate"
    assert isinstance(run(routine, fail=True).error, LookupError)


@dataclass(frozen=True)
class FrozenError(Exception):
    """Allows no attribute to be set."""

    code: int


class MuteError(Exception):
    """Cannot be put in words."""

    def __str__(self):
        raise RuntimeError("mute")


class UnmakeableError(Exception):
    """Cannot be made from what it has kept, and says itself how."""

    def __init__(self, one, two):
        super().__init__(one)

    def __reduce__(self):
        return type(self), self.args


class Raising(Routine):
    """Raises odd things."""

    stateless = True

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)

    def work(self, what):
        raise {
            "frozen": lambda: FrozenError(3),
            "mute": lambda: MuteError(lambda: None),
            "unmakeable": lambda: UnmakeableError(1, 2),
            "exit": lambda: SystemExit(3),
            "group": lambda: ExceptionGroup("several", [FrozenError(1), KeyError("a")]),
        }[what]()


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("frozen", FrozenError),
        ("mute", RestoredError),
        ("unmakeable", RestoredError),
        ("exit", SystemExit),
        ("group", ExceptionGroup),
    ],
)
def test_odd_exceptions_arrive(what, kind):
    """As themselves where that can be, else in words; never as a lost worker."""
    error = run(Raising(), what=what).error
    assert isinstance(error, kind)
    if what == "frozen":
        assert error.code == 3


class Configuring(Routine):
    """Changes its configuration, and says what it found."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)

    def work(self):
        self.send_output("found", **self.config())
        self.set_config(left=1)


class Leaving(Configuring):
    """Says that it does not."""

    stateless = True


@pytest.mark.parametrize("kind", [Configuring, Leaving])
def test_a_worker_keeps_no_configuration(kind):
    """Another flow of the same id, in the same worker, finds its own routine's, which is empty."""
    for _ in range(3):
        with Flow("same", execution_strategy="concurrent", scheduler=FuturesScheduler(Inline())) as flow:
            flow.add_routine(kind(), "it")
            job = flow.execute("it")
            finish(flow, job)
        assert job.output_log[0]["data"] == {}


class Telling(Routine):
    """Names the flow that it emits for, as one that is part of several must."""

    stateless = True

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.define_event("out", ["n"])

    def work(self):
        self.emit("out", flow=self.get_execution_context().flow, n=1)


def test_an_emit_may_name_its_own_flow():
    """As on threads."""
    with Flow(execution_strategy="concurrent", scheduler=FuturesScheduler(Inline())) as flow:
        flow.add_routine(Telling(), "it")
        flow.add_routine(Step(), "step")
        flow.connect("it", "out", "step", "in")
        job = flow.execute("it")
        finish(flow, job)
    assert job.error is None
    assert noted(job, "step") == [1]


class Broken:
    """An executor that is broken from the beginning."""

    def submit(self, function, *args):
        raise BrokenExecutor("for good")

    def shutdown(self, wait=True):
        """Nothing to do."""


def test_an_executor_that_is_always_broken_is_not_made_for_ever():
    """After some tries the activation fails with what it says."""
    made = []
    with FuturesScheduler(lambda: made.append(1) or Broken()) as scheduler, chain(scheduler, Step()) as flow:
        flow.set_error_handler(None)
        job = flow.execute("source", {"n": 1})
        finish(flow, job)
    assert isinstance(job.error, BrokenExecutor)
    assert len(made) < 10


class Refusing:
    """Refuses to take some things, and to take some back."""

    def __init__(self, inner):
        self.inner = inner

    def submit(self, function, *args):
        if random.random() < 0.3:
            raise OSError("busy")
        future = self.inner.submit(function, *args)
        future.cancel = self.cancel
        return future

    def cancel(self):
        raise OSError("too late")


def test_what_an_executor_refuses_leaves_turns_and_room_to_others():
    """Every activation is retried until it is taken, in slots with a limit and routines with state."""

    def program():
        executor = Refusing(SimulatedExecutor(2, latency={"kind": "uniform", "low": 0.0, "high": NAP}))
        flow = chain(FuturesScheduler(executor), Turns(), retries=60)
        flow.add_routine(Counter(), "counter")
        flow.connect("source", "out", "counter", "in")
        flow.error_handler.retryable_exceptions = OSError
        with flow:
            job = flow.execute("source", {"n": 4})
            if random.random() < 0.5 and flow.pause(job):
                flow.resume(job)
            doomed = flow.execute("source", {"n": 4})
            if random.random() < 0.5:
                flow.cancel(doomed)
            finish(flow, job, doomed)
            assert job.status == "completed"
            assert len(noted(job, "s0")) == 4
            assert sorted(noted(job, "counter")) == [0, 1, 2, 3]
        remote = flow._engine.remote
        assert (remote.lane._inside, remote.lane._lines, remote.lane._coming) == (0, {}, 0)
        assert not remote._flights
        assert all(not each._inside for each in flow._engine._turnstiles.values())

    explore(program, schedules=100).raise_if_failed()


def test_fewer_at_a_time_are_fewer_while_there_is_a_queue():
    """``max_workers=1`` holds as soon as what was under way has ended, whether there are lines or not."""

    def program(scheduler):
        step = random.choice([Step, Counter, Turns])
        with chain(scheduler, configured(step(), nap=NAP), max_workers=6) as flow:
            flow.add_routine(configured(Counter(), nap=NAP), "counter")
            flow.connect("source", "out", "counter", "in")
            flow.add_routine(configured(Step(), nap=NAP), "step")
            flow.connect("source", "out", "step", "in")
            job = flow.execute("source", {"n": 6})
            threading.Event().wait(random.choice([0, NAP, 2 * NAP]))
            flow.set_execution_strategy("concurrent", max_workers=1)
            lane, job_of = flow._engine.remote.lane, len(job.get_shared_log())
            threading.Event().wait(8 * NAP)
            assert job_of <= len(job.get_shared_log())
            assert lane._inside <= 1
            if random.random() < 0.5:
                flow.set_execution_strategy("concurrent", max_workers=4)
            finish(flow, job)
            assert sorted(noted(job, "counter")) == list(range(6))
            assert len(noted(job, "s0")) == len(noted(job, "step")) == 6

    hold(program, schedules=60)


def test_several_flows_share_a_scheduler():
    """Each has its own queue, turns and room; one that is cancelled or shut down leaves the others alone."""

    def program(scheduler):
        with chain(scheduler, Turns(), max_workers=1) as one, chain(scheduler, Counter(), max_workers=1) as other:
            jobs = [one.execute("source", {"n": 3}), other.execute("source", {"n": 3})]
            with chain(scheduler, configured(Step(), nap=NAP)) as third:
                third.cancel(third.execute("source", {"n": 3}))
            finish(one, jobs[0])
            finish(other, jobs[1])
            assert noted(jobs[1], "s0") == [0, 1, 2]

    hold(program)


def test_a_pool_of_threads_is_an_executor_too():
    """Several at a time in one process; what is settled holds, state and turns included."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            with chain(FuturesScheduler(pool), Step(), Counter(), max_workers=32) as flow:
                jobs = [flow.execute("source", {"n": 100}) for _ in range(3)]
                finish(flow, *jobs)
                assert {job.status for job in jobs} == {"completed"}
                assert len(flow.routines["s1"].seen) == 300
    assert flow._engine.remote._flights == {}


class Nesting(Routine):
    """Runs a flow of its own."""

    stateless = True

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)

    def work(self, strategy):
        with Flow(execution_strategy=strategy) as flow:
            flow.add_routine(Counter(), "counter")
            flow.add_routine(Telling(), "telling")
            flow.connect("telling", "out", "counter", "in")
            job = flow.execute("telling")
            assert JobState.wait_for_completion(flow, job, timeout=10)
            self.send_output("inner", status=job.status, seen=flow.routines["counter"].seen)


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_a_handler_may_run_a_flow_of_its_own(strategy):
    """In a worker; what it emits there is that flow's, and the handler goes on as itself."""
    job = run(Nesting(), strategy=strategy)
    assert job.error is None
    assert job.output_log[0]["data"] == {"status": "completed", "seen": [1]}


def test_processes_may_be_forked():
    """By who insists: the children neither wait for the parent's jobs nor end them."""
    with FuturesScheduler.processes(2, mp_context=get_context("fork")) as scheduler:
        with chain(scheduler, Step(), Counter()) as flow:
            job = flow.execute("source", {"n": 5})
            finish(flow, job)
        assert job.status == "completed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("given", [False, True], ids=["made", "given"])
def test_a_driver_may_be_forked(given):
    """The child has an executor made for itself; if nobody has said how, that is said. The parent goes on."""

    def in_child():
        job = flow.execute("source", {"n": 3})
        finish(flow, job)
        if given:
            assert "forked" in str(job.error)
        else:
            assert (job.status, sorted(noted(job, "s0"))) == ("completed", [0, 1, 2])

    # Spawned, as CPython's fork server serves the process that has started it alone.
    pool = partial(ProcessPoolExecutor, 1, mp_context=get_context("spawn"))
    with ExitStack() as stack:
        scheduler = stack.enter_context(FuturesScheduler(stack.enter_context(pool()) if given else pool))
        flow = stack.enter_context(chain(scheduler, Step()))
        flow.set_error_handler(None)
        for _ in range(2):
            job = flow.execute("source", {"n": 2})
            finish(flow, job)
            assert job.status == "completed"
            child = os.fork()
            if not child:
                code = 1
                try:
                    in_child()
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0


def test_what_is_saved_while_it_runs_goes_on_elsewhere():
    """A document that was made in the midst has what was queued, and nothing that had ended: each runs once in all."""

    def program(scheduler):
        with chain(scheduler, configured(Step(), nap=NAP), Counter(), flow_id="saved") as flow:
            job = flow.execute("source", {"n": 5})
            threading.Event().wait(random.choice([0, NAP, 2 * NAP]))
            document = job.serialize()
            finish(flow, job)
            assert sorted(noted(job, "s1")) == list(range(5))
        again = JobState()
        again.deserialize(document)
        if again.status == "completed":
            return
        with chain(scheduler, configured(Step(), nap=NAP), Counter(), flow_id="saved") as other:
            other.resume(again)
            finish(other, again)
            assert sorted(noted(again, "s0")) == sorted(noted(again, "s1")) == list(range(5))

    hold(program)


class Bounded:
    """An executor whose ``submit`` waits for room."""

    def __init__(self, inner):
        self.inner = inner
        self.room = threading.Semaphore(1)

    def submit(self, function, *args):
        self.room.acquire()
        future = self.inner.submit(function, *args)
        future.add_done_callback(lambda _future: self.room.release())
        return future


def test_an_executor_may_make_its_caller_wait():
    """Nothing is missing afterwards, and jobs can be paused and cancelled all the while."""

    def program():
        executor = Bounded(SimulatedExecutor(2, latency={"kind": "uniform", "low": 0.0, "high": NAP}))
        with chain(FuturesScheduler(executor), Step(), Counter()) as flow:
            job, doomed = (flow.execute("source", {"n": 5}) for _ in range(2))
            threading.Event().wait(random.choice([0, NAP]))
            flow.cancel(doomed)
            if flow.pause(job):
                flow.resume(job)
            finish(flow, job, doomed)
            assert sorted(noted(job, "s1")) == list(range(5))

    explore(program, schedules=60).raise_if_failed()


def test_a_program_that_ends_lets_its_jobs_end_first(tmp_path):
    """Nobody waits or shuts anything down: each job ends, before the pool takes nothing more."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import time
            from routilux.schedulers.futures import FuturesScheduler
            from tests.remote.programs import chain, configured
            from tests.remote.routines import Step

            class Ear:
                def job_end(self, job):
                    print(job.status, job.error, len(job.get_shared_log()), flush=True)

            if __name__ == "__main__":
                flow = chain(FuturesScheduler.processes(2), configured(Step(), nap=0.05), instruments=[Ear()])
                job = flow.execute("source", {"n": 12})
                while not job.get_shared_log():
                    time.sleep(0.01)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "completed None 12\n", "")


def test_an_interrupt_at_exit_ends_the_waiting_and_not_what_comes_next():
    """A second Ctrl-C, while jobs are waited for: the pools are told to end all the same, or they never would."""

    class Waiting:
        def wait(self):
            raise KeyboardInterrupt

    waiting, runtime = Waiting(), OsRuntime()
    runtime.at_exit(waiting.wait, early=True)
    runtime._exit_early()
    assert not runtime._early_calls


def test_nothing_is_left_of_what_has_run():
    """Thousands of activations, by way of futures that are done at once: tables and lines are empty afterwards."""

    class Immediate(ThreadPoolExecutor):
        """Runs in the caller; its outcomes are entered there."""

        def submit(self, function, *args):
            future = Future()
            future.set_result(function(*args))
            return future

    with chain(FuturesScheduler(Immediate(1)), Step(), Counter(), max_workers=1000, history_limit=100) as flow:
        job = flow.execute("source", {"n": 2000})
        finish(flow, job)
        assert job.status == "completed"
    remote = flow._engine.remote
    assert (remote._flights, remote.lane._lines, list(remote._arrivals)) == ({}, {}, [])
    assert (remote.lane._inside, remote.lane._coming) == (0, 0)
    assert not [*remote.lane._queue, *remote.lane._next]


def test_a_simulated_executor_says_what_cannot_come_back():
    """A result that cannot be pickled, or read again, is the future's exception; nothing hangs."""

    def program():
        with SimulatedExecutor(1) as executor:
            futures = [executor.submit(_generator), executor.submit(_unmakeable)]
            return [type(future.exception(timeout=5)).__name__ for future in futures]

    assert simulate(program, seed=1).result() == ["PicklingError", "TypeError"]


def _generator():
    return (each for each in ())


def _unmakeable():
    raise UnmakeableError(1, 2)


def test_a_parcel_that_no_worker_can_read_is_told():
    """CannotTravelError says what the worker said, however it says it."""

    class Hidden(Step):
        """No worker can import it."""

    routine = Step()
    routine.hidden = Hidden.__new__(Hidden)
    flow = Flow(execution_strategy="concurrent", scheduler=FuturesScheduler(Inline()))
    with flow:
        flow.add_routine(routine, "it")
        flow.add_routine(Telling(), "telling")
        flow.connect("telling", "out", "it", "in")
        job = flow.execute("telling")
        finish(flow, job)
    assert isinstance(job.error, CannotTravelError)
