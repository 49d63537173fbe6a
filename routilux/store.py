"""The durable job store: jobs in one SQLite file, as they happen, so that they outlive their process.

Knows transactions, and who may use the connection when. What the engine tells it is in `routilux.engine.ledger`,
whose records depend on whose in `routilux.causality`, what the rows look like in `routilux.store_rows`, and how the
file is opened, by one process at a time, in `routilux.store_file`.

Written in SQLite's write-ahead mode: what was committed survives the end of the process at any instant, also by
``kill -9``. To survive a power cut as well, each commit must be flushed to the disk: ``sync=True``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from weakref import WeakValueDictionary

from routilux import runtime as runtimes
from routilux import store_rows as rows
from routilux.causality import JobLedger
from routilux.exceptions import StoreError
from routilux.job_document import Kept, describe_brief, job_from_data
from routilux.job_state import FINAL, JobState
from routilux.store_file import become_owner, is_owned, look_into, open_database, roll_back

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.engine.ledger import Ledger

__all__ = ["JobStore", "StoredJob"]


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
            ends in ``-owner``, which stays.
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
        if not self.path:
            raise StoreError(f"a job store needs the name of a file, not {self.path!r}; or ':memory:', for a while")
        self.read_only = read_only
        self._process = os.getpid()
        self._lock = runtimes.current().lock()
        self._ledgers: WeakValueDictionary[str, JobLedger] = WeakValueDictionary()
        self._owner = None if read_only or self.path == ":memory:" else become_owner(self.path, timeout)
        try:
            self._database: sqlite3.Connection | None = (
                look_into(self.path, timeout) if read_only else open_database(self.path, timeout, sync=sync)
            )
        except BaseException:
            self._disown()
            raise

    def ledger(self, account: JobAccount) -> Ledger:
        """The record of a job that begins in a flow, or is taken up again; for the engine.

        Raises:
            StoreError: Another flow runs the job already.
        """
        job_id = account.job.job_id
        ledger = JobLedger(account, self)
        with self._lock:
            before = self._ledgers.get(job_id)
            if before is not None and before.in_use:
                raise StoreError(f"job {job_id!r} is run by another flow already, and must not run twice")
            self._ledgers[job_id] = ledger
        if before is not None:
            before.give_up()
        return ledger

    def is_running(self, job_id: str) -> bool:
        """Whether a flow of this process runs the job, or has it paused; for flows."""
        with self._lock:
            ledger = self._ledgers.get(job_id)
        return ledger is not None and ledger.in_use

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
            # One job's broken name must not hide the others.
            database.text_factory = _legible
            try:
                found = database.execute(
                    "SELECT job_id, flow_id, status, created, updated,"
                    " (SELECT count(*) FROM activations a WHERE a.job_id = j.job_id AND outcome IS NULL),"
                    " (SELECT count(*) FROM activations a WHERE a.job_id = j.job_id AND outcome IS NOT NULL)"
                    " FROM jobs j WHERE (? IS NULL OR flow_id = ?) AND NOT (? AND status IN (?, ?, ?))"
                    " ORDER BY created, job_id",
                    (flow_id, flow_id, unfinished, *FINAL),
                ).fetchall()
            finally:
                database.text_factory = str
        return [_summary(row) for row in found]

    def load(self, job_id: str) -> JobState:
        """Read a job as it was recorded last; `Flow.recover` lets those go on that have not ended.

        Raises:
            KeyError: There is no such job.
            SerializationError: What is stored is not a job; says where.
            StoreError: The store cannot be read.
        """
        with self._reading() as database:
            document = rows.read_document(database, job_id)
        return job_from_data(document)

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
        """Record a job that no flow runs, such as one that was loaded, with all that it has outstanding.

        Raises:
            ValueError: A flow runs it, and records it where it is to be.
            SerializationError: Something in it cannot be stored.
            StoreError: The store cannot be written.
        """
        if job._account is not None:  # noqa: SLF001 - as the job's own modules do
            raise ValueError(f"{job!r} is run by a flow, which records it itself")
        kept = job._kept or Kept()  # noqa: SLF001 - likewise
        job_id, now = job.job_id, runtimes.current().wall_time()
        document = describe_brief(job, kept.strategy, kept.time_left)
        activations = [rows.activation_row(job_id, task) for task in kept.pending]
        gathered = [rows.gathered_row(job_id, each.routine_id, each.slot, each.data) for each in kept.gathered]
        with self.writing() as database:
            rows.write_job(database, job, document, now, first=True)
            rows.forget_lines(database, job_id)
            rows.write_lines(database, job, job.lines_after(0, 0))
            if job.status in FINAL:
                rows.drop_outstanding(database, job_id, now)
            else:
                rows.write_outstanding(database, job_id, activations, gathered)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the body, or nothing.

        Raises:
            StoreError: It cannot be written.
        """
        if self.read_only:
            raise StoreError(f"job store {self.path!r} was opened to be read only")
        with self._transaction("BEGIN IMMEDIATE", "written") as database:
            yield database
            database.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN", "read") as database:
            yield database

    @contextmanager
    def _transaction(self, begin: str, done: str) -> Iterator[sqlite3.Connection]:
        if self._process != os.getpid():  # the lock may be somebody's who was not forked
            raise StoreError(f"job store {self.path!r} was opened in another process; open it in this one")
        faults = runtimes.current().faults
        if faults is not None:
            faults.store("read" if done == "read" else "write")
        with self._lock:
            database = self._database
            if database is None:
                raise StoreError(f"job store {self.path!r} is closed")
            try:
                database.execute(begin)
                yield database
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                raise StoreError(f"job store {self.path!r} cannot be {done}: {error}") from error
            finally:
                # Whatever came, also Ctrl-C in the middle: what is not committed has not happened.
                roll_back(database)

    @property
    def in_use(self) -> bool:
        """Whether somebody has it open to write: only then can jobs that are ``running`` really be so."""
        return (self._owner is not None and not self.closed) or is_owned(self.path)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._database is None

    def close(self) -> None:
        """Close the file, and let others open it. Jobs that still run are recorded no further."""
        if self._process != os.getpid():
            # To close what a parent has open would take its locks away; kept, so that nobody else does.
            _inherited.append((self._database, self._owner))
            return
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()
                self._disown()

    def _disown(self) -> None:
        if self._owner is not None:
            self._owner.close()

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


_inherited: list[object] = []


def _legible(text: bytes) -> str:
    return text.decode(errors="replace")


def _summary(row: Sequence[Any]) -> StoredJob:
    job_id, flow_id, status, created, updated, pending, ended = row
    pending = 0 if status in FINAL else pending
    return StoredJob(str(job_id), str(flow_id), str(status), _moment(created), _moment(updated), pending, ended)


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
