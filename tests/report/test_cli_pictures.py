"""``routilux-sim report``, ``trace`` and ``diff``."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from routilux_sim import gathering, save_schedule, simulate
from routilux_sim.cli import cli
from routilux_sim.exploration import explore
from routilux_sim.replay_files import path_of

pytest.importorskip("rich", reason="rich is not installed: the terminal's columns were not tested")

import pictured_programs

from routilux_sim.columns import Walk
from routilux_sim.picturing import of_seed

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def schedules():
    return {name: explore(getattr(pictured_programs, name)).failure for name in ("two_locks", "evil")}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    runner = CliRunner()
    return lambda *arguments, keys=None: runner.invoke(cli, list(map(str, arguments)), input=keys)


@pytest.fixture
def kept(schedules, tmp_path):
    """Writes a replay file, by default of the deadlock."""

    def keep(name="deadlock.replay.json", program="two_locks", which="shrunk"):
        failure = schedules[program]
        path = tmp_path / name
        save_schedule(getattr(failure, which), path, "broke", program=path_of(getattr(pictured_programs, program)))
        return path

    return keep


def test_a_replay_file_is_drawn(command, kept, tmp_path):
    """Failing and passing side by side, to report.html unless another file is named."""
    result = command("report", kept())
    assert result.exit_code == 0, result.output
    assert "failed: deadlock" in result.output
    assert "the nearest schedule that passes" in result.output
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert command("report", kept(), "--no-nearest", "-o", "other.html").exit_code == 0
    assert len((tmp_path / "other.html").read_text()) < len((tmp_path / "report.html").read_text())


def test_of_a_folder_the_latest_is_drawn(command, kept, tmp_path):
    """Shrunk, if there is that; and it says which."""
    kept("old.replay.json")
    original = kept("deadlock.replay.json")
    shrunk = kept("deadlock.shrunk.replay.json")
    os.utime(tmp_path / "old.replay.json", (1, 1))
    os.utime(shrunk, (2, 2))
    os.utime(original, (3, 3))
    result = command("report", tmp_path)
    assert result.exit_code == 0, result.output
    assert "deadlock.shrunk.replay.json is the latest of 3" in result.stderr


def test_a_program_is_drawn_under_a_seed(command, tmp_path):
    """Beside passing runs there is nothing."""
    result = command("report", "pictured_programs:conversation", "--seed", 5, "-o", "talk.html")
    assert result.exit_code == 0, result.output
    assert "passed" in result.output
    assert "nearest" not in result.output
    assert '"seed":5' in (tmp_path / "talk.html").read_text()


def test_trace_events_are_written(command, kept, tmp_path):
    """To trace.json unless another file is named."""
    result = command("report", kept(), "--perfetto")
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "trace.json").read_text())
    assert {"X", "M", "s", "f", "i"} <= {event["ph"] for event in document["traceEvents"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "nothing-here"), "'nothing-here' is neither a replay file nor a folder of them"),
        (("report", "."), "there is no replay file"),
        (("report", "pictured_programs:absent"), "there is no 'absent'"),
        (("report", "pictured_programs:flow", "--strategy", "guess"), "guess"),
        (("report", "pictured_programs:flow", "-o", "absent/report.html"), "--output"),
        (("trace", "nothing-here"), "neither a replay file"),
        (("trace", "nothing-here", "pictured_programs:flow"), "'nothing-here' is no file"),
        (("diff", "1", "2"), "'1' is a seed; add MODULE:CALLABLE"),
        (("diff", "x", "2", "pictured_programs:flow"), "'x' is neither a replay file nor a seed"),
    ],
)
def test_what_cannot_be_drawn_is_refused(command, arguments, said):
    """With one message that says what is allowed, and exit code 2."""
    result = command(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_replay_file_can_be_run_with_another_program(command, kept):
    """What is named after it counts; what does not follow the schedule is drawn as far as it went."""
    result = command("trace", kept(), "pictured_programs:conversation")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("inconclusive: DivergenceError")


TEST = """
import pytest
import pictured_programs

@pytest.fixture
def program():
    return pictured_programs.two_locks

@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.sim
def test_locks(program, count):
    program()

def test_plain():
    pass
"""


@pytest.fixture
def kept_of_test(schedules, tmp_path):
    """Writes a test module, and a replay file of one of its tests."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_bank.py").write_text(TEST)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")

    def keep(test):
        save_schedule(
            schedules["two_locks"].shrunk, tmp_path / "test.replay.json", program=f"tests/test_bank.py::{test}"
        )
        return "test.replay.json"

    return keep


