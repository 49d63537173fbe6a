"""`Flow.execute`: where a job runs, in what order, when the call returns, and what a deadline does."""

from __future__ import annotations

import threading
import time

import pytest

from routilux import ErrorHandler, Flow, JobState, WouldDeadlockError, runtime
from routilux.abc import Runtime
from routilux.schedulers.thread_pool import ThreadPoolScheduler
from routilux_sim import simulate
from tests.engine.flows import nap, one, step
from tests.exploring import explore


def deprecated():
    return pytest.warns(DeprecationWarning, match="use JobState.wait_for_completion")


def tree(note, **options):
    """``entry`` emits to ``a`` and ``b``, each of which emits to ``a2`` or ``b2``; all call ``note(name)``."""
    flow = Flow(**options)

    def add(name, slot="in"):
        def handler():
            note(name)
            routine.emit("out")

        routine = step(handler, "out", slot=slot)
        flow.add_routine(routine, name)

    add("entry", "trigger")
    for name in ("a", "b", "a2", "b2"):
        add(name)
    for source, target in (("entry", "a"), ("entry", "b"), ("a", "a2"), ("b", "b2")):
        flow.connect(source, "out", target, "in")
    return flow


def ends(job, routine_id=None):
    return [r.event_name for r in job.get_execution_history(routine_id) if r.kind == "activation"]


def test_a_sequential_job_runs_to_its_end_in_the_calling_thread_in_queue_order():
    """``execute`` of a sequential flow returns when all is done; first emitted, first run; one thread, the caller's."""
    seen = []
    flow = tree(lambda name: seen.append((name, threading.get_ident())))
    job = flow.execute("entry")
    assert seen == [(name, threading.get_ident()) for name in ("entry", "a", "b", "a2", "b2")]
    assert (job.status, job.error) == ("completed", None)


