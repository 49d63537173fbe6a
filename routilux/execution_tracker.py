"""Performance figures of a flow, over all its jobs or for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from routilux import runtime as runtimes
from routilux.abc import Lock, Runtime
from routilux.engine.figures import ENDS, Figures
from routilux.job_state import JobState

__all__ = ["ExecutionTracker"]


class ExecutionTracker:
    """Counts and times what a flow's routines do.

    The engine keeps figures per job; the tracker adds them up when asked, and keeps the sum of jobs that have ended.
    Nothing is stored per activation. ``record_*`` are for work that the engine does not see.

    Args:
        flow_id: The flow it belongs to.
        max_records: How many hand-made event records are kept.
    """

    def __init__(self, flow_id: str = "", max_records: int = 1000) -> None:
        self.flow_id = flow_id
        self.event_flow: deque[dict[str, Any]] = deque(maxlen=max_records)
        self._lock: Lock
        self._clock: Runtime
        self.move_to(runtimes.current())
        self._ended: dict[str, Figures] = {}
        self._ended_events = 0
        self._open: dict[str, list[int]] = {}
        self._live: dict[str, JobState] = {}

    def move_to(self, runtime: Runtime) -> None:
        """Take locks and time from ``runtime``: called when the flow first executes in a world."""
        self._lock = runtime.lock()
        self._clock = runtime

    def job_started(self, job: JobState) -> None:
        """Take a job's figures into account while it runs."""
        with self._lock:
            self._live[job.job_id] = job

    def job_ended(self, job: JobState) -> None:
        """Fold a job's final figures into the sum."""
        with self._lock:
            if self._live.pop(job.job_id, None) is None:
                return
            self._ended_events += job.events_emitted
            for routine_id, figures in job.figures().items():
                self._ended.setdefault(routine_id, Figures()).add(figures)

    def record_routine_start(self, routine_id: str, params: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note that work of ``routine_id``, which the engine does not see, begins."""
        with self._lock:
            self._open.setdefault(routine_id, []).append(self._clock.monotonic_ns())

    def record_routine_end(
        self,
        routine_id: str,
        status: str = "completed",
        result: Any = None,  # noqa: ARG002 - accepted for callers of the public library; figures hold no results
        error: BaseException | str | None = None,  # noqa: ARG002
    ) -> None:
        """Note that the work begun last for ``routine_id`` has ended.

        Raises:
            ValueError: None was begun, or ``status`` is not an end state.
        """
        if status not in ENDS:
            raise ValueError(f"status must be one of {', '.join(ENDS)}, not {status!r}")
        with self._lock:
            starts = self._open.get(routine_id)
            if not starts:
                raise ValueError(f"no record_routine_start({routine_id!r}) is open")
            figures = self._ended.setdefault(routine_id, Figures())
            figures.spend([self._clock.monotonic_ns() - starts.pop()])
            figures.completed -= 1
            figures.end(status)

    def record_event(
        self,
        source_routine_id: str,
        event_name: str,
        target_routine_id: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Note an event that the engine does not see."""
        with self._lock:
            self._ended_events += 1
            self.event_flow.append(
                {
                    "source_routine_id": source_routine_id,
                    "event_name": event_name,
                    "target_routine_id": target_routine_id,
                    "data": dict(data or {}),
                }
            )

    def get_routine_performance(self, routine_id: str, job_state: JobState | None = None) -> dict[str, Any] | None:
        """Figures of one routine; None if it has not run.

        Args:
            routine_id: The routine.
            job_state: Count only this job; otherwise all of the flow's, running ones included.

        Returns:
            ``total_executions, completed, failed, error_continued, skipped, retries, success_rate`` and
            ``avg_execution_time, min_execution_time, max_execution_time, total_execution_time`` in seconds.
        """
        figures = self._sum(job_state).get(routine_id)
        return None if figures is None or not figures.calls else _performance(figures)

    def get_flow_performance(self, job_state: JobState | None = None) -> dict[str, Any]:
        """Figures of the whole flow, or of one of its jobs.

        Returns:
            ``total_routines`` (that ran), ``total_events`` (emitted), ``total_executions``, and in seconds
            ``total_execution_time`` (spent in handlers) and ``avg_routine_time`` (of that, a routine).
        """
        figures = [item for item in self._sum(job_state).values() if item.calls]
        total = sum(item.total_ns for item in figures) / 1e9
        return {
            "total_routines": len(figures),
            "total_events": self._events(job_state),
            "total_executions": sum(item.ended for item in figures),
            "total_execution_time": total,
            "avg_routine_time": total / len(figures) if figures else 0.0,
        }

    def _events(self, job: JobState | None) -> int:
        if job is not None:
            return job.events_emitted
        with self._lock:
            return self._ended_events + sum(live.events_emitted for live in self._live.values())

    def _sum(self, job: JobState | None) -> dict[str, Figures]:
        if job is not None:
            return job.figures()
        total: dict[str, Figures] = {}
        with self._lock:
            parts: Iterable[dict[str, Figures]] = [
                self._ended,
                *(live.figures() for live in self._live.values()),
            ]
            for part in parts:
                for routine_id, figures in part.items():
                    total.setdefault(routine_id, Figures()).add(figures)
        return total


def _performance(figures: Figures) -> dict[str, Any]:
    ended = figures.ended
    return {
        "total_executions": ended,
        "completed": figures.completed,
        "failed": figures.failed,
        "error_continued": figures.error_continued,
        "skipped": figures.skipped,
        "retries": figures.retries,
        "success_rate": figures.completed / ended if ended else 0.0,
        "avg_execution_time": figures.total_ns / figures.calls / 1e9,
        "min_execution_time": figures.min_ns / 1e9,
        "max_execution_time": figures.max_ns / 1e9,
        "total_execution_time": figures.total_ns / 1e9,
    }
