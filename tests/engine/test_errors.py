"""Error strategies: each of them on entry and downstream activations, sequential and concurrent, at exact times."""

from __future__ import annotations

import time
import traceback
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine
from routilux.abc import LONGEST_WAIT
from routilux.engine.policy import Action, decide
from routilux_sim import simulate
from tests.exploring import explore

MODES = pytest.mark.parametrize("mode", ["sequential", "concurrent"])
PLACES = pytest.mark.parametrize("place", ["entry", "middle"])


class Failing(Routine):
    """Notes when it is tried, raises ``error`` the first ``failures`` times, then emits ``out``."""

    def __init__(self, slot, failures, error, log):
        super().__init__()
        self.failures, self.error, self.log = failures, error, log
        self.define_slot(slot, handler=self.go)
        self.define_event("out")

    def go(self, **data):
        self.log.append(time.monotonic())
        if self.failures:
            self.failures -= 1
            raise self.error
        self.emit("out")


class Passing(Routine):
    """Notes that it ran, and emits ``out`` if it has one."""

    def __init__(self, slot, name, log):
        super().__init__()
        self.name, self.log = name, log
        self.define_slot(slot, handler=self.go)
        self.define_event("out")

    def go(self, **data):
        self.log.append(self.name)
        self.emit("out")


class Case:
    """``entry`` → ``middle`` → ``last``, and ``entry`` → ``side``; ``place`` fails."""

    def __init__(self, mode, place, failures=10**6, error=None, **options):
        self.tries, self.ran = [], []
        self.flow = flow = Flow(execution_strategy=mode, **options)
        for name, slot in (("entry", "trigger"), ("middle", "in"), ("last", "in"), ("side", "in")):
            if name == place:
                routine = Failing(slot, failures, error or ValueError("broken"), self.tries)
            else:
                routine = Passing(slot, name, self.ran)
            flow.add_routine(routine, name)
        for source, target in (("entry", "middle"), ("middle", "last"), ("entry", "side")):
            flow.connect(source, "out", target, "in")
        self.failing = flow.routines[place]

    def run(self):
        with self.flow as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        return job


def states(job):
    return {routine_id: state["status"] for routine_id, state in job.routine_states.items()}


def ends(job, routine_id=None):
    return [r.event_name for r in job.get_execution_history(routine_id) if r.kind == "activation"]


@MODES
@PLACES
@pytest.mark.parametrize("handler", [None, ErrorHandler("stop"), ErrorHandler()])
def test_stop_fails_the_job(mode, place, handler):
    """STOP, which is what holds when nothing is said: the job fails with the very exception; nothing follows."""

    def program():
        error = ValueError("broken")
        case = Case(mode, place, error=error)
        case.flow.set_error_handler(handler)
        job = case.run()
        assert (job.status, len(case.tries)) == ("failed", 1)
        assert job.error is error
        assert states(job)[place] == "failed"
        assert "last" not in case.ran

    explore(program, schedules=60).raise_if_failed()


def test_stop_drops_and_records_what_is_queued():
    """What is queued when the job fails never runs, and the history says so."""
    case = Case("sequential", "middle")
    job = case.run()
    assert case.ran == ["entry"]
    assert ends(job) == ["completed", "dropped", "failed"]
    assert ends(job, "side") == ["dropped"]
    assert states(job) == {"entry": "completed", "middle": "failed", "last": "pending", "side": "pending"}


def test_stop_lets_what_runs_end():
    """A handler that runs while another fails the job goes on to its end; what it emits then is dropped."""

    def program():
        ended = []

        def go():
            time.sleep(1.0)
            ended.append(time.monotonic())
            slow.emit("out")

        case = Case("concurrent", "middle")
        slow = Routine()
        slow.define_slot("in", handler=go)
        slow.define_event("out")
        case.flow.add_routine(slow, "slow")
        case.flow.connect("entry", "out", "slow", "in")
        case.flow.connect("slow", "out", "last", "in")
        job = case.run()
        assert job.status == "failed"
        assert ended in ([1.0], [])
        assert ends(job, "slow") == (["completed"] if ended else ["dropped"])
        assert ends(job, "last") == (["dropped"] if ended else [])
        assert time.monotonic() == (1.0 if ended else 0.0)
        outcomes.add(bool(ended))

    outcomes = set()
    explore(program, schedules=200).raise_if_failed()
    assert outcomes == {True, False}


