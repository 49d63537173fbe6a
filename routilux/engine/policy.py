"""What to do about an error: pure functions of the handler, the exception and the attempt. Nothing here acts."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from routilux.error_handler import ErrorHandler, ErrorStrategy

__all__ = ["MAX_DELAY", "Action", "Decision", "decide", "retry_delay"]

MAX_DELAY = 100 * 365 * 86_400.0
"""A century, in seconds; below what ``Lock.acquire(timeout=)`` accepts on every platform."""


class Action(StrEnum):
    """The outcomes that an error can have; the values are the routine states that users read."""

    STOP = "failed"
    CONTINUE = "error_continued"
    SKIP = "skipped"
    RETRY = "retry"


class Decision(NamedTuple):
    """An action and, for RETRY, the seconds until the next attempt."""

    action: Action
    delay: float = 0.0


_STOP = Decision(Action.STOP)
_PLAIN = {
    ErrorStrategy.STOP: _STOP,
    ErrorStrategy.CONTINUE: Decision(Action.CONTINUE),
    ErrorStrategy.SKIP: Decision(Action.SKIP),
}


def decide(handler: ErrorHandler | None, error: BaseException, attempt: int) -> Decision:
    """Choose the action for ``error``, raised by the ``attempt``-th try (counted from 1).

    What is not an ``Exception`` (KeyboardInterrupt, SystemExit …) fails the job whatever the strategy, unless it is
    named among the retryable ones.
    """
    if handler is None:
        return _STOP
    if handler.strategy is ErrorStrategy.RETRY:
        if attempt <= handler.max_retries and isinstance(error, handler.retryable_exceptions or Exception):
            return Decision(Action.RETRY, retry_delay(handler, attempt))
        return _STOP
    return _PLAIN[handler.strategy] if isinstance(error, Exception) else _STOP


def retry_delay(handler: ErrorHandler, attempt: int) -> float:
    """Seconds from the failure of ``attempt`` to the next one: ``retry_delay * retry_backoff ** (attempt - 1)``.

    At most `MAX_DELAY`: an exponent that overflows means "practically never", not a second error.
    """
    try:
        return min(handler.retry_delay * handler.retry_backoff ** (attempt - 1), MAX_DELAY)
    except OverflowError:
        return MAX_DELAY
