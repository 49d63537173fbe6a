"""urllib3's connection pools, with connections that reach nothing."""

from __future__ import annotations

import time
from queue import Queue

import pytest
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import ClosedPoolError, EmptyPoolError

from tests.libraries.claims import at_once, breaks, exact, holds


class Connection:
    """What a pool wants of a connection; counts those that are open."""

    is_connected = True
    proxy = None
    auto_open = True

    def __init__(self, **kwargs):
        self.is_open = True

    def close(self):
        self.is_open = False


def make_pool(**options):
    """A pool, and the connections that it makes."""
    made = []

    def make(**kwargs):
        made.append(Connection())
        return made[-1]

    pool = HTTPConnectionPool("nowhere.invalid", **options)
    pool.ConnectionCls = make
    return pool, made


def test_a_blocking_pool_has_no_more_connections_than_it_may():
    """Four users of two connections: each has one for itself, and nobody makes a third."""

    def program():
        pool, made = make_pool(maxsize=2, block=True)
        in_use = []

        def use():
            connection = pool._get_conn()
            assert connection not in in_use
            in_use.append(connection)
            time.sleep(1)
            in_use.remove(connection)
            pool._put_conn(connection)

        at_once(use, use, use, use)
        assert 1 <= len(made) <= 2
        assert time.monotonic() == 2.0

    holds(program)


def test_a_pool_that_does_not_block_keeps_as_many_as_fit():
    """Those beyond are closed when they come back."""

    def program():
        pool, made = make_pool(maxsize=1)

        def use():
            connection = pool._get_conn()
            time.sleep(1)
            pool._put_conn(connection)

        at_once(use, use, use)
        assert len(made) == 3
        assert sum(connection.is_open for connection in made) == 1

    holds(program)


def test_waiting_for_a_connection_gives_up_in_time():
    """`EmptyPoolError` exactly when the time is up; a connection that comes earlier is taken."""

    def program():
        pool, _ = make_pool(maxsize=1, block=True)
        held = pool._get_conn()
        began = time.monotonic()
        with pytest.raises(EmptyPoolError):
            pool._get_conn(timeout=3)
        waited = time.monotonic() - began

        def give_back():
            time.sleep(1)
            pool._put_conn(held)

        def get():
            assert pool._get_conn(timeout=3) is held

        at_once(give_back, get)
        return waited, time.monotonic()

    assert exact(program) == (3.0, 4.0)


def test_a_closed_pool_gives_nothing():
    """Closing closes what is in the pool, and what comes back later."""

    def program():
        pool, made = make_pool(maxsize=2)
        held = [pool._get_conn(), pool._get_conn()]
        pool._put_conn(held.pop())
        pool.close()
        with pytest.raises(ClosedPoolError):
            pool._get_conn()
        pool._put_conn(held.pop())
        assert not [connection for connection in made if connection.is_open]

    holds(program)


def test_who_waits_for_a_connection_of_a_pool_that_is_closed_waits_for_ever():
    """The connection that it waits for is closed when it comes back, and nobody tells it."""

    def program():
        pool, _ = make_pool(maxsize=1, block=True)
        held = pool._get_conn()

        def close():
            time.sleep(1)
            pool.close()
            pool._put_conn(held)

        at_once(pool._get_conn, close)

    breaks(program, "deadlock", "connectionpool.py")


def test_a_connection_that_comes_back_while_the_pool_is_closed_may_stay_open():
    """It is put into the queue that the pool no longer has, after that has been emptied."""

    def program():
        pool, made = make_pool(maxsize=2)
        held = pool._get_conn()
        at_once(lambda: pool._put_conn(held), pool.close)
        assert not [connection for connection in made if connection.is_open], "a connection is left open"

    breaks(program, "exception", "a connection is left open")


def test_a_surplus_connection_that_comes_back_while_the_pool_is_closed_may_be_an_error():
    """The pool is full; the warning that says so asks a queue that is gone for its size."""

    def program():
        pool, _ = make_pool(maxsize=1)
        pool._put_conn(pool._get_conn())
        first, second = pool._get_conn(), pool._get_conn()
        at_once(lambda: pool._put_conn(first), lambda: pool._put_conn(second), pool.close)

    breaks(program, "exception", "'NoneType' object has no attribute 'qsize'")


def test_a_pool_may_have_another_queue():
    """`QueueCls` is documented: first in, first out, then."""

    def program():
        pool, made = make_pool(maxsize=2, block=True)
        pool.pool = Queue(2)
        for _ in range(2):
            pool.pool.put(None)
        used = []

        def use():
            for _ in range(3):
                connection = pool._get_conn()
                used.append(connection)
                pool._put_conn(connection)

        use()
        assert [made.index(connection) for connection in used] == [0, 1, 0]
        at_once(use, use)
        assert len(made) == 2

    holds(program)
