"""The ``routilux`` command, and both commands as modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from routilux.cli import cli

ROOT = Path(__file__).parents[1]
FLOWS = """
from routilux import Flow, Routine

class Greeter(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.greet)

    def greet(self, name, times=1):
        if name == "nobody":
            raise LookupError("nobody is here")
        assert isinstance(times, int)

def make():
    flow = Flow("greetings")
    flow.add_routine(Greeter(), "greeter")
    return flow
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "greetings", raising=False)
    (tmp_path / "greetings.py").write_text(FLOWS)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["run", "greetings:make", *arguments])

    return invoke


def test_a_completed_job_exits_with_0(run):
    """The outcome is printed a routine a line."""
    result = run("--entry", "greeter", "--param", "name=Ada", "--param", "times=2")
    assert result.exit_code == 0, result.output
    assert "completed" in result.output
    assert "greeter" in result.output


def test_a_failed_job_exits_with_1_and_says_why(run):
    """The exception is in the outcome, also as JSON."""
    result = run("--entry", "greeter", "--param", "name=nobody", "--json")
    assert result.exit_code == 1
    outcome = json.loads(result.output)
    assert (outcome["status"], outcome["error"]) == ("failed", "LookupError: nobody is here")
    assert outcome["routines"] == {"greeter": "failed"}


def test_the_log_has_the_events_of_the_job(run, tmp_path):
    """``--log`` writes JSON lines with sorted keys."""
    assert run("--entry", "greeter", "--param", "name=Ada", "--log", "out.jsonl").exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["job.start", "activation.start", "activation.end", "job.end"]
    assert all(list(line) == sorted(line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--entry", "nobody"], "unknown routine 'nobody'"),
        (["--entry", "greeter", "--param", "name"], "'name' must be NAME=VALUE"),
        (["--entry", "greeter", "--timeout", "0"], "0"),
        (["--entry", "greeter", "--strategy", "parallel"], "'parallel' is not one of"),
        ([], "--entry"),
    ],
)
def test_bad_arguments_exit_with_2(run, arguments, message):
    """A usage error names what is wrong."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("path", ["greetings", "greetings:nothing", "absent:make", "greetings:FLOWS"])
def test_a_factory_that_is_not_there_exits_with_2(run, path):
    """A path that leads nowhere is a usage error."""
    assert CliRunner().invoke(cli, ["run", path, "--entry", "x"]).exit_code == 2


@pytest.mark.parametrize("module", ["routilux", "routilux_sim"])
def test_both_commands_tell_their_version_and_help(module):
    """``python -m`` works for both packages."""
    for option in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-m", module, option], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert module.replace("_", "-") in done.stdout
