"""The rows of a job store: what is written of a job, and how a job's document is put together from what was.

Knows the tables and the layout of documents; knows neither when something is written nor who may. What is read may
hold anything, whatever the tables say (SQLite's columns take values of every type): reading the document checks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from routilux.documents import parse_document
from routilux.engine.activation import EPOCH
from routilux.exceptions import SerializationError, StoreError, brief
from routilux.job_document import describe_brief, error_to_data
from routilux.job_state import FINAL
from routilux.serialization import to_plain

if TYPE_CHECKING:
    import sqlite3

    from routilux.job_records import Lines, PendingTask
    from routilux.job_state import JobState

__all__ = [
    "activation_row",
    "drop_outstanding",
    "encoded",
    "forget_lines",
    "gathered_row",
    "insert",
    "read_document",
    "write_end",
    "write_failure",
    "write_job",
    "write_lines",
    "write_merged",
    "write_outstanding",
    "write_progress",
    "write_retry",
]

CANCEL_REASON = "cancel_reason"
"""A key that documents have in a store only: what history tells of a job beside its activations is not kept in one."""

FIGURES = ("retries", "calls", "total_ns", "min_ns", "max_ns", "completed", "failed", "error_continued", "skipped")

Row = tuple[Any, ...]


# Writing


def encoded(value: Any, place: str) -> str:
    """A value as the text of a column.

    Raises:
        SerializationError: It cannot be stored.
    """
    return json.dumps(to_plain(value, place), allow_nan=False, separators=(",", ":"))


def activation_row(job_id: str, task: PendingTask, data: str | None = None) -> Row:
    """The row of an activation that is to be run.

    Args:
        job_id: Its job.
        task: The activation.
        data: Its data, if that has been encoded already.

    Raises:
        SerializationError: Its data cannot be stored.
    """
    if data is None:
        data = encoded(task.data, f"job {job_id!r}, emitted for routine {task.routine_id!r}, slot {task.slot!r}")
    return (job_id, task.number, task.routine_id, task.slot, task.attempt, task.due, int(task.merged), data)


def gathered_row(job_id: str, routine_id: str, slot: str, data: dict[str, Any]) -> Row:
    """The row of what a slot has gathered.

    Raises:
        SerializationError: It cannot be stored.
    """
    return (job_id, routine_id, slot, encoded(data, f"job {job_id!r}, gathered by {routine_id!r}, slot {slot!r}"))


def insert(database: sqlite3.Connection, row: Row) -> None:
    """Record that an activation is to be run."""
    database.execute(
        "INSERT INTO activations (job_id, number, routine, slot, attempt, due, merged, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def write_outstanding(
    database: sqlite3.Connection, job_id: str, activations: Iterable[Row], gathered: Iterable[Row]
) -> None:
    """Record all that a job has to run, and what its slots have gathered, in place of what was so before."""
    database.execute("DELETE FROM activations WHERE job_id = ? AND outcome IS NULL", (job_id,))
    database.execute("DELETE FROM gathered WHERE job_id = ?", (job_id,))
    database.executemany(
        "INSERT OR REPLACE INTO activations (job_id, number, routine, slot, attempt, due, merged, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        activations,
    )
    database.executemany("INSERT INTO gathered VALUES (?, ?, ?, ?)", gathered)


def write_merged(database: sqlite3.Connection, gathered: Row, activation: Row) -> None:
    """Record what a slot has gathered, and the activation that has its part in it from now on."""
    database.execute("INSERT OR REPLACE INTO gathered VALUES (?, ?, ?, ?)", gathered)
    job_id, number = activation[:2]
    merged, data = activation[6:]
    _must_change(
        database.execute(
            "UPDATE activations SET merged = ?, data = ? WHERE job_id = ? AND number = ? AND outcome IS NULL",
            (merged, data, job_id, number),
        ),
        job_id,
        number,
    )


def write_retry(database: sqlite3.Connection, job_id: str, number: int, attempt: int, due: float) -> None:
    """Record that an activation is to be tried again."""
    _must_change(
        database.execute(
            "UPDATE activations SET attempt = ?, due = ? WHERE job_id = ? AND number = ? AND outcome IS NULL",
            (attempt, due, job_id, number),
        ),
        job_id,
        number,
    )


def write_end(database: sqlite3.Connection, job_id: str, number: int, end: Row) -> None:
    """Record an activation's end: attempts made, outcome, wall time, duration in nanoseconds, error in words."""
    attempt, outcome, ended, duration_ns, error = end
    if error is not None:
        # File names, for one, come with surrogates, which are no characters.
        error = error.encode(errors="backslashreplace").decode()
    _must_change(
        database.execute(
            "UPDATE activations SET attempt = ?, outcome = ?, ended = ?, duration_ns = ?, error = ?, data = NULL"
            " WHERE job_id = ? AND number = ? AND outcome IS NULL",
            (attempt, outcome, ended, duration_ns, error, job_id, number),
        ),
        job_id,
        number,
    )


