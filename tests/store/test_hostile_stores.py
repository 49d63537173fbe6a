"""Stores that somebody has meddled with: every value, column, table and byte may be anything.

Whatever is asked of such a store ends in one of the documented errors, nothing is imported or made that its text names,
and the jobs that are whole go on.
"""

from __future__ import annotations

import itertools
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routilux import ErrorHandler, Flow, JobState, Routine
from routilux.exceptions import RestoredError, SerializationError, StoreError
from routilux.job_document import GatheredData, Kept
from routilux.job_state import PendingTask
from routilux.serialization import TAG
from routilux.store import JobStore

TABLES = {
    "jobs": "job_id flow_id status created updated emitted next_number time_left document",
    "activations": "job_id number routine slot attempt due merged data outcome ended duration_ns error",
    "gathered": "job_id routine slot data",
    "lines": "job_id log number data",
}
JOBS = {"one": "running", "two": "running", "paused": "paused", "ended": "completed", "failed": "failed"}
MADE = []


class Image:
    """A store's bytes, which are nothing to look at."""

    def __init__(self, raw):
        self.raw = raw


class Canary(Routine):
    """Says so if anybody makes one."""

    def __init__(self):
        super().__init__()
        MADE.append(self)


def flow_of(store):
    """Entry, a slot that merges, and one that fails a first time."""
    flow = Flow("flow", "concurrent", 2, store=store)
    source, total, flaky = Routine(), Routine(), Routine()

    def go(**data):
        source.emit("out", n=1)

    def fail_once(**data):
        if flaky.get_execution_context().job_state.get_shared_data("failed") is None:
            flaky.get_execution_context().job_state.update_shared_data("failed", True)
            raise ValueError("once")

    source.define_slot("trigger", handler=go)
    source.define_event("out")
    total.define_slot("in", handler=lambda **data: None, merge_strategy="append")
    flaky.define_slot("in", handler=fail_once)
    flaky.set_error_handler(ErrorHandler("retry", retry_delay=0.001))
    for name, routine in {"entry": source, "total": total, "flaky": flaky}.items():
        flow.add_routine(routine, name)
    flow.connect("entry", "out", "total", "in")
    flow.connect("entry", "out", "flaky", "in")
    return flow


def put(store, name, status):
    """A job with one of everything: ends with and without an error, something to do, gathered, deferred."""
    job = JobState("flow", name)
    job.status = status
    job.error = RestoredError("ValueError", "bad") if status == "failed" else None
    job.update_shared_data("some", {"thing": [1, 2.5, None]})
    job.append_to_shared_log({"line": 1})
    job.send_output("entry", "progress", {"percent": 50})
    job.add_deferred_event("entry", "out", {"n": 2})
    tasks = [
        PendingTask("entry", "trigger", {}, number=1),
        PendingTask("total", "in", {"n": [1]}, merged=True, number=2),
        PendingTask("total", "in", {"n": 5}, number=3),
        PendingTask("flaky", "in", {"n": 1}, attempt=2, due=1.0, number=4),
        PendingTask("entry", "trigger", {}, number=5),
    ]
    job._kept = Kept(tasks, [GatheredData("total", "in", {"n": [1]})], "concurrent", 100.0, 6)
    store.put(job)
    store._database.execute(
        "UPDATE activations SET outcome = 'error_continued', ended = 1e9, duration_ns = 5, error = 'bad', data = NULL"
        " WHERE job_id = ? AND number = 5",
        (name,),
    )


@pytest.fixture(scope="module")
def image():
    """A store of some jobs, whose tables take everything everywhere."""
    with JobStore(":memory:") as store:
        for name, status in JOBS.items():
            put(store, name, status)
        database = store._database
        database.execute("PRAGMA foreign_keys = OFF")
        for table, columns in TABLES.items():
            database.execute(f"ALTER TABLE {table} RENAME TO old")
            database.execute(f"CREATE TABLE {table} ({columns.replace(' ', ', ')})")
            database.execute(f"INSERT INTO {table} SELECT {columns.replace(' ', ', ')} FROM old")
            database.execute("DROP TABLE old")
        return Image(database.serialize())


ERRORS = (StoreError, SerializationError)


def ask_everything(store, hurt):
    """List, read and recover, and see the jobs that are not hurt to their end; return what went wrong."""
    wrong = []
    try:
        listed = store.jobs()
    except StoreError as error:
        listed = []
        wrong.append(error)
    for name in {*JOBS, *(job.job_id for job in listed)}:
        try:
            store.load(name)
        except (*ERRORS, KeyError) as error:
            wrong.append(error)
    flow = flow_of(store)
    try:
        flow.recover()
    except ERRORS as error:
        wrong.append(error)
    for job_id, account in list(flow._engine._live.items()):
        if job_id in JOBS and job_id not in hurt and account.job.status != "paused":
            assert JobState.wait_for_completion(flow, account.job, timeout=10)
            assert account.job.status == "completed"
        else:
            flow.cancel(account.job)
    flow.shutdown(timeout=10)
    return wrong


def opened(image):
    store = JobStore(":memory:")
    store._database.deserialize(image.raw)
    return store


