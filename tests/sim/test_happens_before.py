"""What orders the doings of two tasks: each edge by itself keeps a program free of races, and is needed."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from small_programs import Cell

from routilux_sim.execution import Campaign
from routilux_sim.judge import happens_before
from routilux_sim.judge.happens_before import EDGES
from routilux_sim.judge.races import RacePolicy
from routilux_sim.strategy import make_strategy

SCHEDULES = 30


def races_of(program, schedules=SCHEDULES):
    """The races that are found in so many schedules."""
    strategy = make_strategy("random")
    campaign = Campaign(program, races=RacePolicy("report"))
    found = []
    with campaign.running():
        for seed in range(schedules):
            strategy.begin(seed)
            execution = campaign.execute(strategy, seed)
            assert execution.error is None, execution.error
            found += execution.races
    return found


def both(first, second):
    """Run two functions in threads of their own."""
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def started():
    cell = Cell("cell")
    cell.write(1)
    threading.Thread(target=cell.read).start()


def started_raw():
    cell = Cell("cell")
    cell.write(1)
    _thread.start_new_thread(cell.read, ())
    time.sleep(1)


def fired():
    cell = Cell("cell")
    cell.write(1)
    threading.Timer(1, cell.read).start()


def joined():
    cell = Cell("cell")
    thread = threading.Thread(target=cell.write, args=(1,))
    thread.start()
    thread.join()
    cell.read()


def seen_dead():
    cell = Cell("cell")
    thread = threading.Thread(target=cell.write, args=(1,))
    thread.start()
    while thread.is_alive():
        time.sleep(1)
    cell.read()


def _locked(lock):
    cell = Cell("cell")

    def add():
        with lock:
            cell.write(cell.read() + 1)

    both(add, add)


def locked():
    _locked(threading.Lock())


def locked_again():
    _locked(threading.RLock())


def tried():
    cell, lock = Cell("cell"), threading.Lock()

    def add():
        while not lock.acquire(timeout=0):
            time.sleep(1)
        cell.write(cell.read() + 1)
        lock.release()

    both(add, add)


def handed_over():
    """The waiter reads what the notifier has written after it had the lock for the first time."""
    cell, condition, ready = Cell("cell"), threading.Condition(), []

    def waiter():
        with condition:
            while not ready:
                condition.wait()
        cell.read()

    def notifier():
        cell.write(1)
        with condition:
            ready.append(1)
            condition.notify()

    both(waiter, notifier)


def met():
    cell, barrier = Cell("cell"), threading.Barrier(2)

    def before():
        cell.write(1)
        barrier.wait()

    def after():
        barrier.wait()
        cell.read()

    both(before, after)


def signalled_by_semaphore():
    cell, semaphore = Cell("cell"), threading.Semaphore(0)

    def before():
        cell.write(1)
        semaphore.release()

    def after():
        semaphore.acquire()
        cell.read()

    both(before, after)


def signalled_by_event():
    cell, event = Cell("cell"), threading.Event()

    def before():
        cell.write(1)
        event.set()

    def after():
        event.wait()
        cell.read()

    both(before, after)


def seen_set():
    cell, event = Cell("cell"), threading.Event()

    def before():
        cell.write(1)
        event.set()

    def after():
        while not event.is_set():
            time.sleep(1)
        cell.read()

    both(before, after)


def _queued(made):
    cell = Cell("cell")

    def before():
        cell.write(1)
        made.put("item")

    def after():
        made.get()
        cell.read()

    both(before, after)


def queued():
    _queued(queue.Queue())


def queued_simply():
    _queued(queue.SimpleQueue())


def queued_by_priority():
    _queued(queue.PriorityQueue())


def made_room():
    cell, full = Cell("cell"), queue.Queue(1)
    full.put("first")

    def before():
        cell.write(1)
        full.get()

    def after():
        full.put("second")
        cell.read()

    both(before, after)


def all_done():
    cell, work = Cell("cell"), queue.Queue()
    work.put("item")

    def before():
        cell.write(1)
        work.task_done()

    def after():
        work.join()
        cell.read()

    both(before, after)


def shut_down():
    cell, closed = Cell("cell"), queue.Queue()

    def before():
        cell.write(1)
        closed.shutdown()

    def after():
        with pytest.raises(queue.ShutDown):
            closed.get()
        cell.read()

    both(before, after)


def submitted():
    cell = Cell("cell")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 1)
        cell.write(1)
        pool.submit(cell.read)


def _future(finish):
    cell, future = Cell("cell"), concurrent.futures.Future()

    def before():
        cell.write(1)
        finish(future)

    def after():
        with suppress(ValueError, concurrent.futures.CancelledError):
            future.result()
        cell.read()

    both(before, after)


def resulted():
    _future(lambda future: future.set_result(1))


def excepted():
    _future(lambda future: future.set_exception(ValueError()))


def cancelled():
    _future(lambda future: future.cancel())


def called_back():
    """Whoever sets the result runs the callback, which reads what was written before it was added."""
    cell, future = Cell("cell"), concurrent.futures.Future()

    def adder():
        cell.write(1)
        future.add_done_callback(lambda _: cell.read())

    def setter():
        time.sleep(1)
        future.set_result(1)

    both(adder, setter)


def waited_for_several():
    cell, future = Cell("cell"), concurrent.futures.Future()

    def before():
        time.sleep(1)
        cell.write(1)
        future.set_result(1)

    def after():
        concurrent.futures.wait([future])
        cell.read()

    both(before, after)


def as_completed():
    cell, future = Cell("cell"), concurrent.futures.Future()

    def before():
        time.sleep(1)
        cell.write(1)
        future.set_result(1)

    def after():
        for _ in concurrent.futures.as_completed([future]):
            cell.read()

    both(before, after)


def called_in_a_loop():
    cell = Cell("cell")

    async def main():
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def note():
            cell.read()
            done.set()

        def other():
            cell.write(1)
            loop.call_soon_threadsafe(note)

        threading.Thread(target=other).start()
        await done.wait()

    asyncio.run(main())


PROGRAMS = {
    started: "start",
    started_raw: "start",
    fired: "start",
    joined: "end",
    seen_dead: "end",
    locked: "lock",
    locked_again: "lock",
    tried: "lock",
    handed_over: "lock",
    met: "lock",
    signalled_by_semaphore: "semaphore",
    signalled_by_event: "event",
    seen_set: "event",
    queued: "queue",
    queued_simply: "queue",
    queued_by_priority: "queue",
    made_room: "room",
    all_done: "task_done",
    submitted: "submit",
    resulted: "future",
    excepted: "future",
    cancelled: "future",
    called_back: "callback",
    waited_for_several: "futures",
    as_completed: "futures",
    called_in_a_loop: "call",
}
if sys.version_info >= (3, 13):
    PROGRAMS[shut_down] = "shutdown"


def test_each_edge_has_a_program():
    """No row of the table is without a program that needs it."""
    assert set(PROGRAMS.values()) == set(EDGES) - ({"shutdown"} if sys.version_info < (3, 13) else set())


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ordered_by_one_edge_has_no_race(program):
    """In no schedule are its accesses without an order."""
    assert races_of(program) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_its_edge_it_has_one(program, monkeypatch):
    """Take the row out of the table, and the race shows: nothing else hides that the edge is gone."""
    monkeypatch.delitem(happens_before.EDGES, PROGRAMS[program])
    assert races_of(program)


def test_time_orders_nothing():
    """That one access comes a second later than the other on the clock is luck."""
    cell = []

    def program():
        cell[:] = [Cell("cell")]

        def later():
            time.sleep(1)
            cell[0].read()

        both(lambda: cell[0].write(1), later)

    assert races_of(program, 1)


@pytest.mark.parametrize(
    "wait",
    [
        lambda lock, event: event.wait(1),
        lambda lock, event: lock.acquire(timeout=1),
    ],
    ids=["event", "lock"],
)
def test_a_wait_that_came_to_nothing_orders_nothing(wait):
    """Who was not told sees nothing."""

    def program():
        cell, event, lock = Cell("cell"), threading.Event(), threading.Lock()

        def later():
            wait(lock, event)
            cell.read()

        with lock:
            threading.Thread(target=later).start()
            cell.write(1)
            time.sleep(2)

    assert races_of(program, 1)


def test_one_item_says_nothing_of_another():
    """Who takes the first item has not seen what was done before the second was put."""

    def program():
        cell, items = Cell("cell"), queue.Queue()

        def putter():
            items.put(1)
            cell.write(1)
            items.put(2)

        def getter():
            items.get()
            cell.read()

        both(putter, getter)

    assert races_of(program)
