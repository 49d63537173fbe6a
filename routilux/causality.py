"""The durable record of one job, kept such that no record stands on something that may not have happened.

An activation's end is recorded in one transaction with what its handler emitted. What was emitted may have run by
then: its own end is recorded only when its emitter's is, at once with it. So whenever the process dies, the record
is as if every handler on record had run whole, and those that are not on record had not begun: recovery runs these
(again), and whatever is recorded as ended never runs again.

Slots that merge are an exception: what they gather is state, and must not hold what may not have happened. So an
activation of such a slot is withheld until the end of its emitter is on record.

The price: a handler that emits for hours keeps all that follows from it off the record for hours. And what handlers
share within a job (data, log, outputs) is recorded as it stands at some end, also what a handler has done to it that
is not on record yet and will run again.

Knows activations, their emitters and when something of them is written; knows neither how they are run, nor what
tables look like (see `routilux.store_rows`), nor how a store is opened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from routilux import store_rows as rows
from routilux.engine.activation import EPOCH
from routilux.engine.ledger import Ledger
from routilux.exceptions import RoutiluxError, SerializationError, StoreError
from routilux.job_document import describe_brief, pending_task, time_left

if TYPE_CHECKING:
    import sqlite3
    from contextlib import AbstractContextManager

    from routilux.engine.accounting import JobAccount
    from routilux.engine.activation import Item
    from routilux.job_state import DeferredEvent, JobState

__all__ = ["JobLedger"]

Write = Callable[["sqlite3.Connection"], None]


class _Store(Protocol):
    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction."""


class _Entry:
    """An activation that has not ended, as far as the record is concerned.

    Attributes:
        row: What will stand in the table.
        recorded: It is on record that it is to be run.
        children: What its present attempt has emitted.
        withheld: Those of them that are not to be queued before its end is on record.
        waiting: What is to be written about it once it is on record itself.
    """

    __slots__ = ("children", "recorded", "row", "waiting", "withheld")

    def __init__(self, row: tuple[Any, ...], *, recorded: bool) -> None:
        self.row = row
        self.recorded = recorded
        self.children: list[_Entry] = []
        self.withheld: list[Item] = []
        self.waiting: list[_Settlement] = []

    def settle(self, write: Write) -> _Settlement:
        """End the present attempt; the next one has emitted nothing yet."""
        settlement = _Settlement(write, self.children, self.withheld)
        self.children, self.withheld = [], []
        return settlement


class _Settlement:
    """The end of an attempt: what to write, whose turn it is then to be recorded, and what may be queued then."""

    __slots__ = ("children", "withheld", "write")

    def __init__(self, write: Write, children: list[_Entry], withheld: list[Item]) -> None:
        self.write = write
        self.children = children
        self.withheld = withheld