def test_a_sequential_handler_is_not_interrupted_by_what_it_emits():
    """An emit queues and returns: the handler goes on before any receiver begins."""
    seen = []
    flow = Flow()

    def entry():
        seen.append("begin")
        routine.emit("out")
        seen.append("end")

    routine = step(entry, "out")
    flow.add_routine(routine, "entry")
    flow.add_routine(step(lambda: seen.append("sink"), slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    flow.execute("entry")
    assert seen == ["begin", "end", "sink"]


def test_a_sequential_job_takes_the_sum_of_its_handlers_times():
    """One activation at a time: durations add up."""

    def program():
        tree(lambda name: time.sleep(0.25)).execute("entry")
        return time.monotonic()

    assert simulate(program).result() == 1.25


def test_a_concurrent_execute_returns_at_once():
    """``execute`` of a concurrent flow returns with status ``running`` while the handler still runs."""

    def program():
        with one(lambda: time.sleep(1.0), execution_strategy="concurrent") as flow:
            job = flow.execute("entry")
            assert (job.status, time.monotonic()) == ("running", 0.0)
            assert JobState.wait_for_completion(flow, job)
            assert (job.status, time.monotonic()) == ("completed", 1.0)

    explore(program, schedules=200).raise_if_failed()


def test_a_concurrent_job_runs_independent_handlers_at_the_same_time():
    """What does not depend on each other overlaps: three levels of 0.25 s take 0.75 s."""

    def program():
        with tree(lambda name: time.sleep(0.25), execution_strategy="concurrent") as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert time.monotonic() == 0.75

    explore(program, schedules=200).raise_if_failed()


def test_no_more_than_max_workers_run_at_a_time():
    """``max_workers`` bounds the handlers that run together, and all of them are used."""

    def program():
        running, most = [], []

        def handler():
            running.append(1)
            most.append(len(running))
            time.sleep(1.0)
            running.pop()

        flow = Flow(execution_strategy="concurrent", max_workers=2)
        source = step(lambda: [source.emit("out") for _ in range(5)], "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(handler, slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert max(most) == 2
        assert time.monotonic() == 3.0

    explore(program, schedules=200).raise_if_failed()


def test_a_concurrent_flow_starts_in_queue_order():
    """One worker takes activations first come, first served, as a sequential job does."""

    def program():
        seen = []
        with tree(seen.append, execution_strategy="concurrent", max_workers=1) as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert seen == ["entry", "a", "b", "a2", "b2"]

    explore(program, schedules=200).raise_if_failed()


def test_the_engine_sets_the_final_status_though_nobody_waits():
    """The status is final the moment the last activation ends."""

    def program():
        with one(lambda: time.sleep(1.0), execution_strategy="concurrent") as flow:
            job = flow.execute("entry")
            time.sleep(1.001)
            assert job.status == "completed"

    explore(program, schedules=200).raise_if_failed()


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_a_strategy_given_to_execute_holds_for_that_job_alone(strategy):
    """``execution_strategy=`` decides where this one job runs; the flow stays as it is."""
    other = "concurrent" if strategy == "sequential" else "sequential"

    def program():
        threads = []

        def handler():
            threads.append(threading.current_thread().name)
            time.sleep(0.5)

        with one(handler, execution_strategy=strategy) as flow:
            for chosen in (other, None, other):
                before = time.monotonic()
                job = flow.execute("entry", execution_strategy=chosen)
                concurrent = (chosen or strategy) == "concurrent"
                assert job.status == ("running" if concurrent else "completed")
                assert time.monotonic() == before + (0 if concurrent else 0.5)
                assert JobState.wait_for_completion(flow, job)
                assert (threads.pop() != "MainThread") == concurrent
                assert flow.execution_strategy == strategy

    explore(program, schedules=100).raise_if_failed()


def test_max_workers_is_one_unless_concurrent():
    """A sequential flow has one worker whatever was configured, and remembers the figure."""
    flow = Flow(max_workers=7)
    assert flow.max_workers == 1
    flow.set_execution_strategy("concurrent")
    assert flow.max_workers == 7
    flow.set_execution_strategy("concurrent", max_workers=2)
    assert flow.max_workers == 2
    flow.set_execution_strategy("sequential")
    assert (flow.max_workers, flow.execution_strategy) == (1, "sequential")


def test_entry_parameters_reach_the_trigger_slot():
    """``entry_params`` are what the entry's handler gets; the caller's mapping is left alone."""
    seen = []
    flow = one(lambda data: (seen.append(dict(data)), data.clear()))
    parameters = {"a": 1, "b": [2]}
    flow.execute("entry", parameters)
    flow.execute("entry")
    assert seen == [{"a": 1, "b": [2]}, {}]
    assert parameters == {"a": 1, "b": [2]}


def test_an_entry_needs_a_trigger_slot():
    """Without a slot ``trigger`` a routine is no entry: a ValueError says which slots there are, and what to do."""
    flow = Flow()
    flow.add_routine(step(None, slot="in"), "sink")
    with pytest.raises(ValueError, match=r"unknown slot 'trigger' in routine 'sink'.*'in'.*define_slot\('trigger'"):
        flow.execute("sink")


def test_an_unknown_entry_is_refused():
    """An id that is not there is a ValueError that lists those that are."""
    with pytest.raises(ValueError, match=r"unknown routine 'nope'.*'entry'"):
        one(None).execute("nope")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), True, "5"])
def test_a_timeout_is_a_finite_number_above_zero(timeout):
    """Any other timeout is a ValueError, given to the flow or to ``execute``."""
    with pytest.raises(ValueError, match="timeout must be"):
        one(None).execute("entry", timeout=timeout)
    with pytest.raises(ValueError, match="execution_timeout must be"):
        Flow(execution_timeout=timeout)


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, None, "3"])
def test_max_workers_is_a_whole_number_from_one_up(workers):
    """Any other number of workers is a ValueError."""
    with pytest.raises(ValueError, match="max_workers must be"):
        Flow(max_workers=workers)


