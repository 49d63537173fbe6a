"""The fair suffix: when a program does not end, it goes on for a while under a fair scheduler, and is judged there.

A strategy may keep a task from running for ever; that such an execution does not end says nothing about the program. So
from its limit on, the strategy decides no more. Who has run longest ago runs next, for a number of steps that gets
smaller from phase to phase: long turns let a task get through what another one keeps spoiling, as it would sooner or
later on a real machine; only in the last phase every step is another's, and its steps are looked at for a cycle. When
the program comes back to a state that it was in before, it does so for ever. Randomness of the kernel's is at its plain
choice meanwhile.

All of it depends on nothing but the execution itself, so a replay under the same limits repeats it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from routilux_sim.judge.cycles import period_of
from routilux_sim.judge.stacks import Place, is_machinery
from routilux_sim.judge.state import OpaqueError, State, difference, state_of
from routilux_sim.judge.watch import READING, Watched, watch
from routilux_sim.kernel.core import Kernel, label_of
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.kernel.task import BLOCKED, DONE, Task

__all__ = ["ROUND_IN_CIRCLES", "STANDSTILL", "Deed", "Fairness", "Outcome", "Suffix"]

STANDSTILL = 200_000
"""Steps at one virtual instant after which the fair suffix begins, even if more steps are allowed."""

TURNS = (1000, 61, 17, 5, 1)
"""How many steps a task runs before the next one does, in one phase after the other."""

LONGEST_PHASE = 20_000
WINDOWS = (2_000, 8_000, 32_000)
"""Steps of the last phase after which a cycle is looked for."""

LAPS = 12
"""How often the cycle of steps may come before a state is seen again."""

ROUND_IN_CIRCLES = SimulationError("the tasks go round in circles")
"""Stands for a livelock until the judge has worded it."""


class Deed(NamedTuple):
    """A step of the last phase.

    Attributes:
        task: Whose.
        op, obj: What, and to which object; its label and nothing more is compared.
        owner: Who had that object before.
        place: Where in the program.
    """

    task: Task
    op: str
    obj: Any
    owner: Task | None
    place: Place | None


class Outcome(NamedTuple):
    """What a fair suffix came to.

    Attributes:
        cycle: The steps that repeat; empty if none do.
        changing: What differs from one time to the next, so that nobody can tell whether the program will end; None if
            the state itself repeats.
        begun: The step at which the suffix began.
    """

    cycle: tuple[Deed, ...]
    changing: str | None
    begun: int


class Fairness:
    """Watches over the limits of executions, one after the other.

    Args:
        limit: How many steps each is allowed.

    Attributes:
        limit: That number.
        suffix: The fair suffix of the latest execution, once it has begun.
    """

    __slots__ = ("_at_limit", "_checked", "_first", "limit", "suffix")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.suffix: Suffix | None = None
        self._checked = 0
        self._first = min(limit, STANDSTILL)
        self._at_limit = self.at_limit

    def guard(self, kernel: Kernel) -> None:
        """Watch over an execution that has not begun. Called once for each, so it does next to nothing."""
        self.suffix = None
        self._checked = 0
        kernel.max_steps = self._first
        kernel.at_limit = self._at_limit

    @property
    def begun(self) -> int | None:
        """The step at which the fair suffix began; None if there is none."""
        return None if self.suffix is None else self.suffix.begun

    def has_begun(self) -> bool:
        """Whether tasks are scheduled fairly by now."""
        return self.suffix is not None

    @property
    def outcome(self) -> Outcome | None:
        """What the fair suffix came to; None if there is none, or if it was cut short."""
        return None if self.suffix is None else self.suffix.outcome

    def at_limit(self, kernel: Kernel) -> bool:
        """Whether the execution may go on for now, past the number of steps that the kernel was to stop at."""
        if self.suffix is not None:
            return kernel.steps <= self.limit
        if kernel.steps <= self.limit and kernel.now != self._checked:
            self._checked = kernel.now
            kernel.max_steps = min(self.limit, kernel.steps + STANDSTILL)
        else:
            self.suffix = Suffix(kernel, self.limit)
        return True


class Suffix:
    """Schedules fairly and looks for a cycle, from now on.

    Args:
        kernel: Of the execution.
        limit: How many steps it is allowed; it takes more to come to an end.

    Attributes:
        begun: The step at which it began.
        outcome: What it came to, once it has.
    """

    def __init__(self, kernel: Kernel, limit: int) -> None:
        self._kernel = kernel
        self._limit = limit
        self.begun = kernel.steps
        self.outcome: Outcome | None = None
        alive = sum(task.state is not DONE for task in kernel.tasks)
        self._left = [(turn, min(LONGEST_PHASE, max(2_000, 2 * turn * alive))) for turn in reversed(TURNS)]
        self._turn = 0
        self._phase_ends = 0
        self._runner: Task | None = None
        self._used = 0
        self._count = 0
        self._last: dict[Task, int] = {}
        self._deeds: list[Deed] = []
        self._word: list[int] = []
        self._letters: dict[tuple[Any, ...], int] = {}
        self._period = 0
        self._next_look = 0
        self._states: list[State] = []
        self._states_at: list[int] = []
        self._advance()
        kernel.max_steps = sys.maxsize
        kernel.choose_by(self._pick, _plain)
        watch(kernel).listener = self

    def _advance(self) -> None:
        self._turn, length = self._left.pop()
        self._phase_ends = self._kernel.steps + length

    def _pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        self._count += 1
        last = self._last
        if current is not None:
            last[current] = self._count
            if current is self._runner and self._used < self._turn:
                self._used += 1
                return 0
        index = min(range(len(ready)), key=lambda number: last.get(ready[number], 0))
        self._runner = ready[index]
        self._used = 1
        return index if current is None else index + 1

    def step(self, task: Task, op: str, obj: Any, place: Place | None) -> None:
        """Hear of a step; end the execution when it has shown that it goes round in circles."""
        if self.outcome is not None:
            return
        if self._left:
            if self._kernel.steps > self._phase_ends:
                self._advance()
            return
        owner = getattr(obj, "owner", None)
        self._keep(Deed(task, op, obj, owner, place))
        if self._period:
            if len(self._word) >= self._next_look:
                self._look()
        elif len(self._word) in WINDOWS:
            self._search()

    def resumed(self, task: Task, op: str, obj: Any) -> None:
        """That it was suspended has been heard, and is enough to see a cycle."""

    def _keep(self, deed: Deed) -> None:
        self._deeds.append(deed)
        label = None if deed.obj is None else label_of(deed.obj)
        owner = None if deed.owner is None else deed.owner.number
        at = None if deed.place is None else (id(deed.place.code), deed.place.offset)
        letter = (deed.task.number, deed.op, label, owner, at)
        self._word.append(self._letters.setdefault(letter, len(self._letters)))

    def _search(self) -> None:
        period = period_of(self._word)
        if period is not None:
            self._period = period
            self._next_look = len(self._word) + period
        elif len(self._word) >= WINDOWS[-1]:
            self._conclude((), None)

    def _look(self) -> None:
        """Compare the state with those of earlier laps."""
        frame = sys._getframe()  # noqa: SLF001 - there is no public way
        while frame.f_back is not None and is_machinery(frame):
            frame = frame.f_back
        try:
            state = state_of(self._kernel, frame)
        except OpaqueError as error:
            self._conclude(self._lap(1), f"its state cannot be compared: {error}")
            return
        except Exception as error:  # noqa: BLE001 - it must not be raised in the program, whose objects are odd
            self._conclude(self._lap(1), f"its state cannot be compared: {error!r}")
            return
        for earlier, at in zip(reversed(self._states), reversed(self._states_at), strict=True):
            if earlier == state:
                self._found(len(self._word) - at)
                return
        self._states.append(state)
        self._states_at.append(len(self._word))
        if len(self._states) > LAPS:
            changing = difference(self._states[-2], state)
            self._conclude(self._lap(1), f"{changing} changes from one time to the next")
            return
        self._next_look = len(self._word) + self._period

    def _found(self, length: int) -> None:
        cycle = tuple(self._deeds[-length:])
        held_up = _held_up(self._kernel, cycle)
        self._conclude(cycle, held_up)
        if held_up is None:
            self._kernel.stop(ROUND_IN_CIRCLES)

    def _lap(self, times: int) -> tuple[Deed, ...]:
        return tuple(self._deeds[-self._period * times :])

    def _conclude(self, cycle: tuple[Deed, ...], changing: str | None) -> None:
        self.outcome = Outcome(cycle, changing, self.begun)
        self._states.clear()
        self._deeds.clear()
        kernel = self._kernel
        kernel.max_steps = max(self._limit, kernel.steps)
        if isinstance(kernel, Watched):
            kernel.listener = None


def _held_up(kernel: Kernel, cycle: tuple[Deed, ...]) -> str | None:
    """Why a cycle may be left on a real machine after all: there, time goes by while tasks run."""
    reader = next((deed for deed in cycle if deed.op == READING), None)
    if reader is not None:
        return f"{reader.task.name!r} reads the clock, which stands still while any task can run: sleep or wait there"
    waiting = [task for task, _ in kernel.deadlines() if task.state is BLOCKED]
    if waiting:
        return (
            f"{waiting[0].name!r} waits for a time that never comes while others run without a pause: "
            "sleep or wait in the loop"
        )
    return None


def _plain(label: str, bound: int) -> int:  # noqa: ARG001 - as strategies draw
    return 0
