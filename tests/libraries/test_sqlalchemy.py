"""SQLAlchemy's connection pools, over connections that reach nothing."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool, SingletonThreadPool

from tests.libraries.claims import at_once, breaks, exact, holds


class Connection:
    """A DB-API connection, as far as a pool is concerned."""

    is_open = True

    def rollback(self):
        pass

    def close(self):
        self.is_open = False


def make_pool(kind=QueuePool, **options):
    """A pool, and the connections that it makes."""
    made = []

    def create():
        made.append(Connection())
        return made[-1]

    return kind(create, **options), made


@pytest.mark.parametrize("lifo", [False, True])
def test_no_more_connections_than_pool_and_overflow(lifo):
    """Five users of two and one: each has a connection for itself, and at the end two are open."""

    def program():
        pool, made = make_pool(pool_size=2, max_overflow=1, use_lifo=lifo)
        in_use = []

        def use():
            connection = pool.connect()
            inner = connection.dbapi_connection
            assert inner not in in_use
            in_use.append(inner)
            assert len(in_use) <= 3
            time.sleep(1)
            in_use.remove(inner)
            connection.close()

        at_once(use, use, use, use, use)
        assert time.monotonic() == 2.0
        assert (pool.checkedout(), pool.checkedin()) == (0, 2)
        assert sum(connection.is_open for connection in made) == 2

    holds(program)


def test_waiting_gives_up_in_time():
    """Half a minute, exactly; who comes while there is one, need not wait."""

    def program():
        pool, _ = make_pool(pool_size=1, max_overflow=0, timeout=30)
        held = pool.connect()
        with pytest.raises(PoolTimeoutError, match="QueuePool limit of size 1 overflow 0 reached"):
            pool.connect()
        waited = time.monotonic()

        def give_back():
            time.sleep(5)
            held.close()

        at_once(give_back, lambda: pool.connect().close())
        return waited, time.monotonic()

    assert exact(program) == (30.0, 35.0)


def test_a_connection_is_replaced_when_it_is_too_old():
    """More than an hour after it was made, and not before."""

    def program():
        pool, made = make_pool(pool_size=1, recycle=3600)
        counts = []
        for pause in (3599, 2, 3601):
            pool.connect().close()
            time.sleep(pause)
            counts.append(len(made))
        pool.connect().close()
        return counts, len(made), [connection.is_open for connection in made]

    assert exact(program) == ([1, 1, 2], 3, [False, False, True])


def test_the_first_connection_is_announced_once():
    """Whoever makes it, and nobody has a connection before."""

    def program():
        pool, _ = make_pool(pool_size=3)
        told = []

        def first(connection, record):
            time.sleep(1)
            told.append(1)

        event.listen(pool, "first_connect", first)

        def use():
            connection = pool.connect()
            assert told == [1]
            connection.close()

        at_once(use, use, use)
        assert told == [1]

    holds(program)


def test_each_thread_has_a_connection_of_its_own():
    """`SingletonThreadPool`: the same one each time."""

    def program():
        pool, _ = make_pool(SingletonThreadPool)
        seen = {}

        def use():
            own = {id(pool.connect().dbapi_connection) for _ in range(3) if time.sleep(0) is None}
            assert len(own) == 1
            seen[threading.get_ident()] = own.pop()

        at_once(use, use, use)
        assert len(set(seen.values())) == 3

    holds(program)


def test_who_waits_is_not_told_that_making_a_connection_failed():
    """There is room from the first second on, but the waiter only looks when its half minute is over."""

    def program():
        attempts = []

        def create():
            attempts.append(1)
            if len(attempts) == 1:
                time.sleep(1)
                raise OSError("the database is restarting")
            return Connection()

        pool = QueuePool(create, pool_size=1, max_overflow=0, timeout=30)
        times = []

        def fail():
            with pytest.raises(OSError, match="restarting"):
                pool.connect()

        def wait():
            time.sleep(0.5)
            pool.connect().close()
            times.append(time.monotonic())

        at_once(fail, wait)
        return times

    assert exact(program) == [30.5]


def test_a_pool_that_is_disposed_of_while_in_use_forgets_its_limit():
    """The documentation says not to use it any more."""

    def program():
        pool, made = make_pool(pool_size=1, max_overflow=0, timeout=1)
        held = pool.connect()
        pool.dispose()
        again = pool.connect()
        open_now = sum(connection.is_open for connection in made)
        held.close()
        again.close()
        assert open_now <= 1, f"{open_now} connections at once"

    breaks(program, "exception", "2 connections at once", schedules=1)
