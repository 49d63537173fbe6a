"""``routilux jobs``: what is in a job store, and what can be done to it.

Looking opens a store read-only, and works while another process runs its jobs; all else needs it for itself.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from routilux.cli import facts
from routilux.cli.attending import Ended
from routilux.cli.given import check_there, find_job, load_flow, looking, owning, recording
from routilux.cli.printing import (
    OutputLines,
    age,
    counted,
    print_details,
    print_json,
    print_outcome,
    remark,
    rows,
    shown_status,
    table,
    when,
)
from routilux.cli.root import Refusal, example, refusing
from routilux.cli.watching import Watch, attend, exit_code, leave, not_begun, watched
from routilux.exceptions import SerializationError
from routilux.flow import Flow
from routilux.job_state import FINAL, JobState
from routilux.store import JobStore

__all__ = ["jobs"]

NOTHING = Ended([], [], interrupted=False, left=False)

STATUSES = ("pending", "running", "interrupted", "paused", "completed", "failed", "cancelled")


class Jobs(click.Group):
    """A group that stands behind a store, and notices when it was left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the store's path; ``jobs list --help`` and ``jobs STORE --help`` help without one."""
        helps = set(ctx.help_option_names)
        if args and args[0] in self.commands and not Path(args[0]).exists():
            if not helps & set(args):
                raise click.UsageError(
                    f"the store is missing before {args[0]!r}: {ctx.command_path} STORE {args[0]} …", ctx
                )
            args = ["STORE", *args]
        elif len(args) > 1 and args[1] in helps:
            args = [args[1]]
        return super().parse_args(ctx, args)


@click.group(
    cls=Jobs,
    short_help="List, resume, cancel … the jobs in a store.",
    epilog=example(
        "routilux jobs orders.db list --status paused",
        "routilux jobs orders.db show 3fa9                # any beginning of its id that no other has",
        "routilux jobs orders.db resume 3fa9 --flow orders:make_flow",
    ),
)
@click.argument("store", metavar="STORE")
@click.pass_context
def jobs(ctx: click.Context, store: str) -> None:
    """Look after the jobs in the file STORE, which routilux run --store or Flow(store=...) has made.

    A job may be named by any beginning of its id that no other job has; job- need not be typed.

    Exits with 2 when something cannot be done, such as when another process has the store open; list and show only
    look, and work all the same.
    """
    ctx.obj = store


# Looking


@jobs.command(
    "list",
    epilog=example(
        "routilux jobs orders.db list --flow orders --status interrupted",
        "routilux jobs orders.db list --json | jq -r '.[] | select(.outstanding > 0) | .job'",
    ),
)
@click.option("--flow", "flow_id", metavar="ID", help="Only jobs of the flow of this id.")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs of this status.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, in one line.")
@click.pass_obj
def list_jobs(store: str, flow_id: str | None, status: str | None, as_json: bool) -> None:
    """List jobs, oldest first.

    A job is interrupted when it was running and no process has the store open any more: resume lets it go on. In JSON
    its status is running, and interrupted true.
    """
    with looking(store) as opened:
        in_use = opened.in_use
        found = [facts.summary(job, in_use=in_use) for job in opened.jobs(flow_id)]
    found = [job for job in found if status is None or shown_status(job) == status]
    if as_json:
        print_json(found)
        return
    if not found:
        remark(f"no {'such ' if flow_id or status else ''}jobs in {store}")
        return
    lines = [
        [
            job["job"],
            job["flow"],
            shown_status(job),
            job["ended"],
            job["outstanding"],
            when(job["created"]),
            age(job["updated"]),
        ]
        for job in found
    ]
    heads = ["job", "flow", "status", "ended", "outstanding", "created", "updated"]
    rows(table(heads, lines, ["ended", "outstanding"]), [shown_status(job) for job in found])


@jobs.command(
    short_help="Show all that there is to a job.",
    epilog=example("routilux jobs orders.db show 3fa9", "routilux jobs orders.db show 3fa9 --json | jq .pending"),
)
@click.argument("job")
@click.option(
    "--history", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="The last N records."
)
@click.option("--json", "as_json", is_flag=True, help="Print an object, in one line.")
@click.pass_obj
def show(store: str, job: str, history: int, as_json: bool) -> None:
    """Show all that there is to a job: figures, what is outstanding, its history, its error with the traceback."""
    with looking(store) as opened:
        stored = find_job(opened, job)
        found = facts.detailed(stored, _load(opened, stored.job_id), in_use=opened.in_use, history=history)
    if as_json:
        print_json(found)
        return
    print_details(found)


def _load(store: JobStore, job_id: str) -> JobState:
    try:
        return store.load(job_id)
    except KeyError as error:
        raise Refusal(f"job {job_id!r} is not in {store.path!r} any more") from error


# Letting go on


