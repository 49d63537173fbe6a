"""Exceptions that come from outside a program: raised in the middle of it by a signal handler.

A test's time limit is one. They say nothing about the program, so they are neither judged nor replayed: whoever set the
alarm gets its exception.
"""

from __future__ import annotations

import signal
from types import CodeType

__all__ = ["is_interruption"]


def is_interruption(error: BaseException) -> bool:
    """Whether ``error`` is Ctrl-C's, or was raised by a signal handler."""
    if isinstance(error, KeyboardInterrupt):
        return True
    handlers = _handlers()
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _handlers() -> set[CodeType]:
    """The code of the signal handlers that are installed and written in Python."""
    codes = (getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals())
    return {code for code in codes if isinstance(code, CodeType)}
