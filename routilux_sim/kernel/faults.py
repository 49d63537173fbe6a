"""What the objects that tasks wait in ask when something may be made to go wrong."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Faults"]


class Faults(Protocol):
    """Decides, for the current task."""

    def spurious(self, condition: Any) -> int | None:
        """After how many virtual nanoseconds a wait that begins now ends without cause; None: it does not."""

    def is_full(self, queue: Any) -> bool:
        """Whether a queue with a limit is to say that it is full."""
