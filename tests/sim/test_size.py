"""Large programs and long explorations: what must not grow, and what must not slow down."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as generators
from sim_helpers import run_threads

from routilux_sim import explore, simulate
from routilux_sim.execution import Campaign
from routilux_sim.kernel.core import NOTED, STALE_DEADLINES, here
from routilux_sim.kernel.tape import Tape
from routilux_sim.strategy import make_strategy


@pytest.mark.parametrize("strategy", ["fifo", "random"])
def test_a_chain_of_threads_that_each_start_the_next_is_no_deeper_than_one(strategy):
    """Each has the whole recursion limit to itself, however many there are before it."""
    links = sys.getrecursionlimit() * 2
    deepest = []

    def link(left):
        if left:
            follower = threading.Thread(target=link, args=(left - 1,))
            follower.start()
            follower.join()
        else:
            deepest.append(dive(sys.getrecursionlimit() // 2))

    def dive(depth):
        return dive(depth - 1) if depth else "bottom"

    simulate(lambda: link(links), strategy=strategy, log=False).result()
    assert deepest == ["bottom"]


def test_a_thread_that_has_ended_is_let_go():
    """Its target, its local data and its Thread object, while the execution goes on."""

    class Thing:
        pass

    def program():
        local = threading.local()
        gone = []

        def body(thing):
            local.thing = Thing()
            gone.extend((weakref.ref(thing), weakref.ref(local.thing)))

        thread = threading.Thread(target=body, args=(Thing(),))
        gone.append(weakref.ref(thread))
        thread.start()
        thread.join()
        del thread
        return [reference() for reference in gone]

    assert simulate(program).result() == [None] * 3


def test_tasks_that_have_ended_are_not_listed():
    """However many there were, so that what looks through the tasks takes no longer and longer."""

    def program():
        for _ in range(50):
            run_threads(*[lambda: time.sleep(0.1)] * 2)
        return [task.name for task in here().tasks]

    assert simulate(program).result() == ["MainThread"]


def test_deadlines_that_will_not_come_do_not_pile_up():
    """A wait that is over leaves nothing in the clock, even if it could have lasted for a year."""

    def program():
        event = threading.Event()
        answered = threading.Event()

        def answer():
            for _ in range(STALE_DEADLINES * 3):
                event.wait(31_536_000)
                event.clear()
                answered.set()

        answering = threading.Thread(target=answer)
        answering.start()
        for _ in range(STALE_DEADLINES * 3):
            event.set()
            answered.wait(31_536_000)
            answered.clear()
        answering.join()
        return len(here()._deadlines), time.monotonic()

    kept, elapsed = simulate(program, log=False).result()
    assert kept <= STALE_DEADLINES + 10
    assert elapsed == 0


def test_the_deadlines_that_are_left_come_when_they_are_due():
    """Dropping the others, with many sleepers in between, changes no time."""

    def program():
        woken = []
        lock = threading.Lock()
        event = threading.Event()

        def sleeper(seconds):
            time.sleep(seconds)
            woken.append((seconds, time.monotonic()))

        def waiter():
            for _ in range(STALE_DEADLINES + 100):
                with lock:
                    event.wait(1000)
                    event.clear()

        waiting = threading.Thread(target=waiter)
        sleepers = [threading.Thread(target=sleeper, args=(seconds,)) for seconds in (2.5, 0.5, 1.5)]
        for thread in (waiting, *sleepers):
            thread.start()
        while waiting.is_alive():
            event.set()
            time.sleep(0.001)
        for thread in sleepers:
            thread.join()
        return woken

    assert simulate(program, log=False).result() == [(0.5, 0.5), (1.5, 1.5), (2.5, 2.5)]


@pytest.mark.parametrize("timeout", [-1, 10.0])
def test_any_of_the_threads_that_wait_for_a_lock_may_be_the_next_to_have_it(timeout):
    """And each gets it once: under many schedules, with and without a deadline."""
    orders = set()

    def program():
        lock = threading.Lock()
        order = []

        def body(name):
            if lock.acquire(timeout=timeout):
                order.append(name)
                lock.release()

        lock.acquire()
        threads = [threading.Thread(target=body, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        time.sleep(1)
        lock.release()
        for thread in threads:
            thread.join()
        assert sorted(order) == ["a", "b", "c", "d"]
        orders.add("".join(order))

    assert explore(program, schedules=400).verdict == "passed"
    assert len(orders) == 24


def test_a_lock_freed_at_the_instant_at_which_waiters_give_up_is_had_by_one_who_does_not():
    """Whichever of them runs first then."""

    def program():
        lock = threading.Lock()
        got = {}

        def body(name, timeout):
            got[name] = lock.acquire(timeout=timeout)
            if got[name]:
                time.sleep(0.5)
                lock.release()

        lock.acquire()
        threads = [threading.Thread(target=body, args=item) for item in (("a", 1.0), ("b", 1.0), ("c", 5.0))]
        for thread in threads:
            thread.start()
        time.sleep(1)
        lock.release()
        for thread in threads:
            thread.join()
        assert got == {"a": False, "b": False, "c": True}
        assert not lock.locked()
        assert time.monotonic() == 1.5

    assert explore(program, schedules=300).verdict == "passed"


def test_a_thousand_threads_at_one_lock_are_no_slower_each_than_a_hundred():
    """The steps of the schedule cost alike: by far less than the factor of ten that looking through them would take."""

    def seconds_a_step(count):
        def program():
            lock = threading.Lock()

            def body():
                with lock:
                    pass

            run_threads(*[body] * count)

        best = float("inf")
        for seed in range(3):
            began = time.process_time()
            steps = simulate(program, seed=seed, log=False).steps
            best = min(best, (time.process_time() - began) / steps)
        return best

    assert seconds_a_step(2000) < 5 * seconds_a_step(200)


def test_candidates_are_noted_up_to_a_bound():
    """A choice among thousands notes thousands; the tape itself is complete, and replays."""

    def program():
        gate = threading.Event()
        threads = [threading.Thread(target=gate.wait) for _ in range(2000)]
        for thread in threads:
            thread.start()
        gate.set()
        for thread in threads:
            thread.join()

    schedule = simulate(program, strategy="fifo", log=False).schedule
    noted = [len(step.enabled) for step in schedule]
    assert sum(noted) <= NOTED + 2001
    assert noted[0] == schedule[0].bound
    assert noted[-1] == 0
    assert len(schedule) > 2000


@given(generators.lists(generators.tuples(generators.integers(), generators.integers(), *[generators.text()] * 3)))
def test_a_tape_is_the_sequence_of_what_was_added(decisions):
    """Length, order, indices from both ends and slices are those of a list."""
    tape = Tape()
    for decision in decisions:
        tape.add(decision)
    assert list(tape) == decisions
    assert len(tape) == len(decisions)
    assert [tape[index] for index in range(-len(tape), len(tape))] == decisions * 2
    for start in range(len(decisions) + 1):
        assert list(tape[start:]) == decisions[start:]
        assert list(tape[:start]) == decisions[:start]
    with pytest.raises(IndexError):
        tape[len(decisions)]


def counter():
    """Two threads and a lock."""
    lock = threading.Lock()

    def body():
        with lock:
            pass

    run_threads(body, body)


def test_an_execution_leaves_nothing_for_the_garbage_collector():
    """So a long exploration collects seldom, and what it uses stays in the processor's caches."""
    campaign = Campaign(counter)
    strategy = make_strategy("random")
    with campaign.running():
        for seed in range(5):
            strategy.begin(seed)
            campaign.execute(strategy, seed)
        gc.collect()
        for seed in range(20):
            strategy.begin(seed)
            campaign.execute(strategy, seed)
        assert gc.collect() == 0


