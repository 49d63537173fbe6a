"""Where tasks are in the program: stacks without the simulator's own frames, and places that are cheap to keep."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from routilux_sim.kernel.task import Task

__all__ = [
    "Call",
    "Place",
    "call_of",
    "caller",
    "frames_of",
    "is_engines",
    "is_machinery",
    "stack_lines",
    "stacks_of",
    "user_frames",
]

_LIBRARY = {"threading", "queue", "concurrent.futures.thread", "concurrent.futures._base", "asyncio"}


_judged: dict[str, bool] = {}
"""By the names of files: looking at modules' names for each frame would cost more than the steps that are watched."""


def is_machinery(frame: FrameType) -> bool:
    """Whether a frame is the simulator's, or of the standard library's threads, queues, futures and event loops."""
    filename = frame.f_code.co_filename
    known = _judged.get(filename)
    if known is None:
        module = frame.f_globals.get("__name__", "")
        known = module in _LIBRARY or module == "routilux_sim" or module.startswith(("routilux_sim.", "asyncio."))
        # What has no file shares its name with others.
        if not filename.startswith("<"):
            _judged[filename] = known
    return known


class Place(NamedTuple):
    """A point in a program: its line is looked up only when somebody asks for it."""

    code: CodeType
    offset: int

    @property
    def line(self) -> int:
        """The number of the line."""
        for start, end, line in self.code.co_lines():
            if start <= self.offset < end and line is not None:
                return line
        return self.code.co_firstlineno

    def __str__(self) -> str:
        return f"{self.code.co_filename}:{self.line} in {self.code.co_qualname}"

    def source(self) -> str:
        """The text of the line; empty if nobody has it."""
        return linecache.getline(self.code.co_filename, self.line).strip()


# A third of the price of calling the class.
_new_place: Callable[[type[Place], tuple[CodeType, int]], Place] = tuple.__new__


def caller(depth: int) -> Place | None:
    """The innermost place in the program that the code ``depth`` frames above this function was called from."""
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001 - the public way costs ten times as much
    judged = _judged
    while frame is not None:
        code = frame.f_code
        known = judged.get(code.co_filename)
        if known is None:
            known = is_machinery(frame)
        if not known:
            return _new_place(Place, (code, frame.f_lasti))
        frame = frame.f_back
    return None


def frames_of(task: Task, running: FrameType | None = None) -> list[FrameType]:
    """All frames of a task, innermost first; none before it has begun and after it has ended.

    Args:
        task: A task that is suspended.
        running: If it is the one that runs, the frame to begin with.
    """
    frame = running
    if frame is None and task.greenlet is not None:
        frame = task.greenlet.gr_frame
    return list(_outward(frame))


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def user_frames(task: Task) -> list[FrameType]:
    """The frames of a task that are the program's, innermost first."""
    return [frame for frame in frames_of(task) if not is_machinery(frame)]


def stacks_of(tasks: Iterable[Task]) -> list[str]:
    """The stacks of all these tasks, as lines of a report."""
    lines = []
    for task in tasks:
        stack = stack_lines(task)
        lines.append(f"  stack of {task.name!r}, the latest call last:" if stack else f"  stack of {task.name!r}: none")
        lines += [f"    {line}" for line in stack]
    return lines


def stack_lines(task: Task) -> list[str]:
    """A task's stack as tracebacks show it: the innermost call last, each with its source line."""
    lines = []
    for frame in reversed(user_frames(task)):
        place = Place(frame.f_code, frame.f_lasti)
        source = place.source()
        lines.append(f"{place}: {source}" if source else str(place))
    return lines


class Call(NamedTuple):
    """What the program called, to wait in.

    Attributes:
        name: Of the function, e.g. ``wait``.
        receiver: Whose method it is: the program's own object, e.g. its `threading.Event`; None for a function.
        frame: That of the call; its locals are the call's arguments.
        inner: All frames from the innermost to that one.
    """

    name: str
    receiver: Any
    frame: FrameType
    inner: tuple[FrameType, ...]


def call_of(task: Task) -> Call | None:
    """The call by which a suspended task left the program's own code; None if it is not in such a call."""
    inner: list[FrameType] = []
    for frame in frames_of(task):
        if not is_machinery(frame) or _is_outermost(frame):
            break
        inner.append(frame)
    if not inner:
        return None
    frame = inner[-1]
    return Call(frame.f_code.co_name, first_argument(frame), frame, tuple(inner))


def _is_outermost(frame: FrameType) -> bool:
    """Whether a frame calls what a thread or a pool was given to run."""
    module = frame.f_globals.get("__name__")
    return frame.f_code.co_name == "run" and module in {"threading", "concurrent.futures.thread"}


def is_engines(task: Task) -> bool:
    """Whether a suspended task waits in a call that the flow engine made, not the program's own code."""
    frame = next(iter(user_frames(task)), None)
    return frame is not None and frame.f_globals.get("__name__", "").startswith("routilux.")


def first_argument(frame: FrameType) -> Any:
    """The object whose method a frame runs; None when it is no method."""
    code = frame.f_code
    if not code.co_argcount or code.co_varnames[0] != "self":
        return None
    return frame.f_locals.get("self")
