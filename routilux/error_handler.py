"""Error strategies as users write them; the engine's decisions are in `routilux.engine.policy`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum

from routilux.engine import context
from routilux.exceptions import UnknownNameError

__all__ = ["ErrorHandler", "ErrorStrategy"]


class ErrorStrategy(StrEnum):
    """What becomes of a job when a handler raises."""

    STOP = "stop"
    """The job fails; what it has queued is dropped."""
    CONTINUE = "continue"
    """The error is recorded, everything else goes on."""
    RETRY = "retry"
    """The activation is tried again later; when that does not help, as STOP."""
    SKIP = "skip"
    """The routine counts as skipped, everything else goes on."""

    @classmethod
    def _missing_(cls, value: object) -> ErrorStrategy:
        raise UnknownNameError("error strategy", value, [member.value for member in cls])


class ErrorHandler:
    """An error strategy with its figures, for a routine or for a whole flow.

    Args:
        strategy: An `ErrorStrategy` or its name.
        max_retries: How many times a failed activation is tried again, so ``max_retries + 1`` attempts in all.
        retry_delay: Seconds from the first failure to the second attempt.
        retry_backoff: What the delay is multiplied with from each retry to the next.
        retryable_exceptions: Exception classes worth a retry; None means every ``Exception``.
        is_critical: Marks a routine that the job cannot do without.

    Raises:
        ValueError: An unknown strategy, or a figure that is negative or not finite.
        TypeError: ``retryable_exceptions`` holds something that is no exception class.
    """

    def __init__(
        self,
        strategy: ErrorStrategy | str = "stop",
        max_retries: int = 3,
        retry_delay: float = 1.0,
        retry_backoff: float = 2.0,
        retryable_exceptions: Iterable[type[BaseException]] | type[BaseException] | None = None,
        is_critical: bool = False,
    ) -> None:
        self.strategy = strategy
        self.max_retries = _count("max_retries", max_retries)
        self.retry_delay = _figure("retry_delay", retry_delay)
        self.retry_backoff = _figure("retry_backoff", retry_backoff)
        self.retryable_exceptions = _exception_classes(retryable_exceptions)
        self.is_critical = is_critical
        self._last_retry_count = 0

    @property
    def strategy(self) -> ErrorStrategy:
        """What to do about an error; may be assigned by name too."""
        return self._strategy

    @strategy.setter
    def strategy(self, strategy: ErrorStrategy | str) -> None:
        self._strategy = ErrorStrategy(strategy)

    @property
    def retry_count(self) -> int:
        """Retries made so far by the job at hand; outside a handler, by the job that retried last.

        A mirror for reading: each job counts its own, and no decision looks here.
        """
        item = context.current()
        return self._last_retry_count if item is None else item[2].retries_by(self)

    def __repr__(self) -> str:
        return (
            f"ErrorHandler({self.strategy.value!r}, max_retries={self.max_retries}, "
            f"retry_delay={self.retry_delay}, retry_backoff={self.retry_backoff}, is_critical={self.is_critical})"
        )


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number from 0 up, not {value!r}")
    return value


def _figure(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number from 0 up, not {value!r}")
    return value


def _exception_classes(
    classes: Iterable[type[BaseException]] | type[BaseException] | None,
) -> tuple[type[BaseException], ...] | None:
    if classes is None:
        return None
    if isinstance(classes, type):
        classes = (classes,)
    result = tuple(classes)
    for item in result:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise TypeError(f"retryable_exceptions must hold exception classes, not {item!r}")
    return result
