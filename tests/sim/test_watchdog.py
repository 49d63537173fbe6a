"""A real hang is broken off after so many real seconds, and says where; what only looks like one is left alone."""

from __future__ import annotations

import _thread
import bdb
import ctypes
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from contextlib import contextmanager

import pytest

from routilux_sim import HangError, SimScheduler, explore, replay, simulate
from routilux_sim.kernel.core import Limits
from routilux_sim.world import watchdog
from routilux_sim.world.ready import ORIGINALS, ReadyLock

pytestmark = pytest.mark.real_time

SOON = 0.3
"""Real seconds that a hang may last here."""

LATE = 10.0
"""Real seconds after which breaking it off has not worked."""

HIDDEN = frozenset([ORIGINALS["sleep"], select.select])
"""CPython's own, where nobody looks for captured names."""


def hidden(function):
    """A name that was captured before, and is out of reach."""
    return next(each for each in HIDDEN if each.__name__ == function)


@pytest.fixture(autouse=True)
def in_time():
    """Nothing here takes long."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LATE


def on_its_own(program):
    """Simulate in another real thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(simulate(program, hang_seconds=SOON)))
    thread.start()
    thread.join()
    return results[0]


def spin():
    while True:
        pass


@pytest.mark.parametrize(
    "run", [lambda program: simulate(program, hang_seconds=SOON), on_its_own], ids=["main", "other"]
)
def test_a_loop_without_steps_is_broken_off(run):
    """The error names its place and the task, in the main thread and in another one."""
    execution = run(spin)
    assert execution.verdict == "inconclusive"
    error = execution.error
    assert isinstance(error, HangError)
    assert error.filename == __file__
    assert spin.__code__.co_firstlineno < error.line <= spin.__code__.co_firstlineno + 2
    assert "task 'MainThread' took no step for 0.3 real seconds" in str(error)


def test_a_loop_that_catches_everything_is_broken_off():
    """And left for good when it does not let itself be unwound."""

    def program():
        while True:
            try:
                spin()
            except BaseException:  # noqa: BLE001 - as careless programs do
                continue

    assert isinstance(simulate(program, hang_seconds=SOON).error, HangError)
    assert simulate(int).verdict == "passed"


def test_a_real_lock_between_tasks_is_named():
    """Two tasks and a lock that is not simulated: the error names the call, and every task's stack."""
    locks = frozenset([ReadyLock.make_real()])

    def take():
        for lock in locks:
            lock.acquire()

    def program():
        take()
        thread = threading.Thread(target=take, name="second")
        thread.start()
        thread.join()

    error = simulate(program, hang_seconds=SOON).error
    assert isinstance(error, HangError)
    assert error.call == "lock.acquire()"
    text = str(error)
    assert "task 'second', running:" in text
    assert "task 'MainThread', " in text
    assert "at join second" in text
    assert f"{__file__}:{program.__code__.co_firstlineno + 4} in {program.__qualname__}" in text
    assert "routilux_sim" + os.sep not in text


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there, the call itself escapes")
def test_a_captured_sleep_is_broken_off():
    """A real sleep of an hour takes no longer than hangs may."""
    error = simulate(lambda: hidden("sleep")(3600), hang_seconds=SOON).error
    assert isinstance(error, HangError)
    assert error.call == 'hidden("sleep")(3600)'


def test_a_wait_in_c_that_honours_signals_is_broken_off():
    """A captured ``select`` is interrupted."""
    read, write = os.pipe()
    try:
        error = simulate(lambda: hidden("select")([read], [], []), hang_seconds=SOON).error
    finally:
        os.close(read)
        os.close(write)
    assert isinstance(error, HangError)
    assert error.call == 'hidden("select")([read], [], [])'


def test_a_hang_while_unwinding_is_broken_off():
    """A ``finally`` that does not end is left for good."""

    def daemon():
        try:
            threading.Event().wait()
        finally:
            spin()

    def program():
        threading.Thread(target=daemon, daemon=True).start()
        time.sleep(1)

    execution = simulate(program, hang_seconds=SOON)
    assert isinstance(execution.error, HangError)
    assert execution.error.filename == __file__


def test_explorations_replays_and_schedulers_are_watched_too():
    """All that run programs take the limit."""
    report = explore(spin, schedules=3, hang_seconds=SOON)
    assert (report.verdict, report.schedules) == ("inconclusive", 1)
    assert "took no step" in report.reason
    schedule = simulate(int).schedule
    assert isinstance(replay(spin, schedule, hang_seconds=SOON).error, HangError)
    with pytest.raises(HangError):
        SimScheduler(hang_seconds=SOON).run(spin)


