"""The state of one job, as users read it: one run of a flow, from `Flow.execute` to its final status."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from routilux import runtime as runtimes
from routilux.abc import Runtime
from routilux.engine.figures import Figures
from routilux.engine.journal import End, Journal, Note, counted
from routilux.exceptions import JobStatusError
from routilux.job_records import FINAL, DeferredEvent, ExecutionRecord, Lines, PendingTask
from routilux.output_handler import OutputHandler

if TYPE_CHECKING:
    from datetime import datetime
    from os import PathLike

    from routilux.engine.accounting import JobAccount
    from routilux.engine.activation import Item
    from routilux.flow import Flow
    from routilux.job_document import Kept

__all__ = ["FINAL", "DeferredEvent", "ExecutionRecord", "JobState", "PendingTask"]


def _moment(seconds: float) -> datetime:
    from datetime import UTC, datetime  # noqa: PLC0415 - a tenth of what importing routilux costs

    return datetime.fromtimestamp(seconds, UTC)


class _either:  # noqa: N801 - used as a decorator
    """A method that can be called on the class as well: it gets a fresh instance then."""

    def __init__(self, function: Callable[[JobState, Any], JobState]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: JobState | None, owner: type[JobState]) -> Callable[[Any], JobState]:
        return partial(self._function, owner() if instance is None else instance)


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
        pause_points: One dictionary for each `Flow.pause`: ``timestamp`` (UTC), ``reason``, ``checkpoint`` and
            ``current_routine_id``.
    """

    def __init__(
        self,
        flow_id: str = "",
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
        self.pause_points: list[dict[str, Any]] = []
        self.history_limit = history_limit
        self._lock = runtime.lock()
        self._clock = runtime
        self._wall_base = runtime.wall_time()
        self._clock_base = runtime.monotonic_ns()
        self._created = self._wall_base
        self._journal = Journal(runtime, history_limit)
        self._known: tuple[str, ...] = ()
        self._notes: dict[str, dict[str, Any]] = {}
        self._deferred: list[DeferredEvent] = []
        self._undeferred: list[DeferredEvent] = []
        self._outputs: deque[dict[str, Any]] = deque(maxlen=history_limit)
        self._sent = 0
        self._output_handler: OutputHandler | None = None
        self._account: JobAccount | None = None
        self._kept: Kept | None = None
        self._emitted_before = 0
        # Differs from what it was when anything has changed that a record of the job holds, but for lines.
        self.changes = 0
        self._entries = 1

    @property
    def created_at(self) -> datetime:
        """When the job was made, in UTC."""
        return _moment(self._created)

    @property
    def updated_at(self) -> datetime:
        """When something last happened in the job, in UTC."""
        return self._wall(self._journal.touched_ns())

    def _wall(self, monotonic_ns: int) -> datetime:
        seconds = self._wall_base + (monotonic_ns - self._clock_base) / 1e9
        return _moment(seconds)

    @property
    def events_emitted(self) -> int:
        """How many events the job's routines have emitted."""
        # Each event takes a number, and so does the entry; an event's further activations have numbers of their own.
        issued = self.next_number - 1 - self._entries
        return max(0, issued - counted(self._journal.repeats)) + self._emitted_before

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
        if self._account is None:
            return set()
        return {item[3].routine_id for item in self._account.running.copy().values()}

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
        records = map(self._record, self._journal.history())
        return [record for record in records if routine_id is None or record.routine_id == routine_id]

    def _record(self, row: Item | End | Note) -> ExecutionRecord:
        # What a row is, its head says; see `routilux.engine.journal`.
        if row[0] is None:
            return self._record_of_end(row)
        if isinstance(row[0], str):
            kind, at_ns, routine_id, name, data = row
            return ExecutionRecord(routine_id, name, dict(data), self._wall(at_ns), kind)
        _, at_ns, _, delivery, values, _ = row
        return ExecutionRecord(delivery.source, delivery.event, delivery.emitted(values), self._wall(at_ns))

    def _record_of_end(self, row: End) -> ExecutionRecord:
        _, item, at_ns, spent_ns, outcome, error, _ = row
        slot = item[3].target.slot.name
        data: dict[str, Any] = {"slot": slot, "attempt": item[5], "duration": spent_ns / 1e9}
        if error is not None:
            data["error"] = error
        return ExecutionRecord(item[3].routine_id, outcome, data, self._wall(at_ns), "activation")

    def record_execution(self, routine_id: str, event_name: str, data: dict[str, Any] | None = None) -> None:
        """Add a record of one's own to the history."""
        self._note("event", routine_id, event_name, dict(data or {}))

    def _note(self, kind: str, routine_id: str, name: str, data: dict[str, Any]) -> None:
        self._journal.write((kind, self._clock.monotonic_ns(), routine_id, name, data))

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
        self._touch_lines()

    def get_shared_log(self) -> list[dict[str, Any]]:
        """Copy the shared log."""
        with self._lock:
            return list(self.shared_log)

    # Outputs

    @property
    def output_log(self) -> list[dict[str, Any]]:
        """What was sent by `send_output`, the latest ``history_limit`` ones, oldest first; a copy.

        Each is a dictionary of ``timestamp`` (UTC), ``routine_id``, ``output_type`` and ``data``.
        """
        with self._lock:
            return list(self._outputs)

    def lines_after(self, outputs: int, entries: int) -> Lines:
        """What has been sent since so many outputs, and noted since so many entries of the shared log; for a record."""
        with self._lock:
            fresh = min(self._sent - outputs, len(self._outputs))
            latest = list(islice(reversed(self._outputs), fresh))[::-1]
            return Lines(self._sent, latest, len(self.shared_log), self.shared_log[entries:])

    def set_output_handler(self, handler: OutputHandler | None) -> None:
        """Hand outputs to ``handler`` from now on; None: only keep them in `output_log`.

        Raises:
            TypeError: It is not an OutputHandler.
        """
        if not isinstance(handler, OutputHandler | None):
            raise TypeError(f"an output handler must be an OutputHandler or None, not {handler!r}")
        self._output_handler = handler

    def send_output(self, routine_id: str, output_type: str, data: dict[str, Any]) -> None:
        """Keep an output, and hand it to the job's output handler; routines call `Routine.send_output`."""
        timestamp = self._wall(self._clock.monotonic_ns())
        entry = {"timestamp": timestamp, "routine_id": routine_id, "output_type": output_type, "data": dict(data)}
        with self._lock:
            self._outputs.append(entry)
            self._sent += 1
        self._touch_lines()
        handler = self._output_handler
        if handler is None:
            return
        try:
            handler.handle(self.job_id, routine_id, output_type, dict(data), timestamp)
        except Exception:
            import logging  # noqa: PLC0415 - only when something is wrong

            logging.getLogger("routilux").exception("output handler %r failed for %r", handler, self.job_id)

    # Stopped for a while

    @property
    def pending_tasks(self) -> list[PendingTask]:
        """What the job still has to run, in queue order, a copy; what runs just now is not among it.

        Of a paused job this is all there is: what was queued, what waits to be tried again, and what was emitted since.
        """
        if self._account is not None:
            from routilux.job_document import pending_of  # noqa: PLC0415 - only who looks needs it

            return pending_of(self._account)
        return [] if self._kept is None else list(self._kept.pending)

    @property
    def pause_reason(self) -> str:
        """Why the job was paused last; empty if it never was, or no reason was given."""
        return str(self.pause_points[-1]["reason"]) if self.pause_points else ""

    @property
    def cancel_reason(self) -> str:
        """Why the job was cancelled; empty if it was not, or no reason was given."""
        if self.status != "cancelled":
            return ""
        said = (str(record.data["reason"]) for record in reversed(self.execution_history) if _is_cancellation(record))
        return next(said, "")

    @property
    def deferred_events(self) -> list[DeferredEvent]:
        """Events that wait for the job to be resumed, a copy."""
        with self._lock:
            return [*self._undeferred, *self._deferred]

    def add_deferred_event(self, routine_id: str, event_name: str, data: dict[str, Any] | None = None) -> None:
        """Let an event of a routine be emitted when the job is resumed."""
        with self._lock:
            self._deferred.append(DeferredEvent(routine_id, event_name, dict(data or {})))
        self._touch()

    def take_deferred_event(self) -> DeferredEvent | None:
        """Hand one deferred event over, the first; it counts as deferred until it is forgotten. For the engine."""
        with self._lock:
            if not self._deferred:
                return None
            event = self._deferred.pop(0)
            self._undeferred.append(event)
            return event

    def forget_deferred_event(self, event: DeferredEvent) -> None:
        """An event that was handed over has been emitted. For the engine."""
        with self._lock:
            self._undeferred = [each for each in self._undeferred if each is not event]
            self.changes += 1

    def routine_notes(self) -> dict[str, dict[str, Any]]:
        """What was added to the states of routines, by id, with an entry for each that the job knows; a copy."""
        with self._lock:
            known = dict.fromkeys((*self._known, *self._notes))
            return {routine_id: dict(self._notes.get(routine_id, {})) for routine_id in known}

    def shared_snapshot(self) -> dict[str, Any]:
        """Copy the shared data."""
        with self._lock:
            return dict(self.shared_data)

    def take_over(
        self,
        *,
        status: str,
        created: float,
        current_routine_id: str | None,
        error: BaseException | None,
        notes: dict[str, dict[str, Any]],
        figures: dict[str, Figures],
        events_emitted: int,
        shared_data: dict[str, Any],
        shared_log: list[dict[str, Any]],
        pause_points: list[dict[str, Any]],
        outputs: list[dict[str, Any]],
        deferred: list[DeferredEvent],
        history: list[ExecutionRecord],
        kept: Kept,
    ) -> None:
        """Become what a document describes; for the reader of documents, which has checked it."""
        self.status = status
        self.error = error
        self._created = created
        self.current_routine_id = current_routine_id
        self._known = tuple(notes)
        self._notes = {routine_id: note for routine_id, note in notes.items() if note}
        self._journal.take_over(figures)
        self._emitted_before = events_emitted
        # What it does from now on is counted from here.
        self._entries = kept.next_number - 1
        self.shared_data = shared_data
        self.shared_log = shared_log
        self.pause_points = pause_points
        self._outputs.extend(outputs)
        self._sent = len(outputs)
        self._deferred = deferred
        for record in history:
            at_ns = self._clock_base + round((record.timestamp.timestamp() - self._wall_base) * 1e9)
            self._journal.write((record.kind, at_ns, record.routine_id, record.event_name, record.data))
        self._kept = kept

    def note_pause(self, reason: str, checkpoint: Any) -> None:
        """Become paused; for the engine."""
        now = self._wall(self._clock.monotonic_ns())
        self.pause_points.append(
            {
                "timestamp": now,
                "reason": reason,
                "checkpoint": checkpoint,
                "current_routine_id": self.current_routine_id,
            }
        )
        self._note("job", "", "paused", {"reason": reason})
        self.status = "paused"

    def note_resume(self) -> None:
        """Go on; for the engine."""
        self._note("job", "", "resumed", {})
        self.status = "running"

    def cancel_unstarted(self, reason: str) -> bool:
        """End a job that no flow runs, and record what it had outstanding as dropped; for `Flow.cancel`."""
        with self._lock:
            if self._account is not None or self.status in FINAL:
                return False
            dropped = [] if self._kept is None else self._kept.pending
            self._kept = None
            self.note_end("cancelled", reason)
            for task in dropped:
                record = {"slot": task.slot, "attempt": task.attempt, "duration": 0.0}
                self._note("activation", task.routine_id, "dropped", record)
            self.status = "cancelled"
        return True

    def go_over_to(self, account: JobAccount) -> bool:
        """Become the paused job of an account; False if it has one already, or has ended. For the engine."""
        with self._lock:
            if self._account is not None or self.status in FINAL:
                return False
            self.status = "paused"
            self._account = account
            return True

    def standing(self) -> tuple[JobAccount | None, Kept | None, str]:
        """Whose the job is, what it takes with it if it is nobody's, and its status, all at one moment."""
        with self._lock:
            return self._account, self._kept, self.status

    def go_back_from(self, account: JobAccount, status: str) -> None:
        """Be nobody's again, as it was before `go_over_to`. For the engine."""
        with self._lock:
            if self._account is account:
                self._account = None
                self.status = status

    def note_end(self, status: str, reason: str) -> None:
        """Note in the history how the job was ended from outside; for the engine."""
        if status == "cancelled":
            self._note("job", "", "cancelled", {"reason": reason})

    @property
    def next_number(self) -> int:
        """The number of the job's next activation."""
        if self._account is not None:
            return counted(self._account.numbers) + 1
        return 1 if self._kept is None else self._kept.next_number

    # Storing

    def serialize(self) -> dict[str, Any]:
        """Describe the job as plain JSON data, its outstanding activations included.

        A running job is held still for it: handlers that run are waited for, nothing starts meanwhile. A handler of
        the job itself is not waited for, but stands among what is still to be run.

        Raises:
            SerializationError: Something cannot be stored; the message names it.
        """
        from routilux.job_document import job_to_data  # noqa: PLC0415 - few jobs are stored

        return job_to_data(self)

    @_either
    def deserialize(self: JobState, data: Any) -> JobState:
        """Become the job that ``data`` describes, or make one: ``JobState.deserialize(data)``.

        `Flow.resume` lets it go on.

        Raises:
            SerializationError: ``data`` is not a job's description; the message says where. Nothing changes then.
            JobStatusError: This job is a flow's already.
        """
        from routilux.job_document import job_from_data  # noqa: PLC0415 - likewise

        return self._become(job_from_data(data))

    def save(self, path: str | PathLike[str]) -> None:
        """Store the job in a file: whole or not at all, so that whatever was there before stays until then.

        Raises:
            SerializationError: As for `serialize`.
            OSError: The file cannot be written.
        """
        from routilux.documents import write_document  # noqa: PLC0415 - likewise

        write_document(path, self.serialize())

    @_either
    def load(self: JobState, path: str | PathLike[str]) -> JobState:
        """Become the job that was saved in a file, or make one: ``JobState.load(path)``.

        Raises:
            SerializationError: The file does not hold a job. Nothing changes then.
            OSError: The file cannot be read.
            JobStatusError: This job is a flow's already.
        """
        from routilux.documents import read_document  # noqa: PLC0415 - likewise
        from routilux.job_document import job_from_data  # noqa: PLC0415 - likewise

        return self._become(job_from_data(read_document(path)))

    def _become(self, other: JobState) -> JobState:
        if self._account is not None:
            raise JobStatusError("read from a document", self.job_id, self.status, "a JobState that no flow runs")
        self.__dict__.update(other.__dict__)
        return self

    def _touch(self) -> None:
        self.changes += 1
        self._touch_lines()

    def _touch_lines(self) -> None:
        self._journal.touch(self._clock.monotonic_ns())
        account = self._account
        if account is not None and account.rested and account.ledger is not None:
            # Nothing of the job runs, at whose end it would be recorded.
            account.ledger.changed()

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


def _is_cancellation(record: ExecutionRecord) -> bool:
    return record.kind == "job" and record.event_name == "cancelled" and "reason" in record.data
