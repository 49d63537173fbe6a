"""Invariants in replay files: those of a module are checked again, others must be given."""

from __future__ import annotations

import json
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from routilux_sim import DivergenceError, InvariantError, explore, replay
from routilux_sim.cli import cli
from routilux_sim.replay_files import ReplayFileError, load_replay, save_schedule

MODULE = """
import threading, time

state = [0]

def never_two():
    return state[0] < 2

def program():
    def work():
        state[0] += 1
        time.sleep(0)
        state[0] -= 1
    state[0] = 0
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A program and its invariant, in a module of its own in the current directory."""
    (tmp_path / "kept_twos.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("kept_twos")
    del sys.modules["kept_twos"]


def keep(module, tmp_path, *invariants):
    failure = explore(module.program, schedules=100, invariants=invariants).failure
    assert isinstance(failure.execution.error, InvariantError)
    path = tmp_path / "kept.replay.json"
    error = failure.execution.error
    text = f"InvariantError: {error}"
    save_schedule(failure.execution.schedule, path, text, kind="invariant", program="kept_twos:program")
    return path


def test_an_invariant_of_a_module_is_checked_in_a_replay(module, tmp_path):
    """In Python and at the command line, although nobody gives it."""
    path = keep(module, tmp_path, module.never_two)
    assert load_replay(path).schedule.invariants == (("never_two", "kept_twos:never_two"),)
    assert isinstance(replay(module.program, path).error, InvariantError)
    for command, code in (("replay", 1), ("explain", 0)):
        result = CliRunner().invoke(cli, [command, str(path)])
        assert (result.exit_code, "invariant 'never_two' broken" in result.output) == (code, True), result.output


def test_only_what_is_allowed_is_imported_for_it(module, tmp_path):
    """``--only-from`` holds for invariants, too."""
    path = keep(module, tmp_path, module.never_two)
    document = json.loads(path.read_text())
    document["invariants"][0]["path"] = "shutil:rmtree"
    path.write_text(json.dumps(document))
    result = CliRunner().invoke(cli, ["replay", str(path), "--only-from", "kept_twos"])
    assert result.exit_code == 2
    assert "'shutil:rmtree' is not allowed: only what is in 'kept_twos' may be imported" in result.output


def test_an_invariant_that_nobody_can_import_must_be_given(module, tmp_path):
    """Else the replay is refused, and no pass: it names the invariant and says what to do."""
    seen = []

    def local():
        seen.append(1)
        return module.state[0] < 2

    path = keep(module, tmp_path, local)
    with pytest.raises(ReplayFileError, match=r"invariant 'local', which cannot be imported; make it .* or give it"):
        replay(module.program, path)
    result = CliRunner().invoke(cli, ["replay", str(path)])
    assert (result.exit_code, "invariant 'local', which cannot be imported" in result.output) == (2, True)
    assert isinstance(replay(module.program, path, invariants=[local]).error, InvariantError)


def test_a_schedule_that_goes_on_without_its_invariant_says_so(module):
    """It does not fit, and why is in a note; asked for none, there is none to miss."""
    failure = explore(module.program, schedules=100, invariants=[lambda: module.state[0] < 2]).failure
    error = replay(module.program, failure.execution.schedule).error
    assert isinstance(error, DivergenceError)
    assert "not checked, as it cannot be imported, was 'lambda at " in error.__notes__[-1]
    assert not hasattr(replay(module.program, failure.execution.schedule, invariants=[]).error, "__notes__")


def test_an_invariant_that_is_gone_is_an_error(module, tmp_path):
    """With its import path."""
    path = keep(module, tmp_path, module.never_two)
    del module.never_two
    with pytest.raises(ValueError, match="'kept_twos:never_two': there is no 'never_two'"):
        replay(module.program, path)


@pytest.mark.parametrize("row", [3, {"name": 3}, {"path": "a:b"}, {"name": "x", "path": 3}])
def test_what_names_no_invariant_is_refused(module, tmp_path, row):
    """The message has its place in the file."""
    path = keep(module, tmp_path, module.never_two)
    document = json.loads(path.read_text())
    document["invariants"].append(row)
    path.write_text(json.dumps(document))
    with pytest.raises(ReplayFileError, match=r"kept\.replay\.json: invariants\[1\] must be an object with a 'name'"):
        load_replay(path)


def test_methods_are_kept_by_name_only(tmp_path):
    """Their path leads to a function that takes an object."""

    class Gauge:
        def low(self):
            return threading.active_count() < 2

    def program():
        thread = threading.Thread(target=time.sleep, args=(1,))
        thread.start()
        thread.join()

    schedule = explore(program, schedules=10, invariants=[Gauge().low]).failure.execution.schedule
    assert schedule.invariants[0].path is None
