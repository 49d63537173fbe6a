"""The file of a job store: opened by one owner at a time, made if need be, and known by its mark.

Knows SQLite, the tables and who may write; knows nothing of what is in the rows. The owner holds a lock that the
operating system takes back when the process dies, so nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from routilux.exceptions import StoreError, StoreLockedError

__all__ = ["become_owner", "open_database", "roll_back"]

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
"""


def become_owner(path: str, timeout: float) -> sqlite3.Connection:
    """Lock a file beside the store, for as long as the connection is open; by whichever name the store is called.

    Raises:
        StoreLockedError: Somebody else has it locked, and still so after ``timeout`` seconds.
        StoreError: The file cannot be made.
    """
    owner = None
    try:
        owner = _connect(f"{os.path.realpath(path)}-owner", timeout)
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


def open_database(path: str, timeout: float, *, sync: bool, read_only: bool) -> sqlite3.Connection:
    """Open a store; make its tables, if the file is new.

    Raises:
        StoreError: It cannot be opened, or is no job store.
    """
    database = None
    try:
        if read_only:
            database = _connect(f"{Path(path).absolute().as_uri()}?mode=ro", timeout, uri=True)
        else:
            database = _connect(path, timeout)
        _prepare(database, path, sync=sync, read_only=read_only)
    except (sqlite3.Error, StoreError) as error:
        if database is not None:
            database.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"job store {path!r} cannot be opened: {error}") from error
    return database


def _connect(address: str, timeout: float, *, uri: bool = False) -> sqlite3.Connection:
    # Transactions are begun by hand, and every use of a connection is under one lock.
    return sqlite3.connect(address, uri=uri, timeout=timeout, isolation_level=None, check_same_thread=False)


def _prepare(database: sqlite3.Connection, path: str, *, sync: bool, read_only: bool) -> None:
    # A file may come from anywhere: its triggers and views are not to call anything.
    database.execute("PRAGMA trusted_schema = OFF")
    mark = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if mark != APPLICATION_ID and not (empty and not mark and not read_only):
        raise StoreError(f"{path!r} is not a routilux job store, but some other database")
    if not empty and version != VERSION:
        raise StoreError(f"job store {path!r} has version {version}; this routilux reads version {VERSION}")
    if read_only:
        return
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
    database.execute("PRAGMA foreign_keys = ON")
    if empty:
        database.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )


def roll_back(database: sqlite3.Connection) -> None:
    """Undo what has not been committed, if there is anything: SQLite undoes it by itself after some errors."""
    if database.in_transaction:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
