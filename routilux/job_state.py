"""The state of one job, as users read it: one run of a flow, from `Flow.execute` to its final status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux import runtime as runtimes
from routilux.abc import Runtime
from routilux.engine.figures import Figures
from routilux.engine.journal import Journal, Row

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.flow import Flow

__all__ = ["ExecutionRecord", "JobState"]


class ExecutionRecord(NamedTuple):
    """One line of a job's history.

    Attributes:
        routine_id: Whose doing it was.
        event_name: The event emitted; for ``kind == "activation"`` what became of the activation: ``completed``,
            ``failed``, ``error_continued``, ``skipped``, ``retry``, ``dropped`` (it never ran) or ``late`` (it ended
            after the job's deadline).
        data: What the event carried; for an activation ``slot``, ``attempt``, ``duration`` (seconds) and, after an
            error, ``error``.
        timestamp: When, on the wall clock, in UTC.
        kind: ``"event"`` or ``"activation"``.
    """

    routine_id: str
    event_name: str
    data: dict[str, Any]
    timestamp: datetime
    kind: str = "event"


class JobState:
    """What one job has done so far, and what handlers share within it.

    Flows make these. The engine alone moves ``status`` (pending, running, paused, completed, failed, cancelled), and
    only forward: a final status never changes.

    Args:
        flow_id: The flow that the job runs.
        job_id: Made up when not given.
        history_limit: How many records of history are kept, the latest ones; at least 1.
        runtime: Where clocks, ids and locks come from; that of the calling thread's world by default.

    Attributes:
        error: The exception that failed the job, with its traceback; else None.
        current_routine_id: The routine whose handler started last.
        shared_data, shared_log: What handlers share; see `update_shared_data` and `append_to_shared_log`.
    """

    def __init__(
        self,
        flow_id: str,
        job_id: str | None = None,
        history_limit: int = 10_000,
        runtime: Runtime | None = None,
    ) -> None:
        runtime = runtime or runtimes.current()
        self.flow_id = flow_id
        self.job_id = job_id or runtime.new_id("job")
        self.status = "pending"
        self.error: BaseException | None = None
        self.current_routine_id: str | None = None
        self.shared_data: dict[str, Any] = {}
        self.shared_log: list[dict[str, Any]] = []
        self._lock = runtime.lock()
        self._clock = runtime
        self._wall_base = runtime.wall_time()
        self._clock_base = runtime.monotonic_ns()
        self._journal = Journal(runtime, history_limit)
        self._known: tuple[str, ...] = ()
        self._notes: dict[str, dict[str, Any]] = {}
        self._account: JobAccount | None = None

    @property
    def created_at(self) -> datetime:
        """When the job was made, in UTC."""
        return self._wall(self._clock_base)

    @property
    def updated_at(self) -> datetime:
        """When something last happened in the job, in UTC."""
        return self._wall(self._journal.touched_ns())

    def _wall(self, monotonic_ns: int) -> datetime:
        seconds = self._wall_base + (monotonic_ns - self._clock_base) / 1e9
        return datetime.fromtimestamp(seconds, UTC)

    @property
    def events_emitted(self) -> int:
        """How many events the job's routines have emitted."""
        return self._journal.events()

    @property
    def routine_states(self) -> dict[str, dict[str, Any]]:
        """State of every routine of the flow by id, a copy; see `get_routine_state`."""
        figures = self.figures()
        running = self._running()
        with self._lock:
            known = dict.fromkeys((*self._known, *figures, *self._notes))
            return {rid: self._state(rid, figures, running) for rid in known}

    def get_routine_state(self, routine_id: str) -> dict[str, Any] | None:
        """Copy what is known of one routine: ``status``, and whatever was added by `update_routine_state`.

        ``status`` is ``running`` while a handler runs, else the gravest end that one of its activations had: failed,
        error_continued, skipped, completed; ``pending`` before. None for a routine that the job does not know.
        """
        return self.routine_states.get(routine_id)

    def _state(self, routine_id: str, figures: dict[str, Figures], running: set[str]) -> dict[str, Any]:
        status = figures[routine_id].status if routine_id in figures else "pending"
        if routine_id in running:
            status = "running"
        return {"status": status, **self._notes.get(routine_id, {})}

    def _running(self) -> set[str]:
        return set() if self._account is None else {a.routine_id for a in self._account.running()}

    def update_routine_state(self, routine_id: str, state: dict[str, Any]) -> None:
        """Add ``state`` to what is known of a routine."""
        with self._lock:
            self._notes.setdefault(routine_id, {}).update(state)
        self._touch()

    def figures(self) -> dict[str, Figures]:
        """Counts and durations by routine id, a snapshot."""
        return self._journal.figures()

    @property
    def execution_history(self) -> list[ExecutionRecord]:
        """The records kept, oldest first, a copy."""
        return self.get_execution_history()

    def get_execution_history(self, routine_id: str | None = None) -> list[ExecutionRecord]:
        """The records kept, oldest first: all, or one routine's."""
        rows = self._journal.history()
        return [self._record(row) for row in rows if routine_id is None or row[3] == routine_id]

    def _record(self, row: Row) -> ExecutionRecord:
        _, at_ns, kind, routine_id, name, rest = row
        if kind == "activation":
            slot, attempt, duration_ns, error = rest[:4]
            data = {"slot": slot, "attempt": attempt, "duration": duration_ns / 1e9}
            if error is not None:
                data["error"] = error
        else:
            data = dict(rest)
        return ExecutionRecord(routine_id, name, data, self._wall(at_ns), kind)

    def record_execution(self, routine_id: str, event_name: str, data: dict[str, Any] | None = None) -> None:
        """Add a record of one's own to the history."""
        journal = self._journal
        row = (next(journal.order), self._clock.monotonic_ns(), "event", routine_id, event_name, dict(data or {}))
        journal.write_event(row)

    def update_shared_data(self, key: str, value: Any) -> None:
        """Set one value that all handlers of the job may read."""
        with self._lock:
            self.shared_data[key] = value
        self._touch()

    def get_shared_data(self, key: str, default: Any = None) -> Any:
        """Read one shared value."""
        with self._lock:
            return self.shared_data.get(key, default)

    def append_to_shared_log(self, entry: dict[str, Any]) -> None:
        """Append to the log that all handlers of the job may read."""
        with self._lock:
            self.shared_log.append(entry)
        self._touch()

    def get_shared_log(self) -> list[dict[str, Any]]:
        """Copy the shared log."""
        with self._lock:
            return list(self.shared_log)

    def _touch(self) -> None:
        self._journal.touch(self._clock.monotonic_ns())

    @staticmethod
    def wait_for_completion(
        flow: Flow,
        job_state: JobState,
        timeout: float | None = None,
        stability_checks: int | None = None,  # noqa: ARG004 - accepted and unused: nothing polls
        check_interval: float | None = None,  # noqa: ARG004
        stability_delay: float | None = None,  # noqa: ARG004
        progress_callback: Callable[[int, int, str], object] | None = None,
    ) -> bool:
        """Wait until nothing of the job is queued, running or waiting to be retried.

        Args:
            flow: The flow that runs the job.
            job_state: What ``flow.execute`` returned.
            timeout: Seconds to wait at most; None: as long as it takes.
            stability_checks: Accepted and unused, like the next two: the engine says when the job has ended.
            check_interval: Unused.
            stability_delay: Unused.
            progress_callback: Called as ``(queued, running, status)`` before waiting, whenever activations have ended,
                and at the end.

        Returns:
            True when nothing of the job is left; False when the time ran out first.

        Raises:
            ValueError: The job is not one of this flow's, or the timeout is negative.
            RuntimeError: Called by a handler of the very job, which could never end.
        """
        return flow.wait_for(job_state, timeout, progress_callback)

    def __repr__(self) -> str:
        return f"<JobState {self.job_id} of {self.flow_id!r}: {self.status}>"
