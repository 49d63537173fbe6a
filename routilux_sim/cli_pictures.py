"""The commands of ``routilux-sim`` that show a run: ``report``, ``trace`` and ``diff``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routilux_sim.cli_programs import INSTRUMENT, ONLY_FROM, SAME_PROGRAM, instrument_of, load_program, opened
from routilux_sim.perfetto import trace_events
from routilux_sim.picturing import Picture, of_schedule, of_seed
from routilux_sim.report import render
from routilux_sim.timeline import Timeline, parting

if TYPE_CHECKING:
    from rich.console import Console

    from routilux_sim.columns import Walk

__all__ = ["COMMANDS"]

SUFFIX, SHRUNK = ".replay.json", ".shrunk.replay.json"

RUN = click.argument("run")
SEED = click.option("--seed", type=click.IntRange(min=0), help="Of a MODULE:CALLABLE.  [default: 0]")
STRATEGY = click.option("--strategy", help="What makes the decisions for a MODULE:CALLABLE.  [default: random]")
EVERYTHING = click.option("--all", "everything", is_flag=True, help="Also what the flow engine and libraries do.")


@click.command("report")
@RUN
@SAME_PROGRAM
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
    only_from: tuple[str, ...],
) -> None:
    """Draw what happens in RUN as one HTML file that needs no network.

    RUN is a replay file, a folder of them (the latest is taken, shrunk if there is that), or a MODULE:CALLABLE, which
    runs under --seed. A replay file knows its program, if it can be found by name; else name it after RUN.

    Exits with 0 when the file is written, and with 2 when that cannot be done.
    """
    picture = _picture(run, path, seed, strategy, instrument, only_from, nearest=not (no_nearest or perfetto))
    target = output or Path("trace.json" if perfetto else "report.html")
    text = json.dumps(trace_events(picture.timeline)) if perfetto else render(picture)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--output") from error
    click.echo(f"{picture.timeline.verdict}: {_one_line(picture.timeline)}")
    click.echo(f"{len(picture.timeline.steps)} steps are drawn in {target}")
    if picture.nearest is not None:
        click.echo("beside it the nearest schedule that passes")


@click.command("trace")
@RUN
@SAME_PROGRAM
@SEED
@STRATEGY
@INSTRUMENT
@EVERYTHING
@click.option("--step", "stepping", is_flag=True, help="Walk through it step by step, by keys.")
@click.option("--width", type=click.IntRange(min=40), help="Characters a line.  [default: the terminal's]")
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
    only_from: tuple[str, ...],
) -> None:
    """Show what the tasks do in RUN in columns, one a task; RUN as for report.

    A star marks a step before which a decision was not the plain one.

    With --step and no terminal, keys are read from standard input.

    Exits with 0 when it is shown, and with 2 when RUN cannot be used.
    """
    timeline = _picture(run, path, seed, strategy, instrument, only_from, nearest=False).timeline
    # Not with the module: rich takes longer to import than most commands to run.
    from routilux_sim.columns import Walk, columns, shown  # noqa: PLC0415 - as just said

    console = _console(width)
    if stepping and timeline.steps:
        _walk(console, Walk(timeline, everything=everything))
        return
    console.print(columns(timeline, shown(timeline, everything=everything), console.width))
    _print_end(timeline)


@click.command("diff")
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

    A and B are replay files, or seeds of MODULE:CALLABLE.

    Exits with 0 when all decisions are the same, 1 when they are not, and 2 when A or B cannot be used.
    """
    left, right = (_side(each, path, strategy, instrument, only_from) for each in (one, other))
    from routilux_sim.columns import side_by_side  # noqa: PLC0415 - as above

    console = _console(width)
    names = [f"seed {each}" if each.isdecimal() and not Path(each).exists() else each for each in (one, other)]
    console.print(side_by_side(left, right, (names[0], names[1]), console.width, everything=everything))
    sys.exit(0 if parting(left, right) is None else 1)


def _side(
    which: str, path: str | None, strategy: str | None, instrument: tuple[str, ...], only_from: tuple[str, ...]
) -> Timeline:
    if Path(which).exists():
        return _of_file(Path(which), path, only_from, nearest=False).timeline
    if not which.isdecimal():
        raise click.UsageError(f"{which!r} is neither a replay file nor a seed, which is a whole number")
    if path is None:
        raise click.UsageError(f"{which!r} is a seed; add MODULE:CALLABLE, the program")
    return _picture(path, None, int(which), strategy, instrument, only_from, nearest=False).timeline


def _picture(
    run: str,
    path: str | None,
    seed: int | None,
    strategy: str | None,
    instrument: tuple[str, ...],
    only_from: tuple[str, ...],
    *,
    nearest: bool,
) -> Picture:
    """Run what RUN stands for."""
    if Path(run).exists():
        if seed is not None or strategy is not None or instrument:
            raise click.UsageError(f"{run} says itself how it is run; leave out --seed, --strategy, --instrument")
        return _of_file(Path(run), path, only_from, nearest=nearest)
    if path is not None:
        raise click.UsageError(f"{run!r} is no file that {path!r} could be run by")
    if ":" not in run:
        raise click.UsageError(f"{run!r} is neither a replay file nor a folder of them, nor a MODULE:CALLABLE")
    program = load_program(run, only_from)
    try:
        return of_seed(
            program,
            run,
            seed or 0,
            strategy=strategy or "random",
            instrument=instrument_of(instrument),
            nearest=nearest,
            command=f"routilux-sim report {run} --seed {seed or 0}",
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _of_file(file: Path, path: str | None, only_from: tuple[str, ...], *, nearest: bool) -> Picture:
    if file.is_dir():
        file = _latest(file)
    kept, program = opened(file, path, only_from)
    name = path or kept.program or str(file)
    command = f"routilux-sim replay {file}"
    return of_schedule(program, name, kept.schedule, kind=kept.kind, nearest=nearest, command=command)


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


def _one_line(timeline: Timeline) -> str:
    return timeline.headline.splitlines()[0] if timeline.headline else ""


def _console(width: int | None) -> Console:
    from rich.console import Console  # noqa: PLC0415 - as for `trace`

    return Console(width=width, highlight=False, markup=False, emoji=False)


def _print_end(timeline: Timeline) -> None:
    if not timeline.is_whole:
        click.echo("only the beginning is shown")
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
