"""Generated programs find what is wrong with the simulator: each of these is put in on purpose, and must be found."""

from __future__ import annotations

import concurrent.futures
import contextvars
import queue
import threading
import time
from types import SimpleNamespace

import pytest

from routilux_sim import InconclusiveError
from routilux_sim.kernel.core import Kernel
from routilux_sim.world import locals as task_locals
from routilux_sim.world import threads
from routilux_sim.world.sync import Mutex
from tests.generated.comparing import compare, on_threads
from tests.generated.programs import make

PROGRAMS = 200

WRONG = {}
"""A module, and what makes wrong primitives for it, inside the simulation: by name, what goes in its place."""
BROKEN = {}
"""What breaks the simulator's own mechanism."""


def wrong(module):
    """Enter a function that says what is wrong in a module."""

    def enter(function):
        WRONG[function.__name__] = module, function
        return function

    return enter


def broken(function):
    BROKEN[function.__name__] = function
    return function


class StandIn:
    """A module as the simulation has it, but for some names."""

    def __init__(self, module, changes):
        vars(self).update(changes, _module=module)

    def __getattr__(self, name):
        return getattr(self._module, name)

    def __setattr__(self, name, value):
        setattr(self._module, name, value)


@wrong(threading)
def a_semaphore_hands_out_one_too_many():
    class Semaphore(threading.Semaphore):
        def __init__(self, value=1):
            super().__init__(value + 1)

    return {"Semaphore": Semaphore}


@wrong(threading)
def a_semaphore_takes_back_one_at_a_time():
    class Semaphore(threading.Semaphore):
        def release(self, n=1):
            super().release(min(n, 1))

    return {"Semaphore": Semaphore}


@wrong(threading)
def a_bounded_semaphore_has_no_bound():
    return {"BoundedSemaphore": threading.Semaphore}


@wrong(threading)
def notify_wakes_nobody():
    class Condition(threading.Condition):
        def notify(self, n=1):
            super().notify(0)

        def notify_all(self):
            super().notify(9)

    return {"Condition": Condition}


@wrong(threading)
def notify_wakes_everybody():
    class Condition(threading.Condition):
        def notify(self, n=1):
            super().notify(9)

    return {"Condition": Condition}


@wrong(threading)
def notify_all_wakes_one():
    class Condition(threading.Condition):
        def notify_all(self):
            self.notify()

    return {"Condition": Condition}


@wrong(threading)
def a_condition_keeps_its_lock_while_waiting():
    class Condition(threading.Condition):
        def wait(self, timeout=None):
            time.sleep(0.001 if timeout is None else timeout)
            return False

    return {"Condition": Condition}


@wrong(threading)
def a_barrier_is_off_by_one():
    class Barrier(threading.Barrier):
        def __init__(self, parties, action=None, timeout=None):
            super().__init__(max(1, parties - 1), action, timeout)

    return {"Barrier": Barrier}


@wrong(threading)
def a_barrier_forgets_its_action():
    class Barrier(threading.Barrier):
        def __init__(self, parties, action=None, timeout=None):
            super().__init__(parties, None, timeout)

    return {"Barrier": Barrier}


@wrong(threading)
def a_barrier_mends_itself():
    class Barrier(threading.Barrier):
        def wait(self, timeout=None):
            try:
                return super().wait(timeout)
            except threading.BrokenBarrierError:
                return 0

    return {"Barrier": Barrier}


@wrong(threading)
def an_event_is_set_for_one():
    class Event(threading.Event):
        def wait(self, timeout=None):
            done = super().wait(timeout)
            self.clear()
            return done

    return {"Event": Event}


@wrong(threading)
def an_event_does_not_wait():
    class Event(threading.Event):
        def wait(self, timeout=None):
            return super().wait(0 if timeout is None else timeout) or timeout is None

    return {"Event": Event}


@wrong(threading)
def locals_are_shared():
    class Shared:
        def __new__(cls, *args):
            return object.__new__(cls)

    return {"local": Shared}


