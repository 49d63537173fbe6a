"""Faults and latencies in simulations: when they come, that they come back, and that one that matters is left."""

from __future__ import annotations

import asyncio
import datetime as dt
import queue
import threading
import time

import pytest

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, JobStore, QueueFullError, StoreError, fault_point
from routilux_sim import explore, replay, simulate
from routilux_sim.replay_files import load_replay, save_schedule
from tests.engine.flows import fan, one, step


def run(flow, **options):
    """Run a job of the flow to its end."""
    with flow:
        job = flow.execute("entry", **options)
        JobState.wait_for_completion(flow, job)
    return job


def elapsed(program, **options):
    """The virtual seconds that a program takes, which must pass, and so again when its schedule is replayed."""
    execution = simulate(program, **options)
    execution.result()
    assert again(program, execution).elapsed_ns == execution.elapsed_ns
    return execution.elapsed


def again(program, execution):
    """The execution of a recorded schedule, which must make the same log."""
    repeated = replay(program, execution.schedule)
    assert repeated.log_bytes() == execution.log_bytes()
    return repeated


# Handlers


def test_a_handler_raises_at_its_nth_call_only():
    """Of four calls the second raises the error named, which the job's error strategy gets."""
    seen = []

    def program():
        seen.clear()
        flow = fan(lambda n: seen.append(n), 4, max_workers=1)  # noqa: PLW0108 - it is given the value by name
        flow.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        return run(flow)

    plan = {"raise": [{"routine": "sink", "nth": 2, "error": "KeyError", "message": "gone"}]}
    execution = simulate(program, faults=plan)
    execution.result()
    assert seen == [0, 2, 3]
    assert [line["reason"] for line in execution.log if line["event"] == "fault"] == [
        "sink.in raises KeyError at its 2nd call"
    ]
    assert [line["error"] for line in execution.log if line["event"] == "activation.end" and "error" in line] == [
        "KeyError: 'gone'"
    ]
    again(program, execution)


def test_faults_of_one_handler_count_the_same_calls():
    """One that comes does not keep the others from counting its call."""
    seen = []

    def program():
        seen.clear()
        flow = fan(lambda n: seen.append(n), 5, max_workers=1)  # noqa: PLW0108 - it is given the value by name
        flow.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        return run(flow)

    plan = {"raise": [{"routine": "sink", "nth": nth} for nth in (2, 3, 5)]}
    execution = simulate(program, faults=plan)
    execution.result()
    assert seen == [0, 3]
    assert [line["reason"] for line in execution.log if line["event"] == "fault"] == [
        f"sink.in raises RuntimeError at its {nth} call" for nth in ("2nd", "3rd", "5th")
    ]
    again(program, execution)


def test_faults_of_one_point_count_the_same_passes():
    """So do they at a point."""
    plan = {"point": [{"name": "crossing", "nth": nth, "error": "OSError"} for nth in (1, 2)]}
    assert simulate(crossing, faults=plan).result() == ["an injected fault", "an injected fault", 0.0]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("emits", "emitted", "slept"), [(None, [], 0.0), (0, [], 1.0), (1, [0], 2.0), (2, [0, 1], 3.0), (5, [0, 1], 3.0)]
)
def test_a_handler_raises_halfway(is_async, emits, emitted, slept):
    """When it has emitted so much and is about to emit again, or has come to its end: what it did is done."""

    def program():
        got = []
        flow = Flow(execution_strategy="concurrent")

        def go():
            for n in range(2):
                time.sleep(1)
                first.emit("out", n=n)
            time.sleep(1)

        async def go_async():
            for n in range(2):
                await asyncio.sleep(1)
                first.emit("out", n=n)
            await asyncio.sleep(1)

        first = step(go_async if is_async else go, "out")
        flow.add_routine(first, "entry")
        flow.add_routine(step(lambda n: got.append(n), slot="in"), "sink")  # noqa: PLW0108 - as above
        flow.connect("entry", "out", "sink", "in")
        flow.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        run(flow)
        return got

    fault = {"routine": "entry", "message": "halfway"} | ({} if emits is None else {"emits": emits})
    execution = simulate(program, faults={"raise": [fault]})
    assert (execution.result(), execution.elapsed) == (emitted, slept)
    assert [line["error"] for line in execution.log if "error" in line] == ["RuntimeError: halfway"]
    again(program, execution)


