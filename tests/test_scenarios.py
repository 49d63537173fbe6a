"""Scenario files and the command that runs them."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from routilux_sim.cli import cli
from routilux_sim.scenario import Range, ScenarioError, load_scenario

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
SCHEMA = Path(__file__).parents[1] / "routilux_sim" / "schema" / "scenario.schema.json"
DEMO = "examples.concurrent_flow_demo:create_concurrent_flow"

GOOD = f"""
[flow]
factory = "{DEMO}"
[run]
entry = "trigger"
[expect]
duration = 0.25
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run", *arguments])


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_that_ships_holds(path):
    """Each scenario in ``scenarios/`` passes."""
    result = run(str(path))
    assert result.exit_code == 0, result.output


def test_the_demo_scenario_prints_its_figures():
    """The verdict comes with status, virtual duration, speed-up and deliveries."""
    result = run(str(SCENARIOS[0]))
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


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        ("duration = 0.3", "duration is 0.25 virtual seconds, must be 0.3"),
        ("duration = { min = 0.3, max = 0.4 }", "duration is 0.25 virtual seconds, must be 0.3 to 0.4"),
        ("status = 'failed'", "status is completed, must be failed"),
        ("speedup = { min = 3, max = 4 }", "speed-up over sequential is 2.6 times, must be 3 to 4"),
        (
            "[[expect.delivered]]\nroutine = 'formatter'\nslot = 'aggregated_input'\ncount = 2",
            "formatter.aggregated_input got 1 deliveries, must get 2",
        ),
        (
            "[[expect.delivered]]\nroutine = 'formatter'\nslot = 'aggregated_input'\ndata = { total_count = 4 }",
            "formatter.aggregated_input['total_count'] is 3, must be 4",
        ),
        ("duration = { min = 0.3 }", "duration is 0.25 virtual seconds, must be at least 0.3"),
        ("duration = { max = 0.2 }", "duration is 0.25 virtual seconds, must be at most 0.2"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path, expectation, problem):
    """A broken expectation prints what was found and what must be, and exits with 1."""
    result = run(write(tmp_path, GOOD.replace("duration = 0.25", expectation)))
    assert result.exit_code == 1, result.output
    assert problem in result.output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("duration", "durations", "unknown key 'expect.durations'; did you mean 'duration'?"),
        ("entry", "entri", "run.entry is missing; found 'entri' instead"),
        ('entry = "trigger"', "entry = 5", "run.entry must be a string, not 5"),
        ("duration = 0.25", "duration = 'long'", "expect.duration must be a number, or a table with min and max"),
        ("duration = 0.25", "duration = { min = 2, max = 1 }", "expect.duration: min 2 is above max 1"),
        ("duration = 0.25", "status = 'done'", "expect.status must be one of 'cancelled', 'completed'"),
        (DEMO, "examples.nothing:here", "flow.factory: 'examples.nothing:here': cannot import"),
        (DEMO, "examples.concurrent_flow_demo:nothing", "there is no 'nothing'"),
        (DEMO, "examples.concurrent_flow_demo", "is not an import path; write 'package.module:name'"),
        (DEMO, "json:dumps", "flow.factory: TypeError"),
        ("[run]", "[run]\ntimeout = inf", "run.timeout must be a finite number above 0, not inf"),
        ("duration = 0.25", "duration = nan", "expect.duration must be a number, not nan"),
        ("duration = 0.25", "duration = {}", "expect.duration must have min, max or both"),
        ('"trigger"', '"triger"', "run.entry: unknown routine 'triger'"),
        ('"trigger"', '"formatter"', "run.entry: unknown slot 'trigger' in routine 'formatter'"),
        ("[run]", "arguments = { workers = 5 }\n[run]", "flow.factory: TypeError"),
        (
            "duration = 0.25",
            "[[expect.delivered]]\nroutine = 'nobody'\nslot = 'here'\ncount = 0",
            "expect.delivered[0]: unknown routine 'nobody'",
        ),
        (
            "duration = 0.25",
            "[[expect.delivered]]\nroutine = 'formatter'\nslot = 'aggregated_input'\ncount = 0\ndata = { a = 1 }",
            "expect.delivered[0].data: nothing is delivered with count = 0",
        ),
        ("[run]", "[run]\nschedules = 0", "run.schedules must be a whole number from 1 up, not 0"),
        ("[run]", "[run]\nseed = true", "run.seed must be a whole number from 0 up, not True"),
        ("[run]", "[run]\nstrategy = 'lucky'", "run.strategy: unknown strategy 'lucky'; there are: 'dfs', 'dpor'"),
        ("[expect]", "expect", "not a TOML document"),
        ("[flow]", "[flows]", "flow is missing; found 'flows' instead"),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused(tmp_path, old, new, message):
    """What is misspelt, missing, out of range or of the wrong type is named, with what is allowed."""
    result = run(write(tmp_path, GOOD.replace(old, new)))
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())


def test_a_log_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    """``--log`` into a directory that is not there is a usage error."""
    result = run(write(tmp_path, GOOD), "--log", str(tmp_path / "absent" / "log"))
    assert result.exit_code == 2
    assert "passed" not in result.output


@pytest.mark.parametrize("arguments", [["missing.toml"], [], ["--seed", "x", "missing.toml"]])
def test_bad_arguments_exit_with_2(arguments):
    """A missing file or argument is a usage error."""
    assert run(*arguments).exit_code == 2


def refusal(path: str) -> str:
    try:
        load_scenario(path)
    except ScenarioError as error:
        return str(error)
    return ""


def test_the_schema_knows_the_same_keys(tmp_path):
    """Each key that the JSON Schema lists is one that the reader takes, and the other way round."""
    schema = json.loads(SCHEMA.read_text())
    for section in ("flow", "run", "expect"):
        for key in schema["properties"][section]["properties"]:
            text = GOOD.replace(f"[{section}]", f"[{section}]\n{key} = []") if f"\n{key} =" not in GOOD else GOOD
            assert "unknown key" not in refusal(write(tmp_path, text)), key
    with pytest.raises(ScenarioError, match=r"unknown key 'run.nonsense'; there are: ") as caught:
        load_scenario(write(tmp_path, GOOD.replace("[run]", "[run]\nnonsense = 1")))
    listed = str(caught.value).rpartition("there are: ")[2].split(", ")
    assert set(listed) == set(schema["properties"]["run"]["properties"])


def test_ranges_include_their_bounds():
    """Both bounds belong to a range; NaN does not."""
    assert 2.0 in Range(2, 3)
    assert 3.0 in Range(2, 3)
    assert 3.1 not in Range(2, 3)
    assert math.nan not in Range(2, 3)  # noqa: PLW0177 - containment is what is tested


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
