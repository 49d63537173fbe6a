"""What the pytest plugin says about where accesses to shared memory are scheduling points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["ARGUMENTS", "add_options", "check_options", "options_of"]

NAME = "sim_instrument"
HELP = (
    "where accesses to shared memory are scheduling points, for simulated tests that do not say it: 'auto' for the "
    "test's module and the modules of the project that it uses, names of modules and packages, or 'none'; without it, "
    "'auto' for tests with several schedules"
)


def _is_instrument(value: Any) -> bool:
    if value is None or value == "auto":
        return True
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(name, str) and name for name in value)


ARGUMENTS: dict[str, Callable[[Any], bool]] = {"instrument": _is_instrument}
"""The marker's argument, and which values it may have."""


def add_options(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(NAME, HELP, type="args", default=[])


def check_options(config: pytest.Config) -> None:
    """Refuse an ini option that names the simulator, or mixes ``auto`` or ``none`` with names.

    Raises:
        UsageError: It does.
    """
    names = config.getini(NAME)
    if {"auto", "none"} & set(names) and len(names) > 1:
        raise pytest.UsageError(
            f"{NAME}: 'auto' or 'none' stand alone, or else names of modules and packages, not {names!r}"
        )


def options_of(config: pytest.Config, marker: pytest.Mark) -> dict[str, Any]:
    """What `simulate` and `explore` are called with; each has a default of its own."""
    if "instrument" in marker.kwargs:
        return {"instrument": marker.kwargs["instrument"]}
    names = config.getini(NAME)
    if not names:
        return {}
    return {"instrument": {"auto": "auto", "none": None}.get(names[0], names)}
