"""Commands that run jobs: the options they share, the progress bar, exit codes.

Knows what happens between a flow that is ready and the exit code; what is run is the commands' business.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, NamedTuple, NoReturn

import click

from routilux.cli.attending import Attendant, Ended, Interruption
from routilux.cli.printing import remark
from routilux.cli.root import INTERRUPTED, Refusal
from routilux.exceptions import RoutiluxError
from routilux.flow import Flow

__all__ = ["Watch", "attend", "exit_code", "leave", "not_begun", "watched"]

CODES = {"completed": 0, "paused": 3}
FAILED = 1


class Watch(NamedTuple):
    """How a command that runs jobs is watched.

    Attributes:
        as_json: Print the outcome as JSON.
        quiet: Print nothing but the outcome.
        progress: Whether to show a progress bar; None: on a terminal, if there can be one.
        trace: Print tracebacks of what failed.
        on_interrupt: ``"cancel"`` or ``"pause"``.
        grace: Seconds that handlers get after Ctrl-C.
    """

    as_json: bool
    quiet: bool
    progress: bool | None
    trace: bool
    on_interrupt: Any
    grace: float


def watched(on_interrupt: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of those that run jobs; it gets them as ``watch``.

    Args:
        on_interrupt: What Ctrl-C does unless the option says otherwise.
    """
    options = [
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON, in one line."),
        click.option("-q", "--quiet", is_flag=True, help="Print nothing but the outcome."),
        click.option(
            "--progress/--no-progress", default=None, help="A progress bar on stderr; by default on a terminal."
        ),
        click.option("--traceback", "trace", is_flag=True, help="Print the traceback of what failed the job."),
        click.option(
            "--on-interrupt",
            type=click.Choice(["cancel", "pause"]),
            default=on_interrupt,
            show_default=True,
            help="What Ctrl-C does to the job; pressed again, it leaves at once.",
        ),
        click.option(
            "--grace",
            type=click.FloatRange(min=0, max=3600),
            default=5.0,
            show_default=True,
            metavar="S",
            help="Seconds that running handlers get to end, after Ctrl-C or when the time is up.",
        ),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def inner(**given: Any) -> Any:
            watch = Watch(**{name: given.pop(name) for name in Watch._fields})
            return command(watch=watch, **given)

        for option in reversed(options):
            inner = option(inner)
        return inner

    return decorate


def attend(flow: Flow, starts: Sequence[Callable[[], object]], watch: Watch, patience: float | None = None) -> Ended:
    """Run jobs under a progress bar, if there is to be one; see `Attendant.attend`."""
    interruption = Interruption(watch.on_interrupt, watch.grace, lambda: _notice(watch))
    with _progress(flow, watch):
        return Attendant(flow, interruption).attend(starts, patience)


def _notice(watch: Watch) -> None:
    doing = "cancelling" if watch.on_interrupt == "cancel" else "pausing"
    remark(f"interrupted; {doing}, and giving handlers {watch.grace:g} s (Ctrl-C again leaves at once)")


def _progress(flow: Flow, watch: Watch) -> AbstractContextManager[object]:
    if watch.progress is False or (
        watch.progress is None and (watch.quiet or watch.as_json or not sys.stderr.isatty())
    ):
        return nullcontext()
    from routilux.progress import ProgressBar  # noqa: PLC0415 - only on a terminal

    bar = ProgressBar()
    try:
        bar.start()
    except ImportError as error:
        if watch.progress is None:
            return nullcontext()
        raise Refusal("--progress needs rich: pip install 'routilux[progress]'") from error
    flow.add_instrument(bar)
    return bar


def not_begun(problem: BaseException) -> Refusal:
    """Say why a job could not begin."""
    if isinstance(problem, RoutiluxError):
        return Refusal(str(problem))
    return Refusal(f"the job could not begin: {type(problem).__name__}: {problem}")


def exit_code(statuses: Iterable[str]) -> int:
    """The exit code for what jobs have come to: the worst of 0 (completed), 3 (paused) and 1 (failed or cancelled)."""
    codes = {CODES.get(status, FAILED) for status in statuses}
    return FAILED if FAILED in codes else max(codes, default=0)


def leave(ended: Ended, code: int) -> NoReturn:
    """End the process: with ``code``, or as Ctrl-C does; by force if handlers still run."""
    if ended.interrupted:
        code = INTERRUPTED
    if ended.left:
        running = sorted(
            {rid for job in ended.jobs for rid, state in job.routine_states.items() if state["status"] == "running"}
        )
        remark(f"left behind while still running: {', '.join(running) or 'handlers'}")
        sys.stdout.flush()
        sys.stderr.flush()
        # The interpreter would wait for jobs to end, and these may never do.
        os._exit(code)
    sys.exit(code)
