"""Conditions and events: woken for nothing, not woken, or told before listening."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from tests.quality.patterns._pattern import Pattern, in_threads


class IfInsteadOfWhile(Pattern):
    """A consumer that was woken does not look again: another one has taken the item in the meantime."""

    source = "SCTBench Inspect/boundedBuffer"
    memory = False
    depth = 0

    def __init__(self):
        self.items = deque()
        self.changed = threading.Condition()

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify()

    def get(self):
        with self.changed:
            if not self.items:
                self.changed.wait()
            return self.items.popleft()

    def run(self):
        in_threads(self.get, lambda: self.put(1), self.get, lambda: self.put(2))


class WhileInsteadOfIf(IfInsteadOfWhile):
    def get(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            return self.items.popleft()


class NotifyBeforeWait(Pattern):
    """A flag is looked at outside the lock, and the notification comes before the wait."""

    source = "JaConTeBe, RADBench: lost notification"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.ready = False
        self.changed = threading.Condition()

    def wait(self):
        if not self.ready:
            with self.changed:
                self.changed.wait()

    def tell(self):
        self.ready = True
        with self.changed:
            self.changed.notify()

    def run(self):
        in_threads(self.wait, self.tell)


class LookedAtUnderTheLock(NotifyBeforeWait):
    def wait(self):
        with self.changed:
            while not self.ready:
                self.changed.wait()


class OneConditionForTwo(Pattern):
    """Producers and consumers wait in one condition, and `notify` wakes one of the wrong kind."""

    source = "SCTBench Inspect/bbuf; the bounded buffer"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.items = deque()
        self.changed = threading.Condition()

    def put(self):
        with self.changed:
            while self.items:
                self.changed.wait()
            self.items.append(1)
            self.wake()

    def get(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            self.items.popleft()
            self.wake()

    def wake(self):
        self.changed.notify()

    def run(self):
        in_threads(self.get, self.get, self.put, self.put)


class OneConditionWokenForAll(OneConditionForTwo):
    def wake(self):
        self.changed.notify_all()


class GateForOne(Pattern):
    """A gate is opened with `notify`, and the second of those who wait stays outside."""

    source = "Python: notify for notify_all"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.open = False
        self.changed = threading.Condition()

    def enter(self):
        with self.changed:
            while not self.open:
                self.changed.wait()

    def open_gate(self):
        with self.changed:
            self.open = True
            self.wake()

    def wake(self):
        self.changed.notify()

    def run(self):
        in_threads(self.enter, self.enter, self.open_gate)


class GateForAll(GateForOne):
    def wake(self):
        self.changed.notify_all()


class ClearedAfterSet(Pattern):
    """A consumer takes what there is and clears the event: what was put in between is not announced any more."""

    source = "Python: Event.clear; APScheduler"
    kind = "deadlock"
    memory = False

    def __init__(self):
        self.items = deque()
        self.announced = threading.Event()

    def put(self, item):
        self.items.append(item)
        self.announced.set()

    def consume(self):
        taken = 0
        while taken < 2:
            self.announced.wait()
            taken += self.take()

    def take(self):
        taken = self.drain()
        self.announced.clear()
        return taken

    def drain(self):
        taken = 0
        while self.items:
            self.items.popleft()
            taken += 1
        return taken

    def run(self):
        in_threads(self.consume, lambda: self.put(1), lambda: self.put(2))


class ClearedBeforeTaking(ClearedAfterSet):
    def take(self):
        self.announced.clear()
        return self.drain()


class WaitWithoutPredicate(Pattern):
    """A wait with a timeout returns, and the value is used without asking why it returned."""

    source = "Python: Condition.wait with a timeout"
    memory = False
    depth = 0

    def __init__(self):
        self.answer = None
        self.changed = threading.Condition()
        self.delay = threading.Event()

    def respond(self):
        self.delay.wait(1.0)
        with self.changed:
            self.answer = 42
            self.changed.notify()

    def ask(self):
        with self.changed:
            self.changed.wait(1.0)
            assert self.answer + 1 == 43

    def run(self):
        in_threads(self.ask, self.respond)


class WaitForPredicate(WaitWithoutPredicate):
    def ask(self):
        with self.changed:
            if self.changed.wait_for(lambda: self.answer is not None, 1.0):
                assert self.answer + 1 == 43


class NestedMonitor(Pattern):
    """A condition is waited for with an outer lock held, which whoever is to notify needs."""

    source = "JaConTeBe: nested monitor lockout"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.items = deque()
        self.outer = threading.Lock()
        self.changed = threading.Condition()

    def get(self):
        with self.outer:
            return self.take()

    def take(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            return self.items.popleft()

    def put(self):
        with self.outer, self.changed:
            self.items.append(1)
            self.changed.notify()

    def run(self):
        in_threads(self.get, self.put)


class NestedMonitorLeft(NestedMonitor):
    def get(self):
        with self.outer:
            pass
        return self.take()


class SwallowedNotification(Pattern):
    """A waiter is notified that has been cancelled: it leaves with the notification, and the next in line sleeps on."""

    source = "JaConTeBe: commons-pool POOL-162; DBUtils, urllib3"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.free = 0
        self.cancelled = set()
        self.changed = threading.Condition()

    def use(self, name):
        if self.borrow(name):
            self.give_back()

    def borrow(self, name):
        with self.changed:
            while not self.free:
                self.changed.wait()
                if name in self.cancelled:
                    self.leave()
                    return False
            self.free -= 1
            return True

    def leave(self):
        pass

    def give_back(self):
        with self.changed:
            self.free += 1
            self.changed.notify()

    def cancel(self, name):
        with self.changed:
            self.cancelled.add(name)

    def run(self):
        in_threads(lambda: self.use("a"), lambda: self.use("b"), lambda: self.cancel("a"), self.give_back)


class NotificationPassedOn(SwallowedNotification):
    def leave(self):
        self.changed.notify()


class HomemadeBarrier(Pattern):
    """The last one to arrive resets the count that the others, not awake yet, still wait for."""

    source = "SCTBench CS/phase01, barriers"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.arrived = 0
        self.generation = 0
        self.changed = threading.Condition()

    def meet(self):
        with self.changed:
            self.arrived += 1
            if self.arrived == 2:
                self.arrived = 0
                self.generation += 1
                self.changed.notify_all()
            else:
                self.wait()

    def wait(self):
        while self.arrived < 2:
            self.changed.wait()

    def run(self):
        in_threads(self.meet, self.meet)


class BarrierByGeneration(HomemadeBarrier):
    def wait(self):
        generation = self.generation
        while self.generation == generation:
            self.changed.wait()


class BarrierSkipped(Pattern):
    """Workers meet at a barrier if there is work left; they do not all look before one has taken the last piece."""

    source = "SCTBench PARSEC/streamcluster: barrier misuse"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.work = ["piece"]
        self.barrier = threading.Barrier(2)

    def step(self):
        if self.look():
            self.take()
            self.barrier.wait()

    def look(self):
        return bool(self.work)

    def take(self):
        self.work.clear()

    def run(self):
        in_threads(self.step, self.step)


class BarrierBetween(BarrierSkipped):
    def look(self):
        found = super().look()
        self.barrier.wait()
        return found


class Sync01(Pattern):
    """A consumer waits without looking first; the signal that it waits for may have been given already."""

    source = "SCTBench CS/sync01"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.filled = 0
        self.lock = threading.Lock()
        self.full = threading.Condition(self.lock)

    def fill(self):
        with self.lock:
            self.filled += 1
            self.full.notify()

    def drain(self):
        with self.lock:
            self.wait_until_full()
            self.filled -= 1

    def wait_until_full(self):
        self.full.wait()

    def run(self):
        in_threads(self.drain, self.fill)


class Sync01LooksFirst(Sync01):
    def wait_until_full(self):
        while not self.filled:
            self.full.wait()


class Sync02(Pattern):
    """Two items are put at once and one consumer is signalled; another one waits on, beside an item."""

    source = "SCTBench CS/sync02"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.items = 0
        self.lock = threading.Lock()
        self.full = threading.Condition(self.lock)

    def produce(self):
        with self.lock:
            self.items += 2
            self.signal()

    def signal(self):
        self.full.notify()

    def consume(self):
        with self.lock:
            while not self.items:
                self.full.wait()
            self.items -= 1

    def run(self):
        in_threads(self.consume, self.consume, self.produce)


class Sync02SignalsBoth(Sync02):
    def signal(self):
        self.full.notify(2)


class LoopNotWoken(Pattern):
    """Another thread hands a callback to an event loop that sleeps, without waking it."""

    source = "Python: call_soon for call_soon_threadsafe"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.done = False

    def call(self, loop, callback):
        loop.call_soon(callback)

    def run(self):
        asyncio.run(self.main())

    async def main(self):
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        thread = threading.Thread(target=lambda: self.call(loop, lambda: finished.set_result(True)))
        thread.start()
        await finished
        thread.join()


class LoopWoken(LoopNotWoken):
    def call(self, loop, callback):
        loop.call_soon_threadsafe(callback)
