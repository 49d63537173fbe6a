"""Each way to get stuck has a name, and its mended twin is not reported."""

import asyncio
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all

import pytest
from sim_helpers import ids

from routilux import Flow, Routine
from routilux_sim import explore, simulate
from routilux_sim.judge.causes import REMEDIES


def starved_consumer(mended=False):
    """The producer ends without a last word."""
    items = queue.Queue()

    def produce():
        items.put(1)
        if mended:
            items.put(None)

    threading.Thread(target=produce, name="producer").start()
    while items.get() is not None:
        pass


def early_consumer(mended=False):
    """The consumer leaves a full queue behind."""
    items = queue.Queue(1)

    def consume():
        for _ in range(2 if mended else 1):
            items.get()

    threading.Thread(target=consume, name="consumer").start()
    for number in range(2 if mended else 3):
        items.put(number)


def forgetful_consumer(mended=False):
    """Nobody says that the work is done."""
    items = queue.Queue()
    items.put(1)
    items.get()
    if mended:
        items.task_done()
    items.join()


def joined_by_its_consumer(mended=False):
    """The only consumer waits until it has consumed."""
    items = queue.Queue()
    items.put(1)

    def consume():
        if not mended:
            items.join()
        items.get()
        items.task_done()

    threading.Thread(target=consume, name="consumer").start()


def ring_of_joins(mended=False):
    """Two threads each wait for the other's end."""
    threads = []

    def join(number):
        time.sleep(1)
        threads[number].join()

    threads.append(threading.Thread(target=join, args=(1,), name="one"))
    threads.append(threading.Thread(target=time.sleep if mended else join, args=(0,), name="two"))
    for thread in threads:
        thread.start()


def join_under_the_lock(mended=False):
    """Waits for a thread that needs what it holds."""
    lock = threading.Lock()

    def work():
        with lock:
            pass

    thread = threading.Thread(target=work, name="worker")
    with lock:
        thread.start()
        if not mended:
            thread.join()
    thread.join()


def nested_pool(mended=False):
    """The only worker waits for what only it could do."""
    with ThreadPoolExecutor(2 if mended else 1) as pool:
        pool.submit(lambda: pool.submit(int).result()).result()


def nested_pool_all(mended=False):
    """The same with wait() and two workers."""
    with ThreadPoolExecutor(2) as pool:

        def outer():
            time.sleep(1)
            inner = pool.submit(int)
            if not mended:
                wait_for_all([inner])

        wait_for_all([pool.submit(outer) for _ in range(2)])


def loop_in_itself(mended=False):
    """A coroutine blocks its loop until the loop has done something."""

    async def answer():
        return 42

    async def main():
        future = asyncio.run_coroutine_threadsafe(answer(), asyncio.get_running_loop())
        if mended:
            await asyncio.wrap_future(future)
        else:
            future.result()

    asyncio.run(main())


def idle_loop(mended=False):
    """A coroutine awaits what nobody completes."""

    async def main():
        future = asyncio.get_running_loop().create_future()
        if mended:
            future.set_result(None)
        await future

    asyncio.run(main())


def greedy_semaphore(mended=False):
    """Taken by a thread that ends with it."""
    semaphore = threading.Semaphore()

    def take():
        semaphore.acquire()
        if mended:
            semaphore.release()

    thread = threading.Thread(target=take, name="greedy")
    thread.start()
    thread.join()
    semaphore.acquire()


def short_barrier(mended=False):
    """One party of three is missing."""
    barrier = threading.Barrier(2 if mended else 3)
    threading.Thread(target=barrier.wait).start()
    barrier.wait()


def lock_of_the_dead(mended=False):
    """A thread ends with the lock."""
    lock = threading.Lock()

    def take():
        lock.acquire()
        if mended:
            lock.release()

    thread = threading.Thread(target=take, name="forgetful")
    thread.start()
    thread.join()
    lock.acquire()


def twice(mended=False):
    """Takes a lock that it has."""
    lock = threading.RLock() if mended else threading.Lock()
    with lock, lock:
        pass


def lonely_event(mended=False):
    """Waits for what nobody sets."""
    event = threading.Event()
    if mended:
        event.set()
    event.wait()


def empty_promise(mended=False):
    """A future that belongs to nobody."""
    future = Future()
    if mended:
        future.set_result(None)
    future.result()


