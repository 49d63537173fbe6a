"""Two values that are written one after the other, and a reader that must come just between."""

from __future__ import annotations

import threading

from tests.quality.patterns._pattern import Pattern, in_threads


class Reordering(Pattern, family=True):
    """Some setters write two values; when the reader compares them, some may have written the first, none the second.

    The more setters there are, the less likely it is that all of them stand still before the second.
    """

    setters = 0

    def __init__(self):
        self.a = self.b = 0

    def set(self):
        self.a = 1
        self.b = -1

    def check(self):
        assert (self.a == 0 and self.b == 0) or (self.a == 1 and self.b == -1)

    def run(self):
        in_threads(*[self.set] * self.setters, self.check)


class Locked:
    """Sets and checks under a lock."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def set(self):
        with self.lock:
            super().set()

    def check(self):
        with self.lock:
            super().check()


class Reorder3(Reordering):
    """The reader comes between the two writes, with two setters."""

    source = "SCTBench CS/reorder_3"
    setters = 2


class Reorder3Locked(Locked, Reorder3):
    pass


class Reorder5(Reordering):
    """The reader comes between the two writes, with four setters."""

    source = "SCTBench CS/reorder_5"
    setters = 4


class Reorder5Locked(Locked, Reorder5):
    pass


class Reorder10(Reordering):
    """The reader comes between the two writes, with nine setters."""

    source = "SCTBench CS/reorder_10"
    setters = 9
    schedules = 100_000


class Reorder10Locked(Locked, Reorder10):
    pass


class Reorder20(Reordering):
    """The reader comes between the two writes, with nineteen setters."""

    source = "SCTBench CS/reorder_20"
    setters = 19
    schedules = 100_000


class Reorder20Locked(Locked, Reorder20):
    pass


class SetBackwards(Pattern):
    """A flag says that the value is there, and is set before the value is."""

    source = "CHESS: publication by a flag"
    small = True

    def __init__(self):
        self.ready = False
        self.value = None

    def publish(self):
        self.ready = True
        self.value = 42

    def look(self):
        if self.ready:
            assert self.value == 42

    def run(self):
        in_threads(self.publish, self.look)


class SetForwards(SetBackwards):
    def publish(self):
        self.value = 42
        self.ready = True


class Bluetooth(Pattern):
    """A driver sees that it is not being stopped, is stopped, and works on what is gone."""

    source = "CHESS, SCTBench CS/bluetooth_driver"
    memory = False

    def __init__(self):
        self.pending = 1
        self.stopping = False
        self.stopped = False
        self.idle = threading.Event()
        self.lock = threading.Lock()

    def enter(self):
        if self.stopping:
            return False
        with self.lock:
            self.pending += 1
        return True

    def leave(self):
        with self.lock:
            self.pending -= 1
            if not self.pending:
                self.idle.set()

    def add(self):
        if self.enter():
            assert not self.stopped
            self.leave()

    def stop(self):
        self.stopping = True
        self.leave()
        self.idle.wait()
        self.stopped = True

    def run(self):
        in_threads(self.add, self.stop)


class BluetoothThatCountsFirst(Bluetooth):
    def enter(self):
        with self.lock:
            self.pending += 1
        if self.stopping:
            self.leave()
            return False
        return True


class StringBuffer(Pattern):
    """One buffer is appended to another: length and contents are read in two steps, and it is cut in between."""

    source = "SCTBench CB/stringbuffer-jdk1.4"
    memory = False

    def __init__(self):
        self.text = list("abcdef")
        self.lock = threading.Lock()

    def length(self):
        with self.lock:
            return len(self.text)

    def chars(self, count):
        with self.lock:
            assert count <= len(self.text), "there are no such characters"
            return self.text[:count]

    def cut(self):
        with self.lock:
            del self.text[1:]

    def copy(self):
        return self.chars(self.length())

    def run(self):
        in_threads(self.copy, self.cut)


class StringBufferInOneGo(StringBuffer):
    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()

    def copy(self):
        with self.lock:
            return super().copy()


class PublishedTooEarly(Pattern):
    """A service starts its thread in its constructor, and then goes on constructing."""

    source = "RADBench bug 3, Python: a Thread started in __init__"
    small = True

    def __init__(self):
        self.worker = threading.Thread(target=self.work)
        self.worker.start()
        self.handlers = ["print"]

    def work(self):
        assert self.handlers == ["print"]

    def run(self):
        self.worker.join()


class PublishedAtTheEnd(PublishedTooEarly):
    def __init__(self):
        self.handlers = ["print"]
        self.worker = threading.Thread(target=self.work)
        self.worker.start()


class FreedWhileUsed(Pattern):
    """A compressor frees its mutex when all blocks are done, but a consumer still has to sign off with it."""

    source = "SCTBench CB/pbzip2"

    def __init__(self):
        self.mutex = threading.Lock()
        self.consumers = 1
        self.all_done = threading.Event()
        self.consumer = threading.Thread(target=self.consume)

    def consume(self):
        self.all_done.set()
        with self.mutex:
            self.consumers -= 1

    def finish(self):
        self.all_done.wait()

    def run(self):
        self.consumer.start()
        self.finish()
        self.mutex = None
        self.consumer.join()


class FreedAfterUse(FreedWhileUsed):
    def finish(self):
        self.consumer.join()
