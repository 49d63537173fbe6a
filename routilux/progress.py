"""Progress: how many activations are queued, running and done, by routine, counted and shown while flows run.

A `Tally` counts and knows nothing of terminals; a `ProgressBar` is a tally that draws itself with rich (extra
``progress``), which is imported when the drawing begins. Neither has a thread: what draws is whichever thread just
counted something, so a simulated flow with a bar stays as deterministic as one without.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TextIO

from routilux import runtime as runtimes
from routilux.abc import Instrument

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from routilux.engine.activation import Activation
    from routilux.job_state import JobState

__all__ = ["Counts", "ProgressBar", "Snapshot", "Tally", "summary"]


class Counts(NamedTuple):
    """Where the activations of a routine, or of several, are.

    Attributes:
        queued: Waiting for a worker.
        running: Being handled.
        waiting: Waiting to be tried again.
        done: Their handler returned.
        failed: Their handler raised, and was not tried again, whatever the error strategy made of it.
        dropped: Never handled, or cancelled: their job had ended.
    """

    queued: int = 0
    running: int = 0
    waiting: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0

    @property
    def ended(self) -> int:
        """Those of which no more is to come."""
        return self.done + self.failed + self.dropped

    @property
    def busy(self) -> int:
        """Those of which there is."""
        return self.queued + self.running + self.waiting

    def plus(self, other: Counts) -> Counts:
        """Add up, place by place."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class Snapshot(NamedTuple):
    """A tally at one moment.

    Attributes:
        routines: Counts by routine id, in the order in which their first activations came.
        jobs: How many jobs have which status.
        live: How many jobs have not ended.
    """

    routines: dict[str, Counts]
    jobs: dict[str, int]
    live: int

    @property
    def total(self) -> Counts:
        """All routines together."""
        total = Counts()
        for counts in self.routines.values():
            total = total.plus(counts)
        return total


class Tally(Instrument):
    """Counts where activations are. Give it to flows, one or several: ``Flow(instruments=[tally])``."""

    def __init__(self) -> None:
        self._lock = runtimes.current().lock()
        self._routines: dict[str, Counter[str]] = {}
        self._live: dict[str, JobState] = {}
        self._ended: Counter[str] = Counter()
        self._places: dict[tuple[str, int], str] = {}

    def snapshot(self) -> Snapshot:
        """Everything counted so far, all at the same moment."""
        with self._lock:
            routines = {routine_id: _counts(places) for routine_id, places in self._routines.items()}
            jobs = self._ended + Counter(job.status for job in self._live.values())
            return Snapshot(routines, dict(jobs), len(self._live))

    def changed(self) -> None:
        """Called after each change, in whichever thread it happened."""

    def job_start(self, job: JobState) -> None:
        """Count a job, under whatever status it has from now on."""
        with self._lock:
            self._live[job.job_id] = job
        self.changed()

    def job_pause(self, job: JobState) -> None:
        """Notice that the job's status has changed."""
        self.changed()

    def job_resume(self, job: JobState) -> None:
        """Notice that the job's status has changed."""
        self.changed()

    def job_end(self, job: JobState) -> None:
        """Count the job under its final status."""
        with self._lock:
            self._live.pop(job.job_id, None)
            self._ended[job.status] += 1
        self.changed()

    def activation_queue(self, activation: Activation) -> None:
        """Count the activation as queued."""
        self._move(activation, "queued")

    def activation_start(self, activation: Activation) -> None:
        """Count it as running."""
        self._move(activation, "running")

    def activation_retry(self, activation: Activation, error: BaseException, delay: float) -> None:
        """Count it as waiting."""
        self._move(activation, "waiting")

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:
        """Count it as done, failed or, if it was cancelled, as dropped."""
        place = "dropped" if status == "cancelled" else "done" if error is None else "failed"
        self._move(activation, place, last=True)

    def activation_drop(self, activation: Activation, reason: str) -> None:
        """Count it as dropped."""
        self._move(activation, "dropped", last=True)

    def _move(self, activation: Activation, place: str, *, last: bool = False) -> None:
        key = (activation.job.job_id, activation.number)
        with self._lock:
            counter = self._routines.setdefault(activation.routine_id, Counter())
            before = self._places.pop(key, None)
            if before is not None:
                counter[before] -= 1
            counter[place] += 1
            if not last:
                self._places[key] = place
        self.changed()


