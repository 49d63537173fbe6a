"""Event-driven workflows on a thread pool: routines with slots and events, wired into a flow."""

from routilux._version import __version__
from routilux.connection import Connection
from routilux.error_handler import ErrorHandler, ErrorStrategy
from routilux.event import Event
from routilux.exceptions import (
    DuplicateNameError,
    FlowShutdownError,
    HandlerArgumentError,
    RoutiluxError,
    SerializationError,
    UnknownNameError,
    WouldDeadlockError,
)
from routilux.execution_tracker import ExecutionTracker
from routilux.flow import Flow
from routilux.job_state import ExecutionRecord, JobState
from routilux.routine import ExecutionContext, Routine
from routilux.slot import Slot

__all__ = [
    "Connection",
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
    "RoutiluxError",
    "Routine",
    "SerializationError",
    "Slot",
    "UnknownNameError",
    "WouldDeadlockError",
    "__version__",
]