def _must_change(done: sqlite3.Cursor, job_id: str, number: int) -> None:
    if done.rowcount != 1:
        raise StoreError(f"activation {number} of job {job_id!r} is not on record as outstanding")


def write_job(
    database: sqlite3.Connection,
    job: JobState,
    document: dict[str, Any],
    now: float,
    *,
    first: bool = False,
) -> None:
    """Write the row of a job; if its status is final, what was to be run never will be.

    Args:
        database: In a transaction.
        job: The job.
        document: What there is to it, see `routilux.job_document.describe_brief`.
        now: Wall time.
        first: Make the row if there is none.

    Raises:
        StoreError: There is none, as the job was deleted.
    """
    if job.status == "cancelled":
        document = {**document, CANCEL_REASON: job.cancel_reason}
    values = (
        document["status"],
        now,
        job.events_emitted,
        job.next_number,
        document["time_left"],
        json.dumps(document, allow_nan=False, separators=(",", ":")),
        job.job_id,
    )
    changed = database.execute(
        "UPDATE jobs SET status = ?, updated = ?, emitted = ?, next_number = ?, time_left = ?, document = ?"
        " WHERE job_id = ?",
        values,
    )
    if changed.rowcount != 1:
        if not first:
            raise _deleted(job)
        database.execute(
            "INSERT INTO jobs (status, updated, emitted, next_number, time_left, document, job_id, flow_id, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, job.flow_id, job.created_at.timestamp()),
        )


def write_lines(database: sqlite3.Connection, job: JobState, lines: Lines) -> None:
    """Write what a job's routines have sent and noted since they were last, and forget what the job itself has."""
    job_id = job.job_id
    for log, count, fresh in (
        ("output_log", lines.sent, lines.outputs),
        ("shared_log", lines.noted, lines.entries),
    ):
        first = count - len(fresh) + 1
        place = f"job {job_id!r}, {log}"
        rows = [(job_id, log, first + at, encoded(line, place)) for at, line in enumerate(fresh)]
        database.executemany("INSERT INTO lines VALUES (?, ?, ?, ?)", rows)
    if lines.outputs and lines.sent > job.history_limit:
        database.execute(
            "DELETE FROM lines WHERE job_id = ? AND log = 'output_log' AND number <= ?",
            (job_id, lines.sent - job.history_limit),
        )


def forget_lines(database: sqlite3.Connection, job_id: str) -> None:
    """Forget what a job's routines have sent and noted, which will be written anew."""
    database.execute("DELETE FROM lines WHERE job_id = ?", (job_id,))


def write_progress(database: sqlite3.Connection, job: JobState, time_left: float | None, now: float) -> None:
    """Write what changes of a job's row with every activation.

    Raises:
        StoreError: There is no such row, as the job was deleted.
    """
    changed = database.execute(
        "UPDATE jobs SET updated = ?, emitted = ?, next_number = ?, time_left = ? WHERE job_id = ?",
        (now, job.events_emitted, job.next_number, time_left, job.job_id),
    )
    if changed.rowcount != 1:
        raise _deleted(job)


def write_failure(database: sqlite3.Connection, job: JobState, now: float) -> None:
    """Write how a job has ended of which something cannot be stored: the rest stays as it was written last."""
    row = database.execute("SELECT document FROM jobs WHERE job_id = ?", (job.job_id,)).fetchone()
    document = describe_brief(type(job)(job.flow_id, job.job_id), "", None) if row is None else json.loads(row[0])
    document.update(status=job.status, error=error_to_data(job.error), time_left=None)
    write_job(database, job, document, now, first=True)
    drop_outstanding(database, job.job_id, now)


def drop_outstanding(database: sqlite3.Connection, job_id: str, now: float) -> None:
    """Record that whatever a job had to run never will be."""
    database.execute(
        "UPDATE activations SET outcome = 'dropped', ended = ?, duration_ns = 0, data = NULL"
        " WHERE job_id = ? AND outcome IS NULL",
        (now, job_id),
    )


def _deleted(job: JobState) -> StoreError:
    return StoreError(f"job {job.job_id!r} is not in the store any more: it was deleted while it ran")


# Reading


