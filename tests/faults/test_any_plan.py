"""Laws that hold for any plan, whatever it makes go wrong."""

from __future__ import annotations

import queue
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, JobStore, QueueFullError, fault_point
from routilux_sim import explore, replay, simulate
from tests.engine.flows import step

little = st.sampled_from([0, 0.05, 0.1, {"kind": "uniform", "low": 0, "high": 0.3}])
when = {
    "nth": st.integers(1, 4),
    "probability": st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    "times": st.integers(1, 3),
}
errors = st.sampled_from(["ValueError", "OSError", "routilux:StoreError"])


def faults(required=None, optional=None):
    """Up to two faults of a kind."""
    given = required or {}
    more = {**when, **(optional or {})}
    rest = {key: more[key] for key in more if key not in given}
    return st.lists(st.fixed_dictionaries(given, optional=rest), max_size=2)


plans = st.fixed_dictionaries(
    {},
    optional={
        "raise": faults(None, {"error": errors, "routine": st.sampled_from(["entry", "sink", "*"])}),
        "slow": faults({"by": little}),
        "stall": faults({"by": little, "probability": st.sampled_from([0.05, 0.3])}, {"task": st.just("T*")}),
        "spurious": faults({"probability": st.sampled_from([0.2, 1.0])}, {"after": little}),
        "clock": st.lists(
            st.fixed_dictionaries({"at": st.sampled_from([0, 0.1]), "by": st.sampled_from([-60, 60])}), max_size=1
        ),
        "queue": faults(),
        "store": faults(None, {"error": errors}),
        "point": faults({"name": st.just("here")}, {"error": errors}),
        "latencies": st.dictionaries(st.sampled_from(["entry", "sink"]), little, max_size=2),
    },
)


def program():
    """Uses what may go wrong, and minds it: it comes to its end under any plan."""
    said = []
    condition, box = threading.Condition(), queue.Queue(1)

    def wait():
        with condition:
            said.append(condition.wait(0.2))

    def put():
        for item in range(3):
            try:
                box.put(item, timeout=0.1)
            except queue.Full:
                said.append("full")

    threads = [threading.Thread(target=target, name=f"T{n}") for n, target in enumerate((wait, put))]
    for thread in threads:
        thread.start()
    try:
        fault_point("here")
    except (ValueError, OSError, RuntimeError) as error:
        said.append(type(error).__name__)
    try:
        said.append(_job())
    except (ValueError, OSError, RuntimeError) as error:
        said.append(type(error).__name__)
    said.append(box.get(timeout=30))
    for thread in threads:
        thread.join()
    return said, time.time(), time.monotonic()


def _job():
    def go():
        for n in range(2):
            try:
                source.emit("out", n=n)
            except QueueFullError:
                return

    async def take(n):
        fault_point("here")

    with JobStore(":memory:") as store:
        flow = Flow("any", execution_strategy="concurrent", max_pending=5, store=store)
        flow.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=1, retry_delay=0.05))
        source = step(go, "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(take, slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry", timeout=60)
            JobState.wait_for_completion(flow, job)
            return job.status


@given(plans, st.integers(0, 1000), st.booleans(), st.sampled_from(["random", "fifo", "pct:3", "surw"]))
@settings(max_examples=25, deadline=None)
def test_any_plan_gives_one_log_for_one_seed_and_replays(plan, seed, swarm, strategy):
    """To the byte; and the tape alone, without the seed's chance, brings every fault back."""
    hold_to_its_log(plan, seed, swarm, strategy)


@pytest.mark.long
@given(
    plans, st.integers(0, 100_000), st.booleans(), st.sampled_from(["random", "fifo", "pct", "pos", "mutation", "dfs"])
)
@settings(max_examples=600, deadline=None)
def test_many_plans_give_one_log_for_one_seed_and_replay(plan, seed, swarm, strategy):
    """The same of many more."""
    hold_to_its_log(plan, seed, swarm, strategy)


def hold_to_its_log(plan, seed, swarm, strategy):
    """Run a plan twice, and its schedule: all logs are the same."""
    execution = simulate(program, seed=seed, faults=plan, swarm=swarm, strategy=strategy)
    repeated = simulate(program, seed=seed, faults=plan, swarm=swarm, strategy=strategy)
    assert repeated.log_bytes() == execution.log_bytes()
    replayed = replay(program, execution.schedule)
    assert replayed.log_bytes() == execution.log_bytes()
    assert execution.error is None or execution.kind is not None, execution.error


@given(plans, st.integers(0, 1000))
@settings(max_examples=2, deadline=None)
def test_any_plan_can_be_explored_by_all_strategies(plan, seed):
    """In a portfolio, with the determinism of each schedule checked: nothing but the program itself fails."""
    report = explore(program, schedules=12, seed=seed, faults=plan, check_determinism=True, instrument=None)
    assert report.nondeterminism is None, report
    assert report.verdict != "inconclusive", report
