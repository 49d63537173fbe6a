"""Simulated locks, conditions, events, semaphores, barriers, timers and locals behave as CPython's."""

import threading
import time

import pytest
from sim_helpers import assert_as_on_threads, attempt, elsewhere, ids, outcomes, run_threads

from routilux_sim import explore, simulate


class Mailbox(threading.Condition):
    """A condition that was derived before anything was simulated."""


class Gate(threading.Event):
    """An event that was derived before anything was simulated."""


class Slots(threading.Semaphore):
    """A semaphore that was derived before anything was simulated."""


class Duck:
    """Something that a condition takes for a lock."""

    def __init__(self):
        self.lock = threading.Lock()

    def acquire(self, blocking=True):
        return self.lock.acquire(blocking)

    def release(self):
        self.lock.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exc_info):
        self.release()


def lock_calls():
    lock = threading.Lock()
    return [
        attempt(lock.release),
        lock.acquire(),
        lock.locked(),
        lock.acquire(False),
        lock.acquire(blocking=False),
        lock.acquire(timeout=0),
        lock.acquire(True, 0.001),
        elsewhere(lock.acquire, False),
        elsewhere(lock.release),
        lock.locked(),
        lock.acquire(timeout=5),
    ]


def lock_errors():
    lock = threading.Lock()
    return [
        attempt(lock.acquire, False, 1),
        attempt(lock.acquire, False, 0),
        attempt(lock.acquire, True, -2),
        attempt(lock.acquire, timeout=-0.5),
        attempt(lock.acquire, timeout=1e10),
        attempt(lock.acquire, False, -1),
    ]


def lock_context():
    lock = threading.Lock()
    with lock as entered:
        return entered


def lock_context_after_an_error():
    lock = threading.Lock()
    try:
        with lock:
            raise KeyError("inside")
    except KeyError as error:
        return str(error), lock.locked()


def rlock_calls():
    lock = threading.RLock()
    return [
        attempt(lock.release),
        lock.acquire(),
        lock.acquire(),
        lock.acquire(False),
        lock.acquire(timeout=0.001),
        elsewhere(lock.acquire, False),
        elsewhere(lock.acquire, True, 0.001),
        elsewhere(lock.release),
        [attempt(lock.release) for _ in range(5)],
        elsewhere(lock.acquire, False),
    ]


def rlock_errors():
    lock = threading.RLock()
    return [
        attempt(lock.acquire, False, 1),
        attempt(lock.acquire, True, -2),
        attempt(lock.acquire, timeout=1e10),
    ]


def rlock_context():
    lock = threading.RLock()
    with lock as outer, lock as inner:
        return outer, inner


def condition_errors():
    condition = threading.Condition()
    return [
        attempt(condition.wait),
        attempt(condition.wait, 0.001),
        attempt(condition.wait_for, lambda: False),
        attempt(condition.wait_for, lambda: 7),
        attempt(condition.notify),
        attempt(condition.notify_all),
        attempt(condition.release),
    ]


def condition_of_another_thread():
    condition = threading.Condition()
    with condition:
        return elsewhere(condition.notify), elsewhere(condition.wait, 0.001)


def condition_timeouts():
    condition = threading.Condition(threading.Lock())
    with condition:
        return [
            condition.wait(0.001),
            condition.wait(0),
            condition.wait(-1),
            condition.wait_for(lambda: False, 0.001),
            condition.wait_for(lambda: "", 0),
            condition.wait_for(lambda: [1], 0),
        ]


def condition_handover():
    condition = threading.Condition()
    items = []
    seen = []

    def consume():
        with condition:
            seen.append(condition.wait_for(lambda: items))
            seen.append(items.pop())

    def produce():
        with condition:
            items.append("item")
            condition.notify()

    run_threads(consume, produce)
    return seen[1:], items


def condition_frees_a_nested_rlock():
    condition = threading.Condition(threading.RLock())
    ready = []

    def notify():
        with condition:
            ready.append(1)
            condition.notify_all()

    with condition, condition:
        thread = threading.Thread(target=notify)
        thread.start()
        condition.wait_for(lambda: ready)
        thread.join()
        owned = attempt(condition.notify)
    return owned, attempt(condition.notify)


def conditions_share_a_lock():
    lock = threading.Lock()
    first, second = threading.Condition(lock), threading.Condition(lock)
    with first:
        return lock.locked(), attempt(second.notify), second.acquire(False)


