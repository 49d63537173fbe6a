"""``routilux-sim run``: each option, exit code and message."""

from __future__ import annotations

import json

import pytest

from tests.scenario.conftest import GOOD, PIPELINE, run, write

BROKEN = "[program]\ncallable = 'json:dumps'\narguments = { obj = 1 }\n[expect]\nreturns = '2'\n"
UNUSABLE = GOOD.replace("entry", "entri")


@pytest.fixture
def folder(tmp_path):
    """A directory with three scenarios, one of them below it."""
    (tmp_path / "below").mkdir()
    write(tmp_path, GOOD, "good.toml")
    write(
        tmp_path / "below", PIPELINE + "[run]\nentry = 'source'\nparams = { items = 1 }\nschedules = 3\n", "fine.toml"
    )
    return tmp_path


def test_a_directory_is_run_with_all_below(folder):
    """A line for each, and how many hold; exit code 0."""
    result = run(str(folder))
    assert result.exit_code == 0, result.output
    head, *rows, last = result.output.splitlines()
    assert head.split() == ["scenario", "holds", "verdict", "schedules", "duration", "speed-up", "real", "time"]
    assert [row.split()[:4] for row in rows] == [["fine", "yes", "passed", "3"], ["good", "yes", "passed", "1"]]
    assert last == "2 of 2 scenarios hold"


def test_what_does_not_hold_is_listed(folder):
    """Exit code 1; the others are run all the same."""
    broken = write(folder, BROKEN, "broken.toml")
    result = run(str(folder))
    assert result.exit_code == 1
    assert f"{broken}: the program returned '1', must return '2' (seed 0)" in result.output
    assert f"  run it again: routilux-sim run {broken} --replay .routilux_sim" in result.output
    assert result.output.splitlines()[-1] == "2 of 3 scenarios hold"


def test_what_cannot_be_used_counts_most(folder):
    """Exit code 2, though others merely do not hold, and they are run."""
    write(folder, BROKEN, "broken.toml")
    unusable = write(folder, UNUSABLE, "unusable.toml")
    result = run(str(folder))
    assert result.exit_code == 2
    assert f"{unusable}:5: run.entry is missing; found 'entri' instead" in result.output
    assert result.output.splitlines()[-1] == "2 of 4 scenarios hold, 1 cannot be used"


def test_files_and_directories_may_be_given_together(folder):
    """A file that is in a directory, too, runs once."""
    result = run(str(folder / "good.toml"), str(folder))
    assert result.output.splitlines()[-1] == "2 of 2 scenarios hold"


def test_a_directory_without_scenarios_is_refused(tmp_path):
    """Nothing would have been checked."""
    result = run(str(tmp_path))
    assert result.exit_code == 2
    assert "there are no scenarios (*.toml) in this directory, nor below" in " ".join(result.output.split())


@pytest.mark.parametrize("option", ["--log", "--replay"])
def test_what_is_of_one_scenario_is_refused_of_several(folder, option):
    """One log cannot be of two scenarios, nor one schedule."""
    result = run(str(folder), option, str(folder / "good.toml"))
    assert result.exit_code == 2
    assert "it is of one scenario, and there are 2" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "-1"], "-1 is not in the range x>=0"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--schedules", "0"], "0 is not in the range x>=1"),
        (["--replay", "absent"], "File 'absent' does not exist"),
        (["--replay", "scenario.toml"], "scenario.toml: not a JSON document"),
        (["--log", "absent/log"], "No such file or directory"),
        (["absent.toml"], "Path 'absent.toml' does not exist"),
        (["--only-from", "scenarios"], "is not allowed: only what is in 'scenarios' may be imported"),
    ],
)
def test_bad_options_exit_with_2(tmp_path, monkeypatch, options, message):
    """Before anything runs, with what is wrong."""
    monkeypatch.chdir(tmp_path)
    result = run(write(tmp_path, GOOD), *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "passed" not in result.output


def test_nothing_to_run_is_a_usage_error():
    """At least one scenario is asked for."""
    result = run()
    assert result.exit_code == 2
    assert "Missing argument 'SCENARIO...'" in result.output


def test_seed_and_schedules_are_instead_of_its_own(tmp_path):
    """Both are printed."""
    result = run(write(tmp_path, GOOD), "--seed", "5", "--schedules", "4")
    assert "schedules  4, seed 5, strategy random" in result.output


def test_artifacts_say_where_failures_are_kept(tmp_path):
    """``--artifacts``: the replay file is there, and its command printed."""
    result = run(write(tmp_path, BROKEN), "--artifacts", str(tmp_path / "kept"))
    path = tmp_path / "kept" / "scenario.shrunk.replay.json"
    assert f"--replay {path}" in result.output
    assert "must return" in json.loads(path.read_text())["failure"]


def test_the_log_is_of_the_failing_schedule(tmp_path):
    """``--log`` of a scenario that does not hold."""
    run(write(tmp_path, BROKEN), "--log", str(tmp_path / "log"))
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[-1]["event"] == "execution.end"
    assert lines[-1]["status"] == "failed"


def test_a_spread_is_drawn(tmp_path):
    """Speed-ups that differ from schedule to schedule: least, most, median and a histogram."""
    text = PIPELINE.replace("max_workers = 2", "max_workers = 2, seconds = 0.0")
    text += "[run]\nentry = 'source'\nparams = { items = 2 }\n[latency.worker]\nkind = 'uniform'\nlow = 1\nhigh = 2\n"
    result = run(write(tmp_path, text + "[expect]\nspeedup = { over = 'sequential', max = 9 }"), "--schedules", "40")
    assert result.exit_code == 0, result.output
    assert ", median " in result.output
    rows = [line.split() for line in result.output.splitlines() if "█" in line or "▏" in line or " to " in line]
    bins = [row for row in rows if row[1:2] == ["to"] and row[0].replace(".", "").isdigit()]
    assert len(bins) == 10
    assert sum(int(row[3]) for row in bins) == 40


def test_an_expected_failure_is_success(tmp_path):
    """The verdict says that it failed, as it must; exit code 0, and nothing is kept."""
    result = run(write(tmp_path, BROKEN + "fails = 'expectation'"))
    assert result.exit_code == 0
    assert "failed, as it must" in result.output
    assert "failed     expectation: the program returned '1', must return '2' (seed 0)" in result.output
    assert "run it again" not in result.output