def test_bad_arguments_of_set_execution_strategy_change_nothing():
    """An unknown strategy or a bad figure leaves both as they were."""
    flow = Flow(execution_strategy="concurrent", max_workers=3)
    with pytest.raises(ValueError, match=r"'parallel'.*'concurrent', 'sequential'"):
        flow.set_execution_strategy("parallel", max_workers=9)
    with pytest.raises(ValueError, match="max_workers"):
        flow.set_execution_strategy("sequential", max_workers=0)
    assert (flow.execution_strategy, flow.max_workers) == ("concurrent", 3)


def test_other_bad_arguments_are_refused():
    """Unknown strategies and parameters that are no mapping are refused before anything runs."""
    ran = []
    flow = one(lambda: ran.append(1))
    with pytest.raises(ValueError, match="unknown execution strategy 'parallel'"):
        flow.execute("entry", execution_strategy="parallel")
    with pytest.raises(ValueError, match="unknown execution strategy"):
        Flow(execution_strategy="parallel")
    with pytest.raises(TypeError, match="entry_params must be a mapping"):
        flow.execute("entry", [1])
    with pytest.raises(TypeError, match="scheduler must be"):
        Flow(scheduler=object())
    assert ran == []


def test_a_long_timeout_is_as_good_as_none():
    """A number of seconds beyond what clocks and locks can count is still only a long time."""

    def program():
        with one(None, execution_strategy="concurrent") as flow:
            job = flow.execute("entry", timeout=1e300)
            assert JobState.wait_for_completion(flow, job)
        return job.status

    assert simulate(program).result() == "completed"


class NoTimers(Runtime):
    """The runtime at hand, in a system that has no thread to give for a timer."""

    def __init__(self):
        self._inner = inner = runtime.current()
        self.point = inner.point
        self.lock = inner.lock
        self.monotonic_ns = inner.monotonic_ns

    lock = monotonic_ns = None

    def wall_time(self):
        return self._inner.wall_time()

    def thread_name(self):
        return self._inner.thread_name()

    def new_id(self, prefix):
        return self._inner.new_id(prefix)

    def new_event_loop(self):
        return self._inner.new_event_loop()

    def at_exit(self, callback, *, early=False):
        self._inner.at_exit(callback, early=early)

    def start_thread(self, target, name):
        if "timer" in name:
            raise RuntimeError("can't start new thread")
        return self._inner.start_thread(target, name)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_job_without_a_thread_for_its_deadline_is_refused_and_over(mode):
    """The caller gets the system's error; no job is left behind for a shutdown to wait for."""

    def program():
        flow = one(None, execution_strategy=mode, scheduler=ThreadPoolScheduler(NoTimers()))
        with pytest.raises(RuntimeError, match="can't start new thread"):
            flow.execute("entry")
        return flow.shutdown(timeout=1.0)

    assert simulate(program).result() is True


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_retry_without_a_thread_for_its_timer_fails_the_job(mode):
    """What cannot be tried again is a failure like any other: the job ends, and waits for it end."""

    def program():
        def fail():
            raise ValueError("mine")

        flow = one(fail, execution_strategy=mode, execution_timeout=None, scheduler=ThreadPoolScheduler(NoTimers()))
        flow.set_error_handler(ErrorHandler("retry"))
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job, timeout=10.0)
        return job.status

    assert simulate(program).result() == "failed"