def test_a_handler_that_fails_by_itself_does_so():
    """A fault that would come later in the same call is not needed; what is caught at an emit is raised at the end."""

    def program(fails):
        flow = Flow(execution_strategy="concurrent")

        def go():
            try:
                first.emit("out")
            except RuntimeError:
                if fails:
                    raise KeyError("its own") from None

        first = step(go, "out")
        flow.add_routine(first, "entry")
        return run(flow).error

    plan = {"raise": [{"emits": 0}]}
    for fails, words in ((True, "KeyError('its own')"), (False, "RuntimeError('an injected fault')")):
        assert repr(simulate(lambda fails=fails: program(fails), faults=plan).result()) == words


def test_retries_count_as_calls():
    """A handler that raises at its first two calls is through at the third, and the delays are the strategy's."""
    times = []

    def program():
        times.clear()
        flow = one(lambda: times.append(time.monotonic()))
        flow.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=3, retry_delay=1.0, retry_backoff=2.0))
        began = time.monotonic()
        job = run(flow)
        return job.status, [at - began for at in times]

    execution = simulate(program, faults={"raise": [{"routine": "entry", "nth": 1, "times": 2}]})
    assert execution.result() == ("completed", [3.0])
    again(program, execution)


def test_an_error_may_be_named_by_its_import_path():
    """What is raised is the very class."""

    def program():
        return run(one(lambda: None)).error

    execution = simulate(program, faults={"raise": [{"error": "routilux:StoreError", "message": "so"}]})
    assert type(execution.result()) is StoreError
    assert str(execution.result()) == "so"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tests.faults.test_faults:nothing", "there is no 'nothing'"),
        ("tests.faults.test_faults:run", "must name an exception"),
        ("builtins:KeyboardInterrupt", "must name an exception"),
        ("routilux:QueueFullError", "cannot be made of a message alone"),
        ("no_such_module:Error", "cannot import"),
    ],
)
def test_an_error_that_cannot_be_raised_is_refused_before_anything_runs(name, words):
    """The message says which fault names it."""
    with pytest.raises(ValueError, match=rf"^faults\.raise\[1\]\.error.*{words}"):
        simulate(lambda: pytest.fail("it ran"), faults={"raise": [{}, {"error": name}]})


def test_a_slow_call_takes_longer_by_what_the_plan_says():
    """The second call takes the handler's own time and half a second more."""

    def program():
        run(fan(lambda n: time.sleep(0.1), 3, max_workers=1))

    assert elapsed(program) == pytest.approx(0.3)
    assert elapsed(program, faults={"slow": [{"routine": "sink", "nth": 2, "by": 0.5}]}) == pytest.approx(0.8)


def test_a_slow_call_is_drawn_from_its_distribution():
    """Over many seeds each of the values comes, and nothing else."""

    def program():
        run(one(lambda: None))

    plan = {"slow": [{"by": {"kind": "empirical", "values": [0.25, 0.5, 4.0]}}]}
    assert {elapsed(program, seed=seed, faults=plan) for seed in range(20)} == {0.25, 0.5, 4.0}


def test_handlers_of_coroutines_are_slow_without_holding_up_the_loop():
    """Three coroutines that are slow by a second take one together; the one that raises does so after it."""

    async def handle(n):
        await asyncio.sleep(0.5)

    def program():
        flow = fan(handle, 3)
        flow.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        return run(flow).status

    plan = {"slow": [{"routine": "sink", "by": 1}], "raise": [{"routine": "sink", "nth": 3}]}
    execution = simulate(program, faults=plan)
    assert execution.result() == "completed"
    assert execution.elapsed == 1.5
    assert sum(line["event"] == "activation.end" and line.get("error") is not None for line in execution.log) == 1
    again(program, execution)


