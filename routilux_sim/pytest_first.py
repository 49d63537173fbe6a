"""What is run first: schedules that are kept as regressions, and what failed in the run before.

A test of which there is such a schedule runs under it before it runs under any other, and such tests run before others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from routilux_sim.pytest_options import LAST, artifacts_folder, setting

__all__ = ["FOLDER", "First", "drawn_seed", "first_of", "hand_over", "keep", "order", "said"]

FOLDER = "scenarios/regressions"
"""Where the schedules are, seen from the project's root."""

_KEY = "routilux_sim/last"
_HANDED = "routilux_sim_failed"


class First(NamedTuple):
    """Replay files that a test runs under first.

    Attributes:
        regressions: Kept by people.
        failures: Kept when the test failed in the run before.
    """

    regressions: tuple[Path, ...]
    failures: tuple[Path, ...]


_FIRST = pytest.StashKey[First]()
_SAID = pytest.StashKey[list[str]]()


def _past(config: pytest.Config) -> dict[str, Any]:
    """What is known of the run before."""
    cache = getattr(config, "cache", None)
    found = cache.get(_KEY, None) if cache is not None else None
    return found if isinstance(found, dict) else {}


def drawn_seed(config: pytest.Config) -> int:
    """The seed of the run before.

    Raises:
        UsageError: It is not known.
    """
    if getattr(config, "cache", None) is None:
        raise pytest.UsageError(f"--sim-seed={LAST} needs pytest's cache, which '-p no:cacheprovider' has switched off")
    seed = _past(config).get("seed")
    if not isinstance(seed, int):
        raise pytest.UsageError(
            f"--sim-seed={LAST}: no seed is known of a run before this one; give a whole number from 0 up"
        )
    return seed


def _failed(config: pytest.Config) -> list[str]:
    """The simulated tests that failed when they last ran, by node id."""
    # All processes of pytest-xdist must come to the same order, whatever else is written meanwhile.
    handed = getattr(config, "workerinput", {}).get(_HANDED)
    found = handed if handed is not None else _past(config).get("failed", [])
    return [nodeid for nodeid in found if isinstance(nodeid, str)]


def hand_over(node: Any) -> None:
    """Tell a pytest-xdist worker what failed in the run before."""
    node.workerinput[_HANDED] = _failed(node.config)


def keep(config: pytest.Config, seed: int, outcomes: dict[str, bool]) -> None:
    """Keep for the next run what this one was.

    Args:
        config: Of this run.
        seed: The run's.
        outcomes: The simulated tests that ran, and whether each failed.
    """
    cache = getattr(config, "cache", None)
    if cache is None or not outcomes:
        return
    failed = [nodeid for nodeid in _failed(config) if nodeid not in outcomes]
    failed += [nodeid for nodeid, has_failed in outcomes.items() if has_failed]
    cache.set(_KEY, {"seed": seed, "failed": sorted(failed)})


def order(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests first that failed in the run before, or of which regressions are kept.

    Args:
        config: Of the run.
        items: All tests; sorted in place.

    Raises:
        UsageError: A regression's file cannot be read.
    """
    marked = {item.nodeid: item for item in items if item.get_closest_marker("sim") is not None}
    if not marked or setting(config, "replay").value is not None:
        return
    regressions = _regressions(config.rootpath / FOLDER)
    failed = set(_failed(config))
    folder = artifacts_folder(config)
    places: dict[str, int] = {}
    for nodeid, item in marked.items():
        kept = tuple(path for program, path in regressions if program == nodeid)
        if kept or nodeid in failed:
            places[nodeid] = 0 if kept else 1
            item.stash[_FIRST] = First(kept, tuple(_kept_failures(folder, nodeid)) if nodeid in failed else ())
    items.sort(key=lambda item: places.get(item.nodeid, 2))
    config.stash[_SAID] = [*_say(regressions, marked, places), *_astray(config, regressions, items)]


def _regressions(folder: Path) -> list[tuple[str | None, Path]]:
    """The programs of the files in a folder, and the files."""
    paths = sorted(folder.glob("*.replay.json"))
    if not paths:
        return []
    try:
        from routilux_sim.replay_files import ReplayFileError, load_replay  # noqa: PLC0415 - only when there are some
    except ModuleNotFoundError:
        return []  # Running the test says what to install.
    try:
        return [(load_replay(path).program, path) for path in paths]
    except (ReplayFileError, OSError) as error:
        raise pytest.UsageError(f"regressions: {error}; mend or remove it") from error


def _kept_failures(folder: Path, nodeid: str) -> Iterable[Path]:
    from routilux_sim.artifacts import path_for  # noqa: PLC0415 - only when something has failed

    # The simplest schedule fails soonest, if both are there; else the one that was found.
    paths = (path_for(folder, nodeid, suffix) for suffix in (".shrunk.replay.json", ".replay.json"))
    return [path for path in paths if path.is_file()][:1]


def _say(
    regressions: Sequence[tuple[str | None, Path]], marked: dict[str, pytest.Item], places: dict[str, int]
) -> Iterable[str]:
    # Of other tests and programs there may be any number.
    ours = sum(program in marked for program, _ in regressions)
    again = sum(place == 1 for place in places.values())
    parts = []
    if ours:
        parts.append(f"{ours} kept schedule{'s' if ours > 1 else ''} of {FOLDER}{os.sep}")
    if again:
        parts.append(f"{again} simulated test{'s' if again > 1 else ''} that failed before")
    if parts:
        yield f"routilux-sim: first {' and '.join(parts)}"


def _astray(
    config: pytest.Config, regressions: Sequence[tuple[str | None, Path]], items: Sequence[pytest.Item]
) -> Iterable[str]:
    """Say which files are of simulated tests that are not there any more, where that can be told."""
    told = ("keyword", "markexpr", "deselect", "lf", "failedfirst")
    if any("::" in argument for argument in config.args) or any(config.getoption(name, None) for name in told):
        return
    collected = {item.nodeid.partition("::")[0] for item in items}
    simulated = {item.nodeid for item in items if item.get_closest_marker("sim") is not None}
    for program, path in regressions:
        if program is not None and program not in simulated and program.partition("::")[0] in collected:
            yield f"routilux-sim: {FOLDER}{os.sep}{path.name} is of {program}, and there is no such simulated test"


def said(config: pytest.Config) -> list[str]:
    """What is run first, in words."""
    return config.stash.get(_SAID, [])


def first_of(item: pytest.Item) -> First:
    """What a test runs under before anything else."""
    return item.stash.get(_FIRST, First((), ()))
