"""Threads that the end of the program cut short are listed, and are no failure."""

import threading
import time

from routilux.log import EVENTS
from routilux_sim import explore, simulate
from routilux_sim.explanation import explain


def leave_a_daemon():
    """Returns while a daemon waits."""
    event = threading.Event()

    def wait():
        event.wait()

    threading.Thread(target=wait, name="waiting", daemon=True).start()
    time.sleep(1)


FIRST = leave_a_daemon.__code__.co_firstlineno
WAITS = f"waits to be notified by `event` (Event-1, made at {__file__}:{FIRST + 2} in leave_a_daemon)"


def test_a_daemon_that_waits_is_listed():
    """Its name, what it waited for, and where it was."""
    execution = simulate(leave_a_daemon)
    assert execution.verdict == "passed"
    (left,) = execution.left_running
    assert left.task == "waiting"
    assert left.daemon
    assert left.doing == WAITS
    assert left.stack == (f"{__file__}:{FIRST + 5} in leave_a_daemon.<locals>.wait: event.wait()",)


def test_a_daemon_in_the_middle_of_something_is_listed():
    """One that could go on says with what; one that never began says that."""

    def program():
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    pass

        for name in ("busy", "late"):
            threading.Thread(target=work, name=name, daemon=True).start()

    seen = {left.doing for seed in range(30) for left in simulate(program, seed=seed).left_running}
    assert {"had not begun", "could go on with acquire Lock-1", "could go on with release Lock-1"} <= seen


def test_who_is_waited_for_is_not_left():
    """Threads that are no daemons end before the program does, as CPython has it."""

    def program():
        threading.Thread(target=time.sleep, args=(5,)).start()

    for seed in range(20):
        execution = simulate(program, seed=seed)
        assert execution.left_running == []
        assert execution.elapsed == 5.0


def test_it_is_no_failure():
    """In no schedule."""
    explore(leave_a_daemon, schedules=50).raise_if_failed()


def test_the_log_has_a_line_for_each():
    """Before its last one, under a name of the closed set."""
    lines = simulate(leave_a_daemon).log
    assert "task.left" in EVENTS
    assert [line["event"] for line in lines[-2:]] == ["task.left", "execution.end"]
    assert lines[-2]["left"] == "waiting"
    assert lines[-2]["daemon"] is True
    assert lines[-2]["point"] == WAITS


def test_the_explanation_lists_them():
    """With their stacks."""
    text = explain(simulate(leave_a_daemon))
    assert text.startswith("passed, after 1 virtual seconds\nleft running at the end of the program:\n")
    assert f"\n  'waiting' (daemon) {WAITS}\n    /" in text


def test_a_program_that_fails_leaves_nobody():
    """It did not end: everybody in it was stopped."""

    def program():
        leave_a_daemon()
        raise ValueError("broken")

    assert simulate(program).left_running == []


def test_without_a_log_there_are_no_stacks():
    """They are listed all the same."""
    (left,) = simulate(leave_a_daemon, log=False).left_running
    assert left.task == "waiting"
    assert left.stack == ()