def _counts(places: Mapping[str, int]) -> Counts:
    return Counts(*(places.get(name, 0) for name in Counts._fields))


def summary(snapshot: Snapshot, seconds: float) -> str:
    """Say in one line what a tally has come to, e.g. ``jobs: 3 completed; activations: 40 done, 1 failed; 2.1 s``."""
    return f"jobs: {_list(snapshot.jobs)}; activations: {_list(snapshot.total._asdict())}; {seconds:.1f} s"


def _list(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number) or "none"


class ProgressBar(Tally):
    """Shows what flows are doing, a line a routine, on standard error.

    ::

        with ProgressBar() as bar, Flow(instruments=[bar]) as flow:
            ...

    On a terminal the picture is redrawn as things happen, at most ten times a second, and what the program prints
    meanwhile goes above it. Anywhere else there is one line at the end. Standard output is left alone unless it is the
    same terminal.

    Args:
        file: Where to draw instead.
        rows: At most so many routines have a line of their own, the busy ones before the others.

    Raises:
        ValueError: ``rows`` is not a number from 1 up.
    """

    def __init__(self, file: TextIO | None = None, *, rows: int = 20) -> None:
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a whole number from 1 up, not {rows!r}")
        super().__init__()
        self._file = file
        self._rows = rows
        self._drawing = runtimes.current().lock()
        self._view: _View | None = None

    def start(self) -> None:
        """Begin to draw; what is counted before is shown too. Does nothing while it goes on.

        Raises:
            ImportError: rich is not installed (``pip install routilux[progress]``).
        """
        if self._view is None:
            self._view = _View(self, self._file or sys.stderr, self._rows)

    def stop(self) -> None:
        """Draw the last picture, leave it there, and draw no more. Counting goes on."""
        view, self._view = self._view, None
        if view is not None:
            with self._drawing:
                view.close()

    def changed(self) -> None:
        """Draw, if it is time to, and nobody else does."""
        view = self._view
        if view is None or not view.is_due() or not self._drawing.acquire(blocking=False):
            return
        try:
            view.draw()
        finally:
            self._drawing.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


INTERVAL_NS = 100_000_000
"""Nanoseconds between two pictures."""

GONE = (OSError, ValueError)
"""What writing raises when a terminal has gone, or a file was closed."""


class _View:
    """What is drawn of a tally, from now on; one thread at a time may draw."""

    def __init__(self, tally: Tally, file: TextIO, rows: int) -> None:
        try:
            from rich.console import Console  # noqa: PLC0415 - the extra is imported when asked for
            from rich.live import Live  # noqa: PLC0415
        except ImportError as error:
            raise ImportError(
                "a progress bar needs rich; install the extra: pip install 'routilux[progress]'"
            ) from error
        self._tally = tally
        self._file = file
        self._rows = rows
        self._began = runtimes.current().monotonic_ns()
        self._drawn = self._began - INTERVAL_NS
        self._shows_jobs = False
        self._console = Console(file=file)
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # No thread of rich's, which would outlive a simulation; and no hand on output that is piped elsewhere.
            ours = file is sys.stderr
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                redirect_stderr=ours,
                redirect_stdout=ours and sys.stdout.isatty(),
            )
            self._live.start()

    def is_due(self) -> bool:
        """Whether the picture is old, or shows jobs when there are none any more."""
        if self._live is None:
            return False
        if self._shows_jobs and not self._tally._live:  # noqa: SLF001 - a look costs less than a snapshot
            return True
        return runtimes.current().monotonic_ns() - self._drawn >= INTERVAL_NS

    def draw(self) -> None:
        """Draw the tally as it is, unless the view has been closed."""
        live = self._live
        if live is None:
            return
        self._drawn = runtimes.current().monotonic_ns()
        snapshot = self._tally.snapshot()
        self._shows_jobs = snapshot.live > 0
        try:
            live.update(_picture(snapshot, self._seconds(), self._rows, self._console), refresh=True)
        except GONE:
            # What is observed goes on without being seen.
            self._live = None
            with suppress(*GONE):
                live.stop()

    def close(self) -> None:
        """Draw the last picture, or write the one line."""
        self.draw()
        live, self._live = self._live, None
        with suppress(*GONE):
            if live is not None:
                live.stop()
            else:
                self._file.write(summary(self._tally.snapshot(), self._seconds()) + "\n")
                self._file.flush()

    def _seconds(self) -> float:
        return (runtimes.current().monotonic_ns() - self._began) / 1e9


