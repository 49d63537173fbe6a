"""The picture of a run: ratios to the yardstick on a logarithmic scale, grouped by case, goals marked.

Knows a `Report` and matplotlib, which need not be installed.
"""

from pathlib import Path
from typing import Any

from benchmarks.report import OURS, YARDSTICK, Report

COLOURS = {OURS: "#0b6e4f", YARDSTICK: "#8d99ae"}
PEER_COLOURS = ("#e09f3e", "#9e2a2b", "#5f5aa2", "#335c67")
TICKS = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]
SUFFIXES = (".svg", ".png")


def check_suffix(path: Path) -> Path:
    """Return ``path`` if a plot can be written there.

    Raises:
        ValueError: Its suffix is neither ``.svg`` nor ``.png``.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a plot's file must end in {' or '.join(SUFFIXES)}, not {path.name!r}")
    return path


def write_plot(report: Report, path: Path) -> None:
    """Write the picture as SVG or PNG, by the suffix of ``path``; the folder is made if need be.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Another suffix.
    """
    check_suffix(path)
    # Not through pyplot, which looks for a display and keeps figures: a figure with a canvas of its own needs neither.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _bars(axes, report)
    _dress(axes, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _colours(contenders: list[str]) -> dict[str, str]:
    peers = [name for name in contenders if name not in COLOURS]
    return COLOURS | dict(zip(peers, PEER_COLOURS * len(peers), strict=False))


def _bars(axes: Any, report: Report) -> None:
    """Draw a group of bars a case, each from the yardstick's 1 up or down, and a mark at each of our goals."""
    contenders = [name for name in report.contenders if name != YARDSTICK]
    colours = _colours(contenders)
    width = min(0.2, 0.8 / len(contenders))
    for place, name in enumerate(contenders):
        offset = (place - (len(contenders) - 1) / 2) * width
        for at, case in enumerate(report.cases):
            _bar(axes, at + offset, width * 0.9, case.ratio(name), colours[name], name == OURS)
            if name == OURS:
                _goal(axes, at + offset, width, case.goal, labelled=not at)
        axes.bar(0, 0, bottom=1, color=colours[name], label=name)


def _bar(axes: Any, at: float, width: float, ratio: float | None, colour: str, bold: bool) -> None:
    """Draw one bar with its ratio above it; a dash for who has not done the case."""
    height = ratio or 1
    axes.bar(at, height - 1, width, bottom=1, color=colour)
    axes.annotate(
        "–" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}",
        (at, max(height, 1)),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9,
        fontweight="bold" if bold else "normal",
    )


def _goal(axes: Any, at: float, width: float, goal: float, *, labelled: bool) -> None:
    """Mark a goal by a line that can be told from the bar and from the ground."""
    label = {"label": f"goal for {OURS}"} if labelled else {}
    span = [at - width * 0.5, at + width * 0.5]
    axes.plot(span, [goal] * 2, color="white", linewidth=5, solid_capstyle="butt", zorder=3)
    axes.plot(span, [goal] * 2, color="black", linewidth=2, solid_capstyle="butt", zorder=4, **label)


def _dress(axes: Any, report: Report) -> None:
    """Give the picture its scale, words and legend."""
    axes.axhline(1, color=COLOURS[YARDSTICK], linewidth=1.5, label="ThreadPoolExecutor = 1")
    axes.set_yscale("log")
    axes.margins(y=0.1)
    low, high = axes.get_ylim()
    axes.set_ylim(top=max(high, 1.5))
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high], minor=False)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks(range(len(report.cases)), [case.title for case in report.cases])
    axes.set_ylabel("× ThreadPoolExecutor, log scale: lower is faster")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    axes.figure.legend(loc="outside lower center", frameon=False, ncols=6)
    axes.set_title(f"Time an activation, {report.workers} workers, {report.python}", loc="left")
