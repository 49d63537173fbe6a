"""Priorities that change at a few random places: what a bug of small depth needs, with a known probability.

After "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (Burckhardt, Kothari, Musuvathi and
Nagarakatte, ASPLOS 2010). Each task has a random priority, and the highest one runs. At ``depth - 1`` steps, drawn from
the ``k`` that an execution has, the task that is about to go on falls below all others. A bug that needs ``depth``
orderings, in a program of ``n`` tasks, is found in each schedule with a probability of at least
``1 / (n * k ** (depth - 1))``.

A task that yields, or that goes on for very long while others could run, falls below all others as well: it may wait in
a loop for what another one is to do.

Steps are counted where somebody else could run instead and the operation may matter to others: preempting a task before
it begins, joins or ends changes nothing that a later place would not.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.strategy._protocol import Outcome

__all__ = ["DEPTHS", "UNINTERESTING", "PctStrategy"]

DEPTHS = (2, 3, 4, 5)
"""What depth a schedule's is drawn from, if it is not given."""

UNINTERESTING = frozenset({"begin", "end", "exit", "join"})
"""Operations before which it makes no difference to be preempted."""

PATIENCE = 1000
"""Steps in a row after which a task is taken to wait for another one in a loop, and falls below all others."""

GUESS = 32
"""How many steps are expected before any execution has been seen."""


class PctStrategy:
    """Random priorities with change points.

    Args:
        depth: How many orderings the bug looked for needs, from 1 up; None: drawn for each schedule.

    Raises:
        ValueError: A depth below 1.
    """

    divisible = True
    settles = True

    def __init__(self, depth: int | None = None) -> None:
        if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
            raise ValueError(f"the depth of pct must be a whole number from 1 up, not {depth!r}")
        self.name = "pct" if depth is None else f"pct:{depth}"
        self._depth = depth
        self._generator = Random(0)  # noqa: S311 - a seeded generator is the point
        self._random = self._generator.random
        self._expected = GUESS
        self._known = False
        self._priorities: dict[int, float] = {}
        self._changes: dict[int, float] = {}
        self._steps = 0
        self._runner = 0
        self._in_a_row = 0
        self._floor = -1000.0

    def begin(self, seed: int) -> bool:
        """Draw the places where priorities change."""
        self._generator.seed(seed)
        depth = self._depth or self._generator.choice(DEPTHS)
        places = self._generator.choices(range(1, self._expected + 1), k=depth - 1)
        # Below every first priority. Places in no order: the task that falls last may have to be above one before it.
        self._changes = {place: -float(number) for number, place in enumerate(places, 1)}
        self._priorities = {}
        self._steps = 0
        self._runner = self._in_a_row = 0
        self._floor = -1000.0
        return True

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose the highest priority, after lowering it if its place has come."""
        priorities = self._priorities
        best = second = -1e9
        index = place = runner_up = 0
        highest = current
        if current is not None:
            number = current.number
            best = priorities.get(number, -1e9)
            if best == -1e9:
                best = priorities[number] = self._random()
            place = 1
        for task in ready:
            number = task.number
            priority = priorities.get(number)
            if priority is None:
                priority = priorities[number] = self._random()
            if priority > best:
                second, runner_up = best, index
                best, index, highest = priority, place, task
            elif priority > second:
                second, runner_up = priority, place
            place += 1
        assert highest is not None  # noqa: S101 - there are at least two candidates
        if highest.number != self._runner:
            self._runner = highest.number
            self._in_a_row = 0
        self._in_a_row += 1
        if highest.op == "yield" or self._in_a_row > PATIENCE:
            # It lets others run, or it should: what it waits for may be theirs to do.
            self._in_a_row = 0
            self._floor -= 1.0
            priorities[highest.number] = self._floor
            return runner_up
        if highest.op not in UNINTERESTING:
            self._steps = steps = self._steps + 1
            change = self._changes.get(steps)
            if change is not None:
                priorities[highest.number] = change
                if change < second:
                    return runner_up
        return index

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Choose among all numbers alike."""
        return int(self._random() * bound)

    def end(self, outcome: Outcome) -> int:  # noqa: ARG002 - the protocol's
        """Tell how many steps there were."""
        return self._steps

    def learn(self, notes: Sequence[int]) -> None:
        """Expect as many steps as the longest of those executions had; a longer one before is forgotten slowly."""
        if notes:
            self._expected = max(1, *notes, self._expected * 7 // 8 if self._known else 0)
            self._known = True