def test_a_test_is_drawn_by_pytest(command, kept_of_test, tmp_path, monkeypatch):
    """With its fixtures and parameters, from the project's root and below it; pytest itself says nothing."""
    file = kept_of_test("test_locks[2]")
    result = command("report", file)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0].startswith("failed: deadlock")
    assert "the nearest schedule that passes" in result.output
    assert "tests/test_bank.py::test_locks[2]" in (tmp_path / "report.html").read_text()
    monkeypatch.chdir(tmp_path / "tests")
    assert command("trace", f"../{file}").output.splitlines()[-1].startswith("failed: deadlock")
    assert command("diff", f"../{file}", f"../{file}").exit_code == 0


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("test_absent", "test_bank.py::test_absent"),
        ("test_plain", "pytest has run no simulated test 'tests/test_bank.py::test_plain'"),
    ],
)
def test_what_pytest_says_is_shown_if_there_is_no_such_test(command, kept_of_test, test, said):
    """And that it is not drawn."""
    result = command("trace", kept_of_test(test))
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize(
    "program",
    [
        "::",
        "-p no:terminal::x",
        "--version::x",
        "a\0b::x",
        "x" * 5000 + "::x",
        "\ud800::x",
        "x" * 5000 + ".toml",
        "a\0b.toml",
        "\ud800.toml",
        ".toml",
        "tests/test_bank.py::",
        "x" * 5000 + ":x",
        "a\0b:x",
        "",
    ],
)
def test_a_replay_file_may_name_anything(command, kept_of_test, schedules, program):
    """What is neither program, scenario nor test is refused in words."""
    save_schedule(schedules["two_locks"].shrunk, "odd.replay.json", program=program)
    result = command("trace", "odd.replay.json")
    assert result.exit_code == 2, result.output
    assert "Error: " in result.output


def test_a_test_is_not_drawn_under_only_from(command, kept_of_test):
    """Pytest imports more than that."""
    result = command("trace", kept_of_test("test_locks[1]"), "--only-from", "pictured_programs")
    assert result.exit_code == 2
    assert "leave out --only-from" in result.output


def test_other_commands_say_how_pytest_runs_a_test(command, kept_of_test):
    """A test without fixtures may be named as a callable."""
    refused = command("explain", kept_of_test("test_locks"))
    assert refused.exit_code == 2
    assert "pytest --sim-replay=test.replay.json 'tests/test_bank.py::test_locks'" in " ".join(refused.output.split())
    named = command("trace", "test.replay.json", "pictured_programs:two_locks")
    assert named.output.splitlines()[-1].startswith("failed: deadlock")


SCENARIO = """
[program]
callable = "pictured_programs:{program}"
[run]
schedules = 50
"""


def test_of_a_scenario_the_failing_schedule_is_drawn(command, tmp_path):
    """Or the one that a run of it has kept; without a failure the first."""
    for program in ("two_locks", "conversation"):
        (tmp_path / f"{program}.toml").write_text(SCENARIO.format(program=program))
    result = command("report", "two_locks.toml")
    assert result.exit_code == 0, result.output
    assert "failed: deadlock" in result.output
    assert "the nearest schedule that passes" in result.output
    assert "routilux-sim run two_locks.toml" in (tmp_path / "report.html").read_text()
    assert command("run", "two_locks.toml").exit_code == 1
    kept = ".routilux_sim/two_locks.replay.json"
    assert command("trace", kept).output.splitlines()[-1].startswith("failed: deadlock")
    assert command("trace", "conversation.toml", "--seed", 3).output.splitlines()[-1].startswith("passed")
    assert command("diff", "two_locks.toml", "two_locks.toml").exit_code == 0
    assert command("explain", kept).exit_code == 0


