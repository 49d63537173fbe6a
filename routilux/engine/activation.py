"""One event meeting one slot, for one job: the unit that is queued, run, retried, dropped and logged.

In the queue it is a bare tuple, an `Item`, which costs a third of what an object does; whoever is told of one gets it
as an `Activation`, the same tuple with names. Neither is ever changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.engine.routing import Delivery
    from routilux.job_state import JobState

__all__ = ["EPOCH", "Activation", "Item", "make_activation", "renewed"]

Item = tuple[int, int, "JobAccount", "Delivery", tuple[Any, ...], int]
"""Ticket, time of the emit in nanoseconds, account, delivery, values, attempt; see `Activation`."""

EPOCH = 1 << 40


def renewed(item: Item, attempts: int = 0) -> Item:
    """The same activation under another ticket, so that whoever still has the old one in hand has nothing.

    Args:
        item: The activation.
        attempts: How many more have been made of it.
    """
    ticket, emitted_ns, account, delivery, values, attempt = item
    return (ticket + EPOCH, emitted_ns, account, delivery, values, attempt + attempts)


class Activation(NamedTuple):
    """A handler call that is due.

    Attributes:
        ticket: Under which the books have it: its number, and how often it was queued anew.
        emitted_ns: When it was emitted, on the runtime's clock.
        account: The books of the job that it belongs to.
        delivery: Which slot it goes to, and under which names.
        values: What was emitted, in the order of the delivery's keys.
        attempt: 1 for the first try.
    """

    ticket: int
    emitted_ns: int
    account: JobAccount
    delivery: Delivery
    values: tuple[Any, ...]
    attempt: int

    @property
    def number(self) -> int:
        """Counts the activations of a job from 1, in the order in which they were emitted; one for all attempts."""
        return self.ticket % EPOCH

    @property
    def job(self) -> JobState:
        """The state of its job."""
        return self.account.job

    @property
    def routine_id(self) -> str:
        """The routine that it goes to."""
        return self.delivery.routine_id

    @property
    def slot(self) -> str:
        """The name of the slot that it goes to."""
        return self.delivery.target.slot.name

    @property
    def data(self) -> dict[str, Any]:
        """What it carries, under the names that the slot knows."""
        return self.delivery.data(self.values)

    def __repr__(self) -> str:
        return f"<Activation {self.number} of {self.job.job_id}: {self.routine_id}.{self.slot}, attempt {self.attempt}>"


make_activation = Activation._make
"""Gives an `Item` its names."""