def condition_over_a_duck():
    condition = threading.Condition(Duck())
    flags = []

    def waiter():
        with condition:
            flags.append(condition.wait_for(lambda: "go" in flags, 5))

    def notifier():
        with condition:
            flags.append("go")
            condition.notify()

    run_threads(waiter, notifier)
    with condition:
        return flags, condition.wait(0.001)


def condition_derived():
    mailbox = Mailbox()
    mail = []

    def post():
        with mailbox:
            mail.append("letter")
            mailbox.notify()

    def collect():
        with mailbox:
            mailbox.wait_for(lambda: mail, 5)

    run_threads(collect, post)
    with mailbox:
        return mail, mailbox.wait(0.001), isinstance(mailbox, threading.Condition)


def event_calls():
    event = threading.Event()
    return [
        event.is_set(),
        event.wait(0),
        event.wait(0.001),
        event.set(),
        event.is_set(),
        event.wait(),
        event.wait(5),
        event.clear(),
        event.is_set(),
    ]


def event_derived():
    gate = Gate()
    run_threads(gate.wait, gate.set)
    return gate.is_set(), gate.clear(), gate.wait(0.001)


def semaphore_calls():
    semaphore = threading.Semaphore(2)
    return [
        semaphore.acquire(),
        semaphore.acquire(False),
        semaphore.acquire(False),
        semaphore.acquire(timeout=0.001),
        semaphore.acquire(timeout=0),
        semaphore.release(),
        semaphore.release(2),
        [semaphore.acquire(False) for _ in range(4)],
    ]


def semaphore_errors():
    return [
        attempt(threading.Semaphore, -1),
        attempt(threading.Semaphore(1).release, 0),
        attempt(threading.Semaphore(1).acquire, False, 1),
        attempt(threading.BoundedSemaphore, -1),
    ]


def semaphore_context():
    semaphore = threading.Semaphore()
    with semaphore as entered:
        return entered, semaphore.acquire(False)


def semaphore_derived():
    slots = Slots(1)
    run_threads(slots.release, slots.acquire, slots.acquire)
    return slots.acquire(False)


def bounded_semaphore_calls():
    semaphore = threading.BoundedSemaphore(2)
    return [
        attempt(semaphore.release),
        semaphore.acquire(),
        attempt(semaphore.release, 2),
        attempt(semaphore.release),
        semaphore.acquire(False),
        semaphore.acquire(False),
        semaphore.acquire(False),
    ]


def barrier_calls():
    called = []
    barrier = threading.Barrier(3, action=lambda: called.append(1))
    indices = []
    run_threads(*[lambda: indices.append(barrier.wait()) for _ in range(3)])
    run_threads(*[lambda: indices.append(barrier.wait()) for _ in range(3)])
    return sorted(indices), called, barrier.parties, barrier.n_waiting, barrier.broken


def barrier_timeout():
    barrier = threading.Barrier(2, timeout=0.001)
    return [attempt(barrier.wait), barrier.broken, attempt(barrier.wait), barrier.reset(), barrier.broken]


def barrier_abort():
    barrier = threading.Barrier(2)
    barrier.abort()
    return barrier.broken, elsewhere(barrier.wait)


def barrier_action_that_raises():
    def act():
        raise KeyError("action")

    barrier = threading.Barrier(1, action=act)
    return attempt(barrier.wait), barrier.broken


def barrier_of_nobody():
    return attempt(threading.Barrier, 0)[0]


def timer_fires():
    called = []
    timer = threading.Timer(0.001, lambda *args, **kwargs: called.append((args, kwargs)), (1,), {"a": 2})
    timer.start()
    timer.join()
    return called, timer.finished.is_set(), timer.is_alive()


def timer_is_cancelled():
    called = []
    timer = threading.Timer(60, called.append, (1,))
    timer.start()
    timer.cancel()
    timer.join()
    return called


def local_is_local():
    local = threading.local()
    local.value = "main"
    return [
        elsewhere(lambda: local.value),
        elsewhere(lambda: setattr(local, "value", 2)),
        local.value,
        sorted(vars(local)),
        attempt(delattr, local, "value"),
        attempt(delattr, local, "value"),
        attempt(getattr, local, "value"),
        attempt(setattr, local, "__dict__", {}),
    ]


def local_derived_with_arguments():
    class Settings(threading.local):
        shared = "class"

        def __init__(self, level, unit="m"):
            self.level = level
            self.unit = unit

        def text(self):
            return f"{self.level} {self.unit} {self.shared}"

    settings = Settings(3, unit="km")
    settings.level = 4
    return settings.text(), elsewhere(settings.text), isinstance(settings, threading.local)


