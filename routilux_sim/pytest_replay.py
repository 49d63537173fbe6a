"""The file that ``--sim-replay`` names: read before anything runs, and given to the test that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routilux_sim import given
from routilux_sim.pytest_commands import seen
from routilux_sim.pytest_options import setting

if TYPE_CHECKING:
    from routilux_sim.replay_files import ReplayFile

__all__ = ["narrow", "read", "said"]

_KEPT = pytest.StashKey["ReplayFile | None"]()
_SAID = pytest.StashKey[list[str]]()


def read(config: pytest.Config) -> None:
    """Read the file, if there is one.

    Raises:
        UsageError: It cannot be read.
    """
    path = setting(config, "replay").value
    config.stash[_KEPT] = None if path is None else _read(path)


def narrow(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only the test that the file is of, if it is there; else all that are, for those who have renamed it.

    Args:
        config: Of the run.
        items: All tests; others are taken out in place, and counted by pytest as deselected.

    Raises:
        UsageError: What is left is a test of which no file can be.
    """
    kept = config.stash[_KEPT]
    if kept is None:
        return
    chosen = [item for item in items if item.nodeid == kept.program and item.get_closest_marker("sim") is not None]
    if chosen:
        others = [item for item in items if item not in chosen]
        if others:
            config.hook.pytest_deselected(items=others)
            config.stash[_SAID] = [f"routilux-sim: only the test that {seen(config, kept.path)} is of"]
        items[:] = chosen
    for item in items:
        if item.get_closest_marker("sim") is not None and given.inner_test(getattr(item, "obj", None)) is not None:
            raise pytest.UsageError(
                f"--sim-replay: {item.nodeid}: no file keeps the examples that Hypothesis makes; its database brings "
                "them back, with their schedules, and so does --sim-seed"
            )


def _read(path: str) -> ReplayFile | None:
    try:
        from routilux_sim.replay_files import ReplayFileError, load_replay  # noqa: PLC0415 - only when asked for
    except ModuleNotFoundError:
        return None  # Running the test says what to install.
    try:
        return load_replay(path)
    except OSError as error:
        raise pytest.UsageError(f"--sim-replay: {path}: {error.strerror or error}") from error
    except ReplayFileError as error:
        raise pytest.UsageError(f"--sim-replay: {error}") from error


def said(config: pytest.Config) -> list[str]:
    """What has been left out, in words."""
    return config.stash.get(_SAID, [])
