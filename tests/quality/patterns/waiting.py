"""Producers, consumers, and how they tell each other to stop."""

from __future__ import annotations

import queue
import threading
from collections import deque

from tests.quality.patterns._pattern import Pattern, in_threads


class SentinelTooEarly(Pattern):
    """The end is announced by a sentinel as soon as one of two producers has finished."""

    source = "Python: queues and sentinels"
    memory = False
    depth = 0

    def __init__(self):
        self.items = queue.Queue()
        self.first_done = threading.Event()
        self.second_done = threading.Event()
        self.seen = []

    def produce(self, item, done):
        self.items.put(item)
        done.set()

    def finish(self):
        self.first_done.wait()
        self.items.put(None)

    def consume(self):
        while (item := self.items.get()) is not None:
            self.seen.append(item)

    def run(self):
        in_threads(
            lambda: self.produce(1, self.first_done),
            lambda: self.produce(2, self.second_done),
            self.consume,
            self.finish,
        )
        assert sorted(self.seen) == [1, 2]


class SentinelAtTheEnd(SentinelTooEarly):
    def finish(self):
        self.first_done.wait()
        self.second_done.wait()
        self.items.put(None)


class SentinelForOne(Pattern):
    """Who takes the only sentinel puts it back for the others that are there; one may not be there yet."""

    source = "Python: queues and sentinels"
    kind = "deadlock"
    depth = 0
    memory = False

    def __init__(self):
        self.items = queue.Queue()
        self.items.put(None)
        self.consumers = 0

    def consume(self):
        while self.items.get() is not None:
            pass
        self.leave()

    def leave(self):
        self.consumers -= 1
        if self.consumers > 0:
            self.items.put(None)

    def enter(self):
        self.consumers += 1
        self.consume()

    def run(self):
        in_threads(self.enter, self.enter)


class SentinelPutBack(SentinelForOne):
    def leave(self):
        self.items.put(None)


class EmptyThenGet(Pattern):
    """Two consumers find that a queue is not empty, and both wait for the one item that is in it."""

    source = "Python: Queue.empty"
    kind = "deadlock"
    memory = False
    small = True

    def __init__(self):
        self.items = queue.Queue()
        self.items.put(1)

    def drain(self):
        while not self.items.empty():
            self.items.get()

    def run(self):
        in_threads(self.drain, self.drain)


class GetNowait(EmptyThenGet):
    def drain(self):
        try:
            while True:
                self.items.get_nowait()
        except queue.Empty:
            pass


class DispatcherGone(Pattern):
    """An appender waits for room in its buffer; the dispatcher that would make room has left since it was asked."""

    source = "JaConTeBe: log4j's AsyncAppender"
    kind = "deadlock"

    def __init__(self):
        self.buffer = queue.Queue(1)
        self.alive = True
        self.lock = threading.Lock()

    def dispatch(self):
        self.buffer.get()
        self.leave()

    def leave(self):
        self.alive = False

    def log(self):
        for line in ("a", "b", "c"):
            if self.alive:
                self.buffer.put(line)

    def run(self):
        in_threads(self.dispatch, self.log)


class DispatcherDrains(DispatcherGone):
    def log(self):
        for line in ("a", "b", "c"):
            while self.alive:
                try:
                    self.buffer.put(line, timeout=1.0)
                except queue.Full:
                    continue
                break


class TaskDoneEarly(Pattern):
    """A worker says that a task is done and then enters its result, for which `join` does not wait any more."""

    source = "Python: Queue.task_done"

    def __init__(self):
        self.tasks = queue.Queue()
        self.results = []

    def work(self):
        number = self.tasks.get()
        self.tasks.task_done()
        self.enter(number * number)

    def enter(self, result):
        self.results.append(result)

    def run(self):
        worker = threading.Thread(target=self.work)
        worker.start()
        self.tasks.put(3)
        self.tasks.join()
        assert self.results == [9]
        worker.join()


class TaskDoneLast(TaskDoneEarly):
    def work(self):
        number = self.tasks.get()
        self.enter(number * number)
        self.tasks.task_done()


class JoinBeforeStart(Pattern):
    """A stop joins the thread that it finds; the thread has been made but not started yet."""

    source = "watchdog; Python: cannot join thread before it is started"
    memory = False

    def __init__(self):
        self.thread = None
        self.lock = threading.Lock()

    def start(self):
        self.thread = threading.Thread(target=int)
        self.thread.start()

    def stop(self):
        if self.thread is not None:
            self.thread.join()

    def run(self):
        in_threads(self.start, self.stop)


class StartUnderLock(JoinBeforeStart):
    def start(self):
        with self.lock:
            super().start()

    def stop(self):
        with self.lock:
            super().stop()


class QueueByFlags(Pattern):
    """A writer and a reader take turns by two flags, each with a window in which both, or neither, may go."""

    source = "SCTBench CS/queue"

    def __init__(self):
        self.items = []
        self.may_write = True
        self.may_read = False

    def write(self):
        if self.may_write:
            self.may_read = True
            self.items.append(1)
            self.may_write = False

    def read(self):
        if self.may_read:
            self.items.pop(0)
            self.may_read = False
            self.may_write = True

    def run(self):
        in_threads(self.write, self.read)


class QueueByFlagsInOrder(QueueByFlags):
    def write(self):
        if self.may_write:
            self.may_write = False
            self.items.append(1)
            self.may_read = True


class CancelledWhileStarting(Pattern):
    """A stop flag is cleared when the worker begins: who stopped it before that has done so in vain."""

    source = "APScheduler, watchdog: stop before start"
    kind = "deadlock"
    memory = False
    depth = 0

    def __init__(self):
        self.stop = threading.Event()

    def work(self):
        self.begin()
        self.stop.wait()

    def begin(self):
        self.stop.clear()

    def run(self):
        in_threads(self.stop.set, self.work)


class NotClearedAtStart(CancelledWhileStarting):
    def begin(self):
        pass


class Qsort(Pattern):
    """A worker takes a part, and then says that it is busy: the others see no part and nobody busy, and leave."""

    source = "SCTBench Inspect/qsort_mt"
    memory = False

    def __init__(self):
        self.numbers = [3, 1, 2, 0]
        self.parts = deque([(0, 4)])
        self.busy = 0
        self.left_early = False
        self.lock = threading.Lock()

    def take(self):
        """Return a part; None: there are none, and nobody is busy making some."""
        with self.lock:
            part = self.parts.popleft() if self.parts else None
            if part is None and not self.busy:
                self.left_early = self.left_early or sorted(self.numbers) != self.numbers
        if part is not None:
            with self.lock:
                self.busy += 1
        return part

    def sort(self, part):
        low, high = part
        if high - low > 1:
            self.numbers[low:high] = sorted(self.numbers[low:high])

    def work(self):
        while (part := self.take()) is not None:
            with self.lock:
                self.sort(part)
                self.busy -= 1

    def run(self):
        in_threads(self.work, self.work)
        assert self.numbers == [0, 1, 2, 3]
        assert not self.left_early


class QsortBusyAtOnce(Qsort):
    def take(self):
        with self.lock:
            part = self.parts.popleft() if self.parts else None
            if part is not None:
                self.busy += 1
            elif not self.busy:
                self.left_early = self.left_early or sorted(self.numbers) != self.numbers
            return part
