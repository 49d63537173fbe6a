"""Splits the schedules over several strategies, and gives more to those that find new behaviour.

No strategy is the best on all programs. The first schedule is the plain one, and a few
have their places after it. Each later one is given to one of the
members by its number and by what they have found so far: a member's share is between half of and several times its
first one, by the new happens-before classes and ordered conflicting pairs that its schedules have shown lately. When
none shows anything new any more, the shares are the first ones again.

What has been found is counted in rounds, so which schedule is whose depends on the seed, and not on how many processes
run them. The systematic members go on from their last schedule to the next: all of theirs are to run in one process.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux_sim.strategy import names
from routilux_sim.strategy._protocol import Outcome, Strategy, doubt_of, keeps_seed, needs_trace, proof_of, reduces

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.strategy._protocol import Weigh

__all__ = ["SHARES", "Note", "PortfolioStrategy"]

SHARES = {"random": 2.0, "pct": 3.0, "pos": 2.0, "surw": 1.5, "mutation": 4.0, "dfs": 1.0, "dpor": 1.0}
"""Whose schedules how many are, in proportion; those that are not installed have none."""

# fmt: off
OPENING = (
    "fifo", "dpor", "random", "dpor", "surw", "random", "dpor", "pos", "random", "dpor",
    "pct", "mutation", "dpor", "random", "surw", "dpor", "dfs", "pos", "random", "dpor",
)
# fmt: on
"""Whose the first schedules are: most bugs are shallow, and found soonest by who tries what matters, or anything."""

SYSTEMATIC = frozenset({"dfs", "dpor"})
"""They end by themselves, and with a proof if nothing was left out."""

DECAY = 0.9
"""How much of what a member has found counts a round later."""

NOTHING = 0.01
"""Pairs found in a schedule that count for nothing in comparison."""

LONGEST = 20_000
"""Decisions of an execution that is too long for systematic members: a task waits in a loop, say, and is never kept
from it."""

MOST_KEPT = 2_000_000
"""Decisions that a systematic member may keep before it is given up: its memory."""

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly, however many one takes."""


class Note(NamedTuple):
    """What is learned from an execution.

    Attributes:
        member: Who made it.
        inner: What that one learns from it.
        kind, pairs: What it showed that was not known; a kind of None: nobody has looked.
        over: Which members have nothing more to explore.
    """

    member: str
    inner: Any
    kind: int | None
    pairs: tuple[int, ...]
    over: tuple[str, ...]


