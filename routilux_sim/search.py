"""The schedules of an exploration, one after the other: what runs under what, and what strategies learn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from routilux_sim.determinism.check import execute_recorded
from routilux_sim.determinism.moments import Moment
from routilux_sim.execution import Campaign, Execution
from routilux_sim.footprint import Footprint
from routilux_sim.judge.races import Race
from routilux_sim.kernel.errors import UnfairScheduleError
from routilux_sim.strategy import Strategy
from routilux_sim.strategy._protocol import SETTLED, doubt_of, is_divisible, keeps_seed, proof_of, reduces, settles

__all__ = ["Row", "Search", "round_after"]

LONGEST_ROUND = 1024

SAMPLED_FROM = 256
SAMPLED = 8
"""After so many schedules, one in so many is looked at for coverage, if the strategy needs no trace: it costs a third
of an execution that does little."""


def round_after(begun: int) -> int:
    """How many schedules the round has that begins after so many.

    Strategies learn after each round: often in the beginning, when everything is new; later seldom, since processes
    that share a round wait for each other at its end. The very first schedule is a round of its own: it shows what
    memory is shared.
    """
    return max(1, min(begun // 2, LONGEST_ROUND))


class Row(NamedTuple):
    """What came of one schedule.

    Attributes:
        number: Which one, from 0.
        seed: What the program ran under.
        strategy: The name of the strategy that made it.
        elapsed_ns: Virtual nanoseconds.
        footprint: What it was like; None if that was not looked at.
        note: What the strategy learns from it.
        only_one: Nothing was left to choose.
        grown: What memory turned out to be shared that was not known to be.
        error: What ended it, in words, if it did not end by itself.
        is_unfair: It was the strategy's doing that it did not end in time: others may be had all the same.
        execution: All of it, in the process where it ran.
        moments: What it looked like at each decision, if that was noted.
        schedule: If it did not end by itself, to run it again elsewhere.
        races: The data races in it, if they were looked for.
    """

    number: int
    seed: int
    strategy: str
    elapsed_ns: int
    footprint: Footprint | None
    note: Any
    only_one: bool
    grown: frozenset[str]
    error: str | None
    is_unfair: bool
    execution: Execution | None = None
    moments: Sequence[Moment] | None = None
    schedule: Any = None
    races: Sequence[Race] = ()


class Search:
    """Runs the schedules of a campaign.

    Args:
        campaign: Runs them.
        strategy: Makes their decisions.
        seed: The campaign's; the n-th schedule's is so much more.
        schedules: How many to run at most.
        late: Tells whether the time is up.
        check: Whether to note what each looks like at each decision.

    Attributes:
        strategy: That one.
        proof: Within which bound everything has run, if the strategy has come to its end and says so.
        doubt: What showed it that the program cannot be explored.
        reduced: That was so up to the order of independent steps.
        is_late: Tells whether the time is up.
    """

    def __init__(
        self,
        campaign: Campaign,
        strategy: Strategy,
        seed: int,
        schedules: int,
        late: Callable[[], bool],
        check: bool,
    ) -> None:
        self.strategy = strategy
        self.proof: str | None = None
        self.doubt: str | None = None
        self.reduced = False
        self._campaign = campaign
        self._seed = seed
        self._budget = schedules
        self.is_late = late
        self._check = check
        # What memory is shared is settled for each round, so that it does not matter which process runs a schedule.
        self._shared = campaign.shared
        self._divisible = is_divisible(strategy)
        self._settles = settles(strategy)
        self._end = getattr(strategy, "end", None)

    def round_from(self, begun: int) -> range:
        """The numbers of the schedules of the round that begins after so many; empty when all have run.

        Once a strategy has settled, rounds double: what memory is shared is all that is still learned.
        """
        count = round_after(begun)
        if self._settles:
            count = begun if begun >= SETTLED else min(count, SETTLED - begun)
        return range(begun, min(begun + count, self._budget))

    @property
    def bounds(self) -> tuple[int, int]:
        """The exploration's seed, and how many schedules it has at most."""
        return self._seed, self._budget

    def seed_of(self, number: int) -> int:
        """What a schedule runs under, if its strategy does not keep the seed."""
        return self._seed + number

    def is_settled(self, number: int) -> bool:
        """Whether the strategy learns nothing more from that schedule."""
        return self._settles and number >= SETTLED

    @property
    def shared(self) -> frozenset[str] | None:
        """What memory is known to be shared in the schedules that are run now; None if no access to any is a point."""
        return self._shared

    @shared.setter
    def shared(self, names: frozenset[str] | None) -> None:
        self._shared = names

    def prepare(self) -> None:
        """Get ready, once the campaign is running."""
        prepare = getattr(self.strategy, "prepare", None)
        if prepare is not None:
            prepare(self._seed, self._budget)

    def rows(self) -> Iterator[Row]:
        """Run one schedule after the other."""
        self.prepare()
        numbers = self.round_from(0)
        while numbers:
            notes: list[Any] = []
            grown: frozenset[str] = frozenset()
            count = 0
            for number in numbers:
                row = None if number and self.is_late() else self.run(number)
                if row is None:
                    if self.stops(grown):
                        return
                    break
                count += 1
                if row.note is not None:
                    notes.append(row.note)
                grown |= row.grown
                yield row
                if row.grown and not self._divisible:
                    break
            self.learn(notes, grown, settled=self.is_settled(numbers.start))
            numbers = self.round_from(numbers.start + count)
        if not self._divisible and not self.strategy.begin(self._seed + self._budget):
            # The budget was just enough.
            self._end_of(self.strategy)

    def stops(self, grown: frozenset[str]) -> bool:
        """Whether the search is over when there is no next schedule, after a round in which that turned out shared.

        What was enumerated without knowing that is no proof: it begins again, with more scheduling points.
        """
        if not grown or self.proof is None:
            return True
        self.proof = None
        return False

    def _end_of(self, strategy: Strategy) -> None:
        self.proof, self.doubt, self.reduced = proof_of(strategy), doubt_of(strategy), reduces(strategy)

    def run(self, number: int) -> Row | None:
        """Run a schedule; None when there is nothing more to explore."""
        strategy = self.strategy
        if not strategy.begin(self._seed + number):
            self._end_of(strategy)
            return None
        name = strategy.name
        seed = self._seed if keeps_seed(strategy) else self._seed + number
        looked_at = number < SAMPLED_FROM or number % SAMPLED == 0
        moments = None
        points = None if self._shared is None else {"shared": self._shared}
        if self._check:
            execution, moments = execute_recorded(self._campaign, strategy, seed, trace=looked_at, points=points)
        else:
            execution = self._campaign.execute(strategy, seed, trace=looked_at, points=points)
        outcome = execution.outcome
        note = None if self._end is None or self.is_settled(number) else self._end(outcome)
        footprint = None if outcome.trace is None else outcome.footprint
        outcome.trace = None
        error = None if execution.error is None else f"{type(execution.error).__name__}: {execution.error}"
        return Row(
            number=number,
            seed=seed,
            strategy=name,
            elapsed_ns=execution.elapsed_ns,
            footprint=footprint,
            note=note,
            only_one=outcome.only_one,
            grown=outcome.grown,
            error=error,
            is_unfair=isinstance(execution.error, UnfairScheduleError),
            execution=execution,
            moments=moments,
            races=execution.races,
        )

    def is_sequential(self, number: int) -> bool:
        """Whether a schedule comes out of one before it, and is to run in that one's process."""
        ask = getattr(self.strategy, "is_sequential", None)
        return ask is not None and bool(ask(self._seed + number))

    def learn(self, notes: Sequence[Any], grown: frozenset[str], *, settled: bool = False) -> None:
        """Tell the strategy what there is to learn from a round, in which more memory turned out to be shared.

        Args:
            notes: What it has noted, in the order of the schedules.
            grown: What memory turned out to be shared.
            settled: The strategy is not to be told.
        """
        if self._shared is not None and not grown <= self._shared:
            self._shared |= grown
            if settled:
                return
            restart = getattr(self.strategy, "restart", None)
            if restart is not None:
                restart()
        learn = getattr(self.strategy, "learn", None)
        if learn is not None and not settled:
            learn([note for note in notes if note is not None])
