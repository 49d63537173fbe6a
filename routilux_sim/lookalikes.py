"""Tracebacks of what has raised nothing: where a task waits, or has called what is not simulated.

They are made of frames that only look like the program's own: a real one would keep alive what the program has in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType, TracebackType

__all__ = ["traceback_along"]


def traceback_along(frames: Iterable[FrameType]) -> TracebackType | None:
    """A traceback that leads to where these frames are, the innermost first; None if there are none."""
    made: TracebackType | None = None
    for frame in frames:
        # -1: there are no columns to point at.
        made = TracebackType(made, _like(frame), -1, frame.f_lineno or frame.f_code.co_firstlineno)
    return made


def _like(frame: FrameType) -> FrameType:
    code = frame.f_code
    lookalike = _nothing.__code__.replace(
        co_filename=code.co_filename,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
    )
    # That of a generator which has not begun: unlike one that has run, it refers to no caller's.
    made: FrameType = FunctionType(lookalike, {"__name__": frame.f_globals.get("__name__")})().gi_frame
    return made


def _nothing() -> Iterator[None]:
    yield
