"""Activations whose handlers are ``async``: coroutines on one event-loop thread, which no worker waits for.

Knows activations and an event-loop thread; decides nothing about outcomes. A worker takes the activation as it takes
any other, hands it over here and goes on; from then on the loop's thread has it, and settles it.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from routilux.engine import context
from routilux.engine.accounting import CLOSED
from routilux.engine.dispatch import call_handler
from routilux.exceptions import WouldDeadlockError
from routilux.runtime import pause
from routilux.schedulers.event_loop import LoopThread

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from routilux.abc import Faults, Lock
    from routilux.engine.accounting import JobAccount
    from routilux.engine.activation import Item
    from routilux.engine.dispatch import Dispatcher

__all__ = ["Coroutines"]


class Coroutines:
    """The coroutines in flight of one engine.

    Args:
        engine: Settles what has ended.
        name: The thread's.
    """

    def __init__(self, engine: Dispatcher, name: str) -> None:
        self._engine = engine
        self.thread = LoopThread(engine.runtime, name)

    def begin(self, item: Item) -> None:
        """Hand an activation over to the event loop; in a sequential job, wait until it has ended.

        Raises:
            RuntimeError: The loop's thread could not be started.
            WouldDeadlockError: A sequential job in the loop's own thread, which would wait for itself.
        """
        account = item[2]
        if not account.sequential:
            self.thread.post(self._start, item, None)
            return
        if self.thread.is_current():
            raise WouldDeadlockError(
                f"job {account.job.job_id} runs sequentially inside an async handler, so its own async handlers "
                "cannot run meanwhile; execute it concurrently"
            )
        done = self._engine.runtime.lock()
        done.acquire()
        self.thread.post(self._start, item, done)
        done.acquire()

    def cancel(self, account: JobAccount) -> None:
        """Cancel what is in flight of a job that was closed from outside."""
        if self.thread.loop is not None:
            self.thread.post(_cancel_all, account)

    def _start(self, item: Item, done: Lock | None) -> None:
        """In the loop's thread: begin the coroutine."""
        account = item[2]
        began = self._engine.clock()
        if account.gate == CLOSED and account.revoked:
            self._end(item, began, done, _Outcome(None, cancelled=True))
            return
        surroundings = copy_context()
        surroundings.run(context.enter, item)
        try:
            faults = self._engine.runtime.faults
            awaitable = surroundings.run(call_handler, item[3], item) if faults is None else _meddled(faults, item)
        except BaseException as error:  # noqa: BLE001 - the error strategy decides, and nothing is lost
            self._end(item, began, done, _Outcome(error))
            return
        loop = self.thread.loop
        assert loop is not None  # noqa: S101 - it is what calls this
        task = loop.create_task(_outcome(awaitable), context=surroundings)
        account.coroutines[item[0]] = task

        def ended(task: Any) -> None:
            del account.coroutines[item[0]]
            if task.cancelled():
                # Before its first step, so it has had no chance to say so; and what it would await is not awaited.
                _discard(awaitable)
                outcome = _Outcome(None, cancelled=True)
            else:
                outcome = task.result()
            surroundings.run(self._end, item, began, done, outcome)

        task.add_done_callback(ended)

    def _end(self, item: Item, began: int, done: Lock | None, outcome: _Outcome) -> None:
        account = item[2]
        try:
            if outcome.error is None and not outcome.cancelled:
                self._engine.settle(item, "completed", None, began)
            elif outcome.cancelled and account.revoked:
                self._engine.settle(item, "cancelled", None, began)
            else:
                self._engine.fail(item, outcome.error or RuntimeError("the handler's task was cancelled"), began)
        finally:
            if done is not None:
                done.release()


class _Outcome:
    """How a coroutine ended."""

    __slots__ = ("cancelled", "error")

    def __init__(self, error: BaseException | None, *, cancelled: bool = False) -> None:
        self.error = error
        self.cancelled = cancelled


async def _meddled(faults: Faults, item: Item) -> Any:
    """Let happen what is to go wrong, and then await the handler."""
    seconds, error = faults.before_handler(item[3].routine_id, item[3].target.slot.name)
    if seconds:
        await pause(seconds)
    if error is not None:
        raise error
    value = await call_handler(item[3], item)
    faults.after_handler()
    return value


async def _outcome(awaitable: Awaitable[Any]) -> _Outcome:
    """Await, and keep what is raised: a loop must not end because a handler raised SystemExit."""
    try:
        await awaitable
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - as for any other handler
        return _Outcome(error, cancelled=type(error).__name__ == "CancelledError")
    return _Outcome(None)


def _discard(awaitable: Awaitable[Any]) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _cancel_all(account: JobAccount) -> None:
    for task in list(account.coroutines.values()):
        task.cancel()
