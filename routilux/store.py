"""The durable job store: jobs in one SQLite file, as they happen, so that they outlive their process.

Knows jobs as documents and activations as rows; what the engine tells it is in `routilux.engine.ledger`, and whose
records depend on whose in `routilux.engine.causality`. One process has a store open at a time: its owner holds a lock
that the operating system takes back when the process dies, so nothing has to be cleaned up after a crash.

Written in SQLite's write-ahead mode: what was committed survives the end of the process at any instant, also by
``kill -9``. To survive a power cut as well, each commit must be flushed to the disk: ``sync=True``.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from routilux import runtime as runtimes
from routilux.documents import parse_document
from routilux.engine.causality import JobLedger
from routilux.exceptions import SerializationError, StoreError, StoreLockedError
from routilux.job_document import describe_brief, job_from_data
from routilux.job_state import FINAL, JobState

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.engine.ledger import Ledger

__all__ = ["JobStore", "StoredJob"]

APPLICATION_ID = 0x526F7578
"""Marks the file as a job store, in SQLite's header."""

VERSION = 1

SCHEMA = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, flow_id TEXT NOT NULL, status TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    emitted INTEGER NOT NULL, next_number INTEGER NOT NULL, document TEXT NOT NULL
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

CANCEL_REASON = "cancel_reason"
"""Key of a document in the store beyond those of a job's: a store keeps no history but that of activations."""

COUNTED = ("completed", "failed", "error_continued", "skipped")


class StoredJob(NamedTuple):
    """A line of a store's table of jobs.

    Attributes:
        job_id: The job.
        flow_id: Its flow.
        status: As last recorded: one that is ``running`` may be so, or be left over from a process that died.
        created_at: In UTC.
        updated_at: When something of it was last recorded, in UTC.
        pending: How many activations it still has to run.
        ended: How many have ended.
    """

    job_id: str
    flow_id: str
    status: str
    created_at: datetime
    updated_at: datetime
    pending: int
    ended: int