class PortfolioStrategy:
    """Several strategies that share the schedules; a random walk when it is asked for one schedule alone."""

    divisible = True

    def __init__(self) -> None:
        self._plain = names.make_strategy("fifo")
        self._members: dict[str, Strategy] = {
            name: names.make_strategy(name) for name in SHARES if name in names.STRATEGIES
        }
        self._names = tuple(self._members)
        self._over: set[str] = set()
        self._doubted: set[str] = set()
        self._current: Strategy = self._members["random"]
        self._member = "random"
        # The current member's own: asked at each decision, so not through methods of this class.
        self.pick: Callable[[Task | None, Sequence[Task]], int] = self._current.pick
        self.draw: Callable[[str, int], int] = self._current.draw
        self._first: int | None = None
        self._offset = 0.0
        # By member: what it has found lately, and in how many schedules.
        self._found = dict.fromkeys(self._members, 0.0)
        self._had = dict.fromkeys(self._members, 0.0)
        self._kinds: set[int] = set()
        self._pairs: set[int] = set()
        self._cumulated: list[float] = []
        self._share()
        self.proof: str | None = None
        self.doubt: str | None = None

    @property
    def name(self) -> str:
        """The name of the member whose turn it is."""
        return self._current.name

    @property
    def weigh(self) -> Weigh | None:
        """How that member chooses what comes with a probability; None: it does not."""
        own: Weigh | None = getattr(self._current, "weigh", None)
        return own

    @property
    def keeps_seed(self) -> bool:
        """Whether that member keeps the seed."""
        return keeps_seed(self._current)

    @property
    def needs_trace(self) -> bool:
        """Whether that member needs a trace."""
        return needs_trace(self._current)

    def prepare(self, seed: int, schedules: int) -> None:  # noqa: ARG002 - the shares are the same for any number
        """Count schedules from here."""
        self._plain = names.make_strategy("fifo")
        self._first = seed
        self._offset = (seed % 1000) * GOLDEN * GOLDEN

    def is_sequential(self, seed: int) -> bool:
        """Whether the schedule goes on from an earlier one, and is to run in that one's process."""
        return self._whose(seed) in SYSTEMATIC

    def _whose(self, seed: int) -> str:
        number = seed - (seed if self._first is None else self._first)
        if self._first is None:
            return "random"
        if number < len(OPENING):
            member = OPENING[number]
            return member if member in self._members or member == "fifo" else "random"
        place = (number * GOLDEN + self._offset) % 1.0 * self._cumulated[-1]
        index = bisect(self._cumulated, place)
        return self._names[min(index, len(self._names) - 1)]

    def begin(self, seed: int) -> bool:
        """Let the member whose turn it is get ready; False when one of them has proved something, or doubts."""
        member = self._whose(seed)
        strategy = self._plain if member == "fifo" else self._members[member]
        if member in self._over or not (strategy.begin(seed) or self._begin_anew(member, seed)):
            self.doubt = doubt_of(strategy)
            if not reduces(strategy):
                # Else what it has left out may come to something else after all: through what nobody saw tasks share.
                self.proof = proof_of(strategy)
            if self.proof is not None or self.doubt is not None:
                return False
            self._over.add(member)
            member, strategy = "random", self._members["random"]
            strategy.begin(seed)
        self._member, self._current = member, strategy
        self.pick, self.draw = strategy.pick, strategy.draw
        return True

    def _begin_anew(self, member: str, seed: int) -> bool:
        """Let a member that is in doubt begin again, once: a program may do something the first time ever."""
        strategy = self._members[member]
        if doubt_of(strategy) is None or member in self._doubted:
            return False
        self._doubted.add(member)
        restart = getattr(strategy, "restart", None)
        if restart is not None:
            restart()
        return strategy.begin(seed)

    def end(self, outcome: Outcome) -> Note:
        """Tell the member."""
        end = getattr(self._current, "end", None)
        inner = None if end is None else end(outcome)
        too_long = self._member in SYSTEMATIC and len(outcome.tape) > LONGEST
        if too_long or getattr(self._current, "kept", 0) > MOST_KEPT:
            self._over.add(self._member)
            restart = getattr(self._current, "restart", None)
            if restart is not None:
                restart()
        kind: int | None = None
        pairs: tuple[int, ...] = ()
        if outcome.trace is not None:
            kind, pairs = outcome.footprint
            pairs = tuple([pair for pair in pairs if pair not in self._pairs])
        return Note(self._member, inner, kind, pairs, tuple(sorted(self._over)))

    def learn(self, notes: Sequence[Note]) -> None:
        """Let the members learn, and share anew."""
        by_member: dict[str, list[Any]] = {}
        for name in self._members:
            self._found[name] *= DECAY
            self._had[name] *= DECAY
        for member, inner, kind, pairs, over in notes:
            self._over.update(over)
            if inner is not None:
                by_member.setdefault(member, []).append(inner)
            if kind is None:
                continue
            worth = 0.0
            if kind not in self._kinds:
                self._kinds.add(kind)
                worth = 0.1
            for pair in pairs:
                if pair not in self._pairs:
                    self._pairs.add(pair)
                    worth += 1.0
            if member in self._had:
                self._had[member] += 1.0
                self._found[member] += min(worth, 3.0)
        for member, inners in by_member.items():
            learn = getattr(self._members.get(member), "learn", None)
            if learn is not None:
                learn(inners)
        self._share()

    def _share(self) -> None:
        """Settle whose schedules how many are."""
        scores = {name: self._found[name] / max(self._had[name], 1.0) for name in self._members}
        mean = sum(scores.values()) / len(scores)
        weights = []
        for name in self._members:
            gain = min((scores[name] + NOTHING) / (mean + NOTHING), 4.0)
            weights.append(0.0 if name in self._over else SHARES[name] * (0.5 + 0.5 * gain))
        self._cumulated = list(accumulate(weights))

    def restart(self) -> None:
        """Pass it on to those that enumerate."""
        self.proof = None
        for name, strategy in self._members.items():
            restart = getattr(strategy, "restart", None)
            if restart is not None and name not in self._over:
                restart()
