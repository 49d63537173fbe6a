"""Connections: renaming, what is refused, and what replacing a routine does to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import DuplicateNameError, Flow, Routine, UnknownNameError


class Source(Routine):
    """Emits its parameters as ``out``."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("out")
        self.define_event("other")

    def go(self, **data):
        self.emit("out", **data)


class Sink(Routine):
    """Appends what it gets to ``seen``, under its name."""

    def __init__(self, seen=None, name="sink"):
        super().__init__()
        self.seen = [] if seen is None else seen
        self.name = name
        self.define_slot("in", handler=self.take)
        self.define_slot("in2", handler=self.take)

    def take(self, **data):
        self.seen.append((self.name, data))


def pair(param_mapping=None):
    flow = Flow("orders")
    sink = Sink()
    flow.add_routine(Source(), "source")
    flow.add_routine(sink, "sink")
    connection = flow.connect("source", "out", "sink", "in", param_mapping)
    return flow, sink, connection


def delivered(flow, sink, **data):
    sink.seen.clear()
    assert flow.execute("source", data).status == "completed"
    return sink.seen


def test_param_mapping_renames_and_does_not_pass_the_source_name():
    """A renamed item arrives under its new name only; the others keep theirs."""
    flow, sink, _ = pair({"a": "x"})
    assert delivered(flow, sink, a=1, b=2) == [("sink", {"x": 1, "b": 2})]


def test_a_renamed_item_wins_over_one_of_that_name():
    """What the mapping puts somewhere is what arrives there."""
    flow, sink, _ = pair({"a": "b"})
    assert delivered(flow, sink, a=1, b=2) == [("sink", {"b": 1})]


def test_a_mapping_can_swap_names():
    """Names are renamed at the same time, not one after the other."""
    flow, sink, _ = pair({"a": "b", "b": "a"})
    assert delivered(flow, sink, a=1, b=2) == [("sink", {"a": 2, "b": 1})]


def test_a_mapped_name_that_was_not_emitted_is_not_made_up():
    """A mapping says nothing of items that are not there."""
    flow, sink, _ = pair({"a": "x"})
    assert delivered(flow, sink, b=2) == [("sink", {"b": 2})]


NAMES = st.sampled_from("abcd")


@given(
    mapping=st.dictionaries(NAMES, NAMES).filter(lambda m: len(set(m.values())) == len(m)),
    data=st.dictionaries(NAMES, st.integers()),
)
def test_renaming_obeys_its_law(mapping, data):
    """Mapped items arrive under their target, the rest under their own name unless displaced; nothing else arrives."""
    expected = {key: value for key, value in data.items() if key not in mapping}
    expected |= {mapping[key]: value for key, value in data.items() if key in mapping}
    flow, sink, _ = pair(mapping)
    assert delivered(flow, sink, **data) == [("sink", expected)]
    sink.seen.clear()
    flow.routines["source"].emit("out", **data)
    assert sink.seen == [("sink", expected)]


@pytest.mark.parametrize("mapping", [["a"], {"a": 1}, {1: "a"}, "ab"])
def test_a_mapping_maps_names_to_names(mapping):
    """Anything else is a TypeError, and nothing is connected."""
    flow = Flow()
    flow.add_routine(Source(), "source")
    flow.add_routine(Sink(), "sink")
    with pytest.raises(TypeError, match="param_mapping"):
        flow.connect("source", "out", "sink", "in", mapping)
    assert flow.connections == []


def test_a_mapping_must_not_make_two_names_one():
    """Two items renamed to one name would lose one of them: a ValueError."""
    with pytest.raises(ValueError, match="renames both 'a' and 'b' to 'x'"):
        pair({"a": "x", "b": "x"})


def test_a_mapping_is_copied():
    """Changing the dictionary afterwards changes nothing."""
    mapping = {"a": "x"}
    flow, sink, connection = pair(mapping)
    mapping["b"] = "y"
    assert connection.param_mapping == {"a": "x"}
    assert delivered(flow, sink, a=1, b=2) == [("sink", {"x": 1, "b": 2})]


