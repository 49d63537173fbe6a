"""A workflow: routines, the connections between them, and how jobs of it are run."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from routilux.abc import Runtime, Scheduler
from routilux.checks import check_count, check_seconds, check_strategy
from routilux.error_handler import ErrorHandler
from routilux.exceptions import JobStatusError, RoutiluxError, SerializationError, StoreError
from routilux.execution_tracker import ExecutionTracker
from routilux.job_state import FINAL, JobState
from routilux.output_handler import OutputHandler
from routilux.routine import check_error_handler
from routilux.wiring import Wiring

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.engine.core import Engine, Setup
    from routilux.engine.dispatch import Dispatcher
    from routilux.engine.waiting import Progress
    from routilux.log import ExecutionLog, Target
    from routilux.store import JobStore
    from routilux.validation import Finding

__all__ = ["Flow"]

ENTRY_SLOT = "trigger"


class Flow(Wiring):
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
        store: Where jobs are recorded as they happen, so that `recover` can take them up after a crash: a
            `routilux.store.JobStore`, or a path for one that is the flow's own. The flow needs a ``flow_id`` then.
        log: Where the execution log goes: a path, a binary file or an `ExecutionLog`; None: where
            `routilux.log.configure` said, if it did; False: nowhere.

    Raises:
        ValueError: An unknown strategy, or a figure out of range.
        StoreError: The store cannot be opened.
        ImportError, OSError: The log cannot be written; it needs structlog.
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
        store: JobStore | str | PathLike[str] | None = None,
        log: bool | Target | ExecutionLog | None = None,
    ) -> None:
        self._strategy = check_strategy(execution_strategy)
        self._configured_workers = check_count("max_workers", max_workers)
        self.history_limit = check_count("history_limit", history_limit)
        self._max_pending = None if max_pending is None else check_count("max_pending", max_pending)
        self.execution_timeout = check_seconds("execution_timeout", execution_timeout)
        if scheduler is not None and not isinstance(scheduler, Scheduler):
            raise TypeError(f"scheduler must be a routilux.abc.Scheduler, not {scheduler!r}")
        self._scheduler = scheduler or _thread_pool()
        if not isinstance(flow_id, str | None):
            raise TypeError(f"flow_id must be a string or None, not {flow_id!r}")
        if store is not None and not flow_id:
            raise ValueError("a flow with a store needs a flow_id, by which it finds its jobs again; give it one")
        super().__init__(flow_id or self._scheduler.runtime.new_id("flow"))
        self._has_own_id = bool(flow_id)
        self._instruments = tuple(instruments)
        self._error_handler: ErrorHandler | None = None
        self._engine: Engine | None = None
        self._engines: dict[Runtime, Engine] = {}
        self.execution_tracker = ExecutionTracker(self.flow_id)
        self._log, self._owns_log = _log(log)
        self._store, self._owns_store = _store(store)

    # Looking at it before it runs

    def validate(self, entry: str | None = None) -> list[Finding]:
        """Look for what is wrong, or odd, with how the flow is wired; see `routilux.validation.validate`.

        Args:
            entry: Id of the routine that jobs begin with, if it is to be looked at from there.

        Raises:
            ValueError: There is no routine of that id.
        """
        from routilux.validation import validate  # noqa: PLC0415 - only for who asks

        return validate(self, entry)

    def check(self, entry: str | None = None, *, distributed: bool = False) -> list[Finding]:
        """`validate`, and what else can be told before anything runs.

        Args:
            entry: As for `validate`.
            distributed: Also look for what cannot travel to workers in other processes, or is not what it is on threads
                there: handlers and attributes that cannot be pickled, objects that two routines share.

        Raises:
            ValueError: There is no routine of that id.
        """
        from routilux.validation import by_level  # noqa: PLC0415 - only for who asks

        found = self.validate(entry)
        if distributed:
            from routilux.remote.checking import check_travel  # noqa: PLC0415 - likewise

            sender = self._scheduler.sender
            found += check_travel(self, by_value=sender is not None and sender.by_value)
        return by_level(found)

    def to_mermaid(self) -> str:
        """Draw the flow as a Mermaid flowchart, for Markdown pages."""
        from routilux.drawing import to_mermaid  # noqa: PLC0415 - only for who asks

        return to_mermaid(self)

    def to_dot(self) -> str:
        """Draw the flow in Graphviz's language."""
        from routilux.drawing import to_dot  # noqa: PLC0415 - only for who asks

        return to_dot(self)

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
        workers = self._configured_workers if max_workers is None else check_count("max_workers", max_workers)
        self._strategy = check_strategy(strategy)
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
        strategy = self._strategy if execution_strategy is None else check_strategy(execution_strategy)
        limit = self.execution_timeout if timeout is None else check_seconds("timeout", timeout)
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
        from routilux.engine.core import Setup  # noqa: PLC0415 - the engine comes with the first job

        workers = self._configured_workers if strategy == "concurrent" else None
        ledger = None if self._store is None else self._store.ledger
        log = self._scheduler.runtime.execution_log if self._log is None else self._log
        instruments = (*self._instruments, log) if log else self._instruments
        return Setup(workers, timeout, instruments, ledger, heard=bool(self._instruments))

    # Stopping for a while

    def pause(self, job: JobState, reason: str = "", checkpoint: Any = None) -> bool:
        """Hold a job until it is resumed, and return when nothing of it runs.

        Whatever it has queued, delayed or emits from then on is in its ``pending_tasks``. Its time limit stands still.
        A handler of the job itself may pause it: then this returns when nothing *else* of it runs; an ``async`` one
        is not made to wait.

        Args:
            job: The job.
            reason: For people, in its ``pause_points`` and history.
            checkpoint: Anything worth keeping beside it; JSON, if the job is to be saved.

        Returns:
            True; False when the job had ended before it could be paused.

        Raises:
            ValueError: The job is not one of this flow's.
        """
        engine, account = self._account_of(job)
        return self._scheduler.enter(engine.pause, account, str(reason), checkpoint)

    def resume(self, job: JobState) -> JobState:
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
        if job.status in FINAL:
            raise JobStatusError("resumed", job.job_id, job.status, "a paused job")
        if job._account is None:
            self._scheduler.enter(self._take_up, job)
            if job._account is None:  # cancelled meanwhile
                raise JobStatusError("resumed", job.job_id, job.status, "a paused job")
        engine, account = self._account_of(job)
        self._scheduler.enter(engine.resume, account)
        return job

    def _take_up(self, job: JobState) -> None:
        """Make a job that was loaded one of this flow's: paused, with all that it had outstanding."""
        from routilux.job_document import Kept, restore  # noqa: PLC0415 - few jobs are loaded

        if job.flow_id != self.flow_id:
            raise ValueError(
                f"{job!r} is not a job of flow {self.flow_id!r}; give the flow the id it had: Flow({job.flow_id!r})"
            )
        kept = job._kept or Kept()
        setup = self._setup(kept.strategy or self._strategy, kept.time_left)
        restore(self, self._current_engine(), job, kept, setup)

    def recover(self) -> list[JobState]:
        """Take up every job of this flow that its store has and that has not ended, after a crash or a restart.

        Each activation that was not recorded as ended runs (again); one that was, does not. Jobs that were paused stay
        so, until `resume`; sequential ones run to their end in the calling thread, one after the other.

        Returns:
            The jobs, oldest first; not those that a flow of this process is running already.

        Raises:
            RuntimeError: The flow has no store.
            StoreError: The store, or a job in it, cannot be read or written. Others go on all the same.
            SerializationError: A job is stored that is none, or that does not fit the flow. Likewise.
            FlowShutdownError: The flow was shut down.
        """
        if self._store is None:
            raise RuntimeError(f"{self!r} has no store to recover jobs from; give it one: Flow(..., store=...)")
        return self._scheduler.enter(self._recover, self._store)

    def _recover(self, store: JobStore) -> list[JobState]:
        engine = self._current_engine()
        recovered: list[JobState] = []
        problems: list[RoutiluxError] = []
        for stored in store.jobs(self.flow_id, unfinished=True):
            if engine.is_live(stored.job_id) or store.is_running(stored.job_id):
                continue
            try:
                job = store.load(stored.job_id)
                paused = job.status == "paused"
                self._take_up(job)
            except (SerializationError, StoreError) as problem:
                problems.append(problem)
                continue
            except KeyError:
                continue  # deleted meanwhile
            recovered.append(job)
            if not paused:
                engine.resume(self._account_of(job)[1])
        if problems:
            raise problems[0]
        return recovered

    def cancel(self, job: JobState, reason: str = "") -> bool:
        """End a job: what it has queued is dropped and recorded, ``async`` handlers are cancelled; never waits.

        Plain handlers that run may end; the job's status is ``cancelled`` at once, and it is over when they have.

        Returns:
            True; False when the job had ended before.

        Raises:
            ValueError: The job is not one of this flow's.
        """
        if job._account is None and job.flow_id == self.flow_id:
            cancelled = job.cancel_unstarted(str(reason))
            if cancelled and self._store is not None:
                self._store.put(job)
            if cancelled or job._account is None:
                return cancelled
        engine, account = self._account_of(job)
        return self._scheduler.enter(engine.cancel, account, str(reason))

    def _account_of(self, job_state: JobState) -> tuple[Engine, JobAccount]:
        account = job_state._account
        if account is None or job_state.flow_id != self.flow_id:
            hint = "; no flow runs it yet: resume() it first" if job_state.flow_id == self.flow_id else ""
            raise ValueError(f"{job_state!r} is not a job of flow {self.flow_id!r}{hint}")
        return cast("Engine", account.engine), account

    def _current_engine(self) -> Engine:
        """The engine in the calling thread's world; made when the flow first executes there."""
        runtime = self._scheduler.runtime
        engine = self._engine
        if engine is not None and engine.runtime is runtime:
            return engine
        from routilux.engine.core import Engine  # noqa: PLC0415 - it comes with the first job, not with the import

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
        self,
        job_state: JobState,
        timeout: float | None = None,
        progress_callback: Progress | None = None,
        *,
        or_paused: bool = False,
    ) -> bool:
        """Wait for one job's end; see `JobState.wait_for_completion`.

        With ``or_paused``, wait no longer either once the job is paused and nothing of it runs.
        """
        limit = check_seconds("timeout", timeout, zero=True)
        engine, account = self._account_of(job_state)
        return self._scheduler.enter(engine.wait, account, limit, progress_callback, or_rest=or_paused)

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
        limit = check_seconds("timeout", timeout, zero=True)
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
        limit = check_seconds("timeout", timeout, zero=True)
        ended = self._scheduler.enter(self._shutdown, wait, limit)
        if ended and self._owns_store and self._store is not None:
            self._store.close()
        if ended and self._owns_log and self._log:
            self._log.close()
        return ended

    def _shutdown(self, wait: bool, timeout: float | None) -> bool:
        return self._current_engine().shutdown(wait, timeout)

    @property
    def store(self) -> JobStore | None:
        """Where jobs are recorded."""
        return self._store

    def use_store(self, store: JobStore | str | PathLike[str]) -> None:
        """Record jobs in a store, as with ``Flow(store=...)``: for a flow that somebody else has made without one.

        Raises:
            ValueError: The flow's id was made up when it was made, so that no other process would find its jobs.
            RuntimeError: The flow has a store, or has run jobs, already.
            StoreError: The store cannot be opened.
        """
        if not self._has_own_id:
            raise ValueError(
                f"{self!r} has an id that was made up, by which nobody finds its jobs again; "
                "give it one where it is made: Flow('orders')"
            )
        if self._store is not None:
            raise RuntimeError(f"{self!r} records its jobs in {self._store!r} already")
        if self._engine is not None:
            raise RuntimeError(f"{self!r} has run jobs already; give it its store before")
        self._store, self._owns_store = _store(store)

    def is_run_by(self, engine: Dispatcher) -> bool:
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
        from routilux.serialization import flow_to_data  # noqa: PLC0415 - few programs store flows

        return flow_to_data(self)

    def deserialize(self, data: Mapping[str, Any]) -> None:
        """Become the flow that ``data`` describes.

        Raises:
            SerializationError: ``data`` is not a flow's description; the message says where. Nothing changes then.
        """
        from routilux.serialization import flow_from_data  # noqa: PLC0415 - few programs store flows

        flow_from_data(self, data)

    def adopt(self, other: Flow) -> None:
        """Become what ``other`` is, a flow that has never run; ``other`` is not to be used any more.

        Raises:
            RuntimeError: This flow has run jobs.
        """
        if self._engine is not None:
            raise RuntimeError(f"{self!r} has run jobs already; deserialize into a new Flow()")
        self.flow_id = other.flow_id
        self._has_own_id = other._has_own_id
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


def _thread_pool() -> Scheduler:
    from routilux.schedulers.thread_pool import ThreadPoolScheduler  # noqa: PLC0415 - part of the engine, see above

    return ThreadPoolScheduler()


def _log(log: Any) -> tuple[ExecutionLog | Literal[False] | None, bool]:
    """The log to write, and whether it is to be closed with the flow; None and False as they are."""
    if log is None:
        return None, False
    if log is False:
        return False, False
    from routilux.log import ExecutionLog as Log  # noqa: PLC0415 - only for flows that have one
    from routilux.log import of  # noqa: PLC0415 - likewise

    return of(log), not isinstance(log, Log)


def _store(store: Any) -> tuple[JobStore | None, bool]:
    """The store to use, and whether it is to be closed with the flow."""
    if store is None:
        return None, False
    from routilux.store import JobStore as Store  # noqa: PLC0415 - sqlite3 only for flows that have one

    if isinstance(store, Store):
        return store, False
    if isinstance(store, str | PathLike):
        return Store(store), True
    raise TypeError(f"store must be a JobStore, a path or None, not {store!r}")
