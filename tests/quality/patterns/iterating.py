"""Iterators that are shared, and containers that change while somebody goes through them."""

from __future__ import annotations

import threading

from tests.quality.patterns._pattern import Pattern, in_threads


class SharedGenerator(Pattern):
    """Two threads take numbers from one generator; one asks while it is at work for the other."""

    source = "Python: generator already executing"

    def __init__(self):
        self.last = 0
        self.numbers = self.count()
        self.lock = threading.Lock()

    def count(self):
        while True:
            self.last += 1
            yield self.last

    def take(self):
        return next(self.numbers)

    def run(self):
        in_threads(self.take, self.take)


class LockedGenerator(SharedGenerator):
    def take(self):
        with self.lock:
            return super().take()


class Pages:
    """An iterator with a place of its own."""

    def __init__(self, count):
        self.page = 0
        self.count = count

    def __iter__(self):
        return self

    def __next__(self):
        if self.page >= self.count:
            raise StopIteration
        self.page += 1
        return self.page


class SharedIterator(Pattern):
    """Two workers share an iterator, and get the same page, or one past the end."""

    source = "Python"

    def __init__(self):
        self.pages = Pages(3)
        self.fetched = []

    def fetch(self):
        for page in self.pages:
            self.fetched.append(page)

    def run(self):
        in_threads(self.fetch, self.fetch)
        assert sorted(self.fetched) == [1, 2, 3]


class LockedIterator(SharedIterator):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def fetch(self):
        while True:
            with self.lock:
                page = next(self.pages, None)
            if page is None:
                return
            self.fetched.append(page)


class DictChangedWhileIterated(Pattern):
    """A report goes through a dictionary while somebody logs in."""

    source = "Python: dictionary changed size during iteration"

    def __init__(self):
        self.sessions = {"ann": 1, "bob": 2}
        self.lines = []

    def report(self):
        for name, number in self.sessions.items():
            self.lines.append(f"{name}: {number}")

    def log_in(self):
        self.sessions["eve"] = 3

    def run(self):
        in_threads(self.report, self.log_in)


class DictCopiedFirst(DictChangedWhileIterated):
    def report(self):
        for name, number in self.sessions.copy().items():
            self.lines.append(f"{name}: {number}")


class ListPoppedWhileIterated(Pattern):
    """Handlers are called one after the other while the first is taken away: the next one is skipped."""

    source = "Python: logging's handlers"

    def __init__(self):
        self.handlers = ["console", "file", "mail"]
        self.called = []

    def log(self):
        for handler in self.handlers:
            self.called.append(handler)

    def remove(self):
        self.handlers.pop(0)

    def run(self):
        in_threads(self.log, self.remove)
        assert self.called[-2:] == ["file", "mail"]


class ListReplaced(ListPoppedWhileIterated):
    def remove(self):
        self.handlers = self.handlers[1:]


class IndexPastTheEnd(Pattern):
    """A list is gone through by index up to the length that it had before somebody shortened it."""

    source = "RADBench bug 2"

    def __init__(self):
        self.listeners = ["a", "b", "c"]

    def tell(self):
        for index in range(len(self.listeners)):
            assert self.listeners[index]

    def remove(self):
        self.listeners.remove("b")

    def run(self):
        in_threads(self.tell, self.remove)


class IndexOfACopy(IndexPastTheEnd):
    def tell(self):
        listeners = list(self.listeners)
        for index in range(len(listeners)):
            assert listeners[index]


class HandlerRemovedTwice(Pattern):
    """Two threads see a handler in the list and remove it; for one it is not there any more."""

    source = "Python: logging's handlers"
    small = True

    def __init__(self):
        self.handlers = ["mail"]

    def remove(self):
        if "mail" in self.handlers:
            self.handlers.remove("mail")

    def run(self):
        in_threads(self.remove, self.remove)
        assert not self.handlers


class HandlerRemovedUnderLock(HandlerRemovedTwice):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def remove(self):
        with self.lock:
            super().remove()


class CopiedWhileExtended(Pattern):
    """Measurements are added to two lists in step; a plot copies one before and one after an addition."""

    source = "Python: matplotlib in a thread"

    def __init__(self):
        self.times = [0]
        self.values = [0]

    def measure(self):
        self.times.append(1)
        self.values.append(5)

    def plot(self):
        assert len(list(self.times)) == len(list(self.values))

    def run(self):
        in_threads(self.measure, self.plot)


class PairsExtended(CopiedWhileExtended):
    def __init__(self):
        super().__init__()
        self.points = [(0, 0)]

    def measure(self):
        self.points.append((1, 5))

    def plot(self):
        assert all(len(point) == 2 for point in list(self.points))