@pytest.mark.parametrize(
    ("latency", "seconds"),
    [
        (0.2, {0.2}),
        ({"kind": "uniform", "low": 1, "high": 2}, {1 + n / 100 for n in range(101)}),
        ({"kind": "normal", "mean": 0.0, "deviation": 0.0}, {0.0}),
        ({"kind": "empirical", "values": [1, 2]}, {1.0, 2.0}),
    ],
)
def test_latencies_are_what_handlers_take(latency, seconds):
    """The job takes what the distribution says, whatever the seed, and with fifo the plain duration."""

    def program():
        run(one(lambda: None))

    faults = {"latencies": {"entry": latency}}
    found = {elapsed(program, seed=seed, faults=faults) for seed in range(12)}
    assert all(any(one == pytest.approx(other) for other in seconds) for one in found)
    assert len(found) > 1 or len(seconds) == 1
    plain = elapsed(program, strategy="fifo", faults=faults)
    assert plain == pytest.approx(min(seconds))


def test_the_latency_of_a_slot_goes_before_that_of_its_routine():
    """Only the slot named has it."""

    def program():
        run(fan(lambda n: None, 1, max_workers=1))

    latencies = {"sink": 5, "sink.in": 1, "entry": 0.25, "entry.other": 9}
    assert elapsed(program, faults={"latencies": latencies}) == pytest.approx(1.25)


# Threads and clocks


def test_a_stalled_worker_is_held_while_the_clock_goes_on():
    """Another thread's wait of 0.1 s runs out meanwhile, and the stalled one goes on at 0.4 s to the nanosecond."""

    def program():
        ready = threading.Event()
        at = []

        def work():
            ready.set()
            at.append(time.monotonic())

        began = time.monotonic()
        worker = threading.Thread(target=work, name="worker-1")
        worker.start()
        in_time = ready.wait(0.1)
        worker.join()
        return in_time, at[0] - began

    plan = {"stall": [{"task": "worker-*", "nth": 1, "by": 0.4}]}
    execution = simulate(program, faults=plan)
    assert simulate(program).result() == (True, 0.0)
    assert execution.result() == (False, 0.4)
    again(program, execution)


def test_a_stall_before_a_free_lock_leaves_it_to_others():
    """Who stalls on its way to a lock does not have it: another thread takes and gives it back in between."""

    def program():
        lock, order = threading.Lock(), []

        def work(name):
            with lock:
                order.append((name, time.monotonic() - began))

        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(name,), name=name) for name in ("slow", "quick", "other")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(order)

    plan = {"stall": [{"task": "slow", "nth": 1, "by": 2}]}
    seen = set()
    for seed in range(50):
        execution = simulate(program, seed=seed, faults=plan)
        (reason,) = (line["reason"] for line in execution.log if line["event"] == "fault")
        seen.add(reason)
        if reason == "slow stalls for 2 s before acquire Lock-1":
            assert execution.result() == [("other", 0.0), ("quick", 0.0), ("slow", 2.0)]
    # Who had to wait for it has no such step, and stalls with the lock in hand.
    assert seen == {"slow stalls for 2 s before acquire Lock-1", "slow stalls for 2 s before release Lock-1"}
    again(program, execution)


def test_locks_are_sound_under_stalls_anywhere():
    """Whoever stalls and whenever, nobody is inside together with somebody else, and all come through."""

    def program():
        lock, inside = threading.Condition(), []

        def work(name):
            for _ in range(3):
                with lock:
                    inside.append(name)
                    lock.notify()
                    time.sleep(0.01)
                    assert inside.pop() == name
                    assert not inside
                with lock:
                    lock.wait(0.02)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    plan = {"stall": [{"probability": 0.2, "by": {"kind": "uniform", "low": 0, "high": 0.03}}]}
    report = explore(program, schedules=150, faults=plan, instrument=None)
    assert report.verdict == "passed", report


@pytest.mark.parametrize(("after", "seconds"), [(0, 0.0), (0.25, 0.25)])
def test_a_wait_in_a_condition_ends_without_a_notify(after, seconds):
    """The first wait does, after the time planned, as if notified; the second waits for the real one."""

    def program():
        condition, times = threading.Condition(), []

        def work():
            with condition:
                times.append((condition.wait(), time.monotonic() - began))
                times.append((condition.wait(5), time.monotonic() - began))

        began = time.monotonic()
        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(1)
        with condition:
            condition.notify()
        worker.join()
        return times

    execution = simulate(program, faults={"spurious": [{"condition": "Condition-1", "nth": 1, "after": after}]})
    assert execution.result() == [(True, seconds), (True, 1.0)]
    again(program, execution)


