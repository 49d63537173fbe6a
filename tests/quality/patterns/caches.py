"""Caches that look, and then take what is gone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from tests.quality.patterns._pattern import Pattern, in_threads


class TtlCache(Pattern):
    """A reader sees that there is an entry; the sweeper takes it away, as expired, before it is read."""

    source = "Python: cachetools and others"

    def __init__(self):
        self.entries = {"a": (1, time.monotonic())}

    def get(self, key):
        if key in self.entries:
            value, expires = self.entries[key]
            return value if expires > time.monotonic() else None
        return None

    def sweep(self):
        for key, (_, expires) in list(self.entries.items()):
            if expires <= time.monotonic():
                del self.entries[key]

    def run(self):
        in_threads(lambda: self.get("a"), self.sweep)


class TtlCacheReadOnce(TtlCache):
    def get(self, key):
        entry = self.entries.get(key)
        return entry[0] if entry is not None and entry[1] > time.monotonic() else None


class LruCache(Pattern):
    """A hit is moved to the end; between the two steps another thread has evicted it."""

    source = "Python: OrderedDict as a cache"

    def __init__(self):
        self.entries = OrderedDict(a=1, b=2)

    def get(self, key):
        value = self.entries.get(key)
        if value is not None:
            self.entries.move_to_end(key)
        return value

    def put(self, key, value):
        if len(self.entries) >= 2:
            self.entries.popitem(last=False)
        self.entries[key] = value

    def run(self):
        in_threads(lambda: self.get("a"), lambda: self.put("c", 3))


class LockedLruCache(LruCache):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def get(self, key):
        with self.lock:
            return super().get(key)

    def put(self, key, value):
        with self.lock:
            super().put(key, value)


class StaleCache(Pattern):
    """A value is read, then it changes and the cache is cleared, and then the old one is stored."""

    source = "Python: memoizing decorators; cachetools"

    def __init__(self):
        self.price = 10
        self.cached = {}
        self.lock = threading.Lock()

    def get(self):
        if "price" not in self.cached:
            self.cached["price"] = self.price
        return self.cached["price"]

    def change(self):
        self.price = 12
        self.cached.clear()

    def run(self):
        in_threads(self.get, self.change)
        assert self.get() == 12


class CacheUnderLock(StaleCache):
    def get(self):
        with self.lock:
            return super().get()

    def change(self):
        with self.lock:
            super().change()


class OverfullCache(Pattern):
    """Two threads each find room for one more entry."""

    source = "JaConTeBe: commons-pool's maximum"

    def __init__(self):
        self.entries = {}

    def put(self, key):
        if len(self.entries) < 1:
            self.entries[key] = True

    def run(self):
        in_threads(lambda: self.put("a"), lambda: self.put("b"))
        assert len(self.entries) == 1


class LockedFullCache(OverfullCache):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def put(self, key):
        with self.lock:
            super().put(key)
