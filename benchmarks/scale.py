"""``python -m benchmarks.scale``: what it costs, and what it brings, to go beyond one process.

Each half is a module of its own with a function ``figures(short, show)``: what an activation of a flow costs in other
processes, and how much faster explorations are there.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import activations, campaigns
from benchmarks.progress import Progress
from benchmarks.report import Figure, Report, figure_row

HALVES: tuple[Callable[[bool, Callable[[str], object]], list[Figure]], ...] = (
    campaigns.figures,
    activations.figures,
)
"""What is measured, one after the other: what forks processes comes before what leaves threads behind."""

OUTPUT = Path("build") / "benchmarks"


def run(*, short: bool, say: Callable[[str], object] = print) -> Report:
    """Measure everything, saying each line as soon as it is known."""
    report = Report(short, workers=2)
    progress = Progress()
    say(f"CPython {platform.python_version()}")
    for half in HALVES:
        for figure in half(short, progress.show):
            progress.clear()
            report.figures.append(figure)
            say(figure_row(figure))
    progress.clear()
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Beyond one process.")
    parser.add_argument("--short", action="store_true", help="a tenth of the work")
    parser.add_argument("--json", type=Path, default=OUTPUT / "scale.json", metavar="PATH", help="%(default)s")
    parser.add_argument("--check", action="store_true", help="end with 1 if a goal is missed")
    parser.add_argument("--tolerance", type=float, default=0.0, metavar="FRACTION", help="with --check")
    parser.add_argument("--method", action="store_true", help="say how what is not measured is computed, and end")
    options = parser.parse_args(arguments)
    if options.method:
        print(campaigns.__doc__)
        return 0
    report = run(short=options.short)
    print(f"\n{campaigns.__doc__}")
    report.write_json(options.json)
    print(f"written: {options.json}")
    missed = list(report.missed(options.tolerance))
    for miss in missed:
        print(f"missed: {miss}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
