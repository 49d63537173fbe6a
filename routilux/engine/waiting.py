"""Waiting for jobs: parked on a lock until the engine has news. Nothing polls.

Knows the books of jobs and who waits for them; moves nothing on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from routilux.engine import context
from routilux.engine.accounting import HELD, JobAccount, Waiter
from routilux.exceptions import WouldDeadlockError

if TYPE_CHECKING:
    from routilux.engine.dispatch import Dispatcher

__all__ = ["Progress", "own_tickets", "refuse_own_job", "wait_for", "wait_for_rest"]

Progress = Callable[[int, int, str], object]


def wait_for(
    engine: Dispatcher,
    account: JobAccount,
    timeout: float | None,
    progress: Progress | None = None,
    *,
    or_rest: bool = False,
) -> bool:
    """Wait until a job is over, at most ``timeout`` seconds; True when it is.

    Args:
        engine: The job's.
        account: The job's.
        timeout: None: as long as it takes.
        progress: Called with ``(queued, running, status)``.
        or_rest: Be content also when the job is paused and nothing of it runs.

    Raises:
        WouldDeadlockError: The calling handler is part of that very job; or the calling listener holds up the thread
            that enters what workers elsewhere have done.
    """
    refuse_own_job(engine, account)
    deadline = engine.deadline(timeout)
    waiter = Waiter(engine.runtime)

    def done() -> bool:
        return account.over or (or_rest and account.rested)

    with account.lock:
        ended = done()
        if not ended:
            if engine.remote is not None and engine.remote.is_attending():
                raise WouldDeadlockError(
                    f"an instrument, output handler or merge function of flow {engine.name!r} cannot wait for its job "
                    f"{account.job.job_id}: it is called in the thread that enters what workers have done; wait in "
                    "another thread, or in a routine that runs in the driver (runs_in_driver = True)"
                )
            account.enlist_locked(waiter, every_end=progress is not None)
    try:
        while not ended:
            if progress is not None:
                _report(account, progress)
            news = waiter.park(engine.left(deadline))
            with account.lock:
                ended = done()
                if news:
                    waiter.rearm_locked()
            if not news:
                break
    finally:
        with account.lock:
            account.dismiss_locked(waiter)
    if progress is not None:
        _report(account, progress)
    return ended


def wait_for_rest(engine: Dispatcher, account: JobAccount) -> None:
    """Wait until nothing of a held job runs but what waits here itself.

    Two handlers that hold their job at the same time do not wait for each other; who holds it from outside waits for
    both. In the event loop's thread, and in one that sends to workers elsewhere and enters what they have done, which
    must not be blocked, this returns at once.
    """
    if engine.coroutines.thread.is_current() or (engine.remote is not None and engine.remote.is_attending()):
        return
    mine = own_tickets(account)
    waiter = Waiter(engine.runtime)
    with account.lock:
        account.enlist_locked(waiter, every_end=True)
        account.pausers.update(mine)
        for other in account.watchers:
            other.wake_locked()
    try:
        while True:
            with account.lock:
                waiter.rearm_locked()
                others = account.running.keys() - mine
                if account.gate != HELD or not (others - account.pausers if mine else others):
                    return
            waiter.park(None)
    finally:
        with account.lock:
            account.dismiss_locked(waiter)
            account.pausers.difference_update(mine)


def own_tickets(account: JobAccount) -> set[int]:
    """Tickets of the activations of a job that the calling code is part of."""
    tickets = set()
    item = context.current()
    while item is not None:
        if item[2] is account:
            tickets.add(item[0])
        # A sequential job runs inside the handler that executed it, and cannot end after it.
        item = item[2].enclosing
    return tickets


def refuse_own_job(engine: Dispatcher, account: JobAccount | None) -> None:
    """Refuse to wait for ``account``, or for any job of ``engine``, inside a handler that is part of it."""
    item = context.current()
    while item is not None:
        mine = item[2]
        if mine is account or (account is None and mine.engine is engine):
            raise WouldDeadlockError(
                f"a handler of job {mine.job.job_id} cannot wait for that job to end; "
                "return from the handler, and wait outside it"
            )
        item = mine.enclosing


def _report(account: JobAccount, progress: Progress) -> None:
    running = len(account.running)
    progress(account.outstanding() - running, running, account.job.status)
