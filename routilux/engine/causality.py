"""The durable record of one job, kept such that no record stands on something that may not have happened.

An activation's end is recorded in one transaction with what its handler emitted. What was emitted may have run by
then: its own end is recorded only when its emitter's is, at once after it. So whenever the process dies, the record
is as if every handler on record had run whole, and those that are not on record had not begun: recovery runs these
(again), and whatever is recorded as ended never runs again.

Slots that merge are an exception: what they gather is state, and must not hold what may not have happened. So an
activation of such a slot is withheld until its emitter has ended.

Knows activations, their emitters and a store's tables; knows neither how they are run nor how a store is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from routilux.engine.activation import EPOCH
from routilux.engine.ledger import Ledger
from routilux.exceptions import RoutiluxError, StoreError

if TYPE_CHECKING:
    import sqlite3
    from contextlib import AbstractContextManager

    from routilux.engine.accounting import JobAccount
    from routilux.engine.activation import Item
    from routilux.job_state import JobState

__all__ = ["JobLedger"]

Write = Callable[[Any], None]


class _Store(Protocol):
    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction."""


class _Entry:
    """An activation that has not ended, as far as the record is concerned.

    Attributes:
        row: What will stand in the table.
        recorded: It is on record that it is to be run.
        children: What its present attempt has emitted.
        withheld: Those of them that are not to be queued before it has ended.
        waiting: What is to be written about it once it is on record.
    """

    __slots__ = ("children", "recorded", "row", "waiting", "withheld")

    def __init__(self, row: tuple[Any, ...], *, recorded: bool) -> None:
        self.row = row
        self.recorded = recorded
        self.children: list[_Entry] = []
        self.withheld: list[Item] = []
        self.waiting: list[_Settlement] = []


