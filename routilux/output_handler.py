"""Where routines send results to while a job runs: to a queue, to a function, or nowhere.

Knows what an output is; knows nothing of jobs and flows, which call `OutputHandler.handle`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CallbackOutputHandler", "NullOutputHandler", "OutputHandler", "QueueOutputHandler"]


class OutputHandler(ABC):
    """Receives what routines send by ``send_output``.

    It is called in the thread of the routine that sends, so several calls may come at once. One that raises is logged,
    and breaks neither the routine nor the job.
    """

    @abstractmethod
    def handle(self, job_id: str, routine_id: str, output_type: str, data: dict[str, Any], timestamp: datetime) -> None:
        """Take one output.

        Args:
            job_id: The job.
            routine_id: The routine that sent it.
            output_type: The sender's own word for what it is, e.g. ``"progress"``.
            data: What was sent, a dictionary of its own.
            timestamp: When, on the wall clock, in UTC.
        """


class _Putting(Protocol):
    def put(self, item: Any, /) -> Any:
        """Add an item."""


class QueueOutputHandler(OutputHandler):
    """Puts each output into a queue, as a dictionary.

    Its keys are ``job_id``, ``routine_id``, ``output_type``, ``data`` and ``timestamp``.

    Args:
        queue: Anything with ``put``, such as ``queue.Queue()``. A bounded one makes routines wait while it is full.

    Raises:
        TypeError: ``queue`` has no ``put``.
    """

    def __init__(self, queue: _Putting) -> None:
        if not callable(getattr(queue, "put", None)):
            raise TypeError(f"queue must have a method put(), as queue.Queue() has, not {queue!r}")
        self.queue = queue

    def handle(self, job_id: str, routine_id: str, output_type: str, data: dict[str, Any], timestamp: datetime) -> None:
        """Put the output into the queue."""
        self.queue.put(
            {
                "job_id": job_id,
                "routine_id": routine_id,
                "output_type": output_type,
                "data": data,
                "timestamp": timestamp,
            }
        )


class CallbackOutputHandler(OutputHandler):
    """Calls a function with each output.

    Args:
        callback: Called as `OutputHandler.handle` is.

    Raises:
        TypeError: ``callback`` cannot be called.
    """

    def __init__(self, callback: Callable[[str, str, str, dict[str, Any], datetime], object]) -> None:
        if not callable(callback):
            raise TypeError(
                f"callback must be callable as (job_id, routine_id, output_type, data, timestamp), not {callback!r}"
            )
        self.callback = callback

    def handle(self, job_id: str, routine_id: str, output_type: str, data: dict[str, Any], timestamp: datetime) -> None:
        """Call the function."""
        self.callback(job_id, routine_id, output_type, data, timestamp)


class NullOutputHandler(OutputHandler):
    """Takes outputs and does nothing with them."""

    def handle(self, job_id: str, routine_id: str, output_type: str, data: dict[str, Any], timestamp: datetime) -> None:
        """Do nothing."""
