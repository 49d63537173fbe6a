"""The examples run as a reader would run them, and say what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "last_line"),
    [
        ("approval.py", "completed: shipped [{'item': 'a printing press', 'amount': 4200}]"),
        ("durable_jobs.py", "completed, 12 pages on record"),
    ],
)
def test_an_example_ends_as_it_promises(name, last_line):
    """Each example checks itself; its last line is the outcome."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, check=False, timeout=60, cwd=EXAMPLES.parent
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(last_line)
