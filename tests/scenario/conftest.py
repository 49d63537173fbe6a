"""What tests of scenarios have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from routilux_sim.cli import cli

DEMO = "examples.concurrent_flow_demo:create_concurrent_flow"

GOOD = f"""
[flow]
factory = "{DEMO}"
[run]
entry = "trigger"
[expect]
duration = 0.25
"""

PIPELINE = """
[flow]
factory = "scenarios.flows:pipeline"
arguments = { max_workers = 2 }
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory, monkeypatch):
    """Failures are kept in a directory of the test's own."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


def run(*arguments: str) -> Result:
    """Run ``routilux-sim run``."""
    return CliRunner().invoke(cli, ["run", *arguments])


def write(tmp_path: Path, text: str, name: str = "scenario.toml") -> str:
    """Write a scenario, and return its path."""
    path = tmp_path / name
    path.write_text(text)
    return str(path)
