"""The page's demo: its five parts, simulated over many schedules, and the program itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import concurrent_flow_demo as demo
from routilux_sim import simulate
from tests.exploring import explore

ROOT = Path(demo.__file__).parents[1]


@pytest.mark.parametrize("part", [name for name in vars(demo) if name.startswith("part_")])
def test_each_part_keeps_its_promises_under_many_schedules(part):
    """Every part of the demo holds under 100 interleavings."""
    report = explore(getattr(demo, part), schedules=100)
    report.raise_if_failed()
    assert report.verdict == "passed"


def test_the_speed_up_of_the_page_is_exact_in_virtual_time():
    """0.65 s one after the other, 0.25 s at a time: 2.6 times as fast, whatever the schedule."""

    def program():
        assert demo.part_2_sequential_against_concurrent() == (0.65, 0.25)

    explore(program, schedules=100).raise_if_failed()


def test_the_final_output_is_there_and_right():
    """The formatter ends up with the three sources, once each."""
    output = simulate(demo.part_1_concurrent_execution, seed=7).result()
    assert output["summary"]["total_results"] == 3
    assert len(output["data"]["results"]) == 3


def test_the_simulated_demo_costs_next_to_no_real_time():
    """2.3 virtual seconds of demo take less than a tenth of that."""
    _, virtual_seconds, seconds = demo.in_the_simulator()
    assert virtual_seconds == pytest.approx(2.3)
    assert seconds < virtual_seconds / 10


def test_the_program_runs_and_prints_both_columns():
    """``python examples/concurrent_flow_demo.py`` exits with 0 and prints the table."""
    done = subprocess.run(
        [sys.executable, "examples/concurrent_flow_demo.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0.65 s (virtual)" in done.stdout
    assert "2.6x" in done.stdout
    assert "Every promise of the page held." in done.stdout


def test_a_broken_promise_exits_non_zero():
    """A demo whose aggregator loses a result says which promise is broken, and exits with 1."""
    code = "from examples import concurrent_flow_demo as demo; demo.DataAggregator.EXPECTED = 4; demo.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "broken promise: there is no final output" in done.stderr
