"""What cannot be simulated and would escape: using it ends the execution as inconclusive, naming it and a remedy."""

from __future__ import annotations

import _thread
import os
import selectors
import subprocess
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import here
from routilux_sim.kernel.errors import EscapeError

__all__ = ["NO_IO", "guard", "replacements"]

NO_IO = "keep real input and output out of the program"

_ESCAPES: list[tuple[Any, str, str, str]] = [
    (_thread, "start_new_thread", "_thread.start_new_thread()", "start a threading.Thread, which is simulated"),
    (os, "fork", "os.fork()", "keep other processes out of the simulated program"),
    (subprocess.Popen, "__init__", "subprocess.Popen()", "keep other processes out of the simulated program"),
]
_ESCAPES += [
    (kind, "select", "waiting for sockets, or in an event loop that was not made in the simulation,", NO_IO)
    for kind in vars(selectors).values()
    if isinstance(kind, type) and issubclass(kind, selectors.BaseSelector) and "select" in vars(kind)
]


def replacements() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Owner, name and what to put there while the simulated world is installed."""
    return [
        (owner, name, guard(owner, name, what, remedy))
        for owner, name, what, remedy in _ESCAPES
        if hasattr(owner, name)
    ]


def guard(owner: Any, name: str, what: str, remedy: str) -> Callable[..., Any]:
    """What to put in the place of ``owner.name``: it ends the execution in a simulation, and is what it was outside."""
    original = getattr(owner, name)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        kernel = here()
        if kernel is not None:
            kernel.stop(EscapeError(f"{what} is not simulated: {remedy}"))
        return original(*args, **kwargs)

    guarded.__name__ = name
    guarded.__doc__ = original.__doc__
    return guarded
