"""Waiting for a job, and jobs as islands: nothing of one reaches the other."""

from __future__ import annotations

import contextvars
import threading
import time

import pytest

from routilux import ErrorHandler, Flow, JobState, WouldDeadlockError
from routilux_sim import simulate
from tests.engine.flows import fan, nap, step
from tests.exploring import explore


def one(handler, **options):
    flow = Flow(execution_strategy="concurrent", **options)
    flow.add_routine(step(handler), "entry")
    return flow


def outstanding(job):
    account = job._account
    return account.outstanding()


def test_true_means_that_nothing_is_left():
    """When the wait returns True nothing of the job is queued, running or waiting to be retried, in any schedule."""

    def program():
        tries = {}
        ended = []

        def handler(n):
            tries[n] = tries.get(n, 0) + 1
            time.sleep(0.1)
            if tries[n] <= n:
                raise ValueError(n)
            ended.append(n)

        flow = fan(handler, max_workers=2)
        flow.set_error_handler(ErrorHandler("retry", retry_delay=0.5))
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
            assert sorted(ended) == [0, 1, 2]
            assert tries == {0: 1, 1: 2, 2: 3}
            assert not outstanding(job)
            assert job.status == "completed"
            assert [r.event_name for r in job.get_execution_history("sink")].count("completed") == 3
            assert {state["status"] for state in job.routine_states.values()} == {"completed"}

    explore(program, schedules=400).raise_if_failed()


def test_a_wait_ends_the_moment_the_last_activation_does():
    """The wait returns at the very instant of the last handler's end, in virtual time."""

    def program():
        with fan(lambda n: time.sleep(1.0 + n)) as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job, timeout=100.0)
            assert time.monotonic() == 3.0

    explore(program, schedules=200).raise_if_failed()


@pytest.mark.parametrize("timeout", [0, 0.0, 1e-9, 0.25, 0.1 + 0.2, 0.999999999])
def test_false_comes_on_time(timeout):
    """When the time runs out first the wait returns False at the exact virtual instant, and the job goes on."""

    def program():
        with one(lambda: time.sleep(1.0)) as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job, timeout=timeout) is False
            assert time.monotonic_ns() == round(timeout * 1e9)
            assert job.status == "running"
            assert JobState.wait_for_completion(flow, job) is True
            assert (time.monotonic(), job.status) == (1.0, "completed")

    explore(program, schedules=60).raise_if_failed()


def test_a_wait_for_a_finished_job_returns_at_once():
    """Waiting again, or with no time at all, gives True when the job is over."""

    def program():
        with one(None) as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
            assert JobState.wait_for_completion(flow, job, timeout=0)
            assert JobState.wait_for_completion(flow, job)
        assert JobState.wait_for_completion(flow, job)

    explore(program, schedules=60).raise_if_failed()


def test_a_wait_for_a_sequential_job_is_true():
    """A sequential job is over when ``execute`` returns."""
    flow = Flow()
    flow.add_routine(step(None), "entry")
    assert JobState.wait_for_completion(flow, flow.execute("entry"), timeout=0)


def test_a_failed_job_is_over_when_what_runs_has_ended():
    """A failure sets the status at once; the wait is for the handlers that still run."""

    def program():
        def handler(n):
            time.sleep(n)
            if n == 1:
                raise ValueError

        with fan(handler) as flow:
            job = flow.execute("entry")
            assert not JobState.wait_for_completion(flow, job, timeout=1.5)
            assert job.status == "failed"
            assert JobState.wait_for_completion(flow, job)
            assert time.monotonic() == 2.0

    explore(program, schedules=100).raise_if_failed()


def test_the_tuning_arguments_are_accepted_and_unused():
    """Stability checks, intervals and delays change nothing: nothing polls."""

    def program():
        with one(lambda: time.sleep(1.0)) as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(
                flow, job, timeout=5.0, stability_checks=9, check_interval=7.0, stability_delay=8.0
            )
            assert time.monotonic() == 1.0

    simulate(program).result()


