"""Locks, taken in the wrong order, not given back, or asked for again and again."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from tests.quality.patterns._pattern import Pattern, in_threads


class Deadlock01(Pattern):
    """Two threads take two locks in opposite order."""

    source = "SCTBench CS/deadlock01"
    kind = "deadlock"
    memory = False
    small = True

    def __init__(self):
        self.a = threading.Lock()
        self.b = threading.Lock()

    def there(self):
        with self.a, self.b:
            pass

    def back(self):
        with self.b, self.a:
            pass

    def run(self):
        in_threads(self.there, self.back)


class OneOrder(Deadlock01):
    def back(self):
        self.there()


class RingOfThree(Pattern):
    """Three threads take two of three locks each, in a ring: only all three together are stuck."""

    source = "CHESS, JaConTeBe: lock-order inversion"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.locks = [threading.Lock() for _ in range(3)]

    def order(self, place):
        return place, (place + 1) % 3

    def work(self, place):
        first, second = self.order(place)
        with self.locks[first], self.locks[second]:
            pass

    def run(self):
        in_threads(*(lambda place=place: self.work(place) for place in range(3)))


class RingSorted(RingOfThree):
    def order(self, place):
        return sorted(super().order(place))


class DiningPhilosophers(Pattern):
    """Four philosophers have taken the fork to their left, and wait for the one to their right."""

    source = "SCTBench CS/din_phil"
    kind = "deadlock"
    memory = False
    count = 4

    def __init__(self):
        self.forks = [threading.Lock() for _ in range(self.count)]

    def eat(self, place):
        left, right = self.forks[place], self.forks[(place + 1) % self.count]
        with left, right:
            pass

    def run(self):
        in_threads(*(lambda place=place: self.eat(place) for place in range(self.count)))


class OneLeftHander(DiningPhilosophers):
    def eat(self, place):
        if place:
            super().eat(place)
        else:
            with self.forks[1], self.forks[0]:
                pass


class Carter01(Pattern):
    """The first of a class of users locks out another class while it holds the lock of the count."""

    source = "SCTBench CS/carter01"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.count = threading.Lock()
        self.users = {"a": 0, "b": 0}
        self.busy = threading.Lock()

    def lock_of(self, kind):
        return self.count

    def use(self, kind):
        with self.lock_of(kind):
            self.users[kind] += 1
            if self.users[kind] == 1:
                self.busy.acquire()
        with self.lock_of(kind):
            self.users[kind] -= 1
            if not self.users[kind]:
                self.busy.release()

    def run(self):
        in_threads(lambda: self.use("a"), lambda: self.use("b"))


class CarterTwoCounts(Carter01):
    def __init__(self):
        super().__init__()
        self.counts = {"a": threading.Lock(), "b": threading.Lock()}

    def lock_of(self, kind):
        return self.counts[kind]


class Phase01(Pattern):
    """Each phase locks what the last one used, and the phases of two threads are in opposite order."""

    source = "SCTBench CS/phase01"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.x = threading.Lock()
        self.y = threading.Lock()
        self.steps = []

    def phases(self, first, second):
        first.acquire()
        self.steps.append("first")
        self.change(first, second)
        self.steps.append("second")
        second.release()

    def change(self, first, second):
        second.acquire()
        first.release()

    def run(self):
        in_threads(lambda: self.phases(self.x, self.y), lambda: self.phases(self.y, self.x))


class Phase01LetsGo(Phase01):
    def change(self, first, second):
        first.release()
        second.acquire()


class CallbackUnderLock(Pattern):
    """A pool calls its connections with its lock held, and a connection calls the pool with its own held."""

    source = "JaConTeBe: DBCP-65, log4j"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.pool = threading.Lock()
        self.connection = threading.Lock()
        self.idle = ["connection"]

    def evict(self):
        with self.pool:
            self.close_connection()

    def close_connection(self):
        with self.connection:
            self.idle.clear()

    def give_back(self):
        with self.connection, self.pool:
            self.idle.append("connection")

    def run(self):
        in_threads(self.evict, self.give_back)


class CallbackOutsideLock(CallbackUnderLock):
    def evict(self):
        with self.pool:
            pass
        self.close_connection()


class UpgradableLock:
    """Many readers or one writer."""

    def __init__(self):
        self.readers = 0
        self.changed = threading.Condition()

    def acquire_read(self):
        with self.changed:
            self.readers += 1

    def release_read(self):
        with self.changed:
            self.readers -= 1
            self.changed.notify_all()

    def wait_for_readers(self, own):
        self.changed.wait_for(lambda: self.readers == own)


class UpgradeDeadlock(Pattern):
    """Two readers want to write, and each waits for the other to stop reading."""

    source = "Python: read-write locks"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.lock = UpgradableLock()
        self.value = 0

    def change(self):
        self.lock.acquire_read()
        with self.lock.changed:
            self.lock.wait_for_readers(1)
            self.value += 1
        self.lock.release_read()

    def run(self):
        in_threads(self.change, self.change)
        assert self.value == 2


class NoUpgrade(UpgradeDeadlock):
    def change(self):
        self.lock.acquire_read()
        self.lock.release_read()
        with self.lock.changed:
            self.lock.wait_for_readers(0)
            self.value += 1


class SemaphoreLeak(Pattern):
    """A download that finds the connection closed fails without giving its slot back; the next waits for ever."""

    source = "Python: acquire without finally"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.slots = threading.Semaphore(1)
        self.closed = False

    def download(self):
        self.slots.acquire()
        self.connect()
        self.slots.release()

    def connect(self):
        if self.closed:
            raise ConnectionError("closed")

    def attempt(self):
        with suppress(ConnectionError):
            self.download()

    def close(self):
        self.closed = True

    def run(self):
        in_threads(self.attempt, self.close)
        self.attempt()


class SemaphoreInWith(SemaphoreLeak):
    def download(self):
        with self.slots:
            self.connect()


class BackOff(Pattern):
    """Two threads each hold one lock, do not get the other, and try again for ever, keeping what they hold."""

    source = "CHESS: livelock by back-off"
    kind = "livelock"
    memory = False
    max_steps = 1_000

    def __init__(self):
        self.left = threading.Lock()
        self.right = threading.Lock()

    def take_both(self, first, second):
        with first:
            while not second.acquire(blocking=False):
                self.back_off(first)
            second.release()

    def back_off(self, held):
        time.sleep(0)

    def run(self):
        in_threads(lambda: self.take_both(self.left, self.right), lambda: self.take_both(self.right, self.left))


class BackOffLettingGo(BackOff):
    def back_off(self, held):
        held.release()
        time.sleep(0)
        held.acquire()


class PoliteCouple(Pattern):
    """Two who share a spoon each hand it to the other as long as that one is hungry, so neither eats."""

    source = "Python: the livelock of the textbooks"
    kind = "livelock"
    memory = False
    max_steps = 1_000

    def __init__(self):
        self.hungry = {"ann": False, "bob": False}
        self.spoon = "ann"
        self.lock = threading.Lock()

    def eat(self, me, other):
        with self.lock:
            self.hungry[me] = True
            self.spoon = me
        while self.hungry[me]:
            with self.lock:
                if self.spoon == me:
                    self.use(me, other)

    def use(self, me, other):
        if self.hungry[other]:
            self.spoon = other
        else:
            self.hungry[me] = False

    def run(self):
        in_threads(lambda: self.eat("ann", "bob"), lambda: self.eat("bob", "ann"))


class EatFirst(PoliteCouple):
    def use(self, me, other):
        self.hungry[me] = False
        self.spoon = other


class FlagsWithoutTurn(Pattern):
    """Each raises a flag and waits until the other's is down: when both are up, both spin."""

    source = "CHESS: spin loops; Peterson's algorithm without the turn"
    kind = "livelock"
    max_steps = 1_000

    def __init__(self):
        self.wants = [False, False]
        self.turn = 0

    def enter(self, me):
        self.wants[me] = True
        self.wait(me)
        self.wants[me] = False

    def wait(self, me):
        while self.wants[1 - me]:
            pass

    def run(self):
        in_threads(lambda: self.enter(0), lambda: self.enter(1))


class Peterson(FlagsWithoutTurn):
    def wait(self, me):
        self.turn = 1 - me
        while self.wants[1 - me] and self.turn != me:
            pass


class PolledCount(Pattern):
    """The main thread polls until two workers have counted themselves; an update is lost, and it polls for ever."""

    source = "CHESS: spin loops"
    kind = "livelock"
    max_steps = 1_000

    def __init__(self):
        self.done = 0
        self.lock = threading.Lock()

    def work(self):
        self.done += 1

    def run(self):
        workers = [threading.Thread(target=self.work) for _ in range(2)]
        for worker in workers:
            worker.start()
        while self.done < 2:
            time.sleep(0)


class PolledLockedCount(PolledCount):
    def work(self):
        with self.lock:
            super().work()