CASES = {
    starved_consumer: ("queue never fed", "'MainThread' waits to get from `items`, which is empty: the last to put"),
    early_consumer: ("queue never drained", "'MainThread' waits to put into `items`, which is full: the last to get"),
    forgetful_consumer: ("queue join never ends", "but 1 item is not; nobody has ever called task_done()"),
    joined_by_its_consumer: ("queue join never ends", "'consumer' waits until `items` is done, but 1 item is not"),
    ring_of_joins: ("join on itself", "'one' waits for task 'two'; 'two' waits for task 'one'"),
    join_under_the_lock: ("wait cycle", "'worker' waits for `lock` (Lock-1), which 'MainThread' holds"),
    nested_pool: (
        "pool waits on itself",
        "a worker of a pool of 1, waits for a future of that pool, which has not begun",
    ),
    nested_pool_all: ("pool waits on itself", "a worker of a pool of 2, waits for"),
    loop_in_itself: ("event loop waits for itself", "in the middle of its event loop, which stands still until then"),
    idle_loop: ("event loop never called", "the event loop of 'MainThread' has nothing to run and no timer"),
    greedy_semaphore: ("semaphore never released", "taken and not given back by 'greedy' (1×, which has ended)"),
    short_barrier: ("barrier never full", "with 2 of 3 parties; the others never come"),
    lock_of_the_dead: ("held by an ended task", "by 'forgetful', which has ended"),
    twice: ("lock taken twice", "waits for `lock` (Lock-1), which it has taken already, and which is no RLock"),
    lonely_event: ("event never set", "'MainThread' waits for `event` (Event-1) to be set, and nobody sets it"),
    empty_promise: ("future never done", "waits for the future `future`, and nobody completes it"),
}


@pytest.mark.parametrize("program", CASES, ids=ids(CASES))
def test_a_cause_is_named(program):
    """In every schedule it is a deadlock of that name, told in words, with what to do about it."""
    cause, words = CASES[program]
    for seed in range(10):
        execution = simulate(program, seed=seed)
        assert execution.kind == "deadlock"
        assert execution.error.cause == cause
        assert f"  {cause}: " in str(execution.error)
        assert words in str(execution.error)
        assert f"  what to do: {REMEDIES[cause]}" in str(execution.error)


@pytest.mark.parametrize("program", CASES, ids=ids(CASES))
def test_a_mended_twin_is_not_reported(program):
    """The same program without its mistake never fails."""
    report = explore(lambda: program(mended=True), schedules=100)
    assert report.verdict in {"passed", "exhausted"}, report


@pytest.mark.parametrize("program", CASES, ids=ids(CASES))
def test_a_cause_is_named_without_a_record_too(program):
    """What was not recorded may be missing in the words, not in the name."""
    assert simulate(program, log=False).error.cause == CASES[program][0]


def test_idle_workers_are_not_the_cause():
    """A pool waiting for work is stuck as well, but not what keeps the program from ending."""

    def program():
        pool = ThreadPoolExecutor(3)
        list(pool.map(abs, range(3)))
        threading.Event().wait()

    assert simulate(program).error.cause == "event never set"


def test_daemons_are_not_the_cause():
    """A daemon that waits in vain keeps nobody from ending."""

    def program():
        threading.Thread(target=queue.Queue().get, daemon=True).start()
        threading.Event().wait()

    assert simulate(program).error.cause == "event never set"


def test_a_pool_with_a_free_worker_does_not_wait_on_itself():
    """What waits there waits for something else."""

    def program():
        event = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(lambda: pool.submit(event.wait).result()).result()

    assert simulate(program).error.cause == "event never set"


def test_a_handler_that_is_stuck_is_the_cause():
    """And not the engine, which waits for it."""

    class Stuck(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", handler=self.enter)

        def enter(self, **kwargs):
            self.items = queue.Queue()
            self.items.get()

    def program():
        flow = Flow(execution_strategy="concurrent", max_workers=2)
        flow.add_routine(Stuck(), "stuck")
        flow.execute("stuck", timeout=None)
        flow.shutdown()

    error = simulate(program).error
    assert error.cause == "queue never fed"
    assert "waits to get from `Stuck.items`" in str(error)


def test_a_condition_over_a_lock_of_ones_own_is_never_notified():
    """CPython's condition waits by taking a lock twice, which is no mistake of the program's."""

    class Own:
        def __init__(self):
            self.lock = threading.Lock()
            self.acquire, self.release = self.lock.acquire, self.lock.release

        def __enter__(self):
            self.acquire()

        def __exit__(self, *exc_info):
            self.release()

    def program():
        condition = threading.Condition(Own())
        with condition:
            condition.wait()

    assert simulate(program).error.cause == "never notified"
