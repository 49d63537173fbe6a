"""``routilux graph``: a flow drawn, or looked through for what is wrong with it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from routilux.cli.given import load_flow
from routilux.cli.printing import counted, print_json
from routilux.cli.root import example
from routilux.exceptions import RoutiluxError
from routilux.flow import Flow
from routilux.validation import Finding

__all__ = ["graph"]

COLOURS = {"error": "red", "warning": "yellow"}


@click.command(
    short_help="Draw a flow, or check how it is wired.",
    epilog=example(
        "routilux graph orders:make_flow                              # Mermaid, for a Markdown page",
        "routilux graph orders:make_flow --format dot | dot -Tsvg -o orders.svg",
        "routilux graph orders:make_flow --check --entry fetch        # in CI: exits with 1 on errors",
    ),
)
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    show_default=True,
    help="The language.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write the drawing here, not to stdout."
)
@click.option("--check", is_flag=True, help="Print what is wrong, or odd, with the wiring instead of a drawing.")
@click.option("--entry", metavar="ID", help="With --check: look at it from this routine, with which jobs begin.")
@click.option("--json", "as_json", is_flag=True, help="As --check, printed as JSON, in one line.")
def graph(factory: str, form: str, output: str | None, check: bool, entry: str | None, as_json: bool) -> None:
    """Draw the flow that MODULE:FACTORY() returns, or check it; nothing is run.

    Exits with 1 when --check finds errors, else with 0; warnings and notes are no errors.
    """
    check = check or as_json
    if entry is not None and not check:
        raise click.UsageError("--entry says nothing without --check")
    flow = load_flow(factory)
    if output is not None or not check:
        _draw(flow, form, output)
    if check:
        sys.exit(_check(flow, entry, as_json=as_json))


def _draw(flow: Flow, form: str, output: str | None) -> None:
    drawing = (flow.to_mermaid() if form == "mermaid" else flow.to_dot()).rstrip("\n")
    if output is None:
        click.echo(drawing)
        return
    try:
        Path(output).write_text(drawing + "\n", encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{output!r} cannot be written: {error}", param_hint="--output") from error


def _check(flow: Flow, entry: str | None, *, as_json: bool) -> int:
    try:
        findings = flow.validate(entry)
    except RoutiluxError as error:
        raise click.BadParameter(str(error), param_hint="--entry") from error
    sound = all(finding.level != "error" for finding in findings)
    if as_json:
        print_json({"flow": flow.flow_id, "ok": sound, "findings": [_plain(finding) for finding in findings]})
    else:
        _print(flow, findings)
    return 0 if sound else 1


def _plain(finding: Finding) -> dict[str, str | None]:
    return {"level": finding.level, "kind": finding.kind, "routine": finding.routine_id, "message": finding.message}


def _print(flow: Flow, findings: Sequence[Finding]) -> None:
    for finding in findings:
        level = click.style(finding.level, fg=COLOURS.get(finding.level), bold=finding.level == "error")
        click.echo(level + str(finding).removeprefix(finding.level))
    levels = Counter(finding.level for finding in findings)
    said = ", ".join(counted(number, level) for level, number in levels.items())
    shape = f"{counted(len(flow.routines), 'routine')}, {counted(len(flow.connections), 'connection')}"
    click.echo(f"{flow.flow_id}: {shape}; {said or 'nothing found'}")
