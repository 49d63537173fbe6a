"""The pytest plugin's options: each can be given at the command line, and under its name with ``_`` in an ini file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

__all__ = [
    "DRAWING",
    "LAST",
    "Setting",
    "add_options",
    "artifacts_folder",
    "chosen",
    "command_options",
    "read",
    "setting",
]

LAST = "last"
"""As a seed: that of the run before."""

MOST_WORKERS = 1024

DRAWING = pytest.StashKey[Any]()
"""Who wants tests to be drawn instead of judged: a `routilux_sim.pytest_drawing.Drawing`."""


class Setting(NamedTuple):
    """What was said about an option.

    Attributes:
        value: None: nothing.
        commanded: At the command line, not in the ini file.
    """

    value: Any
    commanded: bool


_SETTINGS = pytest.StashKey[dict[str, Setting]]()


class _Option(NamedTuple):
    name: str
    metavar: str
    parse: Callable[[str], Any]
    help: str

    @property
    def flag(self) -> str:
        return f"--sim-{self.name.replace('_', '-')}"


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    allowed = f"a whole number from {least} {'up' if most is None else f'to {most}'}"

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"must be {allowed}, not {text!r}")
        return int(text)

    return parse


def _seed(text: str) -> int | str:
    if text == LAST:
        return LAST
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 up, or {LAST!r}, not {text!r}")
    return int(text)


def _strategy(text: str) -> str:
    try:
        from routilux_sim.strategy import check_name  # noqa: PLC0415 - only when one is given
    except ModuleNotFoundError:
        return text  # Running a test says what to install.
    try:
        check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


_OPTIONS = (
    _Option(
        "seed",
        f"N|{LAST}",
        _seed,
        f"seed of the run, mixed with each test's node id; '{LAST}' is that of the run before; a fresh one is drawn "
        "and shown when not given. A marker's seed= stays as it is",
    ),
    _Option("schedules", "N", _whole(1), "how many schedules each simulated test runs under"),
    _Option(
        "strategy",
        "NAME",
        _strategy,
        "what makes the decisions: if nothing is said, 'random' for one schedule and 'portfolio' for several; else "
        "'fifo', 'pct', 'pos', 'surw', 'mutation', 'dfs' or 'dpor'",
    ),
    _Option("max_steps", "N", _whole(1), "scheduling points after which a schedule is given up as inconclusive"),
    _Option(
        "workers",
        "N",
        _whole(1, MOST_WORKERS),
        "processes that share the schedules of each exploration; where they cannot, the summary says so",
    ),
    _Option(
        "replay",
        "FILE",
        str,
        "run a simulated test under the schedule in this replay file: the test that it is of, and no other, if it is "
        "among those collected",
    ),
    _Option(
        "artifacts",
        "DIR",
        str,
        "write each simulated test's execution log here, and a replay file if it fails; without it, replay files of "
        "failures go to .routilux_sim/",
    ),
)


_PATHS = {"replay", "artifacts"}


def add_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Add the options, and the same for configuration files."""
    for option in _OPTIONS:
        group.addoption(option.flag, type=option.parse, metavar=option.metavar, help=option.help)
        parser.addini(f"sim_{option.name}", f"as {option.flag}, which goes before it", type="string", default="")


def read(config: pytest.Config) -> None:
    """Take in what was given.

    Raises:
        UsageError: An ini option has no value that it may have.
    """
    config.stash[_SETTINGS] = {option.name: _read(config, option) for option in _OPTIONS}


def _read(config: pytest.Config, option: _Option) -> Setting:
    value = config.getoption(option.flag)
    if value is not None:
        # A test may go elsewhere.
        found = str(Path(config.invocation_params.dir, value)) if option.name in _PATHS else value
        return Setting(found, commanded=True)
    text = str(config.getini(f"sim_{option.name}")).strip()
    if not text:
        return Setting(None, commanded=False)
    try:
        value = option.parse(text)
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"sim_{option.name}: {error}") from error
    if option.name in _PATHS:
        # At the command line they are seen from where one is, in a file from the project.
        value = str(Path(config.rootpath, value))
    return Setting(value, commanded=False)


def setting(config: pytest.Config, name: str) -> Setting:
    """What was said about an option."""
    return config.stash[_SETTINGS][name]


def artifacts_folder(config: pytest.Config) -> Path:
    """Where failures' schedules are kept."""
    given = setting(config, "artifacts").value
    return config.rootpath / ".routilux_sim" if given is None else Path(given)


def chosen(config: pytest.Config, marker: pytest.Mark, name: str, usual: Any) -> Any:
    """What holds for a test: the command line goes before the marker, the marker before the ini file."""
    value, commanded = setting(config, name)
    if value is not None and commanded:
        return value
    return marker.kwargs.get(name, usual if value is None else value)


def command_options(config: pytest.Config) -> str:
    """What was said at the command line and decides what a test does, for another command."""
    words = [
        f"{option.flag}={setting(config, option.name).value}"
        for option in _OPTIONS
        if option.name in {"schedules", "strategy", "max_steps"} and setting(config, option.name).commanded
    ]
    if config.getoption("--sim-check-determinism"):
        words.append("--sim-check-determinism")
    overridden = config.getoption("override_ini", None) or ()
    words += [f"-o '{text}'" for text in overridden if text.startswith("sim_") and not text.startswith("sim_seed")]
    return "".join(f" {word}" for word in words)
