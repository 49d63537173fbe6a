"""What an activation costs, beside ``ThreadPoolExecutor.submit`` and ``wait``, in one run, and what else is promised.

Full accounting, history and tracker are on. Absolute times depend on the machine; the ratios are what to compare.
Everybody takes turns, each turn begins with a collected heap, and the garbage collector is as the interpreter has it.

    python -m benchmarks.engine [--short] [--no-peers] [--check]
"""

import argparse
import gc
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from benchmarks import costs
from benchmarks.flows import WORKERS
from benchmarks.peers import ACTIVATIONS_A_FAN_OUT, PEERS, Contender, Executor, Routilux, present
from benchmarks.plot import check_suffix, write_plot
from benchmarks.progress import Progress
from benchmarks.report import Case, Figure, Report, figure_row, table_head, table_row

OUTPUT = Path("build/benchmarks")
ALLOWANCE = 1.0 if sys.version_info < (3, 12) else 1.3
"""The goals are for CPython 3.11; on later ones, whose executor is faster, ratios may be so much higher."""

TURNS, PEER_TURNS = 7, 3
SHORT_TURNS, SHORT_PEER_TURNS = 3, 1
"""A peer may take a hundred times as long as ours: it has fewer turns."""


def sized_cases(scale: int) -> list[tuple[Case, int]]:
    """The cases, and the size of each: events, hops or rounds."""
    flat, chain, rounds = 10_000 // scale, 1_000 // scale, 200 // scale
    return [
        (Case("flat", f"flat {flat:,}", flat, 0.20 * ALLOWANCE), flat),
        (Case("chain", f"chain of {chain:,}", chain, 0.35 * ALLOWANCE), chain),
        (
            Case("fan-out", f"page's fan-out, {rounds} jobs", ACTIVATIONS_A_FAN_OUT * rounds, 0.6 * ALLOWANCE),
            rounds,
        ),
    ]


def turn(contender: type[Contender], case: str, size: int) -> float:
    """Seconds that one contender takes once."""
    with contender(case) as ready:
        gc.collect()
        began = time.perf_counter()
        ready.work(size)
        return time.perf_counter() - began


def measure(case: Case, size: int, contenders: Sequence[type[Contender]], short: bool, progress: Progress) -> None:
    """Enter everybody's median into ``case``; the first turn of each warms up and is not counted."""
    turns, peer_turns = (SHORT_TURNS, SHORT_PEER_TURNS) if short else (TURNS, PEER_TURNS)
    taken: dict[type[Contender], list[float]] = {who: [] for who in contenders if who.can(case.name)}
    for number in range(turns + 1):
        for who, times in taken.items():
            if who in PEERS and number > peer_turns:
                continue
            progress.show(f"{case.title}: {who.name}, turn {number} of {turns}")
            seconds = turn(who, case.name, size)
            if number:
                times.append(seconds)
    progress.clear()
    case.microseconds = {who.name: median(times) / case.activations * 1e6 for who, times in taken.items()}


def figures(short: bool, scale: int, progress: Progress) -> list[Figure]:
    """Everything promised that is no ratio."""
    events = sleepers = 10_000 // scale
    progress.show("lateness, memory, import")
    extra = costs.forbidden_imports()
    imported = costs.import_milliseconds("routilux", 5 if short else 15)
    return [
        Figure("wait returns after the last activation's end", costs.waiting_lateness(20 if short else 200), "ms", 1),
        Figure("memory of a queued event", costs.bytes_a_queued_event(events), "bytes", 300),
        Figure("memory of a call submitted to an executor", costs.bytes_a_submitted_call(events), "bytes"),
        Figure("import routilux adds", imported, "ms", 30),
        Figure("modules that must not come with it", len(extra), "found", 0, ", ".join(extra)),
        asleep(sleepers),
    ]


def asleep(count: int) -> Figure:
    """The coroutines' figure, or what is in its way."""
    name = f"{count:,} coroutines asleep for 0.1 s at once"
    try:
        return Figure(name, costs.sleeping_coroutines(count, 0.1), "s", 1)
    except costs.UnsupportedError as reason:
        return Figure(name, None, "s", 1, f"not supported: {reason}")


def run(
    *,
    short: bool = False,
    peers: bool = True,
    scale: int = 1,
    say: Callable[[str], object] = print,
) -> Report:
    """Measure everything, saying each line of the table as soon as it is known.

    Args:
        short: Fewer turns; the cases are as large, or their ratios would not be the same.
        peers: Measure those that are installed too.
        scale: Divide the cases' sizes by this, to see that the benchmark works rather than how fast anything is.
        say: Takes each line.
    """
    progress = Progress()
    report = Report(short, WORKERS)
    found, report.absent = present() if peers else ([], {peer.name: "not asked for" for peer in PEERS})
    contenders: list[type[Contender]] = [Routilux, Executor, *found]
    report.notes = {who.name: who.note for who in contenders if who.note}
    names = [who.name for who in contenders]
    say(f"CPython {platform.python_version()}, {WORKERS} workers, microseconds an activation, median")
    say(table_head(names))
    for case, size in sized_cases(scale):
        measure(case, size, contenders, short, progress)
        report.cases.append(case)
        say(table_row(case, names))
    for name, note in report.notes.items():
        say(f"{name}: {note}")
    if peers:
        for name, reason in report.absent.items():
            say(f"{name}: left out ({reason}; make bench-peers installs it)")
    report.figures = figures(short, scale, progress)
    progress.clear()
    for figure in report.figures:
        say(figure_row(figure))
    return report


def write(report: Report, json_path: Path, plot_path: Path) -> None:
    """Write the report's two files; the plot is left out, with a word, without matplotlib."""
    report.write_json(json_path)
    print(f"written: {json_path}")
    try:
        write_plot(report, plot_path)
    except ImportError as error:
        print(f"plot: left out ({error}; make bench-peers installs it)")
    else:
        print(f"written: {plot_path}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description="What an activation costs.")
    parser.add_argument("--short", action="store_true", help="fewer turns")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure those installed")
    parser.add_argument("--json", type=Path, default=OUTPUT / "engine.json", metavar="PATH", help="%(default)s")
    parser.add_argument("--plot", type=Path, default=OUTPUT / "engine.svg", metavar="PATH", help=".svg or .png")
    parser.add_argument("--check", action="store_true", help="end with 1 if a goal is missed")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, metavar="FRACTION", help="with --check: how far a goal may be exceeded"
    )
    parser.add_argument("--verbose", action="store_true", help="also show where the import's time goes")
    options = parser.parse_args(arguments)
    try:
        check_suffix(options.plot)
    except ValueError as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    options = parse(arguments)
    report = run(short=options.short, peers=options.peers)
    if options.verbose:
        for module, milliseconds in costs.dearest_imports(15):
            print(f"{milliseconds:>10.2f} ms in {module}")
    write(report, options.json, options.plot)
    missed = list(report.missed(options.tolerance))
    for miss in missed:
        print(f"missed: {miss}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