class JobStore:
    """Jobs in a file. Give it to flows: ``Flow("orders", store=JobStore("jobs.db"))``; several may share it.

    Args:
        path: The file; made if it is not there. While it is open there are files of SQLite's beside it, and one that
            ends in ``-owner``.
        timeout: Seconds to wait for another process that has it open.
        sync: Flush each commit to the disk, so that it survives a power cut as well.
        read_only: Only look; also while another process has it open.

    Raises:
        StoreLockedError: Another process, or another part of this one, has it open.
        StoreError: The file cannot be opened, or is no job store.
    """

    def __init__(
        self, path: str | os.PathLike[str], timeout: float = 5.0, *, sync: bool = False, read_only: bool = False
    ) -> None:
        self.path = os.fspath(path)
        self.read_only = read_only
        self._process = os.getpid()
        self._lock = runtimes.current().lock()
        self._owner = None if read_only or self.path == ":memory:" else _own(self.path, timeout)
        try:
            self._database: sqlite3.Connection | None = _open(self.path, timeout, sync=sync, read_only=read_only)
        except BaseException:
            _release(self._owner)
            raise

    def ledger(self, account: JobAccount) -> Ledger:
        """The record of a job that begins in a flow, or is taken up again; for the engine."""
        return JobLedger(account, self)

    # Reading

    def jobs(self, flow_id: str | None = None, *, unfinished: bool = False) -> list[StoredJob]:
        """The jobs in the store, oldest first.

        Args:
            flow_id: Only those of one flow.
            unfinished: Only those that have not ended.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._reading() as database:
            rows = database.execute(
                "SELECT job_id, flow_id, status, created, updated,"
                " (SELECT count(*) FROM activations a WHERE a.job_id = j.job_id AND outcome IS NULL),"
                " (SELECT count(*) FROM activations a WHERE a.job_id = j.job_id AND outcome IS NOT NULL)"
                " FROM jobs j WHERE ?1 IS NULL OR flow_id = ?1 ORDER BY created, job_id",
                (flow_id,),
            ).fetchall()
        found = [_summary(row) for row in rows]
        return [job for job in found if not (unfinished and job.status in FINAL)]

    def load(self, job_id: str) -> JobState:
        """Read a job as it was recorded last; `Flow.recover` lets those go on that have not ended.

        Raises:
            KeyError: There is no such job.
            SerializationError: What is stored is not a job; says where.
            StoreError: The store cannot be read.
        """
        with self._reading() as database:
            row = database.execute(
                "SELECT document, status, emitted, next_number, updated FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
            if row is None:
                raise KeyError(job_id)
            tasks = database.execute(
                "SELECT routine, slot, data, attempt, merged, due, number FROM activations"
                " WHERE job_id = ? AND outcome IS NULL ORDER BY number",
                (job_id,),
            ).fetchall()
            ends = database.execute(
                "SELECT routine, slot, attempt, outcome, ended, duration_ns, error FROM activations"
                " WHERE job_id = ? AND outcome IS NOT NULL ORDER BY ended, number",
                (job_id,),
            ).fetchall()
            gathered = database.execute(
                "SELECT routine, slot, data FROM gathered WHERE job_id = ? ORDER BY routine, slot", (job_id,)
            ).fetchall()
        return job_from_data(_document(job_id, row, tasks, ends, gathered))

    # Writing

    def delete(self, job_id: str) -> bool:
        """Forget a job; False if there is none of that id.

        Raises:
            StoreError: The store cannot be written.
        """
        with self.writing() as database:
            return database.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,)).rowcount > 0

    def prune(self, keep: int = 0, flow_id: str | None = None) -> int:
        """Forget jobs that have ended, but for the ``keep`` latest ones; return how many.

        Raises:
            StoreError: The store cannot be written.
        """
        ended = [job for job in self.jobs(flow_id) if job.status in FINAL]
        ended.sort(key=lambda job: job.updated_at)
        doomed = ended[: max(0, len(ended) - keep)]
        with self.writing() as database:
            database.executemany("DELETE FROM jobs WHERE job_id = ?", [(job.job_id,) for job in doomed])
        return len(doomed)

    def put(self, job: JobState) -> None:
        """Record a job that no flow runs, such as one that was loaded and cancelled.

        Raises:
            SerializationError: Something in it cannot be stored.
            StoreError: The store cannot be written.
        """
        now = runtimes.current().wall_time()
        document = describe_brief(job, "", None)
        with self.writing() as database:
            write_job(database, job, document, now)
            if job.status in FINAL:
                database.execute(
                    "UPDATE activations SET outcome = 'dropped', ended = ?, duration_ns = 0, data = NULL"
                    " WHERE job_id = ? AND outcome IS NULL",
                    (now, job.job_id),
                )

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the body, or nothing.

        Raises:
            StoreError: It cannot be written.
        """
        if self.read_only:
            raise StoreError(f"job store {self.path!r} was opened to be read only")
        with self._lock:
            database = self._usable()
            try:
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
            except sqlite3.Error as error:
                if database.in_transaction:
                    with suppress(sqlite3.Error):
                        database.execute("ROLLBACK")
                raise StoreError(f"job store {self.path!r} cannot be written: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            database = self._usable()
            try:
                database.execute("BEGIN")
                try:
                    yield database
                finally:
                    database.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StoreError(f"job store {self.path!r} cannot be read: {error}") from error

    def _usable(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError(f"job store {self.path!r} is closed")
        if self._process != os.getpid():
            raise StoreError(f"job store {self.path!r} was opened in another process; open it in this one")
        return self._database

    @property
    def in_use(self) -> bool:
        """Whether somebody has it open to write: only then can jobs that are ``running`` really be so."""
        return self._owner is not None or _is_owned(self.path)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._database is None

    def close(self) -> None:
        """Close the file, and let others open it. Jobs that still run are recorded no further."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None and self._process == os.getpid():
                database.close()
                _release(self._owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # sqlite3 warns of connections that are not closed; a flow that is dropped has nobody to close its store.
        if getattr(self, "_database", None) is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<JobStore {self.path!r}{', closed' if self.closed else ''}>"


def write_job(database: sqlite3.Connection, job: JobState, document: dict[str, Any], now: float) -> None:
    """Write the row of a job."""
    if job.status == "cancelled":
        # The one word on a job that is neither in its document nor in its activations.
        document = {**document, CANCEL_REASON: job.cancel_reason}
    database.execute(
        "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id) DO UPDATE SET status = excluded.status,"
        " updated = excluded.updated, emitted = excluded.emitted, next_number = excluded.next_number,"
        " document = excluded.document",
        (
            job.job_id,
            job.flow_id,
            document["status"],
            job.created_at.timestamp(),
            now,
            job.events_emitted,
            job.next_number,
            json.dumps(document, allow_nan=False, separators=(",", ":")),
        ),
    )


# Opening


def _own(path: str, timeout: float) -> sqlite3.Connection:
    """Become the owner of a store: an exclusive lock on a file beside it, which dies with the process."""
    owner = None
    try:
        owner = sqlite3.connect(f"{path}-owner", timeout=timeout, isolation_level=None, check_same_thread=False)
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


def _is_owned(path: str) -> bool:
    """Whether somebody owns a store; looking keeps nobody from it."""
    try:
        with closing(sqlite3.connect(f"{_address(f'{path}-owner')}?mode=ro", uri=True, timeout=0)) as look:
            look.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    return False


def _address(path: str) -> str:
    return Path(path).absolute().as_uri()


def _release(owner: sqlite3.Connection | None) -> None:
    if owner is not None:
        owner.close()


def _open(path: str, timeout: float, *, sync: bool, read_only: bool) -> sqlite3.Connection:
    database = None
    try:
        if read_only:
            database = sqlite3.connect(
                f"{_address(path)}?mode=ro", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
            )
        else:
            database = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        _prepare(database, path, sync=sync, read_only=read_only)
    except (sqlite3.Error, StoreError) as error:
        if database is not None:
            database.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"job store {path!r} cannot be opened: {error}") from error
    return database


def _prepare(database: sqlite3.Connection, path: str, *, sync: bool, read_only: bool) -> None:
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


# Reading


def _summary(row: Sequence[Any]) -> StoredJob:
    job_id, flow_id, status, created, updated, pending, ended = row
    return StoredJob(job_id, flow_id, status, _moment(created), _moment(updated), pending, ended)


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _document(
    job_id: str,
    row: Sequence[Any],
    tasks: list[Sequence[Any]],
    ends: list[Sequence[Any]],
    gathered: list[Sequence[Any]],
) -> Any:
    """Put a job's document together from its rows; reading it checks it."""
    place = f"job {job_id!r} in the store"
    text, status, emitted, next_number, updated = row
    document = parse_document(text, place)
    if not isinstance(document, dict):
        raise SerializationError(place, "its document must be an object")
    reason = document.pop(CANCEL_REASON, "")
    history = [_record(end) for end in ends]
    if status == "cancelled":
        history.append(_cancellation(reason, updated))
    pending = [
        {
            "routine": routine,
            "slot": slot,
            "data": parse_document(data, f"{place}, activation {number}"),
            "attempt": attempt,
            "merged": bool(merged),
            "due": due,
            "number": number,
        }
        for routine, slot, data, attempt, merged, due, number in tasks
    ]
    return {
        **document,
        "status": status,
        "events_emitted": emitted,
        "next_number": next_number,
        "pending": pending,
        "gathered": [
            {"routine": routine, "slot": slot, "data": parse_document(data, f"{place}, gathered by {routine!r}")}
            for routine, slot, data in gathered
        ],
        "figures": _figures(ends),
        "history": history,
    }


def _cancellation(reason: str, updated: Any) -> dict[str, Any]:
    moment = _moment(updated).isoformat()
    return {"routine": "", "name": "cancelled", "data": {"reason": reason}, "timestamp": moment, "kind": "job"}


def _figures(ends: list[Sequence[Any]]) -> dict[str, dict[str, int]]:
    """Counts and durations by routine, from the ends on record; of an attempt that was retried only that it was."""
    table: dict[str, dict[str, int]] = {}
    for routine, _, attempt, outcome, _, duration_ns, _ in ends:
        if outcome == "dropped":
            continue
        if routine not in table:
            table[routine] = {
                **dict.fromkeys((*COUNTED, "retries", "calls", "total_ns", "max_ns"), 0),
                "min_ns": duration_ns,
            }
        counts = table[routine]
        counts["retries"] += attempt - 1
        counts["calls"] += attempt
        counts["total_ns"] += duration_ns
        counts["min_ns"] = min(counts["min_ns"], duration_ns)
        counts["max_ns"] = max(counts["max_ns"], duration_ns)
        if outcome in COUNTED:
            counts[outcome] += 1
    return table


def _record(end: Sequence[Any]) -> dict[str, Any]:
    routine, slot, attempt, outcome, ended, duration_ns, error = end
    data = {"slot": slot, "attempt": attempt, "duration": duration_ns / 1e9}
    if error is not None:
        data["error"] = error
    return {
        "routine": routine,
        "name": outcome,
        "data": data,
        "timestamp": _moment(ended).isoformat(),
        "kind": "activation",
    }
