"""The engine of one flow: begins its jobs, resumes and ends them, and lets its threads go.

Knows a scheduler's workers and the jobs under way; what happens to a single activation is the `Dispatcher`'s business.
Knows nothing of the Flow that users hold (a job's account does, while it runs), nor what threads and time are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from routilux.engine import context, control, waiting
from routilux.engine.accounting import CLOSED, HELD, Delayed, JobAccount
from routilux.engine.activation import make_activation
from routilux.engine.coroutines import Coroutines
from routilux.engine.dispatch import Dispatcher, run
from routilux.engine.instrumentation import Disabled, Hooks
from routilux.exceptions import FlowShutdownError, JobStatusError, UnknownNameError
from routilux.schedulers.thread_pool import ThreadPool

if TYPE_CHECKING:
    from routilux.abc import Runtime, Scheduler, Sender, Workers
    from routilux.engine.activation import Item
    from routilux.engine.ledger import Ledger
    from routilux.engine.routing import Graph, Outlet, Target
    from routilux.execution_tracker import ExecutionTracker
    from routilux.flow import Flow
    from routilux.job_state import DeferredEvent, JobState
    from routilux.schedulers.event_loop import LoopThread
    from routilux.schedulers.timers import Timers

__all__ = ["Engine", "Setup"]


class Setup:
    """How one job is to be run.

    Args:
        workers: At most so many activations at a time, on the scheduler; None: in the calling thread.
        timeout: Seconds until the job is failed; None: never.
        instruments: Listeners for this job, beside the runtime's.
        ledger: Makes the durable record of the job from its account, if there is to be one.
        heard: Some of the listeners are users' own, and may take their time.
    """

    def __init__(
        self,
        workers: int | None,
        timeout: float | None,
        instruments: Iterable[object],
        ledger: Callable[[JobAccount], Ledger] | None = None,
        *,
        heard: bool = False,
    ) -> None:
        self.heard = heard
        self.workers = workers
        self.timeout = timeout
        self.instruments = tuple(instruments)
        self.ledger = ledger


class Engine(Dispatcher):
    """Runs the jobs of one flow in one world.

    Args:
        name: The flow's id, for thread names and messages.
        graph: The flow's routines and connections.
        scheduler: Where concurrent activations run.
        runtime: The world that the engine lives in.
        tracker: Is told of jobs that begin and end.
        bound: At most so many activations are queued; None: any number.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        scheduler: Scheduler,
        runtime: Runtime,
        tracker: ExecutionTracker,
        bound: int | None = None,
    ) -> None:
        super().__init__(name, graph, runtime, tracker, bound)
        self.coroutines = Coroutines(self, f"{name}-loop")
        self._scheduler = scheduler
        self.crew = Crew(self.timers, self.coroutines.thread)
        if scheduler.sender is not None:
            self._go_remote(scheduler.sender)
        self._pool_size = 0
        self._disabled: Disabled = {}
        self._live: dict[str, JobAccount] = {}
        self._closing = False
        runtime.at_exit(self.finish_at_exit)

    def _go_remote(self, sender: Sender) -> None:
        """Let a sender have the activations."""
        from routilux.remote.driver import Remote  # noqa: PLC0415 - few flows leave their process

        self.remote = Remote(self, sender, self._finish_early)
        self._finish_early()
        self.crew.clerk = self.remote.clerk

    def _finish_early(self) -> None:
        """At exit, end before the standard library's executors, those included that have been made by now."""
        self.runtime.at_exit(self.finish_at_exit, early=True)

    # Starting

    def start(self, flow: Flow, job: JobState, entry: Target, data: dict[str, Any], setup: Setup) -> None:
        """Begin a job with one activation of ``entry``.

        Args:
            flow: Kept alive until the job has ended.
            job: A fresh job state.
            entry: Where the job begins.
            data: What the entry's handler gets.
            setup: How the job is to be run.

        Raises:
            FlowShutdownError: The flow was shut down.
            QueueFullError: Called by a handler while the flow may have no more queued.
        """
        if self.bound is not None:
            # A handler must not wait for room that handlers make.
            (self.bound.reserve if context.current() is not None else self.bound.wait_for_room)(1)
        try:
            account = self._open(flow, job, setup)
        except BaseException:
            if self.bound is not None:
                self.bound.release(1)
            raise
        try:
            job.status = "running"
            first = (next(account.numbers), self.clock(), account, entry.delivery(tuple(data)), tuple(data.values()), 1)
            # On the books before the deadline, which may come at any time, can find them empty.
            account.queued[first[0]] = first
            if account.ledger is not None:
                account.left_ns = None if setup.timeout is None else round(setup.timeout * 1e9)
                account.ledger.began([first], job.status)
                account.left_ns = None
            if account.hooks is not None:
                account.hooks.call("job_start", job)
                account.hooks.call("activation_queue", make_activation(first))
            self._set_deadline(account, setup.timeout)
            self.offer(account, [first])
        except BaseException as error:
            # No thread to be had, or Ctrl-C: the job has failed, and the caller hears of it.
            self.abandon(account, error)
            raise
        if account.sequential:
            self._run_here(account, account.lane)

    def restore(self, flow: Flow, job: JobState, setup: Setup, put_back: Callable[[JobAccount], list[Item]]) -> None:
        """Take up a job that began elsewhere: paused, with what it had outstanding.

        Args:
            flow: Kept alive until the job has ended.
            job: Its state, as it was loaded.
            setup: How the job is to be run.
            put_back: Puts on the job's books what it had outstanding and gathered, and returns all such activations.
        """
        account = self._books(flow, job, setup)
        # All of it before anybody sees the account. The hold is for what there is to tell first: of two threads that
        # resume the job at once, one restores it, and the other may be ahead of it from there on.
        account.gate, account.paused, account.rested, account.holds = HELD, True, True, 1
        items = put_back(account)
        if setup.timeout is not None:
            account.left_ns = round(setup.timeout * 1e9)
        status = job.status
        with self._lock:
            self._refuse_closed()
            if not job.go_over_to(account):
                return
            self._live[job.job_id] = account
        try:
            if setup.ledger is not None:
                self._go_on_recording(account, setup.ledger, items, status)
            if self.bound is not None:
                self.bound.force(len(items))
            self._tracker.job_started(job)
            if account.hooks is not None:
                account.hooks.call("job_start", job)
                for item in items:
                    account.hooks.call("activation_queue", make_activation(item))
        finally:
            control.release(self, account)

    def _go_on_recording(
        self, account: JobAccount, ledger: Callable[[JobAccount], Ledger], items: list[Item], status: str
    ) -> None:
        """Record a job that was taken up; if that cannot be, it was not taken up."""
        try:
            account.ledger = ledger(account)
            # Its status as it was: should the process die before the job goes on, nobody has paused it.
            account.ledger.began(items, status)
        except BaseException:
            account.ledger = None
            with account.lock:
                account.gate, account.drained = CLOSED, True
            account.job.go_back_from(account, status)
            self.announce(account)
            raise

    def _open(self, flow: Flow, job: JobState, setup: Setup) -> JobAccount:
        """Open the books of a fresh job."""
        account = self._books(flow, job, setup)
        with self._lock:
            self._refuse_closed()
            if setup.ledger is not None:
                account.ledger = setup.ledger(account)
            self._live[job.job_id] = account
        job._account = account  # noqa: SLF001 - the two halves of a job
        self._tracker.job_started(job)
        return account

    def _books(self, flow: Flow, job: JobState, setup: Setup) -> JobAccount:
        """Make the books of a job, which nobody else sees yet."""
        account = JobAccount(self, flow, job, setup.workers, first=job.next_number)
        account.lane = self._lane(setup.workers)
        if setup.heard and self.remote is not None:
            self.remote.heard = True
        account.hooks = Hooks.of([*self.runtime.instruments, *setup.instruments], self._disabled)
        account.watched = (
            account.hooks is not None
            or self.bound is not None
            or setup.ledger is not None
            or self.runtime.faults is not None
        )
        job._known = tuple(self.graph.nodes)  # noqa: SLF001 - the two halves of a job
        return account

    def _refuse_closed(self) -> None:
        if self._closing:
            raise FlowShutdownError(f"flow {self.name!r} was shut down; make a new one to execute again")

    def _set_deadline(self, account: JobAccount, seconds: float | None) -> None:
        if seconds is None:
            # CPython 3.12 starts no threads once the interpreter is ending, when a retry may still need this one.
            with suppress(RuntimeError):
                self.timers.start()
        else:
            account.deadline = self.timers.call_at(self.after(seconds), self._expire, account, seconds)

    def _lane(self, workers: int | None) -> Workers:
        if workers is None:
            return ThreadPool(self.runtime, run, self.name, 1, threads=False)
        with self._lock:
            if self.crew.pool is None:
                self.crew.pool = self._scheduler.open(run, name=self.name, max_workers=workers, leave=context.leave)
            elif self._pool_size != workers:
                self.crew.pool.resize(workers)
            self._pool_size = workers
            pool = self.crew.pool
        if self.remote is None:
            return pool
        self.remote.lane.resize(workers)
        return self.remote.beside(pool)

    def _run_here(self, account: JobAccount, lane: Workers) -> None:
        enclosing = account.enclosing = context.current()
        assert isinstance(lane, ThreadPool)  # noqa: S101 - made by _lane just before
        try:
            lane.work()
        except BaseException as error:
            # Ctrl-C between two handlers: the job must not stay "running" for those who wait for it elsewhere.
            self.abandon(account, error)
            raise
        finally:
            if enclosing is None:
                context.leave()
            else:
                context.enter(enclosing)
        failure = account.job.error
        if failure is not None and not isinstance(failure, Exception):
            raise failure

    def resize(self, max_workers: int) -> None:
        """Change how many activations run at a time."""
        with self._lock:
            self._pool_size = max_workers
            if self.crew.pool is not None:
                self.crew.pool.resize(max_workers)
        if self.remote is not None:
            self.remote.lane.resize(max_workers)

    def is_live(self, job_id: str) -> bool:
        """Whether a job of that id is under way here."""
        with self._lock:
            return job_id in self._live

    # Stopping and going on

    def pause(self, account: JobAccount, reason: str, checkpoint: Any) -> bool:
        """Hold a job until it is resumed; see `control.pause`."""
        return control.pause(self, account, reason, checkpoint)

    def resume(self, account: JobAccount) -> None:
        """Let a paused job go on; a sequential one runs on in the calling thread.

        Raises:
            JobStatusError: The job has ended.
            FlowShutdownError: The flow was shut down.
            UnknownNameError: A deferred event is not one of the flow's. The job stays as it is.
        """
        job = account.job
        for deferred in job.deferred_events:
            self._outlet(deferred)
        with self._lock:
            self._refuse_closed()
            with account.lock:
                if account.gate == CLOSED:
                    raise JobStatusError("resumed", job.job_id, job.status, "a paused job")
                if not account.paused:
                    return
                rested, account.rested = account.rested, False
                if rested and account.sequential:
                    account.lane = self._lane(None)
                lane = account.lane
                # From here on it can be paused or ended again; what was deferred is queued before anything starts.
                account.paused = False
                account.holds += 1
                job.note_resume()
        try:
            if account.ledger is not None:
                account.ledger.changed()
            if account.hooks is not None:
                account.hooks.call("job_resume", job)
            while (event := job.take_deferred_event()) is not None:
                self.emit(account, self._outlet(event), tuple(event.data.values()), event)
                job.forget_deferred_event(event)
            with account.lock:
                if account.gate == HELD and not account.paused and account.left_ns is not None:
                    self._set_deadline(account, account.left_ns / 1e9)
                    account.left_ns = None
            control.release(self, account)
        except BaseException as error:
            self.abandon(account, error)
            raise
        if account.sequential and rested:
            self._run_here(account, lane)

    def _outlet(self, event: DeferredEvent) -> Outlet:
        """Where a deferred event goes."""
        node = self.graph.nodes.get(event.routine_id)
        if node is None:
            raise UnknownNameError("routine", event.routine_id, self.graph.nodes, f"flow {self.name!r}")
        shapes = node.outgoing.get(event.event_name)
        if shapes is None:
            if node.routine.get_event(event.event_name) is None:
                raise UnknownNameError("event", event.event_name, node.routine.events, f"routine {event.routine_id!r}")
            shapes = node.route(event.event_name, ())
        return shapes[tuple(event.data)]

    def cancel(self, account: JobAccount, reason: str) -> bool:
        """End a job: what is queued is dropped, coroutines are cancelled, handlers that run may end.

        Returns:
            False when it had ended before.
        """
        return self.close(account, "cancelled", None, revoked=True, reason=reason)

    def put_back_delayed(self, account: JobAccount, item: Item, seconds: float) -> None:
        """Enter an activation that is to be tried again so many seconds from now, once the job goes on."""
        account.delayed[item[0]] = Delayed(item, self.clock() + round(max(0.0, seconds) * 1e9), None)

    # Ending

    def _expire(self, account: JobAccount, timeout: float) -> None:
        error = TimeoutError(f"job {account.job.job_id} of flow {self.name!r} did not end within {timeout:g} s")
        self.close(account, "failed", error, revoked=True)

    def rest(self, account: JobAccount, lane: Workers) -> None:
        """Let go of a paused job of which nothing runs: its caller's thread, who waits for that, the flow's threads."""
        if account.sequential:
            lane.close()
        with account.lock:
            account.announce_locked()
        with self._lock:
            idle = self._closing and self._idle_locked()
        if idle:
            self.crew.close()

    def announce(self, account: JobAccount) -> None:
        """Tell everybody that the job is over; saying so twice is once."""
        if account.deadline is not None:
            self.timers.cancel(account.deadline)
        with self._lock:
            self._live.pop(account.job.job_id, None)
            idle = self._closing and self._idle_locked()
        if idle:
            self.crew.close()
        flow = account.flow
        with account.lock:
            account.flow = None
            account.over = True
            account.announce_locked()
        if account.sequential:
            account.lane.close()
        # The flow may die with this reference; no lock is held here.
        del flow

    def has_left(self, account: JobAccount) -> bool:
        """Whether a paused job will not go on here, as the flow was shut down."""
        return self._closing and account.rested

    def _idle_locked(self) -> bool:
        """Whether no job is under way but such as are paused and at rest."""
        return all(account.rested for account in self._live.values())

    # Waiting and shutting down

    def wait(
        self,
        account: JobAccount,
        timeout: float | None,
        progress: waiting.Progress | None = None,
        *,
        or_rest: bool = False,
    ) -> bool:
        """Wait until the job is over; see `waiting.wait_for`."""
        return waiting.wait_for(self, account, timeout, progress, or_rest=or_rest)

    def wait_all(self, timeout: float | None, *, or_rest: bool = False) -> bool:
        """Wait until every job begun so far is over, at most ``timeout`` seconds in all."""
        deadline = self.deadline(timeout)
        with self._lock:
            accounts = list(self._live.values())
        return all(waiting.wait_for(self, account, self.left(deadline), or_rest=or_rest) for account in accounts)

    def shutdown(self, wait: bool, timeout: float | None) -> bool:
        """Take no new jobs; let those under way go on to their end, or to rest, then let all threads end.

        Returns:
            True when nothing is left running; always False without ``wait`` unless there was nothing.

        Raises:
            WouldDeadlockError: With ``wait``, called by a handler of one of the flow's own jobs.
        """
        if wait:
            waiting.refuse_own_job(self, None)
        deadline = self.deadline(timeout)
        with self._lock:
            self._closing = True
            idle = self._idle_locked()
        if self.bound is not None:
            self.bound.close()
        if idle:
            self.crew.close()
        if not wait:
            return idle
        if not self.wait_all(self.left(deadline), or_rest=True):
            return False
        with self._lock:
            pool = self.crew.pool
        ended = pool is None or pool.join(self.left(deadline))
        ended = self.coroutines.thread.join(self.left(deadline)) and ended
        if self.crew.clerk is not None:
            ended = self.crew.clerk.join(self.left(deadline)) and ended
        return self.timers.join(self.left(deadline)) and ended

    def finish_at_exit(self) -> None:
        """Let concurrent jobs end before the interpreter does, as ``concurrent.futures`` does."""
        self.shutdown(wait=True, timeout=None)


class Crew:
    """The threads of one engine, apart from it: what a flow's finalizer closes."""

    def __init__(self, timers: Timers, loop: LoopThread) -> None:
        self.timers = timers
        self.loop = loop
        self.pool: Workers | None = None
        self.clerk: Workers | None = None

    def close(self) -> None:
        """Let all threads end. Takes no lock: garbage collection may call it anywhere."""
        if self.pool is not None:
            self.pool.close()
        if self.clerk is not None:
            self.clerk.close()
        self.loop.close()
        self.timers.close()