def test_many_threads_may_wait_for_one_job():
    """Each waiter gets its answer: those with too little time False on time, the others True at the end."""

    def program():
        answers = {}

        def wait(timeout):
            over = JobState.wait_for_completion(flow, job, timeout=timeout)
            answers[timeout] = (over, time.monotonic())

        with one(lambda: time.sleep(1.0)) as flow:
            job = flow.execute("entry")
            waiters = [threading.Thread(target=wait, args=(timeout,)) for timeout in (0.5, 0.75, 2.0, None)]
            for waiter in waiters:
                waiter.start()
            for waiter in waiters:
                waiter.join()
        assert answers == {0.5: (False, 0.5), 0.75: (False, 0.75), 2.0: (True, 1.0), None: (True, 1.0)}

    explore(program, schedules=200).raise_if_failed()


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), True, "1"])
def test_a_wait_is_a_finite_number_of_seconds(timeout):
    """Anything else is a ValueError."""
    flow = Flow()
    flow.add_routine(step(None), "entry")
    job = flow.execute("entry")
    with pytest.raises(ValueError, match="timeout must be"):
        JobState.wait_for_completion(flow, job, timeout=timeout)


def test_only_a_job_of_the_flow_is_waited_for():
    """A job of another flow, or one that no flow began, is a ValueError."""
    flow, other = Flow("one"), Flow("two")
    for each in (flow, other):
        each.add_routine(step(None), "entry")
    for job in (other.execute("entry"), JobState("one")):
        with pytest.raises(ValueError, match="is not a job of flow 'one'"):
            JobState.wait_for_completion(flow, job)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_handler_that_waits_for_its_own_job_is_refused(mode):
    """It could never end: WouldDeadlockError, at once, also in a thread that inherits the handler's context."""

    def program():
        def go():
            JobState.wait_for_completion(flow, jobs[0], timeout=5.0)

        jobs = []
        flow = Flow(execution_strategy=mode)
        flow.add_routine(step(go), "entry")
        flow.add_instrument(type("Starts", (), {"job_start": lambda self, job: jobs.append(job)})())
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert isinstance(job.error, WouldDeadlockError)
        assert isinstance(job.error, RuntimeError)
        assert time.monotonic() == 0

    explore(program, schedules=50).raise_if_failed()


def test_a_handler_inside_a_handler_that_waits_for_the_outer_job_is_refused():
    """A sequential job run inside a handler holds up the job outside, so waiting for that one could never end."""

    def program():
        jobs = []
        flow = Flow(execution_strategy="concurrent")
        flow.add_routine(step(lambda: flow.execute("inner", execution_strategy="sequential")), "entry")
        flow.add_routine(step(lambda: JobState.wait_for_completion(flow, jobs[0], timeout=5.0)), "inner")
        flow.add_instrument(type("Starts", (), {"job_start": lambda self, job: jobs.append(job)})())
        with flow:
            assert JobState.wait_for_completion(flow, flow.execute("entry"))
        assert [type(job.error) for job in jobs] == [type(None), WouldDeadlockError]
        assert time.monotonic() == 0

    explore(program, schedules=50).raise_if_failed()


def test_a_handler_may_wait_for_another_job():
    """Waiting for a job that one is not part of is fine, while there are workers."""

    def program():
        def outer():
            inner = flow.execute("inner")
            answers.append(JobState.wait_for_completion(flow, inner))

        answers = []
        flow = one(outer, max_workers=2)
        flow.add_routine(step(lambda: time.sleep(1.0)), "inner")
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert (answers, job.status, time.monotonic()) == ([True], "completed", 1.0)

    explore(program, schedules=200).raise_if_failed()


def test_progress_is_reported_from_beginning_to_end():
    """The callback hears of the state before the wait and after it, and of ends between; the figures are true."""

    def program():
        reports = []
        with fan(lambda n: time.sleep(1.0 + n), count=3, max_workers=2) as flow:
            job = flow.execute("entry")
            time.sleep(0.5)
            assert JobState.wait_for_completion(flow, job, progress_callback=lambda *r: reports.append(r))
        assert reports[0] == (1, 2, "running")
        assert reports[-1] == (0, 0, "completed")
        assert (0, 1, "running") in reports
        assert all(queued + running <= 3 for queued, running, _ in reports)

    explore(program, schedules=200).raise_if_failed()


