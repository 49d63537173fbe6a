"""Exceptions that come from outside a program: raised in the middle of it by a signal handler, or by who debugs it.

A test's time limit is one, leaving the debugger another. They say nothing about the program, so they are neither judged
nor replayed: they go through to whoever runs the simulation.
"""

from __future__ import annotations

import signal
import sys
from types import CodeType

__all__ = ["is_interruption"]


LEAVING = (("bdb", "BdbQuit"), ("_pytest.outcomes", "Exit"))
"""Module and name of what debuggers raise when they are left, plain ones and pytest's."""


def is_interruption(error: BaseException) -> bool:
    """Whether ``error`` is Ctrl-C's, was raised by a signal handler, or says that a debugger has been left."""
    if isinstance(error, KeyboardInterrupt) or _leaves_debugger(error):
        return True
    handlers = _handlers()
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _leaves_debugger(error: BaseException) -> bool:
    kinds = (getattr(sys.modules.get(module), name, None) for module, name in LEAVING)
    return any(isinstance(kind, type) and isinstance(error, kind) for kind in kinds)


def _handlers() -> set[CodeType]:
    """The code of the signal handlers that are installed and written in Python."""
    codes = (getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals())
    return {code for code in codes if isinstance(code, CodeType)}
