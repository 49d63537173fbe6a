"""CPython's own ThreadPoolExecutor, unmodified, runs on simulated threads."""

import concurrent.futures.thread
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.thread import BrokenThreadPool
from pathlib import Path

import pytest

from routilux_sim import explore, replay, simulate
from routilux_sim.world import executors

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


def points_of(execution):
    """What each decision was about, without the task's name."""
    return [step.label.partition(": ")[2] for step in execution.schedule]


def test_each_operation_is_one_step():
    """Submitting, taking, beginning, ending and asking for a result are a scheduling point each; nothing else is."""

    def program():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(int, 3).result()

    seen = set()
    for seed in range(50):
        seen |= {op.partition(" ")[0] for op in points_of(simulate(program, seed=seed))} - {"end", "exit"}
    assert seen == {"result", "set_result", "set_running", "shutdown", "take", "join"}


def test_what_is_waited_for_is_named():
    """A pool of one thread that waits for itself: who waits for which future, and where it was made."""

    def program():
        pool = ThreadPoolExecutor(max_workers=1)
        pool.submit(lambda: pool.submit(int).result()).result()

    message = str(simulate(program).error)
    assert "'ThreadPoolExecutor-0_0' waits to be given the result of a future (made at" in message
    assert "'MainThread' waits to be given the result of a future (made at" in message
    assert f"{__file__}:" in message
    assert "held by 'ThreadPoolExecutor-0_0'" in message


def test_futures_that_wait_for_each_other_are_a_ring():
    """Two calls that wait for each other's results: the ring is told by who runs which future."""

    def program():
        futures = []
        with ThreadPoolExecutor(2) as pool:
            futures += [pool.submit(lambda other=other: (time.sleep(1), futures[other].result())) for other in (1, 0)]

    error = simulate(program).error
    assert [task.name for task in error.cycle] == ["ThreadPoolExecutor-0_0", "ThreadPoolExecutor-0_1"]


MODULE_POOL = ThreadPoolExecutor(2, "module")


def test_a_pool_that_was_there_before_is_simulated():
    """A module's pool, even one whose threads run, starts anew in each execution, and is what it was afterwards."""
    assert MODULE_POOL.submit(int, 1).result() == 1
    threads = set(MODULE_POOL._threads)

    def program():
        futures = [MODULE_POOL.submit(sleep_and_return, seconds) for seconds in (0.2, 0.2, 0.25)]
        return [future.result() for future in futures], time.monotonic(), len(MODULE_POOL._threads)

    for _ in range(2):
        assert simulate(program).result() == ([0.2, 0.2, 0.25], 0.45, 2)
    explore(program, schedules=50).raise_if_failed()
    assert MODULE_POOL._threads == threads
    assert MODULE_POOL.submit(int, 2).result() == 2


def test_idle_threads_are_used_again():
    """As in CPython, no thread is started while one is idle, and a busy one is none."""

    def program():
        with ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                pool.submit(int).result()
                time.sleep(1)
            one = len(pool._threads)
            for _ in range(3):
                pool.submit(time.sleep, 1)
            return one, len(pool._threads)

    assert {simulate(program, seed=seed).result() for seed in range(20)} == {(1, 3)}


def test_an_initializer_that_fails_breaks_the_pool():
    """Futures get BrokenThreadPool, and so does whoever submits, in every schedule."""

    def program():
        pool = ThreadPoolExecutor(1, initializer=lambda: {}["missing"])
        future = pool.submit(int)
        with pytest.raises(BrokenThreadPool, match="A thread initializer failed"):
            future.result()
        with pytest.raises(BrokenThreadPool):
            pool.submit(int)

    logging.getLogger("concurrent.futures").disabled = True
    try:
        explore(program, schedules=50).raise_if_failed()
    finally:
        logging.getLogger("concurrent.futures").disabled = False


