"""A program that has captured everything beforehand that can be captured; run by ``test_captured_names``.

As a script it prints what it saw, in JSON: what the simulation made of it, and whether all is as before.
"""

import dataclasses
import datetime as dt
import functools
import json
import queue
import sys
import threading
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from datetime import datetime as DateTime  # noqa: N812 - it would hide the module
from os import urandom
from queue import SimpleQueue
from random import Random
from threading import Condition, Event, Lock, RLock, Semaphore, Thread, current_thread, get_ident, local
from time import monotonic, perf_counter, sleep, strftime
from time import time as now

LOCK = Lock()
RLOCK = RLock()
CONDITION = Condition()
OVER_LOCK = Condition(LOCK)
EVENT = Event()
SEMAPHORE = Semaphore(1)
SIMPLE = SimpleQueue()
QUEUE = queue.Queue(1)
LOCAL = local()
LOCAL.name = "main"
BARRIER = threading.Barrier(2)
IN_LIST = [Lock(), sleep]
IN_DEQUE = deque([monotonic])
acquire, release = LOCK.acquire, LOCK.release


class Named(local):
    """Begins anew in each thread, with what it was made with."""

    def __init__(self, *names, last="z"):
        self.names = [*names, last]


NAMED = Named("a", last="b")


class Started(Thread):
    """A thread of a class made beforehand."""

    def run(self):
        sleep(1)
        self.ended = monotonic()


class Moment(DateTime):
    """A class of somebody's own."""


class Signal(Event):
    """A subclass of a class written in Python."""


class Queue2(SimpleQueue):
    """A subclass of a class written in C."""


@dataclasses.dataclass
class Record:
    """A default factory captures a bound method."""

    at: DateTime = dataclasses.field(default_factory=DateTime.now)


class Slotted:
    """Keeps its lock in a slot, and a clock in its class."""

    __slots__ = ("lock",)
    clock = staticmethod(monotonic)

    def __init__(self):
        self.lock = Lock()


SLOTTED = Slotted()


class Plain:
    """Keeps both in attributes."""

    def __init__(self):
        self.clock = monotonic
        self.lock = RLock()


PLAIN = Plain()


def clock_reading(clock=monotonic, *, wall=now):
    return clock(), wall()


def make_closure():
    inner = sleep
    lock = Lock()

    def use():
        with lock:
            inner(1)
        return monotonic()

    return use


CLOSURE = make_closure()
NAP = functools.partial(sleep, 2)

EVERYTHING = (
    sleep,
    now,
    monotonic,
    Lock,
    RLock,
    SimpleQueue,
    local,
    get_ident,
    current_thread,
    urandom,
    DateTime,
    date,
)


def together(*bodies):
    """Run bodies in threads of their own."""
    threads = [Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def excluded(enter):
    """Two threads hold something for a second each; how long that takes."""

    def hold():
        with enter():
            sleep(1)

    began = monotonic()
    together(hold, hold)
    return monotonic() - began


class Bound:
    """Uses the methods that were captured, and not the lock."""

    def __enter__(self):
        acquire()

    def __exit__(self, *exc_info):
        release()


def waking():
    """Each object made beforehand is waited in and woken."""
    seen = []

    def wait():
        EVENT.wait()
        seen.append(SIMPLE.get())
        seen.append(QUEUE.get())
        with CONDITION:
            seen.append(CONDITION.wait(5))
        with OVER_LOCK:
            seen.append(OVER_LOCK.wait(5))
        BARRIER.wait()
        seen.append(monotonic())

    def wake():
        sleep(1)
        EVENT.set()
        sleep(1)
        SIMPLE.put("simple")
        QUEUE.put("queue")
        sleep(1)
        with CONDITION:
            CONDITION.notify()
        sleep(1)
        with OVER_LOCK:
            OVER_LOCK.notify()
        sleep(1)
        BARRIER.wait()

    EVENT.clear()
    began = monotonic()
    together(wait, wake)
    seen[-1] -= began
    return seen


def locals_of_threads():
    seen = []

    def look():
        seen.append((hasattr(LOCAL, "name"), NAMED.names))
        LOCAL.name = NAMED.names = "thread"

    together(look, look)
    seen.append((LOCAL.name, NAMED.names))
    return seen


def subclasses():
    thread = Started()
    thread.start()
    thread.join()
    signal, box = Signal(), Queue2()
    threading.Timer(1, signal.set).start()
    began = monotonic()
    signal.wait()
    threading.Timer(1, box.put, ["put"]).start()
    return [type(thread).__name__, box.get(), monotonic() - began]


def times():
    wall = 1_767_225_600 + monotonic()
    assert now() == wall
    assert clock_reading() == (monotonic(), wall)
    assert PLAIN.clock() == SLOTTED.clock() == IN_DEQUE[0]() == perf_counter() == monotonic()
    assert DateTime.now().timestamp() == Moment.now().timestamp() == Record().at.timestamp() == wall
    assert DateTime.now(dt.UTC).timestamp() == wall
    assert date.today() == DateTime.now().date() == dt.date.today()
    assert DateTime.now(dt.UTC).year == 2026
    assert strftime("%Y") == str(DateTime.now().year)
    assert isinstance(DateTime.now(), DateTime)
    assert isinstance(Moment.now(), Moment)
    assert isinstance(DateTime(2026, 1, 1), dt.date)
    return True


def chance():
    return [urandom(4).hex(), Random().random(), str(uuid.uuid1()), str(uuid.uuid4())]


def program():
    began = monotonic()
    CLOSURE()
    NAP()
    IN_LIST[1](1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(sleep, [1, 1]))
    return {
        "slept": monotonic() - began,
        "excluded": [
            excluded(enter)
            for enter in (
                lambda: LOCK,
                lambda: RLOCK,
                lambda: SEMAPHORE,
                lambda: CONDITION,
                lambda: SLOTTED.lock,
                lambda: PLAIN.lock,
                lambda: IN_LIST[0],
                Bound,
            )
        ],
        "waking": waking(),
        "locals": locals_of_threads(),
        "subclasses": subclasses(),
        "times": times(),
        "chance": chance(),
        "idents": get_ident() == current_thread().ident,
    }


def main():
    from routilux_sim import explore, simulate  # noqa: PLC0415 - after everything has been captured

    before = list(map(id, EVERYTHING)) + [id(value) for value in globals().values()]
    state = repr((LOCK, RLOCK, SIMPLE.empty(), LOCAL.name, NAMED.names))
    first = simulate(program, seed=1)
    if first.error is not None:
        raise first.error
    second = simulate(program, seed=1)
    report = explore(program, schedules=20)
    after = list(map(id, EVERYTHING)) + [id(value) for value in globals().values()]
    print(  # noqa: T201 - for the test that runs it
        json.dumps(
            {
                "value": first.value,
                "same": second.value == first.value and second.log_bytes() == first.log_bytes(),
                "verdict": report.verdict,
                "put_back": after == before and state == repr((LOCK, RLOCK, SIMPLE.empty(), LOCAL.name, NAMED.names)),
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
