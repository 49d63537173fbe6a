"""What an execution looked like at each decision, and the first that differs from another execution's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from routilux_sim.determinism.frames import Where, where
from routilux_sim.execution import Execution
from routilux_sim.kernel.core import Kernel, active, describe
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.kernel.task import BLOCKED, Task
from routilux_sim.schedule import Schedule

__all__ = ["Difference", "Moment", "Recorder", "State", "difference_at_the_end", "difference_from", "moments_of"]

LOOKED_AT = 100
"""How many tasks at most are looked at one by one: a program of ten thousand would take the square of that."""


IMPORT = "import"
"""The kind of what tasks wait in for a module: a module is imported once in a process, whichever run is the first."""


class State(NamedTuple):
    """A digest of an execution's state: equal in executions that do the same.

    Attributes:
        now: Virtual nanoseconds.
        tasks: How many tasks there have been.
        tasks_are: What each that is alive is about to do or waits in, and who holds that.
        made: How many objects of each kind there have been.
        drawn: Stands for the random numbers drawn so far.
        steps: Scheduling points and clock readings passed.
    """

    now: int
    tasks: int
    tasks_are: tuple[str, ...]
    made: tuple[tuple[str, int], ...]
    drawn: int
    steps: int


_WORDS = {
    "now": "the virtual time in nanoseconds",
    "tasks": "the number of tasks so far",
    "tasks_are": "what the tasks do",
    "made": "the number of objects made so far",
    "drawn": "the state of the random numbers",
    "steps": "the number of steps so far",
}


class Moment(NamedTuple):
    """A decision that is about to be made.

    Attributes:
        label: As in `Step`; so is ``bound``.
        enabled: The names of the tasks that could run; None when they were not noted.
        state: None when it was not noted.
        where: Where the task that was running stood in the program.
    """

    label: str
    bound: int
    enabled: tuple[str, ...] | None = None
    state: State | None = None
    where: Where = ()

    def digest(self) -> int:
        """A number that is the same for equal moments in this process and those forked from it."""
        return hash((self.label, self.bound, self.enabled, self.state))


class Difference(NamedTuple):
    """Where two executions of one schedule part.

    Attributes:
        step: The index of the decision; the number of decisions for the end.
        what: What differs there.
        first: What it was the first time, in words; likewise ``second``.
        where: Where the task stood in the program the second time.
        was_where: Where it stood the first time, if it is known.
    """

    step: int
    what: str
    first: str
    second: str
    where: Where = ()
    was_where: Where = ()


class PartedError(SimulationError):
    """Ends an execution that has parted from the one before."""


def moments_of(schedule: Schedule) -> list[Moment]:
    """What a schedule tells of its execution."""
    return [Moment(step.label, step.bound, step.enabled or None) for step in schedule.steps]


class Recorder:
    """Notes each decision of one execution, and ends it where it parts from an earlier one.

    Args:
        expected: The earlier one's moments; None: note only.

    Attributes:
        moments: Those of the execution.
        difference: The first that is not as expected.
    """

    def __init__(self, expected: Sequence[Moment] | None = None) -> None:
        self.moments: list[Moment] = []
        self.difference: Difference | None = None
        self._expected = expected
        self._shared: dict[Any, Any] = {}

    def picking(self, current: Task | None, ready: Sequence[Task]) -> None:
        """It is to be chosen who runs."""
        kernel = _active()
        if current is None:
            me = kernel.current
            label = f"{ready[0].name}: begin" if me is None else f"{me.name}: {describe(me)}"
            self._note(kernel, label, ready)
        else:
            self._note(kernel, f"{current.name}: {describe(current)}", (current, *ready))

    def drawing(self, label: str, bound: int) -> None:
        """A number is to be chosen."""
        kernel = _active()
        me = kernel.current
        assert me is not None  # noqa: S101 - only tasks draw
        self._note(kernel, f"{me.name}: {label}", (), bound)

    def _note(self, kernel: Kernel, label: str, candidates: Sequence[Task], bound: int | None = None) -> None:
        names = tuple([task.name for task in candidates])
        moment = Moment(
            label,
            len(names) if bound is None else bound,
            self._share(names),
            self._state(kernel),
            self._share(where()),
        )
        position = len(self.moments)
        self.moments.append(moment)
        if self._expected is not None:
            self.difference = _difference(position, self._expected, moment)
            if self.difference is not None:
                self.parted()
                raise PartedError(f"decision {position} differs")

    def parted(self) -> None:
        """Called where the executions part, before this one ends."""

    def _share(self, value: Any) -> Any:
        """One object for equal values: there are many decisions, and few places."""
        return self._shared.setdefault(value, value)

    def _state(self, kernel: Kernel) -> State:
        _, words, gauss = random.getstate()
        return State(
            kernel.now,
            kernel.spawned,
            self._share(tuple([_sentence(task) for task in kernel.oldest(LOOKED_AT)])),
            self._share(tuple([row for row in kernel.made.items() if row[0] != IMPORT])),
            hash((words[0], words[-1], gauss)),
            kernel.steps,
        )


def _active() -> Kernel:
    kernel = active()
    assert kernel is not None  # noqa: S101 - a strategy is asked by a running kernel
    return kernel


def _sentence(task: Task) -> str:
    text = f"{task.name} {'waits in' if task.state is BLOCKED else 'is at'} {describe(task)}"
    holder = getattr(task.obj, "owner", None)
    return f"{text}, held by {holder.name}" if isinstance(holder, Task) else text


def _difference(position: int, expected: Sequence[Moment], found: Moment) -> Difference | None:
    if position >= len(expected):
        return Difference(position, "the next step", "the end of the program", repr(found.label), found.where)
    old = expected[position]
    found_out = _in_moments(old, found)
    return found_out and Difference(position, *found_out, found.where, old.where)


def difference_from(start: int, expected: Sequence[Moment], made: Sequence[Moment]) -> Difference | None:
    """The first difference from the ``start``-th moment on, as far as there are any."""
    for position in range(start, len(made)):
        found = _difference(position, expected, made[position])
        if found is not None:
            return found
    return None


def _in_moments(old: Moment, new: Moment) -> tuple[str, str, str] | None:
    if old.label != new.label:
        return "the next step", repr(old.label), repr(new.label)
    if None not in {old.enabled, new.enabled} and old.enabled != new.enabled:
        return "which tasks could run", _listed(old.enabled), _listed(new.enabled)
    if old.bound != new.bound:
        return "the number of choices", str(old.bound), str(new.bound)
    if old.state is None or new.state is None:
        return None
    for field, first, second in zip(State._fields, old.state, new.state, strict=True):
        if first != second:
            return _WORDS[field], *_parts(first, second)
    return None


def _listed(names: Sequence[str] | None) -> str:
    return ", ".join(names or ())


def _parts(first: Any, second: Any) -> tuple[str, str]:
    """What differs in two values, without what does not."""
    if not isinstance(first, tuple):
        return str(first), str(second)
    only_first = [part for part in first if part not in second]
    only_second = [part for part in second if part not in first]
    if not only_first and not only_second:
        return _shown(first), _shown(second)
    return _shown(only_first), _shown(only_second)


def _shown(parts: Sequence[Any]) -> str:
    words = [part if isinstance(part, str) else f"{part[1]} x {part[0]}" for part in parts]
    return "; ".join(words) if words else "nothing of the kind"


def difference_at_the_end(
    first: Execution, second: Execution, expected: Sequence[Moment], made: Sequence[Moment]
) -> Difference | None:
    """What differs in how two executions ended whose decisions agree as far as the second got."""
    step = len(made)
    if step < len(expected):
        old = expected[step]
        return Difference(
            step, "the next step", repr(old.label), f"the end of the program, {_end(second)}", (), old.where
        )
    if type(first.error) is not type(second.error) or first.kind != second.kind:
        return Difference(step, "the end of the program", _end(first), _end(second))
    if first.elapsed_ns != second.elapsed_ns:
        return Difference(step, "the virtual nanoseconds taken", str(first.elapsed_ns), str(second.elapsed_ns))
    if first.steps != second.steps:
        return Difference(step, "the number of steps taken", str(first.steps), str(second.steps))
    if _is_plain(first.value) and _is_plain(second.value) and first.value != second.value:
        return Difference(step, "what the program returned", _short(first.value), _short(second.value))
    return None


def _is_plain(value: Any) -> bool:
    """Whether a value can be compared without asking code of the program's own."""
    if type(value) in {list, tuple}:
        return all(_is_plain(part) for part in value)
    return type(value) in {int, float, str, bytes, bool, type(None)}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


SHOWN = 200
"""Characters of a value that a message shows."""


def _end(execution: Execution) -> str:
    return "no error" if execution.error is None else f"{type(execution.error).__name__}: {execution.error}"
