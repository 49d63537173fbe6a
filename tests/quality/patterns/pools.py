"""Thread pools, futures and timers."""

from __future__ import annotations

import threading
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress

from tests.quality.patterns._pattern import Pattern, in_threads


class ThreadLocalLeak(Pattern):
    """A job leaves its user in a thread local, and another job on the same worker goes by it."""

    source = "Python: thread-locals in pools"
    memory = False
    depth = 0

    def __init__(self):
        self.local = threading.local()
        self.seen = []

    def as_user(self, user):
        self.local.user = user
        self.clean_up()

    def clean_up(self):
        pass

    def anonymously(self):
        self.seen.append(getattr(self.local, "user", None))

    def run(self):
        with ThreadPoolExecutor(2) as pool:
            pool.submit(self.as_user, "ann")
            pool.submit(self.anonymously)
        assert self.seen == [None]


class ThreadLocalCleaned(ThreadLocalLeak):
    def clean_up(self):
        del self.local.user


class FutureSetCancelled(Pattern):
    """A result is set to a future that was cancelled after it was found not to be."""

    source = "Python: InvalidStateError"
    memory = False

    def __init__(self):
        self.future = Future()

    def finish(self):
        if not self.future.done():
            self.future.set_result(42)

    def cancel(self):
        self.future.cancel()

    def run(self):
        in_threads(self.finish, self.cancel)
        assert self.future.done()


class FutureClaimed(FutureSetCancelled):
    def finish(self):
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(42)


class FutureSetTwice(Pattern):
    """Two servers answer one request; both find that there is no answer yet."""

    source = "Python: hedged requests"
    memory = False

    def __init__(self):
        self.future = Future()

    def answer(self, text):
        if not self.future.done():
            self.future.set_result(text)

    def run(self):
        in_threads(lambda: self.answer("here"), lambda: self.answer("there"))
        assert self.future.result() in {"here", "there"}


class FutureFirstOneWins(FutureSetTwice):
    def answer(self, text):
        with suppress(InvalidStateError):
            self.future.set_result(text)


class TimerCancelledTooLate(Pattern):
    """A watchdog's timer is cancelled and its file closed, while the timer's function is already under way."""

    source = "JaConTeBe: java.util.Timer; Python: threading.Timer"

    def __init__(self):
        self.file = []
        self.work_done = threading.Event()
        self.timer = threading.Timer(1.0, self.complain)

    def complain(self):
        self.file.append("too slow")

    def run(self):
        self.timer.start()
        self.work_done.wait(1.0)
        self.timer.cancel()
        self.close()

    def close(self):
        self.file = None


class TimerJoined(TimerCancelledTooLate):
    def close(self):
        self.timer.join()
        super().close()


class PoolSelfDeadlock(Pattern):
    """Each job waits for one that it has submitted to the same pool; all workers wait, none is left to run it."""

    source = "Python: concurrent.futures' own example"
    kind = "deadlock"
    memory = False
    depth = 0

    def outer(self, pool):
        return pool.submit(self.inner).result()

    def inner(self):
        return 1

    def workers(self):
        return 2

    def run(self):
        with ThreadPoolExecutor(self.workers()) as pool:
            assert sum(job.result() for job in [pool.submit(self.outer, pool) for _ in range(2)]) == 2


class PoolLargeEnough(PoolSelfDeadlock):
    def workers(self):
        return 3


class SubmitAfterShutdown(Pattern):
    """A job sees that the service is not stopping, and submits another after the pool was shut down."""

    source = "Python: cannot schedule new futures after shutdown"
    memory = False

    def __init__(self):
        self.pool = ThreadPoolExecutor(1)
        self.stopping = False
        self.lock = threading.Lock()

    def serve(self):
        if not self.stopping:
            self.pool.submit(len, "request")

    def stop(self):
        self.stopping = True
        self.pool.shutdown()

    def run(self):
        in_threads(self.serve, self.stop)


class SubmitBeforeShutdown(SubmitAfterShutdown):
    def serve(self):
        with self.lock:
            super().serve()

    def stop(self):
        with self.lock:
            self.stopping = True
        self.pool.shutdown()


class ResultsOutOfOrder(Pattern):
    """Jobs append their results to a list, which is taken to be in the order of the jobs."""

    source = "Python"
    memory = False

    def __init__(self):
        self.results = []

    def square(self, number):
        self.results.append(number * number)
        return number * number

    def collect(self, pool):
        for number in range(2):
            pool.submit(self.square, number)

    def run(self):
        with ThreadPoolExecutor(2) as pool:
            self.collect(pool)
        assert self.results == [0, 1]


class ResultsByMap(ResultsOutOfOrder):
    def collect(self, pool):
        self.results = list(pool.map(lambda number: number * number, range(2)))


class CallbackBeforeRegistered(Pattern):
    """A job is entered in the table of running jobs when it has been submitted; it may have ended and left by then."""

    source = "Python: bookkeeping around submit"

    def __init__(self):
        self.running = set()

    def job(self, name):
        self.running.discard(name)

    def submit(self, pool, name):
        pool.submit(self.job, name)
        self.running.add(name)

    def run(self):
        with ThreadPoolExecutor(1) as pool:
            self.submit(pool, "a")
        assert not self.running


class RegisteredFirst(CallbackBeforeRegistered):
    def submit(self, pool, name):
        self.running.add(name)
        pool.submit(self.job, name)


class ConnectionPoolLeak(Pattern):
    """A connection is made while the pool is closed, and given to nobody: it stays open for ever."""

    source = "JaConTeBe: DBCP; urllib3"

    def __init__(self):
        self.closed = False
        self.idle = []
        self.open = 0
        self.lock = threading.Lock()

    def give_back(self):
        if not self.closed:
            self.idle.append("connection")
        else:
            self.open -= 1

    def close(self):
        self.closed = True
        while self.idle:
            self.idle.pop()
            self.open -= 1

    def run(self):
        self.open = 1
        in_threads(self.give_back, self.close)
        assert self.open == 0


class ConnectionPoolLocked(ConnectionPoolLeak):
    def give_back(self):
        with self.lock:
            super().give_back()

    def close(self):
        with self.lock:
            super().close()