def test_progress_counts_what_waits_to_be_retried():
    """An activation that waits for its next attempt is outstanding and not running."""

    def program():
        reports = []
        tries = []

        def go():
            tries.append(1)
            if len(tries) == 1:
                raise ValueError

        flow = one(go)
        flow.set_error_handler(ErrorHandler("retry", retry_delay=1.0))
        with flow:
            job = flow.execute("entry")
            time.sleep(0.5)
            assert JobState.wait_for_completion(flow, job, progress_callback=lambda *r: reports.append(r))
        assert (reports[0], reports[-1]) == ((1, 0, "running"), (0, 0, "completed"))

    explore(program, schedules=100).raise_if_failed()


def test_progress_of_a_wait_that_runs_out_of_time():
    """After a timeout the callback hears the state as it is then."""

    def program():
        reports = []
        with one(lambda: time.sleep(1.0)) as flow:
            job = flow.execute("entry")
            time.sleep(0.1)
            assert not JobState.wait_for_completion(
                flow, job, timeout=0.25, progress_callback=lambda *r: reports.append(r)
            )
            assert time.monotonic() == 0.35
        assert reports == [(0, 1, "running")] * 2

    explore(program, schedules=60).raise_if_failed()


def test_a_progress_callback_that_raises_ends_the_wait_and_harms_nothing():
    """The caller gets the callback's error; the job goes on and can be waited for."""

    def program():
        def callback(queued, running, status):
            raise LookupError

        with one(lambda: time.sleep(1.0)) as flow:
            job = flow.execute("entry")
            with pytest.raises(LookupError):
                JobState.wait_for_completion(flow, job, progress_callback=callback)
            assert JobState.wait_for_completion(flow, job)
        assert job.status == "completed"

    explore(program, schedules=60).raise_if_failed()


def test_a_wait_for_one_job_does_not_wait_for_another():
    """The short job's wait returns at its end while the long one runs on."""

    def program():
        with one(nap) as flow:
            long = flow.execute("entry", {"seconds": 5.0})
            short = flow.execute("entry", {"seconds": 1.0})
            assert JobState.wait_for_completion(flow, short)
            assert (time.monotonic(), short.status, long.status) == (1.0, "completed", "running")
            assert JobState.wait_for_completion(flow, long)
            assert (time.monotonic(), long.status) == (5.0, "completed")

    explore(program, schedules=200).raise_if_failed()


def test_a_failure_of_one_job_stays_in_it():
    """One job fails; the other runs all that it has to, whichever way their activations interleave."""

    def program():
        ended = []

        def handler(n, bad):
            time.sleep(0.5)
            if bad and n == 0:
                raise ValueError
            if not bad:
                ended.append(n)

        with fan(handler, max_workers=2) as flow:
            jobs = [flow.execute("entry", {"bad": bad}) for bad in (True, False)]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        assert [job.status for job in jobs] == ["failed", "completed"]
        assert sorted(ended) == [0, 1, 2]
        assert (type(jobs[0].error), jobs[1].error) == (ValueError, None)

    explore(program, schedules=300).raise_if_failed()


def test_a_deadline_of_one_job_stays_in_it():
    """One job times out; the other, begun at the same time, completes."""

    def program():
        with one(lambda: time.sleep(2.0)) as flow:
            jobs = [flow.execute("entry", timeout=timeout) for timeout in (1.0, None)]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        assert [job.status for job in jobs] == ["failed", "completed"]

    explore(program, schedules=150).raise_if_failed()


