"""Determinism is checked: where two runs of one schedule part is found, and the cause is told by experiment."""

import importlib.util
import itertools
import os
import queue
import random
import sys
import threading
import time
import uuid
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_helpers import run_threads

from routilux_sim import DeadlockError, InconclusiveError, NondeterminismError, explore, simulate
from routilux_sim.determinism import experiments


def fresh(name):
    """A module written in C as it is before anybody replaces anything in it."""
    module = importlib.util.module_from_spec(importlib.util.find_spec(name))
    module.__spec__.loader.exec_module(module)
    return module


# Where the simulated world does not look for captured names: in a tuple.
REAL = (fresh("time").time_ns, os.urandom)


class Thing:
    """Has no hash of its own, so that a set of such things is in the order of their addresses."""

    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()


def two_threads_and(step):
    """A program with decisions, in the middle of which ``step`` decides what a thread does next."""
    event = threading.Event()

    def body():
        for _ in range(3):
            event.is_set()
        for _ in range(step()):
            event.set()

    run_threads(body, body)


def by_addresses():
    things = {Thing(str(number)) for number in range(8)}

    def body():
        for thing in things:
            with thing.lock:
                pass

    run_threads(body, body)


def by_id():
    things = sorted((Thing(str(number)) for number in range(8)), key=id)

    def body():
        for thing in things:
            with thing.lock:
                pass

    run_threads(body, body)


def by_clock():
    two_threads_and(lambda: time.sleep(REAL[0]() % 1_000_000_007 / 1e9) or 2)


def by_os_randomness():
    two_threads_and(lambda: int.from_bytes(REAL[1](2)) % 1_000)


COUNTER = itertools.count()


def by_kept_state():
    two_threads_and(lambda: next(COUNTER))


CACHE = {}


def by_a_cache():
    def looked_up():
        if "key" not in CACHE:
            CACHE["key"] = 1
            return 3
        return 1

    two_threads_and(looked_up)


class Node:
    """Refers to itself, so that only a collection ends it."""

    def __init__(self):
        self.me = self
        ALIVE.add(self)


ALIVE = weakref.WeakSet()


def by_garbage():
    Node()
    two_threads_and(lambda: len(ALIVE))


CASES = {
    by_addresses: "addresses",
    by_id: "addresses",
    by_clock: "clock",
    by_os_randomness: "randomness",
    by_kept_state: "kept state",
    by_a_cache: "kept state",
    by_garbage: "garbage collection",
}


def found_in(program):
    ALIVE.clear()
    CACHE.clear()
    error = simulate(program, check_determinism=True).error
    assert isinstance(error, NondeterminismError)
    return error


@pytest.mark.parametrize(("program", "cause"), CASES.items(), ids=lambda value: getattr(value, "__name__", value))
def test_a_cause_is_told_by_evidence(program, cause):
    """Each way to depend on something that is not simulated is found, and named for what it is."""
    error = found_in(program)
    assert error.cause == cause, str(error)
    assert f"at decision {error.step} " in str(error)
    assert error.first in str(error)
    assert error.second in str(error)
    assert error.first != error.second


@pytest.mark.parametrize("program", CASES, ids=lambda program: program.__name__)
def test_only_what_an_experiment_showed_is_said_to_be_certain(program):
    """What happens in the first run only cannot be shown again, and is worded as a guess; all else is shown."""
    error = found_in(program)
    assert error.certain == (program is not by_a_cache)
    assert ("perhaps" in str(error)) == (program is by_a_cache)


def test_a_set_that_is_iterated_is_named():
    """While a set of objects without a hash of their own is iterated, the message says which, and the stack where."""
    error = found_in(by_addresses)
    assert "iterated at that moment: a set of 8 (Thing), in the order of their addresses" in str(error)
    assert "in by_addresses.<locals>.body" in error.stack[0]


