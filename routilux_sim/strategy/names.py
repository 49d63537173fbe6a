"""Strategies by name: ``"pos"``, or with a number ``"pct:3"``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from routilux.exceptions import UnknownNameError
from routilux_sim.strategy._protocol import Strategy

__all__ = ["STRATEGIES", "check_name", "make_strategy"]


def _loading(module: str, name: str) -> Callable[..., Strategy]:
    """Make a strategy, loading its module when that is first asked for."""

    def make(*numbers: int) -> Strategy:
        strategy: Strategy = getattr(import_module(f"routilux_sim.strategy.{module}"), name)(*numbers)
        return strategy

    return make


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "dfs": _loading("dfs", "DfsStrategy"),
    "dpor": _loading("dpor", "DporStrategy"),
    "fifo": _loading("fifo", "FifoStrategy"),
    "mix": _loading("mix", "MixStrategy"),
    "mutation": _loading("mutation", "MutationStrategy"),
    "pct": _loading("pct", "PctStrategy"),
    "portfolio": _loading("portfolio", "PortfolioStrategy"),
    "pos": _loading("pos", "PosStrategy"),
    "random": _loading("random", "RandomStrategy"),
    "surw": _loading("surw", "SurwStrategy"),
}
"""What makes each strategy; some take a number."""

NUMBERS = {"dfs": "the most preemptions", "pct": "the depth"}
"""What the number after the colon is, where there may be one."""


def check_name(text: str) -> tuple[str, tuple[int, ...]]:
    """Take a strategy's name apart.

    Args:
        text: ``name`` or ``name:number``.

    Returns:
        The name, and the number if there is one.

    Raises:
        ValueError: An unknown name, a number where there is none, or something else than a whole number.
    """
    name, colon, number = text.partition(":")
    if name not in STRATEGIES:
        hint = " and ".join(f"'{kind}' may be followed by {what}, as in '{kind}:3'" for kind, what in NUMBERS.items())
        raise UnknownNameError("strategy", text, STRATEGIES, hint=hint)
    if not colon:
        return name, ()
    if name not in NUMBERS:
        raise ValueError(f"strategy {name!r} takes no number, so {text!r} is none; only {', '.join(NUMBERS)} do")
    if not number.isascii() or not number.isdigit():
        raise ValueError(f"strategy {text!r}: {NUMBERS[name]} must be a whole number, not {number!r}")
    STRATEGIES[name](int(number))
    return name, (int(number),)


def make_strategy(strategy: str | Strategy | Any) -> Strategy:
    """Return the strategy of that name, or the one given.

    Raises:
        ValueError: An unknown name, or a number that does not go with it.
        TypeError: Something that is neither a name nor a strategy.
    """
    if isinstance(strategy, str):
        name, numbers = check_name(strategy)
        return STRATEGIES[name](*numbers)
    if callable(getattr(strategy, "pick", None)):
        found: Strategy = strategy
        return found
    raise TypeError(f"strategy must be one of {', '.join(sorted(STRATEGIES))} or a Strategy, not {strategy!r}")
