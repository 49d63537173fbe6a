"""How jobs end: closed, drained, paused and at rest; and what happens to activations that will never run.

Knows the books of jobs, timers and who is told of an end; nothing of how activations are queued and run, which is
built on this (`routilux.engine.dispatch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from routilux.abc import LONGEST_WAIT
from routilux.engine.accounting import HELD, JobAccount
from routilux.engine.activation import make_activation
from routilux.engine.journal import BATCH
from routilux.schedulers.timers import Timers

if TYPE_CHECKING:
    from routilux.abc import Runtime, Workers
    from routilux.engine.activation import Item
    from routilux.engine.coroutines import Coroutines
    from routilux.engine.limits import Bound
    from routilux.execution_tracker import ExecutionTracker
    from routilux.remote.driver import Remote

__all__ = ["Endings"]


class Endings:
    """Ends the jobs of one flow, in one world.

    Args:
        name: The flow's id, for thread names and messages.
        runtime: The world that it lives in.
        tracker: Is told of jobs that end.
        bound: Limits what is queued, if anything does.

    Attributes:
        clock: Reads the runtime's clock, in nanoseconds.
        point: The runtime's, see `routilux.abc.Runtime.point`.
        coroutines: Runs what ``async`` handlers return.
        remote: Runs activations in other processes, if the scheduler says so.
    """

    def __init__(self, name: str, runtime: Runtime, tracker: ExecutionTracker, bound: Bound | None) -> None:
        self.runtime = runtime
        self.name = name
        self.clock = runtime.monotonic_ns
        self.point = runtime.point
        self.timers = Timers(runtime, f"{name}-timer")
        self.bound = bound
        self.coroutines: Coroutines
        self.remote: Remote | None = None
        self._tracker = tracker
        self._lock = runtime.lock()

    def close(
        self,
        account: JobAccount,
        status: str,
        error: BaseException | None,
        *,
        revoked: bool = False,
        reason: str = "",
    ) -> bool:
        """Give the job a final status, and drop what has not started; False if it had one.

        Args:
            account: The job's.
            status: The final one.
            error: What failed it, if it failed.
            revoked: What runs is not wanted any more: coroutines are cancelled.
            reason: Why, for the history.
        """
        with account.lock:
            if not account.close_locked(status, error):
                return False
            account.job.note_end(status, reason)
            account.revoked = revoked
            account.expired = revoked and error is not None
            delayed, account.delayed = account.delayed, {}
            doomed = {**account.held, **{ticket: each.item for ticket, each in delayed.items()}}
            account.dropping.update(doomed)
            account.held.clear()
        for each in delayed.values():
            if each.timer is not None:
                self.timers.cancel(each.timer)
        if account.ledger is not None:
            account.ledger.changed()
        if revoked:
            self.coroutines.cancel(account)
            if self.remote is not None:
                self.remote.cancel(account)
        self._drop(account, doomed)
        self.drop_queued(account)
        return True

    def drop_queued(self, account: JobAccount) -> None:
        """Drop whatever is queued that no worker has taken."""
        if self.point is not None:
            self.point("drop")
        with account.lock:
            doomed = account.take_queued_locked()
            account.dropping.update(doomed)
        self._drop(account, doomed)

    def _drop(self, account: JobAccount, doomed: Mapping[int, Item]) -> None:
        """Take activations that will never run off the books."""
        now = self.clock()
        journal = account.journal
        for item in doomed.values():
            end = (None, item, now, 0, "dropped", None, "dropped")
            journal.write(end)
            journal.write_end(end)
            if account.hooks is not None:
                account.hooks.call("activation_drop", make_activation(item), f"the job has {account.job.status}")
        if account.ledger is not None and doomed:
            account.ledger.dropped(list(doomed.values()))
        self.give_room(len(doomed))
        if len(journal.unsummed) >= BATCH:
            journal.relieve()
        for ticket in doomed:
            account.dropping.pop(ticket, None)
        self.after_end(account)

    def give_room(self, count: int) -> None:
        """So many activations are queued no longer."""
        if self.bound is not None and count:
            self.bound.release(count)

    def quiet(self, account: JobAccount) -> None:
        """Nothing runs: finish the job, or let it rest if it is paused; unless there is more to come after all."""
        with account.lock:
            lane = account.lane
            if account.gate == HELD:
                resting = account.paused and not account.rested and not account.running
                account.rested = account.rested or resting
                finished = False
            else:
                resting, finished = False, account.drain_locked()
        if resting:
            self.rest(account, lane)
        elif finished:
            self._finish(account)

    def _finish(self, account: JobAccount) -> None:
        try:
            if account.ledger is not None:
                account.ledger.finished()
            if account.hooks is not None:
                account.hooks.call("job_end", account.job)
            self._tracker.job_ended(account.job)
        finally:
            self.announce(account)

    def abandon(self, account: JobAccount, error: BaseException) -> None:
        """End a job whatever state it is in: an interrupt may have come anywhere."""
        self.close(account, "failed", error)
        account.running.clear()
        with account.lock:
            ended, account.drained = account.drained, True
        if ended:
            self.announce(account)
        else:
            self._finish(account)

    def rest(self, account: JobAccount, lane: Workers) -> None:
        """A paused job has come to rest on ``lane``; what follows is the business of who starts jobs."""
        raise NotImplementedError

    def announce(self, account: JobAccount) -> None:
        """A job is over; likewise."""
        raise NotImplementedError

    def has_left(self, account: JobAccount) -> bool:
        """Whether a paused job will not go on here; likewise."""
        raise NotImplementedError

    def after(self, seconds: float) -> int:
        """The clock's reading so many seconds from now."""
        return self.clock() + round(min(seconds, LONGEST_WAIT) * 1e9)

    def deadline(self, timeout: float | None) -> int | None:
        """The same for a time limit, which may be none."""
        return None if timeout is None else self.after(timeout)

    def left(self, deadline: int | None) -> float | None:
        """Seconds until a deadline."""
        return None if deadline is None else max(0, deadline - self.clock()) / 1e9

    def after_end(self, account: JobAccount) -> None:
        """Something has left the books: tell who waits for that, and see whether the job is over."""
        if account.watchers:
            account.notify()
        if self.point is not None:
            self.point("last")
        if not account.running and (account.gate or not account.queued):
            self.quiet(account)