@pytest.mark.parametrize("source", ["flow", "execute"])
def test_at_its_deadline_a_job_fails_with_timeout_error(source):
    """At the very instant the job is failed; what runs goes on to its end, and only then is the job over."""

    def program():
        limit = {"execution_timeout": 0.75} if source == "flow" else {}
        with one(lambda: time.sleep(2.0), execution_strategy="concurrent", **limit) as flow:
            job = flow.execute("entry", timeout=None if source == "flow" else 0.75)
            time.sleep(0.749999999)
            assert job.status == "running"
            time.sleep(0.000000002)
            assert (job.status, type(job.error)) == ("failed", TimeoutError)
            assert job.error.args[0].endswith("did not end within 0.75 s")
            assert not JobState.wait_for_completion(flow, job, timeout=0.1)
            assert JobState.wait_for_completion(flow, job)
            assert time.monotonic() == 2.0
        assert ends(job) == ["late"]
        assert job.status == "failed"

    explore(program, schedules=100).raise_if_failed()


def test_a_timeout_given_to_execute_wins():
    """A job's own timeout replaces the flow's, longer or shorter."""

    def program():
        flow = one(lambda: time.sleep(2.0), execution_timeout=1.0)
        return [flow.execute("entry", timeout=timeout).status for timeout in (None, 3.0, 0.5)]

    assert simulate(program).result() == ["failed", "completed", "failed"]