def test_a_spurious_wake_up_later_than_the_wait_does_not_come():
    """A wait that ends sooner by itself ends as it would."""

    def program():
        condition = threading.Condition()
        with condition:
            return condition.wait(0.5)

    execution = simulate(program, faults={"spurious": [{"nth": 1, "after": 1}]})
    assert execution.result() is False
    assert execution.elapsed == 0.5


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(by):
    """From one second on all that tells the date is off by as much, and what measures durations is not."""

    def program():
        began = time.time(), dt.datetime.now(), time.monotonic(), time.perf_counter_ns()
        readings = []
        for _ in range(2):
            time.sleep(0.75)
            readings.append(
                (
                    time.time() - began[0],
                    (dt.datetime.now() - began[1]).total_seconds(),
                    time.monotonic() - began[2],
                    (time.perf_counter_ns() - began[3]) / 1e9,
                )
            )
        return readings

    execution = simulate(program, faults={"clock": [{"at": 1, "by": by}]})
    first, second = execution.result()
    assert first == pytest.approx((0.75, 0.75, 0.75, 0.75))
    assert second == pytest.approx((1.5 + by, 1.5 + by, 1.5, 1.5))
    again(program, execution)


# Queues and stores


def test_a_queue_with_a_limit_says_that_it_is_full():
    """At once without waiting, after the time limit with one; never to who waits for as long as it takes."""

    def program():
        outcomes = []
        box = queue.Queue(3)
        began = time.monotonic()
        for call in (box.put_nowait, lambda item: box.put(item, timeout=0.5), box.put, box.put_nowait):
            try:
                call("x")
                outcomes.append("put")
            except queue.Full:
                outcomes.append(time.monotonic() - began)
        queue.Queue().put_nowait("there is no limit")
        return outcomes, box.qsize()

    execution = simulate(program, faults={"queue": [{"queue": "Queue-1", "nth": 1, "times": 2}]})
    assert execution.result() == ([0.0, 0.5, "put", "put"], 2)
    again(program, execution)


def test_a_flow_with_max_pending_says_that_it_is_full():
    """Its second emit raises QueueFullError, though there is room."""

    def program():
        job = run(fan(lambda n: None, 3, max_pending=100))
        return type(job.error), job.error.flow_id if hasattr(job.error, "flow_id") else None

    execution = simulate(program, faults={"queue": [{"nth": 2}]})
    assert execution.result()[0] is QueueFullError
    assert simulate(program).error is not None or simulate(program).result()[0] is type(None)
    again(program, execution)


def test_a_store_fails():
    """The operation planned raises and has done nothing; the next one works."""

    def program():
        said = []
        with JobStore(":memory:") as store:
            job = run(one(lambda: None, store=store, flow_id="stored"))
            for call in (store.jobs, store.jobs, lambda: store.delete(job.job_id), lambda: store.delete(job.job_id)):
                try:
                    said.append(call())
                except StoreError as error:
                    said.append(str(error))
        return job.status, said[0], len(said[1]), said[2:]

    plan = {"store": [{"operation": "read", "nth": 1, "message": "the disk is gone"}]}
    assert simulate(program, faults=plan).result() == ("completed", "the disk is gone", 1, [True, False])


def test_a_job_whose_record_fails_says_so():
    """A flow whose store raises at the first write does not begin the job."""

    def program():
        with JobStore(":memory:") as store, pytest.raises(OSError, match="no space left"):
            run(one(lambda: None, store=store, flow_id="stored"))
        return True

    plan = {"store": [{"operation": "write", "nth": 1, "error": "OSError", "message": "no space left"}]}
    execution = simulate(program, faults=plan)
    assert execution.result() is True
    again(program, execution)


# Points of the code's own


