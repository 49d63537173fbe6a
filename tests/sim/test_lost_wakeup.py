"""A wake-up that was sent too early is named as such: who sent it, when and where. What only looks like it is not."""

import threading
import time

import pytest
from sim_helpers import run_threads

from routilux_sim import explore, replay, simulate


def line_of(function, offset):
    return f"{__file__}:{function.__code__.co_firstlineno + offset}"


def early_notify():
    """Notifies after one second, waits after two."""
    condition = threading.Condition()

    def notify():
        time.sleep(1)
        with condition:
            condition.notify()

    threading.Thread(target=notify, name="early").start()
    time.sleep(2)
    with condition:
        condition.wait()


def unguarded(wait):
    """One thread waits for what another one has, perhaps, done already."""

    def program():
        condition = threading.Condition()
        done = []

        def finish():
            with condition:
                done.append(True)
                condition.notify()

        def expect():
            with condition:
                wait(condition, done)

        run_threads(finish, expect)

    return program


careless = unguarded(lambda condition, done: condition.wait())
careful = unguarded(lambda condition, done: condition.wait_for(lambda: done))


def test_a_lost_wake_up_says_who_sent_it_when_and_where():
    """Also when and where the wait began: afterwards."""
    error = simulate(early_notify).error
    assert error.cause == "lost wake-up"
    sent = f"'early' at 1 s, at {line_of(early_notify, 7)} in early_notify.<locals>.notify"
    began = f"'MainThread' began to wait at 2 s, at {line_of(early_notify, 12)} in early_notify"
    what = "'MainThread' waits for a notify of `condition` (Condition-1) that was sent before"
    assert f"  lost wake-up: {what}: by {sent}, when nobody waited; {began}\n" in str(error)
    assert "wait in a loop that checks it first, as wait_for() does" in str(error)


def test_exploration_finds_the_order_that_loses_it():
    """A deadlock by kind, and it replays under the same name."""
    report = explore(careless, schedules=300)
    assert report.failure.kind == "deadlock"
    assert report.failure.exception.cause == "lost wake-up"
    assert replay(careless, report.failure.schedule).error.cause == "lost wake-up"
    assert "deadlock (lost wake-up) after 0 virtual seconds" in report.failure.explanation


def test_a_predicate_mends_it():
    """The same program that looks before it waits never fails."""
    assert explore(careful, schedules=300).verdict in {"passed", "exhausted"}


def test_nobody_notifies():
    """Without any notify before, there was none to lose."""

    def program():
        condition = threading.Condition()
        with condition:
            condition.wait()

    assert simulate(program).error.cause == "never notified"


def test_a_notify_that_was_heard_is_not_lost():
    """A worker that waits again for another one has lost nothing."""

    def program():
        condition = threading.Condition()

        def work():
            with condition:
                condition.wait()
                condition.wait()

        threading.Thread(target=work).start()
        time.sleep(1)
        with condition:
            condition.notify()

    error = simulate(program).error
    assert error.cause == "never notified"
    assert "nobody notifies it again; the last notify was by 'MainThread' at 1 s" in str(error)


def test_an_event_set_and_cleared_before_anybody_looked():
    """A pulse: set() then clear() is seen only by those who wait already."""

    def program():
        event = threading.Event()

        def pulse():
            event.set()
            event.clear()

        thread = threading.Thread(target=pulse, name="pulse")
        thread.start()
        thread.join()
        event.wait()

    error = simulate(program).error
    assert error.cause == "lost event"
    set_by = f"'pulse' at 0 s, at {line_of(program, 4)} in {program.__qualname__}.<locals>.pulse"
    assert f"which was set and cleared before it saw it: set by {set_by}; cleared by 'pulse'" in str(error)


def test_an_event_cleared_after_it_came_again():
    """Clearing it after the work, not before, loses what was set meanwhile."""

    def program():
        event = threading.Event()

        def work():
            for _ in range(2):
                event.wait()
                time.sleep(2)
                event.clear()

        threading.Thread(target=work, name="worker").start()
        event.set()
        time.sleep(1)
        event.set()

    assert simulate(program).error.cause == "lost event"


def test_an_event_that_was_seen_is_not_lost():
    """Clearing it first and working then leaves nothing behind."""

    def program():
        event = threading.Event()

        def work():
            for _ in range(2):
                event.wait()
                event.clear()

        threading.Thread(target=work).start()
        time.sleep(1)
        event.set()

    error = simulate(program).error
    assert error.cause == "event never set"
    assert "to be set again; the last to set it was 'MainThread' at 1 s" in str(error)


def test_an_event_that_stays_set_loses_nothing():
    """The mended twin of a pulse, in every order."""

    def program():
        event = threading.Event()
        run_threads(event.set, event.wait)

    assert explore(program, schedules=200).verdict != "failed"


@pytest.mark.parametrize("seed", range(5))
def test_a_timeout_is_not_having_heard(seed):
    """Who gave up waiting once has not heard what was sent afterwards."""

    def program():
        event = threading.Event()

        def work():
            event.wait(1)
            time.sleep(2)
            event.wait()

        threading.Thread(target=work).start()
        time.sleep(2)
        event.set()
        event.clear()

    assert simulate(program, seed=seed).error.cause == "lost event"
