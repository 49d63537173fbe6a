"""The scenarios that ship, and the command that runs one."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from routilux_sim.scenario import load_scenario, run_scenario
from tests.scenario.conftest import GOOD, run, write

FOLDER = Path(__file__).parents[2] / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_that_ships_holds(path):
    """Each scenario in ``scenarios/`` holds, under some of its schedules; in the long run under all of them."""
    scenario = load_scenario(path)
    outcome = run_scenario(scenario, schedules=min(scenario.run.schedules, 60))
    assert outcome.problem is None


@pytest.mark.long
def test_the_folder_holds_in_full():
    """``routilux-sim run scenarios``: every scenario, under every schedule that it asks for."""
    result = run(str(FOLDER))
    assert result.exit_code == 0, result.output
    assert f"{len(SCENARIOS)} of {len(SCENARIOS)} scenarios hold" in result.output


def test_enough_scenarios_ship():
    """Twelve at least, each with a name of its own and a description."""
    documents = [tomllib.loads(path.read_text()) for path in SCENARIOS]
    assert len(documents) >= 12
    assert len({document["name"] for document in documents}) == len(documents)
    assert all(document["description"].endswith(".") for document in documents)


def test_the_demo_scenario_prints_its_figures():
    """The verdict comes with status, virtual duration, speed-up and deliveries."""
    result = run(str(FOLDER / "concurrent_flow_demo.toml"), "--schedules", "5")
    for line in ("passed", "status     completed", "duration   0.25 virtual seconds", "speed-up   2.60 times"):
        assert line in result.output


def test_a_seed_makes_the_log(tmp_path):
    """``--seed`` and ``--log``: the same seed writes the same JSON lines, another seed others."""
    scenario = write(tmp_path, GOOD)
    logs = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        path = tmp_path / name
        assert run(scenario, "--seed", seed, "--log", str(path)).exit_code == 0
        logs.append(path.read_bytes())
    assert logs[0] == logs[1] != logs[2]
    assert json.loads(logs[0].splitlines()[-1])["event"] == "execution.end"


def test_a_log_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    """``--log`` into a directory that is not there is a usage error."""
    result = run(write(tmp_path, GOOD), "--log", str(tmp_path / "absent" / "log"))
    assert result.exit_code == 2
    assert "passed" not in result.output


@pytest.mark.parametrize("arguments", [["missing.toml"], [], ["--seed", "x", "missing.toml"]])
def test_bad_arguments_exit_with_2(arguments):
    """A missing file or argument is a usage error."""
    assert run(*arguments).exit_code == 2


HASHING = """
import time
from routilux import Flow, Routine

KEPT = []

class Say(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.say)

    def say(self, **kwargs):
        {body}

def make():
    flow = Flow()
    flow.add_routine(Say(), "say")
    return flow
"""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("time.sleep(1)", None),
        ("time.sleep(ord(next(iter({'a', 'b', 'c', 'd', 'e', 'f'}))))", "with another PYTHONHASHSEED"),
        ("KEPT.append(1); time.sleep(len(KEPT))", "did not do the same twice"),
    ],
)
def test_determinism_is_checked_on_demand(tmp_path, monkeypatch, body, problem):
    """``--check-determinism`` finds what a run leaves behind, and what the order of strings decides."""
    (tmp_path / "hashing_flow.py").write_text(HASHING.format(body=body))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hashing_flow", raising=False)
    scenario = write(tmp_path, "[flow]\nfactory = 'hashing_flow:make'\n[run]\nentry = 'say'\n[expect]\n")
    plain, checked = run(scenario), run(scenario, "--check-determinism")
    assert plain.exit_code == 0, plain.output
    assert checked.exit_code == (0 if problem is None else 1), checked.output
    assert (problem or "passed") in checked.output
    assert ("inconclusive" in checked.output) == (problem is not None)
