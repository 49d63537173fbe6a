"""Tracebacks of tasks that have raised nothing: where one waits is where people want to be pointed to.

They are made of frames that only look like the task's own: a real one would keep alive what the program has in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType, FunctionType, TracebackType

from routilux_sim.judge.stacks import Place, user_frames
from routilux_sim.kernel.task import Task

__all__ = ["traceback_of"]


def traceback_of(task: Task) -> TracebackType | None:
    """The traceback of the program's part of a suspended task's stack; None if it is not in the program."""
    made: TracebackType | None = None
    for frame in user_frames(task):
        line = Place(frame.f_code, frame.f_lasti).line
        # -1: there are no columns to point at.
        made = TracebackType(made, _like(frame), -1, line)
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
