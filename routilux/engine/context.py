"""Which activation the running code is part of.

A context variable, so that it follows ``contextvars.copy_context().run`` into threads that a handler starts, and so
that simulated threads, which have contexts of their own, keep theirs apart.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux.engine.activation import Item

__all__ = ["current", "enter", "leave"]

_active: ContextVar[Item | None] = ContextVar("routilux_activation", default=None)

current = _active.get

# Not undone after each activation, which would cost as much again: the next one enters in its place, and a worker that
# has nothing to do leaves.
enter = _active.set


def leave() -> None:
    """Be part of no activation any more."""
    _active.set(None)