def test_nothing_starts_after_the_deadline():
    """What is queued at the deadline, or emitted later, never runs, and is recorded as dropped."""

    def program():
        ran = []
        flow = Flow(execution_strategy="concurrent", max_workers=1, execution_timeout=1.0)

        def entry():
            routine.emit("out")
            time.sleep(2.0)
            routine.emit("out")

        routine = step(entry, "out")
        flow.add_routine(routine, "entry")
        flow.add_routine(step(lambda: ran.append(1), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert (ran, type(job.error)) == ([], TimeoutError)
        assert ends(job) == ["dropped", "dropped", "late"]

    explore(program, schedules=200).raise_if_failed()


def test_a_deadline_ends_a_sequential_job_too():
    """A sequential job is failed at its deadline by the timer; ``execute`` returns when its handler does."""

    def program():
        ran = []
        flow = Flow(execution_timeout=1.0)
        routine = step(lambda: (routine.emit("out"), time.sleep(1.5)), "out")
        flow.add_routine(routine, "entry")
        flow.add_routine(step(lambda: ran.append(1), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        job = flow.execute("entry")
        assert time.monotonic() == 1.5
        assert (job.status, type(job.error), ran) == ("failed", TimeoutError, [])
        assert (ends(job, "entry"), ends(job, "sink")) == (["late"], ["dropped"])

    explore(program, schedules=50).raise_if_failed()


def test_a_job_that_ends_in_time_is_not_failed_later():
    """The deadline of a finished job does nothing."""

    def program():
        with one(lambda: time.sleep(1.0), execution_strategy="concurrent", execution_timeout=1.001) as flow:
            job = flow.execute("entry")
            time.sleep(5.0)
            assert (job.status, job.error) == ("completed", None)

    explore(program, schedules=100).raise_if_failed()


def test_at_the_very_deadline_a_job_either_completed_or_timed_out():
    """When end and deadline fall on one instant either may come first, but status, error and record agree."""

    def program():
        with one(lambda: time.sleep(1.0), execution_strategy="concurrent", execution_timeout=1.0) as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
            assert time.monotonic() == 1.0
        outcome = (job.status, type(job.error), ends(job))
        assert outcome in [
            ("completed", type(None), ["completed"]),
            ("failed", TimeoutError, ["late"]),
            ("failed", TimeoutError, ["completed"]),
        ]
        statuses.add(job.status)

    statuses = set()
    explore(program, schedules=300).raise_if_failed()
    assert statuses == {"completed", "failed"}


def test_an_emit_outside_any_job_delivers_directly():
    """Outside a flow's run an emit calls the connected handlers here and now, in order, and returns after them."""
    seen = []
    flow = tree(seen.append)
    flow.routines["entry"].emit("out")
    assert seen == ["a", "a2", "b", "b2"]


def test_an_emit_outside_any_job_raises_what_a_handler_raises():
    """There is no job that could fail: the caller gets the error."""

    def handler():
        raise LookupError("mine")

    flow = Flow()
    flow.add_routine(step(None, "out"), "entry")
    flow.add_routine(step(handler, slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    with pytest.raises(LookupError, match="mine"):
        flow.routines["entry"].emit("out")


def test_emit_takes_the_flow_that_it_runs_in():
    """``emit(..., flow=flow)`` inside a handler is the same as leaving it out."""
    seen = []
    flow = Flow()
    routine = step(lambda: routine.emit("out", flow=flow, n=1), "out")
    flow.add_routine(routine, "entry")
    flow.add_routine(step(lambda n: seen.append((n, routine.get_execution_context())), slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    job = flow.execute("entry")
    assert seen == [(1, (flow, job, "entry"))]


def test_a_handler_knows_where_it_runs():
    """The execution context names flow, job and routine; outside a handler there is none."""
    seen = []
    flow = one(lambda: seen.append(flow.routines["entry"].get_execution_context()))
    job = flow.execute("entry")
    assert seen == [(flow, job, "entry")]
    assert flow.routines["entry"].get_execution_context() is None


def test_a_handler_may_execute_another_job():
    """A sequential job inside a handler runs to its end there, as a job of its own."""
    seen = []
    flow = one(lambda: seen.append("inner"))

    def outer():
        seen.append(flow.execute("entry").status)

    flow.add_routine(step(outer), "outer")
    job = flow.execute("outer")
    assert (seen, job.status) == (["inner", "completed"], "completed")
    assert [r.routine_id for r in job.execution_history] == ["outer"]


def test_a_flow_is_a_context_manager_that_shuts_down():
    """Leaving the block waits for the jobs under way and takes no more, also when the block raises."""

    def program():
        flow = one(lambda: time.sleep(1.0), execution_strategy="concurrent")
        jobs = []

        def fail():
            with flow as entered:
                assert entered is flow
                jobs.append(flow.execute("entry"))
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        (job,) = jobs
        assert (job.status, time.monotonic()) == ("completed", 1.0)
        with pytest.raises(RuntimeError, match="was shut down"):
            flow.execute("entry")
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=100).raise_if_failed()


def test_flow_wait_for_completion_is_deprecated_and_works():
    """It warns, waits for one job or for all, and returns False when the time is up."""

    def program():
        flow = one(nap, execution_strategy="concurrent")
        with deprecated():
            assert flow.wait_for_completion()
        with flow:
            short, long = (flow.execute("entry", {"seconds": seconds}) for seconds in (1.0, 2.0))
            with deprecated():
                assert flow.wait_for_completion(job_state=short)
            assert (short.status, long.status, time.monotonic()) == ("completed", "running", 1.0)
            with deprecated():
                assert not flow.wait_for_completion(timeout=0.5)
            assert time.monotonic() == 1.5
            with deprecated():
                assert flow.wait_for_completion()
            assert (long.status, time.monotonic()) == ("completed", 2.0)

    simulate(program).result()


def test_waiting_inside_a_handler_for_all_jobs_is_refused():
    """The deprecated wait refuses to deadlock, too."""

    def handler():
        with deprecated():
            flow.wait_for_completion()

    flow = one(handler)
    assert isinstance(flow.execute("entry").error, WouldDeadlockError)


def test_jobs_have_ids_of_their_own():
    """Every execute makes a new job of the flow."""
    flow = one(None, flow_id="orders")
    jobs = [flow.execute("entry") for _ in range(3)]
    assert len({job.job_id for job in jobs}) == 3
    assert {job.flow_id for job in jobs} == {"orders"}


def test_the_order_of_a_sequential_job_is_the_same_in_any_schedule():
    """A sequential job leaves the scheduler nothing to choose."""

    def program():
        seen = []
        tree(seen.append).execute("entry")
        assert seen == ["entry", "a", "b", "a2", "b2"]

    explore(program, schedules=100).raise_if_failed()