def crossing():
    """A program that passes the point ``crossing`` three times."""
    outcomes = []
    for _ in range(3):
        began = time.monotonic()
        try:
            fault_point("crossing")
        except OSError as error:
            outcomes.append(str(error))
        else:
            outcomes.append(time.monotonic() - began)
    return outcomes


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"error": "OSError", "message": "so"}, [0.0, "so", 0.0]),
        ({"action": "delay", "by": 0.3}, [0.0, 0.3, 0.0]),
        ({"action": "stall", "by": 0.3}, [0.0, 0.3, 0.0]),
    ],
)
def test_a_point_that_the_code_has_named(fault, expected):
    """The plan may have it raise, take longer or stall; here at the second pass."""
    execution = simulate(crossing, faults={"point": [{"name": "cross*", "nth": 2, **fault}]})
    assert execution.result() == pytest.approx(expected)
    again(crossing, execution)


def test_a_point_is_nothing_outside_a_plan():
    """Neither in a simulation without one, nor on real threads."""
    assert fault_point("crossing") is None
    assert simulate(crossing).result() == [0.0, 0.0, 0.0]


def test_a_point_costs_next_to_nothing_in_production():
    """Below 100 ns in the best of several measurements, with the simulator imported."""
    number = 20_000
    best = 1.0
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(number):
            fault_point("x")
        best = min(best, (time.perf_counter() - began) / number)
    assert best < 100e-9


# Tape, replay, shrinking


def test_a_plan_of_which_nothing_can_come_leaves_no_trace():
    """With all probabilities zero the logs and schedules are those of no plan at all, to the byte."""
    plan = {
        "raise": [{"probability": 0}],
        "slow": [{"probability": 0, "by": 1}],
        "stall": [{"probability": 0, "by": 1}],
        "spurious": [{"probability": 0}],
        "clock": [{"probability": 0, "at": 0, "by": 1}],
        "queue": [{"probability": 0}],
        "store": [{"probability": 0}],
        "point": [{"probability": 0, "name": "*"}],
    }

    def program():
        fault_point("x")
        run(fan(time.sleep, 3, max_pending=9))
        condition = threading.Condition()
        with condition:
            condition.wait(1)
        return time.time()

    for seed in range(20):
        plain, planned = simulate(program, seed=seed), simulate(program, seed=seed, faults=plan)
        assert planned.log_bytes() == plain.log_bytes()
        assert planned.schedule == plain.schedule
        assert planned.schedule.faults is None


def test_a_fault_that_has_not_come_changes_nothing_but_the_tape():
    """Where chance says no, the log is that of no plan."""

    def program():
        crossing()

    plan = {"point": [{"name": "crossing", "probability": 0.3, "error": "OSError"}]}
    logs = {simulate(program, seed=seed, faults=plan).log_bytes() for seed in range(20)}
    assert simulate(program).log_bytes() in logs
    assert len(logs) > 3


def test_the_same_seed_has_the_same_faults_and_others_have_others():
    """By probability, under each strategy by name."""

    def program():
        return [type(outcome) is str for outcome in crossing()]

    plan = {"point": [{"name": "crossing", "probability": 0.5, "error": "OSError"}]}
    for strategy in ("random", "fifo", "pct", "pos", "surw"):
        found = [simulate(program, seed=seed, strategy=strategy, faults=plan).result() for seed in range(12)]
        assert found == [simulate(program, seed=seed, strategy=strategy, faults=plan).result() for seed in range(12)]
        assert len({tuple(each) for each in found}) > 2


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_enumeration_tries_what_is_likely_both_ways_and_what_is_certain_one_way(strategy):
    """Three passes of a point that may raise are eight outcomes, and a certain second one leaves none without."""
    outcomes = set()

    def program():
        outcomes.add(tuple(type(outcome) is str for outcome in crossing()))

    def all_of(fault):
        outcomes.clear()
        plan = {"point": [{"name": "crossing", "error": "OSError", **fault}]}
        report = explore(program, strategy=strategy, faults=plan)
        assert report.verdict == "exhausted", report
        return outcomes, report.schedules

    found, schedules = all_of({"probability": 0.001})
    assert (len(found), schedules) == (8, 8)
    assert all_of({"nth": 2}) == ({(False, True, False)}, 1)


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_enumeration_tries_each_level_of_what_is_certain(strategy):
    """A stall of one of three lengths is three schedules."""
    times = set()

    def program():
        times.add(tuple(crossing()))

    by = {"kind": "empirical", "values": [1, 2, 4]}
    plan = {"point": [{"name": "crossing", "action": "stall", "nth": 1, "by": by}]}
    report = explore(program, strategy=strategy, faults=plan)
    assert (report.verdict, report.schedules) == ("exhausted", 3)
    assert {first for first, *_ in times} == {1.0, 2.0, 4.0}