def statuses(store):
    return dict(store._database.execute("SELECT job_id, status FROM jobs"))


def test_the_store_is_fine_before_anybody_meddles(image):
    """Nothing is wrong with it, and what can go on does."""
    with opened(image) as store:
        assert ask_everything(store, ()) == []
        assert statuses(store) == {
            "one": "completed",
            "two": "completed",
            "paused": "cancelled",
            "ended": "completed",
            "failed": "failed",
        }


HOSTILE_TEXTS = (
    "",
    "x",
    "null",
    "[]",
    "{}",
    "[" * 3000,
    '{"a": NaN}',
    '{"a": 1, "a": 2}',
    '{"a": 1e999}',
    "9" * 5000,
    json.dumps({TAG: "datetime", "value": "yesterday"}),
    json.dumps({TAG: f"{__name__}.Canary", "value": {}}),
    json.dumps({"n": {TAG: "os.system", "value": "true"}}),
    json.dumps({"class": f"{__name__}.Canary", "module": "antigravity"}),
    "completed",
    "running",
    "paused",
    "two",
    "entry",
    "trigger",
    "in\0",
)
values = st.one_of(
    st.none(),
    st.sampled_from(HOSTILE_TEXTS),
    st.sampled_from((0, -1, 1, 2, 2**31, 2**40, 2**63 - 1, -(2**63))),
    st.sampled_from((0.5, -1.0, 1e12, 1e308, float("inf"), -float("inf"))),
    st.sampled_from((b"", b"\xff\xfe", b"{}", b"one", b"\0" * 50)),
    st.text(max_size=20).filter(lambda text: text.isascii()),
)
cells = st.sampled_from([(table, column) for table, columns in TABLES.items() for column in columns.split()])
quick = settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.long
@quick
@given(cells, st.integers(0, 24), values)
def test_any_value_may_stand_anywhere(image, cell, row, value):
    """An error that is documented, or none; the jobs whose rows were left alone go on to their end."""
    table, column = cell
    with opened(image) as store:
        rows = store._database.execute(f"SELECT rowid, job_id FROM {table} ORDER BY rowid").fetchall()
        rowid, job_id = rows[row % len(rows)]
        store._database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, rowid))
        ask_everything(store, {job_id, value})
    assert MADE == []


@pytest.mark.long
@settings(quick, max_examples=250)
@given(st.binary(min_size=1, max_size=6), st.sampled_from(["document", "data"]), st.integers(0, 10**6))
def test_text_need_not_be_text(image, garbage, column, offset):
    """Not even UTF-8: the row's job cannot be read, and the others go on."""
    table = "jobs" if column == "document" else "activations"
    with opened(image) as store:
        rows = store._database.execute(
            f"SELECT rowid, job_id, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY rowid"
        ).fetchall()
        rowid, job_id, text = rows[offset % len(rows)]
        at = offset % (len(text) + 1)
        raw = text.encode()[:at] + garbage + text.encode()[at:]
        store._database.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = ?", (raw, rowid))
        ask_everything(store, {job_id})


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DROP TABLE {table}" for table in TABLES),
        *(f"ALTER TABLE {table} RENAME TO lost" for table in TABLES),
        *(
            f"ALTER TABLE {table} RENAME COLUMN {column} TO lost"
            for table, columns in TABLES.items()
            for column in columns.split()
        ),
        "CREATE TRIGGER no BEFORE INSERT ON activations BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER no BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        "CREATE TRIGGER no BEFORE UPDATE ON activations BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER no AFTER UPDATE ON jobs BEGIN SELECT load_extension('canary'); END",
        "DELETE FROM activations",
        "DELETE FROM jobs",
    ],
)
def test_any_table_may_be_otherwise(image, statement):
    """Missing, renamed, or with triggers that refuse, undo or ignore what is written."""
    with opened(image) as store:
        store._database.execute(statement)
        wrong = ask_everything(store, set(JOBS))
        assert wrong or statement.startswith("DELETE") or "TRIGGER" in statement


numbering = itertools.count()


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A store's file, as bytes."""
    path = tmp_path_factory.mktemp("stores") / "jobs.db"
    with JobStore(path) as store:
        for name, status in JOBS.items():
            put(store, name, status)
    return Image(path.read_bytes())


@pytest.mark.long
@settings(quick, max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
    st.one_of(st.none(), st.integers(0, 10**6)),
    st.booleans(),
)
def test_any_byte_of_the_file_may_be_wrong(content, tmp_path, changes, length, read_only):
    """Overwritten or cut off anywhere, header included: it cannot be opened, or what is broken cannot be read."""
    raw = bytearray(content.raw)
    for at, byte in changes:
        # Half of them where they hurt the most.
        raw[at % (len(raw) if at % 2 else 200)] = byte
    if length is not None:
        del raw[length % len(raw) :]
    path = tmp_path / f"{next(numbering)}.db"
    path.write_bytes(raw)
    try:
        store = JobStore(path, timeout=0, read_only=read_only)
    except StoreError:
        return
    with store:
        ask_everything(store, set(JOBS))


def test_nothing_was_imported():
    """However often a store has named it."""
    assert "antigravity" not in sys.modules
    assert MADE == []