@pytest.mark.parametrize("value", [0, -1, True, "30", float("nan")])
def test_a_limit_that_is_none_is_refused(value):
    """It must be a number above 0, or None."""
    with pytest.raises(ValueError, match="hang_seconds must be a number above 0 or None"):
        Limits(hang_seconds=value)


def busy(seconds):
    """Compute, without taking steps."""
    until = _now() + seconds
    while _now() < until:
        pass


def _now():
    return os.times().elapsed


def test_slow_programs_that_take_steps_are_left_alone():
    """What counts is the time between steps, not the whole."""

    def program():
        for _ in range(8):
            busy(SOON / 4)
            time.sleep(1)
        return "done"

    assert simulate(program, hang_seconds=SOON).value == "done"


def test_slow_executions_in_a_row_are_left_alone():
    """Each takes one step at most and lasts a while, all look alike, and together they take longer than a hang."""
    report = explore(lambda: busy(SOON / 5) or _two_tasks(), schedules=12, strategy="fifo", hang_seconds=SOON)
    assert report.verdict == "passed"


def _two_tasks():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def test_without_a_limit_nothing_is_broken_off():
    """None means any number of seconds."""
    assert simulate(lambda: busy(3 * SOON), hang_seconds=None).verdict == "passed"


class Waiting(bdb.Bdb):
    """A debugger whose user thinks for a while."""

    def user_line(self, frame):
        busy(3 * SOON)
        self.set_continue()


def test_a_debugger_may_wait():
    """While it has the word, time does not count."""

    def program():
        Waiting().set_trace()
        return "went on"

    tracing = sys.gettrace()
    try:
        assert simulate(program, hang_seconds=SOON).result() == "went on"
    finally:
        sys.settrace(tracing)


@contextmanager
def script(text):
    """A process of its own that runs ``text``; it does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.long
def test_a_stopped_process_is_not_hanging():
    """The time for which the whole process stood still does not count."""
    text = """
        import os
        from routilux_sim import simulate

        def program():
            print("ready", flush=True)
            begun = os.times()
            # A little of its own processor time.
            while sum(os.times()[:2]) - sum(begun[:2]) < 0.2:
                pass

        print(simulate(program, hang_seconds=2).verdict)
    """
    with script(text) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=LATE) == ("passed\n", "")


def test_a_wait_that_nothing_breaks_is_reported_on_standard_error():
    """In a thread that signals do not reach, a call into C goes on; at least it is said where, before it ends."""
    text = """
        import ctypes, threading
        from routilux_sim import simulate

        usleep = ctypes.CDLL(None).usleep

        def wait_in_c():
            usleep(4_000_000)

        def run():
            print(simulate(wait_in_c, hang_seconds=0.2).verdict)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    """
    with script(text) as process:
        out, err = process.communicate(timeout=LATE)
    assert out == "inconclusive\n"
    assert err.count("cannot be interrupted") == 1
    assert "in wait_in_c" in err


def test_signals_of_others_are_left_to_them():
    """While simulating, timers and alarms are as before; afterwards all handlers are."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    inside = []
    simulate(lambda: inside.append(signal.getsignal(signal.SIGALRM)))
    assert inside == [handlers[signal.SIGALRM]]
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_signal_that_a_program_uses_itself_is_not_taken():
    """Then Python code is still broken off, by an exception."""
    previous = signal.signal(watchdog.SIGNAL, lambda *_: None)
    try:
        assert isinstance(simulate(spin, hang_seconds=SOON).error, HangError)
    finally:
        signal.signal(watchdog.SIGNAL, previous)


def test_there_is_one_thread_and_it_does_not_show():
    """Many campaigns share it, and it is not among the process's threads."""
    before = threading.enumerate()
    for _ in range(20):
        simulate(int)
    assert threading.enumerate() == before
    counts = {_thread._count() for _ in range(20) if simulate(int)}
    assert len(counts) == 1


def test_forking_after_a_simulation_is_no_matter_for_a_warning():
    """CPython warns who forks with threads about; ours is gone by then, and back when it is needed."""
    simulate(int)
    if len(threading.enumerate()) > 1:
        pytest.skip("this process has other threads, about which there is a warning in any case")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = os.fork()
        if child == 0:
            os._exit(0 if isinstance(simulate(spin, hang_seconds=SOON).error, HangError) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert isinstance(simulate(spin, hang_seconds=SOON).error, HangError)


def test_a_gil_that_is_held_is_not_counted_as_a_hang_of_its_length():
    """What the watching thread cannot see, because it gets no turn, counts as one look."""
    usleep = ctypes.PyDLL(None).usleep

    assert simulate(lambda: usleep(900_000) and None, hang_seconds=SOON).verdict == "passed"
