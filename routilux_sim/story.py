"""What happened in an execution, step by step, with the place in the program of each: for people, never compared."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

import routilux
from routilux_sim.determinism.frames import is_program_file
from routilux_sim.judge.names import Names
from routilux_sim.judge.stacks import Place as RawPlace
from routilux_sim.judge.stacks import is_machinery, user_frames
from routilux_sim.judge.watch import Watched, watch
from routilux_sim.kernel.core import Kernel, label_of
from routilux_sim.kernel.task import Task

__all__ = ["Event", "Moment", "Place", "Story", "Teller"]

TOLD = 20_000
"""So many steps of an execution are noted; and as many decisions."""

NAMED = 20
"""So many objects are looked for among the program's variables, for a name."""

_ENGINE = os.path.dirname(os.path.abspath(routilux.__file__)) + os.sep
_DESCENT = 60
"""So many frames are looked through for one of the program's."""

_TAKING_TURNS = {"acquire", "reacquire", "get", "put"}
"""What takes effect when a wait for it ends; of other waits it has been told what ended them."""

_OTHERS = 10
"""So many other tasks are asked for an object's name."""

_ACCESSES = {"read", "write"}
"""Those of memory are the code's that is looked into, wherever it is."""

_OF_QUEUES = {"get", "put", "task_done"}


class Place(NamedTuple):
    """Where in the program.

    Attributes:
        filename: Of the source.
        line: In it.
        function: Its qualified name.
    """

    filename: str
    line: int
    function: str

    @property
    def short(self) -> str:
        """File name without its folder, and line: ``bank.py:12``."""
        return f"{os.path.basename(self.filename)}:{self.line}"

    @property
    def is_programs(self) -> bool:
        """Whether it is in the program's own code, neither a library's nor the flow engine's."""
        return is_program_file(self.filename) and not self.filename.startswith(_ENGINE)

    @property
    def source(self) -> str:
        """The text of the line; empty if nobody has it."""
        return linecache.getline(self.filename, self.line).strip()


class Event(NamedTuple):
    """An operation that takes effect.

    Attributes:
        decision: How many decisions had been made.
        task: The number of the task that does it.
        name: That task's name.
        op: What it does.
        obj: Tells the objects of a story apart; 0: none.
        label: That object's label, the same in every execution; empty: there is none.
        place: Where; None if nothing of the program's called it.
        is_own: Whether the program itself does it, and not the flow engine or a library that it has called.
    """

    decision: int
    task: int
    name: str
    op: str
    obj: int
    label: str
    place: Place | None
    is_own: bool


class Moment(NamedTuple):
    """A decision that is about to be made.

    Attributes:
        event: What the running task is about to do, or waits in.
        can_go_on: Whether that task could simply go on.
        names: Of the tasks that could run, the plain choice first; empty for a draw.
    """

    event: Event
    can_go_on: bool
    names: tuple[str, ...]