def local_without_init_takes_no_arguments():
    return attempt(threading.local, 1)


def kinds():
    return [
        isinstance(threading.Condition(), threading.Condition),
        isinstance(threading.Event(), threading.Event),
        isinstance(threading.Semaphore(), threading.Semaphore),
        isinstance(threading.BoundedSemaphore(), threading.BoundedSemaphore),
        isinstance(threading.BoundedSemaphore(), threading.Semaphore),
        isinstance(threading.Barrier(1), threading.Barrier),
        isinstance(threading.Timer(1, print), threading.Thread),
        isinstance(threading.local(), threading.local),
        type(threading.Lock()) is type(threading.Lock()),
    ]


AS_ON_THREADS = (
    lock_calls,
    lock_errors,
    lock_context,
    lock_context_after_an_error,
    rlock_calls,
    rlock_errors,
    rlock_context,
    condition_errors,
    condition_of_another_thread,
    condition_timeouts,
    condition_handover,
    condition_frees_a_nested_rlock,
    conditions_share_a_lock,
    condition_over_a_duck,
    condition_derived,
    event_calls,
    event_derived,
    semaphore_calls,
    semaphore_errors,
    semaphore_context,
    semaphore_derived,
    bounded_semaphore_calls,
    barrier_calls,
    barrier_timeout,
    barrier_abort,
    barrier_action_that_raises,
    barrier_of_nobody,
    timer_fires,
    timer_is_cancelled,
    local_is_local,
    local_derived_with_arguments,
    local_without_init_takes_no_arguments,
    kinds,
)


@pytest.mark.parametrize("program", AS_ON_THREADS, ids=ids(AS_ON_THREADS))
def test_it_is_as_on_threads(program):
    """Values, exceptions and their words are those of CPython's threads, in every schedule."""
    assert_as_on_threads(program)


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"])
def test_one_at_a_time(kind):
    """What guards a section lets one thread in at a time, and loses no update, in every schedule."""

    def program():
        guard = getattr(threading, kind)()
        inside = []
        count = 0

        def work():
            nonlocal count
            for _ in range(2):
                with guard:
                    inside.append(1)
                    assert len(inside) == 1
                    read = count
                    time.sleep(0)
                    count = read + 1
                    inside.pop()

        run_threads(work, work, work)
        assert count == 6

    explore(program, schedules=300).raise_if_failed()


def test_without_a_lock_an_update_gets_lost():
    """The same counter without a guard loses updates: what the other tests show is the guards' doing."""

    def program():
        count = 0

        def work():
            nonlocal count
            read = count
            time.sleep(0)
            count = read + 1

        run_threads(work, work)
        return count

    assert outcomes(program, 100) == {1, 2}


def test_a_semaphore_lets_so_many_in():
    """Never more than its value, and sometimes just as many."""
    most = []

    def program():
        semaphore = threading.Semaphore(2)
        inside = []
        peak = 0

        def work():
            nonlocal peak
            with semaphore:
                inside.append(1)
                peak = max(peak, len(inside))
                time.sleep(0)
                inside.pop()

        run_threads(work, work, work)
        most.append(peak)

    explore(program, schedules=200).raise_if_failed()
    assert set(most) == {1, 2}


def test_who_waits_for_a_lock_gets_it_in_any_order():
    """CPython promises no order among those who wait for a lock."""

    def program():
        lock = threading.Lock()
        order = []

        def take(name):
            with lock:
                order.append(name)

        with lock:
            threads = [threading.Thread(target=take, args=(name,)) for name in "abc"]
            for thread in threads:
                thread.start()
            time.sleep(1)
        for thread in threads:
            thread.join()
        return "".join(order)

    assert outcomes(program, 300) == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_waiters_are_notified_in_the_order_in_which_they_came():
    """Condition.notify picks those who have waited longest."""

    def program():
        condition = threading.Condition()
        woken = []

        def wait(name, after):
            time.sleep(after)
            with condition:
                condition.wait()
                woken.append(name)

        threads = [threading.Thread(target=wait, args=(name, after)) for after, name in enumerate("abc")]
        for thread in threads:
            thread.start()
        for _ in threads:
            time.sleep(10)
            with condition:
                condition.notify()
        for thread in threads:
            thread.join()
        assert woken == ["a", "b", "c"]

    explore(program, schedules=100).raise_if_failed()