@wrong(threading)
def an_rlock_is_not_reentrant():
    return {"RLock": threading.Lock}


@wrong(threading)
def an_rlock_is_given_back_at_once():
    class Lock:
        def __init__(self):
            self._lock = threading.RLock()
            self._held = 0

        def acquire(self, blocking=True, timeout=-1):
            self._lock.release() if self._lock._is_owned() else None
            return self._lock.acquire(blocking, timeout)

        def release(self):
            if self._lock._is_owned():
                self._lock.release()

        __enter__ = acquire

        def __exit__(self, *exc_info):
            self.release()

    return {"RLock": Lock}


@wrong(threading)
def a_lock_lets_everybody_in():
    class Lock:
        def acquire(self, blocking=True, timeout=-1):
            return True

        __enter__ = acquire

        def locked(self):
            return False

        def release(self):
            pass

        def __exit__(self, *exc_info):
            pass

    return {"Lock": Lock, "RLock": Lock}


@wrong(threading)
def join_returns_early():
    class Thread(threading.Thread):
        def join(self, timeout=None):
            super().join(0)

    return {"Thread": Thread}


@wrong(threading)
def join_waits_past_its_time():
    class Thread(threading.Thread):
        def join(self, timeout=None):
            super().join(None if timeout is None else timeout + 0.001)

    return {"Thread": Thread}


@wrong(threading)
def a_thread_forgets_its_name():
    class Thread(threading.Thread):
        def __init__(self, *args, name=None, **kwargs):
            super().__init__(*args, **kwargs)

    return {"Thread": Thread}


@wrong(threading)
def a_cancelled_timer_fires():
    class Timer(threading.Timer):
        def cancel(self):
            self.interval = 0

    return {"Timer": Timer}


@wrong(queue)
def a_queue_loses_an_item_when_full():
    class Queue(queue.Queue):
        def put(self, item, block=True, timeout=None):
            if block and self.full():
                return
            super().put(item, block, timeout)

    return {"Queue": Queue}


@wrong(queue)
def a_queue_takes_one_more_than_fits():
    class Queue(queue.Queue):
        def __init__(self, maxsize=0):
            super().__init__(maxsize + 1 if maxsize else 0)

    return {"Queue": Queue}


@wrong(queue)
def a_queue_is_joined_too_early():
    class Queue(queue.Queue):
        def join(self):
            pass

    return {"Queue": Queue}


@wrong(queue)
def a_queue_counts_an_item_twice():
    class Queue(queue.Queue):
        def task_done(self):
            super().task_done()
            self.unfinished_tasks = max(0, self.unfinished_tasks - 1)

    return {"Queue": Queue}


@wrong(queue)
def last_comes_first():
    class SimpleQueue(queue.LifoQueue):
        pass

    return {"SimpleQueue": SimpleQueue}


@wrong(queue)
def priorities_do_not_count():
    return {"PriorityQueue": queue.Queue}


@wrong(concurrent)
def map_does_not_keep_the_order():
    class Executor(concurrent.futures.ThreadPoolExecutor):
        def map(self, function, *items, timeout=None):
            futures = [self.submit(function, *item) for item in zip(*items, strict=True)]
            return (future.result() for future in reversed(futures))

    return {"futures": StandIn(concurrent.futures, {"ThreadPoolExecutor": Executor})}


@wrong(concurrent)
def a_pool_has_a_worker_too_many():
    class Executor(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, max_workers=None, *args, **kwargs):
            super().__init__(max_workers + 1, *args, **kwargs)

    return {"futures": StandIn(concurrent.futures, {"ThreadPoolExecutor": Executor})}


@wrong(concurrent)
def a_pool_does_not_wait_at_its_end():
    class Executor(concurrent.futures.ThreadPoolExecutor):
        def __exit__(self, *exc_info):
            self.shutdown(wait=False)

    return {"futures": StandIn(concurrent.futures, {"ThreadPoolExecutor": Executor})}


