"""Replay files are kept for years: other processes, other Python versions, a program that is edited meanwhile."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from buggy_programs import lost_update, two_sections

from routilux_sim import ReplayFileError, Schedule, explore, load_schedule, replay, save_schedule, simulate
from routilux_sim.artifacts import FOLDER, Artifacts
from routilux_sim.replay_files import digest_of, load_replay, path_of

HERE = Path(__file__).parent
KEPT = sorted((HERE / "replays").glob("*.replay.json"))

REPLAYING = """
import sys
from importlib import import_module
from pathlib import Path
sys.path[:0] = sys.argv[1:2]
from kept_program import overdrawn
from routilux_sim import replay
for path in sys.argv[2:]:
    execution = replay(overdrawn, path)
    print(Path(path).name, execution.verdict, str(execution.error).splitlines()[0], execution.steps)
"""


def overdrawn():
    """The program of the files in ``replays/``."""
    sys.path.insert(0, str(HERE / "replays"))
    try:
        return import_module("kept_program").overdrawn
    finally:
        sys.path.remove(str(HERE / "replays"))


@pytest.fixture(scope="module")
def failure():
    return explore(two_sections, schedules=500).failure


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept.replay.json"


def edit(path, **changes):
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))


def test_files_of_every_version_are_kept():
    """There is something to hold the next tests against."""
    names = {path.name.split(".replay")[0] for path in KEPT}
    versions = ("3.11", "3.12", "3.13")
    assert names >= {f"python-{version}{kind}" for version in versions for kind in ("", ".shrunk")} | {"version-1"}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_a_file_that_another_python_wrote_is_followed(path):
    """Whichever version this is: the same decisions at the same steps, and the same failure, to the word."""
    execution = replay(overdrawn(), path)
    assert execution.verdict == "failed", execution.error
    assert str(execution.error).splitlines()[0] in load_replay(path).failure
    assert execution.schedule == load_schedule(path)


def replayed_afresh(files, hash_seed):
    """What comes of files in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPLAYING, str(HERE / "replays"), *map(str, files)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.long)])
def test_a_file_holds_in_fresh_processes(count):
    """Each time, whatever the hash seed: the same end after the same number of steps."""
    program = overdrawn()
    expected = []
    for path in KEPT:
        execution = replay(program, path)
        expected.append(f"{path.name} failed {str(execution.error).splitlines()[0]} {execution.steps}")
    for number in range(count):
        assert replayed_afresh(KEPT, number * 7919) == expected


PROGRAM = """
import threading


class Counter:
    def __init__(self):
        self.lock = threading.Lock()
        self.value = 0

    def add(self):
        with self.lock:
            seen = self.value
        with self.lock:
            self.value = seen + 1


def program():
    counter = Counter()
    threads = [threading.Thread(target=counter.add, name=f"adder-{number}") for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value == 2, "lost"
"""

EDITS = {
    "lines above": lambda text: "# A comment.\n" * 30 + text,
    "a docstring": lambda text: text.replace("    def add(self):", '    def add(self):\n        """Adds one."""\n'),
    "a function nobody calls": lambda text: text + "\n\ndef other():\n    return threading.Lock()\n",
    "a local variable renamed": lambda text: text.replace("seen", "before"),
    "a helper in between": lambda text: text.replace("seen + 1", "self._next(seen)").replace(
        "    def add", "    def _next(self, value):\n        return value + 1\n\n    def add"
    ),
    "another import": lambda text: "import decimal\nimport json\n" + text,
}


def made(source, tmp_path):
    """A program, from its source in a file."""
    file = tmp_path / "edited_program.py"
    file.write_text(source)
    scope = {"__name__": "edited_program", "__file__": str(file)}
    exec(compile(source, str(file), "exec"), scope)
    return scope["program"]


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_a_file_survives_edits_elsewhere(change, path, tmp_path):
    """What does not touch the steps themselves does not touch the replay: lines are shown, never compared."""
    failure = explore(made(PROGRAM, tmp_path), schedules=500).failure
    save_schedule(failure.shrunk, path)
    edited = change(PROGRAM)
    assert edited != PROGRAM
    execution = replay(made(edited, tmp_path), path)
    assert str(execution.error).startswith("lost"), execution.error


def test_a_mended_program_does_not_follow_the_file(path, tmp_path):
    """Where a step is gone, it is said which, what was expected, what came, and that the source has changed."""
    program = made(PROGRAM, tmp_path)
    failure = explore(program, schedules=500).failure
    save_schedule(failure.shrunk, path, digest=digest_of(tmp_path / "edited_program.py"))
    mended = PROGRAM.replace("        with self.lock:\n            self.value = seen", "            self.value = seen")
    execution = replay(made(mended, tmp_path), path)
    assert execution.verdict == "inconclusive"
    error = execution.error
    assert error.expected in str(error)
    assert error.found in str(error)
    assert f"step {error.step}" in str(error)
    (note,) = error.__notes__
    assert f"{path} was written by routilux" in note
    assert "under Python 3." in note


