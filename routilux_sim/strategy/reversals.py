"""Which steps of an execution could have come the other way round, and how to get there.

The steps of a trace are put in their partial order: a step is after what its task did before, after the steps on the
same object that it depends on, and after the step that let it go on. Two dependent steps that nothing else orders are a
*reversal*: another schedule has them the other way round. For each the search is told at which step to deviate, and
which tasks may be the first to run there (the *initials* of Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic
partial order reduction", 2014, of which this is the source-set variant).

Where the kernel's world is more than reads and writes, this errs towards too many:

- A step that works on several objects depends on what depends on any of it.
- A lock that is held keeps its takers from being candidates, so that giving it back and taking it are never both
  possible; what may be reversed is the taking by one and by the other (as Flanagan and Godefroid do, 2005).
- A task that waits in vain until the end of the execution is reversed as if it had gone on.
- The clock moves only when nothing can run: all that was done before it moved is before all that is done after.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

from routilux_sim.kernel.task import Task
from routilux_sim.kernel.trace import DEPENDENT, NOBODY, Event, Trace, address

__all__ = ["Footprint", "Reversal", "Steps", "conflict", "steps_of"]

Footprint = frozenset[tuple[str, Any]]
"""What a step did, so that it can be told from one execution to another: operations, and names of objects."""

TAKES = frozenset({"acquire", "reacquire", "pass"})
"""Operations that a held lock keeps tasks from."""

ALONE = frozenset({"begin", "exit", "poll", "sleep", "start", "started", "wait", "yield"})
"""Operations about no object that nobody else can tell the order of."""

ENGINE = "engine"
"""Stands for the object of operations that have none, and may yet be about something."""


FARTHEST = 1_000
"""So many steps apart, how to get to the reversal is not worked out, which takes as many: its task is to run first, or
any that can (as Flanagan and Godefroid have it)."""


def _object_of(op: str, obj: Any) -> Any:
    """What an event is about, None for nothing that others could tell."""
    if obj is not None:
        return obj
    return None if op in ALONE else ENGINE


def _name_of(obj: Any) -> int | str:
    """The name of an object: the same in all executions that are the same so far. Two objects may have one."""
    if isinstance(obj, Task):
        return obj.number
    label = getattr(obj, "label", None)
    return label if isinstance(label, str) else str(type(obj))


class _AnyOf(NamedTuple):
    """In the place of a name: all objects of a kind.

    Objects are numbered when they first come up, so the number of one that has not yet may be another's in another
    execution.
    """

    kind: str


def _kind(name: str) -> str:
    stem, dash, number = name.rpartition("-")
    return stem if dash and number.isdigit() else name


def _may_be_one(one: Any, other: Any) -> bool:
    if type(one) is _AnyOf:
        return (type(other) is str and one.kind == _kind(other)) or one == other
    if type(other) is _AnyOf:
        return type(one) is str and other.kind == _kind(one)
    return bool(one == other)


def depends(first: str, then: str, name: Any) -> bool:
    """Whether ``then``, on an object of that name, depends on ``first`` having been done before."""
    if type(name) is int:
        # A task. Who joins one that has not ended waits, and that comes to the same.
        return first == "spawn" or (first == "end" and then != "begin") or (then == "end" and first in _ASKS)
    if "shrink" in (first, then):
        return "enumerate" in (first, then)
    return DEPENDENT(first, then)


_ASKS = frozenset({"is_alive", "poll"})


def _only_in_order(first: str, then: str, obj: Any) -> bool:
    """Whether ``then`` cannot be done before ``first``, if it was done after it."""
    if isinstance(obj, Task):
        return first == "spawn" or then not in _ASKS | {"end"}
    return first == "release" and then in TAKES and getattr(obj, "is_exclusive", False)


def steps_of(events: Sequence[Event], known: Container[int] | None = None) -> list[tuple[int, Footprint]]:
    """The tasks that took the steps that some events begin with and consist of, and what they did in them.

    Args:
        events: Those of whole steps.
        known: The ids of the objects whose names are settled; None: all are.
    """
    found: list[tuple[int, set[tuple[str, Any]]]] = []
    for task, op, obj, _, begins in events:
        if begins:
            found.append((task, set()))
        if found and task == found[-1][0] and (begins or op not in {"wake", "due"}):
            about = _object_of(op, obj)
            if about is not None:
                name: Any = _name_of(about)
                if known is not None and type(name) is str and address(about) not in known:
                    name = _AnyOf(_kind(name))
                found[-1][1].add((op, name))
    return [(task, frozenset(done)) for task, done in found]


def conflict(one: Footprint, other: Footprint) -> bool:
    """Whether the order of two steps may matter."""
    for op, name in one:
        for op2, name2 in other:
            if _may_be_one(name, name2) and (depends(op, op2, name) or depends(op2, op, name)):
                return True
    return False


class Reversal(NamedTuple):
    """A deviation to try.

    Attributes:
        decision: The number of the decision to be made otherwise.
        initials: Tasks of which one is to run there.
        path: The tasks that take steps from there on, in an order that comes to the reversal.
    """

    decision: int
    initials: tuple[int, ...]
    path: tuple[int, ...]


class _Step:
    """A step, and what orders it.

    Attributes:
        count: Which of its task's steps it is, from 1.
        place: Which of all steps it is.
        decision: How many decisions had been made when it began.
        chosen: Whether the latest of them was made just before it.
        before: How many steps of each task are before it, without those on the same objects.
        clock: How many steps of each task are before it, itself included.
    """

    __slots__ = ("before", "chosen", "clock", "count", "decision", "due", "events", "place", "task", "wakes")

    def __init__(self, task: int, decision: int, chosen: bool) -> None:
        self.task = task
        self.decision = decision
        self.chosen = chosen
        self.place = 0
        self.count = 0
        self.events: list[tuple[str, Any]] = []
        # Tasks let go on, or made.
        self.wakes: list[int] = []
        # Its task's time came while it waited.
        self.due = False
        self.clock: dict[int, int] = {}
        self.before: dict[int, int] = {}

    def note(self, op: str, obj: Any) -> None:
        """The step does something."""
        about = _object_of(op, obj)
        if about is not None:
            self.events.append((op, about))


class Steps:
    """The steps of a trace in their partial order.

    Args:
        trace: What was done.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._steps: list[_Step] = []
        # After which of the steps the clock moved.
        self._moves: set[int] = set()
        self._clocks: dict[int, dict[int, int]] = {}
        self._counts: dict[int, int] = {}
        # By object, then task: the steps and their operations, in order.
        self._log: dict[int, dict[int, list[tuple[_Step, str]]]] = {}
        self._last: dict[int, _Step] = {}
        self._read()

    def _read(self) -> None:
        """Put the events together to steps."""
        due: set[int] = set()
        step: _Step | None = None
        able: set[int] = set()
        for task, op, obj, decision, begins in self._trace:
            if isinstance(obj, Task) and op in {"spawn", "end"}:
                able ^= {obj.number}
            if begins:
                step = _Step(task, decision, chosen=step is None or decision != step.decision)
                step.due = task in due
                due.discard(task)
                step.place = len(self._steps)
                self._steps.append(step)
                step.note(op, obj)
            elif task == NOBODY:
                if op == "clock":
                    self._moves.add(len(self._steps))
            elif op == "due":
                due.add(task)
            elif step is not None:
                if op in {"wake", "spawn"} and isinstance(obj, Task):
                    step.wakes.append(obj.number)
                if op != "wake":
                    step.note(op, obj)
        # Who had not ended, nor was waiting, when the execution ended.
        self._able = able - set(self._trace.pending)

    def reversals(self, start: int, stop: int | None) -> Iterator[Reversal]:
        """What could have come the other way round.

        Args:
            start: Only steps are looked at that begin after at least so many decisions,
            stop: and after at most so many; None: any number.
        """
        barrier: dict[int, int] = {}
        for place, step in enumerate(self._steps):
            if place in self._moves:
                barrier = dict(self._counts)
            self._enter(step, barrier)
            if stop is not None and step.decision > stop:
                return
            self._leave(step, barrier)
            if step.decision >= start:
                yield from self._races(step, place)
        # Those that wait for a lock in vain: no step of theirs shows that they would take it.
        for task, (op, obj) in self._trace.pending.items():
            if getattr(obj, "is_exclusive", False) and op in TAKES and not self._has_tried(task, op, obj):
                step = _Step(task, -1, chosen=False)
                step.events.append((op, obj))
                step.count = self._counts.get(task, 0) + 1
                step.before = dict(self._clocks.get(task, {}))
                # It may depend on any of the others.
                step.clock = {**self._counts, task: step.count}
                yield from self._races(step, len(self._steps))

    def cut_off(self) -> int | None:
        """The decision before the last step, if that step's task was preferred to others that had more to do."""
        if not self._steps:
            return None
        last = self._steps[-1]
        is_last = not last.chosen or not last.decision
        return None if is_last or self._able <= {last.task} else last.decision - 1

    def _has_tried(self, task: int, op: str, obj: Any) -> bool:
        """Whether a task's latest step has begun with what it waits in: it is to be reversed with that one."""
        last = self._last.get(task)
        return last is not None and (op, obj) in last.events

    def _enter(self, step: _Step, barrier: dict[int, int]) -> None:
        task = step.task
        step.count = self._counts.get(task, 0) + 1
        step.before = dict(self._clocks.get(task, {}))
        if step.due and step.events and not (step.events[0][0] in TAKES and not self._has_tried(task, *step.events[0])):
            # The clock alone let it go on. Who waits for a lock could have had it earlier.
            _join(step.before, barrier)

    def _leave(self, step: _Step, barrier: dict[int, int]) -> None:
        clock = step.clock = dict(step.before)
        _join(clock, barrier)
        for op, obj in step.events:
            name = _name_of(obj)
            for log in self._log.get(address(obj), {}).values():
                for other, op2 in reversed(log):
                    if clock.get(other.task, 0) >= other.count:
                        break
                    if depends(op2, op, name):
                        _join(clock, other.clock)
                        break
        clock[step.task] = self._counts[step.task] = step.count
        for op, obj in step.events:
            self._log.setdefault(address(obj), {}).setdefault(step.task, []).append((step, op))
        self._clocks[step.task] = clock
        self._last[step.task] = step
        for task in step.wakes:
            self._clocks[task] = known = dict(self._clocks.get(task, {}))
            _join(known, clock)

    def _races(self, step: _Step, place: int) -> Iterator[Reversal]:
        """The reversals of a step with those before it."""
        met: dict[int, _Step] = {}
        for op, obj in step.events:
            name = _name_of(obj)
            for task, log in self._log.get(address(obj), {}).items():
                if task == step.task:
                    continue
                for other, op2 in reversed(log):
                    if step.before.get(task, 0) >= other.count:
                        break
                    if depends(op2, op, name) and not _only_in_order(op2, op, obj):
                        met[address(other)] = other
                        break
        for other in met.values():
            if other.chosen and other.decision:
                yield self._reversal(other, step, place)

    def _reversal(self, first: _Step, then: _Step, place: int) -> Reversal:
        """How to have ``then`` before ``first``: by what is not after ``first``."""
        if place - first.place > FARTHEST:
            return Reversal(first.decision - 1, (then.task,), ())
        later = self._steps[first.place + 1 : place]
        path = [step for step in later if step.clock.get(first.task, 0) < first.count]
        path.append(then)
        initials: list[int] = []
        seen: dict[int, int] = {}
        for step in path:
            if step.task not in seen and not any(step.clock.get(task, 0) >= count for task, count in seen.items()):
                initials.append(step.task)
            seen.setdefault(step.task, step.count)
        return Reversal(first.decision - 1, tuple(initials), tuple(step.task for step in path))


def _join(clock: dict[int, int], other: dict[int, int]) -> None:
    for task, count in other.items():
        if count > clock.get(task, 0):
            clock[task] = count
