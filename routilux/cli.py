"""The ``routilux`` command: run a flow from its import path."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from routilux._version import __version__
from routilux.exceptions import RoutiluxError
from routilux.flow import Flow
from routilux.job_state import JobState
from routilux.loading import LoadError, load_flow_factory
from routilux.log import json_lines

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="routilux")
def cli() -> None:
    """Event-driven workflows on a thread pool."""


@cli.command()
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option("--entry", required=True, metavar="ID", help="Routine to begin with.")
@click.option("--param", "params", multiple=True, metavar="K=V", help="Entry parameter; V is JSON, or else text.")
@click.option("--strategy", type=click.Choice(["sequential", "concurrent"]), help="Instead of the flow's own.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds until it is failed.")
@click.option("--log", "log_path", type=click.Path(dir_okay=False), help="Append the execution log (JSON lines) here.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def run(
    factory: str,
    entry: str,
    params: tuple[str, ...],
    strategy: str | None,
    timeout: float | None,
    log_path: str | None,
    as_json: bool,
) -> None:
    """Run one job of the flow that MODULE:FACTORY() returns, and print what became of it.

    Exits with 0 when the job completed, 1 when it did not, and 2 when it could not be started.
    """
    try:
        flow = load_flow_factory(factory, [Path.cwd()])()
    except LoadError as error:
        raise click.UsageError(str(error)) from error
    values = dict(_param(text) for text in params)
    with _logging(flow, log_path), flow:
        try:
            job = flow.execute(entry, values, execution_strategy=strategy, timeout=timeout)
        except RoutiluxError as error:
            raise click.UsageError(str(error)) from error
        JobState.wait_for_completion(flow, job)
    _print_outcome(flow, job, as_json)
    sys.exit(0 if job.status == "completed" else 1)


def _logging(flow: Flow, path: str | None) -> AbstractContextManager[object]:
    if path is None:
        return nullcontext()
    try:
        log = json_lines(path)
    except ImportError as error:
        raise click.UsageError("--log needs structlog: pip install 'routilux[log]'") from error
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--log") from error
    flow.add_instrument(log)
    return log


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise click.BadParameter(f"{text!r} must be NAME=VALUE", param_hint="--param")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print_outcome(flow: Flow, job: JobState, as_json: bool) -> None:
    states = {routine_id: state["status"] for routine_id, state in job.routine_states.items()}
    error = None if job.error is None else f"{type(job.error).__name__}: {job.error}"
    if as_json:
        outcome = {"job": job.job_id, "flow": flow.flow_id, "status": job.status, "error": error, "routines": states}
        click.echo(json.dumps(outcome, sort_keys=True))
        return
    click.echo(f"{job.job_id}: {job.status}" + (f" ({error})" if error else ""))
    width = max((len(name) for name in states), default=0)
    for name, state in states.items():
        figures = flow.execution_tracker.get_routine_performance(name, job)
        spent = f"  {figures['total_executions']} x, {figures['total_execution_time']:.3f} s" if figures else ""
        click.echo(f"  {name:<{width}}  {state}{spent}")
