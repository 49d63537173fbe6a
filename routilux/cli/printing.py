"""Facts on a terminal: tables that are aligned, times as people say them, outputs as they come; or all of it as JSON.

Standard output is for what was asked for; remarks go to standard error, so that a pipe gets none of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

from routilux import runtime as runtimes
from routilux.cli.root import one_line
from routilux.output_handler import OutputHandler

__all__ = [
    "OutputLines",
    "age",
    "counted",
    "print_details",
    "print_json",
    "print_outcome",
    "remark",
    "rows",
    "shown_status",
    "table",
    "when",
]

COLOURS = {
    "completed": "green",
    "error_continued": "yellow",
    "failed": "red",
    "interrupted": "yellow",
    "paused": "yellow",
    "running": "cyan",
}

DATA_WIDTH = 100
"""Characters of data that a line shows."""


def remark(text: str) -> None:
    """Say something that is not what was asked for."""
    # The stream of the moment: a progress bar puts its own there, which writes above the bar.
    click.echo(f"routilux: {text}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print plain data in one line, the keys sorted; what is not plain in its own words."""
    click.echo(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def compact(data: Any) -> str:
    """Data on one line of bounded length."""
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text if len(text) <= DATA_WIDTH else text[: DATA_WIDTH - 1] + "…"


def counted(number: int, name: str) -> str:
    """So many of them."""
    return f"{number} {name}{'' if number == 1 else 's'}"


class OutputLines(OutputHandler):
    """Prints what routines send, a line each."""

    def handle(self, job_id: str, routine_id: str, output_type: str, data: dict[str, Any], timestamp: datetime) -> None:  # noqa: ARG002
        """Print one output."""
        # Nobody may be reading.
        with suppress(BrokenPipeError):
            line = f"{routine_id} {output_type}: {json.dumps(data, ensure_ascii=False, default=str)}"
            click.echo(line, file=sys.stdout)


# Tables


def table(heads: Sequence[str], lines: Iterable[Sequence[object]], right: Iterable[str] = ()) -> list[str]:
    """Align a table's columns.

    Args:
        heads: Of the columns; their names.
        lines: The cells.
        right: Names of those columns that are aligned on the right.
    """
    cells = [list(heads), *([str(cell) for cell in line] for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    ends = [head in set(right) for head in heads]
    return [
        "  ".join(
            cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(line, widths, ends, strict=True)
        ).rstrip()
        for line in cells
    ]


def rows(lines: Sequence[str], statuses: Sequence[str] = (), indent: str = "") -> None:
    """Print a table: its head dim, the status in each line in its colour."""
    click.secho(indent + lines[0], dim=True)
    for line, status in zip(lines[1:], statuses or [""] * (len(lines) - 1), strict=True):
        before, found, after = line.rpartition(status) if status else ("", "", line)
        click.echo(indent + before + (click.style(found, fg=COLOURS.get(status)) if found else "") + after)


# Times


def when(iso: str) -> str:
    """A moment by the clock on the wall."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S}"


def age(iso: str) -> str:
    """How long ago a moment was, in the largest unit that fits."""
    now = datetime.fromtimestamp(runtimes.current().wall_time(), UTC)
    seconds = max(0, round((now - datetime.fromisoformat(iso)).total_seconds()))
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name} ago"
    return f"{seconds} s ago"


# Outcomes


def print_outcome(facts: Mapping[str, Any], seconds: float | None = None, *, trace: bool = False) -> None:
    """Print what became of a job: a line for it, and one a routine.

    Args:
        facts: As `facts.outcome` gives them.
        seconds: How long it took.
        trace: Print the traceback of what failed it as well.
    """
    status = facts["status"]
    why = facts["error"] or facts["reason"]
    more = f", {facts['outstanding']} outstanding" if facts["outstanding"] else ""
    took = f" ({seconds:.3f} s)" if seconds is not None else ""
    coloured = click.style(status, fg=COLOURS.get(status), bold=True)
    click.echo(f"{facts['job']} of {facts['flow']}: {coloured}{more}{took}" + (f": {one_line(why)}" if why else ""))
    print_routines(facts)
    if trace and facts["traceback"]:
        click.echo(facts["traceback"].rstrip())


def print_routines(facts: Mapping[str, Any]) -> None:
    """Print the table of routines."""
    states = facts["routines"]
    if not states:
        return
    names = ["completed", "failed", "error_continued", "skipped", "retries"]
    figures = {routine_id: facts["figures"].get(routine_id, {}) for routine_id in states}
    shown = [name for name in names if name == "completed" or any(each.get(name) for each in figures.values())]
    lines = [
        [
            routine_id,
            state,
            *(figures[routine_id].get(name, 0) for name in shown),
            f"{figures[routine_id].get('seconds', 0.0):.3f}",
        ]
        for routine_id, state in states.items()
    ]
    heads = ["routine", "state", *(_HEADS.get(name, name) for name in shown), "seconds"]
    rows(table(heads, lines, heads[2:]), indent="  ")


_HEADS = {"completed": "done", "error_continued": "continued"}


# Details


def shown_status(facts: Mapping[str, Any]) -> str:
    """A job's status for people: one that is running where nobody runs it was interrupted."""
    return "interrupted" if facts["interrupted"] else str(facts["status"])


def print_details(facts: Mapping[str, Any]) -> None:
    """Print all that there is to a stored job.

    Args:
        facts: As `facts.detailed` gives them.
    """
    status = shown_status(facts)
    click.echo(f"{facts['job']} of {facts['flow']}: {click.style(status, fg=COLOURS.get(status), bold=True)}")
    for name in ("created", "updated"):
        click.echo(f"  {name}  {when(facts[name])} ({age(facts[name])})")
    for name in ("reason", "error"):
        if facts[name]:
            click.echo(f"  {name:<7}  {one_line(facts[name])}")
    click.echo()
    print_routines(facts)
    waiting = [
        [task["number"], f"{task['routine']}.{task['slot']}", task["attempt"], compact(task["data"])]
        for task in facts["pending"]
    ]
    _section("outstanding", ["number", "for", "attempt", "data"], waiting, ["number", "attempt"])
    deferred = [[f"{event['routine']}.{event['event']}", compact(event["data"])] for event in facts["deferred"]]
    _section("deferred until it is resumed", ["event", "data"], deferred)
    sent = [[when(each["at"]), each["routine"], each["type"], compact(each["data"])] for each in facts["outputs"]]
    _section("sent", ["at", "by", "type", "data"], sent)
    records = [[when(each["at"]), each["routine"], each["name"], _told(each)] for each in facts["history"]]
    _section(f"history, {len(records)} of {facts['recorded']}", ["at", "routine", "what", ""], records)
    if facts["traceback"]:
        click.echo(f"\n{facts['traceback'].rstrip()}")


def _section(title: str, heads: Sequence[str], lines: Sequence[Sequence[object]], right: Iterable[str] = ()) -> None:
    if lines:
        click.secho(f"\n  {title}", bold=True)
        rows(table(heads, lines, right), indent="    ")


def _told(record: Mapping[str, Any]) -> str:
    """What a record says, in few words."""
    data = record["data"]
    if record["kind"] != "activation":
        return compact(data) if data else ""
    attempt = f", attempt {data['attempt']}" if data["attempt"] > 1 else ""
    return f"{data['slot']}{attempt}, {data['duration']:.3f} s" + (
        f": {one_line(data['error'])}" if "error" in data else ""
    )