class _Settlement:
    """The end of an attempt: what to write, and whose turn it is then to be recorded."""

    __slots__ = ("children", "write")

    def __init__(self, write: Write, children: list[_Entry]) -> None:
        self.write = write
        self.children = children


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
        self._lock = account.engine.runtime.lock()
        self._entries: dict[int, _Entry] = {}
        self._written = -1

    # What the engine tells

    def began(self, items: Sequence[Item]) -> None:
        """Record the job, with what it has outstanding.

        Raises:
            SerializationError: Something cannot be stored.
            StoreError: The store cannot be written.
        """
        entries = {item[0] % EPOCH: _Entry(self._row(item), recorded=True) for item in items}
        with self._lock, self._store.writing() as database:
            self._write_job(database)
            for entry in entries.values():
                _insert(database, entry.row)
            self._entries.update(entries)

    def emitted(self, parent: Item | None, items: Sequence[Item]) -> Sequence[Item]:
        """Take note of what was emitted; return what may be queued at once.

        Raises:
            SerializationError: Something in it cannot be stored; nothing is noted then.
            StoreError: The store cannot be written.
        """
        entries = {item[0] % EPOCH: _Entry(self._row(item), recorded=False) for item in items}
        with self._lock:
            source = None if parent is None else self._entries.get(parent[0] % EPOCH)
            if source is None or (parent is not None and parent[2] is not self._account):
                with self._store.writing() as database:
                    for entry in entries.values():
                        _insert(database, entry.row)
                        entry.recorded = True
                self._entries.update(entries)
                return items
            self._entries.update(entries)
            source.children.extend(entries.values())
            source.withheld.extend(item for item in items if item[3].target.merges)
            return [item for item in items if not item[3].target.merges]

    def merged(self, item: Item, gathered: dict[str, Any]) -> None:
        """Record in one step what a slot has gathered, and that the activation has its part in it.

        Called with the gathered data locked, so that the record follows the order of merging.

        Raises:
            SerializationError: It cannot be stored.
            StoreError: The store cannot be written.
        """
        row = self._row(item)
        target = item[3].target
        place = f"routine {target.node.routine_id!r}, slot {target.slot.name!r}, gathered"
        value = _encoded(gathered, place)
        with self._lock, self._store.writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO gathered VALUES (?, ?, ?, ?)",
                (self._job.job_id, target.node.routine_id, target.slot.name, value),
            )
            _insert(database, row)

    def ended(self, item: Item, outcome: str, duration_ns: int, error: str | None) -> Sequence[Item]:
        """Record an activation's end, and what it emitted; return what was withheld until then."""
        ended = self._account.engine.runtime.wall_time()

        def write(database: Any) -> None:
            _end(database, self._job.job_id, item, outcome, ended, duration_ns, error)

        return self._settle(item, write, last=True)

    def retried(self, again: Item, delay_ns: int) -> Sequence[Item]:
        """Record that an activation is to be tried again, and what the attempt emitted."""
        due = self._account.engine.runtime.wall_time() + delay_ns / 1e9

        def write(database: Any) -> None:
            database.execute(
                "UPDATE activations SET attempt = ?, due = ? WHERE job_id = ? AND number = ?",
                (again[5], due, self._job.job_id, again[0] % EPOCH),
            )

        return self._settle(again, write, last=False)

    def dropped(self, items: Sequence[Item]) -> None:
        """Record that activations will never run."""
        now = self._account.engine.runtime.wall_time()
        for item in items:

            def write(database: Any, item: Item = item) -> None:
                _end(database, self._job.job_id, item, "dropped", now, 0, None)

            self._settle(item, write, last=True)

    def changed(self) -> None:
        """Record the job's status."""
        self._guarded(self._write_job)

    def finished(self) -> None:
        """Record the job's end."""
        self._guarded(self._write_job)
        with self._lock:
            self._entries.clear()

    # How it is recorded

    def _guarded(self, write: Write) -> None:
        """Write; what goes wrong fails the job when it is next looked at."""
        if self.fault is not None:
            return
        try:
            with self._lock, self._store.writing() as database:
                write(database)
        except RoutiluxError as error:
            self.fault = error

    def _settle(self, item: Item, write: Write, *, last: bool) -> Sequence[Item]:
        """Write the end of an attempt, or keep it until the activation itself is on record."""
        with self._lock:
            number = item[0] % EPOCH
            entry = self._entries.get(number)
            if entry is None:
                return ()
            if last:
                del self._entries[number]
            settlement = _Settlement(write, entry.children)
            entry.children = []
            withheld, entry.withheld = entry.withheld, []
            if not entry.recorded:
                entry.waiting.append(settlement)
                return withheld
            if self.fault is not None:
                return withheld
            try:
                with self._store.writing() as database:
                    self._write_settlement(database, settlement)
                    if self._job.changes != self._written:
                        self._write_job(database)
            except RoutiluxError as error:
                self.fault = error
            return withheld

    def _write_settlement(self, database: Any, first: _Settlement) -> None:
        """Write the end of an attempt and the beginnings that hang on it, and so on with what was waiting for those."""
        due = [first]
        while due:
            settlement = due.pop()
            settlement.write(database)
            for child in settlement.children:
                _insert(database, child.row)
                child.recorded = True
                due.extend(child.waiting)
                child.waiting = []

    def _write_job(self, database: Any) -> None:
        from routilux.job_document import describe_brief, time_left  # noqa: PLC0415 - the layout is its business
        from routilux.store import write_job  # noqa: PLC0415 - likewise the tables'

        self._written = self._job.changes
        strategy = "sequential" if self._account.sequential else "concurrent"
        document = describe_brief(self._job, strategy, time_left(self._account))
        write_job(database, self._job, document, self._account.engine.runtime.wall_time())

    def _row(self, item: Item) -> tuple[Any, ...]:
        from routilux.job_document import pending_task  # noqa: PLC0415 - as above

        account = self._account
        task = pending_task(item, None)
        with account.lock:
            delayed = account.delayed.get(item[0])
        due = None
        if delayed is not None:
            due = account.engine.runtime.wall_time() + (delayed.due_ns - account.engine.clock()) / 1e9
        place = f"job {self._job.job_id!r}, emitted for routine {task.routine_id!r}, slot {task.slot!r}"
        return (
            self._job.job_id,
            task.number,
            task.routine_id,
            task.slot,
            task.attempt,
            due,
            int(task.merged),
            _encoded(task.data, place),
        )


def _encoded(value: Any, place: str) -> str:
    import json  # noqa: PLC0415 - only for jobs that are stored

    from routilux.serialization import to_plain  # noqa: PLC0415 - likewise

    return json.dumps(to_plain(value, place), allow_nan=False, separators=(",", ":"))


def _insert(database: Any, row: tuple[Any, ...]) -> None:
    database.execute(
        "INSERT OR REPLACE INTO activations (job_id, number, routine, slot, attempt, due, merged, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def _end(
    database: Any, job_id: str, item: Item, outcome: str, ended: float, duration_ns: int, error: str | None
) -> None:
    changed = database.execute(
        "UPDATE activations SET outcome = ?, ended = ?, duration_ns = ?, error = ?, attempt = ?, data = NULL"
        " WHERE job_id = ? AND number = ? AND outcome IS NULL",
        (outcome, ended, duration_ns, error, item[5], job_id, item[0] % EPOCH),
    )
    if changed.rowcount != 1:
        raise StoreError(f"activation {item[0] % EPOCH} of job {job_id!r} is not on record as outstanding")
