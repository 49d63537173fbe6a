"""Counts and durations of one routine in one job: what states and performance figures are read from."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Figures"]

ENDS = ("completed", "failed", "error_continued", "skipped")


class Figures:
    """What became of a routine's activations.

    Attributes:
        completed, failed, error_continued, skipped: How many ended in each way.
        retries: How many attempts were put off for another.
        calls: How many attempts there were, retried ones included.
        total_ns, min_ns, max_ns: Time spent in them, in nanoseconds.
    """

    __slots__ = (
        "calls",
        "completed",
        "error_continued",
        "failed",
        "max_ns",
        "min_ns",
        "retries",
        "skipped",
        "total_ns",
    )

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.error_continued = 0
        self.skipped = 0
        self.retries = 0
        self.calls = 0
        self.total_ns = 0
        self.min_ns = 0
        self.max_ns = 0

    @property
    def ended(self) -> int:
        """Activations that have ended for good."""
        return self.completed + self.failed + self.error_continued + self.skipped

    @property
    def status(self) -> str:
        """The gravest way in which an activation ended; ``pending`` when none has.

        The gravest and not the latest, so that it does not depend on the order in which activations happened to end.
        """
        if self.failed:
            return "failed"
        if self.error_continued:
            return "error_continued"
        if self.skipped:
            return "skipped"
        return "completed" if self.completed else "pending"

    def spend(self, durations_ns: Sequence[int]) -> None:
        """Count attempts of these lengths, as completed ones; at least one."""
        least, most = min(durations_ns), max(durations_ns)
        self.min_ns = min(self.min_ns, least) if self.calls else least
        self.max_ns = max(self.max_ns, most)
        self.calls += len(durations_ns)
        self.completed += len(durations_ns)
        self.total_ns += sum(durations_ns)

    def end(self, status: str) -> None:
        """Count an activation that ended with ``status``, one of `ENDS`."""
        setattr(self, status, getattr(self, status) + 1)

    def add(self, other: Figures) -> None:
        """Add another job's figures for the same routine."""
        if other.calls:
            self.min_ns = min(self.min_ns, other.min_ns) if self.calls else other.min_ns
            self.max_ns = max(self.max_ns, other.max_ns)
        self.completed += other.completed
        self.failed += other.failed
        self.error_continued += other.error_continued
        self.skipped += other.skipped
        self.retries += other.retries
        self.calls += other.calls
        self.total_ns += other.total_ns
