"""What the pytest plugin does about data races: which are allowed, and the list of those that were seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from routilux_sim.judge.races import Race

__all__ = ["ARGUMENTS", "add_options", "options_of", "show"]

NAME = "sim_allow_races"
HELP = "harmless data races, one a line, by what is accessed (Counter.value) or where (bank.py:12)"


def _are_strings(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value)


ARGUMENTS: dict[str, Callable[[Any], bool]] = {
    "races": lambda value: value in {None, "report", "fail"},
    "allow_races": _are_strings,
}
"""The marker's arguments, and which values they may have."""


def add_options(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(NAME, HELP, type="linelist", default=[])


def options_of(config: pytest.Config, marker: pytest.Mark) -> dict[str, Any]:
    """What `simulate` and `explore` are called with."""
    allowed = [*marker.kwargs.get("allow_races", ()), *config.getini(NAME)]
    return {"races": marker.kwargs.get("races"), "allow_races": allowed}


def show(item: pytest.Item, races: Iterable[Race]) -> None:
    """List races below the test's output: pytest shows that when the test fails, or when it is asked to (``-rP``)."""
    text = "\n".join(map(str, races))
    if text:
        item.add_report_section("call", "data races", text)
