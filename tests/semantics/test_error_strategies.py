"""Error strategies hold for every activation, entry or downstream, sequential or concurrent, plain or async."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest

from routilux import ErrorHandler, Flow, Routine
from tests.engine.flows import fan, step
from tests.semantics.oracles import Observer, check
from tests.semantics.workloads import BEAT, attempt, endings, wait

STRATEGIES = ("sequential", "concurrent")


class Failing(Routine):
    """Fails in its first attempts, plainly or in a coroutine, and notes when it tries."""

    def __init__(self, fails, error=ValueError, is_async=False, beats=0):
        super().__init__()
        self.tries = []
        self.fails = fails
        self.error = error
        self.beats = beats
        self.define_slot("trigger", handler=self.later if is_async else self.now)
        self.define_event("out")

    def now(self, n=0):
        time.sleep(self.beats * BEAT)
        self.finish(n)

    async def later(self, n=0):
        await asyncio.sleep(self.beats * BEAT)
        self.finish(n)

    def finish(self, n):
        found = self.get_execution_context()
        self.tries.append((found.job_state.job_id, n, attempt(), time.monotonic_ns()))
        if attempt() <= self.fails:
            raise self.error(n)
        self.emit("out", n=n)


def two_step(first, second, **options):
    """A flow of two routines, ``first`` and ``second``, and the slot ``end`` that counts what comes through."""
    flow = Flow(**options)
    flow.add_routine(first, "first")
    flow.add_routine(second, "second")
    flow.connect("first", "out", "second", "trigger")
    return flow


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_retries_come_at_exact_times_wherever_they_are_needed(strategy):
    """Attempt n+1 starts ``delay * backoff**(n-1)`` seconds after the n-th failed, to the nanosecond; at each place."""

    def program():
        delay, backoff = random.choice([0.0, 0.25, 1.0]), random.choice([1.0, 1.5, 2.0])
        first, second = (Failing(random.randint(0, 3), is_async=random.random() < 0.5) for _ in range(2))
        flow = two_step(first, second, execution_strategy=strategy, max_workers=4)
        handler = ErrorHandler("retry", max_retries=3, retry_delay=delay, retry_backoff=backoff)
        random.choice([flow.set_error_handler, first.set_error_handler])(handler)
        second.set_error_handler(handler)
        with flow:
            jobs = [flow.execute("first") for _ in range(2)]
            wait(flow, *jobs)
        for job in jobs:
            assert job.status == "completed"
            at = None
            for routine in (first, second):
                mine = [(n, moment) for about, _, n, moment in routine.tries if about == job.job_id]
                for n, moment in mine:
                    if at is not None:
                        assert moment == at, f"attempt {n} came at {moment} and not at {at}"
                    at = moment + (round(delay * backoff ** (n - 1) * 1e9) if n <= routine.fails else 0)
                assert [n for n, _ in mine] == list(range(1, routine.fails + 2))

    check(program)


def test_no_worker_is_held_while_an_activation_waits_for_its_retry():
    """With a single worker, others run between the attempts; each activation counts its own."""

    def program():
        sink = Failing(2, beats=1)
        flow = Flow(execution_strategy="concurrent", max_workers=1)
        source = step(lambda: [source.emit("out", n=n) for n in range(3)], "out")
        flow.add_routine(source, "entry")
        flow.add_routine(sink, "sink")
        flow.connect("entry", "out", "sink", "trigger")
        flow.set_error_handler(ErrorHandler("retry", retry_delay=3 * BEAT, retry_backoff=1.0))
        with flow:
            job = flow.execute("entry")
            wait(flow, job)
            assert time.monotonic_ns() == round(11 * BEAT * 1e9)
        assert [(n, tried) for _, n, tried, _ in sink.tries] == [(n, t) for t in (1, 2, 3) for n in range(3)]
        assert endings(job, "sink") == ["retry"] * 6 + ["completed"] * 3

    check(program)


def test_stop_drops_what_is_queued_and_lets_what_runs_end():
    """At the last failure the job is failed with that very error; each activation has one end, and it is recorded."""

    def program():
        reason = random.choice(["exhausted", "not retryable", "no handler", "stop"])
        errors = []

        def handler(n):
            time.sleep(BEAT)
            if n == 1:
                errors.append(KeyError(n))
                raise errors[-1]
            time.sleep(BEAT)

        observer = Observer()
        with fan(handler, count=5, max_workers=random.randint(1, 3), instruments=[observer]) as flow:
            flow.set_error_handler(
                {
                    "exhausted": ErrorHandler("retry", max_retries=1, retry_delay=BEAT / 2),
                    "not retryable": ErrorHandler("retry", retryable_exceptions=ValueError),
                    "no handler": None,
                    "stop": ErrorHandler("stop"),
                }[reason]
            )
            job = flow.execute("entry")
            wait(flow, job)
            assert (job.status, job.error) == ("failed", errors[-1])
            assert job.error.__traceback__ is not None
        ends = endings(job, "sink")
        assert ends.count("failed") == 1
        assert len(errors) == len([end for end in ends if end in {"retry", "failed"}]) == 1 + (reason == "exhausted")
        assert len(ends) - ends.count("retry") == 5
        observer.judge(job)

    check(program)


@pytest.mark.parametrize(("name", "state"), [("continue", "error_continued"), ("skip", "skipped")])
def test_continue_and_skip_record_the_error_and_let_all_else_go_on(name, state):
    """At the entry or downstream, plain or async: the job completes, its other activations are as they would be."""

    def program():
        first = Failing(random.randint(0, 1), is_async=random.random() < 0.5)
        second = Failing(random.randint(0, 1), is_async=random.random() < 0.5)
        with two_step(first, second, execution_strategy=random.choice(STRATEGIES)) as flow:
            first.set_as_optional(name)
            flow.set_error_handler(ErrorHandler(name))
            jobs = [flow.execute("first", {"n": n}) for n in range(2)]
            wait(flow, *jobs)
        for job in jobs:
            assert (job.status, job.error) == ("completed", None)
            assert endings(job, "first") == [state if first.fails else "completed"]
            assert endings(job, "second") == [state if second.fails else "completed"] * (not first.fails)
            assert job.get_routine_state("first")["status"] == (state if first.fails else "completed")

    check(program)


def test_the_routines_handler_comes_before_the_flows():
    """A routine's own handler decides for it alone; the flow's decides for those that have none; then it is STOP."""

    def program():
        own, other = random.sample(["continue", "skip", "stop"], 2)
        first, second = Failing(0), Failing(1)
        with two_step(first, second, execution_strategy="concurrent") as flow:
            flow.set_error_handler(random.choice([ErrorHandler(other), None]))
            second.set_error_handler(ErrorHandler(own))
            job = flow.execute("first")
            wait(flow, job)
            assert endings(job, "second") == [{"continue": "error_continued", "skip": "skipped", "stop": "failed"}[own]]
            assert job.status == ("failed" if own == "stop" else "completed")

    check(program)


class AbortError(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_base_exception_fails_its_job_and_is_never_lost(strategy):
    """Whatever the strategy says: it is the job's error; ``execute`` raises it, when the job runs in the caller."""

    def program():
        kind = random.choice([AbortError, SystemExit, KeyboardInterrupt])
        first, second = Failing(0), Failing(9, kind, is_async=random.random() < 0.3)
        observer = Observer()
        with two_step(first, second, execution_strategy=strategy, instruments=[observer]) as flow:
            flow.set_error_handler(ErrorHandler(random.choice(["continue", "skip", "retry", "stop"])))
            if strategy == "sequential":
                with pytest.raises(kind) as raised:
                    flow.execute("first")
                job = observer.calls[0][2]
                assert raised.value is job.error
            else:
                job = flow.execute("first")
                wait(flow, job)
            assert (job.status, type(job.error)) == ("failed", kind)
            assert endings(job) == ["completed", "failed"]
            # The engine goes on as before.
            second.fails = 0
            again = flow.execute("first")
            wait(flow, again)
            assert again.status == "completed"
        observer.judge(job, again)

    check(program)