def test_connect_returns_what_connections_list():
    """A connection tells its ends, and is listed in the order of connecting."""
    flow, _, first = pair({"a": "x"})
    second = flow.connect("source", "other", "sink", "in2")
    assert flow.connections == [first, second]
    assert first.key == ("source", "out", "sink", "in")


@pytest.mark.parametrize("mapping", [None, {"a": "x"}])
def test_the_same_pair_is_connected_once(mapping):
    """Connecting a pair a second time is a ValueError, mapped or not, and nothing is delivered twice."""
    flow, sink, _ = pair()
    with pytest.raises(DuplicateNameError, match=r"source\.out and sink\.in are connected already"):
        flow.connect("source", "out", "sink", "in", mapping)
    assert delivered(flow, sink, a=1) == [("sink", {"a": 1})]


def test_other_slots_and_events_of_the_pair_may_be_connected():
    """Only the same event with the same slot is a repetition."""
    flow, sink, _ = pair()
    flow.connect("source", "out", "sink", "in2")
    flow.connect("source", "other", "sink", "in")
    assert len(delivered(flow, sink, a=1)) == 2


@pytest.mark.parametrize(
    ("arguments", "kind", "name", "allowed"),
    [
        (("nope", "out", "sink", "in"), "routine", "nope", ["sink", "source"]),
        (("source", "out", "nope", "in"), "routine", "nope", ["sink", "source"]),
        (("source", "nope", "sink", "in"), "event", "nope", ["other", "out"]),
        (("source", "out", "sink", "nope"), "slot", "nope", ["in", "in2"]),
        ((None, "out", "sink", "in"), "routine", None, ["sink", "source"]),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_exist(arguments, kind, name, allowed):
    """An unknown routine, event or slot is a ValueError that lists what is allowed; nothing is connected."""
    flow = Flow()
    flow.add_routine(Source(), "source")
    flow.add_routine(Sink(), "sink")
    with pytest.raises(ValueError, match=f"unknown {kind}") as caught:
        flow.connect(*arguments)
    error = caught.value
    assert isinstance(error, UnknownNameError)
    assert (error.kind, error.name, error.allowed) == (kind, name, allowed)
    assert all(repr(choice) in str(error) for choice in [name, *allowed])
    assert flow.connections == []


def test_an_unknown_event_cannot_be_emitted():
    """Emitting what was not defined is a ValueError that lists the events, outside a flow and inside."""
    source = Source()
    with pytest.raises(ValueError, match=r"unknown event 'nope'.*'other', 'out'"):
        source.emit("nope")
    bad = Routine()
    bad.define_event("out")
    bad.define_slot("trigger", handler=lambda: bad.emit("nope"))
    flow = Flow()
    flow.add_routine(bad, "bad")
    job = flow.execute("bad")
    assert (job.status, type(job.error)) == ("failed", UnknownNameError)


def test_an_event_defined_later_can_be_connected_and_emitted():
    """Slots and events may be added after the routine has joined a flow."""
    flow, sink, _ = pair()
    source = flow.routines["source"]
    source.define_event("late")
    source.define_slot("again", handler=lambda: None)
    flow.connect("source", "late", "sink", "in2")
    source.emit("late", a=1)
    assert sink.seen == [("sink", {"a": 1})]


def test_routine_ids_are_unique_and_made_up_from_the_class():
    """``add_routine`` returns the id, and refuses one that is taken or a routine that is in already."""
    flow = Flow()
    assert [flow.add_routine(Sink()) for _ in range(3)] == ["sink", "sink_2", "sink_3"]
    with pytest.raises(ValueError, match="has a routine 'sink' already"):
        flow.add_routine(Sink(), "sink")
    with pytest.raises(ValueError, match="is in flow"):
        flow.add_routine(flow.routines["sink"], "other")
    with pytest.raises(TypeError, match="Routine objects"):
        flow.add_routine(Sink, "cls")
    for bad in ("", 3):
        with pytest.raises(ValueError, match="non-empty string"):
            flow.add_routine(Sink(), bad)
    assert list(flow.routines) == ["sink", "sink_2", "sink_3"]


def test_replacing_a_target_keeps_its_connections():
    """A routine put in another's place gets that one's events, renamed as before; the old one gets none."""
    flow, old, _ = pair({"a": "x"})
    new = Sink(name="new")
    flow.routines["sink"] = new
    assert delivered(flow, new, a=1) == [("new", {"x": 1})]
    assert old.seen == []


def test_replacing_a_source_keeps_its_connections():
    """The newcomer's events go where the old one's went; the old one's go nowhere."""
    flow, sink, _ = pair({"a": "x"})
    old = flow.routines["source"]
    flow.routines["source"] = Source()
    assert delivered(flow, sink, a=1) == [("sink", {"x": 1})]
    sink.seen.clear()
    old.emit("out", a=1)
    assert sink.seen == []
    flow.routines["source"].emit("out", a=2)
    assert sink.seen == [("sink", {"x": 2})]


class Loop(Routine):
    """Feeds itself until ``left`` is 0."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.define_slot("trigger", handler=self.go)
        self.define_event("again")

    def go(self, left):
        self.seen.append(left)
        if left:
            self.emit("again", left=left - 1)


def test_replacing_a_routine_connected_to_itself_keeps_the_loop():
    """A loop belongs to the place, so the newcomer feeds itself."""
    flow = Flow()
    flow.add_routine(Loop(), "loop")
    flow.connect("loop", "again", "loop", "trigger")
    flow.routines["loop"] = new = Loop()
    flow.execute("loop", {"left": 2})
    assert new.seen == [2, 1, 0]


def test_replacing_a_routine_keeps_the_order_of_delivery():
    """Who gets an event first does not depend on who was replaced."""
    seen = []
    flow = Flow()
    flow.add_routine(Source(), "source")
    for name in "abc":
        flow.add_routine(Sink(seen, name), name)
        flow.connect("source", "out", name, "in")
    flow.routines["a"] = Sink(seen, "A")
    flow.execute("source")
    assert [name for name, _ in seen] == ["A", "b", "c"]
    seen.clear()
    flow.routines["source"].emit("out")
    assert [name for name, _ in seen] == ["A", "b", "c"]


@pytest.mark.parametrize(("place", "newcomer"), [("sink", Source), ("source", Sink)])
def test_replacing_by_something_that_does_not_fit_changes_nothing(place, newcomer):
    """A newcomer without the events and slots that connections use is refused by name; the old one goes on."""
    flow, sink, connection = pair()
    before = dict(flow.routines)
    with pytest.raises(ValueError, match=r"unknown (slot|event).*there are.*needs it"):
        flow.routines[place] = newcomer()
    assert dict(flow.routines) == before
    assert flow.connections == [connection]
    assert delivered(flow, sink, a=1) == [("sink", {"a": 1})]


def test_putting_a_routine_where_it_is_changes_nothing():
    """Assigning the same routine to its own place is no replacement."""
    flow, sink, _ = pair()
    flow.routines["sink"] = sink
    assert delivered(flow, sink, a=1) == [("sink", {"a": 1})]


def test_a_routine_in_use_is_not_removed():
    """Deleting a connected routine is refused; one without connections goes."""
    flow, sink, _ = pair()
    with pytest.raises(ValueError, match="cannot be removed"):
        del flow.routines["sink"]
    assert delivered(flow, sink, a=1) == [("sink", {"a": 1})]
    flow.add_routine(Sink(), "lonely")
    del flow.routines["lonely"]
    assert list(flow.routines) == ["source", "sink"]
    with pytest.raises(ValueError, match="unknown routine 'lonely'"):
        del flow.routines["lonely"]


def test_a_routine_in_two_flows_emits_within_the_job_at_hand():
    """One routine may be part of two flows; its events stay in the flow whose job runs."""
    shared = Source()
    seen = []
    flows = []
    for name in ("one", "two"):
        flow = Flow(name)
        flow.add_routine(shared, "source")
        flow.add_routine(Sink(seen, name), "sink")
        flow.connect("source", "out", "sink", "in")
        flows.append(flow)
    for flow in flows:
        flow.execute("source")
    assert [name for name, _ in seen] == ["one", "two"]


def test_the_table_of_routines_can_be_used_alone():
    """``flow.routines`` works as long as somebody has it, like any attribute."""
    assert type(pair()[0].routines["sink"]) is Sink
