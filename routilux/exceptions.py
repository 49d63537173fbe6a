"""What routilux raises of its own.

::

    Exception
    └── RoutiluxError
        ├── UnknownNameError      (also ValueError)    a routine, event, slot, strategy … that is not there
        ├── DuplicateNameError    (also ValueError)    a name or connection that is there already
        ├── HandlerArgumentError  (also TypeError)     an event's data does not fit the handler
        ├── FlowShutdownError     (also RuntimeError)  work handed to a flow that was shut down
        ├── WouldDeadlockError    (also RuntimeError)  a handler waits for the job that it is part of
        ├── JobStatusError        (also RuntimeError)  what was asked for does not go with the job's status
        ├── QueueFullError        (also RuntimeError)  a handler emits more than the flow may have queued
        ├── WorkerLostError       (also RuntimeError)  a worker is gone, and what it ran with it
        ├── CannotTravelError     (also TypeError)     something cannot be sent to a worker in another process
        ├── NotHereError          (also RuntimeError)  a handler in a worker asks for what only the driver has
        ├── RestoredError                              an exception of a job that ended in another process
        ├── SerializationError    (also ValueError)    something cannot be stored, or a document cannot be read
        └── StoreError                                 a job store cannot be used
            └── StoreLockedError                       another process, or another part of this one, has it open

Each also derives from the built-in class that a caller would guess, so ``except ValueError`` goes on working.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

__all__ = [
    "CannotTravelError",
    "DuplicateNameError",
    "FlowShutdownError",
    "HandlerArgumentError",
    "JobStatusError",
    "NotHereError",
    "QueueFullError",
    "RestoredError",
    "RoutiluxError",
    "SerializationError",
    "StoreError",
    "StoreLockedError",
    "UnknownNameError",
    "WorkerLostError",
    "WouldDeadlockError",
    "brief",
]


def brief(value: object) -> str:
    """Show a value in a message, however large, deep or broken it is."""
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001 - a message must come about whatever the value's own repr does
        return f"<{type(value).__qualname__}>"


class RoutiluxError(Exception):
    """The root of routilux's own exceptions."""


class UnknownNameError(RoutiluxError, ValueError):
    """A name that was looked up is not among those that exist.

    Args:
        kind: What was looked for: "routine", "event", "slot", "execution strategy" …
        name: The name that was given.
        allowed: The names that would have been right.
        owner: Where it was looked for, e.g. ``"flow 'orders'"``.
        hint: What to do about it, where there is more to say than choosing another name.
    """

    def __init__(self, kind: str, name: object, allowed: Iterable[str], owner: str = "", hint: str = "") -> None:
        """Word the message from its parts."""
        self.kind = kind
        self.name = name
        self.allowed = sorted(allowed)
        place = f" in {owner}" if owner else ""
        choices = ", ".join(repr(item) for item in self.allowed) or "none"
        message = f"unknown {kind} {brief(name)}{place}; there are: {choices}"
        super().__init__(f"{message}; {hint}" if hint else message)


class DuplicateNameError(RoutiluxError, ValueError):
    """A name or a connection is defined a second time."""


class HandlerArgumentError(RoutiluxError, TypeError):
    """An event's data does not hold what the handler cannot do without.

    Args:
        handler: The handler's name.
        missing: Names of its required parameters that the data lacks.
        given: The keys that the data has.
    """

    def __init__(self, handler: str, missing: Iterable[str], given: Iterable[str]) -> None:
        """Word the message from its parts."""
        self.handler = handler
        self.missing = sorted(missing)
        self.given = sorted(given)
        wanted = ", ".join(repr(name) for name in self.missing)
        had = ", ".join(repr(name) for name in self.given) or "nothing"
        super().__init__(
            f"handler {handler!r} needs {wanted}, but the event carries {had}; "
            "emit it, rename with connect(param_mapping=...), or give the parameter a default"
        )


class FlowShutdownError(RoutiluxError, RuntimeError):
    """The flow was shut down and takes no new work."""


class WouldDeadlockError(RoutiluxError, RuntimeError):
    """A handler waits for its own job to end, which cannot happen before the handler does."""


