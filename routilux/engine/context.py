"""Which activation the running code is part of.

A context variable, so that it follows ``contextvars.copy_context().run`` into threads that a handler starts, and so
that simulated threads, which have contexts of their own, keep theirs apart.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux.engine.activation import Activation

active: ContextVar[Activation | None] = ContextVar("routilux_activation", default=None)

current = active.get
