"""What to do about an error: pure functions of the handler, the exception and the attempt. Nothing here acts."""

from __future__ import annotations

from enum import StrEnum
from math import exp, log
from typing import NamedTuple

from routilux.abc import LONGEST_WAIT
from routilux.error_handler import ErrorHandler, ErrorStrategy
from routilux.exceptions import WorkerLostError

__all__ = ["Action", "Decision", "decide", "retry_delay"]


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
        # A lost worker says nothing of the handler: what its exceptions are limited to does not concern it.
        may = isinstance(error, (_retryable(handler), WorkerLostError))
        if attempt <= handler.max_retries and may:
            return Decision(Action.RETRY, retry_delay(handler, attempt))
        return _STOP
    return _PLAIN[handler.strategy] if isinstance(error, Exception) else _STOP


def _retryable(handler: ErrorHandler) -> type[BaseException] | tuple[type[BaseException], ...]:
    return Exception if handler.retryable_exceptions is None else handler.retryable_exceptions


def retry_delay(handler: ErrorHandler, attempt: int) -> float:
    """Seconds from the failure of ``attempt`` to the next one: ``retry_delay * retry_backoff ** (attempt - 1)``.

    At most `LONGEST_WAIT`: a product that overflows means "practically never", not a second error.
    """
    delay, backoff, exponent = float(handler.retry_delay), float(handler.retry_backoff), attempt - 1
    if not delay or (not backoff and exponent):
        return 0.0
    try:
        return min(delay * backoff**exponent, LONGEST_WAIT)
    except OverflowError:
        # The power alone is out of range; the product may not be.
        power = log(delay) + exponent * log(backoff)
        return exp(power) if power < log(LONGEST_WAIT) else LONGEST_WAIT
