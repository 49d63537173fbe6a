"""The thread pool and the timers by themselves: simulated over many schedules, and shortly on real threads."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from routilux import runtime
from routilux.schedulers.thread_pool import ThreadPool
from routilux.schedulers.timers import Timers
from routilux_sim import simulate
from tests.exploring import explore

PATIENCE = 2.0
"""Real seconds for what takes microseconds."""


def pool_of(run, max_workers):
    return ThreadPool(runtime.current(), run, "pool", max_workers)


def timers_of():
    return Timers(runtime.current(), "timers")


def alone():
    return threading.enumerate() == [threading.main_thread()]


@pytest.fixture
def quick_switching():
    """Real threads change places as often as the interpreter can be made to."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_item_runs_exactly_once(workers):
    """Whatever the interleaving of submitters and workers: nothing lost, nothing doubled, and all threads end."""

    def program():
        ran = []
        pool = pool_of(ran.append, workers)
        others = [threading.Thread(target=pool.submit, args=([k, k + 1],)) for k in (10, 20)]
        for other in others:
            other.start()
        pool.submit([1, 2])
        pool.submit([3])
        for other in others:
            other.join()
        pool.close()
        assert pool.join() is True
        assert sorted(ran) == [1, 2, 3, 10, 11, 20, 21]
        assert alone()

    explore(program, schedules=500).raise_if_failed()


@pytest.mark.parametrize("workers", [1, 2])
def test_no_wake_up_is_lost(workers):
    """Workers that park while items arrive are always woken: all items run without anybody closing the pool."""

    def program():
        ran = []
        done = threading.Semaphore(0)

        def run(item):
            ran.append(item)
            done.release()

        pool = pool_of(run, workers)
        for item in range(4):
            pool.submit([item])
            if item % 2:
                done.acquire()
        done.acquire()
        done.acquire()
        assert sorted(ran) == [0, 1, 2, 3]
        pool.close()
        assert pool.join()

    explore(program, schedules=500).raise_if_failed()


def test_items_that_submit_items_run_on():
    """A worker may submit: a growing tree of items runs whole."""

    def program():
        ran = []

        def run(path):
            ran.append(path)
            if len(path) < 3:
                pool.submit([path + "l", path + "r"])

        pool = pool_of(run, 3)
        pool.submit(["", "x"])
        pool.close()
        assert pool.join()
        assert len(ran) == len(set(ran)) == 15 + 7

    explore(program, schedules=300).raise_if_failed()


def test_one_worker_runs_in_order():
    """With one worker the order of running is the order of submitting."""

    def program():
        ran = []
        pool = pool_of(ran.append, 1)
        for item in range(6):
            pool.submit([item])
        pool.close()
        pool.join()
        assert ran == [0, 1, 2, 3, 4, 5]

    explore(program, schedules=300).raise_if_failed()


