"""What the kernel asks of a strategy, and how strategies are found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from routilux.exceptions import UnknownNameError

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = ["STRATEGIES", "Strategy", "make_strategy"]


class Strategy(Protocol):
    """Makes the choices of one campaign: `begin` before each execution, then the choices as they come."""

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


def _random() -> Strategy:
    from routilux_sim.strategy.random import RandomStrategy  # noqa: PLC0415 - strategies load when asked for

    return RandomStrategy()


def _fifo() -> Strategy:
    from routilux_sim.strategy.fifo import FifoStrategy  # noqa: PLC0415

    return FifoStrategy()


STRATEGIES: dict[str, Callable[[], Strategy]] = {"fifo": _fifo, "random": _random}
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
