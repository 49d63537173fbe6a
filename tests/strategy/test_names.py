"""Strategies go by names, some with a number."""

import pytest

from routilux_sim import explore
from routilux_sim.strategy import STRATEGIES, check_name, make_strategy
from tests.strategy.small import points


@pytest.mark.parametrize("name", [*STRATEGIES, "pct:1", "pct:4", "dfs:0", "dfs:2"])
def test_each_name_makes_a_strategy_that_goes_by_it(name):
    """And explores with it."""
    assert name in {"portfolio", "mix"} or make_strategy(name).name == name
    assert explore(points(1, 1), strategy=name, schedules=3).verdict in {"passed", "exhausted"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "luck",
            "unknown strategy 'luck'; there are: 'dfs', 'dpor'.*'pct' may be followed by the depth",
        ),
        ("luck:3", "unknown strategy 'luck:3'"),
        ("random:3", "strategy 'random' takes no number, so 'random:3' is none; only dfs, pct do"),
        ("pct:", "strategy 'pct:': the depth must be a whole number, not ''"),
        ("pct:three", "the depth must be a whole number, not 'three'"),
        ("pct:0", "the depth of pct must be a whole number from 1 up, not 0"),
        ("dfs:-1", "the most preemptions must be a whole number, not '-1'"),
    ],
)
def test_other_names_are_refused(name, words):
    """Saying what there is."""
    for call in (check_name, make_strategy):
        with pytest.raises(ValueError, match=words):
            call(name)


def test_what_is_no_strategy_is_refused():
    """Neither a name nor something that picks."""
    with pytest.raises(TypeError, match=r"must be one of dfs, dpor, fifo, .* or a Strategy, not 7"):
        make_strategy(7)
