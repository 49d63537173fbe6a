"""The one place that issues verdicts.

``failed``: something went wrong, and did so again when replayed. ``exhausted``: every schedule that differs at the
explored granularity ran. ``passed``: the budget ran out first; never to be worded as a proof. ``inconclusive``:
something escaped control, diverged or hit a limit; never to be counted as a pass.
"""

from __future__ import annotations

from typing import Literal

from routilux_sim.kernel.errors import (
    DataRaceError,
    DeadlockError,
    InvariantError,
    LivelockError,
    SimulationError,
)

__all__ = ["FailureKind", "Verdict", "kind_of", "of_campaign", "of_execution", "words_of_proof"]

Verdict = Literal["failed", "exhausted", "passed", "inconclusive"]
FailureKind = Literal["exception", "deadlock", "livelock", "race", "invariant"]


def kind_of(error: BaseException) -> FailureKind | None:
    """What kind of failure ``error`` is; None when it says nothing about the program."""
    if isinstance(error, DeadlockError):
        return "deadlock"
    if isinstance(error, LivelockError):
        return "livelock"
    if isinstance(error, DataRaceError):
        return "race"
    if isinstance(error, InvariantError):
        return "invariant"
    return None if isinstance(error, SimulationError) else "exception"


def of_execution(error: BaseException | None) -> Verdict:
    """Judge one execution by what ended it."""
    if error is None:
        return "passed"
    return "inconclusive" if kind_of(error) is None else "failed"


def of_campaign(
    *, failed: bool, reproduced: bool, inconclusive: bool, proof: str | None, unseen: str | None = None
) -> Verdict:
    """Judge a campaign.

    Args:
        failed: Some execution failed.
        reproduced: That failure came back each time it was replayed.
        inconclusive: Some execution said nothing about the program.
        proof: Within which bound a search that came to its end has left no schedule out, nor cut one short; "" if there
            is no bound. None for any other search: a budget that was spent is no end.
        unseen: Why orders may matter that the search took for equivalent, and of which it ran one only.
    """
    if failed:
        return "failed" if reproduced else "inconclusive"
    if inconclusive:
        return "inconclusive"
    return "passed" if proof is None or unseen is not None else "exhausted"


def words_of_proof(bound: str, granularity: str, *, reduced: bool = False) -> str:
    """Say what ``exhausted`` covers.

    Args:
        bound: In words: "with at most 2 preemptions"; "" if there is none.
        granularity: Between what another task may come: "synchronization operations".
        reduced: Of interleavings that differ in the order of independent operations only, one was enough.
    """
    words = " ".join(part for part in ("every interleaving of", granularity, bound) if part)
    if reduced:
        words += ", up to the order of independent ones, provided that tasks share nothing but what these are about"
    return words
