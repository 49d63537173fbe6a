"""Programs without races come to the same on real threads and simulated, in every order."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.generated.comparing import compare, on_threads
from tests.generated.operations import KINDS, LEAVES
from tests.generated.programs import make

PROGRAMS = 200
TOGETHER = 20
"""Programs in one test."""
REAL_SECONDS = 40.0
"""For all of them, on real threads."""


FIRST = range(0, PROGRAMS, TOGETHER)


def check(first, schedules):
    real = on_threads(first, TOGETHER)
    assert sum(outcome.seconds for outcome in real.values()) < REAL_SECONDS * TOGETHER / PROGRAMS
    for seed in range(first, first + TOGETHER):
        compare(make(seed), real[seed].value, schedules, seed)


@pytest.mark.real_time
@pytest.mark.parametrize("first", FIRST[::8])
def test_they_come_to_the_same(first):
    """Of some: the same value in over twenty schedules as on threads, in the virtual time that the sleeps take."""
    check(first, schedules=5)


@pytest.mark.long
@pytest.mark.real_time
@pytest.mark.parametrize("first", FIRST)
def test_they_come_to_the_same_in_many_more_schedules(first):
    """Of all of them: twenty-five of each strategy."""
    check(first, schedules=25)


def test_a_seed_makes_one_program():
    """The same one each time; and another seed makes another."""
    sources = [make(seed).source for seed in range(PROGRAMS)]
    assert [make(seed).source for seed in range(PROGRAMS)] == sources
    assert len(set(sources)) == PROGRAMS


def test_every_kind_of_operation_occurs():
    """None is left out, and most are also called from inside others."""
    counts = Counter(name for seed in range(PROGRAMS) for name in make(seed).kinds)
    assert counts.keys() == KINDS.keys() | LEAVES.keys()
    assert min(counts.values()) >= 4


def test_most_durations_are_exact():
    """The time that a program takes is hardly ever a matter of the order."""
    spans = [make(seed).span for seed in range(PROGRAMS)]
    assert sum(span.least == span.most for span in spans) > PROGRAMS / 2
