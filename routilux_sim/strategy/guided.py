"""The plain choice everywhere, except at decisions that are named: schedules as a person would tell them.

A decision is named by who makes it and for what, not by its place on the tape: "the second time that task 3 is about to
acquire Lock-1". Such a name keeps its meaning when the decisions before it change, which is what makes shrinking work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from routilux_sim.faults.labels import is_fault
from routilux_sim.kernel.core import active, describe

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["DRAW", "FORCED", "OPEN", "Anchor", "Choice", "GuidedStrategy", "Ledger", "Plan"]

OPEN = "open"
"""A task could go on: any other choice preempts it."""

FORCED = "forced"
"""Nobody can simply go on: the running task waits, has ended, or gives way."""

DRAW = "draw"
"""It is not about who runs."""


class Anchor(NamedTuple):
    """The name of a decision.

    Attributes:
        task: The number of the task that makes it; 0 before the first one runs, and of faults, which come at "the third
            call of a handler", say, whichever task makes that one.
        kind: `OPEN`, `FORCED` or `DRAW`.
        label: What the task is about to do, or waits in; of a draw, its label.
        nth: Which of this task's decisions of this kind and label it is, from 1.
    """

    task: int
    kind: str
    label: str
    nth: int


class Choice(NamedTuple):
    """A decision as it stood.

    Attributes:
        anchor: Its name.
        options: What there was to choose from: numbers of tasks, the plain choice first, or numbers to draw.
        maker: The number of the task that made it; 0 before the first one runs.
    """

    anchor: Anchor
    options: Sequence[int]
    maker: int


NOTED = 1_000_000
"""So many options are noted in one execution; from there on the choices are plain."""

Plan = Mapping[Anchor, int]
"""What is chosen where it is not the plain choice: the number of a task, or the number drawn."""


class Ledger:
    """Names the decisions of one execution as they come; an `Observer`.

    Attributes:
        choices: The decisions so far.
    """

    def __init__(self) -> None:
        self.choices: list[Choice] = []
        self._counts: dict[tuple[int, str, str], int] = {}
        self._noted = 0

    @property
    def is_full(self) -> bool:
        """Whether no further decisions are noted."""
        return self._noted > NOTED

    def picking(self, current: Task | None, ready: Sequence[Task]) -> None:
        """It is to be chosen who runs."""
        if self.is_full:
            return
        others = [task.number for task in ready]
        if current is not None:
            self._add(current.number, OPEN, describe(current), [current.number, *others])
            return
        kernel = active()
        me = kernel.current if kernel is not None else None
        if me is None:
            self._add(0, FORCED, "begin", others)
        else:
            self._add(me.number, FORCED, describe(me), others)

    def drawing(self, label: str, bound: int) -> None:
        """A number is to be chosen."""
        kernel = active()
        me = kernel.current if kernel is not None else None
        self._add(0 if me is None else me.number, DRAW, label, range(bound))

    def _add(self, maker: int, kind: str, label: str, options: Sequence[int]) -> None:
        self._noted += len(options) if kind != DRAW else 1
        if self._noted > NOTED:
            return
        task = 0 if kind == DRAW and is_fault(label) else maker
        key = (task, kind, label)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        self.choices.append(Choice(Anchor(task, kind, label, count), options, maker))


class GuidedStrategy:
    """Follows a plan as far as the program lets it.

    Args:
        plan: What to choose where it is not the plain choice.
        ledger: Is told of each decision.
        insists: Have a task preempted by whoever has waited longest, when the one that the plan names cannot run.
            Otherwise what cannot be chosen is left at the plain choice.

    Attributes:
        chosen: For each decision of the ledger what was chosen.
        missed: How many times it could not choose what the plan names.
    """

    name = "shrunk"

    def __init__(self, plan: Plan, ledger: Ledger, *, insists: bool = False) -> None:
        self._plan = plan
        self._ledger = ledger
        self._insists = insists
        self.chosen: list[int] = []
        self.missed = 0

    def begin(self, seed: int) -> bool:  # noqa: ARG002 - the plan decides, not the seed
        """Nothing to get ready: a strategy and its ledger serve one execution."""
        return True

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose whom the plan names."""
        self._ledger.picking(current, ready)
        return self._choose()

    def draw(self, label: str, bound: int) -> int:
        """Choose what the plan names."""
        self._ledger.drawing(label, bound)
        return self._choose()

    def weigh(self, label: str, probability: float, levels: int) -> int:  # noqa: ARG002 - what is not planned stays away
        """Choose what the plan names."""
        return self.draw(label, 1 + levels)

    def _choose(self) -> int:
        if self._ledger.is_full:
            return 0
        anchor, options, _ = self._ledger.choices[-1]
        wanted = self._plan.get(anchor)
        value = 0
        if wanted is not None:
            if wanted in options:
                value = options.index(wanted)
            else:
                self.missed += 1
                value = int(self._insists and anchor.kind == OPEN)
        self.chosen.append(value)
        return value
