"""What RUN stands for at the command line: from a replay file, a folder, a scenario, a test or a seed to a picture."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from routilux_sim.cli_programs import instrument_of, opened
from routilux_sim.cli_subjects import load_program, title_of
from routilux_sim.picturing import Picture, of_schedule, of_seed
from routilux_sim.replay_files import ReplayFile, ReplayFileError, load_replay
from routilux_sim.scenario import ScenarioError, load_scenario, run_scenario, staged

__all__ = ["How", "drawn", "side"]

SUFFIX, SHRUNK, SCENARIO, TEST = ".replay.json", ".shrunk.replay.json", ".toml", "::"


class How(NamedTuple):
    """What was given beside RUN.

    Attributes:
        path: The program, if it is named apart: ``module:callable``, a scenario file or a test's node id.
        seed: None: nothing was said.
        strategy: Likewise.
        instrument: Likewise if empty.
        only_from: Packages that what is named must be defined in, if there are any.
        nearest: Whether to look for a schedule that passes beside one that fails.
        first: The first step to be drawn; None: nothing was said.
    """

    path: str | None = None
    seed: int | None = None
    strategy: str | None = None
    instrument: tuple[str, ...] = ()
    only_from: tuple[str, ...] = ()
    nearest: bool = False
    first: int | None = None


def drawn(run: str, how: How) -> Picture:
    """Run what RUN stands for.

    Raises:
        UsageError: It stands for nothing that can be run.
    """
    try:
        return _drawn(run, how)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def side(which: str, how: How) -> Picture:
    """One side of a comparison: a file, or a seed of the program.

    Raises:
        UsageError: It is neither.
    """
    if Path(which).exists():
        of_scenario = which.endswith(SCENARIO)
        return drawn(which, how if of_scenario else How(path=how.path, only_from=how.only_from))
    if not which.isdecimal():
        raise click.UsageError(f"{which!r} is neither a replay file nor a seed, which is a whole number")
    if how.path is None:
        raise click.UsageError(f"{which!r} is a seed; add MODULE:CALLABLE, the program")
    return drawn(how.path, how._replace(path=None, seed=int(which)))


def _drawn(run: str, how: How) -> Picture:
    if Path(run).exists():
        if run.endswith(SCENARIO):
            return _of_scenario(Path(run), how)
        if how.seed is not None or how.strategy is not None or how.instrument:
            raise click.UsageError(f"{run} says itself how it is run; leave out --seed, --strategy, --instrument")
        return _of_file(_latest(Path(run)) if Path(run).is_dir() else Path(run), how)
    if how.path is not None:
        raise click.UsageError(f"{run!r} is no file that {how.path!r} could be run by")
    if TEST in run:
        raise click.UsageError(f"{run!r} is a test: name a replay file of it, and it after that")
    if ":" not in run:
        raise click.UsageError(
            f"{run!r} is neither a replay file nor a folder of them, nor a scenario file, nor a MODULE:CALLABLE"
        )
    seed = how.seed or 0
    return of_seed(
        load_program(run, how.only_from),
        run,
        seed,
        strategy=how.strategy or "random",
        instrument=instrument_of(how.instrument),
        nearest=how.nearest,
        command=f"routilux-sim report {run} --seed {seed}",
        first=how.first,
    )


def _latest(folder: Path) -> Path:
    """The replay file that was written last; the shrunk one of the two, if there are two of one failure."""
    found = sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    if not found:
        raise click.UsageError(f"{folder}: there is no replay file (*{SUFFIX}) in it")
    latest = found[-1]
    shrunk = latest.with_name(latest.name.removesuffix(SUFFIX) + SHRUNK)
    if not latest.name.endswith(SHRUNK) and shrunk in found:
        latest = shrunk
    if len(found) > 1:
        click.echo(f"{latest} is the latest of {len(found)} in {folder}", err=True)
    return latest


def _of_file(file: Path, how: How) -> Picture:
    kept = _replay(file)
    name = how.path or kept.program or ""
    if TEST in name:
        return _of_test(kept, name, how)
    kept, subject = opened(file, how.path, how.only_from)
    return of_schedule(
        subject.program,
        subject.title,
        kept.schedule,
        kind=kept.kind,
        nearest=how.nearest,
        command=f"routilux-sim replay {file}",
        invariants=subject.invariants,
        first=how.first,
    )


def _replay(file: Path) -> ReplayFile:
    try:
        return load_replay(file)
    except (ReplayFileError, OSError) as error:
        raise click.UsageError(str(error)) from error


def _of_scenario(file: Path, how: How) -> Picture:
    """The schedule of a scenario that fails, or else its first."""
    if how.path is not None:
        raise click.UsageError(f"{file} says itself what is run; leave out {how.path}")
    if how.strategy is not None or how.instrument:
        raise click.UsageError(f"{file} says itself how it is run; leave out --strategy and --instrument")
    try:
        scenario = load_scenario(file, how.only_from)
    except (ScenarioError, OSError) as error:
        raise click.UsageError(str(error)) from error
    if scenario.run.clock == "real":
        raise click.UsageError(f"{file} runs on real threads (run.clock is 'real'), of which nothing can be drawn")
    command = f"routilux-sim run {file}"
    kept = scenario.run.replay if how.seed is None else None
    if kept is not None:
        schedule, kind, command = kept.schedule, kept.kind, f"{command} --replay {kept.path}"
    else:
        outcome = run_scenario(scenario, how.seed)
        if outcome.execution is None:
            raise click.UsageError(f"{file}: nothing ran: {outcome.problem}")
        schedule, kind = (outcome.simplest or outcome.execution).schedule, outcome.execution.kind
        if how.seed is not None:
            command += f" --seed {how.seed}"
    program, invariants = staged(scenario)
    return of_schedule(
        program,
        title_of(scenario),
        schedule,
        kind=kind,
        nearest=how.nearest,
        command=command,
        invariants=invariants,
        first=how.first,
    )


def _of_test(kept: ReplayFile, test: str, how: How) -> Picture:
    """What a test does under a schedule; pytest runs it, with its fixtures."""
    if how.only_from:
        raise click.UsageError(f"{test} is run by pytest, which imports what it needs; leave out --only-from")
    try:
        from routilux_sim.pytest_drawing import Drawing  # noqa: PLC0415 - pytest need not be there for anything else
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{test} is run by pytest: pip install pytest") from error
    drawing = Drawing(kept, nearest=how.nearest, first=how.first)
    said = drawing.run(test)
    if drawing.problem is not None:
        raise click.UsageError(drawing.problem)
    if drawing.picture is None:
        click.echo(said, err=True)
        raise click.UsageError(f"pytest has run no simulated test {test!r}; what it said is above")
    return drawing.picture
