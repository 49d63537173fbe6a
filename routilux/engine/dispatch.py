"""The engine of one flow: starts jobs, runs activations, keeps the books, acts on errors.

Knows a graph, a scheduler's workers, timers and the jobs under way; knows neither the Flow that users hold (a job's
account does, while it runs) nor what threads and time are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from routilux.abc import LONGEST_WAIT
from routilux.engine import context
from routilux.engine.accounting import JobAccount, Waiter
from routilux.engine.activation import Activation
from routilux.engine.instrumentation import Disabled, Hooks
from routilux.engine.journal import BATCH
from routilux.engine.merging import own_copy
from routilux.engine.policy import Action, Decision, decide
from routilux.engine.routing import rename
from routilux.exceptions import FlowShutdownError, WouldDeadlockError
from routilux.schedulers.thread_pool import ThreadPool
from routilux.schedulers.timers import Timers

if TYPE_CHECKING:
    from routilux.abc import Runtime, Scheduler, Workers
    from routilux.engine.routing import Graph, Route, Target
    from routilux.error_handler import ErrorHandler
    from routilux.execution_tracker import ExecutionTracker
    from routilux.flow import Flow
    from routilux.job_state import JobState
    from routilux.routine import Routine

__all__ = ["Engine"]

Progress = Callable[[int, int, str], object]


class Engine:
    """Runs the jobs of one flow in one world.

    Args:
        name: The flow's id, for thread names and messages.
        graph: The flow's routines and connections.
        scheduler: Where concurrent activations run.
        runtime: The world that the engine lives in.
        tracker: Is told of jobs that begin and end.

    Attributes:
        error_handler: The flow's own, for routines that have none.
        clock: Reads the runtime's clock, in nanoseconds.
        point: The runtime's, see `routilux.abc.Runtime.point`.
    """

    def __init__(
        self, name: str, graph: Graph, scheduler: Scheduler, runtime: Runtime, tracker: ExecutionTracker
    ) -> None:
        self.runtime = runtime
        self.error_handler: ErrorHandler | None = None
        self._name = name
        self._graph = graph
        self._scheduler = scheduler
        self._tracker = tracker
        self.clock = runtime.monotonic_ns
        self.point = runtime.point
        self._lock = runtime.lock()
        self._timers = Timers(runtime, f"{name}-timer")
        self.crew = Crew(self._timers)
        self._pool_size = 0
        self._disabled: Disabled = {}
        self._live: dict[str, JobAccount] = {}
        self._closing = False
        runtime.at_exit(self.finish_at_exit)

    # Starting

    def start(
        self,
        flow: Flow,
        job: JobState,
        entry: Target,
        data: dict[str, Any],
        *,
        workers: int | None,
        timeout: float | None,
        instruments: Iterable[object],
    ) -> None:
        """Begin a job with one activation of ``entry``.

        Args:
            flow: Kept alive until the job has ended.
            job: A fresh job state.
            entry: Where the job begins.
            data: What the entry's handler gets.
            workers: At most so many activations at a time, on the scheduler; None: run the job to its end here.
            timeout: Seconds until the job is failed; None: never.
            instruments: Listeners for this job, beside the runtime's.

        Raises:
            FlowShutdownError: The flow was shut down.
        """
        lane = self._lane(workers)
        account = JobAccount(self, flow, job, lane, Hooks.of([*self.runtime.instruments, *instruments], self._disabled))
        job._account = account  # noqa: SLF001 - the two halves of a job
        job._known = tuple(self._graph.nodes)  # noqa: SLF001
        with self._lock:
            if self._closing:
                raise FlowShutdownError(f"flow {self._name!r} was shut down; make a new one to execute again")
            self._live[job.job_id] = account
        try:
            self._tracker.job_started(job)
            job.status = "running"
            if account.hooks is not None:
                account.hooks.call("job_start", job)
            first = Activation(account, entry, data, next(account.numbers))
            # On the books before the deadline, which may come at any time, can find them empty.
            account.pending.add(first)
            if timeout is None:
                # CPython 3.12 starts no threads once the interpreter is ending, when a retry may still need this one.
                with suppress(RuntimeError):
                    self._timers.start()
            else:
                account.deadline = self._timers.call_at(self._after(timeout), self._expire, account, timeout)
            self._enqueue(account, [first])
        except BaseException as error:
            # No thread to be had, or Ctrl-C: the job has failed, and the caller hears of it.
            self._abandon(account, error)
            raise
        if workers is None:
            self._run_here(account)

    def _lane(self, workers: int | None) -> Workers:
        if workers is None:
            return ThreadPool(self.runtime, run, self._name, 1, threads=False)
        with self._lock:
            if self.crew.pool is None:
                self.crew.pool = self._scheduler.open(run, name=self._name, max_workers=workers)
            elif self._pool_size != workers:
                self.crew.pool.resize(workers)
            self._pool_size = workers
            return self.crew.pool

    def _run_here(self, account: JobAccount) -> None:
        account.enclosing = context.current()
        lane = account.lane
        assert isinstance(lane, ThreadPool)  # noqa: S101 - made by _lane just before
        try:
            lane.work()
        except BaseException as error:
            # Ctrl-C between two handlers: the job must not stay "running" for those who wait for it elsewhere.
            self._abandon(account, error)
            raise
        failure = account.job.error
        if failure is not None and not isinstance(failure, Exception):
            raise failure

    def _abandon(self, account: JobAccount, error: BaseException) -> None:
        """End a job whatever state it is in: an interrupt may have come anywhere."""
        self._close(account, "failed", error)
        account.pending.clear()
        with account.lock:
            account.drained = True
        self._tracker.job_ended(account.job)
        self._announce(account)

    def resize(self, max_workers: int) -> None:
        """Change how many activations run at a time."""
        with self._lock:
            self._pool_size = max_workers
            if self.crew.pool is not None:
                self.crew.pool.resize(max_workers)

    # The life of an activation

    def node_of(self, routine: Routine) -> Any:
        """The node of a routine, or None."""
        return self._graph.node_of(routine)

    def emit(
        self, account: JobAccount, source_id: str, event: str, data: dict[str, Any], routes: tuple[Route, ...]
    ) -> None:
        """Queue one activation a route, for the job of ``account``."""
        numbers = account.numbers
        fresh = []
        for route in routes:
            given = data if route.mapping is None else rename(data, route.mapping)
            fresh.append(Activation(account, route.target, given, next(numbers)))
        journal = account.journal
        journal.write_event((next(journal.order), self.clock(), "event", source_id, event, data))
        journal.mark_emit(next(journal.emits))
        if account.hooks is not None:
            account.hooks.call("emit", account.job, source_id, event, data, len(fresh))
        self._enqueue(account, fresh)

    def _enqueue(self, account: JobAccount, activations: list[Activation]) -> None:
        point = self.point
        if point is not None:
            point("emit")
        account.pending.update(activations)
        queued = account.queued
        for activation in activations:
            queued[activation] = None
        if point is not None:
            point("gate")
        if account.closed:
            # Whoever takes the last look lowers the gate for a moment: under the lock it says whether it stays down.
            with account.lock:
                closed = account.closed
            if closed:
                self._drop_queued(account)
                return
        if activations:
            account.lane.submit(activations)

    def merged(self, activation: Activation) -> dict[str, Any]:
        """Merge once for all attempts; give each a copy of its own."""
        if not activation.merged:
            target = activation.target
            gathered = activation.account.gathered(target)
            activation.data = gathered.merge(target.slot.merge_strategy, activation.data)
            activation.merged = True
        return own_copy(activation.data)

    def settle(self, activation: Activation, status: str, error: BaseException | None, began: int) -> None:
        """Enter an activation's end in the books, and finish the job if it was the last."""
        account = activation.account
        ended = self.clock()
        target = activation.target
        name = "late" if account.expired else status
        if account.hooks is not None:
            account.hooks.call("activation_end", activation, name, error)
        words = None if error is None else _words(error)
        row = (target.slot.name, activation.attempt, ended - began, words, status)
        journal = account.journal
        journal.write_end((next(journal.order), ended, "activation", target.node.routine_id, name, row))
        if len(journal.unsummed) >= BATCH:
            journal.relieve()
        if self.point is not None:
            self.point("end")
        account.pending.discard(activation)
        if account.watchers:
            account.notify()
        if self.point is not None:
            self.point("last")
        if not account.pending:
            self._drained(account)

    def fail(self, activation: Activation, error: BaseException, began: int) -> None:
        """Do what the error strategy says about ``error``; if it cannot be asked, the job fails with that."""
        handler = None
        try:
            handler = activation.target.node.error_handler() or self.error_handler
            decision = decide(handler, error, activation.attempt)
        except BaseException as fault:  # noqa: BLE001 - a handler's figures, or its class, may be anybody's
            fault.__context__ = error
            error, decision = fault, Decision(Action.STOP)
        if decision.action is Action.RETRY and handler is not None:
            if self._retry(activation, handler, error, decision.delay, began):
                return
            self.settle(activation, Action.STOP.value, error, began)
            return
        if decision.action is Action.STOP:
            self._close(activation.account, "failed", error)
        self.settle(activation, decision.action.value, error, began)

    def _retry(
        self, activation: Activation, handler: ErrorHandler, error: BaseException, delay: float, began: int
    ) -> bool:
        """Put the next attempt on the timer; False when the job takes nothing more."""
        account = activation.account
        ended = self.clock()
        again = activation.again()
        try:
            with account.lock:
                if account.closed:
                    return False
                timer = self._timers.call_at(ended + round(delay * 1e9), self._retry_due, again)
                account.delayed[again] = timer
                account.pending.add(again)
                account.count_retry_locked(handler)
                # Before the lock is let go, so that no row of the next attempt can stand above this one.
                row = (activation.slot, activation.attempt, ended - began, _words(error), "retry")
                order = next(account.journal.order)
                account.journal.write_end((order, ended, "activation", activation.routine_id, "retry", row))
        except RuntimeError as no_thread:
            error.add_note(f"it was not tried again: {no_thread}")
            self._close(account, "failed", error)
            return False
        if len(account.journal.unsummed) >= BATCH:
            account.journal.relieve()
        handler._last_retry_count = activation.attempt  # noqa: SLF001 - a mirror that nothing decides by
        if account.hooks is not None:
            account.hooks.call("activation_retry", activation, error, delay)
        account.pending.discard(activation)
        return True

    def _retry_due(self, activation: Activation) -> None:
        account = activation.account
        with account.lock:
            wanted = account.delayed.pop(activation, None) is not None
        if wanted:
            try:
                self._enqueue(account, [activation])
            except RuntimeError as no_thread:
                self._abandon(account, no_thread)

    # Ending

    def _expire(self, account: JobAccount, timeout: float) -> None:
        error = TimeoutError(f"job {account.job.job_id} of flow {self._name!r} did not end within {timeout} s")
        self._close(account, "failed", error, expired=True)

    def _close(self, account: JobAccount, status: str, error: BaseException | None, expired: bool = False) -> bool:
        """Give the job a final status, and drop what has not started; False if it had one."""
        with account.lock:
            if not account.close_locked(status, error, expired):
                return False
            delayed, account.delayed = account.delayed, {}
        for timer in delayed.values():
            self._timers.cancel(timer)
        self._drop(account, list(delayed))
        self._drop_queued(account)
        return True

    def _drop_queued(self, account: JobAccount) -> None:
        if self.point is not None:
            self.point("drop")
        self._drop(account, account.take_queued())

    def _drop(self, account: JobAccount, activations: list[Activation]) -> None:
        """Take activations that will never run off the books."""
        now = self.clock()
        journal = account.journal
        for activation in activations:
            row = (activation.slot, activation.attempt, 0, None, "dropped")
            journal.write_end((next(journal.order), now, "activation", activation.routine_id, "dropped", row))
            if account.hooks is not None:
                account.hooks.call("activation_drop", activation, f"the job has {account.job.status}")
        if len(journal.unsummed) >= BATCH:
            journal.relieve()
        account.pending.difference_update(activations)
        if not account.pending:
            self._drained(account)

    def _drained(self, account: JobAccount) -> None:
        """Finish the job, unless there is more to come after all; called by whoever sees nothing pending."""
        with account.lock:
            if not account.drain_locked():
                return
        try:
            if account.hooks is not None:
                account.hooks.call("job_end", account.job)
            self._tracker.job_ended(account.job)
        finally:
            self._announce(account)

    def _announce(self, account: JobAccount) -> None:
        """Tell everybody that the job is over; saying so twice is once."""
        if account.deadline is not None:
            self._timers.cancel(account.deadline)
        with self._lock:
            self._live.pop(account.job.job_id, None)
            idle = self._closing and not self._live
        if idle:
            self.crew.close()
        flow = account.flow
        with account.lock:
            account.flow = None
            account.announce_locked()
        if account.lane is not self.crew.pool:
            account.lane.close()
        # The flow may die with this reference; no lock is held here.
        del flow

    # Waiting and shutting down

    def wait(self, account: JobAccount, timeout: float | None, progress: Progress | None = None) -> bool:
        """Wait until the job is over, at most ``timeout`` seconds; True when it is.

        Raises:
            WouldDeadlockError: The calling handler is part of that very job.
        """
        self._refuse_own_job(account)
        deadline = self._deadline(timeout)
        waiter = Waiter(self.runtime)
        with account.lock:
            over = account.over
            if not over:
                account.enlist_locked(waiter, every_end=progress is not None)
        try:
            while not over:
                if progress is not None:
                    _report(account, progress)
                news = waiter.park(self._left(deadline))
                with account.lock:
                    over = account.over
                    waiter.rearm_locked()
                if not news:
                    break
        finally:
            with account.lock:
                account.dismiss_locked(waiter)
        if progress is not None:
            _report(account, progress)
        return over

    def wait_all(self, timeout: float | None) -> bool:
        """Wait until every job begun so far is over, at most ``timeout`` seconds in all."""
        deadline = self._deadline(timeout)
        with self._lock:
            accounts = list(self._live.values())
        return all(self.wait(account, self._left(deadline)) for account in accounts)

    def _after(self, seconds: float) -> int:
        return self.clock() + round(min(seconds, LONGEST_WAIT) * 1e9)

    def _deadline(self, timeout: float | None) -> int | None:
        return None if timeout is None else self._after(timeout)

    def _left(self, deadline: int | None) -> float | None:
        return None if deadline is None else max(0, deadline - self.clock()) / 1e9

    def shutdown(self, wait: bool, timeout: float | None) -> bool:
        """Take no new jobs; let those under way go on to their end, then let all threads end.

        Returns:
            True when nothing is left running; always False without ``wait`` unless there was nothing.

        Raises:
            WouldDeadlockError: With ``wait``, called by a handler of one of the flow's own jobs.
        """
        if wait:
            self._refuse_own_job(None)
        deadline = self._deadline(timeout)
        with self._lock:
            self._closing = True
            idle = not self._live
        if idle:
            self.crew.close()
        if not wait:
            return idle
        if not self.wait_all(self._left(deadline)):
            return False
        with self._lock:
            pool = self.crew.pool
        ended = pool is None or pool.join(self._left(deadline))
        return self._timers.join(self._left(deadline)) and ended

    def _refuse_own_job(self, account: JobAccount | None) -> None:
        """Refuse to wait for ``account``, or for any job of this engine, inside a handler that is part of it."""
        activation = context.current()
        while activation is not None:
            mine = activation.account
            if mine is account or (account is None and mine.engine is self):
                raise WouldDeadlockError(
                    f"a handler of job {mine.job.job_id} cannot wait for that job to end; "
                    "return from the handler, and wait outside it"
                )
            # A sequential job runs inside the handler that executed it, and cannot end after it.
            activation = mine.enclosing

    def finish_at_exit(self) -> None:
        """Let concurrent jobs end before the interpreter does, as ``concurrent.futures`` does."""
        self.shutdown(wait=True, timeout=None)


