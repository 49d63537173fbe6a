"""Event-driven workflows on a thread pool: routines with slots and events, wired into a flow."""

from typing import TYPE_CHECKING, Any

from routilux._version import __version__
from routilux.connection import Connection
from routilux.error_handler import ErrorHandler, ErrorStrategy
from routilux.event import Event
from routilux.exceptions import (
    CannotTravelError,
    DuplicateNameError,
    FlowShutdownError,
    HandlerArgumentError,
    JobStatusError,
    NotHereError,
    QueueFullError,
    RestoredError,
    RoutiluxError,
    SerializationError,
    StoreError,
    StoreLockedError,
    UnknownNameError,
    WorkerLostError,
    WouldDeadlockError,
)
from routilux.execution_tracker import ExecutionTracker
from routilux.flow import Flow
from routilux.job_state import DeferredEvent, ExecutionRecord, JobState, PendingTask
from routilux.output_handler import CallbackOutputHandler, NullOutputHandler, OutputHandler, QueueOutputHandler
from routilux.routine import ExecutionContext, Routine
from routilux.runtime import fault_point
from routilux.slot import Slot

if TYPE_CHECKING:
    from routilux.store import JobStore

__all__ = [
    "CallbackOutputHandler",
    "CannotTravelError",
    "Connection",
    "DeferredEvent",
    "DuplicateNameError",
    "ErrorHandler",
    "ErrorStrategy",
    "Event",
    "ExecutionContext",
    "ExecutionRecord",
    "ExecutionTracker",
    "Flow",
    "FlowShutdownError",
    "HandlerArgumentError",
    "JobState",
    "JobStatusError",
    "JobStore",
    "NotHereError",
    "NullOutputHandler",
    "OutputHandler",
    "PendingTask",
    "QueueFullError",
    "QueueOutputHandler",
    "RestoredError",
    "RoutiluxError",
    "Routine",
    "SerializationError",
    "Slot",
    "StoreError",
    "StoreLockedError",
    "UnknownNameError",
    "WorkerLostError",
    "WouldDeadlockError",
    "__version__",
    "fault_point",
]


def __getattr__(name: str) -> Any:
    # SQLite is only for those who store jobs in it.
    if name == "JobStore":
        from routilux import store  # noqa: PLC0415

        return store.JobStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
