"""The ``routilux-sim`` command."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from routilux._version import __version__
from routilux_sim import boundary
from routilux_sim.boundary.table import render
from routilux_sim.cli_pictures import COMMANDS as PICTURES
from routilux_sim.cli_programs import COMMANDS
from routilux_sim.determinism.processes import difference_between_processes
from routilux_sim.scenario import Scenario, ScenarioError, load_scenario
from routilux_sim.scenario_run import Outcome, run_scenario

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="routilux-sim")
def cli() -> None:
    """Run flows in simulated threads and virtual time, reproducibly."""


@cli.command()
@click.argument("file", metavar="SCENARIO", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the scenario's own.")
@click.option(
    "--log",
    "log_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the execution log (JSON lines) here: of the failing schedule, or of the first.",
)
@click.option(
    "--check-determinism",
    is_flag=True,
    help="Run every schedule twice, and the first one in other processes with other PYTHONHASHSEEDs.",
)
def run(file: Path, seed: int | None, log_path: Path | None, check_determinism: bool) -> None:
    """Run a SCENARIO file and print the verdict.

    Exits with 0 when everything holds that must, 1 when something does not or nothing can be said, and 2 when the
    scenario cannot be used.
    """
    try:
        scenario = load_scenario(file)
    except (ScenarioError, OSError) as error:
        raise click.UsageError(str(error)) from error
    if log_path is not None:
        try:
            log_path.write_bytes(b"")
        except OSError as error:
            raise click.BadParameter(str(error), param_hint="--log") from error
    began = time.perf_counter()
    outcome = _run(scenario, seed, check_determinism)
    if check_determinism and outcome.problem is None:
        outcome.problem = difference_between_processes(file, seed)
        outcome.verdict = outcome.verdict if outcome.problem is None else "inconclusive"
    if log_path is not None:
        log_path.write_bytes(outcome.execution.log_bytes())
    _print(scenario, outcome, time.perf_counter() - began)
    sys.exit(1 if outcome.problem is not None else 0)


@cli.command("boundary")
@click.option("--module", "modules", multiple=True, metavar="M", help="Only this module; may be given more than once.")
@click.option("--status", type=click.Choice(boundary.STATUSES), help="Only entry points with this status.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line instead of a table.")
def show_boundary(modules: tuple[str, ...], status: str | None, as_json: bool) -> None:
    """Print what becomes of the standard library's entry points in a simulation.

    simulated: does what CPython's does, in virtual time. seeded: random by the execution's seed. allowed: the real
    thing runs. escapes: ends the execution as inconclusive.
    """
    known = boundary.modules()
    for module in modules:
        if module not in known:
            raise click.BadParameter(f"there is no {module!r}; there are: {', '.join(known)}", param_hint="--module")
    chosen = [
        entry
        for entry in boundary.entries()
        if (not modules or entry.module in modules) and status in {None, entry.status} and boundary.is_here(entry)
    ]
    if as_json:
        for entry in chosen:
            click.echo(json.dumps(entry._asdict(), sort_keys=True))
        return
    click.echo("\n".join(render(chosen)))


for _command in (*COMMANDS, *PICTURES):
    cli.add_command(_command)


def _run(scenario: Scenario, seed: int | None, check: bool) -> Outcome:
    if scenario.schedules == 1 or not sys.stderr.isatty():
        return run_scenario(scenario, seed, check_determinism=check)
    with click.progressbar(length=scenario.schedules, label=scenario.name, file=sys.stderr) as bar:
        return run_scenario(scenario, seed, lambda count: bar.update(count - bar.pos), check_determinism=check)


def _print(scenario: Scenario, outcome: Outcome, seconds: float) -> None:
    figures = outcome.figures
    click.echo(f"{scenario.name}: {outcome.verdict}")
    click.echo(f"  schedules  {outcome.schedules}, seed {outcome.execution.seed}, strategy {scenario.strategy}")
    if "status" in figures:
        click.echo(f"  status     {figures['status']}")
        click.echo(f"  duration   {figures['duration']:g} virtual seconds")
    if "speedup" in figures:
        click.echo(f"  speed-up   {figures['speedup']:.2f} times {scenario.expect.speedup_over}")
    if outcome.problem is None:
        for delivery in scenario.expect.delivered:
            count = "at least 1" if delivery.times is None else delivery.times
            click.echo(f"  delivered  {delivery.routine}.{delivery.slot}: {count}, as it must")
    else:
        click.echo(f"  problem    {outcome.problem}")
    if outcome.sentence is not None:
        click.echo(f"  needs      {outcome.sentence}")
    click.echo(f"  real time  {seconds:.3f} s")
