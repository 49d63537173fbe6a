"""``--only-from``: what a scenario or a replay file may have imported and called."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from routilux.loading import LoadError, load_callable
from routilux_sim import explore, save_schedule
from routilux_sim.cli import cli
from routilux_sim.scenario import ScenarioError, load_scenario
from tests.scenario.conftest import GOOD, write


def fails() -> None:
    raise LookupError("always")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("os:system", "only what is in 'examples' may be imported"),
        ("examplesx:system", "only what is in 'examples' may be imported"),
        ("examples.concurrent_flow_demo:sys.exit", "it is from 'sys', and only what is defined in 'examples' may be"),
        ("examples.concurrent_flow_demo:simulate", "it is from 'routilux_sim.simulation', and only what is defined"),
        ("examples.concurrent_flow_demo:run_parts.__globals__", "'__globals__' is nothing that a package offers"),
        ("examples.concurrent_flow_demo:DataFetcher.__subclasses__", "'__subclasses__' is nothing that a package"),
    ],
)
def test_what_is_elsewhere_is_refused(path, message):
    """Neither imported, nor reached through what an allowed module has imported."""
    with pytest.raises(LoadError) as caught:
        load_callable(path, only_from=["examples"])
    assert message in str(caught.value)


@pytest.mark.parametrize("packages", [["examples"], ["os", "examples.concurrent_flow_demo"], []])
def test_what_is_allowed_is_loaded(packages):
    """A package, a module in it, one of several; with none named, anything."""
    assert callable(load_callable("examples.concurrent_flow_demo:create_concurrent_flow", only_from=packages))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("examples.concurrent_flow_demo:create_concurrent_flow", "evil_module:run"),
        ("duration = 0.25", "invariants = ['evil_module:run']"),
        ("[run]", "[[faults.raise]]\nerror = 'evil_module:run'\n[run]"),
    ],
)
def test_nothing_else_is_imported(tmp_path, monkeypatch, old, new):
    """Factory, invariant, exception of a fault: each is looked at before anything of it runs."""
    (tmp_path / "evil_module.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScenarioError, match="is not allowed: only what is in 'examples'"):
        load_scenario(write(tmp_path, GOOD.replace(old, new)), ["examples"])
    assert "evil_module" not in sys.modules


PROGRAM = "tests.scenario.test_only_from:fails"


@pytest.fixture
def replay_file(tmp_path):
    """A replay file that names the program above."""
    report = explore(fails, schedules=1, shrink=False)
    save_schedule(report.failure.schedule, tmp_path / "a.replay.json", program=PROGRAM)
    return str(tmp_path / "a.replay.json")


@pytest.mark.parametrize("command", ["replay", "shrink", "explain", "report", "trace"])
@pytest.mark.parametrize(("package", "allowed"), [("examples", False), ("tests.scenario", True)])
def test_replay_files_are_held_to_it(replay_file, command, package, allowed):
    """Every command that takes one refuses the program that the file names, with exit code 2."""
    result = CliRunner().invoke(cli, [command, replay_file, "--only-from", package])
    assert (result.exit_code == 2) != allowed, result.output
    assert ("is not allowed" in result.output) != allowed


def test_the_exceptions_of_a_replay_file_are_held_to_it(tmp_path):
    """A replay file that keeps a fault plan names exceptions, too."""
    plan = {"raise": [{"routine": "nothing", "error": "tests.scenario.test_only_from:CustomError"}]}
    report = explore(fails, schedules=1, shrink=False, faults=plan)
    path = tmp_path / "a.replay.json"
    save_schedule(report.failure.schedule, path, program="examples.hidden_race:racy")
    result = CliRunner().invoke(cli, ["replay", str(path), "--only-from", "examples"])
    assert result.exit_code == 2
    assert "'tests.scenario.test_only_from:CustomError' is not allowed" in " ".join(result.output.split())


class CustomError(Exception):
    """An exception of a project's own."""


@pytest.mark.parametrize(("package", "code"), [("examples", 2), ("tests", 0)])
def test_diff_is_held_to_it(replay_file, package, code):
    """For both of its runs, files or seeds."""
    for runs in ([replay_file, replay_file], ["1", "2", PROGRAM]):
        result = CliRunner().invoke(cli, ["diff", *runs, "--only-from", package])
        assert result.exit_code == code, result.output


@pytest.mark.parametrize(("package", "code"), [("examples", 2), ("tests", 1)])
def test_explore_is_held_to_it(package, code):
    """So is ``explore``; what is allowed fails as it does."""
    result = CliRunner().invoke(cli, ["explore", PROGRAM, "--schedules", "1", "--only-from", package])
    assert result.exit_code == code


@pytest.mark.parametrize(("package", "code"), [("scenarios", 2), ("examples", 0)])
def test_run_is_held_to_it(tmp_path, package, code):
    """And ``run``."""
    result = CliRunner().invoke(cli, ["run", write(tmp_path, GOOD), "--only-from", package])
    assert result.exit_code == code, result.output
