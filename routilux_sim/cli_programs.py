"""The commands of ``routilux-sim`` that take a program: ``explore``, ``replay``, ``shrink`` and ``explain``."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from routilux.loading import LoadError, load_callable
from routilux_sim.artifacts import FOLDER, Artifacts
from routilux_sim.campaigns.files import share_of
from routilux_sim.cli_engines import ENGINES, engine
from routilux_sim.cli_progress import Progress
from routilux_sim.cli_subjects import Subject, is_scenario, load_program, load_subject
from routilux_sim.excerpts import excerpt
from routilux_sim.execution import Execution
from routilux_sim.explanation import explain, explain_findings, sentence_of
from routilux_sim.exploration import Report, explore
from routilux_sim.faults import FaultPlan
from routilux_sim.findings import Findings, investigate
from routilux_sim.judge.invariants import Invariant
from routilux_sim.kept_invariants import load_invariants
from routilux_sim.kernel.errors import DivergenceError
from routilux_sim.replay_files import ReplayFile, ReplayFileError, digest_of, load_replay
from routilux_sim.replays import campaign_of, check_reachable
from routilux_sim.replays import replay as run_again

__all__ = ["ARTIFACTS", "COMMANDS", "INSTRUMENT", "ONLY_FROM", "check_exceptions", "instrument_of", "opened"]

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C has ended."""

PROGRAM = click.argument("path", metavar="MODULE:CALLABLE")
SAME_PROGRAM = click.argument("path", metavar="[PROGRAM]", required=False)
FILE = click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
ARTIFACTS = click.option(
    "--artifacts",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(FOLDER),
    show_default=True,
    help="Where replay files of failures go.",
)
ONLY_FROM = click.option(
    "--only-from",
    multiple=True,
    metavar="PKG",
    help="Import nothing that is not in this module or package, nor call what is not defined there; may be given more "
    "than once.",
)
INSTRUMENT = click.option(
    "--instrument",
    multiple=True,
    metavar="NAME",
    help="Where accesses to shared memory are scheduling points: a module or package, more than once if need be; "
    "'auto', the program's module and the project's packages; or 'none'.  [default: auto]",
)


@click.command("explore")
@PROGRAM
@click.option("--schedules", type=click.IntRange(min=1), default=1000, show_default=True, help="How many at most.")
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What may go wrong: a fault plan in TOML.",
)
@click.option("--swarm", is_flag=True, help="Draw for each schedule which faults exist; and let threads stall.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Begin no other after so much real time.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--strategy", help="What makes the decisions; the default is explore()'s.")
@ENGINES
@INSTRUMENT
@click.option("--races", type=click.Choice(["report", "fail"]), help="What becomes of data races.")
@click.option(
    "--allow-races",
    multiple=True,
    metavar="WHAT",
    help="A harmless one, by what is accessed (Counter.value) or where (bank.py:12); may be given again.",
)
@ARTIFACTS
@click.option("--max-steps", type=click.IntRange(min=1), help="Of one execution.")
@ONLY_FROM
def explore_program(
    path: str,
    schedules: int,
    faults: Path | None,
    swarm: bool,
    seconds: float | None,
    seed: int,
    strategy: str | None,
    workers: int | None,
    dask: str | None,
    ray: str | None,
    campaign: Path | None,
    shard: tuple[int, int] | None,
    instrument: tuple[str, ...],
    races: str | None,
    allow_races: tuple[str, ...],
    artifacts: Path,
    max_steps: int | None,
    only_from: tuple[str, ...],
) -> None:
    """Run MODULE:CALLABLE under many schedules, and explain the first that breaks it.

    With --dask, --ray, --campaign or --shard the strategy is 'mix' unless it is given: schedules that do not come out
    of each other can be run anywhere, in any order.

    Exits with 0 when no schedule failed, 1 when one did or nothing can be said, and 2 when the program cannot be used.
    """
    program = load_program(path, only_from)
    # What is not given is what explore() takes by default.
    options: dict[str, Any] = {
        "strategy": strategy,
        "workers": workers,
        "races": races,
        "allow_races": allow_races or None,
        "max_steps": max_steps,
        "faults": None if faults is None else _plan(faults, only_from),
        "swarm": swarm or None,
        "campaign_file": campaign,
        "shard": shard,
    }
    kept = Artifacts(artifacts, path.replace(":", "."), path, digest_of(program))
    share = schedules if shard is None else len(share_of(schedules, shard))
    progress = Progress(share)

    def found(execution: Execution) -> None:
        progress.end()
        kept.keep(execution)
        click.echo(f"seed {execution.seed} failed, kept in {kept.original}; looking for what is simpler …", err=True)

    try:
        with engine(dask, ray) as executor:
            report = explore(
                program,
                schedules=schedules,
                seconds=seconds,
                seed=seed,
                progress=progress,
                on_failure=found,
                instrument=instrument_of(instrument),
                executor=executor,
                **{name: value for name, value in options.items() if value is not None},
            )
    except KeyboardInterrupt:
        progress.end()
        if campaign is None:
            raise
        click.echo(f"interrupted; what has run is in {campaign}, and the same command goes on", err=True)
        sys.exit(INTERRUPTED)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot keep what is found: {error}") from error
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        progress.end()
    _keep_shrunk(report, kept)
    click.echo(str(report))
    _print_files(kept)
    sys.exit(0 if report.verdict in {"passed", "exhausted"} else 1)


