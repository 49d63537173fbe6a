"""Who is told what orders the doings of tasks: between the simulated world and whoever judges by that order."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Edges"]


class Edges(Protocol):
    """Is told of synchronization, when it takes effect, by the task that runs.

    An edge leads from a release to each later acquire under the same name and of the same object: what the one task did
    before the release happened before what the other does after the acquire.
    """

    def release(self, edge: str, obj: Any) -> None:
        """What the current task has done so far is to be seen by whoever acquires ``obj`` later."""

    def acquire(self, edge: str, obj: Any) -> None:
        """The current task sees what was done before ``obj`` was released."""

    def send(self, edge: str, obj: Any, item: Any) -> None:
        """The same as `release`, to be seen by the one task that takes ``item`` out of ``obj``."""

    def receive(self, edge: str, obj: Any, item: Any) -> None:
        """The current task has taken ``item`` out of ``obj``."""
