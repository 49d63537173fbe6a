"""Trace events, held against the rules of the format."""

import json
from collections import defaultdict

import pictured_programs
import pytest

from routilux_sim.perfetto import STEPS, TIME, trace_events
from routilux_sim.picturing import of_seed

REQUIRED = {
    "M": {"name", "pid", "tid", "args"},
    "X": {"name", "cat", "pid", "tid", "ts", "dur"},
    "b": {"name", "cat", "pid", "tid", "ts", "id2"},
    "e": {"name", "cat", "pid", "tid", "ts", "id2"},
    "s": {"name", "cat", "pid", "tid", "ts", "id"},
    "f": {"name", "cat", "pid", "tid", "ts", "id", "bp"},
    "i": {"name", "cat", "pid", "tid", "ts", "s"},
}
"""The fields that an event of each phase must have (Google's "Trace Event Format")."""


@pytest.fixture(params=["two_locks", "conversation", "flow", "evil"])
def drawn(request):
    program = getattr(pictured_programs, request.param)
    timeline = of_seed(program, request.param, 1, nearest=False).timeline
    document = json.loads(json.dumps(trace_events(timeline), allow_nan=False))
    return timeline, document["traceEvents"]


def test_events_have_the_fields_that_the_format_asks_for(drawn):
    """And times that are numbers from 0 on."""
    for event in drawn[1]:
        assert REQUIRED[event["ph"]] <= event.keys()
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert all(event[key] >= 0 for key in ("ts", "dur") if key in event)


def test_spans_of_one_row_nest(drawn):
    """Two spans of a thread are one inside the other or apart, as viewers demand."""
    rows = defaultdict(list)
    for event in drawn[1]:
        if event["ph"] == "X":
            rows[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in rows.values():
        open_until = []
        for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)


def test_locks_begin_and_end_once(drawn):
    """Each pair has an id of its own in its process, and ends after it begins."""
    pairs = defaultdict(list)
    for event in drawn[1]:
        if event["ph"] in {"b", "e"}:
            pairs[event["pid"], event["id2"]["local"]].append((event["ph"], event["ts"]))
    for begin, end in pairs.values():
        assert (begin[0], end[0]) == ("b", "e")
        assert begin[1] <= end[1]


def test_arrows_bind_to_steps(drawn):
    """Both ends lie inside of a step of their row."""
    spans = {
        (event["pid"], event["tid"], event["ts"]) for event in drawn[1] if event["ph"] == "X" and event["cat"] == "step"
    }
    ends = [event for event in drawn[1] if event["ph"] in {"s", "f"}]
    assert len(ends) == 2 * len(drawn[0].arrows)
    assert all((event["pid"], event["tid"], event["ts"] - 0.5) in spans for event in ends)


def test_every_task_is_a_named_row_in_both_processes(drawn):
    """By steps and by virtual time."""
    timeline, events = drawn
    named = {(event["pid"], event["tid"], event["args"]["name"]) for event in events if event["name"] == "thread_name"}
    assert named == {
        (process, lane.task, timeline.name_of(lane.task)) for process in (STEPS, TIME) for lane in timeline.lanes
    }