@jobs.command(
    short_help="Let a job go on, or all of a flow's.",
    epilog=example(
        "routilux jobs orders.db resume 3fa9 --flow orders:make_flow",
        "routilux jobs orders.db resume --all --flow orders:make_flow --json",
    ),
)
@click.argument("job", required=False)
@click.option("--flow", "factory", required=True, metavar="MODULE:FACTORY", help="Makes the flow whose job it is.")
@click.option("--all", "every", is_flag=True, help="Every job of that flow that has not ended.")
@watched(on_interrupt="pause")
@click.pass_obj
def resume(store: str, job: str | None, factory: str, every: bool, watch: Watch) -> None:
    """Let a job go on that is paused, or that was interrupted by a crash, until it ends or is paused again.

    Whatever was not recorded as ended runs (again). Ctrl-C pauses the job, so that it can be resumed once more.

    Exits as routilux run does: with 0 when the job completed, 1 when it failed or was cancelled, 2 when it could not
    be resumed, 3 when it is paused, and 130 after Ctrl-C. With --all it is the worst of them.
    """
    if every == (job is not None):
        raise click.UsageError("name one JOB, or say --all" if job is None else "--all goes without a JOB")
    check_there(store)
    flow = load_flow(factory)
    with recording(flow, store) as opened, refusing():
        assert opened is not None  # noqa: S101 - it was named
        chosen, problems = _all_of(opened, flow) if job is None else ([_one(opened, flow, job)], [])
        if not (watch.quiet or watch.as_json):
            for each in chosen:
                each.set_output_handler(OutputLines())
        ended = attend(flow, [partial(flow.resume, each) for each in chosen], watch) if chosen else NOTHING
    problems += ended.problems
    if problems and not every:
        raise not_begun(problems[0])
    for problem in problems:
        remark(not_begun(problem).message)
    begun = [each for each in chosen if each in ended.jobs]
    _print_outcomes(begun, every=every, watch=watch)
    leave(ended, 2 if problems else exit_code(each.status for each in begun))


def _one(store: JobStore, flow: Flow, given: str) -> JobState:
    found = find_job(store, given)
    if found.flow_id != flow.flow_id:
        theirs = f"job {found.job_id!r} is of flow {found.flow_id!r}, not of {flow.flow_id!r}"
        raise Refusal(f"{theirs}; name with --flow what makes that flow")
    if found.status in FINAL:
        raise Refusal(f"job {found.job_id!r} is {found.status}, which is final; there is nothing to resume")
    return _load(store, found.job_id)


def _all_of(store: JobStore, flow: Flow) -> tuple[list[JobState], list[BaseException]]:
    """The jobs of a flow that have not ended, and why others of them cannot be read."""
    unfinished = store.jobs(unfinished=True)
    mine = [stored.job_id for stored in unfinished if stored.flow_id == flow.flow_id]
    if others := len(unfinished) - len(mine):
        remark(f"left alone, as they are of other flows: {counted(others, 'job')}")
    if not mine:
        remark(f"flow {flow.flow_id!r} has no job in {store.path} that is to go on")
    jobs: list[JobState] = []
    problems: list[BaseException] = []
    for job_id in mine:
        try:
            jobs.append(_load(store, job_id))
        except SerializationError as problem:
            problems.append(problem)
    return jobs, problems


def _print_outcomes(jobs: list[JobState], *, every: bool, watch: Watch) -> None:
    outcomes = [facts.outcome(job) for job in jobs]
    if watch.as_json:
        for found in [outcomes] if every else outcomes:
            print_json(found)
        return
    for found in outcomes:
        print_outcome(found, trace=watch.trace)


# Ending and forgetting


@jobs.command(
    short_help="Cancel a job that no process runs.",
    epilog=example("routilux jobs orders.db cancel 3fa9 --reason 'ordered twice'"),
)
@click.argument("job")
@click.option("--reason", default="", help="Why; kept with the job.")
@click.pass_obj
def cancel(store: str, job: str, reason: str) -> None:
    """Cancel a job that no process runs: what it has outstanding is dropped, and it can never be resumed."""
    with owning(store) as opened:
        found = _load(opened, find_job(opened, job).job_id)
        dropped = len(found.pending_tasks)
        if not found.cancel_unstarted(reason):
            raise Refusal(f"job {found.job_id!r} is {found.status} already; there is nothing to cancel")
        opened.put(found)
    click.echo(f"{found.job_id} of {found.flow_id}: cancelled, {dropped} outstanding dropped")


@jobs.command(epilog=example("routilux jobs orders.db delete 3fa9"))
@click.argument("job")
@click.option("--force", is_flag=True, help="Also if the job has not ended, with all that it has outstanding.")
@click.pass_obj
def delete(store: str, job: str, force: bool) -> None:
    """Forget a job, and all that is recorded of it."""
    with owning(store) as opened:
        found = find_job(opened, job)
        if found.status not in FINAL and not force:
            raise Refusal(
                f"job {found.job_id!r} is {found.status}, with {found.pending} outstanding; "
                "cancel it first, or forget it all the same with --force"
            )
        opened.delete(found.job_id)
    click.echo(f"{found.job_id} of {found.flow_id}: forgotten")


@jobs.command(
    epilog=example("routilux jobs orders.db prune --keep 100", "routilux jobs orders.db prune --keep 0 --flow orders")
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    required=True,
    metavar="N",
    help="How many that have ended stay, the latest ones.",
)
@click.option("--flow", "flow_id", metavar="ID", help="Only jobs of the flow of this id.")
@click.pass_obj
def prune(store: str, keep: int, flow_id: str | None) -> None:
    """Forget jobs that have ended, but for the latest ones.

    Jobs that have not ended stay.
    """
    with owning(store) as opened:
        number = opened.prune(keep, flow_id)
    click.echo(f"{counted(number, 'job')} forgotten")
