"""``routilux-sim run``: run scenario files, and say what holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import click

from routilux_sim.artifacts import Artifacts
from routilux_sim.cli_programs import ARTIFACTS, ONLY_FROM, check_exceptions
from routilux_sim.cli_subjects import name_of
from routilux_sim.determinism.processes import difference_between_processes
from routilux_sim.faults import FaultPlan
from routilux_sim.replay_files import ReplayFile, ReplayFileError, digest_of, load_replay
from routilux_sim.scenario import Outcome, Scenario, ScenarioError, load_scenario, run_scenario
from routilux_sim.scenario.histogram import histogram, spread
from routilux_sim.world import ready

__all__ = ["COMMANDS"]

# Bound before the simulated world takes its place.
_clock = time.perf_counter


@click.command("run")
@click.argument("paths", metavar="SCENARIO...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), help="Instead of each scenario's own.")
@click.option("--schedules", type=click.IntRange(min=1), help="How many at most, instead of each scenario's own.")
@click.option(
    "--replay",
    "replay_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run the schedule in this replay file instead, which a failing run has left. Of one scenario only.",
)
@click.option(
    "--log",
    "log_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the execution log (JSON lines) here: of the failing schedule, or of the first. Of one scenario only.",
)
@ARTIFACTS
@click.option(
    "--check-determinism",
    is_flag=True,
    help="Run every schedule twice, and the first one in other processes with other PYTHONHASHSEEDs.",
)
@ONLY_FROM
def run_scenarios(
    paths: tuple[Path, ...],
    seed: int | None,
    schedules: int | None,
    replay_path: Path | None,
    log_path: Path | None,
    artifacts: Path,
    check_determinism: bool,
    only_from: tuple[str, ...],
) -> None:
    """Run SCENARIO files, or all in a directory and below, and print what holds.

    Exits with 0 when everything holds that must, 1 when something does not or nothing can be said, and 2 when a
    scenario cannot be used; the others are run all the same.
    """
    files = _files(paths)
    if len(files) > 1:
        for option, value in (("--log", log_path), ("--replay", replay_path)):
            if value is not None:
                raise click.BadParameter(f"it is of one scenario, and there are {len(files)}", param_hint=option)
    kept = _schedule(replay_path, only_from)
    simulated = "--log" if log_path is not None else "--replay" if kept is not None else None
    if log_path is not None:
        try:
            log_path.write_bytes(b"")
        except OSError as error:
            raise click.BadParameter(str(error), param_hint="--log") from error

    def run(file: Path) -> _Result:
        return _run(file, seed, schedules, kept, artifacts, check_determinism, only_from, simulated)

    if len(files) > 1:
        sys.exit(_run_several(files, run))
    result = run(files[0])
    if result.outcome is None or result.scenario is None:
        raise click.UsageError(result.problem or "")
    execution = result.outcome.execution
    if log_path is not None and execution is not None:
        log_path.write_bytes(execution.log_bytes())
    _print(result.scenario, result.outcome, result)
    sys.exit(result.code)


class _Result:
    """What came of one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.scenario: Scenario | None = None
        self.outcome: Outcome | None = None
        self.problem: str | None = None
        self.seconds = 0.0
        self.replay: Path | None = None

    @property
    def code(self) -> int:
        """The exit code that it alone gives."""
        if self.outcome is None:
            return 2
        return 0 if self.problem is None else 1