class Story:
    """The steps and decisions of an execution.

    Attributes:
        events: What took effect, in order.
        moments: The decisions.
        names: What the program calls the objects, by their numbers, where it is known.
        is_whole: Whether all is there.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.moments: list[Moment] = []
        self.names: dict[int, str] = {}
        self.is_whole = True

    def called(self, event: Event) -> str:
        """What the object of an event is called; empty if it has none."""
        name = self.names.get(event.obj)
        if name is None:
            return event.label
        # A queue is two objects to wait in, with nothing else in it to be taken for one another.
        if event.op in _OF_QUEUES or list(self.names.values()).count(name) == 1:
            return name
        return f"{name} ({event.label})"


class Teller:
    """Notes the story of one execution: an `Observer` of its decisions and a `Listener` to its steps.

    Args:
        names: Whether to look for what the program calls the objects.

    Attributes:
        story: What has been noted.
    """

    def __init__(self, *, names: bool = True) -> None:
        self.story = Story()
        self._names = names
        self._kernel: Watched
        self._objects: dict[int, tuple[int, Any]] = {}

    def attend(self, kernel: Kernel) -> None:
        """Listen to an execution that has not begun."""
        self._kernel = watch(kernel)
        self._kernel.listener = self

    def step(self, task: Task, op: str, obj: Any, place: RawPlace | None) -> None:  # noqa: ARG002 - looked up here
        """Hear that a task does something now."""
        events = self.story.events
        if len(events) >= TOLD:
            self.story.is_whole = False
            return
        events.append(self._event(task, op, obj, sys._getframe(1)))  # noqa: SLF001 - as `judge.stacks` does

    def resumed(self, task: Task, op: str, obj: Any) -> None:
        """Hear that a task, which waited to do something, does it now."""
        if op in _TAKING_TURNS:
            self.step(task, op, obj, None)

    def picking(self, current: Task | None, ready: Sequence[Task]) -> None:
        """It is to be chosen who runs."""
        me = current if current is not None else self._kernel.current
        names = [task.name for task in ready]
        if current is not None:
            names.insert(0, current.name)
        op, obj = ("begin", None) if me is None else (me.op, me.obj)
        self._decide(me, op, obj, current is not None, tuple(names), sys._getframe(1))  # noqa: SLF001 - as above

    def drawing(self, label: str, bound: int) -> None:  # noqa: ARG002 - as for observers
        """A number is to be chosen."""
        self._decide(self._kernel.current, label, None, False, (), sys._getframe(1))  # noqa: SLF001 - as above

    def _decide(
        self, task: Task | None, op: str, obj: Any, can_go_on: bool, names: tuple[str, ...], frame: FrameType
    ) -> None:
        moments = self.story.moments
        if len(moments) >= TOLD:
            self.story.is_whole = False
            return
        moments.append(Moment(self._event(task, op, obj, frame), can_go_on, names))

    def _event(self, task: Task | None, op: str, obj: Any, frame: FrameType) -> Event:
        number, label = (0, "") if obj is None else (self._number(obj, frame), label_of(obj))
        number_of_task, name = (0, "") if task is None else (task.number, task.name)
        place, is_own = _place(frame)
        is_own = is_own or op in _ACCESSES
        return Event(len(self._kernel.tape), number_of_task, name, op, number, label, place, is_own)

    def _number(self, obj: Any, frame: FrameType) -> int:
        known = self._objects.get(id(obj))
        if known is not None:
            return known[0]
        number = len(self._objects) + 1
        # Kept with the object: its address must not be used again.
        self._objects[id(obj)] = (number, obj)
        if self._names and hasattr(obj, "_waiters") and len(self._objects) <= NAMED:
            name = _name_of(obj, [*_outward(frame), *self._elsewhere()])
            if name is not None:
                self.story.names[number] = name
        return number

    def _elsewhere(self) -> Iterator[FrameType]:
        """Frames of other tasks: who made an object calls it by its best name."""
        for task in self._kernel.oldest(_OTHERS):
            if task is not self._kernel.current:
                yield from user_frames(task)


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    depth = 0
    while frame is not None and depth < _DESCENT:
        yield frame
        frame = frame.f_back
        depth += 1


def _name_of(obj: Any, frames: list[FrameType]) -> str | None:
    try:
        return Names(frames).of(obj)
    except Exception:  # noqa: BLE001 - a name is not worth losing the story; the program's objects may be odd
        return None


def _place(frame: FrameType | None) -> tuple[Place | None, bool]:
    """The innermost place that is the program's own, failing that a library's; and whether nothing lies in between."""
    other = None
    depth = 0
    while frame is not None and depth < _DESCENT:
        code = frame.f_code
        if is_program_file(code.co_filename) and not code.co_filename.startswith(_ENGINE):
            return Place(code.co_filename, frame.f_lineno or code.co_firstlineno, code.co_qualname), other is None
        if other is None and not is_machinery(frame):
            other = Place(code.co_filename, frame.f_lineno or code.co_firstlineno, code.co_qualname)
        frame = frame.f_back
        depth += 1
    return other, False
