"""The commands as processes: Ctrl-C, stores that another process has open, and ``python -m``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "routilux"]


def run_arguments(factory, *arguments):
    return ["run", f"flows_of_the_cli:{factory}", "--entry", "desk", "--param", "orders=3", *arguments]


@contextmanager
def started(*arguments):
    """A command as a process of its own, which is ended if the test has not."""
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_job(routilux, process):
    """Look, as anybody may, until the process has a job in the store that has begun to pack; return it."""
    while process.poll() is None:
        result = routilux.jobs("list", "--status", "running", "--json")
        if result.exit_code == 0 and (found := json.loads(result.stdout)) and found[0]["ended"]:
            return found[0]
    raise AssertionError(process.communicate())


@pytest.mark.real_time
@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_ctrl_c_cancels_the_job_and_says_what_became_of_it(routilux, strategy):
    """Handlers that run may end; the exit code is the shell's for an interrupt."""
    arguments = run_arguments("slow", "--store", "orders.db", "--strategy", strategy, "--max-workers", "1")
    arguments = arguments if strategy == "concurrent" else arguments[:-2]
    with started(*arguments) as process:
        job = wait_for_job(routilux, process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"{job['job']} of orders: cancelled" in output
    assert "interrupted (Ctrl-C)" in output
    assert "cancelling, and giving handlers 5 s" in errors
    assert "Traceback" not in errors
    assert json.loads(routilux.jobs("show", job["job"], "--json").stdout)["status"] == "cancelled"


@pytest.mark.real_time
def test_a_second_ctrl_c_leaves_handlers_behind(routilux):
    """The process ends although a handler would run for a minute; the store knows that the job is cancelled."""
    with started(*run_arguments("stuck", "--store", "orders.db", "--grace", "3600")) as process:
        job = wait_for_job(routilux, process)
        process.send_signal(signal.SIGINT)
        assert "Ctrl-C again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "cancelled" in output
    assert "left behind while still running: pack" in errors
    assert job["job"] in routilux.jobs("list", "--status", "cancelled").stdout


@pytest.mark.real_time
def test_ctrl_c_can_pause_instead(routilux):
    """A job in a store then goes on with ``resume``, whose Ctrl-C pauses anyway."""
    with started(*run_arguments("slow", "--store", "orders.db", "--on-interrupt", "pause")) as process:
        job = wait_for_job(routilux, process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert f"{job['job']} of orders: paused" in output
    resumed = routilux.jobs("resume", job["job"], "--flow", "flows_of_the_cli:make", "--json")
    assert json.loads(resumed.stdout)["figures"]["pack"]["completed"] == 3


@pytest.mark.real_time
def test_a_handler_that_outstays_the_time_limit_does_not_hold_the_command(routilux):
    """The job has failed at its time limit, and after the grace the process ends."""
    arguments = run_arguments("stuck", "--timeout", "0.1", "--grace", "0.1", "--json")
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    outcome = json.loads(done.stdout)
    assert outcome["status"] == "failed"
    assert outcome["error"].startswith("TimeoutError: ")
    assert "left behind" in done.stderr


@pytest.mark.real_time
def test_a_store_that_another_process_has_open_can_be_looked_at_only(routilux, monkeypatch):
    """`list` and `show` work; what would change it is refused in one line, with exit code 2."""
    monkeypatch.setattr("routilux.cli.given.WAIT", 0.01)
    with started(*run_arguments("stuck", "--store", "orders.db")) as process:
        job = wait_for_job(routilux, process)["job"]
        assert routilux.jobs("show", job).stdout.startswith(f"{job} of orders: running")
        for arguments in (["cancel", job], ["resume", job, "--flow", "flows_of_the_cli:make"]):
            result = routilux.jobs(*arguments)
            assert result.exit_code == 2
            assert "job store 'orders.db' is open elsewhere" in result.stderr
            assert len(result.stderr.splitlines()) == 1
        process.kill()
        process.wait()
    assert job in routilux.jobs("list", "--status", "interrupted").stdout
    assert routilux.jobs("cancel", job).exit_code == 0


def test_who_reads_may_stop_reading(routilux):
    """A pipe that is closed early brings no traceback."""
    with started(*run_arguments("make", "--param", "orders=7")) as process:
        process.stdout.close()
        errors = process.stderr.read()
        process.wait()
    assert "Traceback" not in errors


@pytest.mark.parametrize("module", ["routilux", "routilux_sim"])
def test_both_commands_tell_their_version_and_help(module):
    """``python -m`` works for both packages."""
    for option in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-m", module, option], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert module.replace("_", "-") in done.stdout