@MODES
@PLACES
def test_continue_records_and_goes_on(mode, place):
    """CONTINUE: the routine's state is ``error_continued``, the others go on, and the job completes."""

    def program():
        case = Case(mode, place)
        case.flow.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))
        job = case.run()
        assert (job.status, job.error, len(case.tries)) == ("completed", None, 1)
        assert states(job)[place] == "error_continued"
        assert ends(job, place) == ["error_continued"]
        assert sorted(case.ran) == ([] if place == "entry" else ["entry", "side"])
        (record,) = [r for r in job.get_execution_history(place) if r.kind == "activation"]
        assert record.data["error"] == "ValueError: broken"

    explore(program, schedules=60).raise_if_failed()


@MODES
@PLACES
def test_skip_marks_the_routine_and_goes_on(mode, place):
    """SKIP: the routine's state is ``skipped``, the others go on, and the job completes."""

    def program():
        case = Case(mode, place)
        case.flow.set_error_handler(ErrorHandler("skip"))
        job = case.run()
        assert (job.status, job.error, len(case.tries)) == ("completed", None, 1)
        assert (states(job)[place], ends(job, place)) == ("skipped", ["skipped"])
        assert sorted(case.ran) == ([] if place == "entry" else ["entry", "side"])

    explore(program, schedules=60).raise_if_failed()


@MODES
@PLACES
def test_retry_tries_again_at_the_exact_times(mode, place):
    """RETRY: attempt n+1 comes ``retry_delay * retry_backoff**(n-1)`` after attempt n failed, to the nanosecond."""

    def program():
        case = Case(mode, place, failures=3)
        case.flow.set_error_handler(ErrorHandler("retry", max_retries=3, retry_delay=0.5, retry_backoff=3.0))
        job = case.run()
        assert case.tries == [0.0, 0.5, 2.0, 6.5]
        assert (job.status, job.error, states(job)[place]) == ("completed", None, "completed")
        assert ends(job, place) == ["retry", "retry", "retry", "completed"]
        assert "last" in case.ran
        assert time.monotonic() == 6.5

    explore(program, schedules=60).raise_if_failed()


@MODES
@PLACES
def test_exhausted_retries_are_a_stop(mode, place):
    """After ``max_retries`` retries the job fails with the last exception."""

    def program():
        case = Case(mode, place)
        case.flow.set_error_handler(ErrorHandler("retry", max_retries=2, retry_delay=1.0, retry_backoff=2.0))
        job = case.run()
        assert case.tries == [0.0, 1.0, 3.0]
        assert (job.status, type(job.error), states(job)[place]) == ("failed", ValueError, "failed")
        assert ends(job, place) == ["retry", "retry", "failed"]
        assert "last" not in case.ran

    explore(program, schedules=60).raise_if_failed()


def test_no_retries_means_one_attempt():
    """``max_retries=0`` is a STOP at the first error."""
    case = Case("sequential", "entry")
    case.flow.set_error_handler(ErrorHandler("retry", max_retries=0))
    job = case.run()
    assert (job.status, len(case.tries)) == ("failed", 1)


@MODES
def test_only_retryable_exceptions_are_retried(mode):
    """Subclasses of what ``retryable_exceptions`` names are retried, anything else is a STOP."""

    def program(error):
        case = Case(mode, "middle", failures=1, error=error)
        case.flow.set_error_handler(ErrorHandler("retry", retryable_exceptions=(OSError, KeyError)))
        return case.run().status, len(case.tries)

    assert simulate(lambda: program(ConnectionError())).result() == ("completed", 2)
    assert simulate(lambda: program(KeyError())).result() == ("completed", 2)
    assert simulate(lambda: program(ValueError())).result() == ("failed", 1)


def test_an_empty_tuple_of_retryable_exceptions_retries_nothing():
    """None means every exception; an empty tuple means none."""
    assert decide(ErrorHandler("retry", retryable_exceptions=()), ValueError(), 1).action is Action.STOP


def test_no_worker_sleeps_until_a_retry():
    """With one worker, others run while an activation waits to be retried."""

    def program():
        case = Case("concurrent", "middle", failures=1, max_workers=1)
        case.failing.set_error_handler(ErrorHandler("retry", retry_delay=5.0))
        with case.flow as flow:
            job = flow.execute("entry")
            time.sleep(1.0)
            assert case.ran == ["entry", "side"]
            assert not JobState.wait_for_completion(flow, job, timeout=3.999999999)
            assert JobState.wait_for_completion(flow, job)
        assert case.tries == [0.0, 5.0]

    explore(program, schedules=100).raise_if_failed()


