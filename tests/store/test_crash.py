"""``kill -9`` at random moments of a running job: nothing is missing after recovery, no recorded end comes twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.real_time
@pytest.mark.long
def test_a_job_survives_two_hundred_kills():
    """Children that run a job, or recover it, are killed at 200 moments spread over the run; `crashing` checks each."""
    command = [sys.executable, "-m", "tests.store.crashing", "200", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] >= 200
    # The kills did strike in the middle, at many places, and what was not on record did run again.
    assert seen["kills_with_a_part_on_record"] >= 40
    assert seen["different_records"] >= 15
    assert seen["run_again"] > 0