def test_whether_the_source_has_changed_is_said(path):
    """By the digest of the program's file: kept for information, never a reason to refuse the file."""
    schedule = simulate(two_sections, strategy="fifo").schedule
    save_schedule(schedule, path, digest=digest_of(two_sections))
    assert "has not changed since" in replay(lost_update, path).error.__notes__[0]
    edit(path, digest="sha256:other")
    assert "has changed since" in replay(lost_update, path).error.__notes__[0]
    assert replay(two_sections, path).verdict == "passed"


def test_a_file_says_what_it_is_of(failure, path):
    """Program, kind and words of the failure, beside what version 1 had."""
    save_schedule(
        failure.shrunk, path, "lost", kind=failure.kind, program=path_of(two_sections), digest=digest_of(two_sections)
    )
    kept = load_replay(path)
    assert kept.program == "buggy_programs:two_sections"
    assert kept.digest.startswith("sha256:")
    assert (kept.kind, kept.failure) == ("exception", "lost")
    assert kept.tool.startswith("routilux ")
    assert kept.python == ".".join(map(str, sys.version_info[:3]))
    assert kept.schedule.steps == failure.shrunk.steps


def test_instrumentation_is_part_of_the_file(failure, path):
    """Which code had memory points, and which of them were shared, come back as they were."""
    points = {"instrument": ["bank", "tills"], "shared": ["bank.Account.balance"]}
    save_schedule(Schedule(0, "random", failure.shrunk.steps, points=points), path)
    assert load_schedule(path).points == points
    assert json.loads(path.read_text())["instrument"] == ["bank", "tills"]


def test_every_step_is_a_line(failure, path):
    """So that version control shows which decisions differ."""
    save_schedule(failure.shrunk, path)
    lines = path.read_text().splitlines()
    assert sum(line.lstrip().startswith('{"label"') for line in lines) == len(failure.shrunk)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"version": 5},
            "'version' is 5; this routilux-sim reads versions 1, 2, 3 and 4; a later routilux-sim wrote it",
        ),
        ({"version": 0}, "'version' is 0; this routilux-sim reads versions 1, 2, 3 and 4"),
        ({"points": {"instrument": 5}}, "points: 'instrument' must be a string or a list of names, not 5"),
        ({"points": {"instrument": ["a", 5]}}, "points: 'instrument' must be"),
        ({"points": {"instrument": "auto", "shared": 1}}, "points: 'shared' must be a list of names, not 1"),
        (
            {"points": {"instrument": "auto", "shared": [], "allow_races": "x"}},
            "points: 'allow_races' must be a list of names, not 'x'",
        ),
        ({"points": []}, "'points' must be a dict, not []"),
        ({"program": 1}, "'program' must be a str, not 1"),
        ({"kind": True}, "'kind' must be a str, not True"),
    ],
)
def test_what_cannot_be_read_is_named(failure, path, changes, words):
    """The file, the field, what is there and what may be."""
    save_schedule(failure.shrunk, path)
    edit(path, **changes)
    with pytest.raises(ReplayFileError) as raised:
        load_replay(path)
    assert f"{path}: {words}" in str(raised.value)


def test_programs_are_named_only_where_others_find_them():
    """A nested function, a lambda or what is no function has no import path."""

    def nested():
        pass

    assert path_of(lost_update) == "buggy_programs:lost_update"
    assert path_of(nested) is path_of(lambda: None) is path_of(5) is None


def test_the_folder_ignores_itself(failure, tmp_path):
    """Ours does, a folder of the user's own does not; both are made when they are needed."""
    for name in (FOLDER, "regressions"):
        kept = Artifacts(tmp_path / name, "tests/test_a.py::test_b[1-x y]", None, None)
        kept.keep(failure.execution)
        kept.keep_shrunk(failure.findings.execution)
        assert load_schedule(kept.original) == failure.schedule
        assert load_schedule(kept.shrunk) == failure.shrunk
        assert kept.shrunk.name == "tests_test_a.py_test_b[1-x_y].shrunk.replay.json"
    assert (tmp_path / FOLDER / ".gitignore").read_text().splitlines()[-1] == "*"
    assert not (tmp_path / "regressions" / ".gitignore").exists()


def test_a_file_is_written_before_shrinking_begins(path):
    """When shrinking is interrupted, the failure has been kept."""
    runs = []

    def program():
        runs.append(None)
        two_sections()

    def interrupt(execution):
        save_schedule(execution.schedule, path)
        runs.clear()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(program, schedules=500, on_failure=interrupt)
    assert not runs
    assert replay(two_sections, path).verdict == "failed"


def test_kept_programs_are_what_they_were():
    """The files in ``replays/`` are of the source beside them; who edits it records them anew."""
    digest = digest_of(HERE / "replays" / "kept_program.py")
    assert all(load_replay(path).digest in {digest, None} for path in KEPT)
