"""Programs that compute what is left until a deadline: the last wait is for next to nothing, and they go on.

The virtual clock stands still while a task runs. A loop that goes on while the time left is not below 0, or that sleeps
for less than the clock can tell, must see it move.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, as_completed

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim_helpers import ids

from routilux_sim import simulate

SECONDS = st.floats(1e-9, 1e4)


def event(timeout):
    return HELD.event.wait(timeout)


def condition(timeout):
    with HELD.condition:
        return HELD.condition.wait(timeout)


def lock(timeout):
    return HELD.lock.acquire(timeout=timeout)


def thread(timeout):
    HELD.thread.join(timeout)
    return not HELD.thread.is_alive()


def get(timeout):
    try:
        return HELD.queue.get(timeout=timeout)
    except queue.Empty:
        return False


def simple_get(timeout):
    try:
        return HELD.simple.get(timeout=timeout)
    except queue.Empty:
        return False


def put(timeout):
    try:
        return HELD.full.put(1, timeout=timeout)
    except queue.Full:
        return False


class Held:
    """What nobody gives back, ends or fills."""

    def begin(self):
        self.lock = threading.Lock()
        self.lock.acquire()
        self.event = threading.Event()
        self.condition = threading.Condition()
        self.thread = threading.Thread(target=self.event.wait, daemon=True)
        self.thread.start()
        self.queue = queue.Queue()
        self.simple = queue.SimpleQueue()
        self.full = queue.Queue(1)
        self.full.put(0)


HELD = Held()
WAITS = [event, condition, lock, thread, get, simple_get, put]


@pytest.mark.parametrize("wait", WAITS, ids=ids(WAITS))
@given(seconds=SECONDS, before=SECONDS)
def test_waiting_until_less_than_nothing_is_left_ends(wait, seconds, before):
    """Within a nanosecond or two of the deadline, and not before it."""

    def program():
        HELD.begin()
        time.sleep(before)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) >= 0:
            assert wait(left) is False
        return time.monotonic() - end

    assert 0 <= simulate(program, max_steps=1000).result() <= 3e-9


@pytest.mark.parametrize("clock", ["monotonic", "time", "perf_counter"])
@given(seconds=SECONDS, before=SECONDS)
def test_sleeping_what_is_left_ends(clock, seconds, before):
    """As `sched` and many loops do: as long as anything is left, sleep for that long."""

    def program():
        read = getattr(time, clock)
        time.sleep(before)
        end = read() + seconds
        while (left := end - read()) > 0:
            time.sleep(left)
        return read() - end

    # A float near the epoch is good to a quarter of a microsecond.
    assert 0 <= simulate(program, max_steps=1000).result() <= 1e-6


@given(seconds=SECONDS, before=SECONDS)
def test_as_completed_gives_up_in_time(seconds, before):
    """It waits again when exactly nothing is left."""

    def program():
        time.sleep(before)
        began = time.monotonic_ns()
        with pytest.raises(TimeoutError, match=r"1 \(of 1\) futures unfinished"):
            list(as_completed([Future()], timeout=seconds))
        return time.monotonic_ns() - began

    assert abs(simulate(program, max_steps=1000).result() - seconds * 1e9) <= 2000


def test_looking_takes_no_time():
    """Only who looks at the same thing again, and at the clock in between, is taken to wait."""

    def program():
        first, second = threading.Event(), threading.Event()
        first.wait(1)
        seen = [first.wait(0), second.wait(0), second.wait(0)]
        now = time.monotonic()
        seen.append(second.wait(0))
        return seen, now, time.monotonic_ns()

    assert simulate(program).result() == ([False] * 4, 1.0, 1_000_000_001)


def test_what_comes_while_a_moment_passes_is_seen():
    """Somebody else may set the event in the nanosecond that the second look takes."""

    def program():
        event = threading.Event()
        threading.Timer(1e-9, event.set).start()
        return [event.wait(time.monotonic() * 0) for _ in range(3)][-1]

    assert simulate(program, strategy="fifo").result() is True
