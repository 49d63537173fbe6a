"""What the kernel asks of a strategy, and how strategies are found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from routilux.exceptions import UnknownNameError

if TYPE_CHECKING:
    from routilux_sim.kernel.tape import Tape
    from routilux_sim.kernel.task import Task

__all__ = [
    "STRATEGIES",
    "Outcome",
    "Strategy",
    "keeps_seed",
    "make_strategy",
    "needs_trace",
    "proof_of",
    "tell_outcome",
]


class Outcome(NamedTuple):
    """What a strategy is told of an execution that it has steered.

    Attributes:
        tape: The decisions made in the program proper, without those of its unwinding.
        trace: The operations done, a `routilux_sim.kernel.trace.Trace`; None if nobody asked for it.
        failed: Something went wrong, or the execution was cut short.
        only_one: Nothing was left to choose, and chance had no say.
        fair: From some step on, a fair scheduler chose and not the strategy: the end of the tape is not its own.
        chance: The program drew random numbers, which are no decisions of the strategy's.
    """

    tape: Tape
    trace: Any
    failed: bool
    only_one: bool
    fair: bool
    chance: bool


class Strategy(Protocol):
    """Makes the choices of one campaign: `begin` before each execution, then the choices as they come.

    A strategy may have more than this; what it does not have counts as the first value given here.

    - ``needs_trace: bool = False``: each execution is to have a trace.
    - ``keeps_seed: bool = False``: the program's own randomness is the same in each execution, and not by the seed.
    - ``end(outcome: Outcome) -> None``: called after each execution.
    - ``proof: str | None = None``: once `begin` has returned False because every schedule has run, what that covers, in
      words that follow "every": "interleaving of synchronization operations with at most 2 preemptions".
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


def tell_outcome(strategy: Strategy, outcome: Outcome) -> None:
    """Tell a strategy of an execution, if it wants to know."""
    end = getattr(strategy, "end", None)
    if end is not None:
        end(outcome)


def proof_of(strategy: Strategy) -> str | None:
    """What a strategy that has nothing more to explore has covered, in words; None when it has not covered it all."""
    proof: str | None = getattr(strategy, "proof", None)
    return proof


def _random() -> Strategy:
    from routilux_sim.strategy.random import RandomStrategy  # noqa: PLC0415 - strategies load when asked for

    return RandomStrategy()


def _fifo() -> Strategy:
    from routilux_sim.strategy.fifo import FifoStrategy  # noqa: PLC0415

    return FifoStrategy()


def _dpor() -> Strategy:
    from routilux_sim.strategy.dpor import DporStrategy  # noqa: PLC0415

    return DporStrategy()


STRATEGIES: dict[str, Callable[[], Strategy]] = {"dpor": _dpor, "fifo": _fifo, "random": _random}
"""Strategies by name."""


def make_strategy(strategy: str | Strategy) -> Strategy:
    """Return the strategy of that name, or the one given.

    Raises:
        ValueError: An unknown name.
        TypeError: Something that is neither a name nor a strategy.
    """
    if isinstance(strategy, str):
        factory = STRATEGIES.get(strategy)
        if factory is None:
            raise UnknownNameError("strategy", strategy, STRATEGIES)
        return factory()
    if callable(getattr(strategy, "pick", None)):
        return strategy
    raise TypeError(f"strategy must be one of {', '.join(sorted(STRATEGIES))} or a Strategy, not {strategy!r}")
