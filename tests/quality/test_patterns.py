"""The library of concurrency bugs: each is found by the default search, and not seen in its mended twin."""

from __future__ import annotations

import inspect

import pytest

from routilux_sim import explore, replay
from tests.quality.patterns import PATTERNS

SCHEDULES_OF_TWINS = 500
SCHEDULES_OF_SPINNING_TWINS = 60
"""An execution in which a strategy keeps a task spinning is a long one, until it is scheduled fairly."""
FOUND = [name for name, pattern in PATTERNS.items() if not pattern.challenge]
SMALL = [name for name, pattern in PATTERNS.items() if pattern.small]


def search(pattern, program, **options):
    """Explore a pattern's program with memory accesses as scheduling points."""
    options = {"strategy": "portfolio", "instrument": "auto", "shrink": False, **options}
    if program == pattern.buggy:
        options["max_steps"] = pattern.max_steps
    return explore(program, **options)


@pytest.mark.parametrize("name", FOUND)
def test_the_bug_is_found_and_comes_back(name):
    """The default portfolio finds it within its number of schedules, as what it is, and its schedule replays."""
    pattern = PATTERNS[name]
    report = search(pattern, pattern.buggy, schedules=pattern.schedules)
    assert report.verdict == "failed", report
    assert report.failure.kind == pattern.kind, report
    again = replay(pattern.buggy, report.failure.schedule, instrument="auto")
    assert again.kind == pattern.kind
    assert type(again.error) is type(report.failure.exception)


@pytest.mark.parametrize("name", [name for name in FOUND if PATTERNS[name].kind != "livelock"])
def test_its_shrunk_schedule_preempts_no_more_than_it_must(name):
    """What is shown has at most as many preemptions as the bug is known to need."""
    pattern = PATTERNS[name]
    report = search(pattern, pattern.buggy, schedules=pattern.schedules, shrink=True)
    shrunk = report.failure.shrunk
    assert shrunk.preemptions <= pattern.depth, report


@pytest.mark.parametrize("name", [name for name, pattern in PATTERNS.items() if not pattern.memory])
def test_a_bug_of_synchronization_needs_no_memory_points(name):
    """It is found with scheduling points before synchronization operations only."""
    pattern = PATTERNS[name]
    report = search(pattern, pattern.buggy, schedules=pattern.schedules, instrument=None)
    assert report.failure is not None, report
    assert report.failure.kind == pattern.kind, report


@pytest.mark.parametrize("name", [name for name, pattern in PATTERNS.items() if pattern.memory])
def test_a_bug_of_memory_needs_them(name):
    """Without memory points there is no schedule that shows it: the library says rightly which ones need them."""
    pattern = PATTERNS[name]
    assert search(pattern, pattern.buggy, schedules=300, instrument=None).failure is None


@pytest.mark.parametrize("name", PATTERNS)
def test_nothing_is_found_in_the_mended_twin(name):
    """Whatever the schedule, the twin does what is right."""
    pattern = PATTERNS[name]
    spins = pattern.kind == "livelock"
    report = search(pattern, pattern.mended, schedules=SCHEDULES_OF_SPINNING_TWINS if spins else SCHEDULES_OF_TWINS)
    assert report.verdict in {"passed", "exhausted"}, report


@pytest.mark.parametrize("strategy", ["dpor", "dfs"])
@pytest.mark.parametrize("name", FOUND)
def test_a_program_with_a_bug_is_never_proved_right(name, strategy):
    """No enumeration comes to its end without having met the bug."""
    pattern = PATTERNS[name]
    assert search(pattern, pattern.buggy, schedules=1_000, strategy=strategy).verdict != "exhausted"


@pytest.mark.parametrize("name", SMALL)
def test_all_interleavings_of_a_small_twin_are_right(name):
    """A mended twin that is small enough is proved to be right."""
    pattern = PATTERNS[name]
    report = search(pattern, pattern.mended, schedules=100_000, strategy="dpor")
    assert report.verdict == "exhausted", report


@pytest.mark.parametrize(
    "name",
    [
        # Each schedule of a challenge takes a tenth of a second.
        pytest.param(name, marks=pytest.mark.thorough) if pattern.challenge else name
        for name, pattern in PATTERNS.items()
        if pattern.depth
    ],
)
def test_no_bug_is_found_with_fewer_preemptions_than_it_needs(name):
    """Fewer than the pattern's depth do not show it: the library says rightly how deep the bug is."""
    pattern = PATTERNS[name]
    strategy = f"dfs:{pattern.depth - 1}"
    assert search(pattern, pattern.buggy, schedules=3_000, strategy=strategy).failure is None


def test_the_library_is_a_library():
    """Every pattern says in a sentence what is wrong, where it comes from, and how to mend it."""
    assert len(PATTERNS) >= 45
    for name, pattern in PATTERNS.items():
        text = inspect.getdoc(pattern)
        assert text, name
        assert text.endswith("."), name
        assert pattern.source, name
        assert issubclass(pattern.twin, pattern), name
