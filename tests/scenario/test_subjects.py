"""Scenarios where a program is asked for: to replay, shrink, explain and draw what they left."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from routilux_sim.cli import cli
from tests.scenario.conftest import PIPELINE, run, write

BROKEN = (
    PIPELINE
    + """
[run]
entry = "source"
params = { items = 2 }
schedules = 50
[[faults.raise]]
routine = "worker"
probability = 0.1
[[faults.slow]]
routine = "sink"
probability = 0.5
by = 10
"""
)

SENTENCE = "FIFO everywhere, but only if worker.trigger raises RuntimeError at its "


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture
def failed() -> Path:
    """The simplest schedule of a scenario in the current directory that fails by a fault."""
    write(Path(), BROKEN, "broken.toml")
    assert run("broken.toml").exit_code == 1
    return Path(".routilux_sim/broken.shrunk.replay.json")


def test_both_schedules_are_kept(failed):
    """As it was found and the simplest one; they name the scenario, and the command that is printed runs the latter."""
    result = run("broken.toml")
    assert result.output.splitlines()[-1] == f"run it again: routilux-sim run broken.toml --replay {failed}"
    for file in (failed, Path(".routilux_sim/broken.replay.json")):
        document = json.loads(file.read_text())
        assert document["program"] == "broken.toml"
        assert document["digest"].startswith("sha256:")
        again = run("broken.toml", "--replay", str(file))
        assert again.exit_code == 1
        assert "status is failed (RuntimeError: an injected fault), must be completed" in again.output


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("replay", 1, "failed: broken.toml, "),
        ("explain", 0, SENTENCE),
        ("shrink", 0, SENTENCE),
        ("report", 0, "beside it the nearest schedule that passes"),
        ("trace", 0, "failed: BrokenExpectationError: status is failed"),
    ],
)
def test_a_replay_file_knows_its_scenario(failed, name, code, said):
    """Every command that takes the file finds it; so it does where it has been moved to, when it is told."""
    result = command(name, failed)
    assert (result.exit_code, said in result.output) == (code, True), result.output
    Path("broken.toml").rename("moved.toml")
    result = command(name, failed)
    assert result.exit_code == 2
    assert "'broken.toml', which is not there; add the path of its file" in " ".join(result.output.split())
    assert command(name, failed, "moved.toml").exit_code == code


def test_a_scenario_may_be_drawn_by_itself(failed):
    """The schedule that fails; or that of a seed, and nothing that the scenario says itself."""
    result = command("trace", "broken.toml")
    assert result.output.splitlines()[-1].startswith("failed: BrokenExpectationError: status is failed")
    result = command("report", "broken.toml", "--seed", "0", "-o", "report.html")
    assert result.exit_code == 0, result.output
    assert "steps are drawn in report.html" in result.output
    for option in (["--strategy", "fifo"], ["--instrument", "none"], ["json:dumps"]):
        result = command("trace", "broken.toml", *option)
        assert result.exit_code == 2
        assert "broken.toml says itself " in result.output


def test_two_schedules_of_a_scenario_are_compared(failed):
    """The one that was found beside the simplest one."""
    result = command("diff", ".routilux_sim/broken.replay.json", failed)
    assert result.exit_code == 1, result.output


@pytest.mark.parametrize("name", ["replay", "explain", "shrink", "report", "trace"])
def test_what_a_scenario_names_is_held_to_only_from(failed, name):
    """A replay file's scenario imports nothing from elsewhere either."""
    result = command(name, failed, "--only-from", "examples")
    assert result.exit_code == 2
    assert "'scenarios.flows:pipeline' is not allowed: only what is in 'examples'" in " ".join(result.output.split())


@pytest.mark.parametrize("inside", [False, True])
def test_the_exceptions_of_a_schedule_are_held_to_only_from(failed, inside, tmp_path, monkeypatch):
    """Those in a replay file's fault plan, given beside a scenario or named in it."""
    (tmp_path / "evil_errors.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    document = json.loads(failed.read_text())
    document["faults"]["plan"]["raise"][0]["error"] = "evil_errors:Error"
    Path("evil.replay.json").write_text(json.dumps(document))
    if inside:
        text = BROKEN.replace("schedules = 50", "replay = 'evil.replay.json'")
        result = run(write(Path(), text, "inside.toml"), "--only-from", "scenarios")
    else:
        result = run("broken.toml", "--replay", "evil.replay.json", "--only-from", "scenarios")
    assert result.exit_code == 2
    assert "'evil_errors:Error' is not allowed" in " ".join(result.output.split())
    assert "evil_errors" not in sys.modules


def test_invariants_are_asked_in_a_replay(tmp_path):
    """The file does not keep them; the scenario does."""
    text = "[program]\ncallable = 'tests.scenario.test_subjects:counts'\n[run]\nschedules = 20\n[expect]\n"
    write(Path(), text + "invariants = ['tests.scenario.test_subjects:is_even']", "odd.toml")
    result = run("odd.toml")
    assert "InvariantError" in result.output
    result = command("replay", ".routilux_sim/odd.replay.json")
    assert (result.exit_code, "is_even" in result.output) == (1, True)


class Shared:
    number = 0


def counts():
    Shared.number = 0
    for _ in range(4):
        Shared.number += 1
        threading.Event().wait(0.1)


def is_even() -> bool:
    return Shared.number < 3


def test_a_scenario_on_real_threads_is_not_replayed(failed):
    """There is no schedule that it could be run under."""
    write(Path(), BROKEN.replace("schedules = 50", "clock = 'real'").partition("[[faults")[0], "real.toml")
    result = command("replay", failed, "real.toml")
    assert result.exit_code == 2
    assert "real.toml: run.clock is 'real', and this is of simulations" in result.output


def test_locks_made_at_import_are_simulated(tmp_path, monkeypatch):
    """A module that a scenario names makes its locks when it is imported: before anything is simulated."""
    (tmp_path / "locks_at_import.py").write_text(
        "import threading\n\nFIRST, SECOND = threading.Lock(), threading.Lock()\n\n\n"
        "def take(outer, inner):\n    with outer, inner:\n        pass\n\n\n"
        "def program():\n"
        "    threads = [threading.Thread(target=take, args=each) for each in ((FIRST, SECOND), (SECOND, FIRST))]\n"
        "    for thread in threads:\n        thread.start()\n"
        "    for thread in threads:\n        thread.join()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = "[program]\ncallable = 'locks_at_import:program'\n[run]\nschedules = 100\n[expect]\nfails = 'deadlock'"
    result = run(write(tmp_path, text))
    assert result.exit_code == 0, result.output
