"""SURW is uniform over the interleavings of the operations that it has chosen."""

import functools
from collections import Counter
from math import factorial, prod

import pytest

from routilux_sim import explore as explore_memory
from routilux_sim.strategy.surw import SurwStrategy
from tests.strategy.small import Variable, in_threads, reads

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


def chi_square(seen: list[str], kinds: int) -> float:
    expected = len(seen) / kinds
    counts = Counter(seen)
    return sum((count - expected) ** 2 / expected for count in counts.values()) + (kinds - len(counts)) * expected


@pytest.mark.parametrize("counts", [(3, 2), (5, 1), (2, 1, 1)])
def test_each_interleaving_is_about_as_likely(counts):
    """Once the numbers are known; where a random walk has some ten times as often as others."""
    kinds = factorial(sum(counts)) // prod(map(factorial, counts))
    statistic = {}
    for strategy in ("surw", "random"):
        seen = []
        explore(reads(*counts)(seen), strategy=strategy, schedules=1300)
        statistic[strategy] = chi_square(seen[300:], kinds) / (kinds - 1)
    # The expectation is 1 for the uniform distribution; what is left is due to the one in eight over all operations.
    assert statistic["surw"] < 5 < 20 < statistic["random"]


def test_what_else_tasks_do_does_not_matter():
    """Two writes come in either order alike, though one has thirty other operations before it."""
    first = []

    def program():
        race, own, seen = Variable("race"), Variable("own"), []

        def late():
            for _ in range(30):
                own.value = 1
            race.value = 1
            seen.append("late")

        def early():
            race.value = 2
            seen.append("early")

        in_threads(late, early)
        first.append(seen[0])

    strategy = SurwStrategy()
    explore(program, strategy=strategy, schedules=600)
    share = first[100:].count("late") / 500
    assert 0.3 < share < 0.6


def test_a_child_counts_as_its_parents_until_it_is_there():
    """A task's weight moves from the one that makes it, and none gets lost."""
    strategy = SurwStrategy()
    strategy.learn([({"x": {1: 1, 2: 3, 3: 4, 4: 2}}, {2: 1, 3: 1, 4: 3})])
    strategy.begin(1)
    assert strategy._weights == {1: 10.0}
    for number, left in ((2, {1: 7.0, 2: 3.0}), (3, {1: 1.0, 2: 3.0, 3: 6.0}), (4, {1: 1.0, 2: 3.0, 3: 4.0, 4: 2.0})):
        strategy._appear(number)
        assert strategy._weights == left