def test_a_real_call_is_named_with_its_line():
    """A clock that is really read is named, with file and line."""
    line = by_clock.__code__.co_firstlineno + 1
    assert f"time.time_ns was really called at {__file__}:{line}" in str(found_in(by_clock))


def test_a_variable_that_is_kept_is_named():
    """What a run leaves changed in a module of the program's is named, with what it was before."""
    message = str(found_in(by_kept_state))
    assert f"a run changes {__name__}.COUNTER (count(" in message


def test_an_address_in_a_name_is_found():
    """A thread that is named after an object's address is told by its name alone."""

    def program():
        kept = [Thing("a"), Thing("b")]
        event = threading.Event()
        threads = [threading.Thread(target=event.set, name=repr(thing)) for thing in kept]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    error = found_in(program)
    assert error.cause == "addresses"
    assert "a name holds an address" in str(error)


def test_a_program_without_decisions_is_checked_at_its_end():
    """One thread that sleeps for as long as a real clock says parts at the end, and in the time it took."""
    error = found_in(lambda: time.sleep(REAL[0]() % 1_000_000_007 / 1e9))
    assert (error.step, error.cause, error.stack) == (0, "clock", ())
    assert "the virtual nanoseconds taken" in str(error)


def test_steps_that_leave_no_choice_are_counted():
    """One thread alone makes no decisions; that it does something once more shows in its steps."""
    event = threading.Event
    error = found_in(lambda: [event().set() for _ in range(next(COUNTER))] and None)
    assert "the number of steps taken" in str(error)


def test_what_is_returned_is_compared():
    """Plain values that a program returns must be the same."""
    error = found_in(lambda: [next(COUNTER)])
    assert error.cause == "kept state"
    assert "what the program returned" in str(error)


def test_state_is_compared_where_labels_agree():
    """A difference that no label shows, such as one more random number drawn, is found at the next decision."""

    def program():
        two_threads_and(lambda: 1)
        for _ in range(next(COUNTER) % 5):
            random.random()
        two_threads_and(lambda: 1)

    error = found_in(program)
    assert "the state of the random numbers was" in str(error)


def steady():
    """Uses what could be unsteady, but is simulated or does not matter."""
    names = {"a", "b", "c"}
    things = dict.fromkeys(Thing(name) for name in sorted(names))
    box = queue.Queue()

    def body():
        for thing in things:
            with thing.lock:
                box.put((thing.name, random.random(), time.time(), os.urandom(4), str(uuid.uuid4())))

    run_threads(body, body, body)
    return [box.get() for _ in range(9)]


def test_a_program_that_does_the_same_is_left_alone():
    """The check changes neither the outcome, nor the decisions, nor the log."""
    plain, checked = simulate(steady, seed=4), simulate(steady, seed=4, check_determinism=True)
    assert (checked.error, checked.value, checked.schedule) == (None, plain.value, plain.schedule)
    assert checked.log_bytes() == plain.log_bytes()