def read_document(database: sqlite3.Connection, job_id: str) -> dict[str, Any]:
    """Put a job's document together from its rows.

    Raises:
        KeyError: There is no such job.
        SerializationError: Some of it is not JSON. Whether it is a job's document is for its reader to say.
    """
    row = database.execute(
        "SELECT document, flow_id, status, emitted, next_number, time_left, updated,"
        " (SELECT max(number) FROM activations a WHERE a.job_id = j.job_id) FROM jobs j WHERE job_id = ?",
        (job_id,),
    ).fetchone()
    if row is None:
        raise KeyError(job_id)
    place = f"job {job_id!r} in the store"
    text, flow_id, status, emitted, next_number, time_left, updated, highest = row
    document = _parsed(text, place)
    if not isinstance(document, dict):
        raise SerializationError(place, f"its document must be an object, not {brief(document)}")
    if (document.get("job_id"), document.get("flow_id")) != (job_id, flow_id):
        raise SerializationError(place, f"its document must be its own, of flow {brief(flow_id)}")
    if isinstance(highest, int) and isinstance(next_number, int):
        # Numbers are given out before they are on record; none that is may be given out again.
        next_number = max(next_number, highest + 1)
    document |= {"status": status, "events_emitted": emitted, "next_number": next_number, "time_left": time_left}
    document["pending"] = [] if status in FINAL else _pending(database, job_id, place)
    document["gathered"] = [
        {"routine": routine, "slot": slot, "data": _parsed(data, f"{place}, gathered by {brief(routine)}")}
        for routine, slot, data in database.execute(
            "SELECT routine, slot, data FROM gathered WHERE job_id = ? ORDER BY routine, slot", (job_id,)
        )
    ]
    for log in ("output_log", "shared_log"):
        lines = database.execute(
            "SELECT data FROM lines WHERE job_id = ? AND log = ? ORDER BY number", (job_id, log)
        ).fetchall()
        document[log] = [_parsed(data, f"{place}, {log}") for (data,) in lines]
    document["figures"] = _figures(database, job_id)
    document["history"] = _history(database, job_id, document.get("history_limit"), place)
    reason = document.pop(CANCEL_REASON, "")
    if status == "cancelled":
        document["history"].append(_record_of_job("cancelled", {"reason": reason}, updated, place))
    return document


def _parsed(text: Any, place: str) -> Any:
    if not isinstance(text, str):
        raise SerializationError(place, f"must be text, not {brief(text)}")
    return parse_document(text, place)


def _pending(database: sqlite3.Connection, job_id: str, place: str) -> list[dict[str, Any]]:
    rows = database.execute(
        "SELECT routine, slot, data, attempt, merged, due, number FROM activations"
        " WHERE job_id = ? AND outcome IS NULL ORDER BY number",
        (job_id,),
    )
    return [
        {
            "routine": routine,
            "slot": slot,
            "data": _parsed(data, f"{place}, activation {brief(number)}"),
            "attempt": attempt,
            "merged": {0: False, 1: True}.get(merged, merged) if isinstance(merged, int) else merged,
            "due": due,
            "number": number,
        }
        for routine, slot, data, attempt, merged, due, number in rows
    ]


def _figures(database: sqlite3.Connection, job_id: str) -> dict[str, dict[str, Any]]:
    """Counts and durations by routine, from the ends on record; of an attempt that was retried only that it was."""
    rows = database.execute(
        "SELECT routine, sum(attempt - 1), sum(attempt), sum(duration_ns), min(duration_ns), max(duration_ns),"
        " sum(outcome = 'completed'), sum(outcome = 'failed'), sum(outcome = 'error_continued'),"
        " sum(outcome = 'skipped')"
        " FROM activations WHERE job_id = ? AND outcome IS NOT NULL AND outcome <> 'dropped' GROUP BY routine",
        (job_id,),
    )
    return {routine: dict(zip(FIGURES, figures, strict=True)) for routine, *figures in rows}


def _history(database: sqlite3.Connection, job_id: str, limit: Any, place: str) -> list[dict[str, Any]]:
    """The latest records, oldest first."""
    if not isinstance(limit, int) or not 0 < limit < EPOCH:
        limit = 1  # the document's reader will refuse it
    rows = database.execute(
        "SELECT number, routine, slot, attempt, outcome, ended, duration_ns, error FROM activations"
        " WHERE job_id = ? AND outcome IS NOT NULL ORDER BY ended DESC, number DESC LIMIT ?",
        (job_id, limit),
    ).fetchall()
    return [_record(row, f"{place}, end of activation {brief(row[0])}") for row in reversed(rows)]


def _record(row: Sequence[Any], place: str) -> dict[str, Any]:
    _, routine, slot, attempt, outcome, ended, duration_ns, error = row
    if not (isinstance(attempt, int) and isinstance(duration_ns, int)):
        raise SerializationError(place, "attempt and duration must be numbers")
    data = {"slot": slot, "attempt": attempt, "duration": duration_ns / 1e9}
    if error is not None:
        data["error"] = error
    moment = _timestamp(ended, place)
    return {"routine": routine, "name": outcome, "data": data, "timestamp": moment, "kind": "activation"}


def _record_of_job(name: str, data: dict[str, Any], at: Any, place: str) -> dict[str, Any]:
    return {"routine": "", "name": name, "data": data, "timestamp": _timestamp(at, place), "kind": "job"}


def _timestamp(seconds: Any, place: str) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - only for who reads

    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        raise SerializationError(place, f"{brief(seconds)} is not seconds since 1970") from None
