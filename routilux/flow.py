"""A workflow: routines, the connections between them, and how jobs of it are run."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self

from routilux import serialization
from routilux.abc import Runtime, Scheduler
from routilux.connection import Connection
from routilux.engine.core import Engine, Setup
from routilux.engine.routing import Graph, Route
from routilux.engine.waiting import Progress
from routilux.error_handler import ErrorHandler
from routilux.event import Event
from routilux.exceptions import DuplicateNameError, JobStatusError, UnknownNameError
from routilux.execution_tracker import ExecutionTracker
from routilux.job_state import FINAL, JobState
from routilux.output_handler import OutputHandler
from routilux.routine import Routine, check_error_handler
from routilux.schedulers.thread_pool import ThreadPoolScheduler
from routilux.slot import Slot

__all__ = ["Flow"]

STRATEGIES = ("concurrent", "sequential")
ENTRY_SLOT = "trigger"


class Flow:
    """Routines wired into a workflow, and the means to run it.

    Args:
        flow_id: Made up when not given.
        execution_strategy: ``"sequential"``: `execute` runs a job to its end in the calling thread, one activation at a
            time, in queue order. ``"concurrent"``: it returns at once, and up to ``max_workers`` activations run at a
            time.
        max_workers: The most activations that a concurrent flow runs at a time.
        execution_timeout: Seconds after which a job is failed with TimeoutError; None: never.
        scheduler: Where activations run; a thread pool when not given.
        instruments: Listeners, see `routilux.abc.Instrument`.
        history_limit: How many records of a job's history are kept, the latest ones.
        max_pending: How many activations may be queued, over all jobs: `execute` waits for room, and a handler that
            emits more gets QueueFullError. None: any number.

    Raises:
        ValueError: An unknown strategy, or a figure out of range.
    """

    def __init__(
        self,
        flow_id: str | None = None,
        execution_strategy: str = "sequential",
        max_workers: int = 5,
        execution_timeout: float | None = 300.0,
        scheduler: Scheduler | None = None,
        instruments: Iterable[object] = (),
        history_limit: int = 10_000,
        max_pending: int | None = None,
    ) -> None:
        self._strategy = _strategy(execution_strategy)
        self._configured_workers = _count("max_workers", max_workers)
        self.history_limit = _count("history_limit", history_limit)
        self._max_pending = None if max_pending is None else _count("max_pending", max_pending)
        self.execution_timeout = _seconds("execution_timeout", execution_timeout)
        if scheduler is not None and not isinstance(scheduler, Scheduler):
            raise TypeError(f"scheduler must be a routilux.abc.Scheduler, not {scheduler!r}")
        self._scheduler = scheduler or ThreadPoolScheduler()
        if not isinstance(flow_id, str | None):
            raise TypeError(f"flow_id must be a string or None, not {flow_id!r}")
        self.flow_id = flow_id or self._scheduler.runtime.new_id("flow")
        self._instruments = tuple(instruments)
        self._error_handler: ErrorHandler | None = None
        self._graph = Graph()
        self._connections: dict[tuple[str, str, str, str], Connection] = {}
        self._engine: Engine | None = None
        self._engines: dict[Runtime, Engine] = {}
        self.execution_tracker = ExecutionTracker(self.flow_id)

    # Wiring

    @property
    def routines(self) -> RoutineTable:
        """Routines by id. Assigning to an id replaces the routine there and keeps its connections."""
        return RoutineTable(self)

    @property
    def connections(self) -> list[Connection]:
        """All connections, in the order in which they were made."""
        return list(self._connections.values())

    def add_routine(self, routine: Routine, routine_id: str | None = None) -> str:
        """Put a routine into the flow and return its id, made up from its class when not given.

        Raises:
            TypeError: Not a Routine.
            ValueError: The id is taken, or the routine is in the flow already.
        """
        if routine_id is None:
            base = type(routine).__name__.lower()
            routine_id = base
            count = 1
            while routine_id in self._graph.nodes:
                count += 1
                routine_id = f"{base}_{count}"
        elif routine_id in self._graph.nodes:
            raise DuplicateNameError(f"flow {self.flow_id!r} has a routine {routine_id!r} already; choose another id")
        self._place(routine_id, routine)
        return routine_id

    def connect(
        self,
        source: str,
        event: str,
        target: str,
        slot: str,
        param_mapping: Mapping[str, str] | None = None,
    ) -> Connection:
        """Send what routine ``source`` emits as ``event`` to ``slot`` of routine ``target``.

        Args:
            source: Id of the emitting routine.
            event: One of its events.
            target: Id of the receiving routine.
            slot: One of its slots.
            param_mapping: ``{name in the event: name in the slot}`` for data to rename.

        Raises:
            ValueError: An unknown routine, event or slot; or the two are connected already.
        """
        connection = Connection(source, event, target, slot, param_mapping)
        if connection.key in self._connections:
            raise DuplicateNameError(f"{source}.{event} and {target}.{slot} are connected already in {self!r}")
        emitted, receiver = self._ends(connection)
        self._connections[connection.key] = connection
        self._route(source, event)
        emitted.connect(receiver, connection.param_mapping)
        return connection

    def _ends(self, connection: Connection) -> tuple[Event, Slot]:
        """The event and the slot that a connection names."""
        source, target = self._node(connection.source_id).routine, self._node(connection.target_id).routine
        event = source.get_event(connection.event)
        if event is None:
            raise UnknownNameError(
                "event", connection.event, source.events, f"routine {connection.source_id!r}", f"for {connection}"
            )
        slot = target.get_slot(connection.slot)
        if slot is None:
            raise UnknownNameError(
                "slot", connection.slot, target.slots, f"routine {connection.target_id!r}", f"for {connection}"
            )
        return event, slot

    def _route(self, source_id: str, event: str) -> None:
        """Put the connections of an event where emits find them, in one step: an emit sees all, or all as before."""
        nodes = self._graph.nodes
        nodes[source_id].route(
            event,
            [
                Route(nodes[c.target_id].target(self._ends(c)[1]), c.param_mapping)
                for c in self._connections.values()
                if (c.source_id, c.event) == (source_id, event)
            ],
        )

    def check_slot(self, routine_id: str, slot_name: str, hint: str = "") -> Slot:
        """Return a routine's slot.

        Raises:
            UnknownNameError: There is no such routine, or it has no such slot; ``hint`` says what to do then.
        """
        routine: Routine = self._node(routine_id).routine
        slot = routine.get_slot(slot_name)
        if slot is None:
            raise UnknownNameError("slot", slot_name, routine.slots, f"routine {routine_id!r}", hint)
        return slot

    def _node(self, routine_id: str) -> Any:
        try:
            return self._graph.nodes[routine_id]
        except (KeyError, TypeError):
            raise UnknownNameError(
                "routine",
                routine_id,
                self._graph.nodes,
                f"flow {self.flow_id!r}",
                "add it with add_routine()",
            ) from None

    def _place(self, routine_id: str, routine: Routine) -> None:
        """Put ``routine`` at ``routine_id`` and route its connections anew; change nothing if they do not fit."""
        if not isinstance(routine, Routine):
            raise TypeError(f"a flow holds Routine objects, not {routine!r}")
        if not isinstance(routine_id, str) or not routine_id:
            raise ValueError(f"a routine's id must be a non-empty string, not {routine_id!r}")
        existing = self._graph.node_of(routine)
        if existing is not None:
            if existing.routine_id == routine_id:
                return
            raise DuplicateNameError(f"{routine!r} is in flow {self.flow_id!r} already, as {existing.routine_id!r}")
        touching = [c for c in self._connections.values() if routine_id in (c.source_id, c.target_id)]
        for connection in touching:
            if connection.source_id == routine_id and routine.get_event(connection.event) is None:
                raise UnknownNameError(
                    "event", connection.event, routine.events, repr(routine), f"{connection} needs it"
                )
            if connection.target_id == routine_id and routine.get_slot(connection.slot) is None:
                raise UnknownNameError("slot", connection.slot, routine.slots, repr(routine), f"{connection} needs it")
        before = [self._ends(connection) for connection in touching]
        self._graph.place(routine_id, routine)
        for connection, (old_event, old_slot) in zip(touching, before, strict=True):
            event, slot = self._ends(connection)
            self._route(connection.source_id, connection.event)
            if event is old_event:
                event.replace(old_slot, slot)
            else:
                old_event.disconnect(old_slot)
                event.connect(slot, connection.param_mapping)

    # Running

    @property
    def execution_strategy(self) -> str:
        """``"sequential"`` or ``"concurrent"``: how `execute` runs jobs."""
        return self._strategy

    @property
    def max_workers(self) -> int:
        """The most activations that run at a time: 1 unless the strategy is concurrent."""
        return self._configured_workers if self._strategy == "concurrent" else 1

    @property
    def configured_workers(self) -> int:
        """What ``max_workers`` is whenever the strategy is concurrent."""
        return self._configured_workers

    @property
    def max_pending(self) -> int | None:
        """How many activations may be queued, over all jobs; None: any number."""
        return self._max_pending

    @property
    def error_handler(self) -> ErrorHandler | None:
        """The handler for routines that have none of their own."""
        return self._error_handler

    def set_error_handler(self, error_handler: ErrorHandler | None) -> None:
        """Handle errors of routines that have no handler of their own by ``error_handler``; None: STOP."""
        self._error_handler = check_error_handler(error_handler)
        if self._engine is not None:
            self._engine.error_handler = self._error_handler

    def add_instrument(self, instrument: object) -> None:
        """Let ``instrument`` hear what happens in jobs that begin from now on; see `routilux.abc.Instrument`."""
        self._instruments = (*self._instruments, instrument)

    def set_execution_strategy(self, strategy: str, max_workers: int | None = None) -> None:
        """Change how jobs are run.

        Jobs under way keep every task: concurrent ones go on with ``max_workers`` at a time from now on (one, if the
        strategy is sequential now).

        Raises:
            ValueError: An unknown strategy, or ``max_workers`` is not a number from 1 up. Nothing changes then.
        """
        workers = self._configured_workers if max_workers is None else _count("max_workers", max_workers)
        self._strategy = _strategy(strategy)
        self._configured_workers = workers
        if self._engine is not None:
            self._scheduler.enter(self._engine.resize, self.max_workers)

    def execute(
        self,
        entry_routine_id: str,
        entry_params: Mapping[str, Any] | None = None,
        execution_strategy: str | None = None,
        timeout: float | None = None,
        output_handler: OutputHandler | None = None,
    ) -> JobState:
        """Run a job, beginning with the slot ``trigger`` of a routine.

        Args:
            entry_routine_id: Where to begin.
            entry_params: What that slot's handler gets.
            execution_strategy: For this job alone, instead of the flow's.
            timeout: Seconds after which the job is failed, instead of the flow's ``execution_timeout``.
            output_handler: Receives what the job's routines send, from the beginning.

        Returns:
            The job's state: final after a sequential run, ``running`` at the start of a concurrent one.

        Raises:
            ValueError: An unknown routine or strategy, or the routine has no slot ``trigger``.
            FlowShutdownError: The flow was shut down.
            QueueFullError: Called by a handler while ``max_pending`` activations are queued.
            BaseException: A sequential handler raised something that is no ``Exception``, such as KeyboardInterrupt;
                the job has failed with it.
        """
        hint = f"an entry routine takes its parameters in define_slot({ENTRY_SLOT!r}, handler=...)"
        slot = self.check_slot(entry_routine_id, ENTRY_SLOT, hint)
        node = self._node(entry_routine_id)
        if entry_params is not None and not isinstance(entry_params, Mapping):
            raise TypeError(f"entry_params must be a mapping of names to values, not {entry_params!r}")
        strategy = self._strategy if execution_strategy is None else _strategy(execution_strategy)
        limit = self.execution_timeout if timeout is None else _seconds("timeout", timeout)
        return self._scheduler.enter(
            self._start, node.target(slot), dict(entry_params or {}), strategy, limit, output_handler
        )

    def _start(
        self,
        entry: Any,
        data: dict[str, Any],
        strategy: str,
        timeout: float | None,
        output_handler: OutputHandler | None,
    ) -> JobState:
        engine = self._current_engine()
        job = JobState(self.flow_id, history_limit=self.history_limit, runtime=engine.runtime)
        job.set_output_handler(output_handler)
        engine.start(self, job, entry, data, self._setup(strategy, timeout))
        return job

    def _setup(self, strategy: str, timeout: float | None) -> Setup:
        return Setup(self._configured_workers if strategy == "concurrent" else None, timeout, self._instruments)

    # Stopping for a while

    def pause(self, job_state: JobState, reason: str = "", checkpoint: Any = None) -> bool:
        """Hold a job until it is resumed, and return when nothing of it runs.

        Whatever it has queued, delayed or emits from then on is in its ``pending_tasks``. Its time limit stands still.
        A handler of the job itself may pause it: then this returns when nothing *else* of it runs; an ``async`` one
        is not made to wait.

        Args:
            job_state: The job.
            reason: For people, in its ``pause_points`` and history.
            checkpoint: Anything worth keeping beside it; JSON, if the job is to be saved.

        Returns:
            True; False when the job had ended before it could be paused.

        Raises:
            ValueError: The job is not one of this flow's.
        """
        account = self._account_of(job_state)
        return self._scheduler.enter(account.engine.pause, account, str(reason), checkpoint)

    def resume(self, job_state: JobState) -> JobState:
        """Let a paused job go on, or one that was loaded or recovered; one that runs is left alone.

        A sequential job runs to its end in the calling thread; a concurrent one goes on by itself. Deferred events are
        emitted, activations that wait to be tried again are so at the time that was set before.

        Returns:
            The job.

        Raises:
            ValueError: The job is not one of this flow's.
            JobStatusError: It has ended.
            FlowShutdownError: The flow was shut down.
            SerializationError: A loaded job has something outstanding for a routine or slot that this flow has not.
        """
        if job_state.status in FINAL:
            raise JobStatusError("resumed", job_state.job_id, job_state.status, "a paused job")
        if job_state._account is None:
            self._scheduler.enter(self._take_up, job_state)
        account = self._account_of(job_state)
        self._scheduler.enter(account.engine.resume, account)
        return job_state

    def _take_up(self, job: JobState) -> None:
        """Make a job that was loaded one of this flow's: paused, with all that it had outstanding."""
        from routilux.job_document import Kept, restore  # noqa: PLC0415 - few jobs are loaded

        if job.flow_id != self.flow_id:
            raise ValueError(
                f"{job!r} is not a job of flow {self.flow_id!r}; give the flow the id that it had: Flow({job.flow_id!r})"
            )
        with job._taking_up:
            if job._account is not None:
                return
            if job.status in FINAL:
                raise JobStatusError("resumed", job.job_id, job.status, "a paused job")
            kept = job._kept or Kept()
            setup = self._setup(kept.strategy or self._strategy, kept.time_left)
            restore(self, self._current_engine(), job, kept, setup)

    def cancel(self, job_state: JobState, reason: str = "") -> bool:
        """End a job: what it has queued is dropped and recorded, ``async`` handlers are cancelled; never waits.

        Plain handlers that run may end; the job's status is ``cancelled`` at once, and it is over when they have.

        Returns:
            True; False when the job had ended before.

        Raises:
            ValueError: The job is not one of this flow's.
        """
        if job_state._account is None and job_state.flow_id == self.flow_id:
            cancelled = job_state.cancel_unstarted(str(reason))
            if job_state._account is None:
                return cancelled
        account = self._account_of(job_state)
        return self._scheduler.enter(account.engine.cancel, account, str(reason))

    def _account_of(self, job_state: JobState) -> Any:
        account = job_state._account
        if account is None or job_state.flow_id != self.flow_id:
            raise ValueError(f"{job_state!r} is not a job of flow {self.flow_id!r}")
        return account

    def _current_engine(self) -> Engine:
        """The engine in the calling thread's world; made when the flow first executes there."""
        runtime = self._scheduler.runtime
        engine = self._engine
        if engine is not None and engine.runtime is runtime:
            return engine
        fresh = Engine(
            self.flow_id, self._graph, self._scheduler, runtime, self.execution_tracker, bound=self._max_pending
        )
        fresh.error_handler = self._error_handler
        # Two threads may get here at once, and there is no lock yet: one dictionary operation decides whose it is.
        engine = self._engines.setdefault(runtime, fresh)
        if engine is fresh:
            self.execution_tracker.move_to(runtime)
            # Threads that wait for work refer neither to the flow nor to the engine, so that both can be dropped.
            weakref.finalize(self, engine.crew.close).atexit = False
            for other in [key for key in self._engines if key is not runtime]:
                self._engines.pop(other, None)
        self._engine = engine
        return engine

    def wait_for(
        self, job_state: JobState, timeout: float | None = None, progress_callback: Progress | None = None
    ) -> bool:
        """Wait for one job's end; see `JobState.wait_for_completion`."""
        limit = _seconds("timeout", timeout, zero=True)
        account = self._account_of(job_state)
        return self._scheduler.enter(account.engine.wait, account, limit, progress_callback)

    def wait_for_completion(self, timeout: float | None = None, job_state: JobState | None = None) -> bool:
        """Wait for one job, or for every job begun so far. Deprecated: use `JobState.wait_for_completion`."""
        import warnings  # noqa: PLC0415 - only for callers of a deprecated method

        warnings.warn(
            "Flow.wait_for_completion() is deprecated; use JobState.wait_for_completion(flow, job_state, timeout)",
            DeprecationWarning,
            stacklevel=2,
        )
        if job_state is not None:
            return self.wait_for(job_state, timeout)
        limit = _seconds("timeout", timeout, zero=True)
        return self._engine is None or self._scheduler.enter(self._engine.wait_all, limit)

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> bool:
        """Take no new jobs, let those under way go on to their end, and then let the flow's threads end.

        Args:
            wait: Return when all that has happened; otherwise at once.
            timeout: Seconds to wait at most.

        Returns:
            True when no job and no thread of the flow is left.

        Raises:
            RuntimeError: With ``wait``, called by a handler of one of the flow's own jobs.
        """
        limit = _seconds("timeout", timeout, zero=True)
        return self._scheduler.enter(self._shutdown, wait, limit)

    def _shutdown(self, wait: bool, timeout: float | None) -> bool:
        return self._current_engine().shutdown(wait, timeout)

    def is_run_by(self, engine: Engine) -> bool:
        """True when ``engine`` runs this flow's jobs."""
        return self._engine is engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown(wait=True)

    # Storing

    def serialize(self) -> dict[str, Any]:
        """Describe the flow as plain JSON data; see `routilux.serialization`.

        Raises:
            SerializationError: Something cannot be stored; the message names the routine and the field.
        """
        return serialization.flow_to_data(self)

    def deserialize(self, data: Mapping[str, Any]) -> None:
        """Become the flow that ``data`` describes.

        Raises:
            SerializationError: ``data`` is not a flow's description; the message says where. Nothing changes then.
        """
        serialization.flow_from_data(self, data)

    def adopt(self, other: Flow) -> None:
        """Become what ``other`` is, a flow that has never run; ``other`` is not to be used any more.

        Raises:
            RuntimeError: This flow has run jobs.
        """
        if self._engine is not None:
            raise RuntimeError(f"{self!r} has run jobs already; deserialize into a new Flow()")
        self.flow_id = other.flow_id
        self._strategy = other._strategy
        self._configured_workers = other._configured_workers
        self.execution_timeout = other.execution_timeout
        self.history_limit = other.history_limit
        self._max_pending = other._max_pending
        self._error_handler = other._error_handler
        self._graph = other._graph
        self._connections = other._connections
        self.execution_tracker = other.execution_tracker

    def __repr__(self) -> str:
        return (
            f"<Flow {self.flow_id!r}: {len(self._graph.nodes)} routines, "
            f"{len(self._connections)} connections, {self._strategy}>"
        )


