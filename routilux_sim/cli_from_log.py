"""``routilux-sim from-log``: a scenario out of a production log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from routilux_sim.cli_programs import ONLY_FROM
from routilux_sim.scenario import ScenarioError, load_scenario
from routilux_sim.scenario.incident import incident
from routilux_sim.scenario.log_reader import LogFileError, LoggedJob, read_log

__all__ = ["COMMANDS"]


def _params(_: click.Context, __: click.Parameter, value: str | None) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        data = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not a JSON object: {error}") from error
    if not isinstance(data, dict):
        raise click.BadParameter(f"must be a JSON object, not {data!r}")
    return data


@click.command("from-log")
@click.argument("log", metavar="LOG", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--flow", "factory", required=True, metavar="MODULE:FACTORY", help="What makes the flow that was logged.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the scenario; what is there is replaced.",
)
@click.option("--job", "names", multiple=True, metavar="ID", help="Only this job; may be given more than once.")
@click.option(
    "--params", callback=_params, metavar="JSON", help="What the jobs' entries get, which the log does not hold."
)
@click.option("--schedules", type=click.IntRange(min=1), default=200, show_default=True, help="How many it is to run.")
@ONLY_FROM
def from_log(
    log: Path,
    factory: str,
    output: Path,
    names: tuple[str, ...],
    params: dict[str, Any],
    schedules: int,
    only_from: tuple[str, ...],
) -> None:
    """Turn an execution LOG of real threads into a scenario.

    It runs the same activations in the observed order with the observed durations, and explores from there.

    Exits with 0 when it is written, and 2 when the log or the flow cannot be used.
    """
    try:
        jobs = _chosen(log, read_log(log), names)
    except (LogFileError, OSError) as error:
        raise click.UsageError(str(error)) from error
    try:
        text = incident(jobs, name=f"{log.stem}, again", factory=factory, params=params, schedules=schedules)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--params") from error
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--output") from error
    try:
        load_scenario(output, only_from)
    except ScenarioError as error:
        output.unlink()
        raise click.UsageError(f"{log} and {factory} do not go together: {error}") from error
    count = sum(len(job.activations) for job in jobs)
    click.echo(f"{output}: {len(jobs)} jobs, {count} activations")
    click.echo(f"run it: routilux-sim run {output}")


def _chosen(log: Path, jobs: list[LoggedJob], names: tuple[str, ...]) -> list[LoggedJob]:
    """The jobs that are meant; of one that has not begun anything nothing can be run."""
    jobs = [job for job in jobs if job.activations]
    known = ", ".join(repr(job.name) for job in jobs) or "none"
    for name in names:
        if all(job.name != name for job in jobs):
            raise click.BadParameter(f"{log} has no job {name!r}; there are: {known}", param_hint="--job")
    if not jobs:
        raise LogFileError(f"{log}: no job begins in it")
    flows = sorted({job.flow for job in jobs if not names or job.name in names})
    if len(flows) > 1:
        listed = ", ".join(map(repr, flows))
        raise LogFileError(f"{log}: the jobs are of several flows, {listed}; name those of one with --job")
    return [job for job in jobs if not names or job.name in names]


COMMANDS = (from_log,)
"""The commands."""