def test_retries_are_counted_per_activation():
    """Two activations of one slot have their own retries, and overlap."""

    def program():
        tries = []

        def handler(n):
            tries.append((n, time.monotonic()))
            if len([k for k, _ in tries if k == n]) <= 2:
                raise ValueError(n)

        flow = Flow(execution_strategy="concurrent")
        source = Routine()
        source.define_event("out")
        source.define_slot("trigger", handler=lambda: [source.emit("out", n=n) for n in range(3)])
        sink = Routine()
        sink.define_slot("in", handler=handler)
        sink.set_error_handler(ErrorHandler("retry", max_retries=2, retry_delay=1.0, retry_backoff=2.0))
        flow.add_routine(source, "entry")
        flow.add_routine(sink, "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert sorted(tries) == [(n, at) for n in range(3) for at in (0.0, 1.0, 3.0)]
        assert job.status == "completed"
        assert sink.get_error_handler().retry_count == 2

    explore(program, schedules=150).raise_if_failed()


def test_retry_count_mirrors_the_job_at_hand():
    """Inside a handler ``retry_count`` is what this job has retried so far; another job counts from nothing."""

    def program():
        seen = []
        handler = ErrorHandler("retry", max_retries=5, retry_delay=1.0, retry_backoff=1.0)

        def go(fail):
            seen.append(handler.retry_count)
            if len(seen) <= fail:
                raise ValueError

        routine = Routine()
        routine.define_slot("trigger", handler=go)
        routine.set_error_handler(handler)
        flow = Flow()
        flow.add_routine(routine, "entry")
        flow.execute("entry", {"fail": 2})
        flow.execute("entry", {"fail": 0})
        return seen

    assert simulate(program).result() == [0, 1, 2, 0]


@pytest.mark.parametrize("merge_strategy", ["override", "append"])
def test_a_retried_activation_keeps_its_data(merge_strategy):
    """The next attempt sees what the first saw: data that was merged in once, and nothing that came since."""

    def program():
        seen = []

        def handler(n):
            seen.append((time.monotonic(), n))
            if len(seen) == 1:
                raise ValueError

        flow = Flow()
        source = Routine()
        source.define_event("out")
        source.define_slot("trigger", handler=lambda: [source.emit("out", n=n) for n in (1, 2)])
        sink = Routine()
        sink.define_slot("in", handler=handler, merge_strategy=merge_strategy)
        flow.add_routine(source, "entry")
        flow.add_routine(sink, "sink")
        flow.connect("entry", "out", "sink", "in")
        flow.set_error_handler(ErrorHandler("retry", retry_delay=1.0))
        assert flow.execute("entry").status == "completed"
        return seen

    first, second = (1, 2) if merge_strategy == "override" else ([1], [1, 2])
    assert simulate(program).result() == [(0.0, first), (0.0, second), (1.0, first)]


def test_what_an_attempt_did_to_its_data_does_not_reach_the_next():
    """Each attempt gets a snapshot of its own of what the slot had gathered."""

    def program():
        seen = []

        def handler(n):
            seen.append(list(n))
            n.clear()
            if len(seen) == 1:
                raise ValueError

        routine = Routine()
        routine.define_slot("trigger", handler=handler, merge_strategy="append")
        flow = Flow()
        flow.add_routine(routine, "entry")
        flow.set_error_handler(ErrorHandler("retry"))
        flow.execute("entry", {"n": 1})
        return seen

    assert simulate(program).result() == [[1], [1]]


def test_a_retried_activation_keeps_its_context():
    """Flow, job and routine are the same in every attempt, so what it emits stays in the job."""

    def program():
        contexts = []

        def go():
            contexts.append(routine.get_execution_context())
            if len(contexts) == 1:
                raise ValueError
            routine.emit("out")

        case = Case("concurrent", "middle")
        routine = Routine()
        routine.define_slot("in", handler=go)
        routine.define_event("out")
        case.flow.routines["middle"] = routine
        case.flow.set_error_handler(ErrorHandler("retry"))
        job = case.run()
        assert contexts == [(case.flow, job, "middle")] * 2
        assert ends(job, "last") == ["completed"]

    explore(program, schedules=50).raise_if_failed()


@MODES
@pytest.mark.parametrize(
    ("routines", "flows", "status", "state"),
    [
        ("continue", "stop", "completed", "error_continued"),
        ("stop", "continue", "failed", "failed"),
        ("skip", "continue", "completed", "skipped"),
        (None, "skip", "completed", "skipped"),
        (None, None, "failed", "failed"),
    ],
)
def test_the_routines_handler_comes_before_the_flows(mode, routines, flows, status, state):
    """A routine's own error handler decides, then the flow's, then STOP."""

    def program():
        case = Case(mode, "middle")
        case.failing.set_error_handler(ErrorHandler(routines) if routines else None)
        case.flow.set_error_handler(ErrorHandler(flows) if flows else None)
        job = case.run()
        assert (job.status, states(job)["middle"]) == (status, state)

    explore(program, schedules=30).raise_if_failed()


def test_an_error_handler_set_while_a_job_runs_holds_from_then_on():
    """The flow's error handler may be changed under way."""

    def program():
        flow = Flow(execution_strategy="concurrent")
        routine = Routine()

        def go():
            time.sleep(1.0)
            raise ValueError

        routine.define_slot("trigger", handler=go)
        flow.add_routine(routine, "entry")
        with flow:
            job = flow.execute("entry")
            time.sleep(0.5)
            flow.set_error_handler(ErrorHandler("continue"))
            assert JobState.wait_for_completion(flow, job)
        assert job.status == "completed"

    explore(program, schedules=50).raise_if_failed()


@MODES
@pytest.mark.parametrize("strategy", list(ErrorStrategy))
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, type("Odd", (BaseException,), {})])
def test_a_base_exception_fails_the_job_whatever_the_strategy(mode, strategy, kind):
    """What is no ``Exception`` fails the job; a sequential ``execute`` raises it, a concurrent one keeps it."""

    def program():
        error = kind("odd")
        case = Case(mode, "middle", error=error)
        case.flow.set_error_handler(ErrorHandler(strategy))
        jobs = []
        case.flow.add_instrument(type("Starts", (), {"job_start": lambda self, job: jobs.append(job)})())
        with case.flow as flow:
            if mode == "sequential":
                with pytest.raises(kind) as caught:
                    flow.execute("entry")
                assert caught.value is error
            else:
                assert JobState.wait_for_completion(flow, flow.execute("entry"))
        (job,) = jobs
        assert (job.status, len(case.tries)) == ("failed", 1)
        assert job.error is error
        assert states(job)["middle"] == "failed"

    explore(program, schedules=20).raise_if_failed()


