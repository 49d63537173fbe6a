"""Whether two executions fail in the same way: with more said than "it fails", and less than the very words."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from routilux_sim.judge.stacks import is_machinery
from routilux_sim.judge.verdict import kind_of
from routilux_sim.kernel.errors import DataRaceError, DeadlockError, InvariantError, LivelockError

__all__ = ["Signature", "signature_of"]

Signature = tuple[Any, ...]
"""Equal for failures that are the same."""


def signature_of(error: BaseException | None) -> Signature | None:
    """What an execution's failure is known by; None if it has not failed.

    The kind; of an exception its type and the function that raised it, of a deadlock its cause and what waits in the
    ring, of a livelock its cause, of a data race the two accesses, of an invariant its name. An exception may have an
    attribute ``__about__``, which tells it from others of its type that are raised in the same function.
    """
    if error is None:
        return None
    kind = kind_of(error)
    if kind is None:
        return None
    if isinstance(error, DeadlockError):
        return kind, error.cause, error.shape
    if isinstance(error, LivelockError):
        return kind, error.cause
    if isinstance(error, DataRaceError | InvariantError):
        return kind, error.invariant if isinstance(error, InvariantError) else getattr(error.race, "key", None)
    return kind, type(error), _raised_in(error.__traceback__), getattr(error, "__about__", None)


def _raised_in(traceback: TracebackType | None) -> tuple[str, str] | None:
    """File and function of the innermost frame that is the program's, or a library's that it calls."""
    found = None
    while traceback is not None:
        frame = traceback.tb_frame
        if not is_machinery(frame):
            found = (frame.f_code.co_filename, frame.f_code.co_qualname)
        traceback = traceback.tb_next
    return found
