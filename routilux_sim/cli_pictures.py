"""The commands of ``routilux-sim`` that show a run: ``report``, ``trace`` and ``diff``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routilux_sim.cli_programs import INSTRUMENT, ONLY_FROM
from routilux_sim.cli_runs import How, drawn, side
from routilux_sim.perfetto import trace_events
from routilux_sim.report import render
from routilux_sim.story import TOLD
from routilux_sim.timeline import Timeline, parting

if TYPE_CHECKING:
    from rich.console import Console

    from routilux_sim.columns import Walk

__all__ = ["COMMANDS"]

RUN = click.argument("run")
PROGRAM = click.argument("path", metavar="[PROGRAM]", required=False)
SEED = click.option("--seed", type=click.IntRange(min=0), help="Of a MODULE:CALLABLE or a scenario.  [default: 0]")
FROM = click.option(
    "--from-step",
    "first",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Show {TOLD} steps from this one on.  [default: the last so many of what fails, else the first]",
)
STRATEGY = click.option("--strategy", help="What makes the decisions for a MODULE:CALLABLE.  [default: random]")
EVERYTHING = click.option("--all", "everything", is_flag=True, help="Also what the flow engine and libraries do.")


@click.command("report", short_help="Draw a run as one HTML file.")
@RUN
@PROGRAM
@SEED
@STRATEGY
@INSTRUMENT
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it.  [default: report.html, or trace.json]",
)
@click.option("--perfetto", is_flag=True, help="Write trace events in JSON, for ui.perfetto.dev or Chrome's tracing.")
@click.option("--no-nearest", is_flag=True, help="Look for no schedule that passes to be shown beside one that fails.")
@FROM
@ONLY_FROM
def report_run(
    run: str,
    path: str | None,
    seed: int | None,
    strategy: str | None,
    instrument: tuple[str, ...],
    output: Path | None,
    perfetto: bool,
    no_nearest: bool,
    first: int | None,
    only_from: tuple[str, ...],
) -> None:
    """Draw what happens in RUN as one HTML file that needs no network.

    RUN is a replay file, a folder of them (the latest is taken, shrunk if there is that), a scenario file (the schedule
    that fails is drawn, or else its first), or a MODULE:CALLABLE, which runs under --seed. A replay file knows its
    program, if it can be found by name; else name it after RUN: a MODULE:CALLABLE, a scenario file, or a test by its
    node id, which pytest then runs.

    Exits with 0 when the file is written, and with 2 when that cannot be done.
    """
    picture = drawn(run, How(path, seed, strategy, instrument, only_from, not (no_nearest or perfetto), first))
    target = output or Path("trace.json" if perfetto else "report.html")
    text = json.dumps(trace_events(picture.timeline)) if perfetto else render(picture)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--output") from error
    click.echo(f"{picture.timeline.verdict}: {_one_line(picture.timeline)}")
    click.echo(f"{picture.timeline.extent()} are drawn in {target}")
    if picture.nearest is not None:
        click.echo("beside it the nearest schedule that passes")


@click.command("trace", short_help="Show a run in columns, one a task.")
@RUN
@PROGRAM
@SEED
@STRATEGY
@INSTRUMENT
@EVERYTHING
@click.option("--step", "stepping", is_flag=True, help="Walk through it step by step, by keys.")
@click.option("--width", type=click.IntRange(min=40), help="Characters a line.  [default: the terminal's]")
@FROM
@ONLY_FROM
def trace_run(
    run: str,
    path: str | None,
    seed: int | None,
    strategy: str | None,
    instrument: tuple[str, ...],
    everything: bool,
    stepping: bool,
    width: int | None,
    first: int | None,
    only_from: tuple[str, ...],
) -> None:
    """Show what the tasks do in RUN in columns, one a task; RUN as for report.

    A star marks a step before which a decision was not the plain one.

    With --step and no terminal, keys are read from standard input.

    Exits with 0 when it is shown, and with 2 when RUN cannot be used.
    """
    timeline = drawn(run, How(path, seed, strategy, instrument, only_from, nearest=False, first=first)).timeline
    # Not with the module: rich takes longer to import than most commands to run.
    from routilux_sim.columns import Walk, columns, shown  # noqa: PLC0415 - as just said

    console = _console(width)
    if stepping and timeline.steps:
        _walk(console, Walk(timeline, everything=everything))
        return
    console.print(columns(timeline, shown(timeline, everything=everything), console.width))
    _print_end(timeline)


@click.command("diff", short_help="Show where two runs part.")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.argument("path", metavar="[MODULE:CALLABLE]", required=False)
@STRATEGY
@INSTRUMENT
@EVERYTHING
@click.option("--width", type=click.IntRange(min=40), help="Characters a line.  [default: the terminal's]")
@ONLY_FROM
def diff_runs(
    one: str,
    other: str,
    path: str | None,
    strategy: str | None,
    instrument: tuple[str, ...],
    everything: bool,
    width: int | None,
    only_from: tuple[str, ...],
) -> None:
    """Say at which decision two runs part, and show both side by side.

    A and B are replay files, scenario files, or seeds of MODULE:CALLABLE.

    Exits with 0 when all decisions are the same, 1 when they are not, and 2 when A or B cannot be used.
    """
    how = How(path, None, strategy, instrument, only_from)
    left, right = (side(each, how).timeline for each in (one, other))
    from routilux_sim.columns import side_by_side  # noqa: PLC0415 - as above

    console = _console(width)
    names = [f"seed {each}" if each.isdecimal() and not Path(each).exists() else each for each in (one, other)]
    console.print(side_by_side(left, right, (names[0], names[1]), console.width, everything=everything))
    sys.exit(0 if parting(left, right) is None else 1)


def _one_line(timeline: Timeline) -> str:
    return timeline.headline.splitlines()[0] if timeline.headline else ""


def _console(width: int | None) -> Console:
    from rich.console import Console  # noqa: PLC0415 - as for `trace`

    return Console(width=width, highlight=False, markup=False, emoji=False)


def _print_end(timeline: Timeline) -> None:
    if not timeline.is_whole:
        click.echo(f"only {timeline.extent()} are shown; --from-step shows others")
    click.echo(f"{timeline.verdict}: {_one_line(timeline)}")


def _walk(console: Console, walk: Walk) -> None:
    keys = "  ".join(f"{key}: {what}" for key, what in walk.KEYS)
    read = _reader()
    while True:
        if console.is_terminal:
            console.clear()
        console.print(walk.show(console.width, console.height))
        console.print(keys, style="dim")
        while (key := read()) not in {"", "q", "\x1b", "\x03", "\x04"}:
            if walk.go(key):
                break
        else:
            return


def _reader() -> Callable[[], Any]:
    """What gives one key after the other; an empty text at the end."""
    if sys.stdin.isatty():
        return click.getchar
    return lambda: sys.stdin.read(1)


COMMANDS = (report_run, trace_run, diff_runs)
"""The commands."""
