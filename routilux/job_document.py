"""Jobs as plain, versioned JSON data, and back; and the file that such a document is kept in.

Knows what a job consists of and what each part must look like in a document. Reading one makes a `JobState` that no
flow runs yet; `restore` puts it on the books of a flow, with all that it had outstanding. As for flows, nothing is
imported, evaluated or instantiated, and nothing changes unless all of the document is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux.engine import control
from routilux.engine.activation import EPOCH, Item
from routilux.engine.figures import Figures
from routilux.exceptions import RestoredError, SerializationError, brief
from routilux.job_state import FINAL, DeferredEvent, ExecutionRecord, JobState, PendingTask
from routilux.serialization import Reader, explaining, from_plain, to_plain

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.engine.core import Engine, Setup
    from routilux.engine.routing import Target
    from routilux.flow import Flow

__all__ = [
    "FORMAT",
    "VERSION",
    "GatheredData",
    "Kept",
    "describe_brief",
    "error_to_data",
    "job_from_data",
    "job_to_data",
    "pending_of",
    "pending_task",
    "restore",
    "time_left",
]

FORMAT = "routilux/job"
VERSION = 1
STATUSES = ("pending", "running", "paused", *FINAL)
STRATEGIES = ("concurrent", "sequential")
COUNTS = ("completed", "failed", "error_continued", "skipped", "retries", "calls", "total_ns", "min_ns", "max_ns")


class GatheredData(NamedTuple):
    """What a slot has gathered in a job."""

    routine_id: str
    slot: str
    data: dict[str, Any]


class Kept:
    """What a job that no flow runs has to take with it when one does.

    Args:
        pending: What it still has to run.
        gathered: What its slots have gathered.
        strategy: ``"sequential"`` or ``"concurrent"``; empty: as the flow has it.
        time_left: Seconds until it is failed, from its resumption on; None: never.
        next_number: Of its next activation.
    """

    def __init__(
        self,
        pending: Iterable[PendingTask] = (),
        gathered: Iterable[GatheredData] = (),
        strategy: str = "",
        time_left: float | None = None,
        next_number: int = 1,
    ) -> None:
        self.pending = list(pending)
        self.gathered = list(gathered)
        self.strategy = strategy
        self.time_left = time_left
        self.next_number = next_number


def kept_of(account: JobAccount) -> Kept:
    """What a job would have to take with it, as it stands; consistent while it is held still."""
    return Kept(
        pending_of(account, with_running=True),
        [
            GatheredData(target.node.routine_id, target.slot.name, gathered.value())
            for target, gathered in account.all_gathered().items()
        ],
        "sequential" if account.sequential else "concurrent",
        time_left(account),
        account.job.next_number,
    )


def time_left(account: JobAccount) -> float | None:
    """Seconds until a job is failed; None if it has no limit."""
    deadline, left_ns = account.deadline, account.left_ns
    if deadline is not None:
        left_ns = max(0, deadline.deadline_ns - account.engine.clock())
    return None if left_ns is None else left_ns / 1e9


def pending_of(account: JobAccount, *, with_running: bool = False) -> list[PendingTask]:
    """What a job still has to run, in queue order.

    Args:
        account: The job's.
        with_running: Also those whose handlers run, first: they would have to be run again.
    """
    now = account.engine.clock()
    wall = account.engine.runtime.wall_time()
    with account.lock:
        waiting = [*account.held.copy().values(), *account.queued.copy().values()]
        delayed = list(account.delayed.values())
        running = list(account.running.copy().values()) if with_running else []
    # On its way from one page to the next an activation is on both.
    moved = {item[0] % EPOCH for item in (*waiting, *(each.item for each in delayed))}
    running = [item for item in running if item[0] % EPOCH not in moved]
    tasks = [pending_task(item, None) for item in [*running, *waiting]]
    return tasks + [pending_task(each.item, wall + (each.due_ns - now) / 1e9) for each in delayed]


def pending_task(item: Item, due: float | None) -> PendingTask:
    """An activation as users and documents have it."""
    ticket, _, _, delivery, values, attempt = item
    target = delivery.target
    merged = target.merges and not delivery.merges
    data = delivery.data(values)
    return PendingTask(target.node.routine_id, target.slot.name, data, attempt, merged, due, ticket % EPOCH)


def restore(flow: Flow, engine: Engine, job: JobState, kept: Kept, setup: Setup) -> None:
    """Put a job that no flow runs on the books of ``flow``, paused.

    Raises:
        SerializationError: It has something outstanding, or gathered, for a routine or slot that the flow has not.
        FlowShutdownError: The flow was shut down.
    """

    def target(routine_id: str, slot_name: str) -> Target:
        node = engine.graph.nodes.get(routine_id)
        slot = None if node is None else node.routine.get_slot(slot_name)
        if node is None or slot is None:
            place = f"job {job.job_id!r}, outstanding for {routine_id!r}, slot {slot_name!r}"
            raise SerializationError(
                place, f"flow {flow.flow_id!r} has no such slot; resume the job in the flow it is of"
            )
        return node.target(slot)

    tasks = [(target(task.routine_id, task.slot), task) for task in kept.pending]
    gathered = [(target(each.routine_id, each.slot), each.data) for each in kept.gathered]
    for event in job.deferred_events:
        node = engine.graph.nodes.get(event.routine_id)
        if node is None or node.routine.get_event(event.event_name) is None:
            place = f"job {job.job_id!r}, deferred event {event.event_name!r} of {event.routine_id!r}"
            raise SerializationError(place, f"flow {flow.flow_id!r} has no such event")

    def put_back(account: JobAccount) -> list[Item]:
        for at, data in gathered:
            account.gathered(at).put_back(data)
        now, wall = engine.clock(), engine.runtime.wall_time()
        items: list[Item] = []
        for at, task in tasks:
            delivery = at.delivery(tuple(task.data), merged=task.merged)
            # A ticket that no other activation has, whatever numbers the document gives them.
            ticket = (len(items) + 1) * EPOCH + task.number
            item = (ticket, now, account, delivery, tuple(task.data.values()), task.attempt)
            items.append(item)
            if task.due is not None and task.due > wall:
                engine.put_back_delayed(account, item, task.due - wall)
            else:
                account.held[ticket] = item
        return items

    engine.restore(flow, job, setup, put_back)
    job._kept = None  # noqa: SLF001 - on the flow's books now


# To data


def job_to_data(job: JobState) -> dict[str, Any]:
    """Describe a job; see `JobState.serialize`."""
    account, kept, status = job.standing()
    while account is None:
        document = describe(job, kept or Kept())
        # Somebody may have cancelled or resumed it meanwhile, and half of the document would be from before that.
        before, (account, kept, status) = (kept, status), job.standing()
        if account is None and before == (kept, status):
            return document
    with control.held_still(account.engine, account):
        return _describe_held(job, account)


def _describe_held(job: JobState, account: JobAccount) -> dict[str, Any]:
    """Describe a job that is held still, but may be ended from outside all the same."""
    while True:
        document = describe(job, kept_of(account))
        if document["status"] in FINAL:
            # What is still on the books is being dropped, or is the handlers of a failed job that run to their end.
            document["pending"] = []
            return document
        if job.status not in FINAL:
            return document


def describe(job: JobState, kept: Kept) -> dict[str, Any]:
    """The document of a job that has ``kept`` outstanding."""
    place = f"job {job.job_id!r}"
    return {
        **describe_brief(job, kept.strategy, kept.time_left),
        "next_number": kept.next_number,
        "events_emitted": job.events_emitted,
        "shared_log": to_plain(job.get_shared_log(), f"{place}, shared_log"),
        "output_log": to_plain(job.output_log, f"{place}, output_log"),
        "figures": {rid: {name: getattr(f, name) for name in COUNTS} for rid, f in job.figures().items()},
        "pending": [
            task_to_data(task, f"{place}, outstanding for routine {task.routine_id!r}") for task in kept.pending
        ],
        "gathered": [
            {
                "routine": each.routine_id,
                "slot": each.slot,
                "data": to_plain(each.data, f"{place}, gathered by routine {each.routine_id!r}, slot {each.slot!r}"),
            }
            for each in kept.gathered
        ],
        "history": [_record_to_data(record, place) for record in job.execution_history],
    }


def describe_brief(job: JobState, strategy: str, time_left: float | None) -> dict[str, Any]:
    """What there is to a job beside its activations, what is counted of them, and what grows line by line."""
    place = f"job {job.job_id!r}"
    return {
        "format": FORMAT,
        "version": VERSION,
        "flow_id": job.flow_id,
        "job_id": job.job_id,
        "status": job.status,
        "history_limit": job.history_limit,
        "execution_strategy": strategy,
        "time_left": time_left,
        "created_at": job.created_at.isoformat(),
        "current_routine_id": job.current_routine_id,
        "error": error_to_data(job.error),
        "routines": {rid: to_plain(note, f"{place}, routine {rid!r}") for rid, note in job.routine_notes().items()},
        "shared_data": to_plain(job.shared_snapshot(), f"{place}, shared_data"),
        "pause_points": to_plain(job.pause_points, f"{place}, pause_points"),
        "deferred_events": [
            {
                "routine": event.routine_id,
                "event": event.event_name,
                "data": to_plain(event.data, f"{place}, deferred event {event.event_name!r} of {event.routine_id!r}"),
            }
            for event in job.deferred_events
        ],
    }


def task_to_data(task: PendingTask, place: str) -> dict[str, Any]:
    """Describe an outstanding activation."""
    return {
        "routine": task.routine_id,
        "slot": task.slot,
        "data": to_plain(task.data, f"{place}, slot {task.slot!r}"),
        "attempt": task.attempt,
        "merged": task.merged,
        "due": task.due,
        "number": task.number,
    }


def _record_to_data(record: ExecutionRecord, place: str) -> dict[str, Any]:
    where = f"{place}, history of routine {record.routine_id!r}, {record.event_name!r}"
    return {
        "routine": record.routine_id,
        "name": record.event_name,
        "data": to_plain(record.data, where),
        "timestamp": record.timestamp.isoformat(),
        "kind": record.kind,
    }


def error_to_data(error: BaseException | None) -> dict[str, str] | None:
    """Describe what failed a job: exceptions themselves are not stored."""
    if error is None:
        return None
    if isinstance(error, RestoredError):
        return {"type": error.kind, "message": error.message, "traceback": error.traceback}
    import traceback  # noqa: PLC0415 - only for jobs that failed

    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot word itself is still to be stored
        message = "(no message: its __str__ failed)"
    lines = "".join(traceback.format_exception(error))
    return {"type": type(error).__name__, "message": message, "traceback": lines}


# From data


def job_from_data(data: Any) -> JobState:
    """Make the job that a document describes.

    Raises:
        SerializationError: It describes none; the message says where.
    """
    with explaining("the document"):
        return _job_from(Reader(data, "the document"))


def _job_from(document: Reader) -> JobState:
    document.header(FORMAT, VERSION)
    job = JobState(document.take("flow_id", str), document.name("job_id"), _count(document, "history_limit", 1))
    status = document.one_of("status", STATUSES)
    strategy = document.one_of("execution_strategy", ("", *STRATEGIES))
    created = _timestamp(document, "created_at")
    kept = Kept(
        [_task(each, f"outstanding activation {i}") for i, each in enumerate(document.take("pending", list))],
        [_gathered(each, f"gathered data {i}") for i, each in enumerate(document.take("gathered", list))],
        strategy,
        _seconds(document, "time_left"),
        _count(document, "next_number", 1),
    )
    _check_pending(kept, status)
    job.take_over(
        status=status,
        created=created.timestamp(),
        current_routine_id=document.take("current_routine_id", str | None),
        error=_error(document),
        notes=_notes(document),
        figures=_figures(document),
        events_emitted=_count(document, "events_emitted", 0),
        shared_data=_plain(document, "shared_data", dict),
        shared_log=_plain(document, "shared_log", list),
        pause_points=_pause_points(document),
        outputs=_outputs(document),
        deferred=[
            _deferred(each, f"deferred event {i}") for i, each in enumerate(document.take("deferred_events", list))
        ],
        history=[_record(each, f"history record {i}") for i, each in enumerate(document.take("history", list))],
        kept=kept,
    )
    document.finish()
    return job


def _check_pending(kept: Kept, status: str) -> None:
    if status in FINAL and kept.pending:
        raise SerializationError("the document, 'pending'", f"must be empty, as the job has {status}")
    numbers: set[int] = set()
    for index, task in enumerate(kept.pending):
        if task.number in numbers or task.number >= kept.next_number:
            raise SerializationError(
                f"outstanding activation {index}, 'number'",
                f"must be another for each, below 'next_number' ({kept.next_number}), not {task.number}",
            )
        numbers.add(task.number)


def _plain(reader: Reader, key: str, kind: Any) -> Any:
    value = from_plain(reader.take(key, kind), f"{reader.place}, {key!r}")
    if not isinstance(value, kind):
        raise SerializationError(f"{reader.place}, {key!r}", f"must be plain, not {brief(value)}")
    return value


def _count(reader: Reader, key: str, least: int) -> int:
    value: int = reader.take(key, int)
    if not least <= value < EPOCH:
        raise SerializationError(
            f"{reader.place}, {key!r}", f"must be from {least} up, below 2**40, not {brief(value)}"
        )
    return value


def _seconds(reader: Reader, key: str) -> float | None:
    value = reader.take(key, int | float | None)
    if value is not None and not 0 <= value < 1e12:
        raise SerializationError(f"{reader.place}, {key!r}", f"must be seconds from 0 up or null, not {brief(value)}")
    return None if value is None else float(value)


def _timestamp(reader: Reader, key: str) -> datetime:
    text = reader.take(key, str)
    with reader.explaining(key):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(f"{brief(text)} lacks its offset from UTC")
        moment = moment.astimezone(UTC)
        if not 1970 <= moment.year <= 9998:
            raise ValueError(f"{brief(text)} is not between the years 1970 and 9998")
    return moment


def task_from_data(data: Any, place: str) -> PendingTask:
    """Read an outstanding activation.

    Raises:
        SerializationError: ``data`` describes none.
    """
    reader = Reader(data, place)
    task = PendingTask(
        reader.take("routine", str),
        reader.take("slot", str),
        _plain(reader, "data", dict),
        _count(reader, "attempt", 1),
        reader.take("merged", bool),
        _seconds(reader, "due"),
        _count(reader, "number", 1),
    )
    reader.finish()
    return task


_task = task_from_data


def _gathered(data: Any, place: str) -> GatheredData:
    reader = Reader(data, place)
    gathered = GatheredData(reader.take("routine", str), reader.take("slot", str), _plain(reader, "data", dict))
    reader.finish()
    return gathered


def _deferred(data: Any, place: str) -> DeferredEvent:
    reader = Reader(data, place)
    event = DeferredEvent(reader.take("routine", str), reader.take("event", str), _plain(reader, "data", dict))
    reader.finish()
    return event


def _record(data: Any, place: str) -> ExecutionRecord:
    reader = Reader(data, place)
    record = ExecutionRecord(
        reader.take("routine", str),
        reader.take("name", str),
        _plain(reader, "data", dict),
        _timestamp(reader, "timestamp"),
        reader.one_of("kind", ("event", "activation", "job")),
    )
    reader.finish()
    return record


def _error(document: Reader) -> RestoredError | None:
    data = document.take("error", dict | None)
    if data is None:
        return None
    reader = Reader(data, "the document, 'error'")
    error = RestoredError(*(reader.take(key, str) for key in ("type", "message", "traceback")))
    reader.finish()
    return error


def _notes(document: Reader) -> dict[str, dict[str, Any]]:
    notes = _plain(document, "routines", dict)
    for routine_id, note in notes.items():
        if not isinstance(note, dict):
            raise SerializationError(
                f"the document, 'routines', {routine_id!r}", f"must be an object, not {brief(note)}"
            )
    return dict(notes)


def _figures(document: Reader) -> dict[str, Figures]:
    table: dict[str, Figures] = {}
    for routine_id, data in document.take("figures", dict).items():
        reader = Reader(data, f"the document, 'figures', {brief(routine_id)}")
        table[str(routine_id)] = figures = Figures()
        for name in COUNTS:
            count = reader.take(name, int)
            if not 0 <= count < 2**63:
                raise SerializationError(f"{reader.place}, {name!r}", f"must be from 0 up, not {brief(count)}")
            setattr(figures, name, count)
        reader.finish()
    return table


def _dictionaries(document: Reader, key: str, keys: dict[str, Any]) -> list[dict[str, Any]]:
    entries = _plain(document, key, list)
    for index, entry in enumerate(entries):
        reader = Reader(entry, f"the document, {key!r}, {index}")
        for name, kind in keys.items():
            reader.take(name, kind)
        reader.finish()
    return list(entries)


def _pause_points(document: Reader) -> list[dict[str, Any]]:
    keys = {"timestamp": datetime, "reason": str, "checkpoint": object, "current_routine_id": str | None}
    return _dictionaries(document, "pause_points", keys)


def _outputs(document: Reader) -> list[dict[str, Any]]:
    keys = {"timestamp": datetime, "routine_id": str, "output_type": str, "data": dict}
    return _dictionaries(document, "output_log", keys)
