"""A few bugs of the library in `tests/quality`, which has the rest: each is found at once, and only where it is."""

from __future__ import annotations

import pytest

from routilux_sim import explore, replay
from tests.quality.patterns import PATTERNS

SOME = ["lost_update", "double_checked_locking", "shared_generator", "reorder_5", "if_instead_of_while", "polled_count"]


@pytest.mark.parametrize("name", SOME)
def test_a_known_bug_is_found_and_comes_back(name):
    """The portfolio finds it, as the kind of failure that it is, and its schedule replays."""
    pattern = PATTERNS[name]
    options = {"instrument": "auto", "max_steps": pattern.max_steps}
    report = explore(pattern.buggy, strategy="portfolio", schedules=pattern.schedules, **options)
    assert report.failure is not None, report
    assert report.failure.kind == pattern.kind
    again = replay(pattern.buggy, report.failure.schedule, instrument="auto")
    assert again.kind == pattern.kind


@pytest.mark.parametrize("name", [name for name in SOME if PATTERNS[name].kind != "livelock"])
def test_nothing_is_found_in_the_mended_twin(name):
    """Where the bug is not, nothing is found."""
    report = explore(PATTERNS[name].mended, strategy="portfolio", schedules=100, instrument="auto")
    assert report.verdict in {"passed", "exhausted"}, report