@pytest.mark.parametrize(
    "plan",
    [
        {"point": [{"name": "here", "probability": 0.5, "times": 1, "error": "OSError"}]},
        {
            "point": [{"name": "here", "nth": 2, "error": "OSError"}],
            "clock": [{"at": 0.2, "by": 9, "probability": 0.5}],
        },
        {"spurious": [{"nth": 1, "probability": 0.5}]},
    ],
)
def test_fewer_schedules_have_all_outcomes(plan):
    """What the reduction leaves out under a plan comes to nothing else than what it runs."""
    outcomes = set()

    def program():
        condition, told = threading.Condition(), []

        def work(name):
            try:
                fault_point("here")
            except OSError:
                name = name.upper()
            with condition:
                told.append(name)
                condition.notify()

        thread = threading.Thread(target=work, args=("a",))
        thread.start()
        work("b")
        with condition:
            told.append(condition.wait(0.2))
        thread.join()
        outcomes.add((*told, time.time() - time.monotonic(), time.monotonic()))

    found = []
    for strategy in ("dfs", "dpor"):
        outcomes.clear()
        report = explore(program, strategy=strategy, faults=plan, schedules=20_000)
        assert report.verdict == "exhausted", report
        assert "and of the faults planned" in report.proof
        found.append((set(outcomes), report.schedules))
    (everything, many), (reduced, few) = found
    assert len(everything) > 2
    assert reduced == everything
    assert few <= many


def test_the_reduction_proves_nothing_where_tasks_stall():
    """What it takes for the same order may have other steps to stall at; it says so, and enumeration proves it."""

    def program():
        lock = threading.Lock()
        with lock:
            pass

    plan = {"stall": [{"probability": 0.5, "times": 1, "by": 1}]}
    reduced = explore(program, strategy="dpor", faults=plan)
    assert reduced.verdict == "passed"
    assert "a task may stall at any step" in reduced.reason
    assert explore(program, strategy="dfs", faults=plan).verdict == "exhausted"


def fragile():
    """A program that breaks when its worker is not ready within 0.1 s, or its point raises."""
    ready = threading.Event()
    worker = threading.Thread(target=ready.set, name="worker-1")
    worker.start()
    fault_point("fragile")
    assert ready.wait(0.1), "it took too long"
    worker.join()


NOISE = {
    "point": [{"name": "fragile", "action": "delay", "by": 0.01}, {"name": "other", "error": "OSError"}],
    "stall": [{"probability": 0.3, "by": {"kind": "empirical", "values": [0.01, 0.4, 2]}}],
}


def test_shrinking_leaves_the_one_fault_that_matters():
    """Of delays and stalls of many lengths the shortest that breaks it is left, and the sentence says so."""
    report = explore(fragile, schedules=300, faults=NOISE, instrument=None)
    failure = report.failure
    assert failure is not None, report
    assert failure.findings.shrunk.after.faults == 1
    assert failure.sentence == "FIFO everywhere, but only if worker-1 stalls for 0.4 s before set Event-1"
    assert failure.sentence in failure.explanation
    assert "it passes unless worker-1 stalls for 0.4 s" in failure.explanation
    assert isinstance(replay(fragile, failure.shrunk).error, AssertionError)


def nap(n):
    time.sleep(n)


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_fault_is_shrunk_to_itself_whoever_made_the_call(seed):
    """It came to a call that another task makes when nothing else is unusual; so it is moved there."""

    def program():
        flow = fan(nap, 4, max_workers=3)
        assert run(flow).status == "completed"

    plan = {"raise": [{"routine": "sink", "nth": 3}], "stall": [{"probability": 0.1, "by": 1, "times": 2}]}
    failure = explore(program, faults=plan, swarm=True, seed=10 * seed, strategy="random").failure
    assert failure.sentence == "FIFO everywhere, but only if sink.in raises RuntimeError at its 3rd call"


