"""Races on plain memory are found, and what is found is replayed."""

import functools

import pytest

from routilux_sim import explore as explore_memory
from routilux_sim import replay
from tests.points.racy import RACES

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


@pytest.mark.parametrize("program", RACES, ids=lambda program: program.__name__)
def test_a_race_on_memory_is_found(program):
    """Under random schedules, within a few hundred, and its replay fails in the same way."""
    report = explore(program, schedules=500, instrument="auto")
    assert report.verdict == "failed"
    again = replay(program, report.failure.schedule)
    assert type(again.error) is type(report.failure.exception)


@pytest.mark.parametrize("program", RACES, ids=lambda program: program.__name__)
def test_without_memory_points_it_is_not(program):
    """No synchronization operation lies inside the window: switching there only finds nothing."""
    assert explore(program, schedules=200).verdict in {"passed", "exhausted"}
