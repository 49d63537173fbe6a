"""Changes the schedules that showed something new, a little at a time.

Coverage-guided fuzzing of schedules, as AFL does it with inputs and "Greybox Fuzzing for Concurrency Testing" (Wolff,
Shi, Duck, Mathur and Roychoudhury, ASPLOS 2024) with orders of events: a schedule that showed an ordered conflicting
pair or a happens-before class that no other had is kept, and later ones are made of it. What is kept is how it deviates
from the plain one, each choice under the place in its task where it was made rather than its place on the tape: so most
of it stays in force when something before it is changed, and what does not come up any more is passed over.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.strategy._protocol import Outcome

__all__ = ["MutationStrategy"]

Place = tuple[int, int]
"""Where a choice is made: the task that could go on, and the how manyth such choice it is; for a choice among waiting
tasks, minus the one that has waited longest; for a draw 0."""

SHARE_OF_FRESH = 0.1
"""So many schedules are made of nothing."""

RATES = (0.02, 0.1, 0.3, 1.0)
"""In one made of nothing, how likely a choice is at random rather than plain."""

PATIENCE = 1000
"""Choices in a row after which a task is not let go on plainly: it may wait in a loop for what another is to do."""

KEPT = 500
"""Schedules kept at most; of those that showed a class but no pair, `KEPT_FOR_CLASS`."""

KEPT_FOR_CLASS = 50

LONGEST = 20_000
"""Choices of a schedule that is kept at most."""


class _Kept(NamedTuple):
    """A schedule that showed something new.

    Attributes:
        places: Of all its choices, in order.
        deviations: The choices that are not plain: the task that was chosen, or the number that was drawn.
        worth: How much it showed.
    """

    places: tuple[Place, ...]
    deviations: dict[Place, int]
    worth: int


class _Note(NamedTuple):
    """What is learned from an execution.

    Attributes:
        parent: Which of those kept it was made of; None: of none.
        kept: What to keep of it; None: nothing.
        kind, pairs: What it showed that was not known.
    """

    parent: int | None
    kept: _Kept | None
    kind: int
    pairs: tuple[int, ...]


class MutationStrategy:
    """Coverage-guided mutation of schedules."""

    name = "mutation"
    divisible = True
    needs_trace = True

    def __init__(self) -> None:
        self._generator = Random(0)  # noqa: S311 - a seeded generator is the point
        self._random = self._generator.random
        self._corpus: list[_Kept] = []
        self._used: list[int] = []
        self._cumulated: list[float] = []
        self._kinds: set[int] = set()
        self._pairs: set[int] = set()
        # Of this execution.
        self._parent: int | None = None
        self._plan: dict[Place, int] = {}
        self._delays: dict[Place, int] = {}
        self._rate = 0.0
        self._random_from: int | None = None
        self._made: list[tuple[Place, int]] = []
        self._counts: dict[int, int] = {}
        self._delayed: dict[int, int] = {}
        self._runner = 0
        self._in_a_row = 0

    def begin(self, seed: int) -> bool:
        """Make a plan for the next schedule."""
        generator = self._generator
        generator.seed(seed)
        self._made = []
        self._counts = {}
        self._delayed = {}
        self._runner = self._in_a_row = 0
        self._delays = {}
        self._plan = {}
        self._rate = 0.0
        self._random_from = None
        self._parent = None
        if not self._corpus or self._random() < SHARE_OF_FRESH:
            self._rate = generator.choice(RATES)
            self._random_from = 0
            return True
        self._parent = parent = self._draw_parent()
        kept = self._corpus[parent]
        self._plan = dict(kept.deviations)
        if not kept.places:
            return True
        while True:
            self._mutate(kept)
            # One mutation, or two, or three: half as often each.
            if self._random() < 0.5:
                return True

    def _draw_parent(self) -> int:
        cumulated = self._cumulated
        return min(bisect(cumulated, self._random() * cumulated[-1]), len(cumulated) - 1)

    def _mutate(self, kept: _Kept) -> None:
        places, plan, draw = kept.places, self._plan, self._random
        index = int(draw() * len(places))
        # So much of each kind.
        kind = draw()
        if kind < 0.4 or (not plan and kind < 0.65):
            # Some other choice, settled where it comes up: a number below 0 stands for any.
            plan[places[index]] = -1 - self._generator.getrandbits(16)
        elif kind < 0.55:
            self._drop()
        elif kind < 0.65:
            self._move()
        elif kind < 0.85:
            self._delays[places[index]] = 1 << int(draw() * 8)
        elif kind < 0.93:
            self._splice(kept, index)
        else:
            self._keep_only(places[:index], plan)
            self._random_from = index
            self._rate = self._generator.choice(RATES)

    def _some_deviation(self) -> Place:
        keys = list(self._plan)
        return keys[int(self._random() * len(keys))]

    def _drop(self) -> None:
        if self._plan:
            del self._plan[self._some_deviation()]

    def _move(self) -> None:
        if self._plan:
            place = self._some_deviation()
            target = self._plan.pop(place)
            task, count = place
            step = 1 + int(self._random() * 3)
            # To another choice of the same task, a little earlier or later.
            moved = (task, max(1, count + (step if self._random() < 0.5 else -step)))
            self._plan[moved] = target

    def _splice(self, kept: _Kept, index: int) -> None:
        """The beginning of one, the rest of another."""
        self._keep_only(kept.places[:index], self._plan)
        other = self._corpus[self._draw_parent()]
        if other.places:
            later = other.places[int(self._random() * len(other.places)) :]
            self._plan |= {place: other.deviations[place] for place in later if place in other.deviations}

    @staticmethod
    def _keep_only(places: Sequence[Place], plan: dict[Place, int]) -> None:
        inside = set(places)
        for place in [place for place in plan if place not in inside]:
            del plan[place]

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose as planned, and where nothing is, or what is cannot be done, plainly."""
        task = -ready[0].number if current is None else current.number
        counts = self._counts
        count = counts[task] = counts.get(task, 0) + 1
        place = (task, count)
        # From here on a choice is a candidate's place in `ready`, with -1 for the current task.
        first = 0 if current is None else -1
        choice = first
        planned = self._plan.get(place)
        if planned is not None:
            choice = self._find(planned, current, ready)
        elif self._rate and len(self._made) >= (self._random_from or 0) and self._random() < self._rate:
            choice = first + int(self._random() * (len(ready) - first))
        if self._delays or self._delayed:
            choice = self._delay(place, choice, first, ready, current)
        if choice < 0:
            self._in_a_row = self._in_a_row + 1 if task == self._runner else 1
            self._runner = task
            if self._in_a_row > PATIENCE:
                choice = self._in_a_row = 0
        chosen = current if choice < 0 else ready[choice]
        assert chosen is not None  # noqa: S101 - below 0 only with a current task
        self._made.append((place, 0 if choice == first else chosen.number))
        return choice - first

    def _find(self, planned: int, current: Task | None, ready: Sequence[Task]) -> int:
        first = 0 if current is None else -1
        if planned < 0:
            return first + 1 + (-1 - planned) % (len(ready) - first - 1)
        for index, task in enumerate(ready):
            if task.number == planned:
                return index
        return first

    def _delay(self, place: Place, choice: int, first: int, ready: Sequence[Task], current: Task | None) -> int:
        """Hold back a task for a number of choices, as long as another one can run."""
        delayed = self._delayed
        length = self._delays.get(place)
        if length is not None:
            delayed[abs(place[0])] = len(self._made) + length
        now = len(self._made)
        for candidate in range(first, len(ready) + 1):
            index = choice if candidate == first else candidate - 1
            task = current if index < 0 else ready[index]
            if task is not None and delayed.get(task.number, 0) <= now:
                return index
        return choice

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Choose as planned, or plainly."""
        is_random = self._rate and len(self._made) >= (self._random_from or 0)
        return self._draw(bound, 0, self._rate if is_random else 0.0)

    def weigh(self, label: str, probability: float, levels: int) -> int:  # noqa: ARG002 - the protocol's
        """Choose as planned, or by chance."""
        if probability >= 1:
            return 1 + self._draw(levels, 0, 1.0)
        return self._draw(1 + levels, 1, probability)

    def _draw(self, bound: int, least: int, rate: float) -> int:
        """Choose as planned; else, as likely as the rate says, a number from the least up."""
        count = self._counts[0] = self._counts.get(0, 0) + 1
        place = (0, count)
        planned = self._plan.get(place)
        value = 0
        if planned is not None:
            value = (-1 - planned) % bound if planned < 0 else min(planned, bound - 1)
        elif rate and self._random() < rate:
            value = least + int(self._random() * (bound - least))
        self._made.append((place, value))
        return value

    def end(self, outcome: Outcome) -> _Note:
        """Look for what is new, as far as this process knows."""
        kind, pairs = outcome.footprint
        new = tuple([pair for pair in pairs if pair not in self._pairs])
        made = self._made[: min(len(outcome.tape), LONGEST)]
        self._made = []
        kept = None
        if new or kind not in self._kinds:
            places = tuple([place for place, _ in made])
            kept = _Kept(places, {place: value for place, value in made if value}, 1)
        return _Note(self._parent, kept, kind, new)

    def learn(self, notes: Sequence[_Note]) -> None:
        """Keep what showed something new."""
        for parent, kept, kind, pairs in notes:
            if parent is not None:
                self._used[parent] += 1
            if kept is None:
                continue
            new = [pair for pair in pairs if pair not in self._pairs]
            is_new = kind not in self._kinds
            self._pairs.update(new)
            self._kinds.add(kind)
            if len(self._corpus) < (KEPT if new else KEPT_FOR_CLASS if is_new else 0):
                self._corpus.append(kept._replace(worth=4 * len(new) + 1))
                self._used.append(0)
        self._cumulated = list(
            accumulate(kept.worth / (1 + used) ** 0.5 for kept, used in zip(self._corpus, self._used, strict=True))
        )
