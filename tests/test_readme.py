"""The README's tour runs as it stands."""

from __future__ import annotations

import re
import types
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.real_time
def test_every_python_block_of_the_tour_runs_in_order(capsys, monkeypatch):
    """A reader who pastes the blocks one after the other gets what the comments beside them say."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    tour = types.ModuleType("tour")
    monkeypatch.setitem(__import__("sys").modules, "tour", tour)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), tour.__dict__)
    tour.test_pages_are_stored()
    printed = capsys.readouterr().out
    assert "['/a', '/b', '/c']" in printed
    assert "['/a', '/b', '/c'] 0.2" in printed
    assert "passed: 1000 schedules" in printed
    assert "completed [{'count': 3}]" in printed
    assert "but only if worker-1 stalls for 0.2 s before set Event-1" in printed
    assert "failed deadlock" in printed
    assert "each waits for the next: 'there' -> 'back' -> 'there'" in printed


def test_every_target_that_the_readme_names_is_in_the_makefile():
    """``make …`` in the README names a target that exists."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", README))
    assert {"demo", "test", "help"} <= named <= targets