def test_a_retried_activation_keeps_its_context():
    """Every attempt, in whichever thread, finds its own flow, job, routine and data, and emits into its own job."""

    def program():
        seen = []

        def handler(n):
            found = sink.get_execution_context()
            seen.append((found.flow, found.job_state.job_id, found.routine_id, n, threading.current_thread().name))
            if attempt() <= 2:
                raise ValueError(n)
            sink.emit("out", job=found.job_state.job_id)

        arrived = []
        flow = Flow(execution_strategy="concurrent", max_workers=2)
        source = step(lambda n: source.emit("out", n=n), "out")
        sink = step(handler, "out", slot="in")
        last = Routine()
        last.define_slot("in", handler=lambda job: arrived.append(job == last.get_execution_context().job_state.job_id))
        for name, routine in (("entry", source), ("sink", sink), ("last", last)):
            flow.add_routine(routine, name)
        flow.connect("entry", "out", "sink", "in")
        flow.connect("sink", "out", "last", "in")
        flow.set_error_handler(ErrorHandler("retry", retry_delay=BEAT))
        with flow:
            jobs = [flow.execute("entry", {"n": n}) for n in range(3)]
            wait(flow, *jobs)
        expected = [(flow, job.job_id, "sink", n) for n, job in enumerate(jobs) for _ in range(3)]
        assert sorted((row[:4] for row in seen), key=lambda row: row[3]) == expected
        assert arrived == [True] * 3

    check(program)
