"""The file of a job store: opened by one owner at a time, made if need be, and known by its mark.

Knows SQLite, the tables and who may write; knows nothing of what is in the rows. The owner holds a lock that the
operating system takes back when the process dies, so nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from routilux.exceptions import StoreError, StoreLockedError

__all__ = ["become_owner", "is_owned", "look_into", "open_database", "roll_back"]

APPLICATION_ID = 0x526F7578
"""Marks the file as a job store, in SQLite's header."""

VERSION = 1

SCHEMA = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, flow_id TEXT NOT NULL, status TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    emitted INTEGER NOT NULL, next_number INTEGER NOT NULL, time_left REAL, document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE activations (
    job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, number INTEGER NOT NULL,
    routine TEXT NOT NULL, slot TEXT NOT NULL, attempt INTEGER NOT NULL, due REAL,
    merged INTEGER NOT NULL, data TEXT,
    outcome TEXT, ended REAL, duration_ns INTEGER, error TEXT,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;
CREATE TABLE gathered (
    job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, routine TEXT NOT NULL, slot TEXT NOT NULL,
    data TEXT NOT NULL, PRIMARY KEY (job_id, routine, slot)
) WITHOUT ROWID;
CREATE TABLE lines (
    job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, log TEXT NOT NULL, number INTEGER NOT NULL,
    data TEXT NOT NULL, PRIMARY KEY (job_id, log, number)
) WITHOUT ROWID;
"""


def become_owner(path: str, timeout: float) -> sqlite3.Connection:
    """Lock a file beside the store, for as long as the connection is open; by whichever name the store is called.

    Raises:
        StoreLockedError: Somebody else has it locked, and still so after ``timeout`` seconds.
        StoreError: The file cannot be made.
    """
    owner = None
    try:
        owner = _connect(_lock_file(path), timeout)
        owner.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if owner is not None:
            owner.close()
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise StoreLockedError(
                f"job store {path!r} is open elsewhere, still so after {timeout:g} s; "
                "close it there, or share one JobStore between flows"
            ) from None
        raise StoreError(f"job store {path!r} cannot be opened: {error}") from error
    return owner


def is_owned(path: str) -> bool:
    """Whether somebody owns a store; looking keeps nobody from it."""
    try:
        with closing(_connect(f"{Path(_lock_file(path)).as_uri()}?mode=ro", 0.0, uri=True)) as look:
            look.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    return False


def _lock_file(path: str) -> str:
    return f"{os.path.realpath(path)}-owner"


def open_database(path: str, timeout: float, *, sync: bool) -> sqlite3.Connection:
    """Open a store to write in it; make its tables, if the file is new.

    Raises:
        StoreError: It cannot be opened, or is no job store.
    """
    with _opening(path):
        database = _connect(path, timeout)
        with _closed_on_error(database):
            # Before anything is changed: somebody else's database is left as it is.
            fresh = not _check(database, path)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
            database.execute("PRAGMA foreign_keys = ON")
            if fresh:
                database.executescript(
                    f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                    f" PRAGMA user_version = {VERSION}; COMMIT;"
                )
        return database


def look_into(path: str, timeout: float) -> sqlite3.Connection:
    """Open a store only to read it, also while it has an owner.

    Raises:
        StoreError: It cannot be opened, or is no job store.
    """
    address = Path(path).absolute().as_uri()
    with _opening(path):
        try:
            return _look_into(f"{address}?mode=ro", path, timeout)
        except sqlite3.OperationalError:
            # An owner that was killed at certain moments leaves something to be put right, which is to write.
            return _look_into(f"{address}?mode=rw", path, timeout)


def _look_into(address: str, path: str, timeout: float) -> sqlite3.Connection:
    database = _connect(address, timeout, uri=True)
    with _closed_on_error(database):
        database.execute("PRAGMA query_only = ON")
        if not _check(database, path):
            raise StoreError(f"{path!r} is not a routilux job store: it is empty")
    return database


@contextmanager
def _opening(path: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeError) as error:  # the latter from words that SQLite quotes out of a broken file
        raise StoreError(f"job store {path!r} cannot be opened: {error}") from error


@contextmanager
def _closed_on_error(database: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        database.close()
        raise


def _connect(address: str, timeout: float, *, uri: bool = False) -> sqlite3.Connection:
    # Transactions are begun by hand, and every use of a connection is under one lock.
    return sqlite3.connect(address, uri=uri, timeout=timeout, isolation_level=None, check_same_thread=False)


def _check(database: sqlite3.Connection, path: str) -> bool:
    """Whether it is a job store; False if there is nothing in it yet.

    Raises:
        StoreError: It is something else.
    """
    # A file may come from anywhere: its triggers and views are not to call anything.
    database.execute("PRAGMA trusted_schema = OFF")
    mark = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if not mark and not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return False
    if mark != APPLICATION_ID:
        raise StoreError(f"{path!r} is not a routilux job store, but some other database")
    if version != VERSION:
        raise StoreError(f"job store {path!r} has version {version}; this routilux reads version {VERSION}")
    return True


def roll_back(database: sqlite3.Connection) -> None:
    """Undo what has not been committed, if there is anything: SQLite undoes it by itself after some errors."""
    if database.in_transaction:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
