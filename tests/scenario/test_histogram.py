"""Histograms of figures over many schedules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routilux_sim.scenario.histogram import histogram, spread


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 12))
def test_each_figure_is_in_one_bin(figures, bins):
    """The counts add up, unless all figures are the same and there is nothing to draw."""
    rows = histogram(figures, 2, bins)
    assert not rows or len(rows) == bins
    assert not rows or sum(int(row.split()[3]) for row in rows) == len(figures)
    assert rows or f"{min(figures):.2f}" == f"{max(figures):.2f}"


def test_it_is_drawn():
    """Bounds, counts and bars; a bin with little in it is not empty to look at."""
    rows = histogram([1.0] * 100 + [2.0], 1, 2)
    assert rows == ["1.0 to 1.5     100  " + "█" * 40, "1.5 to 2.0       1  ▏"]


def test_a_spread_is_told_in_a_line():
    """Least, most and median; or the one figure there is."""
    assert spread([2.0, 3.0, 2.2], 2) == "2.00 to 3.00, median 2.20"
    assert spread([2.6, 2.6000001], 2) == "2.60"
