"""One event meeting one slot, for one job: the unit that is queued, run, retried, dropped and logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux.engine.accounting import JobAccount
    from routilux.engine.routing import Target
    from routilux.job_state import JobState

__all__ = ["Activation"]


class Activation:
    """A handler call that is due.

    Instruments get these: read them, do not change them.

    Attributes:
        account: The books of the job that it belongs to.
        target: The slot that it goes to.
        data: What was emitted, renamed by the connection; once ``merged``, what the handler is given.
        merged: Whether the slot's merge strategy has been applied, once for all attempts.
        attempt: 1 for the first try.
        number: Counts the activations of a job from 1, in the order in which they were emitted.
    """

    __slots__ = ("account", "attempt", "data", "merged", "number", "target")

    def __init__(
        self,
        account: JobAccount,
        target: Target,
        data: dict[str, Any],
        number: int,
        attempt: int = 1,
        merged: bool = False,
    ) -> None:
        self.account = account
        self.target = target
        self.data = data
        self.number = number
        self.attempt = attempt
        self.merged = merged

    @property
    def job(self) -> JobState:
        """The state of its job."""
        return self.account.job

    @property
    def routine_id(self) -> str:
        """The routine that it goes to."""
        return self.target.node.routine_id

    @property
    def slot(self) -> str:
        """The name of the slot that it goes to."""
        return self.target.slot.name

    def again(self) -> Activation:
        """The next attempt: the same activation, with the data that its handler saw."""
        return Activation(self.account, self.target, self.data, self.number, self.attempt + 1, self.merged)

    def __repr__(self) -> str:
        return f"<Activation {self.number} of {self.job.job_id}: {self.routine_id}.{self.slot}, attempt {self.attempt}>"
