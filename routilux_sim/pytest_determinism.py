"""What a difference between two runs of a marked test means, and how it is reported.

A test cannot always be run twice: its fixtures are set up once, and the first run may have changed them. So a
difference never turns one outcome into another by itself. A failure stays the failure it is, with a note; and of a test
that passed, only a difference that its fixtures cannot explain is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from routilux_sim.kernel.errors import NondeterminismError

__all__ = [
    "add_options",
    "changeable",
    "is_explained",
    "is_wanted",
    "leave_out",
    "mark_unchecked",
    "note_on",
    "summary",
]

NAME = "sim_check_determinism"
HELP = "run every schedule of every simulated test twice, and fail where the program does not do the same"
PROPERTY = "routilux_sim_not_checked"

_FIXED = (int, float, complex, str, bytes, type(None), type, range)


def add_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Add the option, and the same for configuration files."""
    group.addoption("--sim-check-determinism", action="store_true", help=HELP)
    parser.addini(NAME, HELP, type="bool", default=False)


def is_wanted(config: pytest.Config) -> bool:
    """Whether tests that pass are run twice as well."""
    return bool(config.getoption("--sim-check-determinism") or config.getini(NAME))


def changeable(item: pytest.Function, arguments: dict[str, Any]) -> list[str]:
    """What a first run may have changed: fixtures and parameters that are not plain values, and the test's object."""
    names = [name for name, value in arguments.items() if not _is_fixed(value)]
    if getattr(item.instance, "__dict__", None):
        names.append("self")
    return names


def _is_fixed(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(_is_fixed(part) for part in value)
    return isinstance(value, _FIXED)


def is_explained(found: NondeterminismError, names: list[str]) -> bool:
    """Whether the difference may come from what the first run did to the test's fixtures, and only from that."""
    return bool(names) and (found.cause in {"kept state", "unknown"} or not found.certain)


def note_on(found: NondeterminismError, names: list[str]) -> str:
    """A note for a failure that did not come back when the test was run again."""
    text = f"run again, the test did not do the same, so this failure may not come back:\n{found}"
    if is_explained(found, names):
        text += (
            f"\nperhaps because the first run changed what the test was given ({', '.join(names)}): what is made in "
            "the test itself is made anew in each run"
        )
    return text


def mark_unchecked(item: pytest.Function, found: NondeterminismError, names: list[str]) -> None:
    """Note that nothing can be said about a test that passed."""
    reason = f"its second run saw what the first had done to {', '.join(names)}"
    leave_out(item, reason)
    item.add_report_section("call", "determinism", f"not checked: {reason}\n{found}")


def leave_out(item: pytest.Function, reason: str) -> None:
    """Note that a test is not checked."""
    item.user_properties.append((PROPERTY, reason))


def summary(reporter: Any) -> None:
    """Name the tests that were not checked at the end of the run."""
    rows = [
        (report.nodeid, reason)
        for report in reporter.getreports("passed")
        if report.when == "call"
        for name, reason in report.user_properties
        if name == PROPERTY
    ]
    if rows:
        reporter.section("determinism not checked")
        for nodeid, reason in rows:
            reporter.write_line(f"{nodeid}: {reason}")
