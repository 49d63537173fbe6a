"""A save that fails: the file from before is there, byte for byte, and nothing else is."""

from __future__ import annotations

import errno
import os
import resource
import tempfile

import pytest

from routilux import JobState, SerializationError

from .hostile import JOB, cyclic, nested


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile:
    """A file on a full disk: one of its methods fails."""

    def __init__(self, file, method):
        self._file = file
        setattr(self, method, full)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._file.close()


def fail_at(step, monkeypatch):
    """Let the disk be full at one step of writing a file."""
    if step in {"write", "flush"}:
        real = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda *args, **kwargs: FullFile(real(*args, **kwargs), step))
    elif step == "mkstemp":
        monkeypatch.setattr(tempfile, "mkstemp", full)
    else:
        monkeypatch.setattr(os, step, full)


@pytest.fixture
def saved(tmp_path):
    """A file with a good job."""
    path = tmp_path / "job.json"
    JobState.deserialize(JOB).save(path)
    return path


def another():
    """Another job, larger."""
    return JobState.deserialize({**JOB, "job_id": "another", "shared_data": {"text": "x" * 100_000}})


def is_untouched(path, before, descriptors):
    """A file is as it was, alone in its directory, and no descriptor was left open."""
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert JobState.load(path).job_id == JOB["job_id"]


@pytest.mark.parametrize("step", ["mkstemp", "fdopen", "write", "flush", "fsync", "replace"])
def test_a_disk_that_is_full(saved, monkeypatch, step):
    """Whatever step finds the disk full: OSError, and the last good file."""
    before, descriptors = saved.read_bytes(), len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        fail_at(step, patch)
        with pytest.raises(OSError, match="No space left"):
            another().save(saved)
    is_untouched(saved, before, descriptors)
    another().save(saved)
    assert JobState.load(saved).job_id == "another"


def test_a_file_that_may_not_grow(saved):
    """The operating system itself refuses, in the middle of the file."""
    before, descriptors = saved.read_bytes(), len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            another().save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    is_untouched(saved, before, descriptors)


def test_an_interrupt_while_saving(saved, monkeypatch):
    """Ctrl-C is no exception to that."""

    def interrupt(_handle):
        raise KeyboardInterrupt

    before, descriptors = saved.read_bytes(), len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            another().save(saved)
    is_untouched(saved, before, descriptors)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        float("nan"),
        float("-inf"),
        {5: "a key"},
        {"$type": "tuple"},
        cyclic(list),
        cyclic(dict),
        nested(500, dict),
        b"bytes",
        1j,
        10**5000,
        {1, (2, object())},
        lambda: None,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("part", ["shared_data", "shared_log", "routines", "output_log", "checkpoint"])
def test_a_value_that_cannot_be_stored(saved, value, part):
    """Wherever it is in the job: an error that names the place, and the last good file."""
    before, descriptors = saved.read_bytes(), len(os.listdir("/proc/self/fd"))
    job = another()
    if part == "shared_data":
        job.update_shared_data("bad", value)
    elif part == "shared_log":
        job.append_to_shared_log({"bad": value})
    elif part == "routines":
        job.update_routine_state("sink", {"bad": value})
    elif part == "output_log":
        job.send_output("sink", "result", {"bad": value})
    else:
        job.pause_points.append({"checkpoint": {"bad": value}})
    with pytest.raises(SerializationError, match="bad") as raised:
        job.save(saved)
    assert "job 'another'" in raised.value.place
    is_untouched(saved, before, descriptors)


def test_a_place_that_is_not_there(tmp_path):
    """OSError, and nothing is made."""
    with pytest.raises(FileNotFoundError):
        another().save(tmp_path / "missing" / "job.json")
    assert os.listdir(tmp_path) == []
