"""Schedules can be kept in files and replayed, and what does not fit is told at its place."""

import json
import os
import queue
import random
import threading
import time

import pytest
from sim_helpers import run_threads

from routilux_sim import DivergenceError, ReplayFileError, explore, load_schedule, replay, save_schedule, simulate


def overtaking():
    """Fails when the second thread comes first."""
    box = queue.Queue()
    run_threads(lambda: box.put("first"), lambda: box.put("second"))
    assert box.get() == "first", "overtaken"


def overtaking_with_an_event():
    """As many threads and operations, but another kind of operation."""
    box = queue.Queue()
    event = threading.Event()
    run_threads(lambda: event.set() or None, lambda: box.put("second"))
    assert event.is_set()


def overtaking_of_three():
    """One thread more."""
    box = queue.Queue()
    run_threads(lambda: box.put("first"), lambda: box.put("second"), lambda: box.put("third"))
    assert box.get() == "first", "overtaken"


def overtaking_and_more():
    """The same, and a race after it."""
    overtaking()
    run_threads(lambda: time.sleep(0))


@pytest.fixture
def failure():
    return explore(overtaking, schedules=200).failure


@pytest.fixture
def path(tmp_path):
    return tmp_path / "overtaken.replay.json"


def edit(path, **changes):
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))


def test_a_schedule_survives_its_file(failure, path):
    """What was saved is what is loaded, labels and candidates included."""
    save_schedule(failure.schedule, path, str(failure.exception))
    loaded = load_schedule(path)
    assert loaded == failure.schedule
    assert loaded.steps == failure.schedule.steps
    assert (loaded.seed, loaded.strategy) == (failure.seed, failure.schedule.strategy)
    assert any(step.enabled for step in loaded)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file_replays_its_failure(failure, path, kind):
    """A path, as a string or not, brings the failure back with the same log."""
    save_schedule(failure.schedule, path)
    again = replay(overtaking, kind(path))
    assert again.verdict == "failed"
    assert str(again.error) == str(failure.exception)
    assert again.log_bytes() == failure.execution.log_bytes()


def test_a_pass_replays_as_a_pass(path):
    """Not only failures can be kept."""
    execution = simulate(overtaking, strategy="fifo")
    save_schedule(execution.schedule, path)
    again = replay(overtaking, path)
    assert again.verdict == "passed"
    assert again.log_bytes() == execution.log_bytes()


def test_a_replay_repeats_the_random_numbers():
    """The program's own randomness is seeded as it was."""

    def program():
        run_threads(lambda: None)
        return random.random()

    execution = simulate(program, seed=12)
    assert replay(program, execution.schedule).result() == execution.result()


def test_a_file_says_first_what_it_is(failure, path):
    """Format and version come first; tool, Python, seed, strategy, failure and steps follow."""
    save_schedule(failure.schedule, path, "overtaken")
    document = json.loads(path.read_text())
    assert list(document)[:2] == ["format", "version"]
    assert document["failure"] == "overtaken"
    assert document["seed"] == failure.seed
    assert len(document["steps"]) == len(failure.schedule)
    assert set(document) >= {"tool", "python", "greenlet", "strategy"}


def test_labels_hold_nothing_that_edits_change(failure):
    """No file, line or address is in a label."""
    for step in failure.schedule:
        assert ".py" not in step.label
        assert "0x" not in step.label


def test_a_replay_survives_edits_elsewhere(failure):
    """The same operations on other lines follow the schedule."""
    source = "\n" * 50 + (
        "def program():\n"
        "    other = queue.Queue()\n\n"
        "    run_threads(lambda: other.put('first'), lambda: other.put('second'))\n"
        "    assert other.get() == 'first', 'overtaken'\n"
    )
    scope = {"queue": queue, "run_threads": run_threads}
    exec(source, scope)
    assert str(replay(scope["program"], failure.schedule).error) == "overtaken"


def test_a_missing_thread_diverges(failure):
    """A program that changed is told at the first step that does not fit."""
    execution = replay(lambda: run_threads(lambda: None), failure.schedule)
    assert execution.verdict == "inconclusive"
    error = execution.error
    assert isinstance(error, DivergenceError)
    assert f"step {error.step}" in str(error)
    assert error.expected in str(error)
    assert error.found in str(error)


def test_another_thread_diverges():
    """A thread more changes the number of candidates; the message has both."""
    schedule = simulate(overtaking, seed=1).schedule
    execution = replay(overtaking_of_three, schedule)
    assert isinstance(execution.error, DivergenceError)
    assert execution.error.step <= len(schedule)


