"""The ``routilux-sim`` command."""

from __future__ import annotations

import json

import click

from routilux._version import __version__
from routilux_sim import boundary
from routilux_sim.boundary.table import render
from routilux_sim.cli_campaigns import COMMANDS as CAMPAIGNS
from routilux_sim.cli_from_log import COMMANDS as FROM_LOG_COMMANDS
from routilux_sim.cli_pictures import COMMANDS as PICTURES
from routilux_sim.cli_programs import COMMANDS
from routilux_sim.cli_run import COMMANDS as RUN_COMMANDS

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="routilux-sim")
def cli() -> None:
    """Run flows in simulated threads and virtual time, reproducibly."""


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


for _command in (*COMMANDS, *RUN_COMMANDS, *FROM_LOG_COMMANDS, *PICTURES, *CAMPAIGNS):
    cli.add_command(_command)
