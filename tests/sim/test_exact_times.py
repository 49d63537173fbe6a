"""Random programs with timeouts: nothing wakes early, nothing waits past its deadline, nothing is held twice."""

from __future__ import annotations

import queue
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from routilux_sim import simulate

SHORT = st.integers(1, 3)
PAUSE = st.integers(0, 3)
OPERATIONS = st.one_of(
    st.tuples(st.just("sleep"), st.integers(1, 4)),
    st.tuples(st.just("lock"), st.integers(0, 1), SHORT, PAUSE),
    st.tuples(st.just("semaphore"), SHORT, PAUSE),
    st.tuples(st.just("mutex"), PAUSE),
    st.tuples(st.just("put"), SHORT),
    st.tuples(st.just("get"), SHORT),
    st.tuples(st.just("event"), SHORT),
    st.tuples(st.just("set")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("notify")),
    st.tuples(st.just("condition"), SHORT),
    st.tuples(st.just("join"), SHORT),
)


class Bench:
    """The objects of one program, and what was wrong in it."""

    def __init__(self):
        self.locks = [threading.Lock(), threading.RLock()]
        self.condition = threading.Condition()
        self.semaphore = threading.Semaphore(1)
        self.queue = queue.Queue(1)
        self.event = threading.Event()
        self.sleeper = threading.Thread(target=time.sleep, args=(2,))
        self.holders = [0, 0]

    def timed(self, limit, wait):
        """``wait()`` tells whether it got what it waited for: in time, or exactly when the time was up."""
        began = time.monotonic()
        got = wait()
        took = time.monotonic() - began
        assert took <= limit if got else took == limit, (limit, got, took)
        return got

    def hold(self, seconds):
        began = time.monotonic()
        time.sleep(seconds)
        assert time.monotonic() - began == seconds

    def sleep(self, seconds):
        self.hold(seconds)

    def lock(self, index, limit, pause):
        lock = self.locks[index]
        if self.timed(limit, lambda: lock.acquire(timeout=limit)):
            self.holders[index] += 1
            assert self.holders[index] == 1
            self.hold(pause)
            self.holders[index] -= 1
            lock.release()

    def semaphore_(self, limit, pause):
        if self.timed(limit, lambda: self.semaphore.acquire(timeout=limit)):
            self.hold(pause)
            self.semaphore.release()

    def mutex(self, pause):
        with self.queue.mutex:
            before = len(self.queue.queue)
            self.hold(pause)
            assert len(self.queue.queue) == before

    def put(self, limit):
        began = time.monotonic()
        try:
            self.queue.put(1, timeout=limit)
        except queue.Full:
            assert time.monotonic() - began >= limit

    def get(self, limit):
        began = time.monotonic()
        try:
            self.queue.get(timeout=limit)
        except queue.Empty:
            assert time.monotonic() - began >= limit

    def event_(self, limit):
        self.timed(limit, lambda: self.event.wait(limit))

    def set(self):
        self.event.set()

    def clear(self):
        self.event.clear()

    def notify(self):
        with self.condition:
            self.condition.notify()

    def condition_(self, limit):
        with self.condition:
            self.timed(limit, lambda: self.condition.wait(limit))

    def join(self, limit):
        self.sleeper.join(limit)
        assert not self.sleeper.is_alive() or time.monotonic() <= 12


@settings(max_examples=150)
@given(
    programs=st.lists(st.lists(OPERATIONS, min_size=1, max_size=5), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
)
def test_waits_take_just_as_long_as_they_must(programs, seed):
    """In any mixture of timed operations each one ends in time, or exactly when its time is up; sleeps are exact."""

    def program():
        bench = Bench()
        bench.sleeper.start()

        def run(operations):
            for name, *arguments in operations:
                method = getattr(bench, f"{name}_", None) or getattr(bench, name)
                method(*arguments)

        threads = [threading.Thread(target=run, args=(operations,)) for operations in programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    simulate(program, seed=seed, log=False).result()


def test_a_timed_acquire_that_loses_the_lock_gives_up_on_time():
    """A task about to acquire with a timeout, which another one beats to the lock, still has its deadline."""

    def program():
        lock, results = threading.Lock(), []

        def impatient():
            began = time.monotonic()
            results.append((lock.acquire(timeout=1), time.monotonic() - began))
            if results[0][0]:
                lock.release()

        thread = threading.Thread(target=impatient)
        thread.start()
        with lock:
            time.sleep(5)
        thread.join()
        assert results in ([(False, 1.0)], [(True, 0.0)], [(True, 5.0 - 5.0)])

    for seed in range(300):
        simulate(program, seed=seed, log=False).result()


def test_a_wait_that_failed_leaves_no_trace():
    """A lock that was not had in time does not cut a later sleep short when it is released."""

    def program():
        lock = threading.Lock()

        def holder():
            for seconds in (0.5, 2):
                with lock:
                    time.sleep(seconds)

        def visitor():
            time.sleep(0.1)
            if lock.acquire(timeout=1):
                lock.release()
            began = time.monotonic()
            time.sleep(10)
            assert time.monotonic() - began == 10

        threads = [threading.Thread(target=holder), threading.Thread(target=visitor)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for seed in range(300):
        simulate(program, seed=seed, log=False).result()


def test_a_join_that_ends_with_the_thread_is_no_error():
    """``join(1)`` of a thread that ends after one second returns, whichever comes first."""

    def program():
        thread = threading.Thread(target=time.sleep, args=(1,))
        thread.start()
        thread.join(1)
        assert time.monotonic() == 1

    for seed in range(200):
        simulate(program, seed=seed, log=False).result()
