"""Whose code is running: where the program called something, in which words, and what its tasks are doing."""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FrameType
from typing import NamedTuple

from routilux_sim.kernel.core import Kernel, describe
from routilux_sim.kernel.task import DONE, Task

__all__ = ["Place", "describe_stacks", "is_debugged", "is_world", "place_of", "stack_from"]

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_MACHINERY = (_HERE + os.sep, os.path.join(os.path.dirname(_HERE), "routilux") + os.sep)
_WORLD = os.path.dirname(os.path.abspath(__file__)) + os.sep
_PATHS = sysconfig.get_paths()
_LIBRARY = tuple({_PATHS[kind] + os.sep for kind in ("stdlib", "platstdlib")})
_PACKAGES = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)

_DEBUGGERS = {"bdb", "pdb", "ipdb", "pudb", "debugpy", "pydevd", "_pydevd_bundle", "_pydevd_frame_eval"}

LONGEST_CALL = 100
"""Characters of a call's source that are shown."""


class Place(NamedTuple):
    """A call in a program."""

    filename: str
    line: int
    function: str
    call: str | None

    def __str__(self) -> str:
        text = f"{self.filename}:{self.line} in {self.function}"
        return text if self.call is None else f"{text}: {self.call}"


def is_world(frame: FrameType | None) -> bool:
    """Whether the code that runs in ``frame`` is what stands in for the standard library."""
    return frame is not None and frame.f_code.co_filename.startswith(_WORLD)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_MACHINERY[0])


def is_debugged(frame: FrameType | None) -> bool:
    """Whether a debugger has the word, somewhere up the stack from ``frame``."""
    return any(caller.f_globals.get("__name__", "").partition(".")[0] in _DEBUGGERS for caller in _callers(frame))


def place_of(frame: FrameType | None) -> Place | None:
    """Where the program's code is, up the stack from ``frame``: the innermost that is neither ours nor a library's.

    If there is only a library's, it is that; the standard library's own calls are the last resort.
    """
    chosen = next(iter(stack_from(frame)), None)
    if chosen is None:
        return None
    code = chosen.f_code
    return Place(code.co_filename, chosen.f_lineno or code.co_firstlineno, code.co_qualname, _call(chosen))


def stack_from(frame: FrameType | None) -> list[FrameType]:
    """The frames up the stack from the one that `place_of` tells of, without ours."""
    left = [caller for caller in _callers(frame) if not caller.f_code.co_filename.startswith(_MACHINERY)]
    foreign = [caller for caller in left if not _is_standard(caller.f_code)]
    own = (caller for caller in foreign if not _is_installed(caller.f_code))
    chosen = next(own, None) or next(iter(foreign or left), None)
    return left if chosen is None else left[left.index(chosen) :]


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_standard(code: CodeType) -> bool:
    name = code.co_filename
    return name.startswith("<frozen ") or (name.startswith(_LIBRARY) and not _is_installed(code))


def _is_installed(code: CodeType) -> bool:
    return any(part in code.co_filename for part in _PACKAGES)


def _call(frame: FrameType) -> str | None:
    """The source of the call that ``frame`` is in, on one line; of its whole line if it is in none."""
    code = frame.f_code
    line = linecache.getline(code.co_filename, frame.f_lineno or 0, frame.f_globals).strip() or None
    where = next(islice(code.co_positions(), frame.f_lasti // 2, None), None)
    if where is None or None in where:
        return line
    first, last, begin, end = where
    assert first is not None  # noqa: S101 - seen just now
    assert last is not None  # noqa: S101 - likewise
    lines = [linecache.getline(code.co_filename, n, frame.f_globals).encode() for n in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    text = " ".join(part.decode(errors="replace").strip() for part in lines).strip()
    if "(" not in text:
        return line
    return text if len(text) <= LONGEST_CALL else f"{text[:LONGEST_CALL]}…"


def describe_stacks(kernel: Kernel, running: FrameType | None) -> str:
    """Every task that has not ended, what it does, and its stack without the simulator's frames.

    Args:
        kernel: Of the execution.
        running: The innermost frame of the task that has control.
    """
    lines: list[str] = []
    for task in kernel.tasks:
        if task.state is not DONE:
            lines += _describe(task, task is kernel.current, running)
    return "\n".join(lines)


def _describe(task: Task, is_current: bool, running: FrameType | None) -> Iterator[str]:
    if is_current:
        yield f"task {task.name!r}, running:"
        frame = running
    else:
        yield f"task {task.name!r}, {task.state}, at {describe(task)}:"
        frame = task.greenlet.gr_frame if task.greenlet is not None else None
    stack = [caller for caller in _callers(frame) if not _is_ours(caller)]
    if not stack:
        yield "  (not begun)" if frame is None else "  (nothing of the program's)"
    for caller in reversed(stack):
        code = caller.f_code
        yield f"  {code.co_filename}:{caller.f_lineno} in {code.co_qualname}"
        source = linecache.getline(code.co_filename, caller.f_lineno or 0, caller.f_globals).strip()
        if source:
            yield f"    {source}"