class JobLedger(Ledger):
    """The record of one job in a store.

    Args:
        account: The job's books.
        store: Where to write.
    """

    def __init__(self, account: JobAccount, store: _Store) -> None:
        self.fault: RoutiluxError | None = None
        self._account = account
        self._job: JobState = account.job
        self._store = store
        self._clock = account.engine.runtime.wall_time
        self._lock = account.engine.runtime.lock()
        self._entries: dict[int, _Entry] = {}
        self._written = -1
        self._lines = (0, 0)

    @property
    def in_use(self) -> bool:
        """Whether the job may still go on here: it is not over, and not left paused by a flow that was shut down."""
        return not (self._account.over or self._account.engine.has_left(self._account))

    def give_up(self) -> None:
        """Record nothing any more: somebody else has taken the job up."""
        self.fault = StoreError(f"job {self._job.job_id!r} has been taken up by another flow, which records it now")

    # What the engine tells

    def began(self, items: Sequence[Item], status: str) -> None:
        """Record the job, with what it has outstanding.

        Raises:
            SerializationError: Something cannot be stored.
            StoreError: The store cannot be written.
        """
        entries = {_number(item): _Entry(self._row(item), recorded=True) for item in items}
        gathered = [
            rows.gathered_row(self._job.job_id, target.node.routine_id, target.slot.name, each.value())
            for target, each in self._account.all_gathered().items()
        ]
        with self._lock, self._store.writing() as database:
            rows.forget_lines(database, self._job.job_id)
            self._write_job(database, status, first=True)
            rows.write_outstanding(database, self._job.job_id, [each.row for each in entries.values()], gathered)
            self._entries.update(entries)

    def emitted(self, parent: Item | None, items: Sequence[Item]) -> Sequence[Item]:
        """Take note of what was emitted; return what may be queued at once.

        Raises:
            SerializationError: Something in it cannot be stored; nothing is noted then.
            StoreError: The store cannot be written.
        """
        entries = {_number(item): _Entry(self._row(item), recorded=False) for item in items}
        with self._lock:
            own = parent is not None and parent[2] is self._account
            source = self._entries.get(_number(parent)) if own and parent is not None else None
            if source is None:
                with self._store.writing() as database:
                    self._write_beginnings(database, entries.values())
                self._entries.update(entries)
                return items
            self._entries.update(entries)
            source.children.extend(entries.values())
            ready: list[Item] = []
            for item in items:
                # In its caller's thread a job runs in queue order, with a store or without.
                after = bool(source.withheld) and self._account.sequential
                (source.withheld if after or item[3].target.merges else ready).append(item)
            return ready

    def undeferred(self, event: DeferredEvent, items: Sequence[Item]) -> Sequence[Item]:
        """Record in one step that an event waits no longer, and what it has become.

        Raises:
            SerializationError: Something cannot be stored.
            StoreError: The store cannot be written.
        """
        entries = {_number(item): _Entry(self._row(item), recorded=False) for item in items}
        with self._lock, self._store.writing() as database:
            self._job.forget_deferred_event(event)
            self._write_beginnings(database, entries.values())
            self._write_job(database)
            self._entries.update(entries)
        return items

    def merged(self, item: Item, gathered: dict[str, Any]) -> None:
        """Record in one step what a slot has gathered, and that the activation has its part in it.

        Called with the gathered data locked, so that the record follows the order of merging.

        Raises:
            SerializationError: It cannot be stored.
            StoreError: The store cannot be written.
        """
        target = item[3].target
        kept = rows.gathered_row(self._job.job_id, target.node.routine_id, target.slot.name, gathered)
        row = rows.activation_row(self._job.job_id, pending_task(item, None), kept[-1])
        with self._lock, self._store.writing() as database:
            rows.write_merged(database, kept, row)

    def ended(self, item: Item, outcome: str, duration_ns: int, error: str | None) -> Sequence[Item]:
        """Record an activation's end, and what it emitted; return what was withheld until then."""
        return self._settle(item, self._end(item, (item[5], outcome, self._clock(), duration_ns, error)), last=True)

    def retried(self, again: Item, delay_ns: int) -> Sequence[Item]:
        """Record that an activation is to be tried again, and what the attempt emitted."""
        due = self._clock() + delay_ns / 1e9

        def write(database: sqlite3.Connection) -> None:
            rows.write_retry(database, self._job.job_id, _number(again), again[5], due)

        return self._settle(again, write, last=False)

    def dropped(self, items: Sequence[Item]) -> None:
        """Record that activations will never run."""
        now = self._clock()
        for item in items:
            self._settle(item, self._end(item, (item[5], "dropped", now, 0, None)), last=True)

    def changed(self) -> None:
        """Record the job's status."""
        self._guarded(self._write_job)

    def finished(self) -> None:
        """Record the job's end."""
        fault = self.fault
        if isinstance(fault, SerializationError):
            # The store is well, it is the job that is not: unless that is on record, it would be taken up for ever.
            self.fault = None
            self._guarded(self._write_failure)
            self.fault = self.fault or fault
        else:
            self._guarded(self._write_last)
        with self._lock:
            self._entries.clear()

    # How it is recorded

    def _guarded(self, write: Write) -> None:
        with self._lock:
            self._guarded_locked(write)

    def _guarded_locked(self, write: Write) -> None:
        """Write; what goes wrong fails the job when it is next looked at."""
        if self.fault is not None:
            return
        try:
            with self._store.writing() as database:
                write(database)
        except RoutiluxError as error:
            self.fault = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must not hang for it
            self.fault = StoreError(f"job {self._job.job_id!r} cannot be recorded: {type(error).__name__}: {error}")

    def _settle(self, item: Item, write: Write, *, last: bool) -> Sequence[Item]:
        """Write the end of an attempt, or keep it until the activation itself is on record."""
        with self._lock:
            number = _number(item)
            entry = self._entries.get(number)
            if entry is None:
                return ()
            if last:
                del self._entries[number]
            settlement = entry.settle(write)
            if not entry.recorded:
                entry.waiting.append(settlement)
                return ()
            settled = _all_settled(settlement)
            self._guarded_locked(lambda database: self._write_settled(database, settled))
        return [item for each in settled for item in each.withheld]

    def _write_settled(self, database: sqlite3.Connection, settled: Iterable[_Settlement]) -> None:
        for settlement in settled:
            settlement.write(database)
            for child in settlement.children:
                rows.insert(database, child.row)
        if self._job.changes != self._written:
            self._write_job(database)
        else:
            rows.write_progress(database, self._job, time_left(self._account), self._clock())
            self._write_lines(database)

    def _write_beginnings(self, database: sqlite3.Connection, entries: Iterable[_Entry]) -> None:
        for entry in entries:
            rows.insert(database, entry.row)
            entry.recorded = True

    def _write_job(self, database: sqlite3.Connection, status: str = "", *, first: bool = False) -> None:
        self._written = self._job.changes
        strategy = "sequential" if self._account.sequential else "concurrent"
        document = describe_brief(self._job, strategy, time_left(self._account))
        if status:
            document["status"] = status
        rows.write_job(database, self._job, document, self._clock(), first=first)
        self._write_lines(database)

    def _write_lines(self, database: sqlite3.Connection) -> None:
        lines = self._job.lines_after(*self._lines)
        if lines.outputs or lines.entries:
            rows.write_lines(database, self._job, lines)
            self._lines = (lines.sent, lines.noted)

    def _write_last(self, database: sqlite3.Connection) -> None:
        self._write_job(database)
        rows.drop_outstanding(database, self._job.job_id, self._clock())

    def _write_failure(self, database: sqlite3.Connection) -> None:
        rows.write_failure(database, self._job, self._clock())

    def _end(self, item: Item, end: tuple[Any, ...]) -> Write:
        def write(database: sqlite3.Connection) -> None:
            rows.write_end(database, self._job.job_id, _number(item), end)

        return write

    def _row(self, item: Item) -> tuple[Any, ...]:
        account = self._account
        with account.lock:
            delayed = account.delayed.get(item[0])
        due = None
        if delayed is not None:
            due = self._clock() + (delayed.due_ns - account.engine.clock()) / 1e9
        return rows.activation_row(self._job.job_id, pending_task(item, due))


def _number(item: Item) -> int:
    return item[0] % EPOCH


def _all_settled(first: _Settlement) -> list[_Settlement]:
    """An attempt's end and those that have waited for it, an emitter's before those of what it emitted."""
    settled: list[_Settlement] = []
    due = deque([first])
    while due:
        settlement = due.popleft()
        settled.append(settlement)
        for child in settlement.children:
            child.recorded = True
            due.extend(child.waiting)
            child.waiting = []
    return settled