def _files(paths: Sequence[Path]) -> list[Path]:
    """The scenario files that are meant, each once."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.rglob("*.toml")) if path.is_dir() else [path]
        if not found:
            raise click.UsageError(f"{path}: there are no scenarios (*.toml) in this directory, nor below")
        files += [file for file in found if file not in files]
    return files


def _schedule(path: Path | None, only_from: tuple[str, ...]) -> ReplayFile | None:
    if path is None:
        return None
    try:
        kept = load_replay(path)
    except (ReplayFileError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--replay") from error
    if kept.schedule.faults is not None:
        check_exceptions(FaultPlan.from_dict(kept.schedule.faults["plan"]), only_from)
    return kept


def _run(
    file: Path,
    seed: int | None,
    schedules: int | None,
    kept: ReplayFile | None,
    artifacts: Path,
    check: bool,
    only_from: tuple[str, ...],
    simulated: str | None,
) -> _Result:
    result = _Result(file)
    began = _clock()
    ready.prepare()
    try:
        scenario = result.scenario = load_scenario(file, only_from)
    except (ScenarioError, OSError) as error:
        result.problem = str(error)
        return result
    if simulated is not None and scenario.run.clock == "real":
        result.problem = f"{file}: {simulated} is of simulations, and run.clock is 'real'; leave one of them out"
        return result
    with _Progress(scenario, schedules) as progress:
        outcome = run_scenario(scenario, seed, progress, schedules=schedules, replay=kept, check_determinism=check)
    if check and outcome.problem is None and scenario.run.clock == "virtual":
        outcome.problem = difference_between_processes(file, seed)
        outcome.verdict = outcome.verdict if outcome.problem is None else "inconclusive"
    result.outcome, result.problem = outcome, outcome.problem
    if outcome.problem is not None and outcome.verdict == "failed":
        result.replay = _keep(scenario, outcome, artifacts)
    result.seconds = _clock() - began
    return result


def _keep(scenario: Scenario, outcome: Outcome, artifacts: Path) -> Path | None:
    """Keep the failing schedule, and the simplest one that was found."""
    if outcome.execution is None:
        return None
    kept = Artifacts(artifacts, scenario.path.stem, name_of(scenario.path), digest_of(scenario.path))
    try:
        kept.keep(outcome.execution)
        if outcome.simplest is not None:
            kept.keep_shrunk(outcome.simplest)
    except OSError as error:
        click.echo(f"cannot keep the failure in {artifacts}: {error}", err=True)
    return kept.shrunk or kept.original


class _Progress:
    """Shows on a terminal how far a scenario is."""

    def __init__(self, scenario: Scenario, schedules: int | None) -> None:
        self._count = schedules or scenario.run.schedules
        self._bar = None
        if self._count > 1 and sys.stderr.isatty():
            self._bar = click.progressbar(length=self._count, label=scenario.name, file=sys.stderr)

    def __enter__(self) -> Callable[[int], object] | None:
        if self._bar is None:
            return None
        bar = self._bar.__enter__()
        return lambda count: bar.update(count - bar.pos)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


# What is printed


def _run_several(files: Sequence[Path], run: Callable[[Path], _Result]) -> int:
    """Run each, print a line for each as it comes and what does not hold in the end; returns the exit code."""
    width = max(len("scenario"), *(len(file.stem) for file in files))
    click.echo(f"{'scenario':{width}}  holds  {'verdict':12}  schedules  {'duration':>10}  speed-up  real time")
    results = []
    for file in files:
        result = run(file)
        results.append(result)
        click.echo(_row(result, width))
    for result in results:
        if result.problem is not None:
            click.echo(f"{result.file}: {result.problem}")
            if result.replay is not None:
                click.echo(f"  run it again: routilux-sim run {result.file} --replay {result.replay}")
    held = sum(result.code == 0 for result in results)
    unusable = sum(result.code == 2 for result in results)
    text = f"{held} of {len(results)} scenarios hold"
    click.echo(text + (f", {unusable} cannot be used" if unusable else ""))
    return max(result.code for result in results)


def _row(result: _Result, width: int) -> str:
    outcome = result.outcome
    if outcome is None:
        return f"{result.file.stem:{width}}  NO     unusable"
    figures = outcome.figures
    duration = "" if figures is None else f"{figures.duration:.6g} s"
    speedup = "" if figures is None or figures.speedup is None else f"{figures.speedup:.2f}"
    holds = "yes" if result.problem is None else "NO"
    return (
        f"{result.file.stem:{width}}  {holds:5}  {outcome.verdict:12}  {outcome.schedules:>9}  {duration:>10}  "
        f"{speedup:>8}  {result.seconds:>7.2f} s"
    )


def _print(scenario: Scenario, outcome: Outcome, result: _Result) -> None:
    click.echo(f"{scenario.name}: {outcome.verdict}{', as it must' if outcome.failed_as else ''}")
    click.echo(f"  schedules  {_schedules(scenario, outcome)}")
    figures = outcome.figures
    if figures is not None and figures.status is not None:
        click.echo(f"  status     {figures.status}")
    durations = [sample.duration for sample in outcome.samples]
    if durations:
        click.echo(f"  duration   {_exactly(durations)} {'' if scenario.run.clock == 'real' else 'virtual '}seconds")
    _print_speedup(scenario, [sample.speedup for sample in outcome.samples if sample.speedup is not None])
    if outcome.failed_as is not None:
        click.echo(f"  failed     {outcome.failed_as}")
    elif outcome.problem is None:
        for delivery in scenario.expect.delivered:
            count = "at least 1" if delivery.times is None else delivery.times
            click.echo(f"  delivered  {delivery.routine}.{delivery.slot}: {count}, as it must")
    if outcome.problem is not None:
        click.echo(f"  problem    {outcome.problem}")
    if outcome.sentence is not None:
        click.echo(f"  needs      {outcome.sentence}")
    click.echo(f"  real time  {result.seconds:.3f} s")
    if result.replay is not None:
        click.echo(f"run it again: routilux-sim run {result.file} --replay {result.replay}")


def _schedules(scenario: Scenario, outcome: Outcome) -> str:
    if outcome.execution is None:
        return f"{outcome.schedules}, on real threads"
    schedule = outcome.execution.schedule
    strategy = schedule.strategy if scenario.run.replay else scenario.run.strategy
    return f"{outcome.schedules}, seed {outcome.execution.seed}, strategy {strategy}"


def _exactly(durations: Sequence[float]) -> str:
    return f"{durations[0]:.10g}" if len({*durations}) == 1 else spread(durations, 3)


def _print_speedup(scenario: Scenario, figures: Sequence[float]) -> None:
    if not figures or scenario.expect.speedup is None:
        return
    finite = [figure for figure in figures if figure < inf]
    words = spread(finite, 2) if finite else "beyond measure"
    click.echo(f"  speed-up   {words} times {scenario.expect.speedup.over}")
    for row in histogram(finite, 2) if finite else []:
        click.echo(f"             {row}")


COMMANDS = (run_scenarios,)
"""The commands."""