@pytest.mark.parametrize(
    ("more", "arguments", "said"),
    [
        ("clock = 'real'\n", (), "real threads"),
        ("", ("--strategy", "pct"), "leave out --strategy and --instrument"),
        ("", ("--only-from", "json"), "pictured_programs"),
        ("colour = 1\n", (), "colour"),
    ],
)
def test_a_scenario_that_cannot_be_drawn_is_refused(command, tmp_path, more, arguments, said):
    """With one message, and exit code 2."""
    (tmp_path / "it.toml").write_text(SCENARIO.format(program="two_locks") + more)
    result = command("report", "it.toml", *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_part_of_a_long_run_can_be_chosen(command, monkeypatch):
    """It is said which steps are shown, by their numbers in the whole run."""
    monkeypatch.setattr(gathering, "TOLD", 5)
    result = command("trace", "pictured_programs:conversation", "--all", "--from-step", 12, "--width", 120)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[-2].startswith("only steps 12 to 16 of ")
    numbers = [line.split()[0].lstrip("*") for line in lines if line[:6].strip(" *").isdigit()]
    assert numbers == ["12", "13", "14", "15", "16"]
    assert command("report", "pictured_programs:conversation", "--from-step", 5000).exit_code == 2


def test_a_replay_file_takes_no_seed(command, kept):
    """It has one."""
    result = command("trace", kept(), "--seed", 1)
    assert result.exit_code == 2
    assert "says itself how it is run" in result.output


def test_a_trace_has_a_column_for_each_task(command, kept):
    """What each does stands in its own, in order; the decision that matters has a star."""
    result = command("trace", kept(), "--width", 140)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    heads = next(line for line in lines if "MainThread" in line)
    assert heads.index("MainThread") < heads.index("one") < heads.index("other")
    takes = next(line for line in lines if "acquires RIGHT" in line)
    assert takes.index("acquires RIGHT") == heads.index("other")
    assert sum(line.lstrip().startswith("*") for line in lines) == 1
    assert lines[-1].startswith("failed: deadlock")


def test_a_trace_fits_in_a_narrow_terminal(command):
    """Tasks that no column is left for share the last one, by name."""
    result = command("trace", "pictured_programs:conversation", "--width", 60)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 60
    assert "others" in result.output


def test_steps_are_walked_by_keys(command, kept):
    """Each shows the source, who has which lock and who waits; unknown keys do nothing."""
    result = command("trace", kept(), "--step", "--width", 120, keys="nn?fpq")
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines() if line.startswith("step ")] == [
        "step 0 of 10, at 0 s",
        "step 1 of 10, at 0 s",
        "step 2 of 10, at 0 s",
        "step 9 of 10, at 0 s",
        "step 8 of 10, at 0 s",
    ]
    assert "fails here: deadlock" in result.output
    assert "locks held: LEFT by one, RIGHT by other" in result.output
    assert "one in acquire RIGHT (other has it)" in result.output
    assert "with RIGHT, LEFT:" in result.output


def test_arrow_keys_walk_too():
    """As a terminal sends them."""
    walk = Walk(of_seed(pictured_programs.two_locks, "two_locks", 0, nearest=False).timeline, everything=True)
    steps = []
    for key in ("\x1b[C", "\x1b[B", "\x1b[D", "\x1b[A", "\x1b[A"):
        assert walk.go(key)
        steps.append(walk.step)
    assert steps == [1, 2, 1, 0, 0]
    assert not walk.go("\x1b[Z")


def test_the_walk_ends_with_the_keys(command, kept):
    """Also without a key to leave it."""
    assert command("trace", kept(), "--step", keys="gGtdn").exit_code == 0


def test_two_runs_are_compared(command, kept, tmp_path):
    """The first decision that differs, and both sides of it."""
    passing = simulate(pictured_programs.two_locks, strategy="fifo").schedule
    save_schedule(passing, tmp_path / "plain.replay.json", program="pictured_programs:two_locks")
    result = command("diff", kept(), "plain.replay.json", "--width", 160)
    assert result.exit_code == 1, result.output
    assert "they part at decision" in result.output
    ends = [line.partition(": ")[2] for line in result.output.splitlines()[:2]]
    assert ends == ["deadlock (lock cycle) after 0 virtual seconds", "passed, after 0 virtual seconds"]
    assert any(line.count("acquires LEFT") == 2 for line in result.output.splitlines())


def test_a_run_is_the_same_as_itself(command):
    """Two times one seed."""
    result = command("diff", 3, 3, "pictured_programs:two_locks")
    assert result.exit_code == 0, result.output
    assert "decisions are the same" in result.output


def test_names_do_not_move_the_cursor(command):
    """What a terminal would obey is shown as an escape."""
    for arguments in (("trace",), ("trace", "--step")):
        result = command(*arguments, "pictured_programs:evil", "--width", 200, keys="fq")
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output
        assert "\\x1b[31m" in result.output