def run(activation: Activation) -> None:
    """Run one activation in the calling thread, and settle what follows from it.

    Raises nothing but the KeyboardInterrupt of an instrument. A function and not a method: the workers' threads call
    it, and an idle thread must not keep an engine alive, nor the routines behind it, which may refer to their flow.
    """
    account = activation.account
    engine = account.engine
    if engine.point is not None:
        engine.point("start")
    if account.queued.pop(activation, engine) is engine:
        return  # whoever closed the job has it
    target = activation.target
    account.job.current_routine_id = target.node.routine_id
    if account.hooks is not None:
        account.hooks.call("activation_start", activation)
    token = context.active.set(activation)
    began = engine.clock()
    try:
        target.call(engine.merged(activation) if target.merges else activation.data)
    except BaseException as error:  # noqa: BLE001 - the error strategy decides, and nothing is lost
        engine.fail(activation, error, began)
    else:
        engine.settle(activation, "completed", None, began)
    finally:
        context.active.reset(token)


class Crew:
    """The threads of one engine, apart from it: what a flow's finalizer closes."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.pool: Workers | None = None

    def close(self) -> None:
        """Let all threads end. Takes no lock: garbage collection may call it anywhere."""
        if self.pool is not None:
            self.pool.close()
        self.timers.close()


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - an exception that cannot word itself is still only an exception
        return f"{type(error).__name__}: (no message: its __str__ failed)"


def _report(account: JobAccount, progress: Progress) -> None:
    running = len(account.running())
    progress(max(0, len(account.pending) - running), running, account.job.status)
