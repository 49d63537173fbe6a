"""``routilux run``: one job of a flow, from its entry to what became of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from routilux import runtime as runtimes
from routilux.cli import facts
from routilux.cli.given import load_flow, parameters, recording
from routilux.cli.printing import OutputLines, print_json, print_outcome, remark
from routilux.cli.root import Refusal, example, refusing
from routilux.cli.watching import Watch, attend, exit_code, leave, not_begun, watched
from routilux.exceptions import RoutiluxError
from routilux.flow import Flow
from routilux.job_state import JobState
from routilux.log import json_lines

__all__ = ["run"]

SECONDS = click.FloatRange(min=0, min_open=True)


@click.command(
    short_help="Run one job of a flow.",
    epilog=example(
        "routilux run orders:make_flow --entry fetch --param limit=10 --param region=north",
        "echo '{\"limit\": 10}' | routilux run orders:make_flow --entry fetch --params - --json",
        "routilux run orders:make_flow --entry fetch --store orders.db --strategy concurrent",
    ),
)
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option("--entry", required=True, metavar="ID", help="Routine to begin with.")
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="Entry parameter; V is JSON, or else text.")
@click.option(
    "--params",
    "file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Entry parameters, a JSON object; - is stdin.",
)
@click.option("--strategy", type=click.Choice(["sequential", "concurrent"]), help="Instead of the flow's own.")
@click.option(
    "--max-workers", type=click.IntRange(min=1), metavar="N", help="Instead of the flow's own; concurrent only."
)
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds until it is failed, instead of the flow's own.")
@click.option(
    "--store", type=click.Path(dir_okay=False), metavar="PATH", help="Record the job here; made if it is not there."
)
@click.option("--save", type=click.Path(dir_okay=False), metavar="PATH", help="Write the job here if it ends paused.")
@click.option(
    "--log", type=click.Path(dir_okay=False), metavar="PATH", help="Append the execution log (JSON lines) here."
)
@click.option("--force", is_flag=True, help="Run even if the flow's wiring has errors.")
@watched(on_interrupt="cancel")
def run(
    factory: str,
    entry: str,
    pairs: tuple[str, ...],
    file: Any,
    strategy: str | None,
    max_workers: int | None,
    timeout: float | None,
    store: str | None,
    save: str | None,
    log: str | None,
    force: bool,
    watch: Watch,
) -> None:
    """Run one job of the flow that MODULE:FACTORY() returns, and print what became of it.

    What is wrong with how the flow is wired is told first; errors in it refuse the run. What routines send is printed
    as it comes. Ctrl-C cancels the job.

    Exits with 0 when the job completed, 1 when it failed or was cancelled, 2 when it could not be started, 3 when it
    is paused, and 130 after Ctrl-C.
    """
    values = parameters(pairs, file)
    flow = load_flow(factory)
    _set_workers(flow, strategy, max_workers)
    _look_through(flow, entry, force=force, quiet=watch.quiet)
    if save is not None and not Path(save).absolute().parent.is_dir():
        raise click.BadParameter(f"{save!r} is in no directory that is there", param_hint="--save")
    lines = None if watch.quiet or watch.as_json else OutputLines()
    start = partial(flow.execute, entry, values, strategy, timeout, lines)
    began = runtimes.current().monotonic_ns()
    with recording(flow, store, make=True), _logging(flow, log):
        limit = timeout or flow.execution_timeout
        ended = attend(flow, [start], watch, None if limit is None else limit + watch.grace)
    if ended.problems:
        raise not_begun(ended.problems[0])
    if not ended.jobs:
        leave(ended, 0)
    job = ended.jobs[0]
    found = facts.outcome(job)
    if watch.as_json:
        print_json(found)
    else:
        print_outcome(found, (runtimes.current().monotonic_ns() - began) / 1e9, trace=watch.trace)
    if job.status == "paused":
        _keep(job, factory, save, None if flow.store is None else flow.store.path)
    leave(ended, exit_code([job.status]))


def _set_workers(flow: Flow, strategy: str | None, max_workers: int | None) -> None:
    if max_workers is None:
        return
    if (strategy or flow.execution_strategy) != "concurrent":
        raise click.BadParameter(
            "says nothing for a sequential job; add --strategy concurrent", param_hint="--max-workers"
        )
    flow.set_execution_strategy(flow.execution_strategy, max_workers)


def _look_through(flow: Flow, entry: str, *, force: bool, quiet: bool) -> None:
    """Tell what is wrong with a flow's wiring; refuse if it cannot work."""
    try:
        found = [finding for finding in flow.validate(entry) if finding.level != "note"]
    except RoutiluxError as error:
        raise click.BadParameter(str(error), param_hint="--entry") from error
    errors = sum(finding.level == "error" for finding in found)
    if not quiet or (errors and not force):
        for finding in found:
            remark(str(finding))
    if errors and not force:
        what = "an error" if errors == 1 else f"{errors} errors"
        raise Refusal(f"flow {flow.flow_id!r} has {what} in its wiring; mend it, or run it all the same with --force")


def _logging(flow: Flow, path: str | None) -> AbstractContextManager[object]:
    if path is None:
        return nullcontext()
    try:
        log = json_lines(path)
    except ImportError as error:
        raise Refusal("--log needs structlog: pip install 'routilux[log]'") from error
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--log") from error
    flow.add_instrument(log)
    return log


def _keep(job: JobState, factory: str, save: str | None, store: str | None) -> None:
    """Save a paused job, and tell how it can go on."""
    if save is not None:
        try:
            with refusing():
                job.save(save)
        except OSError as error:
            raise Refusal(f"{save!r} cannot be written: {error}") from error
        remark(f"saved in {save}; JobState.load() reads it, Flow.resume() lets it go on")
    if store is not None:
        remark(f"it goes on with: routilux jobs {store} resume {job.job_id} --flow {factory}")
    elif save is None:
        remark("nothing keeps it; to let it go on later, run it with --store or --save")
