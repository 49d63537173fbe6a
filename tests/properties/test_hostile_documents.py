"""Documents of every wrong kind: one error that names the place, nothing set off, nothing changed.

`throw_all` takes any reader: one that reads from a job store belongs beside those of flows, jobs and files.
"""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routilux import Flow, JobState, JobStatusError, Routine, SerializationError
from routilux_sim import simulate

from . import hostile
from .hostile import JOB, KINDS, KNOWN, cases, json_values, paths, rich_flow, spoilt, watched

LONGEST_MESSAGE = 2_000

FLOW = json.loads(json.dumps(rich_flow().serialize()))

PLACES = len(list(paths(FLOW))) + len(list(paths(JOB)))

thorough = settings(max_examples=150, suppress_health_check=list(HealthCheck))


def is_documented(error):
    """An error is the one that is documented, says where, and is short enough to be read."""
    assert type(error) is SerializationError
    assert isinstance(error.place, str)
    assert error.place
    assert str(error).startswith(error.place)
    assert len(str(error)) <= LONGEST_MESSAGE


def state_of(target):
    """All that there is to a flow or a job."""
    return dict(vars(target)), target.serialize()


def throw_all(read, documents, fresh, accept, *, allowed=""):
    """Have documents read one after the other; say how many.

    What is bad changes nothing, and what is good must do for ``accept``.
    """
    target = fresh()
    before, parts = target.serialize(), dict(vars(target))
    count = 0
    with watched(allowed):
        for path, document in documents:
            count += 1
            try:
                target, parts = throw(read, document, target, parts, fresh, accept)
            except BaseException as error:
                error.add_note(f"at {path}")
                raise
    assert target.serialize() == before
    return count


def throw(read, document, target, parts, fresh, accept):
    """Have one document read; return what to read the next one into."""
    try:
        read(target, document)
    except SerializationError as error:
        is_documented(error)
        assert vars(target) == parts
        return target, parts
    accept(target)
    target = fresh()
    return target, dict(vars(target))


def accept_flow(flow):
    """A flow that was read is whole: it can be stored and read again, and holds nothing but registered classes."""
    for routine in flow.routines.values():
        assert Routine.registry[routine.registry_name()] is type(routine)
    document = flow.serialize()
    again = Flow("again")
    again.deserialize(json.loads(json.dumps(document, allow_nan=False)))
    assert again.serialize() == document


def accept_job(job):
    """A job that was read is whole: it can be stored and read again."""
    document = job.serialize()
    again = JobState.deserialize(json.loads(json.dumps(document, allow_nan=False)))
    assert again.serialize() == document


def fresh_flow():
    return Flow("before")


def fresh_job():
    return JobState.deserialize({**JOB, "job_id": "before"})


@pytest.fixture(autouse=True, scope="module")
def _warm():
    """What is imported when it is first needed has been."""
    flow = Flow("warm")
    flow.deserialize(FLOW)
    accept_flow(flow)
    accept_job(fresh_job())
    with suppress(SerializationError):
        JobState.load(__file__)


def read_job(job, data):
    job.deserialize(data)


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: f"{KNOWN.index(case)}")
def test_what_is_known_to_be_nasty_stands_anywhere(case):
    """Each such value in place of each thing in a flow's document, and in a job's."""
    count = throw_all(Flow.deserialize, spoilt(FLOW, case, "put"), fresh_flow, accept_flow)
    count += throw_all(read_job, spoilt(JOB, case, "put"), fresh_job, accept_job)
    assert count == PLACES


def test_there_are_ten_thousand_documents():
    """The test above alone reads as many: each nasty value at each place."""
    assert len(KNOWN) * PLACES >= 10_000


any_case = st.one_of(st.sampled_from(KNOWN), cases)


@pytest.mark.long
@thorough
@given(any_case, st.sampled_from(KINDS))
def test_whatever_stands_anywhere_in_a_flow(case, kind):
    """Put, added, renamed, removed, doubled at each place of a flow's document."""
    throw_all(Flow.deserialize, spoilt(FLOW, case, kind), fresh_flow, accept_flow)


@pytest.mark.long
@thorough
@given(any_case, st.sampled_from(KINDS))
def test_whatever_stands_anywhere_in_a_job(case, kind):
    """The same for a job's document."""
    throw_all(read_job, spoilt(JOB, case, kind), fresh_job, accept_job)