class Counting(ThreadPoolExecutor):
    """Derived, with a way of its own to start threads, and one point in the middle."""

    def submit(self, fn, /, *args, **kwargs):
        self.submitted = getattr(self, "submitted", 0) + 1
        return super().submit(fn, *args, **kwargs)

    def _adjust_thread_count(self):
        before = len(self._threads)
        time.sleep(0)
        assert len(self._threads) == before, "somebody else submits meanwhile"
        super()._adjust_thread_count()


def test_derived_executors_keep_their_methods():
    """Methods of a derived class are called, and the pool's lock holds where these let others run."""

    def program():
        with Counting(4) as pool:
            threads = [threading.Thread(target=pool.submit, args=(time.sleep, 1)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert (pool.submitted, len(pool._threads)) == (3, 3)

    explore(program, schedules=100, instrument=None).raise_if_failed()


class Daemons(ThreadPoolExecutor):
    """Starts threads as CPython does, but daemons: the usual way to have those is a copy of its method."""

    def _adjust_thread_count(self):
        if self._idle_semaphore.acquire(timeout=0) or len(self._threads) >= self._max_workers:
            return
        arguments = (weakref.ref(self), self._work_queue, None, ())
        thread = threading.Thread(target=concurrent.futures.thread._worker, args=arguments, daemon=True)
        thread.start()
        self._threads.add(thread)
        concurrent.futures.thread._threads_queues[thread] = self._work_queue


def test_a_copy_of_cpythons_way_to_start_threads_works():
    """CPython's own loop runs on the simulated pool, and is let go at the end of the program."""

    def program():
        pool = Daemons(2)
        futures = [pool.submit(sleep_and_return, seconds) for seconds in (0.2, 0.2, 0.25)]
        assert [future.result() for future in futures] == [0.2, 0.2, 0.25]
        return pool

    assert simulate(program).elapsed == 0.45
    explore(program, schedules=100).raise_if_failed()


def test_nothing_is_kept_from_execution_to_execution():
    """A thousand executions leave no more objects behind than a hundred."""

    def program():
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, (1, 1, 1)))

    counts = []
    for _ in range(3):
        explore(program, schedules=300)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 300


def test_a_forgotten_pool_lets_its_threads_go():
    """When nobody has an executor any more its threads end, as in CPython, and do not wait for the program's end."""

    def program():
        pool = ThreadPoolExecutor(1)
        pool.submit(int).result()
        (thread,) = pool._threads
        del pool
        thread.join()
        return thread.is_alive()

    assert simulate(program).result() is False


def test_the_table_of_threads_may_grow_while_it_is_looked_at():
    """Real threads register themselves at any time: a look at all of them is one step."""
    table = concurrent.futures.thread._threads_queues
    thread = threading.Thread(target=int)

    class Growing(dict):
        """Grows whenever somebody takes more than one step over it."""

        def items(self):
            for number, row in enumerate(super().items()):
                self[weakref.ref(thread, lambda _: None)] = number
                yield row

    real, table.data = table.data, Growing(table.data)
    try:
        table[thread] = None
        assert (thread, None) in executors.registered()
    finally:
        table.data = real


def test_real_executors_run_beside_a_simulation():
    """A real pool's threads go on while another one simulates."""
    stop, counted = threading.Event(), []

    def count():
        with ThreadPoolExecutor(2) as pool:
            while not stop.is_set():
                counted.append(sum(pool.map(int, "123")))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        explore(lambda: ThreadPoolExecutor(1).submit(int).result(), schedules=200).raise_if_failed()
    finally:
        stop.set()
        thread.join()
    assert set(counted) == {6}


def test_waiting_for_several_futures_looks_at_them_all_at_once():
    """While ``wait`` looks which are done, none becomes done, in any schedule: it would be waited for in vain."""

    def program():
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(int, n) for n in range(3)]
            done, rest = wait(futures[1:], return_when=FIRST_EXCEPTION)
            assert (len(done), len(rest)) == (2, 0)
            assert sorted(future.result() for future in as_completed(futures)) == [0, 1, 2]

    explore(program, schedules=3000).raise_if_failed()
