"""Look whether it is there, and make it if not; or look, and then rely on it."""

from __future__ import annotations

import threading
import weakref

from tests.quality.patterns._pattern import Pattern, in_threads


class CheckThenAct(Pattern):
    """Two threads find that a key has no value, and each makes one."""

    source = "Python: if key not in mapping"
    memory = False

    def __init__(self):
        self.connections = {}
        self.made = 0
        self.lock = threading.Lock()

    def connect(self, host):
        with self.lock:
            self.made += 1
        return f"a connection to {host}"

    def get(self, host):
        if host not in self.connections:
            self.connections[host] = self.connect(host)
        return self.connections[host]

    def run(self):
        in_threads(lambda: self.get("a"), lambda: self.get("a"))
        assert self.made == 1


class CheckAndActLocked(CheckThenAct):
    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()

    def get(self, host):
        with self.lock:
            return super().get(host)


class PopWhatOthersTook(Pattern):
    """Two threads see one last item in a list, and both take it."""

    source = "JaConTeBe: commons-pool"
    small = True

    def __init__(self):
        self.idle = ["connection"]

    def take(self):
        return self.idle.pop() if self.idle else None

    def run(self):
        in_threads(self.take, self.take)


class PopAndSee(PopWhatOthersTook):
    def take(self):
        try:
            return self.idle.pop()
        except IndexError:
            return None


class LazySingleton(Pattern):
    """Two callers both find no instance yet, and end up with two different ones."""

    source = "JaConTeBe"

    def __init__(self):
        self.instance = None
        self.given = []

    def get(self):
        if self.instance is None:
            self.instance = object()
        return self.instance

    def use(self):
        self.given.append(self.get())

    def run(self):
        in_threads(self.use, self.use)
        assert self.given[0] is self.given[1]


class EagerSingleton(LazySingleton):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def get(self):
        with self.lock:
            return super().get()


class DoubleCheckedLocking(Pattern):
    """The instance is shown before it is filled; who does not look under the lock gets it half made."""

    source = "JaConTeBe: double-checked locking"

    def __init__(self):
        self.config = None
        self.lock = threading.Lock()

    def get(self):
        if self.config is None:
            with self.lock:
                if self.config is None:
                    self.load()
        return self.config

    def load(self):
        self.config = {}
        self.config["level"] = "info"

    def use(self):
        assert self.get()["level"] == "info"

    def run(self):
        in_threads(self.use, self.use)


class DoubleCheckedAndFilledFirst(DoubleCheckedLocking):
    def load(self):
        self.config = {"level": "info"}


class InitialisedTwice(Pattern):
    """Two threads find a library not initialised, and both initialise it: what the first registered is gone."""

    source = "RADBench bug 4"

    def __init__(self):
        self.initialised = False
        self.registered = set()

    def initialise(self):
        if not self.initialised:
            self.registered = set()
            self.initialised = True

    def register(self, name):
        self.initialise()
        self.registered.add(name)

    def run(self):
        in_threads(lambda: self.register("a"), lambda: self.register("b"))
        assert self.registered == {"a", "b"}


class InitialisedOnce(InitialisedTwice):
    def __init__(self):
        super().__init__()
        self.once = threading.Lock()

    def initialise(self):
        with self.once:
            super().initialise()


class DoubleClose(Pattern):
    """Two threads see that a handle is open, and both close it."""

    source = "CHESS: Dryad channels; JaConTeBe: DBCP"
    small = True

    def __init__(self):
        self.is_open = True
        self.closes = 0

    def close(self):
        if self.is_open:
            self.is_open = False
            self.closes += 1

    def run(self):
        in_threads(self.close, self.close)
        assert self.closes == 1


class ClosedOnce(DoubleClose):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def close(self):
        with self.lock:
            super().close()


class UsedAfterClose(Pattern):
    """A channel is closed after a sender has seen that it is open."""

    source = "CHESS: Dryad channels"

    def __init__(self):
        self.buffer = []
        self.closed = False

    def send(self, item):
        if not self.closed:
            self.buffer.append(item)

    def close(self):
        self.closed = True
        self.buffer = None

    def run(self):
        in_threads(lambda: self.send(1), self.close)


class ClosedBetweenSends(UsedAfterClose):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def send(self, item):
        with self.lock:
            super().send(item)

    def close(self):
        with self.lock:
            super().close()


class Image:
    """Something large that is kept only as long as somebody uses it."""

    def __init__(self, name):
        self.name = name


class WeakCache(Pattern):
    """A weak reference is asked whether its object is alive, and then for the object, which has died since."""

    source = "JaConTeBe: groovy's memoize; Python: weakref"

    memory = False

    def __init__(self):
        self.image = Image("logo")
        self.cached = weakref.ref(self.image)
        self.lock = threading.Lock()
        self.hits = 0

    def title(self):
        if self.cached() is None:
            return "(gone)"
        self.count()
        return self.cached().name

    def count(self):
        with self.lock:
            self.hits += 1

    def drop(self):
        self.image = None

    def run(self):
        in_threads(self.title, self.drop)


class WeakCacheAskedOnce(WeakCache):
    def title(self):
        image = self.cached()
        if image is None:
            return "(gone)"
        self.count()
        return image.name
