"""What there is to read in a job's state: records of what happened, what is still to be run, what was sent.

Plain tuples with names, and the statuses that end a job; knows nothing of how they come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["FINAL", "DeferredEvent", "ExecutionRecord", "Lines", "PendingTask"]

FINAL = ("completed", "failed", "cancelled")
"""The statuses that never change."""


class ExecutionRecord(NamedTuple):
    """One line of a job's history.

    Attributes:
        routine_id: Whose doing it was.
        event_name: The event emitted; for ``kind == "activation"`` what became of the activation: ``completed``,
            ``failed``, ``error_continued``, ``skipped``, ``retry``, ``dropped`` (it never ran), ``late`` (it ended
            after the job's deadline) or ``cancelled``; for ``kind == "job"``: ``paused``, ``resumed``, ``cancelled``.
        data: What the event carried; for an activation ``slot``, ``attempt``, ``duration`` (seconds) and, after an
            error, ``error``; for a job ``reason``, if one was given.
        timestamp: When, on the wall clock, in UTC.
        kind: ``"event"``, ``"activation"`` or ``"job"``.
    """

    routine_id: str
    event_name: str
    data: dict[str, Any]
    timestamp: datetime
    kind: str = "event"


class PendingTask(NamedTuple):
    """An activation that a job still has to run.

    Attributes:
        routine_id: Where it goes.
        slot: To which slot.
        data: What its handler gets; for a slot that merges, what is still to be merged unless ``merged``.
        attempt: 1 for the first try.
        merged: ``data`` is what the slot has gathered, this activation's part included.
        due: When it may be tried again, in seconds since 1970; None for one that waits only for its turn.
        number: Counts the job's activations from 1.
    """

    routine_id: str
    slot: str
    data: dict[str, Any]
    attempt: int = 1
    merged: bool = False
    due: float | None = None
    number: int = 0


class DeferredEvent(NamedTuple):
    """An event that will be emitted when its job is resumed."""

    routine_id: str
    event_name: str
    data: dict[str, Any]


class Lines(NamedTuple):
    """What a job's routines have sent and noted lately.

    Attributes:
        sent: How many outputs there have been in all.
        outputs: The latest of them.
        noted: How many entries the shared log has in all.
        entries: The latest of them.
    """

    sent: int
    outputs: list[dict[str, Any]]
    noted: int
    entries: list[dict[str, Any]]