NAME_WIDTH = 20
"""Columns that names may take before bars get any."""

BAR_WIDTH = 20
NUMBER_WIDTH = 8
MARGIN = 3
"""Lines of a terminal that are not routines: jobs, headings, and where the cursor stands."""

IMPORTANCE = ("done", "running", "failed", "queued", "waiting", "dropped")
ALWAYS = frozenset({"queued", "running", "done"})
STYLES = {"running": "cyan", "waiting": "yellow", "done": "green", "failed": "red"}


def _picture(snapshot: Snapshot, seconds: float, rows: int, console: Console) -> RenderableType:
    """One line for the jobs, then one a routine: its name, a bar of what has ended of what is known, and the numbers.

    Numbers that are nil everywhere, such as failures in good times, take no room.
    """
    from rich.console import Group  # noqa: PLC0415 - the extra is imported when asked for
    from rich.progress_bar import ProgressBar as Bar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = _columns(snapshot.total, console.width)
    left = console.width - NUMBER_WIDTH * len(shown) - 2
    bar_width = min(BAR_WIDTH, left - NAME_WIDTH)
    has_bar = bar_width >= BAR_WIDTH // 4
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("routine", no_wrap=True, overflow="ellipsis", max_width=max(1, left - bar_width * has_bar))
    if has_bar:
        table.add_column("", width=bar_width)
    for name in shown:
        table.add_column(name, justify="right", width=NUMBER_WIDTH - 1, no_wrap=True)
    for routine_id, counts in _fold(snapshot.routines, max(1, min(rows, console.height - MARGIN))):
        bar = [Bar(total=counts.ended + counts.busy, completed=counts.ended, width=bar_width)] if has_bar else []
        numbers = ((getattr(counts, name), STYLES.get(name, "")) for name in shown)
        cells = (Text(_number(number), style=style if number else "dim") for number, style in numbers)
        table.add_row(Text(routine_id), *bar, *cells)
    jobs = Text(f"jobs: {_list(snapshot.jobs)}; {seconds:.1f} s", no_wrap=True, overflow="ellipsis")
    return Group(jobs, table)


def _columns(total: Counts, width: int) -> list[str]:
    """Which numbers are shown, in their order; where there is no room for all, the important ones."""
    wanted = [name for name in IMPORTANCE if name in ALWAYS or getattr(total, name)]
    kept = wanted[: max(1, (width - NAME_WIDTH // 2) // NUMBER_WIDTH)]
    return sorted(kept, key=Counts._fields.index)


def _number(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def _fold(routines: Mapping[str, Counts], rows: int) -> list[tuple[str, Counts]]:
    """Choose whose lines are shown, in their order; if those are not all, the last line is all the others together."""
    if len(routines) <= rows:
        return [(_visible(routine_id), counts) for routine_id, counts in routines.items()]
    ranked = sorted(routines, key=lambda routine_id: _rank(routines[routine_id]))
    chosen = set(ranked[: rows - 1])
    lines = [(_visible(routine_id), counts) for routine_id, counts in routines.items() if routine_id in chosen]
    others = Counts()
    for routine_id in ranked[rows - 1 :]:
        others = others.plus(routines[routine_id])
    return [*lines, (f"… {len(routines) - len(chosen):,} {'more' if lines else 'routines'}", others)]


def _rank(counts: Counts) -> int:
    # Running and queued alike: who runs changes too quickly to be followed.
    return 0 if counts.busy else 1 if counts.failed else 2


def _visible(routine_id: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in routine_id)