CONTENT = json.dumps(JOB).encode()

edits = st.one_of(
    st.tuples(st.just("truncate"), st.just(b"")),
    st.tuples(st.just("insert"), st.one_of(st.binary(min_size=1, max_size=3), st.just(b"NaN"))),
    st.tuples(
        st.just("replace"),
        st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([b"\xff", b"\x00", b'"', b"}", b"9" * 40])),
    ),
    st.tuples(st.just("repeat"), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("delete"), st.binary(min_size=1, max_size=40)),
)


def edited(content, edit, position):
    """The content of a file with something done to it at a position."""
    kind, piece = edit
    head, tail = content[:position], content[position:]
    if kind == "truncate":
        return head
    if kind == "insert":
        return head + piece + tail
    if kind == "replace":
        return head + piece + tail[len(piece) :]
    if kind == "repeat":
        return head + tail[: len(piece)] * 2 + tail[len(piece) :]
    return head + tail[len(piece) :]


@pytest.mark.long
@thorough
@given(edits, st.integers(0, 30), st.integers(20, 40))
def test_whatever_is_done_to_a_file(tmp_path_factory, edit, first, step):
    """Cut off, overwritten, doubled, spoilt byte by byte: it is not a job, or it is one that is whole."""
    path = tmp_path_factory.getbasetemp() / "hostile.json"

    def read(job, content):
        path.write_bytes(content)
        job.load(path)

    documents = [(at, edited(CONTENT, edit, at)) for at in range(first, len(CONTENT), step)]
    throw_all(read, documents, fresh_job, accept_job, allowed="hostile.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"NaN",
        b"-Infinity",
        b'{"format": "routilux/job", "format": "routilux/job"}',
        b'\xef\xbb\xbf{"format": "routilux/job"}',
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b'"' + b"x" * 1_000_000,
        b"\x80",
        json.dumps(JOB).encode("utf-16"),
        json.dumps(JOB).encode() + b"{}",
        json.dumps({**JOB, "version": 2}).encode(),
        json.dumps(FLOW).encode(),
        bytes(range(256)),
    ],
)
def test_a_file_that_is_no_job(tmp_path, content):
    """The error names the file, or the place in the document."""
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    job = fresh_job()
    before = state_of(job)
    with pytest.raises(SerializationError) as raised, watched("hostile.json"):
        job.load(path)
    is_documented(raised.value)
    assert state_of(job) == before


resumed = st.tuples(
    st.sampled_from(["pending", "gathered", "deferred_events"]),
    st.integers(0, 2),
    st.sampled_from(["routine", "slot", "event", "data", "attempt", "merged", "due", "number", "time_left"]),
    st.one_of(
        st.sampled_from(["", "nobody", "in", "sum", "trigger", "sink", "source", "out", "a"]),
        st.integers(-(2**41), 2**41),
        st.floats(allow_nan=False),
        st.booleans(),
        st.none(),
        st.dictionaries(st.sampled_from(["n", "k", "data", "self", "flow"]), json_values, max_size=3),
    ),
)


@pytest.mark.long
@settings(thorough, max_examples=300)
@given(st.lists(resumed, min_size=1, max_size=4))
def test_whatever_was_read_can_be_resumed_or_is_refused(changes):
    """A job that was read runs to an end, or the flow says what it has not; no thread is left, and nothing set off."""
    document = json.loads(json.dumps(JOB))
    for part, index, field, value in changes:
        entries = document[part]
        entries[index % len(entries)][field] = value

    def program():
        flow = Flow("before")
        flow.deserialize(FLOW)
        try:
            job = JobState.deserialize(document)
            before = state_of(job)
        except SerializationError as error:
            is_documented(error)
            return
        try:
            flow.resume(job)
        except SerializationError as error:
            is_documented(error)
            assert state_of(job) == before
            return
        if not JobState.wait_for_completion(flow, job, timeout=100):
            with suppress(JobStatusError):
                flow.resume(job)
            flow.cancel(job)
        assert JobState.wait_for_completion(flow, job, timeout=100)
        accept_job(job)
        assert flow.shutdown(timeout=100)

    hostile.sprung.clear()
    simulate(program).result()
    assert not hostile.sprung