def test_many_workers_take_in_order():
    """Items are taken first come, first served: with two workers and equal times, they start in pairs in order."""

    def program():
        starts = []

        def run(item):
            starts.append((time.monotonic(), item))
            time.sleep(1.0)

        pool = pool_of(run, 2)
        pool.submit(list(range(6)))
        pool.close()
        pool.join()
        assert sorted(starts) == [(float(item // 2), item) for item in range(6)]

    explore(program, schedules=300).raise_if_failed()


def test_all_workers_are_used():
    """As many items as there are workers run at the same time, also after all workers were parked."""

    def program():
        pool = pool_of(lambda item: time.sleep(1.0), 3)
        pool.submit([1, 2, 3])
        time.sleep(5.0)
        assert time.monotonic() == 5.0
        pool.submit([4])
        pool.submit([5, 6])
        pool.close()
        pool.join()
        assert time.monotonic() == 6.0

    explore(program, schedules=400).raise_if_failed()


def test_threads_are_started_as_work_asks_for_them():
    """No work, no threads; one item after the other needs one worker; they are numbered."""

    def program():
        names = []
        pool = pool_of(lambda item: names.append(threading.current_thread().name), 5)
        assert alone()
        for item in range(3):
            pool.submit([item])
            time.sleep(1.0)
        pool.close()
        pool.join()
        assert names == ["pool-1"] * 3

    explore(program, schedules=200).raise_if_failed()


def test_resizing_up_uses_the_new_workers_at_once():
    """Items that are queued when the limit goes up are started by new workers right then."""

    def program():
        starts = []

        def run(item):
            starts.append(time.monotonic())
            time.sleep(2.0)

        pool = pool_of(run, 1)
        pool.submit([1, 2, 3, 4])
        time.sleep(1.0)
        pool.resize(3)
        pool.close()
        pool.join()
        assert starts == [0.0, 1.0, 1.0, 2.0]

    explore(program, schedules=300).raise_if_failed()


def test_resizing_down_ends_surplus_workers():
    """Busy workers finish what they run, idle ones end at once; never more than the limit run from then on."""

    def program():
        starts = []

        def run(item):
            starts.append(time.monotonic())
            time.sleep(2.0)

        pool = pool_of(run, 3)
        pool.submit([1, 2, 3, 4, 5])
        time.sleep(1.0)
        pool.resize(1)
        time.sleep(10.0)
        assert starts == [0.0, 0.0, 0.0, 2.0, 4.0]
        assert len(threading.enumerate()) == 2
        pool.close()
        pool.join()
        assert alone()

    explore(program, schedules=300).raise_if_failed()


def test_resizing_down_ends_idle_workers():
    """Parked workers beyond the limit end though no work comes."""

    def program():
        pool = pool_of(lambda item: time.sleep(1.0), 4)
        pool.submit([1, 2, 3, 4])
        time.sleep(2.0)
        assert len(threading.enumerate()) == 5
        pool.resize(2)
        time.sleep(0.001)
        assert len(threading.enumerate()) == 3
        pool.submit([5, 6, 7])
        pool.close()
        pool.join()
        assert time.monotonic() == 4.001

    explore(program, schedules=300).raise_if_failed()


def test_a_worker_that_ends_leaves_no_item_behind():
    """A worker that was woken for an item and is surplus by then sends another one; nobody closes the pool."""

    def program():
        ran = []
        pool = pool_of(ran.append, 2)
        pool.submit([1, 2])
        time.sleep(1.0)
        resizer = threading.Thread(target=pool.resize, args=(1,))
        resizer.start()
        pool.submit([3])
        resizer.join()
        time.sleep(1.0)
        assert sorted(ran) == [1, 2, 3]
        pool.close()
        assert pool.join()

    explore(program, schedules=500).raise_if_failed()


def test_resizing_an_idle_pool_starts_nobody():
    """Room for workers is not work for them."""

    def program():
        pool = pool_of(print, 1)
        pool.resize(3)
        pool.submit([])
        assert alone()

    explore(program, schedules=20).raise_if_failed()


def test_resizing_at_any_moment_loses_nothing():
    """Up and down, while items come and workers park: each item runs once, and the limit in force last is used."""

    def program():
        ran, running, most = [], [], []

        def run(item):
            running.append(item)
            most.append((time.monotonic(), len(running)))
            time.sleep(1.0)
            running.remove(item)
            ran.append(item)

        pool = pool_of(run, 2)
        resizer = threading.Thread(target=lambda: [pool.resize(size) for size in (1, 3, 1, 2)])
        resizer.start()
        pool.submit([1, 2])
        pool.submit([3])
        resizer.join()
        pool.submit([4, 5, 6])
        time.sleep(4.5)
        assert sorted(ran) == [1, 2, 3, 4, 5, 6]
        assert max(count for at, count in most if at >= 1.0) <= 2
        pool.close()
        assert pool.join()
        assert alone()

    explore(program, schedules=500).raise_if_failed()


def test_closing_runs_what_is_queued_and_ends_all_workers():
    """``close`` at any moment: queued items run, then every worker ends, parked or busy."""

    def program():
        ran = []
        pool = pool_of(ran.append, 2)
        pool.submit([1, 2, 3])
        closer = threading.Thread(target=pool.close)
        closer.start()
        assert pool.join()
        closer.join()
        pool.join()
        assert sorted(ran) == [1, 2, 3]
        assert alone()

    explore(program, schedules=500).raise_if_failed()


def test_join_returns_on_time():
    """``join`` with a timeout returns False at that instant while a worker runs, True when all have ended."""

    def program():
        pool = pool_of(lambda item: time.sleep(2.0), 2)
        assert pool.join(0) is True
        pool.submit([1, 2])
        pool.close()
        assert pool.join(0.75) is False
        assert time.monotonic() == 0.75
        assert pool.join(5.0) is True
        assert time.monotonic() == 2.0

    explore(program, schedules=200).raise_if_failed()


def test_a_caller_can_be_the_worker():
    """Without threads of its own the pool runs in whoever calls ``work``, until it is closed."""

    def program():
        ran = []

        def run(item):
            ran.append((item, threading.current_thread().name))
            if item == 1:
                pool.submit([2])
                timers.call_at(1_000_000_000, pool.submit, [3])
            if item == 3:
                pool.close()

        timers = timers_of()
        pool = ThreadPool(runtime.current(), run, "pool", 1, threads=False)
        pool.submit([1])
        pool.work()
        assert ran == [(item, "MainThread") for item in (1, 2, 3)]
        assert time.monotonic() == 1.0
        timers.close()
        timers.join()
        assert alone()

    explore(program, schedules=200).raise_if_failed()


class FewThreads(runtime.OsRuntime):
    """Gives out ``left`` threads, and then no more."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    def start_thread(self, target, name):
        if not self.left:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        return super().start_thread(target, name)


def test_fewer_threads_than_wanted_do_the_work():
    """When the system gives one thread, that one runs everything; when it gives none, the submitter hears of it."""
    ran, done = [], threading.Event()

    def run(item):
        ran.append(item)
        if len(ran) == 20:
            done.set()

    pool = ThreadPool(FewThreads(1), run, "few", 4)
    for item in range(20):
        pool.submit([item])
    assert done.wait(PATIENCE)
    pool.close()
    assert pool.join(PATIENCE)
    assert ran == list(range(20))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        ThreadPool(FewThreads(0), run, "none", 4).submit([1])


@pytest.mark.usefixtures("quick_switching")
def test_each_item_runs_once_on_real_threads():
    """Four submitters, four workers, items that submit, and a resizer, on threads of the operating system."""
    ran, done = [], threading.Event()

    def run(item):
        who, n = item
        ran.append(item)
        if n < 1000:
            pool.submit([(who, n + 1000)])
        if len(ran) == 4 * 2 * 200:
            done.set()

    def submit(who):
        for n in range(200):
            pool.submit([(who, n)])

    pool = ThreadPool(runtime.OsRuntime(), run, "real", 4)
    threads = [threading.Thread(target=submit, args=(who,)) for who in range(4)]
    threads.append(threading.Thread(target=lambda: [pool.resize(1 + n % 4) for n in range(100)]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert done.wait(PATIENCE)
    pool.close()
    assert pool.join(PATIENCE)
    assert sorted(ran) == [(who, n + late) for who in range(4) for late in (0, 1000) for n in range(200)]


@pytest.mark.usefixtures("quick_switching")
def test_no_wake_up_is_lost_on_real_threads():
    """Items that come one at a time, each after the last has run, find workers parking or parked, and are all run."""
    done = threading.Semaphore(0)
    pool = ThreadPool(runtime.OsRuntime(), lambda item: done.release(), "real", 3)
    for item in range(2000):
        pool.submit([item])
        assert done.acquire(timeout=PATIENCE)
    pool.close()
    assert pool.join(PATIENCE)


def test_calls_are_made_at_their_times_and_in_order():
    """Whatever the order of asking: by deadline and, within one, in the order of asking; exactly on time."""

    def program():
        called = []
        timers = timers_of()
        for name, seconds in (("c", 3), ("a", 1), ("b", 2), ("a2", 1), ("c2", 3), ("now", 0)):
            timers.call_at(seconds * 1_000_000_000, lambda name: called.append((name, time.monotonic())), name)
        time.sleep(5.0)
        assert called == [("now", 0.0), ("a", 1.0), ("a2", 1.0), ("b", 2.0), ("c", 3.0), ("c2", 3.0)]
        timers.close()
        assert timers.join()
        assert alone()

    explore(program, schedules=300).raise_if_failed()


def test_an_earlier_call_overtakes_a_later_one():
    """The timer thread, asleep until a late deadline, is woken for one that is nearer."""

    def program():
        called = []
        timers = timers_of()
        for seconds in (10, 5, 2):
            timers.call_at(seconds * 1_000_000_000, lambda: called.append(time.monotonic()))
            time.sleep(0.5)
        time.sleep(20.0)
        assert called == [2.0, 5.0, 10.0]
        timers.close()
        timers.join()

    explore(program, schedules=200).raise_if_failed()


def test_a_deadline_in_the_past_is_due_at_once():
    """A call that is late already is made now."""

    def program():
        called = []
        timers = timers_of()
        time.sleep(2.0)
        timers.call_at(1, lambda: called.append(time.monotonic()))
        time.sleep(0.001)
        assert called == [2.0]
        timers.close()
        timers.join()

    explore(program, schedules=100).raise_if_failed()


def test_a_cancelled_call_is_not_made():
    """``cancel`` says True and the call is never made, or False because it was made or is about to be."""

    def program():
        called, cancelled = [], []
        timers = timers_of()
        timer = timers.call_at(1_000_000_000, called.append, 1)
        time.sleep(1.0)
        cancelled.append(timers.cancel(timer))
        cancelled.append(timers.cancel(timer))
        time.sleep(1.0)
        assert (len(called), cancelled) in [(0, [True, False]), (1, [False, False])]
        outcomes.add(len(called))
        timers.close()
        timers.join()

    outcomes = set()
    explore(program, schedules=300).raise_if_failed()
    assert outcomes == {0, 1}


def test_cancelled_calls_do_not_pile_up():
    """Thousands of cancelled far deadlines leave a small heap behind, and those that remain are made."""

    def program():
        called = []
        timers = timers_of()
        timers.call_at(7_000_000_000, called.append, 7)
        for n in range(3000):
            timers.cancel(timers.call_at((n % 100 + 100) * 1_000_000_000, called.append, n))
        assert len(timers._heap) < 200
        time.sleep(300.0)
        assert called == [7]
        timers.close()
        timers.join()

    simulate(program).result()


def test_closing_drops_what_is_not_due():
    """After ``close`` the thread ends at once and what was to come is not called."""

    def program():
        called = []
        timers = timers_of()
        timers.call_at(1_000_000_000, called.append, 1)
        closer = threading.Thread(target=timers.close)
        closer.start()
        assert timers.join() is True
        assert time.monotonic() == 0
        time.sleep(5.0)
        assert called == []
        assert alone()

    explore(program, schedules=200).raise_if_failed()


def test_timers_that_were_never_used_have_no_thread():
    """Closing and joining them is nothing."""
    timers = Timers(runtime.OsRuntime(), "unused-timers")
    timers.close()
    assert timers.join(0) is True
    assert not [thread for thread in threading.enumerate() if thread.name == "unused-timers"]


def test_a_callback_may_ask_for_the_next():
    """A chain of calls keeps its beat."""

    def program():
        called = []

        def tick(at):
            called.append(time.monotonic())
            if len(called) < 4:
                timers.call_at(at + 500_000_000, tick, at + 500_000_000)

        timers = timers_of()
        timers.call_at(500_000_000, tick, 500_000_000)
        time.sleep(5.0)
        assert called == [0.5, 1.0, 1.5, 2.0]
        timers.close()
        timers.join()

    explore(program, schedules=100).raise_if_failed()


@pytest.mark.parametrize("seconds", [1e9, 1e10, 1e12, 3e18])
def test_a_far_deadline_does_not_break_the_clock(seconds):
    """On real threads a deadline beyond what a lock can wait for leaves the nearer ones as they are."""
    os_runtime = runtime.OsRuntime()
    called = threading.Event()
    timers = Timers(os_runtime, "far-timers")
    now = os_runtime.monotonic_ns()
    timers.call_at(now + int(seconds * 1e9), called.clear)
    time.sleep(0.005)
    timers.call_at(now + 1, called.set)
    assert called.wait(PATIENCE / 4)
    timers.close()
    assert timers.join(PATIENCE)


@pytest.mark.usefixtures("quick_switching")
def test_real_timers_are_on_time():
    """On real threads calls come after their deadline, in order, and soon."""
    os_runtime = runtime.OsRuntime()
    called, done = [], threading.Event()
    timers = Timers(os_runtime, "real-timers")
    now = os_runtime.monotonic_ns()
    deadlines = [now + 100_000_000 + n * 500_000 for n in (6, 2, 4, 1, 3, 5)]

    def note(deadline):
        called.append((deadline, os_runtime.monotonic_ns()))
        if len(called) == len(deadlines):
            done.set()

    for deadline in deadlines:
        timers.call_at(deadline, note, deadline)
    assert done.wait(PATIENCE)
    timers.close()
    assert timers.join(PATIENCE)
    assert [deadline for deadline, _ in called] == sorted(deadlines)
    assert all(at >= deadline for deadline, at in called)
