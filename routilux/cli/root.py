"""The root of the commands, and how they refuse: in one line on standard error, with exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from routilux._version import __version__
from routilux.exceptions import RoutiluxError

__all__ = ["INTERRUPTED", "Refusal", "cli", "example", "refusing"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


class Refusal(click.ClickException):
    """What was asked for cannot be done; says why, and what to do, in one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        click.echo(f"routilux: {one_line(self.format_message())}", file=file, err=file is None)


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse in the words of the library's own exceptions."""
    try:
        yield
    except RoutiluxError as error:
        raise Refusal(str(error)) from error


def one_line(text: str) -> str:
    """Put a message on one line."""
    return " ".join(text.split())


def example(*lines: str) -> str:
    """Word the end of a help page: what one would type, as it stands."""
    return "\b\nFor example:\n" + "\n".join(f"  $ {line}" for line in lines)


class Root(click.Group):
    """The command's root: words mistakes in arguments as any other refusal, and knows what Ctrl-C exits with."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the root's own options."""
        with _worded():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            with _worded():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("routilux: interrupted", err=True)
            ctx.exit(INTERRUPTED)


@contextmanager
def _worded() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if error.ctx is None:
            raise Refusal(error.format_message()) from error
        # The help page that a group shows when it is given nothing is one of these, too.
        if error.message == error.ctx.get_help():
            raise
        raise Refusal(f"{error.format_message().rstrip('.')}; see {error.ctx.command_path} --help") from error


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        "routilux run orders:make_flow --entry fetch --param limit=10",
        "routilux graph orders:make_flow --check",
        "routilux jobs orders.db list",
        'eval "$(_ROUTILUX_COMPLETE=bash_source routilux)"    # complete commands and options',
    ),
)
@click.version_option(__version__, prog_name="routilux")
def cli() -> None:
    """Event-driven workflows on a thread pool: run flows, draw them, and look after their jobs.

    MODULE:FACTORY is an import path, looked for in the current directory first: a function that takes nothing and
    returns a Flow.
    """
