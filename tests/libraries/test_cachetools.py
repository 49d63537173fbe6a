"""cachetools' caches and decorators, shared by threads."""

from __future__ import annotations

import threading
import time

import pytest
from cachetools import LRUCache, TTLCache, cached

from tests.libraries.claims import at_once, breaks, exact, holds

LOCK = threading.Lock()
CACHE = TTLCache(maxsize=8, ttl=60)
"""As most programs have them: made when the module is imported, with the clock that there was then."""


@cached(CACHE, lock=LOCK)
def looked_up(key):
    time.sleep(1)
    return key, time.monotonic()


def test_a_value_is_kept_as_long_as_it_is_to_live():
    """For sixty seconds after it was stored, and not for one nanosecond more."""

    def program():
        looked_up.cache_clear()
        times = [looked_up("key")[1]]
        time.sleep(59.999999999)
        times.append(looked_up("key")[1])
        time.sleep(0.000000001)
        times.append(looked_up("key")[1])
        return times

    assert exact(program) == [1.0, 1.0, 62.0]


def test_threads_share_what_one_of_them_stored():
    """All get the same value, also those that computed another."""

    def program():
        looked_up.cache_clear()
        values = []

        def look():
            time.sleep(len(values) * 0)
            values.append(looked_up("key"))

        at_once(look, look, look)
        assert set(values) == {("key", 1.0)}
        assert looked_up("key") == ("key", 1.0)

    holds(program)


def test_a_lock_does_not_keep_callers_from_computing_the_same():
    """It is not held while the function runs, as the documentation says: all three compute."""

    def program():
        calls = []

        @cached({}, lock=threading.Lock())
        def compute(key):
            calls.append(key)
            time.sleep(1)
            return len(calls)

        at_once(lambda: compute(1), lambda: compute(1), lambda: compute(1))
        return len(calls), time.monotonic()

    assert exact(program) == (3, 1.0)


def test_a_condition_does():
    """One computes, and the others wait for it."""

    def program():
        calls = []

        @cached({}, condition=threading.Condition(), info=True)
        def compute(key):
            calls.append(key)
            time.sleep(1)
            return len(calls)

        values = []
        at_once(*[lambda n=n: values.append(compute(n % 2)) for n in range(4)])
        info = compute.cache_info()
        assert sorted(calls) == [0, 1]
        assert time.monotonic() == 1.0
        assert (info.hits, info.misses) == (2, 2)

    holds(program)


def test_who_waits_for_a_call_that_fails_makes_its_own():
    """One after the other."""

    def program():
        times = []

        @cached({}, condition=threading.Condition())
        def compute(key):
            time.sleep(1)
            times.append(time.monotonic())
            raise LookupError(key)

        def call():
            with pytest.raises(LookupError):
                compute(1)

        at_once(call, call, call)
        return times

    assert exact(program) == [1.0, 2.0, 3.0]


def test_a_cache_with_a_lock_does_not_outgrow_its_size():
    """And counts each call as a hit or a miss."""

    def program():
        cache = LRUCache(maxsize=2)

        @cached(cache, lock=threading.RLock(), info=True)
        def square(n):
            time.sleep(0)
            return n * n

        def work():
            for n in (0, 1, 2, 1, 0):
                assert square(n) == n * n
                assert square.cache_info().currsize <= 2

        at_once(work, work, work)
        info = square.cache_info()
        assert info.hits + info.misses == 15

    holds(program)


def test_what_was_computed_before_clearing_may_be_stored_after_it():
    """Who clears the cache because something has changed, may be given the old value all the same."""

    def program():
        setting = ["old"]

        @cached({}, lock=threading.Lock())
        def read():
            value = setting[0]
            time.sleep(1)
            return value

        def change():
            time.sleep(0.5)
            setting[0] = "new"
            read.cache_clear()

        at_once(read, change)
        assert read() == "new", "an old value after clearing"

    breaks(program, "exception", "an old value after clearing")
