"""Stopping a job for a while: paused until it is resumed, or held still for as long as it takes to look at it.

Knows the gate of a job and who may open it. While a job is held, whatever of it is queued, delayed or emitted is put
aside on its books, and nothing starts; nothing is lost by it, and nothing doubled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from routilux.engine.accounting import CLOSED, HELD, OPEN, Delayed, JobAccount
from routilux.engine.waiting import wait_for_rest

if TYPE_CHECKING:
    from routilux.engine.dispatch import Dispatcher

__all__ = ["held_still", "pause", "release"]


def pause(engine: Dispatcher, account: JobAccount, reason: str, checkpoint: Any) -> bool:
    """Hold a job until it is resumed; return when nothing else of it runs.

    Returns:
        False when there is nothing to pause: the job has ended, or is ending.
    """
    with account.lock:
        if account.gate == CLOSED:
            return False
        fresh = not account.paused
        if fresh:
            account.paused = True
            account.job.note_pause(reason, checkpoint)
            _stop_deadline_locked(engine, account)
            _hold_locked(engine, account)
    if fresh:
        if account.hooks is not None:
            account.hooks.call("job_pause", account.job)
        if account.ledger is not None:
            account.ledger.changed()
    wait_for_rest(engine, account)
    if not account.running:
        engine.quiet(account)
    return True


@contextmanager
def held_still(engine: Dispatcher, account: JobAccount) -> Iterator[None]:
    """Hold a job while the body looks at it: what runs is waited for, nothing starts, and its status stays."""
    with account.lock:
        over = account.gate == CLOSED
        if not over:
            account.holds += 1
            _hold_locked(engine, account)
    try:
        wait_for_rest(engine, account)
        yield
    finally:
        if not over:
            release(engine, account)


def release(engine: Dispatcher, account: JobAccount) -> None:
    """Hold a job no longer; it goes on unless somebody else holds it.

    Raises:
        RuntimeError: There is no thread to be had for what goes on.
    """
    with account.lock:
        account.holds -= 1
        _reopen_locked(engine, account)
    if not account.running:
        engine.quiet(account)


def _hold_locked(engine: Dispatcher, account: JobAccount) -> None:
    account.gate = HELD
    engine.hold_locked(account)
    for ticket, (item, due, timer) in tuple(account.delayed.items()):
        if timer is not None:
            engine.timers.cancel(timer)
        account.delayed[ticket] = Delayed(item, due, None)


def _stop_deadline_locked(engine: Dispatcher, account: JobAccount) -> None:
    """A paused job's time stands still."""
    timer = account.deadline
    if timer is not None and engine.timers.cancel(timer):
        account.left_ns = max(0, timer.deadline_ns - engine.clock())
        account.deadline = None


def _reopen_locked(engine: Dispatcher, account: JobAccount) -> None:
    if account.paused or account.holds or account.gate != HELD:
        return
    items = list(account.held.values())
    # On the next page before off this one, and before the workers before anything newer.
    account.queued.update(account.held)
    account.held.clear()
    engine.time_again_locked(account)
    if items:
        account.lane.submit(items)
    account.gate = OPEN
    for waiter in account.watchers:
        waiter.wake_locked()
