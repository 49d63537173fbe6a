"""Which execution is under way, and whether the calling code is part of it."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux_sim.kernel.core import Kernel

__all__ = ["activate", "active", "here"]

# Not an attribute of a class: each change of one voids what CPython has cached about look-ups on it and its instances,
# and from 3.13 on nothing is cached any more for a class that has changed a thousand times.
_active: Kernel | None = None


def active() -> Kernel | None:
    """The kernel whose execution is under way. One at a time: simulating patches the process."""
    return _active


def activate(kernel: Kernel | None) -> None:
    """Make ``kernel``'s execution the one that is under way."""
    global _active  # noqa: PLW0603 - read at every simulated operation
    _active = kernel


def here() -> Kernel | None:
    """The kernel that the calling code is simulated by; None in real threads, and in the simulator's own code."""
    kernel = _active
    if kernel is None or kernel.current is None or kernel.thread_id != get_ident():
        return None
    return kernel
