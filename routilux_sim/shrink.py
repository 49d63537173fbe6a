"""From a schedule that fails to the simplest one that fails in the same way.

Simplest is what a person has to follow least in: first the fewest faults, then the fewest preemptions, then the fewest
decisions that are not the plain choice, then the fewest steps and tasks. Decisions are dropped in ever smaller groups,
as delta debugging does (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002), and moved or
exchanged as in the simplification of concurrent traces (Jalbert and Sen, "A trace simplification technique for
effective debugging of concurrent programs", 2010); where there are few places for them, one and two at a time are tried
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations, islice

from routilux_sim.execution import Campaign
from routilux_sim.schedule import Schedule
from routilux_sim.strategy.guided import DRAW, OPEN, Anchor, Plan
from routilux_sim.trials import Budget, BudgetSpentError, Size, Trial, Trials

__all__ = ["Shrunk", "shrink"]

PAIRS = 16
"""Up to so many deviations, each two are dropped together."""

EVERYWHERE = 1_000
"""So many trials are given to one deviation alone, wherever it may be."""

EVERY_TWO = 1_500
"""Up to so many, two of them are tried everywhere."""

LARGEST = 200_000
"""Schedules of more decisions are left as they are."""

FARTHEST = 64
"""So many decisions of its task later or earlier a deviation is tried."""


class Shrunk:
    """What shrinking came to.

    Attributes:
        schedule: Fails in the same way; made by the program itself, so it replays.
        plan: Its decisions that are not the plain choice, by name.
        before: How large the schedule was.
        after: How large this one is.
        signature: How both fail.
        executions: How many it took.
        late: Whether real time ran out, so that another machine may get further.
    """

    def __init__(self, schedule: Schedule, first: Trial, best: Trial, budget: Budget) -> None:
        self.schedule = schedule
        self.plan: Plan = best.plan
        self.before: Size = first.size
        self.after: Size = best.size
        self.signature = best.signature
        self.executions = budget.used
        self.late = budget.late

    def __repr__(self) -> str:
        return f"<Shrunk {self.before} to {self.after} in {self.executions} executions>"


def shrink(campaign: Campaign, schedule: Schedule, budget: Budget | None = None) -> Shrunk | None:
    """Look for the simplest schedule that fails as this one does.

    The same schedule and budget come to the same, unless real time runs out.

    Args:
        campaign: Of the program; it must be running.
        schedule: One that fails.
        budget: How much may be tried.

    Returns:
        What was found; the schedule itself, if there is nothing simpler. None if it does not fail when it is run.
    """
    budget = budget or Budget()
    if len(schedule) > LARGEST:
        return None
    trials = Trials(campaign, schedule, budget)
    try:
        first = trials.original()
    except BudgetSpentError:
        return None
    if first.signature is None:
        return None
    search = _Search(trials, first)
    with suppress(BudgetSpentError):
        search.run()
    best = search.best
    if best is first:
        return Shrunk(schedule, first, first, budget)
    _, execution = trials.record(best.plan)
    return Shrunk(execution.schedule, first, best, budget)


class _Search:
    """Shrinking under way.

    Attributes:
        best: The simplest trial so far that fails in the same way.
    """

    def __init__(self, trials: Trials, first: Trial) -> None:
        self._trials = trials
        self._signature = first.signature
        self.best = first
        self._plain: Trial | None = None

    def run(self) -> None:
        """Make it simpler until nothing does."""
        self._plain = self._trials.run({})
        if self._plain is not None and self._accept(self._plain):
            return
        self._drop()
        self._anywhere()
        before = None
        while self.best is not before:
            before = self.best
            for simplify in (self._drop, self._drop_pairs, self._retarget, self._move):
                simplify()

    def _accept(self, trial: Trial | None) -> bool:
        if trial is None or trial.signature != self._signature or not trial.size < self.best.size:
            return False
        self.best = trial
        return True

    def _try(self, plan: Plan) -> bool:
        trial = self._trials.run(plan)
        if self._accept(trial):
            return True
        # Whom a deviation names may have no part in what is left: somebody else may do.
        return trial is not None and trial.missed > 0 and self._accept(self._trials.run(plan, insists=True))

    def _in_order(self) -> list[Anchor]:
        return list(self.best.plan)

    def _drop(self) -> None:
        """Drop deviations in groups, from all of them down to one, the last ones first."""
        size = len(self.best.plan)
        while size:
            dropped = False
            end = len(self.best.plan)
            while end > 0:
                anchors = self._in_order()
                gone = set(anchors[max(0, end - size) : end])
                if self._try({anchor: to for anchor, to in self.best.plan.items() if anchor not in gone}):
                    dropped = True
                    end = min(end, len(self.best.plan))
                else:
                    end -= size
            if not dropped or size > 1:
                size = size // 2 if size > 1 else 0
            size = min(size, len(self.best.plan))

    def _drop_pairs(self) -> None:
        """Drop two at a time: away and back again."""
        again = True
        while again and 2 <= len(self.best.plan) <= PAIRS:
            again = False
            for pair in combinations(self._in_order(), 2):
                if self._try({anchor: to for anchor, to in self.best.plan.items() if anchor not in pair}):
                    again = True
                    break

    def _retarget(self) -> None:
        """Choose what is nearer to the plain choice."""
        for anchor in self._in_order():
            at = self.best.places.get(anchor)
            if at is None:
                continue
            options = self.best.choices[at].options
            index = options.index(self.best.plan[anchor])
            lower = range(1, index) if anchor.kind != DRAW else _halves(index)
            any(self._try({**self.best.plan, anchor: options[other]}) for other in lower)

    def _move(self) -> None:
        """Have a deviation happen at another decision of the same task: later, or earlier if that saves steps."""
        for anchor in reversed(self._in_order()):
            any(self._try(plan) for plan in self._moved(anchor))

    def _moved(self, anchor: Anchor) -> Iterator[Plan]:
        at = self.best.places.get(anchor)
        if at is None or anchor.kind == DRAW:
            return
        rest = dict(self.best.plan)
        to = rest.pop(anchor)
        own = [
            (index, choice)
            for index, choice in enumerate(self.best.choices)
            if choice.anchor.task == anchor.task and choice.anchor not in rest and choice.anchor.kind != DRAW
        ]
        later = [choice for index, choice in own if index > at][:FARTHEST]
        earlier = [choice for index, choice in own if index < at][-FARTHEST:]
        # What another deviation decides already stays with that one.
        for choice in (*reversed(later), *reversed(earlier)):
            yield {**rest, choice.anchor: to}

    def _anywhere(self) -> None:
        """Look for one deviation, or two, that do alone: for such as preempt nobody, if few others could be spared."""
        plain = self._plain
        if plain is None or not self.best.size.preemptions + self.best.size.deviations > 1:
            return
        found = []
        for plan, at in islice(_singles(plain, 0, preempting=self.best.size.deviations > 1), EVERYWHERE):
            trial = self._trials.run(plan)
            if self._accept(trial):
                return
            if trial is not None and trial.plan:
                found.append((trial, at))
        preempting = self.best.size.deviations > 2 or self.best.size.preemptions > 1
        doubles = (
            {**trial.plan, **plan}
            for trial, at in found
            if preempting or not trial.size.preemptions
            for plan, _ in _singles(trial, at + 1, preempting=preempting)
        )
        plans = list(islice(doubles, EVERY_TWO + 1))
        # A part of them would say little about the rest.
        for plan in plans if len(plans) <= EVERY_TWO else ():
            self._try(plan)


def _halves(value: int) -> Iterator[int]:
    """Numbers from 1 up to below ``value``: the first few, and such as come ever nearer."""
    seen = set()
    for number in (1, 2, value // 2, value - value // 4, value - 1):
        if 0 < number < value and number not in seen:
            seen.add(number)
            yield number


def _singles(trial: Trial, first: int, *, preempting: bool) -> Iterator[tuple[Plan, int]]:
    """Each other choice at each decision from the ``first`` on.

    Those come first that preempt nobody; of each decision, the nearest choice and the farthest; late decisions.
    """
    widest = max((len(choice.options) for choice in trial.choices[first:]), default=0)
    for is_open in (False, True) if preempting else (False,):
        for turn in range(2 * ((widest + 1) // 2)):
            for at in range(len(trial.choices) - 1, first - 1, -1):
                anchor, options, _ = trial.choices[at]
                number = _from_both_ends(turn, len(options))
                if number and (anchor.kind == OPEN) is is_open and anchor not in trial.plan:
                    yield {anchor: options[number]}, at


def _from_both_ends(turn: int, bound: int) -> int:
    """The choice of a turn: 1, the last, 2, the last but one, and so on, each once; 0 when there are no more."""
    if turn >= bound - 1:
        return 0
    return bound - (turn + 1) // 2 if turn % 2 else turn // 2 + 1
