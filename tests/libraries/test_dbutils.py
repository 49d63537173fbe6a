"""DBUtils' pool of database connections, over a database that takes its time."""

from __future__ import annotations

import threading
import time

import pytest
from dbutils.pooled_db import PooledDB, TooManyConnectionsError

from tests.libraries.claims import at_once, breaks, exact, holds


class Database:
    """A DB-API 2 module.

    Args:
        delay: Seconds that connecting takes.
    """

    threadsafety = 2
    Error = OperationalError = InterfaceError = InternalError = DatabaseError = OSError

    def __init__(self, delay=0.0):
        self.delay = delay
        self.made = []

    def connect(self):
        time.sleep(self.delay)
        self.made.append(Connection())
        return self.made[-1]


class Connection:
    is_open = True

    def commit(self):
        pass

    def rollback(self):
        pass

    def close(self):
        self.is_open = False


@pytest.mark.parametrize("cached", [0, 1])
def test_no_more_connections_than_are_allowed(cached):
    """Four users of two connections: nobody shares one, and all get theirs."""

    def program():
        database = Database()
        pool = PooledDB(database, maxcached=cached, maxconnections=2, blocking=True, ping=0)
        in_use = []

        def use():
            with pool.connection() as connection:
                inner = connection._con
                assert inner not in in_use
                in_use.append(inner)
                assert len(in_use) <= 2
                time.sleep(1)
                in_use.remove(inner)

        at_once(use, use, use, use)
        assert sum(connection.is_open for connection in database.made) <= (cached or 2)
        return time.monotonic()

    assert exact(program, schedules=300) == 2.0


def test_one_too_many_is_an_error_if_the_pool_does_not_block():
    """Exactly as many are refused as there are too many."""

    def program():
        pool = PooledDB(Database(), maxconnections=2, ping=0)
        refused = []

        def use():
            try:
                with pool.connection():
                    time.sleep(1)
            except TooManyConnectionsError:
                refused.append(1)

        at_once(use, use, use)
        assert len(refused) == 1

    holds(program)


def test_closing_the_pool_closes_what_is_idle():
    """Connections in use go on, and come back."""

    def program():
        database = Database()
        pool = PooledDB(database, mincached=2, ping=0)
        held = pool.connection()
        at_once(pool.close, held.close)
        pool.close()
        assert not [connection for connection in database.made if connection.is_open]

    holds(program)


def test_connections_are_made_one_at_a_time():
    """The pool's lock is held while connecting: who wants one waits for all that come first."""

    def program():
        pool = PooledDB(Database(delay=1.0), ping=0)
        times = []

        def use():
            with pool.connection():
                times.append(time.monotonic())
                time.sleep(10)

        at_once(use, use, use)
        return times

    assert exact(program) == [1.0, 2.0, 3.0]


def test_one_that_is_given_back_waits_for_one_that_is_being_made():
    """For the same reason."""

    def program():
        pool = PooledDB(Database(delay=5.0), ping=0)
        first = pool.connection()
        times = []

        def give_back():
            time.sleep(1)
            began = time.monotonic()
            first.close()
            times.append(time.monotonic() - began)

        at_once(pool.connection, give_back)
        return times

    assert exact(program) == [4.0]


def test_sharing_makes_more_connections_than_are_allowed():
    """As long as some connection is shared, and fewer than may be, another is made without looking at the limit."""

    def program():
        database = Database()
        pool = PooledDB(database, maxshared=2, maxconnections=2, blocking=True, ping=0)
        held = [pool.connection(shareable=False), pool.connection(), pool.connection()]
        return len({id(connection._con) for connection in held}), pool._connections, pool._maxconnections

    assert exact(program) == (3, 3, 2)


def test_nobody_tells_that_a_shared_connection_is_out_of_its_transaction():
    """Neither the commit nor giving back one share of it wakes who waits for it."""

    def program():
        pool = PooledDB(Database(), maxshared=1, maxconnections=1, blocking=True, ping=0)
        busy, quiet = pool.connection(), pool.connection()
        busy.begin()
        times = []

        def wait():
            with pool.connection():
                times.append(time.monotonic())

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(1)
        busy.commit()
        time.sleep(1)
        busy.close()
        time.sleep(1)
        quiet.close()
        thread.join()
        return times

    # Free from the first second on, and without a user but `quiet` from the next.
    assert exact(program) == [3.0]


def test_who_waits_for_a_shared_connection_may_wait_for_ever():
    """If the last share is not given back before it gets its own."""

    def program():
        pool = PooledDB(Database(), maxshared=1, maxconnections=1, blocking=True, ping=0)
        quiet = pool.connection()
        got = threading.Event()

        def transact():
            with pool.connection() as connection:
                connection.begin()
                time.sleep(1)
                connection.commit()

        def wait():
            time.sleep(0.5)
            with pool.connection():
                got.set()

        def keep():
            got.wait()
            quiet.close()

        at_once(transact, wait, keep)

    breaks(program, "deadlock", "pooled_db.py")