class JobStatusError(RoutiluxError, RuntimeError):
    """A job cannot be paused, resumed … as it is.

    Args:
        action: What was to be done to it, e.g. ``"resumed"``.
        job_id: Which job.
        status: Its status.
        allowed: What it would have to be, e.g. ``"a paused job"``.
    """

    def __init__(self, action: str, job_id: str, status: str, allowed: str) -> None:
        """Word the message from its parts."""
        self.job_id = job_id
        self.status = status
        super().__init__(f"job {job_id!r} cannot be {action}: it is {status!r}; only {allowed} can")


class QueueFullError(RoutiluxError, RuntimeError):
    """More would be queued than a flow's ``max_pending`` allows. Nothing was queued.

    Args:
        flow_id: The flow.
        limit: Its ``max_pending``.
        queued: How many activations it has queued.
        wanted: How many more there would have been.
    """

    def __init__(self, flow_id: str, limit: int, queued: int, wanted: int) -> None:
        """Word the message from its parts."""
        self.limit = limit
        self.queued = queued
        self.wanted = wanted
        super().__init__(
            f"flow {flow_id!r} has {queued} activations queued and takes {limit} at most (max_pending), "
            f"so {wanted} more cannot be; retry later (ErrorHandler('retry')), emit less at once, or raise max_pending"
        )


class WorkerLostError(RoutiluxError, RuntimeError):
    """A worker has gone, or its executor lost track of it, while it ran an activation: nobody knows how far it came.

    RETRY tries again, and counts it as an attempt, whatever exceptions it is limited to.

    Args:
        activation_id: Which activation; see `Routine.get_activation_id`.
        routine_id: The routine.
        cause: What the executor said.
    """

    def __init__(self, activation_id: str, routine_id: str, cause: str) -> None:
        """Word the message from its parts."""
        self.activation_id = activation_id
        super().__init__(
            f"the worker that ran activation {activation_id} of routine {routine_id!r} was lost ({cause}); "
            "it may have run in part, or not at all; ErrorHandler('retry') runs it again"
        )


class CannotTravelError(RoutiluxError, TypeError):
    """Something cannot be sent to a worker in another process, or back.

    Args:
        place: What it is, e.g. ``"routine 'fetcher', attribute 'session'"``.
        problem: Why not.
        hint: What to do about it, if it is not what most can do.
    """

    HINT = (
        "send what it is made from instead, leave it out of the state with __getstate__, "
        "or let the routine run in the driver (runs_in_driver = True)"
    )

    def __init__(self, place: str, problem: str, hint: str = HINT) -> None:
        """Word the message from its parts."""
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {_shortened(problem)}; {hint}")


class NotHereError(RoutiluxError, RuntimeError):
    """A handler that runs in a worker asks for something that only the process of its flow has."""


class RestoredError(RoutiluxError):
    """What is known of an exception that failed a job in another process: exceptions themselves are not stored.

    Args:
        kind: Name of its class.
        message: What it said.
        traceback: As it would have been printed.
    """

    def __init__(self, kind: str, message: str, traceback: str = "") -> None:
        """Word the message from its parts."""
        self.kind = kind
        self.message = message
        self.traceback = traceback
        super().__init__(f"{kind}: {message}")


class StoreError(RoutiluxError):
    """A job store cannot be opened, read or written; says which, and why."""


class StoreLockedError(StoreError):
    """A job store is open elsewhere, and jobs must not run twice."""


class SerializationError(RoutiluxError, ValueError):
    """Something cannot be stored, or a stored document cannot be read.

    Args:
        place: Where in the flow or document, e.g. ``"routine 'fetcher', config 'delay'"``.
        problem: What is wrong there, and what would be right.
    """

    def __init__(self, place: str, problem: str) -> None:
        """Word the message from its parts, which may hold whatever a document holds, however long."""
        self.place = _shortened(place)
        self.problem = _shortened(problem)
        super().__init__(f"{self.place}: {self.problem}")


def _shortened(text: str, most: int = 600) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