def test_a_notified_waiter_holds_the_lock():
    """Nobody is in the section when a waiter comes back from wait."""

    def program():
        condition = threading.Condition()
        ready = False
        inside = []

        def section():
            assert not inside
            inside.append(1)
            time.sleep(0)
            inside.pop()

        def wait():
            with condition:
                while not ready:
                    condition.wait()
                section()

        def notify():
            nonlocal ready
            with condition:
                ready = True
                condition.notify_all()
                section()

        run_threads(wait, wait, notify)

    explore(program, schedules=300).raise_if_failed()


def test_an_event_wakes_everybody():
    """Event.set wakes all waiters, at that instant."""

    def program():
        event = threading.Event()
        instants = []

        def wait():
            assert event.wait(100)
            instants.append(time.monotonic())

        threading.Timer(0.4, event.set).start()
        run_threads(wait, wait, wait)
        assert instants == [0.4] * 3

    explore(program, schedules=100).raise_if_failed()


def test_a_release_that_meets_a_timeout_is_not_lost():
    """A semaphore released at the instant at which one waiter gives up goes to that one or to the next."""

    def program():
        semaphore = threading.Semaphore(0)
        taken = []

        def patient():
            semaphore.acquire()
            taken.append("patient")

        def impatient():
            if semaphore.acquire(timeout=1):
                taken.append("impatient")
                semaphore.release()

        def release():
            time.sleep(1)
            semaphore.release()

        run_threads(impatient, patient, release)
        assert taken[-1] == "patient" or taken[0] == "patient"

    explore(program, schedules=300).raise_if_failed()


def test_a_lock_freed_at_the_instant_of_a_timeout_is_not_lost():
    """A lock released when one waiter gives up goes to the next one."""

    def program():
        lock = threading.Lock()
        got = []

        def patient():
            with lock:
                got.append("patient")

        def impatient():
            if lock.acquire(timeout=1):
                got.append("impatient")
                lock.release()

        def hold():
            with lock:
                time.sleep(1)

        holder = threading.Thread(target=hold)
        holder.start()
        time.sleep(0.5)
        run_threads(lambda: time.sleep(0), impatient, patient)
        holder.join()
        assert "patient" in got
        assert not lock.locked()

    explore(program, schedules=300).raise_if_failed()


def test_a_barrier_lets_nobody_pass_early():
    """Nobody goes on before the last has come; each gets an index of its own."""

    def program():
        barrier = threading.Barrier(3)
        arrived = []
        indices = []

        def meet(after):
            time.sleep(after)
            arrived.append(after)
            indices.append(barrier.wait())
            assert len(arrived) == 3

        run_threads(*[lambda after=after: meet(after) for after in (0, 0, 0.5)])
        assert sorted(indices) == [0, 1, 2]
        assert time.monotonic() == 0.5

    explore(program, schedules=200).raise_if_failed()


def test_a_timer_cancelled_at_its_instant_fires_or_not():
    """Cancelling at the very instant is a race, and both outcomes are found."""

    def program():
        fired = []
        timer = threading.Timer(1, fired.append, (1,))
        timer.start()
        time.sleep(1)
        timer.cancel()
        timer.join()
        return len(fired)

    assert outcomes(program, 100) == {0, 1}


def test_locals_are_kept_apart_in_every_schedule():
    """Threads that take turns see only their own attributes."""

    def program():
        local = threading.local()

        def work(number):
            local.number = number
            time.sleep(0)
            assert local.number == number

        run_threads(*[lambda n=n: work(n) for n in range(4)])
        assert not hasattr(local, "number")

    explore(program, schedules=100).raise_if_failed()


def test_objects_work_on_after_the_simulation():
    """What a program returned can be looked at afterwards, and does what does not wait."""

    def program():
        event = threading.Event()
        event.set()
        empty, full = threading.Semaphore(0), threading.Semaphore(1)
        lock = threading.Lock()
        return event, empty, full, lock

    event, empty, full, lock = simulate(program).result()
    assert event.is_set()
    assert event.wait()
    assert full.acquire(blocking=False) is True
    assert empty.acquire(blocking=False) is False
    with lock:
        assert lock.locked()
    assert not lock.locked()


def test_waiting_after_the_simulation_is_an_error():
    """What would wait for a world that is over says so instead of hanging."""

    def program():
        lock = threading.Lock()
        lock.acquire()
        return lock, threading.Event(), threading.Condition()

    lock, event, condition = simulate(program).result()
    for wait in (lock.acquire, event.wait):
        with pytest.raises(Exception, match="its simulation is not running"):
            wait()
    with condition, pytest.raises(Exception, match="its simulation is not running"):
        condition.wait()
