"""Mutation keeps what showed something new, changes it a little, and gets by when the program goes another way."""

import pytest

from routilux_sim import explore
from routilux_sim.execution import Campaign
from routilux_sim.search import Search
from routilux_sim.strategy.mutation import MutationStrategy
from tests.strategy.small import Variable, guarded, in_threads, points, reorder


def searched(program, schedules, seed=0):
    strategy = MutationStrategy()
    campaign = Campaign(program)
    search = Search(campaign, strategy, seed, schedules, lambda: False, check=False)
    with campaign.running():
        return strategy, list(search.rows())


def test_only_what_showed_something_new_is_kept():
    """Of a program that has one class and no conflict, one schedule; of one with more, no more than there are."""
    strategy, _ = searched(points(2, 2), 300)
    assert len(strategy._corpus) == 1
    strategy, rows = searched(guarded(3), 300)
    assert 1 < len(strategy._corpus) <= len({row.footprint.kind for row in rows}) + len(strategy._pairs)


def test_a_plan_is_followed_as_far_as_it_goes():
    """What a kept schedule was made of makes it again, decision for decision."""
    strategy, _ = searched(reorder(4), 60)
    campaign = Campaign(reorder(4))
    checked = 0
    with campaign.running():
        for kept in strategy._corpus:
            strategy.begin(0)
            strategy._plan, strategy._rate, strategy._delays = dict(kept.deviations), 0.0, {}
            campaign.execute(strategy, 0)
            made = strategy._made[: len(kept.places)]
            assert tuple(place for place, _ in made) == kept.places
            assert {place: value for place, value in made if value} == kept.deviations
            checked += 1
    assert checked > 3


def test_the_plain_plan_is_the_plain_schedule():
    """No deviation: what fifo does."""
    strategy = MutationStrategy()
    campaign = Campaign(guarded(3))
    with campaign.running():
        strategy.begin(0)
        strategy._rate = 0.0
        assert all(value == 0 for value, *_ in campaign.execute(strategy, 0).outcome.tape)


def test_it_goes_on_where_the_program_goes_another_way():
    """Plans made for one number of threads and operations never fail in a program that has others each time."""
    runs = []

    def program():
        runs.append(1)
        shared = Variable("shared")

        def body():
            for _ in range(len(runs) * 7 % 5):
                shared.value = shared.value + 1

        in_threads(*[body] * (1 + len(runs) % 4))

    assert explore(program, strategy="mutation", schedules=300).verdict == "passed"


@pytest.mark.parametrize("seed", [0, 10_000, 20_000])
def test_it_finds_what_a_random_walk_does_not(seed):
    """One of ten threads between two writes, before any other one is through."""
    assert explore(reorder(10), strategy="random", schedules=1000, seed=seed).verdict == "passed"
    assert explore(reorder(10), strategy="mutation", schedules=2000, seed=seed).verdict == "failed"
