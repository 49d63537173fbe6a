"""Every interleaving of some chosen operations equally likely.

After "Selectively Uniform Concurrency Testing" (Zhao, Wolff, Mathur and Roychoudhury, ASPLOS 2025). A random walk that
gives each task the weight of the operations that it still has to do is uniform over interleavings, if those numbers are
right. Over all operations that is spread too thin, so a schedule is uniform over the interleavings of a few only: those
on one object, another one each time. Which task does the next of them is drawn by weight, and the others stop before
theirs until it has.

The numbers are those of earlier executions, on average. Those of a task that does not exist yet count as its parent's.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.task import Task
from routilux_sim.strategy.pct import UNINTERESTING

if TYPE_CHECKING:
    from routilux_sim.strategy._protocol import Outcome

__all__ = ["SurwStrategy"]

Counts = dict[str, dict[int, int]]
"""How many operations each task did on the object of that label; ``""`` for those on no object."""

Note = tuple[Counts, dict[int, int]]
"""What is learned from an execution: the counts, and the parent of each task."""

ROOT = 1
"""The number of the program's own task."""

LABELS = 400
"""So many objects are told apart; those that come later are left to the others' schedules."""

ENOUGH = 256
"""Executions after which the averages are good enough."""

EVERYTHING = 8
"""One schedule in so many is uniform over all operations."""


class SurwStrategy:
    """Selectively uniform random walk."""

    name = "surw"
    divisible = True
    settles = True

    def __init__(self) -> None:
        self._generator = Random(0)  # noqa: S311 - a seeded generator is the point
        self._random = self._generator.random
        self.restart()

    def restart(self) -> None:
        """Forget the averages: the program has come to have more operations than it had."""
        self._learned = 0
        # By label and task: operations in all executions that had that object, and how many executions had.
        self._totals: dict[str, dict[int, int]] = {}
        self._executions: dict[str, int] = {}
        self._contended: list[str] = []
        self._parents: dict[int, int] = {}
        # Of this execution: what a task and its descendants have to do, and what is left of that with those that exist,
        # descendants to come included.
        self._due: dict[int, float] = {}
        self._weights: dict[int, float] = {}
        self._chosen: str | None = None
        self._intended = ROOT
        self._last = ROOT
        self._chosen_objects: dict[int, tuple[Any, bool]] = {}

    def begin(self, seed: int) -> bool:
        """Choose the operations whose order is to be uniform."""
        self._generator.seed(seed)
        self._chosen_objects = {}
        contended = self._contended
        if not contended or self._random() * EVERYTHING < 1:
            self._chosen = None
            due = self._all_weights()
        else:
            self._chosen = chosen = contended[int(self._random() * len(contended))]
            executions = self._executions[chosen]
            due = {task: count / executions for task, count in self._totals[chosen].items()}
        self._due = due
        # Children have higher numbers than their parents, so from the last one up each is complete when it is added.
        for task in sorted(self._parents, reverse=True):
            weight = due.get(task)
            if weight:
                parent = self._parents[task]
                due[parent] = due.get(parent, 0.0) + weight
        self._weights = {ROOT: due.get(ROOT, 1.0)}
        self._intended = self._last = ROOT
        return True

    def _all_weights(self) -> dict[int, float]:
        weights: dict[int, float] = {}
        for label, counts in self._totals.items():
            for task, count in counts.items():
                weights[task] = weights.get(task, 0.0) + count / self._executions[label]
        return weights

    def _draw_intended(self, weights: dict[int, float]) -> int:
        """Draw who is to do the next of the chosen operations; 0 for nobody, when nothing is left to do."""
        total = 0.0
        for weight in weights.values():
            if weight > 0:
                total += weight
        left = self._random() * total
        for task, weight in weights.items():
            if weight > 0:
                left -= weight
                if left <= 0:
                    return task
        return 0

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose among those that are not before a chosen operation which is another task's turn."""
        candidates = ready if current is None else [current, *ready]
        intended = self._intended
        free: list[int] = []
        due: list[int] = []
        turn = -1
        weights = self._weights
        for place, task in enumerate(candidates):
            if task.number not in weights:
                self._appear(task.number)
                intended = self._intended
            if self._is_chosen(task):
                due.append(place)
                if task.number == intended:
                    turn = place
            else:
                free.append(place)
        if turn >= 0:
            # Its operation is one of as many that may come now: before or after what others do that is not chosen.
            index = turn if not free else (*free, turn)[int(self._random() * (len(free) + 1))]
        elif free:
            index = free[int(self._random() * len(free))]
        else:
            # The one whose turn it is cannot go on, or has no more such operations: another one's turn.
            here = {candidates[place].number: place for place in due}
            number = self._draw_intended({number: weights[number] for number in here})
            index = here[number] if number else due[int(self._random() * len(due))]
        task = candidates[index]
        if index == turn or self._is_chosen(task):
            weights[task.number] -= 1.0
            self._intended = self._draw_intended(weights)
        self._last = task.number
        return index

    def _appear(self, number: int) -> None:
        """Take note of a new task: what it has to do was its parent's so far."""
        parent = self._parents.get(number, self._last)
        if parent not in self._weights:
            parent = self._last
        due = self._due.get(number, 1.0)
        had = self._weights[parent]
        self._weights[parent] = had - due
        self._weights[number] = due
        if self._intended == parent and self._random() * had < due:
            self._intended = number

    def _is_chosen(self, task: Task) -> bool:
        if task.op in UNINTERESTING:
            return False
        chosen = self._chosen
        if chosen is None:
            return True
        obj = task.obj
        if obj is None:
            return not chosen
        known = self._chosen_objects.get(id(obj))
        if known is None:
            # With the object itself: while it is kept, no other one has its id.
            known = self._chosen_objects[id(obj)] = obj, label_of(obj) == chosen
        return known[1]

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Choose among all numbers alike."""
        return int(self._random() * bound)

    def end(self, outcome: Outcome) -> Note | None:
        """Tell who did how many operations on what, and who made whom, if there is a trace."""
        if outcome.trace is None or self._learned >= ENOUGH:
            return None
        by_object: dict[int, tuple[Any, dict[int, int]]] = {}
        parents: dict[int, int] = {}
        for task, op, obj, _, is_step in outcome.trace:
            if is_step and op not in UNINTERESTING:
                counts = by_object.setdefault(id(obj), (obj, {}))[1]
                counts[task] = counts.get(task, 0) + 1
            elif op == "spawn" and isinstance(obj, Task) and task:
                parents[obj.number] = task
        found: Counts = {}
        for obj, counts in by_object.values():
            merged = found.setdefault("" if obj is None else label_of(obj), {})
            for task, count in counts.items():
                merged[task] = merged.get(task, 0) + count
        return found, parents

    def learn(self, notes: Sequence[Note]) -> None:
        """Add to the averages."""
        self._learned += len(notes)
        for found, parents in notes:
            self._parents.update(parents)
            for label, counts in found.items():
                totals = self._totals.get(label)
                if totals is None:
                    if len(self._totals) >= LABELS:
                        continue
                    totals = self._totals[label] = {}
                self._executions[label] = self._executions.get(label, 0) + 1
                for task, count in counts.items():
                    totals[task] = totals.get(task, 0) + count
        self._contended = [label for label, counts in self._totals.items() if len(counts) > 1]