def test_retries_of_one_job_do_not_use_up_those_of_another():
    """Each job has its own count of retries, at the same time and on one handler."""

    def program():
        tries = {}

        def handler(who, fails):
            tries[who] = [*tries.get(who, []), time.monotonic()]
            if len(tries[who]) <= fails:
                raise ValueError(who)

        flow = one(handler)
        flow.set_error_handler(ErrorHandler("retry", max_retries=2, retry_delay=1.0, retry_backoff=2.0))
        with flow:
            jobs = [flow.execute("entry", {"who": who, "fails": fails}) for who, fails in (("a", 2), ("b", 9))]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        assert tries == {"a": [0.0, 1.0, 3.0], "b": [0.0, 1.0, 3.0]}
        assert [job.status for job in jobs] == ["completed", "failed"]

    explore(program, schedules=200).raise_if_failed()


def test_figures_history_and_shared_data_are_per_job():
    """What one job counts, records and shares is its own."""

    def program():
        def handler(n, who, fail):
            job = flow.routines["sink"].get_execution_context().job_state
            job.update_shared_data("who", who)
            job.append_to_shared_log({"n": n})
            job.update_routine_state("sink", {"who": who})
            if fail:
                raise ValueError

        with fan(handler) as flow:
            flow.set_error_handler(ErrorHandler("continue"))
            jobs = [flow.execute("entry", {"who": who, "fail": who == "b"}) for who in "ab"]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        tracker = flow.execution_tracker
        for who, job in zip("ab", jobs, strict=True):
            figures = tracker.get_routine_performance("sink", job)
            assert figures["total_executions"] == 3
            assert figures["completed" if who == "a" else "error_continued"] == 3
            assert job.get_shared_data("who") == who
            assert sorted(entry["n"] for entry in job.get_shared_log()) == [0, 1, 2]
            assert job.get_routine_state("sink")["who"] == who
            assert job.events_emitted == 3
            assert {r.data["who"] for r in job.execution_history if r.kind == "event"} == {who}
        assert tracker.get_routine_performance("sink")["total_executions"] == 6

    explore(program, schedules=300).raise_if_failed()


def test_a_job_ends_once_however_the_threads_that_it_left_behind_emit():
    """A thread that a handler leaves behind may emit at any time: each emit runs or is dropped, never both."""

    def program():
        ran, threads = [], []

        def entry():
            inside = contextvars.copy_context()
            threads.append(threading.Thread(target=inside.run, args=(routine.emit, "out")))
            threads[0].start()

        flow = Flow(execution_strategy="concurrent")
        routine = step(entry, "out")
        flow.add_routine(routine, "entry")
        flow.add_routine(step(lambda: ran.append(1), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
            at_the_end = len(ran)
            threads[0].join()
            time.sleep(1.0)
            assert len(ran) == at_the_end
        (end,) = [r.event_name for r in job.get_execution_history("sink")]
        assert (end, at_the_end) in [("completed", 1), ("dropped", 0)]
        assert job.status == "completed"
        outcomes.add(end)

    outcomes = set()
    explore(program, schedules=2000).raise_if_failed()
    assert outcomes == {"completed", "dropped"}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_emit_arrives_once_in_any_schedule(workers):
    """A tree of emits over two jobs: each slot gets each event exactly once."""

    def program():
        got = []

        def grow(depth, path):
            got.append(path)
            if depth:
                for branch in "lr":
                    routine.emit("out", depth=depth - 1, path=path + branch)

        flow = Flow(execution_strategy="concurrent", max_workers=workers)
        routine = step(grow, "out")
        flow.add_routine(routine, "tree")
        flow.connect("tree", "out", "tree", "trigger")
        with flow:
            jobs = [flow.execute("tree", {"depth": 2, "path": root}) for root in "xy"]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        assert sorted(got) == sorted(root + path for root in "xy" for path in ("", "l", "r", "ll", "lr", "rl", "rr"))

    explore(program, schedules=200).raise_if_failed()


def test_a_job_that_was_read_and_not_resumed_says_so():
    """Nobody runs it, so there is nothing to wait for or to pause: the error says what to do first."""
    flow = Flow("one")
    flow.add_routine(step(None), "entry")
    for call in (flow.pause, lambda job: JobState.wait_for_completion(flow, job)):
        with pytest.raises(ValueError, match=r"resume\(\) it first"):
            call(JobState("one"))