def instrument_of(names: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """What was given for ``--instrument``, as `explore` takes it."""
    if names == ("none",):
        return None
    return "auto" if names in {(), ("auto",)} else names


def _plan(file: Path, only_from: tuple[str, ...]) -> FaultPlan:
    try:
        plan = FaultPlan.from_dict(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file}: {error}") from error
    check_exceptions(plan, only_from)
    return plan


def _keep_shrunk(report: Report, kept: Artifacts) -> None:
    failure = report.failure
    if failure is not None and failure.findings is not None and failure.findings.shrunk is not None:
        try:
            kept.keep_shrunk(failure.findings.execution)
        except OSError as error:
            click.echo(f"cannot keep the simplest schedule: {error}", err=True)


def _print_files(kept: Artifacts) -> None:
    best = kept.shrunk or kept.original
    if best is not None:
        click.echo(f"run it again: routilux-sim replay {best}")


@click.command("replay")
@FILE
@SAME_PROGRAM
@click.option(
    "--log",
    "log_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the execution log (JSON lines) here.",
)
@ONLY_FROM
def replay_file(file: Path, path: str | None, log_path: Path | None, only_from: tuple[str, ...]) -> None:
    """Run a program under the schedule in FILE, which knows the program, and say what comes of it.

    PROGRAM is another MODULE:CALLABLE to run so, or a scenario's file.

    Exits with 0 when it passes, 1 when it fails or does not follow the schedule, and 2 when it cannot be used.
    """
    kept, subject = opened(file, path, only_from)
    execution = run_again(subject.program, file, invariants=subject.invariants)
    if log_path is not None:
        try:
            log_path.write_bytes(execution.log_bytes())
        except OSError as error:
            raise click.BadParameter(str(error), param_hint="--log") from error
    click.echo(f"{execution.verdict}: {kept.program or path}, {len(kept.schedule)} decisions")
    if execution.verdict == "inconclusive":
        _print_inconclusive(execution)
    elif execution.error is not None:
        click.echo(explain(execution))
    elif kept.failure is not None:
        click.echo(f"what was kept does not come back: {kept.failure.splitlines()[0]}")
    sys.exit(0 if execution.error is None else 1)


@click.command("shrink")
@FILE
@SAME_PROGRAM
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the simplest schedule; else beside FILE.",
)
@ONLY_FROM
def shrink_file(file: Path, path: str | None, output: Path | None, only_from: tuple[str, ...]) -> None:
    """Look for the simplest schedule that fails as the one in FILE does, and write it beside.

    Exits with 0 when that is done, 1 when the schedule does not fail, and 2 when it cannot be used.
    """
    kept, subject = opened(file, path, only_from)
    findings, _ = _investigated(kept, subject, simplify=True)
    target = output or file.with_name(f"{_stem(file)}.shrunk.replay.json")
    shrunk = findings.shrunk
    if shrunk is None:
        raise click.ClickException(f"{file}: nothing came of shrinking; the program may do something else each time")
    artifacts = Artifacts(target.parent, _stem(target), kept.program or path, subject.digest)
    artifacts.keep(findings.execution)
    click.echo(sentence_of(findings))
    before, after = shrunk.before, shrunk.after
    click.echo(
        f"{before.deviations} deviations ({before.preemptions} preempting) became {after.deviations} "
        f"({after.preemptions}), in {shrunk.executions} executions; it is in {artifacts.original}"
    )