def test_a_worker_survives_a_base_exception():
    """The only worker goes on with the next job after a handler raised SystemExit."""

    def program():
        case = Case("concurrent", "entry", failures=1, error=SystemExit(3), max_workers=1)
        with case.flow as flow:
            first, second = flow.execute("entry"), flow.execute("entry")
            assert JobState.wait_for_completion(flow, first)
            assert JobState.wait_for_completion(flow, second)
        assert [first.status, second.status] == ["failed", "completed"]

    explore(program, schedules=100).raise_if_failed()


@MODES
def test_the_jobs_error_has_its_traceback(mode):
    """``job.error`` leads to the line that raised it."""

    def program():
        job = Case(mode, "middle").run()
        return [frame.name for frame in traceback.extract_tb(job.error.__traceback__)][-1]

    assert simulate(program).result() == "go"


@MODES
def test_the_first_error_is_the_jobs(mode):
    """Errors after the one that failed the job are recorded, and do not replace it."""

    def program():
        def go(n):
            time.sleep(n)
            raise ValueError(n)

        flow = Flow(execution_strategy=mode)
        source = Routine()
        source.define_event("out")
        source.define_slot("trigger", handler=lambda: [source.emit("out", n=n) for n in (3.0, 1.0, 2.0)])
        sink = Routine()
        sink.define_slot("in", handler=go)
        flow.add_routine(source, "entry")
        flow.add_routine(sink, "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert job.error.args == ((3.0,) if mode == "sequential" else (1.0,))
        assert sorted(ends(job, "sink")) == (
            ["dropped", "dropped", "failed"] if mode == "sequential" else ["failed", "failed", "failed"]
        )

    explore(program, schedules=100).raise_if_failed()


@MODES
def test_an_error_that_cannot_be_worded_is_an_error_like_any_other(mode):
    """An exception whose ``str()`` raises fails its job, and neither job nor worker hangs."""

    class UnspeakableError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    def program():
        case = Case(mode, "middle", error=UnspeakableError())
        job = case.run()
        assert (job.status, type(job.error)) == ("failed", UnspeakableError)

    explore(program, schedules=20).raise_if_failed()


@MODES
def test_a_strategy_may_be_assigned_by_its_name(mode):
    """``handler.strategy = "retry"`` is ErrorStrategy.RETRY."""

    def program():
        handler = ErrorHandler()
        handler.strategy = "retry"
        case = Case(mode, "middle", failures=1)
        case.flow.set_error_handler(handler)
        assert case.run().status == "completed"
        assert case.tries == [0.0, 1.0]

    explore(program, schedules=20).raise_if_failed()


@pytest.mark.parametrize("hook", ["activation_start", "activation_end", "emit", "activation_retry", "job_end"])
def test_a_base_exception_of_an_instrument_leaves_no_job_hanging(hook):
    """Whatever an observer raises, a concurrent job ends and its worker lives on."""

    def program():
        def leave(*args):
            raise SystemExit(3)

        case = Case("concurrent", "middle", failures=1)
        case.flow.set_error_handler(ErrorHandler("retry"))
        case.flow.add_instrument(type("Leaving", (), {hook: leave})())
        with case.flow as flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job, timeout=10.0)
            assert job.status in ("completed", "failed")

    explore(program, schedules=20).raise_if_failed()


