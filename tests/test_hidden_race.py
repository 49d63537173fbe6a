"""The race in the demo's aggregator, and its mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import hidden_race
from routilux_sim import explore, replay

KEPT = Path(__file__).parents[1] / "scenarios" / "regressions" / "aggregated_twice.replay.json"


def test_the_kept_schedule_shows_it_again():
    """One preemption: between the append of one call and its test, the two others append. Not with the mend.

    A change of the engine's own steps makes the file diverge; then keep a new one:
    ``routilux-sim explore examples.hidden_race:racy --artifacts scenarios/regressions``.
    """
    execution = replay(hidden_race.racy, KEPT)
    assert (execution.verdict, str(execution.error)) == ("failed", "'aggregated' was emitted 2 times")
    assert execution.schedule.preemptions == 1


@pytest.mark.parametrize("seed", [0, 1000])
def test_the_explorer_finds_it(seed):
    """Within some dozens of schedules; the list that two calls share is named."""
    report = explore(hidden_race.racy, seed=seed, schedules=1000, instrument="auto", strategy="portfolio")
    assert report.verdict == "failed"
    assert "'aggregated' was emitted" in str(report.failure.exception)
    assert "DataAggregator._collected_results" in report.failure.sentence


def test_with_the_mend_it_is_gone():
    """``max_concurrency=1``: no schedule breaks it."""
    assert explore(hidden_race.mended, schedules=100, instrument="auto", strategy="portfolio").verdict == "passed"
