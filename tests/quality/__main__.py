"""How many schedules each strategy needs to find each bug of the library: ``python -m tests.quality``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import date
from pathlib import Path
from statistics import median_low

from routilux_sim import explore
from tests.quality.patterns import PATTERNS

STRATEGIES = ("random", "pct", "pos", "surw", "mutation", "dfs", "dpor", "portfolio")
SYSTEMATIC = {"dfs", "dpor"}
"""They take no chances: another seed makes no difference."""
SEEDS = range(0, 3_000_000, 1_000_000)
"""Far apart: the n-th schedule runs under the seed and n."""
BUDGET = 10_000
SHORT_SEEDS = SEEDS[:1]
SHORT_BUDGET = 500
SHORT_STRATEGIES = ("random", "dpor", "portfolio")
SHORT = 8
"""In the short form, every so many patterns one is tried."""
TABLE = Path(__file__).parents[2] / "docs" / "quality.md"
NOT_FOUND = sys.maxsize

HEADER = """\
# How soon each bug is found

The library in `tests/quality/patterns/` holds {count} small threaded programs with one concurrency bug each, after
SCTBench, CHESS, JaConTeBe, RADBench and Python's own, and each with its mended twin. This is how many schedules each
strategy runs until it meets the first failure, memory accesses being scheduling points (`instrument="auto"`): the
median of {seeds} seeds ({systematic} take no chances and run once), "-" where that is more than {budget:,}.
*preemptions* is how many the bug needs when everything else goes by FIFO; *memory* says that it is out of reach without
memory points.

`tests/quality/test_patterns.py` holds the default, the portfolio, to it: every bug within 10,000 schedules (the two
largest of the reorder family within 100,000, and safe_stack is here as a challenge only), its failure replayed, and
nothing reported in {twins} schedules of the mended twin. `make quality` makes this page anew.

"""


def found_after(pattern, strategy, seed, budget):
    """How many schedules it takes until the bug is met; `NOT_FOUND` if more than the budget."""
    report = explore(
        pattern.buggy,
        strategy=strategy,
        seed=seed,
        schedules=budget,
        max_steps=pattern.max_steps,
        instrument="auto",
        shrink=False,
    )
    return report.schedules if report.failure is not None else NOT_FOUND


def measure(pattern, strategy, seeds, budget):
    """The median over the seeds."""
    seeds = seeds[:1] if strategy in SYSTEMATIC else seeds
    return median_low([found_after(pattern, strategy, seed, budget) for seed in seeds])


def line(cells, widths):
    """A line of the table."""
    padded = [
        cell.ljust(width) if place < 3 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def table(names, strategies, seeds, budget):
    """Measure, printing as it goes; return the lines, and what each strategy needed."""
    needed = {strategy: [] for strategy in strategies}
    widths = [max(map(len, names)), len("preemptions"), len("memory"), *(max(len(one), 6) for one in strategies)]
    head = line(["pattern", "preemptions", "memory", *strategies], widths)
    rule = "|" + "|".join("-" * (width + 1) + ("-" if place < 3 else ":") for place, width in enumerate(widths)) + "|"
    lines = [head, rule]
    print(head, rule, sep="\n", flush=True)
    for name in names:
        pattern = PATTERNS[name]
        counts = [measure(pattern, strategy, seeds, budget) for strategy in strategies]
        for strategy, count in zip(strategies, counts, strict=True):
            needed[strategy].append(count)
        shown = ["-" if count == NOT_FOUND else str(count) for count in counts]
        lines.append(line([name, str(pattern.depth), "yes" if pattern.memory else "", *shown], widths))
        print(lines[-1], flush=True)
    for what, judge in (("found", found), ("median", middle)):
        lines.append(line([f"**{what}**", "", "", *(judge(needed[strategy]) for strategy in strategies)], widths))
        print(lines[-1], flush=True)
    return lines, needed


def found(counts):
    """How many were found, in words."""
    return str(sum(count != NOT_FOUND for count in counts))


def middle(counts):
    """The median, in words."""
    count = median_low(counts)
    return "-" if count == NOT_FOUND else str(count)


def measured():
    """Where and when, in words."""
    system, processor = platform.system(), platform.machine()
    return (
        f"CPython {platform.python_version()} on {system}, {processor}, {os.cpu_count()} processors; {date.today()}. "
        "Schedules are counted, so other machines have the same figures."
    )


def main(arguments=None):
    """Measure, print the table and write it to the docs; 1 if the portfolio has missed a bug that it must find."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="only these (writes nothing)")
    parser.add_argument("--short", action="store_true", help="a few patterns and strategies, once (writes nothing)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.patterns if name not in PATTERNS]
    if unknown:
        parser.error(f"no such pattern: {', '.join(unknown)}; there are {', '.join(PATTERNS)}")
    names = options.patterns or [*PATTERNS]
    if options.short:
        names = options.patterns or names[::SHORT]
        _, needed = table(names, SHORT_STRATEGIES, SHORT_SEEDS, SHORT_BUDGET)
    else:
        lines, needed = table(names, STRATEGIES, SEEDS, BUDGET)
        if not options.patterns:
            header = HEADER.format(
                count=len(PATTERNS),
                seeds=len(SEEDS),
                systematic=" and ".join(sorted(SYSTEMATIC)),
                budget=BUDGET,
                twins=500,
            )
            TABLE.write_text(header + "\n".join(lines) + f"\n\n{measured()}\n")
    missed = [
        name
        for name, count in zip(names, needed["portfolio"], strict=True)
        if count == NOT_FOUND and PATTERNS[name].schedules <= BUDGET and not PATTERNS[name].challenge
    ]
    if missed:
        sys.stderr.write(f"the portfolio has missed: {', '.join(missed)}\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