def test_a_failed_job_takes_no_retry():
    """A retry that is due when the job fails is dropped and recorded; one that comes up later is not made."""

    def program():
        case = Case("concurrent", "middle")
        case.failing.set_error_handler(ErrorHandler("retry", retry_delay=10.0))

        def fail():
            time.sleep(1.0)
            raise LookupError

        breaker = Routine()
        breaker.define_slot("in", handler=fail)
        case.flow.add_routine(breaker, "breaker")
        case.flow.connect("entry", "out", "breaker", "in")
        job = case.run()
        assert (type(job.error), time.monotonic()) == (LookupError, 1.0)
        assert case.tries == [0.0]
        assert ends(job, "middle") == ["retry", "dropped"]

    explore(program, schedules=100).raise_if_failed()


def test_a_running_handler_that_fails_after_the_job_is_not_retried():
    """A handler that raises when its job has failed already is recorded as failed."""

    def program():
        def fail(seconds):
            time.sleep(seconds)
            raise ValueError(seconds)

        flow = Flow(execution_strategy="concurrent")
        source = Routine()
        source.define_event("out")
        source.define_slot("trigger", handler=lambda: source.emit("out"))
        flow.add_routine(source, "entry")
        for name, seconds in (("early", 1.0), ("late", 2.0)):
            routine = Routine()
            routine.define_slot("in", handler=lambda seconds=seconds, **rest: fail(seconds))
            flow.add_routine(routine, name)
            flow.connect("entry", "out", name, "in")
        flow.routines["late"].set_error_handler(ErrorHandler("retry"))
        with flow:
            job = flow.execute("entry")
            assert JobState.wait_for_completion(flow, job)
        assert (job.error.args, time.monotonic()) == ((1.0,), 2.0)
        assert ends(job, "late") == ["failed"]

    explore(program, schedules=50).raise_if_failed()


def test_set_as_optional_lets_the_job_go_on():
    """An optional routine continues by default, or skips."""
    for strategy, state in ((None, "error_continued"), ("skip", "skipped"), (ErrorStrategy.SKIP, "skipped")):
        case = Case("sequential", "middle")
        case.failing.set_as_optional(*([strategy] if strategy else []))
        job = case.run()
        assert (job.status, states(job)["middle"]) == ("completed", state)


def test_set_as_critical_retries_and_then_fails_the_job():
    """A critical routine retries by the figures given, and marks its handler as critical."""

    def program():
        case = Case("sequential", "middle")
        case.failing.set_as_critical(max_retries=2, retry_delay=0.5, retry_backoff=4.0)
        handler = case.failing.get_error_handler()
        assert (handler.strategy, handler.is_critical) == (ErrorStrategy.RETRY, True)
        return case.run().status, case.tries

    assert simulate(program).result() == ("failed", [0.0, 0.5, 2.5])


