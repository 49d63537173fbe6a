"""The end of a flow: nothing lost, nothing left alive, and what happens to flows that nobody shuts down."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from routilux import ErrorHandler, Flow, FlowShutdownError, JobState, WouldDeadlockError
from routilux_sim import simulate
from tests.engine.flows import fan, step
from tests.exploring import explore

PATIENCE = 1.0
"""Real seconds that a thread gets to end; it takes microseconds."""


def one(handler, **options):
    flow = Flow(execution_strategy="concurrent", **options)
    flow.add_routine(step(handler), "entry")
    return flow


def threads_of(flow_id):
    return [thread for thread in threading.enumerate() if thread.name.startswith(flow_id)]


def gone(flow_id):
    """Whether all threads of a flow end within `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while threads_of(flow_id) and time.monotonic() < deadline:
        time.sleep(0.001)
    return not threads_of(flow_id)


def test_nothing_is_alive_and_nothing_lost_after_shutdown():
    """``shutdown(wait=True)`` lets all that is queued or waits for a retry run; then no thread of the flow is left."""

    def program():
        tries, ended = set(), []

        def handler(n):
            time.sleep(0.1)
            me = sink.get_execution_context().job_state, n
            if n and me not in tries:
                tries.add(me)
                raise ValueError
            ended.append(n)

        flow = fan(handler, max_workers=2)
        sink = flow.routines["sink"]
        flow.set_error_handler(ErrorHandler("retry", retry_delay=0.5))
        jobs = [flow.execute("entry") for _ in range(2)]
        assert flow.shutdown(wait=True) is True
        assert threading.enumerate() == [threading.main_thread()]
        assert sorted(ended) == [0, 0, 1, 1, 2, 2]
        assert [job.status for job in jobs] == ["completed", "completed"]

    explore(program, schedules=300).raise_if_failed()


def test_shutdown_of_a_flow_that_never_ran():
    """There is nothing to wait for, and nothing is executed afterwards."""
    flow = one(None)
    assert flow.shutdown() is True
    assert flow.shutdown(wait=False) is True
    with pytest.raises(FlowShutdownError):
        flow.execute("entry")


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_execute_after_shutdown_is_refused(mode):
    """A flow that was shut down takes no job, of either kind: a RuntimeError that says what to do."""

    def program():
        ran = []
        flow = one(lambda: ran.append(1))
        assert JobState.wait_for_completion(flow, flow.execute("entry"))
        flow.shutdown()
        with pytest.raises(FlowShutdownError, match="make a new one") as caught:
            flow.execute("entry", execution_strategy=mode)
        assert isinstance(caught.value, RuntimeError)
        assert ran == [1]
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=50).raise_if_failed()


def test_shutdown_twice_is_shutdown_once():
    """A second shutdown has nothing to do; two at the same time both return when all is over."""

    def program():
        answers = []
        flow = one(lambda: time.sleep(1.0))
        job = flow.execute("entry")
        other = threading.Thread(target=lambda: answers.append(flow.shutdown()))
        other.start()
        assert flow.shutdown() is True
        assert (job.status, time.monotonic()) == ("completed", 1.0)
        other.join()
        assert flow.shutdown() is True
        assert answers == [True]

    explore(program, schedules=200).raise_if_failed()


def test_shutdown_without_wait_returns_at_once_and_loses_nothing():
    """Jobs under way go on to their end, and then the threads end by themselves."""

    def program():
        ended = []
        flow = fan(lambda n: (time.sleep(1.0), ended.append(n)), max_workers=1)
        job = flow.execute("entry")
        assert flow.shutdown(wait=False) is False
        assert time.monotonic() == 0
        with pytest.raises(FlowShutdownError):
            flow.execute("entry")
        assert JobState.wait_for_completion(flow, job)
        assert (ended, job.status) == ([0, 1, 2], "completed")
        time.sleep(0.001)
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=200).raise_if_failed()


def test_shutdown_with_a_timeout_returns_by_then():
    """When the jobs take longer it returns False at the exact instant; they go on, and a later shutdown says True."""

    def program():
        flow = one(lambda: time.sleep(2.0))
        job = flow.execute("entry")
        assert flow.shutdown(timeout=0.75) is False
        assert (time.monotonic(), job.status) == (0.75, "running")
        assert flow.shutdown(timeout=0) is False
        assert flow.shutdown(timeout=10.0) is True
        assert (time.monotonic(), job.status) == (2.0, "completed")
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=150).raise_if_failed()


def test_the_timeout_of_a_shutdown_is_for_all_jobs_together():
    """Several jobs that end one after the other share one limit."""

    def program():
        flow = one(lambda: time.sleep(1.0), max_workers=1)
        jobs = [flow.execute("entry") for _ in range(4)]
        assert flow.shutdown(timeout=2.5) is False
        assert time.monotonic() == 2.5
        assert [job.status for job in jobs] == ["completed", "completed", "running", "running"]
        assert flow.shutdown() is True
        assert {job.status for job in jobs} == {"completed"}

    explore(program, schedules=100).raise_if_failed()


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_a_bad_timeout_shuts_nothing_down(timeout):
    """A timeout that is no number of seconds is a ValueError, and the flow stays open."""
    flow = Flow()
    flow.add_routine(step(None), "entry")
    with pytest.raises(ValueError, match="timeout must be"):
        flow.shutdown(timeout=timeout)
    assert flow.execute("entry").status == "completed"


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_handler_cannot_wait_for_the_shutdown_of_its_own_flow(mode):
    """It would wait for itself: WouldDeadlockError, and the flow stays open; without waiting it is fine."""

    def program():
        def go(wait):
            flow.shutdown(wait=wait)

        flow = one(go)
        refused = flow.execute("entry", {"wait": True}, execution_strategy=mode)
        assert JobState.wait_for_completion(flow, refused)
        assert isinstance(refused.error, WouldDeadlockError)
        allowed = flow.execute("entry", {"wait": False}, execution_strategy=mode)
        assert JobState.wait_for_completion(flow, allowed)
        assert allowed.status == "completed"
        with pytest.raises(FlowShutdownError):
            flow.execute("entry")
        assert flow.shutdown()
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=100).raise_if_failed()


def test_execute_and_shutdown_at_the_same_time():
    """Either the job is refused or it runs to its end before the shutdown returns: nothing in between."""

    def program():
        jobs, refused, ran = [], [], []

        def start():
            try:
                jobs.append(flow.execute("entry"))
            except FlowShutdownError as error:
                refused.append(error)

        flow = one(lambda: (time.sleep(0.5), ran.append(1)))
        starter = threading.Thread(target=start)
        starter.start()
        assert flow.shutdown(wait=True) is True
        finished = len(ran)
        starter.join()
        assert (len(jobs), len(refused)) in [(1, 0), (0, 1)]
        assert finished == len(ran) == len(jobs)
        assert all(job.status == "completed" for job in jobs)
        assert threading.enumerate() == [threading.main_thread()]
        outcomes.add(len(jobs))

    outcomes = set()
    explore(program, schedules=500).raise_if_failed()
    assert outcomes == {0, 1}


def test_shutdown_waits_for_a_sequential_job_in_another_thread():
    """Jobs of both kinds are waited for."""

    def program():
        flow = Flow(execution_timeout=None)
        flow.add_routine(step(lambda: time.sleep(1.0)), "entry")
        jobs = []
        runner = threading.Thread(target=lambda: jobs.append(flow.execute("entry")))
        runner.start()
        time.sleep(0.5)
        assert flow.shutdown(timeout=0.25) is False
        assert time.monotonic() == 0.75
        assert flow.shutdown() is True
        assert time.monotonic() == 1.0
        runner.join()
        assert jobs[0].status == "completed"

    explore(program, schedules=150).raise_if_failed()


def test_shutdown_after_a_timed_out_job_waits_for_its_handler():
    """A handler that outlives its job's deadline is still a thread of the flow."""

    def program():
        flow = one(lambda: time.sleep(2.0), execution_timeout=1.0)
        job = flow.execute("entry")
        assert flow.shutdown() is True
        assert (time.monotonic(), job.status) == (2.0, "failed")
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=100).raise_if_failed()


def test_what_a_failed_job_left_in_the_queue_keeps_no_thread_alive():
    """Dropped activations are skipped by the workers, and no worker that was started for one outlives the shutdown."""

    def program():
        def handler(n):
            if n == 0:
                raise ValueError

        flow = fan(handler, count=4, max_workers=4)
        job = flow.execute("entry")
        assert flow.shutdown() is True
        assert threading.enumerate() == [threading.main_thread()]
        assert job.status == "failed"

    explore(program, schedules=1000).raise_if_failed()


def test_the_end_of_the_program_waits_for_jobs():
    """A program that ends without shutdown lets concurrent jobs finish, as ``concurrent.futures`` does."""
    ended = []

    def program():
        fan(lambda n: (time.sleep(1.0), ended.append(n)), max_workers=1).execute("entry")

    execution = simulate(program)
    execution.result()
    assert (ended, execution.elapsed) == ([0, 1, 2], 3.0)


def test_a_strategy_switch_during_a_run_keeps_every_task():
    """Whatever ``set_execution_strategy`` does, and when: every activation runs exactly once, and the job completes."""

    def program():
        got = []
        flow = fan(lambda n: (time.sleep(0.1), got.append(n)), count=6, max_workers=3)
        job = flow.execute("entry")
        for strategy, workers in (("sequential", None), ("concurrent", 1), ("concurrent", 4), ("sequential", 2)):
            time.sleep(0.1)
            flow.set_execution_strategy(strategy, workers)
        assert flow.shutdown() is True
        assert sorted(got) == [0, 1, 2, 3, 4, 5]
        assert job.status == "completed"
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=400).raise_if_failed()


def test_a_strategy_switch_changes_how_many_run_from_then_on():
    """Going sequential, what runs goes on and the rest takes turns; going back, all workers are used again."""

    def program():
        starts = []

        def handler(n):
            starts.append(time.monotonic())
            time.sleep(1.0)

        flow = fan(handler, count=8, max_workers=3)
        flow.execute("entry")
        time.sleep(0.5)
        flow.set_execution_strategy("sequential")
        time.sleep(2.0)
        flow.set_execution_strategy("concurrent")
        flow.shutdown()
        assert sorted(starts) == [0.0, 0.0, 0.0, 1.0, 2.0, 2.5, 2.5, 3.0]

    explore(program, schedules=200).raise_if_failed()


def test_a_strategy_switch_inside_a_handler_keeps_every_task():
    """A handler may switch its own flow's strategy."""

    def program():
        got = []

        def handler(n):
            flow.set_execution_strategy(("sequential", "concurrent")[n % 2], n + 1)
            got.append(n)

        flow = fan(handler, count=5, max_workers=2)
        job = flow.execute("entry")
        assert flow.shutdown() is True
        assert (sorted(got), job.status) == ([0, 1, 2, 3, 4], "completed")

    explore(program, schedules=300).raise_if_failed()


def make_and_drop(flow_id, **options):
    """Run a job on real threads, look at them, and drop the flow without shutdown."""
    flow = fan(lambda n: None, flow_id=flow_id, **options)
    job = flow.execute("entry")
    assert JobState.wait_for_completion(flow, job, timeout=PATIENCE)
    assert threads_of(flow_id)
    return weakref.ref(flow), job


def test_a_dropped_flow_leaks_no_thread():
    """Workers and timer end with the last reference to the flow, uncollected, though the job is kept."""
    gc.disable()
    try:
        reference, job = make_and_drop("dropped-flow")
        assert gone("dropped-flow")
        assert reference() is None
    finally:
        gc.enable()
    assert job.status == "completed"


def test_a_dropped_flow_that_its_routines_refer_to_leaks_no_thread():
    """A routine may keep its flow: the two are collected together, and their threads end."""

    def make():
        flow = fan(lambda n: None, flow_id="cyclic-flow")
        flow.routines["entry"].flow = flow
        job = flow.execute("entry")
        assert JobState.wait_for_completion(flow, job, timeout=PATIENCE)
        assert threads_of("cyclic-flow")

    make()
    gc.collect()
    assert gone("cyclic-flow")


def test_a_dropped_sequential_flow_leaks_no_thread():
    """A sequential flow has a timer at most, and that ends with it."""

    def make():
        flow = Flow("dropped-sequential")
        flow.add_routine(step(None), "entry")
        for _ in range(3):
            assert flow.execute("entry").status == "completed"

    make()
    assert gone("dropped-sequential")


def test_a_dropped_flow_with_a_failed_job_leaks_no_thread():
    """A job whose error is kept, with its traceback, keeps no thread alive."""

    def make():
        def fail():
            raise ValueError

        flow = one(fail, flow_id="dropped-failed")
        job = flow.execute("entry")
        assert JobState.wait_for_completion(flow, job, timeout=PATIENCE)
        return job

    job = make()
    assert gone("dropped-failed")
    assert isinstance(job.error, ValueError)


def test_a_flow_dropped_while_a_job_runs_ends_it_first():
    """A running job keeps its flow alive; afterwards its threads end."""

    def make(gate, got):
        flow = fan(lambda n: (gate.wait(PATIENCE), got.append(n)), flow_id="dropped-running")
        return weakref.ref(flow), flow.execute("entry")

    gate, got = threading.Event(), []
    reference, job = make(gate, got)
    gc.collect()
    assert reference() is not None
    gate.set()
    assert gone("dropped-running")
    assert (sorted(got), job.status, reference()) == ([0, 1, 2], "completed", None)


def test_shutdown_on_real_threads_leaves_none():
    """After ``shutdown(wait=True)`` no thread of the flow is alive, at once."""
    flow = fan(lambda n: None, count=50, flow_id="real-shutdown", max_workers=4)
    jobs = [flow.execute("entry") for _ in range(5)]
    assert flow.shutdown(wait=True) is True
    assert threads_of("real-shutdown") == []
    assert {job.status for job in jobs} == {"completed"}
    assert flow.execution_tracker.get_routine_performance("sink")["completed"] == 250
