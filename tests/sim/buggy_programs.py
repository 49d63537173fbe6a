"""Programs that break under some schedules, each with the number of preemptions that it takes."""

import queue
import threading
import time

from sim_helpers import run_threads

from routilux_sim.kernel.core import here

__all__ = ["BUGS", "Location"]


class Location:
    """A place in memory; instrumented code has a scheduling point before each access to one."""

    def __init__(self, label):
        self.label = label


class Counter:
    def __init__(self):
        self.lock = threading.Lock()
        self.value = 0
        self.location = Location("Counter.value")

    def add_in_two_sections(self):
        with self.lock:
            seen = self.value
        with self.lock:
            self.value = seen + 1

    def add_yielding(self):
        seen = self.value
        time.sleep(0)
        self.value = seen + 1

    def add_unlocked(self):
        here().point("read", self.location)
        seen = self.value
        here().point("write", self.location)
        self.value = seen + 1


def two_sections():
    counter = Counter()
    run_threads(*[counter.add_in_two_sections] * 3)
    assert counter.value == 3, f"{counter.value} of 3"


def yielding():
    counter = Counter()
    run_threads(*[counter.add_yielding] * 2)
    assert counter.value == 2, f"{counter.value} of 2"


def lost_update():
    counter = Counter()
    run_threads(*[counter.add_unlocked] * 2)
    assert counter.value == 2, f"{counter.value} of 2"


def lost_update_in_a_crowd():
    """The same among much that does not matter."""
    counter = Counter()
    lines = queue.Queue()

    def work():
        for number in range(5):
            lines.put(number)
        counter.add_unlocked()
        for _ in range(5):
            lines.get()

    def chatter():
        for number in range(10):
            lines.put(number)

    run_threads(work, work, chatter, chatter)
    assert counter.value == 2, f"{counter.value} of 2"


def lock_order():
    first, second = threading.Lock(), threading.Lock()

    def forwards():
        with first, second:
            pass

    def backwards():
        with second, first:
            pass

    run_threads(forwards, backwards, forwards)


def check_then_act():
    lock, stock = threading.Lock(), ["the last one"]

    def take():
        with lock:
            there = bool(stock)
        if there:
            with lock:
                stock.pop()

    run_threads(take, take)


def check_then_act_in_memory():
    stock, location = ["the last one"], Location("stock")

    def take():
        if here().point("read", location) or stock:
            here().point("write", location)
            stock.pop()

    run_threads(take, take)


def missed_notify():
    condition = threading.Condition()

    def wait():
        with condition:
            condition.wait()

    def notify():
        with condition:
            condition.notify()

    run_threads(wait, notify)


def used_before_made():
    box, location = [], Location("box")

    def make():
        here().point("write", location)
        box.append(1)

    def use():
        here().point("read", location)
        assert box, "nothing there yet"

    run_threads(make, use)


def seen_half_done():
    """Two preemptions: the reader must come between the two writes, and they must not be done when it looks again."""
    first, second = Location("first"), Location("second")
    state = {"first": 0, "second": 0}
    seen = []

    def write():
        for value in (1, 2):
            here().point("write", first)
            state["first"] = value
            here().point("write", second)
            state["second"] = value

    def read():
        for _ in range(2):
            here().point("read", first)
            one = state["first"]
            here().point("read", second)
            seen.append((one, state["second"]))

    run_threads(write, read)
    assert seen != [(1, 0), (2, 1)], "half done both times"


BUGS = {
    two_sections: 1,
    yielding: 0,
    lost_update: 1,
    lost_update_in_a_crowd: 1,
    lock_order: 1,
    check_then_act: 1,
    check_then_act_in_memory: 1,
    missed_notify: 0,
    used_before_made: 0,
    seen_half_done: 3,
}
"""Each with the preemptions that it needs."""