def test_ten_thousand_executions_take_no_more_memory_than_a_thousand():
    """Counted in the blocks of the interpreter's allocator."""
    blocks = {}

    def look(count):
        if count in {1_000, 10_000}:
            blocks[count] = sys.getallocatedblocks()

    assert explore(counter, schedules=10_000, progress=look, strategy="random").verdict == "passed"
    assert abs(blocks[10_000] - blocks[1_000]) < 200


VERSIONS = """
import gc, _testcapi, threading, time
from concurrent.futures import ThreadPoolExecutor
from routilux_sim.execution import Campaign
from routilux_sim.strategy import make_strategy

def program():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(time.sleep, [0.1, 0.2]))

def versions():
    return {kind: _testcapi.type_get_version(kind) for kind in gc.get_objects() if isinstance(kind, type)}

def execute(seeds):
    for seed in seeds:
        strategy.begin(seed)
        campaign.execute(strategy, seed)

strategy = make_strategy("random")
campaign = Campaign(program)
with campaign.running():
    execute(range(3))
    gc.unfreeze()
    before = versions()
    execute(range(3, 6))
    after = versions()
print([kind.__qualname__ for kind, version in after.items() if before.get(kind) and version != before[kind]])
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python tells the version of a class from 3.12 on")
def test_no_class_changes_from_one_execution_to_the_next():
    """CPython caches look-ups by a class's version, and (3.13) gives up on one that has changed a thousand times."""
    pytest.importorskip("_testcapi", reason="this interpreter comes without its test modules")
    run = subprocess.run([sys.executable, "-c", VERSIONS], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
