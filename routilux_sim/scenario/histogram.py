"""How figures are spread over many schedules, in a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

__all__ = ["histogram", "spread"]

BINS = 10
WIDTH = 40
_BAR = "█"


def spread(figures: Sequence[float], digits: int) -> str:
    """Least, most and median; one figure if they are all the same."""
    least, most = min(figures), max(figures)
    first, last = f"{least:.{digits}f}", f"{most:.{digits}f}"
    return first if first == last else f"{first} to {last}, median {median(figures):.{digits}f}"


def histogram(figures: Sequence[float], digits: int, bins: int = BINS) -> list[str]:
    """Draw how many figures are in each of some equal parts of their range; nothing if they are all the same.

    Args:
        figures: Finite numbers, at least one.
        digits: Decimal places of the bounds that are shown.
        bins: How many parts there are.
    """
    least, most = min(figures), max(figures)
    if f"{least:.{digits}f}" == f"{most:.{digits}f}":
        return []
    width = (most - least) / bins
    counts = [0] * bins
    for figure in figures:
        counts[min(bins - 1, int((figure - least) / width))] += 1
    highest = max(counts)
    rows = []
    for index, count in enumerate(counts):
        begin, end = least + index * width, least + (index + 1) * width
        bar = _BAR * round(WIDTH * count / highest) or ("▏" if count else "")
        rows.append(f"{begin:.{digits}f} to {end:.{digits}f}  {count:>6}  {bar}".rstrip())
    return rows
