"""Drawn fault plans: they are read again as the same, and one that breaks a program shrinks to the fault that does."""

from __future__ import annotations

import threading
import time

from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from routilux import ErrorHandler, JobState
from routilux_sim import replay, simulate
from routilux_sim.faults import FaultPlan
from routilux_sim.generators import FlowGraph, GivenSchedule, Node, fault_plans, schedules

QUICK = settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

GRAPH = FlowGraph((Node(emits=3), Node()), ((0, 1),), workers=2)


def run(retries: int, timeout: float = 300.0):
    """A job of `GRAPH` whose handlers are tried so many times more."""

    def program() -> str:
        with GRAPH.make_flow(execution_timeout=timeout) as flow:
            flow.set_error_handler(ErrorHandler("retry", max_retries=retries, retry_delay=0.1, retry_backoff=1.0))
            job = flow.execute("r0", {"token": "t"})
            JobState.wait_for_completion(flow, job)
            return job.status

    return program


@settings(QUICK, max_examples=200)
@given(fault_plans(["a", "b"], max_faults=4, max_nth=7, max_delay=0.5))
def test_plans_are_what_was_asked_for_and_read_again_as_the_same(plan):
    """Routines, kinds, numbers and delays keep within the bounds; ``to_dict`` and ``from_dict`` change nothing."""
    assert FaultPlan.from_dict(plan.to_dict()) == plan
    assert len(plan.faults) <= 4
    for fault in plan.faults:
        written = fault.to_dict()
        assert fault.kind in {"raise", "slow", "stall"}
        assert 1 <= fault.nth <= (70 if fault.kind == "stall" else 7)
        assert written.get("routine", "a") in {"a", "b"}
        assert 0.1 <= written.get("by", {"seconds": 0.1})["seconds"] <= 0.5


@settings(QUICK, max_examples=200)
@given(fault_plans(kinds=["spurious", "clock", "queue", "store"], max_nth=3))
def test_other_kinds_come_where_they_are_named(plan):
    """They are read again as the same, too."""
    assert FaultPlan.from_dict(plan.to_dict()) == plan
    assert {fault.kind for fault in plan.faults} <= {"spurious", "clock", "queue", "store"}


def test_a_wait_without_a_loop_shrinks_to_one_that_ends_without_cause():
    """The classic mistake is found by a plan of a single fault."""

    def program():
        condition, ready = threading.Condition(), []

        def feed():
            time.sleep(1)
            with condition:
                ready.append(1)
                condition.notify()

        threading.Thread(target=feed).start()
        with condition:
            condition.wait()
            assert ready

    kinds = ["clock", "queue", "spurious", "store"]
    plan = find(
        fault_plans(kinds=kinds),
        lambda plan: simulate(program, faults=plan, strategy="fifo").verdict == "failed",
        settings=settings(QUICK, max_examples=200),
    )
    assert [(fault.kind, fault.nth) for fault in plan.faults] == [("spurious", 1)]


def test_too_few_retries_shrink_to_two_errors_in_a_row():
    """One retry bears one error: the smallest plan that fails the job has a handler raise at two calls, and no more."""

    def fails(plan):
        return simulate(run(retries=1), faults=plan, strategy="fifo", log=False).value == "failed"

    plan = find(fault_plans(["r0", "r1"]), fails, settings=settings(QUICK, max_examples=500))
    assert [(fault.kind, fault.routine, fault.nth) for fault in plan.faults] == [("raise", "r0", 1), ("raise", "r0", 2)]


def test_a_time_limit_shrinks_to_one_delay_beyond_it():
    """A job of a second is broken off by the shortest delay that is longer, in one place."""

    def fails(plan):
        return simulate(run(retries=3, timeout=0.5), faults=plan, strategy="fifo", log=False).value == "failed"

    plan = find(fault_plans(["r0", "r1"], kinds=["slow"]), fails, settings=settings(QUICK, max_examples=200))
    (fault,) = plan.faults
    assert (fault.kind, fault.routine, fault.nth) == ("slow", "r0", 1)
    assert 0.5 <= fault.by.most <= 0.6


@settings(QUICK, max_examples=100)
@given(plan=fault_plans(["r0", "r1"], max_nth=2), schedule=schedules())
def test_enough_retries_bear_any_plan(plan, schedule):
    """With more retries than there are faults the job completes, whatever the plan and the schedule."""
    assert simulate(run(retries=3), faults=plan, strategy=schedule).result() == "completed"


def test_a_schedule_brings_faults_of_a_plan_that_are_left_to_chance():
    """A drawn schedule decides about faults that have a probability: shrunk, the one that matters comes, and alone."""
    plan = {"raise": [{"routine": "*", "probability": 0.5}], "slow": [{"probability": 0.5, "by": 0.1}]}

    def fails(schedule):
        return simulate(run(retries=0), faults=plan, strategy=schedule, log=False).value == "failed"

    schedule = find(schedules(tasks=1, decisions=1, draws=8), fails, settings=QUICK)
    assert (len(schedule.deviations), list(schedule.draws.values())) == (0, [1])
    execution = simulate(run(retries=0), faults=plan, strategy=schedule)
    assert replay(run(retries=0), execution.schedule).value == "failed"


def test_what_is_certain_comes_without_being_given():
    """A fault without a probability is there under the plain schedule."""
    plan = {"raise": [{"routine": "r0"}]}
    assert simulate(run(retries=0), faults=plan, strategy=GivenSchedule({})).value == "failed"


def test_stalls_find_what_only_a_slow_thread_shows():
    """A wait that is too short for a thread that stalls: FIFO and a stall of the other thread find it."""

    def program():
        done = threading.Event()
        thread = threading.Thread(target=done.set)
        thread.start()
        assert done.wait(timeout=0.4)
        thread.join()

    assert simulate(program, strategy="fifo").verdict == "passed"
    plan = find(
        fault_plans(kinds=["stall"]),
        lambda plan: simulate(program, faults=plan, strategy="fifo").verdict == "failed",
        settings=settings(QUICK, max_examples=500),
    )
    (fault,) = plan.faults
    assert 0.4 <= fault.by.most <= 0.5


@settings(QUICK, max_examples=20)
@given(fault_plans(kinds=[]) | fault_plans(max_faults=0) | st.just(FaultPlan()))
def test_without_kinds_or_faults_there_is_nothing_in_a_plan(plan):
    """The empty plan is what all shrink to."""
    assert not plan.faults