def test_shrinking_drops_what_is_certain_and_does_not_matter():
    """Of two handlers that raise for sure, one breaks the program, and is named."""

    def program():
        flow = fan(lambda n: None, 2, max_workers=1)
        flow.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        run(flow)
        fault_point("end")

    plan = {
        "raise": [{"routine": "sink", "nth": 2, "error": "ValueError"}],
        "point": [{"name": "end", "error": "ValueError"}],
    }
    report = explore(program, faults=plan, instrument=None)
    assert report.failure.sentence == "FIFO everywhere, but only if point 'end' raises ValueError at its 1st pass"


def test_a_failure_that_needs_no_fault_is_shrunk_to_one_without():
    """A race that is there anyhow is not put down to the faults that came with it."""

    def program():
        counter = {"n": 0}

        def work():
            n = counter["n"]
            time.sleep(0)
            counter["n"] = n + 1

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter["n"] == 2

    report = explore(program, faults={"stall": [{"probability": 0.5, "by": 0.1}]}, instrument=None)
    assert report.failure.findings.shrunk.after.faults == 0
    assert "only if" not in report.failure.sentence


def test_a_replay_file_keeps_the_plan(tmp_path):
    """What is read back fails in the same way without being told of the plan; and is found to need no more of it."""
    failure = explore(fragile, schedules=300, faults=NOISE, instrument=None).failure
    path = tmp_path / "fragile.replay.json"
    save_schedule(failure.schedule, path)
    assert load_replay(path).schedule.faults == failure.schedule.faults
    execution = replay(fragile, path)
    assert type(execution.error) is AssertionError
    assert execution.log_bytes() == replay(fragile, failure.schedule).log_bytes()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"swarm": false', '"swarm": 3', "faults: 'swarm' must be true or false, not 3"),
        (
            '"probability": 0.3',
            '"probability": 7',
            r"faults\.plan\.stall\[0\]\.probability must be a number from 0 to 1",
        ),
    ],
)
def test_a_replay_file_with_a_broken_plan_is_refused(tmp_path, old, new, words):
    """The message names the file and the place."""
    path = tmp_path / "x.replay.json"
    save_schedule(simulate(fragile, faults=NOISE).schedule, path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"x\.replay\.json: {words}"):
        load_replay(path)


# Swarm


def test_swarm_draws_by_seed_which_faults_exist():
    """Of three points each seed has its own set; where one exists it always comes, and the draws come back."""

    def program():
        came = []
        for name in "abc":
            try:
                fault_point(name)
            except OSError:
                came.append(name)
        return "".join(came)

    plan = {"point": [{"name": name, "error": "OSError"} for name in "abc"]}
    executions = [simulate(program, seed=seed, faults=plan, swarm=True) for seed in range(60)]
    assert {execution.result() for execution in executions} == {"", "a", "b", "c", "ab", "ac", "bc", "abc"}
    for execution in executions[:10]:
        assert replay(program, execution.schedule).result() == execution.result()
        assert simulate(program, seed=execution.seed, faults=plan, swarm=True).result() == execution.result()


def test_swarm_has_threads_stall_where_the_plan_does_not():
    """Without a plan, a program that takes its threads to be quick is found out."""
    report = explore(fragile, schedules=3000, swarm=True, instrument=None)
    assert report.verdict == "failed", report
    assert "but only if worker-1 stalls for 0.1 s" in report.failure.sentence
    assert explore(fragile, schedules=300, instrument=None).verdict != "failed"


def test_a_plan_must_be_one():
    """Whatever else is given is refused with the place of what is wrong."""
    with pytest.raises(ValueError, match=r"^faults must be a table"):
        simulate(fragile, faults=[])
    with pytest.raises(ValueError, match=r"^swarm must be True or False, not 1"):
        explore(fragile, swarm=1)
    with pytest.raises(ValueError, match=r"^faults\.stall\[0\]\.by is missing"):
        replay(fragile, simulate(fragile).schedule, faults={"stall": [{"nth": 1}]})
