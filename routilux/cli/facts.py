"""What is told of a job, as plain data with stable keys: what ``--json`` prints, and tables are made from.

Knows jobs; knows nothing of terminals.
"""

from __future__ import annotations

import traceback
from typing import Any

from routilux.exceptions import RestoredError
from routilux.job_state import ExecutionRecord, JobState
from routilux.store import StoredJob

__all__ = ["detailed", "error_line", "outcome", "summary"]


def summary(job: StoredJob, *, in_use: bool) -> dict[str, Any]:
    """A line of a store's table of jobs.

    Args:
        job: The line.
        in_use: Whether any process has the store open. A job that is ``running`` where none has was interrupted.
    """
    return {
        "job": job.job_id,
        "flow": job.flow_id,
        "status": job.status,
        "interrupted": job.status in {"pending", "running"} and not in_use,
        "created": job.created_at.isoformat(),
        "updated": job.updated_at.isoformat(),
        "ended": job.ended,
        "outstanding": job.pending,
    }


def outcome(job: JobState) -> dict[str, Any]:
    """What became of a job: status, error, what routines did and sent."""
    return {
        "job": job.job_id,
        "flow": job.flow_id,
        "status": job.status,
        "error": error_line(job.error),
        "traceback": _trace(job.error),
        "reason": job.pause_reason if job.status == "paused" else job.cancel_reason,
        "routines": {routine_id: state["status"] for routine_id, state in job.routine_states.items()},
        "figures": {
            routine_id: {
                "completed": figures.completed,
                "error_continued": figures.error_continued,
                "failed": figures.failed,
                "retries": figures.retries,
                "seconds": figures.total_ns / 1e9,
                "skipped": figures.skipped,
            }
            for routine_id, figures in job.figures().items()
        },
        "outstanding": len(job.pending_tasks),
        "outputs": [
            {
                "routine": output["routine_id"],
                "type": output["output_type"],
                "data": output["data"],
                "at": output["timestamp"].isoformat(),
            }
            for output in job.output_log
        ],
    }


def detailed(stored: StoredJob, job: JobState, *, in_use: bool, history: int) -> dict[str, Any]:
    """All that there is to a stored job.

    Args:
        stored: Its line in the table.
        job: The job.
        in_use: As for `summary`.
        history: How many records of its history, the latest ones.
    """
    records = job.execution_history
    return {
        **outcome(job),
        **summary(stored, in_use=in_use),
        "pending": [
            {
                "routine": task.routine_id,
                "slot": task.slot,
                "data": task.data,
                "attempt": task.attempt,
                "due": task.due,
                "number": task.number,
            }
            for task in job.pending_tasks
        ],
        "deferred": [
            {"routine": event.routine_id, "event": event.event_name, "data": event.data}
            for event in job.deferred_events
        ],
        "history": [_record(record) for record in records[len(records) - history :] if history],
        "recorded": len(records),
    }


def _record(record: ExecutionRecord) -> dict[str, Any]:
    return {
        "at": record.timestamp.isoformat(),
        "data": record.data,
        "kind": record.kind,
        "name": record.event_name,
        "routine": record.routine_id,
    }


def error_line(error: BaseException | None) -> str | None:
    """Name an exception, and say what it says."""
    if error is None:
        return None
    if isinstance(error, RestoredError):
        return str(error)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot word itself still has a name
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _trace(error: BaseException | None) -> str | None:
    if error is None:
        return None
    if isinstance(error, RestoredError):
        return error.traceback
    return "".join(traceback.format_exception(error))