class RoutineTable(MutableMapping[str, Routine]):
    """The routines of a flow by id.

    Assigning to an id that is taken replaces the routine; its connections stay, so the newcomer must have the events
    and slots that they use. Deleting is refused while connections remain.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def __getitem__(self, routine_id: str) -> Routine:
        return self._flow._graph.nodes[routine_id].routine

    def __setitem__(self, routine_id: str, routine: Routine) -> None:
        self._flow._place(routine_id, routine)

    def __delitem__(self, routine_id: str) -> None:
        node = self._flow._node(routine_id)
        for connection in self._flow.connections:
            if routine_id in (connection.source_id, connection.target_id):
                raise ValueError(f"routine {routine_id!r} cannot be removed: {connection} uses it")
        self._flow._graph.remove(node.routine_id)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._flow._graph.nodes))

    def __len__(self) -> int:
        return len(self._flow._graph.nodes)

    def __repr__(self) -> str:
        return f"RoutineTable({dict(self)!r})"


def _strategy(name: object) -> str:
    if name not in STRATEGIES:
        raise UnknownNameError("execution strategy", name, STRATEGIES)
    return str(name)


def _count(name: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{name} must be a whole number from 1 up, not {count!r}")
    return count


def _seconds(name: str, value: object, *, zero: bool = False) -> float | None:
    """Check a time limit in seconds; None means none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number of seconds or None, not {value!r}")
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be {'at least' if zero else 'above'} 0 seconds, not {value!r}")
    return value
