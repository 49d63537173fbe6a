"""What the kernel and a campaign ask of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from routilux_sim.footprint import Footprint
    from routilux_sim.kernel.tape import Tape
    from routilux_sim.kernel.task import Task
    from routilux_sim.kernel.trace import Trace

__all__ = [
    "SETTLED",
    "Outcome",
    "Strategy",
    "Weigh",
    "doubt_of",
    "is_divisible",
    "keeps_seed",
    "needs_trace",
    "proof_of",
    "reduces",
    "settles",
    "weigher",
]

SETTLED = 256
"""After so many schedules of an exploration there is nothing more to learn for a strategy that settles."""

Weigh = Callable[[str, float, int], int]
"""What `Strategy` says of ``weigh``."""


@dataclass(slots=True, eq=False)
class Outcome:
    """What a strategy is told of an execution that it has steered.

    Attributes:
        tape: The decisions made in the program proper, without those of its unwinding.
        trace: The operations done; None if nobody asked for it.
        failed: Something went wrong, or the execution was cut short.
        only_one: Nothing was left to choose, and chance had no say.
        fair: From some step on, a fair scheduler chose and not the strategy: the end of the tape is not its own.
        chance: The program drew random numbers, which are no decisions of the strategy's.
        grown: What memory turned out to be shared: accesses to it have been scheduling points from then on only.
    """

    tape: Tape
    trace: Trace | None
    failed: bool
    only_one: bool
    fair: bool
    chance: bool
    grown: frozenset[str] = frozenset()
    _footprint: Footprint | None = None

    @property
    def footprint(self) -> Footprint:
        """What tells the trace from others.

        Raises:
            ValueError: There is no trace.
        """
        if self._footprint is None:
            if self.trace is None:
                raise ValueError("an execution without a trace has no footprint; let needs_trace be True")
            from routilux_sim.footprint import footprint_of  # noqa: PLC0415 - it needs the kernel, which needs this

            self._footprint = footprint_of(self.trace)
        return self._footprint


class Strategy(Protocol):
    """Makes the choices of one campaign: `begin` before each execution, then the choices as they come.

    A strategy may have more than this; what it does not have counts as the first value given here.

    - ``needs_trace: bool = False``: each execution is to have a trace.
    - ``keeps_seed: bool = False``: the program's own randomness is the same in each execution, and not by the seed.
    - ``prepare(seed: int, schedules: int) -> None``: called before the first execution of a campaign with its seed and
      the number of schedules that it may have.
    - ``end(outcome: Outcome) -> Any``: called after each execution; returns what is to be learned from it, which can be
      pickled; None: nothing.
    - ``learn(notes: list) -> None``: called with what `end` has returned, in the order of the schedules, after a round
      of them. Only this may change what later schedules are like, if the strategy is divisible.
    - ``divisible: bool = False``: a schedule depends on its seed and what has been learned, and on nothing else; so
      processes may share the schedules of a round.
    - ``settles: bool = False``: it is divisible, can be pickled, and learns of the first `SETTLED` schedules only; so a
      later one depends on its seed and on them, and on none in between.
    - ``proof: str | None = None``: once `begin` has returned False because every schedule has run, within which bound
      that is, in words that follow "every interleaving": "with at most 2 preemptions", or "" if there is no bound.
    - ``reduces: bool = False``: of schedules that differ in the order of independent steps only, one is enough; it sees
      no dependence through memory whose accesses are no scheduling points.
    - ``doubt: str | None = None``: what showed that the program cannot be explored.
    - ``weigh(label: str, probability: float, levels: int) -> int``: choose whether something comes that is as likely as
      that, and how: 0 if not, else a number from 1 up to ``levels``. It is asked about what is certain, too: one that
      repeats what was recorded may say no, others may not. Without it the execution's seed decides.
    - ``restart() -> None``: the program has more scheduling points than before; what has been enumerated is void.
    """

    name: str

    def begin(self, seed: int) -> bool:
        """Get ready for an execution under ``seed``; False when there is nothing more to explore."""

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Choose who runs.

        With a ``current`` task, which could go on: 0 for it, n for ``ready[n - 1]``. Without: n for ``ready[n]``.
        What each task is about to do is in its ``op`` and ``obj``. ``ready`` is not to be kept or changed.
        """

    def draw(self, label: str, bound: int) -> int:
        """Choose a number from 0 to ``bound - 1`` for something else; 0 is the plain choice."""


def needs_trace(strategy: Strategy) -> bool:
    """Whether each execution is to have a trace."""
    return bool(getattr(strategy, "needs_trace", False))


def keeps_seed(strategy: Strategy) -> bool:
    """Whether all executions are to have the same randomness."""
    return bool(getattr(strategy, "keeps_seed", False))


def is_divisible(strategy: Strategy) -> bool:
    """Whether processes may share the schedules of a round."""
    return bool(getattr(strategy, "divisible", False))


def settles(strategy: Strategy) -> bool:
    """Whether a strategy learns of the first `SETTLED` schedules only."""
    return bool(getattr(strategy, "settles", False))


def proof_of(strategy: Strategy) -> str | None:
    """Within which bound a strategy that has nothing more to explore has covered it all; None: it has not."""
    proof: str | None = getattr(strategy, "proof", None)
    return proof


def reduces(strategy: Strategy) -> bool:
    """Whether a strategy takes the order of steps that it sees no dependence of for immaterial."""
    return bool(getattr(strategy, "reduces", False))


def doubt_of(strategy: Strategy) -> str | None:
    """What showed a strategy that the program cannot be explored, if something did."""
    doubt: str | None = getattr(strategy, "doubt", None)
    return doubt


def weigher(strategy: Strategy, seed: int) -> Weigh:
    """Who chooses in an execution whether something comes that has a probability: the strategy, or else the seed."""
    make = getattr(strategy, "weigher", None)
    if make is not None:
        passed_on: Weigh = make(seed)
        return passed_on
    own: Weigh | None = getattr(strategy, "weigh", None)
    return _by_chance(seed) if own is None else own


def _by_chance(seed: int) -> Weigh:
    # Of its own, so that what there is to go wrong does not change what else the seed decides.
    random = Random(f"faults {seed}").random  # noqa: S311 - the same every time is what it must be

    def weigh(label: str, probability: float, levels: int) -> int:  # noqa: ARG001 - the protocol's
        return 1 + int(random() * levels) if random() < probability else 0

    return weigh
