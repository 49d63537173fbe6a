"""PCT keeps its promise: a bug of depth d in one of n * k ** (d - 1) schedules at least, and none that is deeper."""

from math import sqrt

import pytest

from routilux_sim import explore
from routilux_sim.execution import Campaign
from routilux_sim.strategy.pct import DEPTHS, PctStrategy
from tests.strategy.small import Program, between, lost_update, order, reorder

TASKS = 3
"""Of the programs with two threads: the program's own is a task as well."""


def share_of_failures(program: Program, strategy: PctStrategy, schedules: int) -> tuple[float, int]:
    """How many of so many schedules fail, once the length is known, and what that is."""
    campaign = Campaign(program)
    failed = longest = 0
    with campaign.running():
        for seed in range(schedules + 50):
            strategy.begin(seed)
            execution = campaign.execute(strategy, seed)
            steps = strategy.end(execution.outcome)
            longest = max(longest, steps)
            if seed < 50:
                strategy.learn([longest])
            else:
                failed += execution.verdict == "failed"
    return failed / schedules, longest


@pytest.mark.parametrize(
    ("program", "depth"),
    [(order(20), 1), (lost_update, 2), (between(10, 10), 2), (between(2, 20), 2), (between(20, 2), 2)],
)
def test_a_bug_of_known_depth_is_found_as_often_as_the_paper_says(program, depth):
    """At least 1 / (n * k ** (d - 1)) of the schedules fail, less what chance may do to so many."""
    schedules = 1000
    share, steps = share_of_failures(program, PctStrategy(depth), schedules)
    bound = 1 / (TASKS * steps ** (depth - 1))
    assert share >= bound - 3 * sqrt(bound * (1 - bound) / schedules)


def test_fewer_change_points_than_the_bug_needs_never_find_it():
    """Without a change point nobody is preempted in favour of who was there before."""
    share, _ = share_of_failures(between(10, 10), PctStrategy(1), 500)
    assert share == 0


def test_the_depth_is_drawn_if_it_is_not_given():
    """Each from 2 to 5 comes up, by the seed."""
    strategy = PctStrategy()
    drawn = []
    for seed in range(200):
        strategy.learn([10_000])
        strategy.begin(seed)
        drawn.append(len(strategy._changes) + 1)
    assert set(drawn) == set(DEPTHS)


def test_a_longer_execution_is_expected_again_but_not_for_ever():
    """What is expected grows at once and shrinks slowly, to what executions are like."""
    strategy = PctStrategy(2)
    expected = []
    for note in [10, 1000, *[10] * 100]:
        strategy.learn([note])
        expected.append(strategy._expected)
    assert expected[:2] == [10, 1000]
    assert expected[2:] == sorted(expected[2:], reverse=True)
    assert (expected[2] > 800, expected[-1]) == (True, 10)


def test_it_finds_what_a_random_walk_does_not():
    """One of ten threads between two writes, before any other one is through."""
    assert explore(reorder(10), strategy="random", schedules=2000).verdict == "passed"
    assert explore(reorder(10), strategy="pct:2", schedules=2000).verdict == "failed"


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, "2"])
def test_a_depth_that_is_none_is_refused(depth):
    """With the value."""
    with pytest.raises(ValueError, match="the depth of pct must be a whole number from 1 up, not"):
        PctStrategy(depth)