@wrong(concurrent)
def wait_does_not_wait_for_all():
    def wait(futures, timeout=None, return_when="FIRST_COMPLETED"):
        return concurrent.futures.wait(futures, timeout, "FIRST_COMPLETED")

    return {"futures": StandIn(concurrent.futures, {"wait": wait})}


@wrong(contextvars)
def a_context_is_not_a_copy():
    return {"copy_context": lambda: SimpleNamespace(run=lambda call, *args: call(*args))}


@wrong(time)
def sleep_is_too_short():
    return {"sleep": lambda seconds: time.sleep(seconds / 2)}


@wrong(time)
def sleep_is_too_long():
    return {"sleep": lambda seconds: time.sleep(seconds * 2)}


@wrong(time)
def sleep_is_seen_by_nobody():
    return {"sleep": lambda seconds: None}


@broken
def a_free_lock_wakes_nobody(patch):
    def free(self, kernel):
        self._held, self._owner = 0, None

    patch.setattr(Mutex, "_free", free)


@broken
def a_lock_may_be_taken_twice(patch):
    """Whoever could take it when it was free, still may."""
    patch.setattr(Kernel, "disable", lambda self, task, obj: None)
    patch.setattr(Mutex, "_obtain", lambda self, kernel, blocking, timeout: (self._take(kernel, 1), True)[1])


@broken
def whose_time_is_up_thinks_it_was_woken(patch):
    block = Kernel.block
    patch.setattr(Kernel, "block", lambda *args: block(*args) or True)


@broken
def deadlines_come_late(patch):
    block = Kernel.block

    def late(self, op, obj, deadline=None):
        return block(self, op, obj, None if deadline is None else deadline + 500_000)

    patch.setattr(Kernel, "block", late)


@broken
def every_fourth_wake_is_lost(patch):
    wake = Kernel.wake

    def lossy(self, task):
        self.woken_so_far = getattr(self, "woken_so_far", 0) + 1
        if self.woken_so_far % 4:
            wake(self, task)

    patch.setattr(Kernel, "wake", lossy)


@broken
def who_was_notified_is_forgotten(patch):
    patch.setattr(Mutex, "adopt", lambda self, kernel, task: kernel.promise(task))


@broken
def join_does_not_wait(patch):
    patch.setattr(threads, "join_task", lambda kernel, task, timeout: kernel.point("join", task))


@broken
def all_tasks_have_the_same_locals(patch):
    patch.setattr(task_locals, "_task", lambda: None)


@broken
def looking_takes_time(patch):
    patch.setattr(Kernel, "poll", lambda self, obj: self.block("wait", obj, self.now + 5_000_000))


@pytest.fixture(scope="module")
def outcomes():
    """What the programs come to on real threads."""
    return on_threads(0, PROGRAMS)


def hunt(outcomes, **instead):
    """The first program whose outcome is another one than it should be; None if there is none."""
    for seed, outcome in outcomes.items():
        try:
            compare(make(seed), outcome.value, schedules=2, seed=seed, **instead)
        except InconclusiveError:
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, it is found
            return error
    return None


@pytest.mark.real_time
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_primitive_is_found(name, outcomes):
    """Some program comes to something else, or cannot go on."""
    module, changes = WRONG[name]
    assert hunt(outcomes, **{module.__name__: lambda: StandIn(module, changes())}) is not None


@pytest.mark.real_time
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mechanism_is_found(name, outcomes, monkeypatch):
    """Some program comes to something else, or cannot go on."""
    with monkeypatch.context() as patch:
        BROKEN[name](patch)
        assert hunt(outcomes) is not None


@pytest.mark.real_time
def test_nothing_is_found_when_nothing_is_wrong(outcomes):
    """Putting other modules in the place of the real ones, with the same contents, changes nothing."""
    modules = {module.__name__: module for module, _ in WRONG.values()}
    stand_ins = {name: lambda module=module: StandIn(module, {}) for name, module in modules.items()}
    assert hunt(outcomes, **stand_ins) is None
