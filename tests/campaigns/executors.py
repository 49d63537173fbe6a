"""Executors that run calls in this process, and answer as badly as real ones do."""

import pickle
import random
import threading
from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress


def _later(seconds, answer, value):
    """Answer from another thread, unless it has been answered."""

    def call():
        with suppress(InvalidStateError):
            answer(value)

    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


class Shuffled:
    """Answers in any order, some milliseconds later; what goes in and out is pickled."""

    def __init__(self, seed: int, workers: int = 3) -> None:
        self.workers = workers
        self._random = random.Random(seed)

    def submit(self, fn, *args):
        future: Future = Future()
        fn, args = pickle.loads(pickle.dumps((fn, args)))
        result = pickle.loads(pickle.dumps(fn(*args)))
        _later(self._random.random() / 200, future.set_result, result)
        return future


class Breaking:
    """Makes pools that break when they are given certain schedules, or by chance: what is out is lost then.

    Args:
        deaths: By chance: at which calls, counted over all pools made.
        killers: The numbers of the schedules that kill.
    """

    def __init__(self, deaths=(), killers=()):
        self.deaths = set(deaths)
        self.killers = set(killers)
        self.calls = 0
        self.made = 0

    def __call__(self):
        self.made += 1
        return _Pool(self)


class _Pool:
    workers = 2

    def __init__(self, owner):
        self._owner = owner
        self._out = []
        self._is_broken = False

    def submit(self, fn, target, knowledge, chunk):
        if self._is_broken:
            raise BrokenProcessPool("it is broken")
        owner = self._owner
        owner.calls += 1
        future = Future()
        self._out.append(future)
        if owner.calls in owner.deaths or owner.killers & set(range(chunk.first, chunk.end)):
            self._is_broken = True
            for other in self._out:
                with suppress(InvalidStateError):
                    other.set_exception(BrokenProcessPool("a process has gone"))
        else:
            _later(0.003, future.set_result, fn(target, knowledge, chunk))
        return future

    def shutdown(self, wait=True, cancel_futures=False):
        pass