def _stem(file: Path) -> str:
    name = file.name
    return name.removesuffix(".replay.json") if name.endswith(".replay.json") else file.stem


@click.command("explain")
@FILE
@SAME_PROGRAM
@ONLY_FROM
def explain_file(file: Path, path: str | None, only_from: tuple[str, ...]) -> None:
    """Tell step by step what happens under the schedule in FILE, what goes wrong, and what would not.

    Exits with 0 when that is told, 1 when the schedule does not fail, and 2 when it cannot be used.
    """
    kept, subject = opened(file, path, only_from)
    findings, execution = _investigated(kept, subject, simplify=False)
    click.echo(explain_findings(findings, execution, f"routilux-sim replay {file}"))


def opened(file: Path, path: str | None, only_from: tuple[str, ...]) -> tuple[ReplayFile, Subject]:
    """A replay file and what it is of."""
    try:
        kept = load_replay(file)
    except (ReplayFileError, OSError) as error:
        raise click.UsageError(str(error)) from error
    path = path or kept.program
    if path is None:
        raise click.UsageError(f"{file} does not say which program it is of; add MODULE:CALLABLE or a scenario's file")
    if "::" in path:
        raise click.UsageError(
            f"{file} is of the test {path}, which pytest runs: pytest --sim-replay={file} '{path}'; "
            "for a test without fixtures, MODULE:CALLABLE may be added here"
        )
    if kept.schedule.faults is not None:
        check_exceptions(FaultPlan.from_dict(kept.schedule.faults["plan"]), only_from)
    # Unlike a Path, it takes any text.
    if is_scenario(path) and not os.path.exists(path):
        raise click.UsageError(
            f"{file} is of the scenario {excerpt(path)}, which is not there; add the path of its file"
        )
    subject = load_subject(path, only_from)
    return kept, subject if is_scenario(path) else subject._replace(invariants=_invariants(kept, only_from))


def _invariants(kept: ReplayFile, only_from: tuple[str, ...]) -> list[Invariant]:
    """What the file says was checked; a scenario says that itself."""
    try:
        check_reachable(kept)
        return load_invariants(kept.schedule.invariants, [Path.cwd()], only_from)
    except (ReplayFileError, LoadError) as error:
        raise click.UsageError(str(error)) from error


def check_exceptions(plan: FaultPlan, only_from: tuple[str, ...]) -> None:
    """See that the exceptions of planned faults may be imported; the library's own may."""
    for path in plan.import_paths if only_from else ():
        try:
            load_callable(path, [Path.cwd()], (*only_from, "routilux"))
        except LoadError as error:
            raise click.UsageError(str(error)) from error


def _investigated(kept: ReplayFile, subject: Subject, *, simplify: bool) -> tuple[Findings, Execution]:
    """Run what a file holds, and look into its failure; ends the command if it does not fail."""
    execution = run_again(subject.program, kept.path, invariants=subject.invariants)
    if execution.verdict != "failed":
        if execution.error is None:
            raise click.ClickException(f"{kept.path}: the program passes under this schedule")
        _print_inconclusive(execution)
        sys.exit(1)
    if simplify:
        click.echo("looking for what is simpler …", err=True)
    campaign = campaign_of(subject.program, kept.schedule, kind=kept.kind, invariants=subject.invariants)
    with campaign.running():
        return investigate(campaign, execution, simplify=simplify), execution


def _print_inconclusive(execution: Execution) -> None:
    error = execution.error
    assert error is not None  # noqa: S101 - else it would have passed
    click.echo(str(error))
    if isinstance(error, DivergenceError):
        for note in getattr(error, "__notes__", ()):
            click.echo(note)


COMMANDS = (explore_program, replay_file, shrink_file, explain_file)
"""The commands."""