def test_a_module_that_the_first_run_imports_is_no_difference(tmp_path, monkeypatch):
    """Modules are imported once in a process: that alone is nothing that a program could do otherwise."""
    (tmp_path / "imported_once.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)

    def program():
        import imported_once  # noqa: PLC0415 - that is the test

        two_threads_and(lambda: imported_once.VALUE)

    try:
        assert simulate(program, check_determinism=True).error is None
    finally:
        sys.modules.pop("imported_once", None)


def test_every_schedule_of_an_exploration_is_run_twice():
    """With the option the program is called twice a schedule, and else once."""
    calls = []

    def program():
        calls.append(1)
        steady()

    assert explore(program, schedules=20).verdict == "passed"
    assert len(calls) == 20
    assert explore(program, schedules=20, check_determinism=True).verdict == "passed"
    assert len(calls) == 20 + 40


def test_an_exploration_that_finds_a_difference_is_inconclusive():
    """It stops there, says why, and raises it when asked for its result."""
    report = explore(by_kept_state, schedules=20, check_determinism=True)
    assert (report.verdict, report.schedules, report.failure) == ("inconclusive", 1, None)
    assert report.nondeterminism.cause == "kept state"
    with pytest.raises(InconclusiveError, match="did not do the same twice"):
        report.raise_if_failed()


def test_a_failure_that_does_not_come_back_is_kept():
    """The verdict is inconclusive, and the failure is there as the error's cause and as an execution."""
    calls = []

    def program():
        calls.append(1)
        two_threads_and(lambda: 1)
        if len(calls) == 3:
            raise ZeroDivisionError("once")

    report = explore(program, schedules=20)
    assert (report.verdict, report.schedules) == ("inconclusive", 3)
    assert isinstance(report.unconfirmed.error, ZeroDivisionError)
    assert "ZeroDivisionError('once')" in report.reason
    with pytest.raises(NondeterminismError) as raised:
        report.raise_if_failed()
    assert raised.value.__cause__ is report.unconfirmed.error


def test_a_simulation_that_fails_otherwise_is_inconclusive():
    """simulate() with the option: the error says that the failure did not come back, and has it as its cause."""
    calls = []

    def program():
        calls.append(1)
        assert len(calls) > 1, "the first time"

    execution = simulate(program, check_determinism=True)
    assert execution.verdict == "inconclusive"
    assert isinstance(execution.error, NondeterminismError)
    assert str(execution.error.__cause__).startswith("the first time")


def test_failures_that_come_back_are_failures():
    """A deadlock and an exception are what they are, checked or not."""

    def deadlock():
        lock = threading.Lock()
        lock.acquire()
        run_threads(lock.acquire, lock.acquire)

    def broken():
        run_threads(lambda: None, lambda: None)
        raise KeyError("always")

    for program, kind in ((deadlock, DeadlockError), (broken, KeyError)):
        assert isinstance(simulate(program, check_determinism=True).error, kind)
        report = explore(program, schedules=3, check_determinism=True)
        assert (report.verdict, type(report.failure.exception)) == ("failed", kind)


def children():
    """The processes that this one has started and not waited for."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


@pytest.mark.skipif(sys.platform != "linux", reason="which processes are left, only Linux tells")
def test_nothing_of_the_experiments_is_left(capfd):
    """No process stays, nothing is written, and the next simulation is as if there had been none."""
    before, others = simulate(steady, seed=1).log_bytes(), children()

    def program():
        sys.stdout.write("x")
        two_threads_and(lambda: next(COUNTER))

    found_in(program)
    assert capfd.readouterr().out == "xx"
    # Other tests' pools may have left a fork server behind, which is theirs.
    assert children() <= others
    assert simulate(steady, seed=1).log_bytes() == before


def test_without_fork_a_cause_is_a_guess(monkeypatch):
    """Where the system cannot fork there are no experiments, and nothing is said to be certain."""
    monkeypatch.setattr(experiments, "_fork", None)
    error = found_in(by_addresses)
    assert (error.cause, error.certain) == ("addresses", False)
    error = found_in(by_kept_state)
    assert (error.cause, error.certain) == ("unknown", False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["lock", "sleep", "put", "random"]), max_size=5), min_size=1, max_size=4))
def test_no_program_of_simulated_operations_is_accused(bodies):
    """Whatever simulated operations threads make, the check finds no difference."""

    def program():
        lock = threading.Lock()
        box = queue.Queue()
        operations = {
            "lock": lambda: lock.acquire() and lock.release(),
            "sleep": lambda: time.sleep(random.choice((0, 0.1))),
            "put": lambda: box.put(random.random()),
            "random": lambda: [event.set() for event in {threading.Event() for _ in range(1)}],
        }
        run_threads(*[lambda body=body: [operations[name]() for name in body] for body in bodies])

    assert simulate(program, check_determinism=True).error is None
