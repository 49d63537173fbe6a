"""How the cost of an execution grows with its steps: measured over powers of ten, fitted, and drawn.

The exponent is the slope of a straight line through the logarithms: 1 means that twice as many steps take twice as
long. Sizes at which fixed costs tell are drawn, and left out of the fit.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fresh import Cost, in_a_process
from benchmarks.plot import check_suffix

STEPS_A_ROUND = 20
"""About as many steps a round of `benchmarks.simulated.mixed` takes, all four threads together."""

FITTED_FROM = 10_000
"""Steps; a world is put in place and taken away in the time of some hundred."""

COLOUR = "#0b6e4f"


def sizes(most: int) -> list[int]:
    """1, 3, 10, 30 … thousand, up to ``most``."""
    found = [digit * 10**power for power in range(3, 10) for digit in (1, 3)]
    return [size for size in found if size <= most]


def measure_growth(most: int, turns: int, show: Callable[[str], object]) -> list[Cost]:
    """The least cost of several turns at each size, in fresh processes.

    Args:
        most: The largest number of steps, about.
        turns: How many times each is measured: all sizes in one turn, so that a busy moment spoils one of them alone.
        show: Takes what is being done.
    """
    found: dict[int, list[Cost]] = {size: [] for size in sizes(most)}
    for turn in range(turns):
        for size, costs in found.items():
            show(f"{size:,} steps, turn {turn + 1} of {turns}")
            costs.append(in_a_process("mixed", size // STEPS_A_ROUND))
    return [min(costs, key=lambda cost: cost.seconds) for costs in found.values()]


def exponent(costs: Iterable[Cost]) -> float:
    """The slope of the line of least squares through the logarithms of steps and seconds.

    Raises:
        ValueError: Fewer than two sizes are large enough.
    """
    points = [(math.log(cost.steps), math.log(cost.seconds)) for cost in costs if cost.steps >= FITTED_FROM * 0.8]
    if len(points) < 2:
        raise ValueError(f"a fit needs two sizes of {FITTED_FROM:,} steps or more, not {len(points)}")
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    above = sum((x - middle_x) * (y - middle_y) for x, y in points)
    return above / sum((x - middle_x) ** 2 for x, _ in points)


def write_plot(costs: Sequence[Cost], path: Path, python: str) -> None:
    """Draw seconds and megabytes over steps, as SVG or PNG by the suffix of ``path``.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Another suffix.
    """
    check_suffix(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    time, memory = figure.subplots(1, 2)
    steps = [cost.steps for cost in costs]
    _draw(time, steps, [cost.seconds for cost in costs], "seconds")
    _draw(memory, steps, [max(cost.megabytes, 0.01) for cost in costs], "megabytes by which the process grows")
    largest = costs[-1]
    straight = [largest.seconds * count / largest.steps for count in steps]
    time.plot(steps, straight, color="black", linewidth=1, linestyle=":", label="exponent 1")
    time.legend(frameon=False)
    time.set_title(f"exponent {exponent(costs):.2f} from {FITTED_FROM:,} steps on", loc="left")
    memory.set_title(f"{largest.megabytes * 1e6 / largest.steps:.0f} bytes a step at the end", loc="left")
    figure.suptitle(f"One execution of four threads, {python}", x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _draw(axes: Any, steps: list[int], values: list[float], label: str) -> None:
    axes.plot(steps, values, color=COLOUR, marker="o", label="measured")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("steps")
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
