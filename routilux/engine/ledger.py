"""What the engine tells a durable record of a job, so that the job can be taken up again after a crash.

An interface: the engine knows this much of a job store, and no more. `routilux.store` implements it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux.engine.activation import Item
    from routilux.exceptions import RoutiluxError
    from routilux.job_state import DeferredEvent

__all__ = ["Ledger"]


class Ledger(ABC):
    """The durable record of one job. Calls come from whichever thread the thing happens in, often at the same time.

    Attributes:
        fault: Why nothing is recorded any more; the job fails with it when the engine next looks.
    """

    fault: RoutiluxError | None

    @abstractmethod
    def began(self, items: Sequence[Item], status: str) -> None:
        """The job begins, or is taken up again, with these activations outstanding; its status on record."""

    @abstractmethod
    def emitted(self, parent: Item | None, items: Sequence[Item]) -> Sequence[Item]:
        """``parent``'s handler has emitted these activations; None: they come from outside any handler.

        Returns those that may be queued now; the others are returned when the end of ``parent``'s attempt is on record.
        """

    @abstractmethod
    def undeferred(self, event: DeferredEvent, items: Sequence[Item]) -> Sequence[Item]:
        """A deferred event has become these activations; returns those that may be queued now."""

    @abstractmethod
    def merged(self, item: Item, gathered: dict[str, Any]) -> None:
        """An activation, as it is now, has its part in what its slot has gathered; called with that locked."""

    @abstractmethod
    def ended(self, item: Item, outcome: str, duration_ns: int, error: str | None) -> Sequence[Item]:
        """An activation's handler has ended for good; called before it leaves the books.

        Returns activations that may be queued now.
        """

    @abstractmethod
    def retried(self, again: Item, delay_ns: int) -> Sequence[Item]:
        """An attempt has failed, and ``again`` is due after so many nanoseconds; called with the account locked.

        Returns activations that may be queued now.
        """

    @abstractmethod
    def dropped(self, items: Sequence[Item]) -> None:
        """These activations will never run."""

    @abstractmethod
    def changed(self) -> None:
        """The job's status has changed."""

    @abstractmethod
    def finished(self) -> None:
        """The job is over."""