def test_the_figures_of_set_as_critical_have_their_defaults():
    """Three retries after 1, 2 and 4 seconds."""
    routine = Routine()
    routine.set_as_critical()
    handler = routine.get_error_handler()
    assert (handler.max_retries, handler.retry_delay, handler.retry_backoff) == (3, 1.0, 2.0)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"strategy": "ignore"}, ValueError, "unknown error strategy 'ignore'.*'continue', 'retry', 'skip', 'stop'"),
        ({"max_retries": -1}, ValueError, "max_retries must be"),
        ({"max_retries": 1.5}, ValueError, "max_retries must be"),
        ({"retry_delay": -0.1}, ValueError, "retry_delay must be"),
        ({"retry_delay": float("nan")}, ValueError, "retry_delay must be"),
        ({"retry_delay": 10**400}, ValueError, "retry_delay must be"),
        ({"retry_backoff": float("inf")}, ValueError, "retry_backoff must be"),
        ({"retry_backoff": "2"}, ValueError, "retry_backoff must be"),
        ({"retryable_exceptions": [ValueError, "OSError"]}, TypeError, "exception classes"),
        ({"retryable_exceptions": int}, TypeError, "exception classes"),
    ],
)
def test_bad_figures_are_refused(arguments, kind, words):
    """An error handler that makes no sense is refused when it is made."""
    with pytest.raises(kind, match=words):
        ErrorHandler(**arguments)


def test_an_error_handler_is_an_error_handler():
    """Setting something else is a TypeError, and the one set before stays."""
    routine, flow, handler = Routine(), Flow(), ErrorHandler()
    for owner in (routine, flow):
        owner.set_error_handler(handler)
        with pytest.raises(TypeError, match="must be an ErrorHandler"):
            owner.set_error_handler("continue")
    assert routine.get_error_handler() is handler
    assert flow.error_handler is handler


ERRORS = [ValueError(), KeyError(), ConnectionError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]
HANDLERS = st.builds(
    ErrorHandler,
    strategy=st.sampled_from(list(ErrorStrategy)),
    max_retries=st.sampled_from([0, 1, 5, 3000]),
    retry_delay=st.just(0) | st.floats(1e-6, 1e6),
    retry_backoff=st.sampled_from([0, 0.5, 1, 2, 2.0, 10]) | st.floats(1e-3, 1e3),
    retryable_exceptions=st.sampled_from([None, (), OSError, [LookupError], [Exception], [KeyboardInterrupt, OSError]]),
)
ATTEMPTS = st.sampled_from([1, 2, 5, 6, 3000, 3001])


@settings(max_examples=300)
@given(handler=st.none() | HANDLERS, error=st.sampled_from(ERRORS), attempt=ATTEMPTS)
def test_decide_obeys_its_law(handler, error, attempt):
    """The decision follows from strategy, attempt and class of the error, and a delay from the formula."""
    decision = decide(handler, error, attempt)
    plain = {
        ErrorStrategy.STOP: Action.STOP,
        ErrorStrategy.CONTINUE: Action.CONTINUE,
        ErrorStrategy.SKIP: Action.SKIP,
    }
    if handler is None:
        expected = Action.STOP
    elif handler.strategy is ErrorStrategy.RETRY:
        classes = (Exception,) if handler.retryable_exceptions is None else handler.retryable_exceptions
        again = attempt <= handler.max_retries and isinstance(error, classes)
        expected = Action.RETRY if again else Action.STOP
    else:
        expected = plain[handler.strategy] if isinstance(error, Exception) else Action.STOP
    assert decision.action is expected
    if expected is Action.RETRY:
        exact = Fraction(handler.retry_delay) * Fraction(handler.retry_backoff) ** (attempt - 1)
        assert decision.delay == pytest.approx(float(min(exact, LONGEST_WAIT)), rel=1e-9, abs=1e-300)
    else:
        assert decision.delay == 0


@pytest.mark.parametrize("attempt", [1, 2, 1025, 5000])
def test_without_a_delay_every_retry_is_at_once(attempt):
    """Nothing times anything is nothing, however often it is multiplied."""
    assert decide(ErrorHandler("retry", max_retries=5000, retry_delay=0), ValueError(), attempt).delay == 0
