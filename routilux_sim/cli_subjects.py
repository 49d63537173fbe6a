"""What a command is about: a program by its import path, or what a scenario file runs."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from routilux.loading import LoadError, load_callable
from routilux_sim.judge.invariants import Invariant
from routilux_sim.replay_files import digest_of
from routilux_sim.scenario import Scenario, ScenarioError, load_scenario, staged
from routilux_sim.world import ready

__all__ = ["SUFFIX", "Subject", "is_scenario", "load_program", "load_simulated", "load_subject", "name_of", "title_of"]

SUFFIX = ".toml"
"""What scenario files end in."""


class Subject(NamedTuple):
    """A program, ready to be simulated.

    Attributes:
        title: What it is called.
        program: The program.
        invariants: What is checked at each of its steps.
        digest: Of its source, or of the scenario file.
    """

    title: str
    program: Callable[[], Any]
    invariants: Sequence[Invariant]
    digest: str | None


def is_scenario(path: str) -> bool:
    """Whether a path is one of a scenario file, and no import path."""
    return path.endswith(SUFFIX) and ":" not in Path(path).name


def name_of(file: Path) -> str:
    """What a replay file calls a scenario: its path from the current directory, if it is in there or below."""
    path = file.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else os.fspath(path)


def load_subject(path: str, only_from: tuple[str, ...]) -> Subject:
    """Find a program or a scenario.

    Raises:
        click.UsageError: There is none, or it cannot be used.
    """
    if not is_scenario(path):
        program = load_program(path, only_from)
        return Subject(path, program, (), digest_of(program))
    scenario = load_simulated(Path(path), only_from)
    program, invariants = staged(scenario)
    return Subject(title_of(scenario), program, invariants, digest_of(Path(path)))


def title_of(scenario: Scenario) -> str:
    """What a scenario is called in pictures."""
    return f"scenario {scenario.name}"


def load_simulated(file: Path, only_from: tuple[str, ...]) -> Scenario:
    """Read a scenario that is simulated.

    Raises:
        click.UsageError: It cannot be used, or is run on real threads.
    """
    ready.prepare()
    try:
        scenario = load_scenario(file, only_from)
    except (ScenarioError, OSError) as error:
        raise click.UsageError(str(error)) from error
    if scenario.run.clock == "real":
        raise click.UsageError(f"{file}: run.clock is 'real', and this is of simulations")
    return scenario


def load_program(path: str, only_from: tuple[str, ...]) -> Callable[[], Any]:
    """Find the program of an import path; the current directory is searched first.

    Raises:
        click.UsageError: There is none.
    """
    # What the program makes and captures when it is imported is ready for a simulation then.
    ready.prepare()
    try:
        return load_callable(path, [Path.cwd()], only_from)
    except LoadError as error:
        cause = error.__cause__
        module = path.partition(":")[0]
        if cause is not None and not (isinstance(cause, ModuleNotFoundError) and cause.name in _parents(module)):
            click.echo("".join(traceback.format_exception(cause)).rstrip(), err=True)
        raise click.UsageError(str(error)) from error


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: index + 1]) for index in range(len(parts))}