def test_another_operation_diverges_even_with_as_many_candidates():
    """What is compared is who was about to do what, not only how many could."""
    schedule = simulate(overtaking, seed=1).schedule
    error = replay(overtaking_with_an_event, schedule).error
    assert isinstance(error, DivergenceError)
    assert schedule[error.step].label in error.expected
    assert "Event" in error.found


def test_a_longer_program_diverges_at_the_end_of_the_schedule():
    """What comes after the last recorded step has no decision to follow."""
    schedule = simulate(overtaking, strategy="fifo").schedule
    error = replay(overtaking_and_more, schedule).error
    assert isinstance(error, DivergenceError)
    assert error.step == len(schedule)
    assert error.expected == "the end of the program"


def test_a_shorter_program_diverges_where_it_ends():
    """A program that ends early says which step was still expected."""
    schedule = simulate(overtaking, strategy="fifo").schedule
    error = replay(lambda: None, schedule).error
    assert isinstance(error, DivergenceError)
    assert error.step == 0
    assert schedule[0].label in error.expected
    assert error.found == "the end of the program"


def test_no_divergence_is_ever_a_pass():
    """Whatever the schedule and the program, they fit or the verdict is inconclusive."""
    schedules = [simulate(overtaking, seed=seed).schedule for seed in range(10)]
    for schedule in schedules:
        for program in (overtaking_of_three, overtaking_and_more, lambda: None):
            assert replay(program, schedule).verdict in {"inconclusive", "failed"}


@pytest.mark.parametrize("version", [0, 5, "1", None, 1.5, True])
def test_an_unknown_version_is_refused(failure, path, version):
    """The message has the file, the version found and the version read."""
    save_schedule(failure.schedule, path)
    edit(path, version=version)
    with pytest.raises(ReplayFileError) as raised:
        replay(overtaking, path)
    assert str(path) in str(raised.value)
    assert f"'version' is {version!r}" in str(raised.value)
    assert "versions 1, 2, 3 and 4" in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"format": "something else", "version": 1}',
        b"\xff\xfe",
        b"[" * 10**5,
    ],
)
def test_what_is_no_replay_file_is_refused(path, content):
    """Anything else is a ReplayFileError that names the file, never a bare JSON or Unicode error."""
    path.write_bytes(content)
    with pytest.raises(ReplayFileError) as raised:
        load_schedule(path)
    assert str(path) in str(raised.value)


def test_half_a_file_is_refused(failure, path):
    """A file cut off anywhere is refused."""
    save_schedule(failure.schedule, path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ReplayFileError):
            load_schedule(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "7"}, "'seed' must be a int"),
        ({"seed": True}, "'seed'"),
        ({"strategy": None}, "'strategy'"),
        ({"steps": {}}, "'steps'"),
        ({"steps": [3]}, "step 0"),
        ({"steps": [{}]}, "step 0: 'label'"),
        ({"steps": [{"label": "a", "value": 2, "bound": 2, "enabled": []}]}, "step 0: 'value'"),
        ({"steps": [{"label": "a", "value": -1, "bound": 2, "enabled": []}]}, "step 0: 'value'"),
        ({"steps": [{"label": "a", "value": 0, "bound": "2", "enabled": []}]}, "step 0: 'value'"),
        ({"steps": [{"label": "a", "value": 0, "bound": 2, "enabled": [1]}]}, "step 0: 'enabled'"),
    ],
)
def test_a_broken_field_is_named(failure, path, changes, words):
    """The message has the file, the field or step, and what is there."""
    save_schedule(failure.schedule, path)
    edit(path, **changes)
    with pytest.raises(ReplayFileError) as raised:
        load_schedule(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)


def test_a_missing_file_is_an_os_error(path):
    """A path that leads nowhere says so."""
    with pytest.raises(FileNotFoundError):
        replay(overtaking, path)


def test_an_interrupted_save_leaves_the_old_file(failure, path, monkeypatch):
    """A save that fails half-way changes nothing and leaves nothing behind."""
    save_schedule(failure.schedule, path)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_schedule(simulate(overtaking, strategy="fifo").schedule, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_save_makes_its_folder(failure, tmp_path):
    """The folder of a replay file is made when it is missing."""
    path = tmp_path / "some" / "where" / "a.replay.json"
    save_schedule(failure.schedule, path)
    assert load_schedule(path) == failure.schedule


def test_an_epoch_is_part_of_what_is_replayed(path):
    """A failure that hangs on the wall clock comes back when its schedule is replayed."""

    def program():
        run_threads(lambda: None)
        assert time.time() >= 1_000_000, "too early"

    failure = explore(program, schedules=5, epoch=1000.0).failure
    assert str(replay(program, failure.schedule).error).startswith("too early")
