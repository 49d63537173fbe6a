"""Coverage counts what differs, and nothing else."""

import functools
from collections import Counter
from math import comb, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as generators

from routilux_sim import explore as explore_memory
from routilux_sim.coverage import Coverage
from routilux_sim.footprint import Footprint
from tests.strategy.small import Variable, guarded, in_threads, points

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


def writes(*counts):
    """Threads with so many writes each."""

    def program():
        shared = Variable("shared")

        def body(count):
            for _ in range(count):
                shared.value = count

        in_threads(*[lambda count=count: body(count) for count in counts])

    return program


@pytest.mark.parametrize(
    ("program", "classes"),
    [
        (points(2, 2), 1),
        (points(1, 1, 1), 1),
        (guarded(2), 2),
        (writes(1, 1), 2),
        (writes(2, 1), comb(3, 1)),
        (writes(2, 2), comb(4, 2)),
        (writes(1, 1, 1), factorial(3)),
    ],
)
def test_a_program_has_as_many_classes_as_orders_that_matter(program, classes):
    """Of all its schedules: reads in one, writes and locked sections in as many as they have orders."""
    report = explore(program, strategy="dfs", schedules=100_000)
    assert report.verdict == "exhausted"
    assert report.coverage.classes == classes


def test_a_lock_has_as_many_classes_as_its_users_have_orders():
    """Three users, six; random schedules come to no more, and to all of them."""
    assert explore(guarded(3), schedules=250).coverage.classes == 6


def test_conflicting_pairs_are_ordered():
    """A write and a read of two tasks make two pairs, one for each order; reads make none."""

    def program():
        shared = Variable("shared")

        def write():
            shared.value = 1

        in_threads(write, lambda: shared.value)

    alone = explore(points(1, 1), strategy="dfs", schedules=10_000).coverage.pairs
    assert explore(program, strategy="dfs", schedules=10_000).coverage.pairs == alone + 2


@given(generators.lists(generators.integers(0, 12), max_size=80))
def test_counting(kinds):
    """Classes, the share of those seen once, the curve: as counted otherwise."""
    coverage = Coverage()
    new = [coverage.add(Footprint(kind, (kind % 3,))) for kind in kinds]
    counts = Counter(kinds)
    assert (coverage.schedules, coverage.classes) == (len(kinds), len(counts))
    assert coverage.pairs == len({kind % 3 for kind in kinds})
    assert new == [kind not in kinds[:place] for place, kind in enumerate(kinds)]
    once = sum(1 for count in counts.values() if count == 1)
    assert coverage.unseen == (once / len(kinds) if kinds else 1.0)
    for schedules, classes in coverage.curve:
        assert classes == len(set(kinds[:schedules]))
    if kinds:
        assert coverage.curve[-1] == (len(kinds), len(counts))


def test_the_estimate_of_what_is_unseen_holds():
    """About as many of the next schedules are of a new class as it says."""
    program = writes(4, 4)
    coverage = explore(program, strategy="mutation", schedules=250).coverage
    more = explore(program, strategy="mutation", schedules=500).coverage
    new = (more.classes - coverage.classes) / 250
    assert abs(new - coverage.unseen) < 0.15


def test_the_report_says_what_was_seen():
    """In its text; and when only some schedules were looked at, that too."""
    text = str(explore(guarded(2), schedules=50, strategy="random"))
    assert "2 happens-before classes and" in text
    assert "about 0.0% of further schedules like these would show a new class" in text
    assert "that were looked at" not in text
    assert "in the 274 schedules that were looked at" in str(explore(guarded(2), schedules=400, strategy="random"))


@pytest.mark.parametrize(("explore", "verdict"), [(explore_memory, "exhausted"), (explore, "passed")])
def test_a_search_at_its_end_does_not_speak_of_further_schedules(explore, verdict):
    """Where every order has run, there is nothing more to see, whether or not that is a proof."""
    report = explore(guarded(2), strategy="dpor")
    assert report.verdict == verdict
    assert "happens-before classes and" in str(report)
    assert "further schedules" not in str(report)
