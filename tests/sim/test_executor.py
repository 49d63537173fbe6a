"""CPython's own ThreadPoolExecutor, unmodified, runs on simulated threads."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import pytest

from routilux_sim import explore, replay, simulate

ROOT = Path(__file__).parents[2]


def sleep_and_return(seconds):
    time.sleep(seconds)
    return seconds


def test_three_sleeps_end_with_the_longest():
    """0.2, 0.2 and 0.25 seconds on three threads end at 0.25, in every schedule."""

    def program():
        with ThreadPoolExecutor(max_workers=3) as pool:
            assert list(pool.map(sleep_and_return, (0.2, 0.2, 0.25))) == [0.2, 0.2, 0.25]
        assert time.monotonic() == 0.25

    explore(program, schedules=200).raise_if_failed()


def test_two_threads_take_turns():
    """With two threads the third sleep begins when the first ends."""

    def program():
        with ThreadPoolExecutor(max_workers=2) as pool:
            for seconds in (0.2, 0.2, 0.25):
                pool.submit(time.sleep, seconds)
        return time.monotonic()

    assert simulate(program).result() == 0.45


def test_without_shutdown_the_program_waits_for_its_futures():
    """At the end of a program CPython lets executors finish; so does the simulation."""
    done = []

    def program():
        pool = ThreadPoolExecutor(max_workers=2)
        for seconds in (1, 2, 3):
            pool.submit(lambda seconds=seconds: done.append(sleep_and_return(seconds)))

    execution = simulate(program)
    execution.result()
    assert sorted(done) == [1, 2, 3]
    assert execution.elapsed == 4.0


def test_an_idle_executor_does_not_keep_the_program():
    """A pool that was never shut down and has nothing to do lets the program end at once."""

    def program():
        pool = ThreadPoolExecutor(max_workers=4)
        pool.submit(time.sleep, 1).result()
        return pool

    execution = simulate(program)
    execution.result()
    assert execution.elapsed == 1.0


def test_a_future_keeps_its_exception():
    """An exception in a submitted call is the future's, and no failure of the execution."""

    def program():
        with ThreadPoolExecutor() as pool:
            future = pool.submit(lambda: {}["missing"])
        return type(future.exception()), future.done()

    assert simulate(program).result() == (KeyError, True)


def test_a_result_can_time_out():
    """Future.result gives up at its very instant."""

    def program():
        with ThreadPoolExecutor() as pool:
            future = pool.submit(time.sleep, 5)
            with pytest.raises(FutureTimeoutError):
                future.result(timeout=0.5)
            return time.monotonic()

    assert simulate(program).result() == 0.5


def test_futures_come_as_they_complete():
    """as_completed and wait see virtual time."""

    def program():
        with ThreadPoolExecutor() as pool:
            futures = [pool.submit(sleep_and_return, seconds) for seconds in (0.3, 0.1, 0.2)]
            done, pending = wait(futures, return_when=FIRST_COMPLETED)
            first = [future.result() for future in done], len(pending), time.monotonic()
            return first, [future.result() for future in as_completed(futures[::2])][-1], time.monotonic()

    assert simulate(program).result() == (([0.1], 2, 0.1), 0.3, 0.3)


def test_what_has_not_begun_can_be_cancelled():
    """shutdown(cancel_futures=True) cancels what waits in the queue."""

    def program():
        pool = ThreadPoolExecutor(max_workers=1)
        running = pool.submit(time.sleep, 1)
        time.sleep(0.5)
        waiting = pool.submit(time.sleep, 1)
        pool.shutdown(cancel_futures=True)
        with pytest.raises(CancelledError):
            waiting.result()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            pool.submit(print)
        return running.result(), time.monotonic()

    assert simulate(program).result() == (None, 1.0)


def test_threads_are_named_after_the_pool():
    """Thread names follow the prefix, and the initializer runs in each thread."""

    def program():
        seen = []
        with ThreadPoolExecutor(2, "fetch", lambda: seen.append(threading.current_thread().name)) as pool:
            list(pool.map(time.sleep, (1, 1)))
        return sorted(seen)

    assert simulate(program).result() == ["fetch_0", "fetch_1"]


def test_every_call_runs_once():
    """No submitted call is lost or run twice, in any schedule."""

    def program():
        ran = []
        with ThreadPoolExecutor(max_workers=2) as pool:
            for number in range(4):
                pool.submit(ran.append, number)
        assert sorted(ran) == [0, 1, 2, 3]

    explore(program, schedules=200).raise_if_failed()


def test_a_pool_that_waits_for_itself_is_a_deadlock():
    """A call that waits for a call behind it in a pool of one thread is found to be stuck."""

    def program():
        pool = ThreadPoolExecutor(max_workers=1)
        pool.submit(lambda: pool.submit(int).result()).result()

    assert simulate(program).kind == "deadlock"


def test_executors_have_the_same_names_in_every_execution():
    """Default thread names count from 0 in each execution: logs and labels do not depend on what ran before."""

    def program():
        with ThreadPoolExecutor() as pool:
            return pool.submit(lambda: threading.current_thread().name).result()

    first, second = simulate(program), simulate(program)
    assert first.result() == second.result()
    assert first.log_bytes() == second.log_bytes()


def test_a_failure_in_an_executor_is_reproduced():
    """A race between submitted calls is found, and its replays confirm it."""

    def program():
        order = []
        with ThreadPoolExecutor(max_workers=2) as pool:
            for name in "ab":
                pool.submit(order.append, name)
        assert order == ["a", "b"]

    report = explore(program, schedules=200)
    assert report.verdict == "failed", report.reason
    assert isinstance(replay(program, report.failure.schedule).error, AssertionError)


def test_real_executors_work_afterwards():
    """The module that simulated executors used serves real threads again."""

    def program():
        with ThreadPoolExecutor() as pool:
            return pool.submit(int, 3).result()

    assert simulate(program).result() == 3
    with ThreadPoolExecutor(max_workers=2) as pool:
        assert list(pool.map(int, "123")) == [1, 2, 3]


def test_an_executor_first_imported_inside():
    """A program may be the first to load concurrent.futures.thread, and real executors work after it."""
    code = """
import concurrent.futures
import sys
from routilux_sim import simulate

def program():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return pool.submit(int, 3).result()

print(simulate(program).result(), simulate(program).result(), program())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("3 3 3\n", "")
