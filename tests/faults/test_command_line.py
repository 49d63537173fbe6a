"""``routilux-sim explore --faults``: a plan from a file, and the replay file that keeps it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from routilux_sim.cli import cli

PROGRAM = """
import threading


def in_time():
    ready = threading.Event()
    threading.Thread(target=ready.set, name="worker-1").start()
    assert ready.wait(0.1)
"""


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Calls the command in a folder with the program and some plans; gives exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hasty_program.py").write_text(PROGRAM)
    (tmp_path / "plan.toml").write_text('[[stall]]\ntask = "worker-*"\nprobability = 0.3\nby = 0.4\n')
    (tmp_path / "wrong.toml").write_text("[[stall]]\nby = -1\nnth = 1\n")
    (tmp_path / "broken.toml").write_text("[[stall]\n")

    def call(*args):
        result = CliRunner().invoke(cli, args)
        return result.exit_code, result.output

    return call


def test_a_plan_is_read_from_a_file_and_kept_for_the_replay(invoke):
    """The sentence names the fault; the replay file alone brings it back."""
    code, output = invoke("explore", "hasty_program:in_time", "--faults", "plan.toml", "--instrument", "none")
    assert code == 1
    assert "but only if worker-1 stalls for 0.4 s before set Event-1" in output
    code, output = invoke("replay", ".routilux_sim/hasty_program.in_time.shrunk.replay.json")
    assert code == 1
    assert "AssertionError" in output
    code, output = invoke("explain", ".routilux_sim/hasty_program.in_time.shrunk.replay.json")
    assert "worker-1 stalls for 0.4 s" in output


def test_swarm_needs_no_plan(invoke):
    """Threads stall in some schedules."""
    args = ("explore", "hasty_program:in_time", "--schedules", "3000", "--instrument", "none")
    assert invoke(*args, "--swarm")[0] == 1
    assert invoke(*args, "--schedules", "30")[0] == 0


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("wrong.toml", "wrong.toml: faults.stall[0].by.seconds must be a finite number of seconds from 0 up, not -1"),
        ("broken.toml", "broken.toml: "),
        ("missing.toml", "does not exist"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(invoke, file, words):
    """With exit code 2, naming file and place."""
    code, output = invoke("explore", "hasty_program:in_time", "--faults", file)
    assert code == 2
    assert words in " ".join(output.split())


def test_only_from_limits_what_a_plan_may_raise(invoke, tmp_path):
    """Its exceptions are imported, too; those of the library may be."""
    plan = tmp_path / "elsewhere.toml"
    plan.write_text('[[raise]]\nroutine = "any"\nerror = "subprocess:SubprocessError"\n')
    args = ("explore", "hasty_program:in_time", "--instrument", "none", "--only-from", "hasty_program", "--faults")
    code, output = invoke(*args, str(plan))
    assert code == 2
    assert "'subprocess:SubprocessError' is not allowed" in " ".join(output.split())
