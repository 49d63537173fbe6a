"""What `validate` finds in a flow, and what it keeps quiet about."""

from __future__ import annotations

import functools
import operator
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.concurrent_flow_demo import create_concurrent_flow
from routilux import Flow, HandlerArgumentError, Routine
from routilux.engine.binding import bind
from routilux.validation import LEVELS, Finding, required_parameters, strong_components, validate

MANY = 5_000


def anything(**kwargs):
    """Take what comes."""


def routine(*slots, events=(), handler=anything, merge_strategy="override"):
    """A routine with those slots and events; an event is a name, or a pair of a name and what it declares."""
    made = Routine()
    for name in slots:
        made.define_slot(name, handler, merge_strategy)
    for event in events:
        made.define_event(*([event] if isinstance(event, str) else event))
    return made


def flow_of(connections=(), /, **routines):
    flow = Flow("checked")
    for routine_id, made in routines.items():
        flow.add_routine(made, routine_id)
    for connection in connections:
        flow.connect(*connection)
    return flow


def pair(declared, handler, mapping=None, merge_strategy="override"):
    """``entry`` emits what is declared to ``sink``, whose handler is given."""
    return flow_of(
        [("entry", "out", "sink", "in", mapping)],
        entry=routine("trigger", events=[("out", declared)]),
        sink=routine("in", handler=handler, merge_strategy=merge_strategy),
    )


def found(flow, entry=None):
    return [(f.level, f.kind, f.routine_id) for f in validate(flow, entry)]


def messages(flow, kind, entry=None):
    return [f.message for f in validate(flow, entry) if f.kind == kind]


def test_a_sound_flow_has_no_findings():
    """Nothing is said about a flow in which all is well, such as the demo's."""
    assert validate(pair(["a", "b"], lambda a, b: None)) == []
    with create_concurrent_flow() as flow:
        assert validate(flow) == []


def test_a_finding_reads_as_one_line():
    """``str`` gives level, message and kind, also when a name holds a line break."""
    finding = Finding("error", "unknown-slot", "sink", "there is no slot 'in'")
    assert str(finding) == "error: there is no slot 'in' [unknown-slot]"
    flow = flow_of(**{"two\nlines": routine("trigger", events=["a\rb"])})
    (line,) = map(str, validate(flow))
    assert line.splitlines() == [line]
    assert r"'two\nlines'" in line


def test_a_slot_or_event_that_is_gone_is_an_error_with_what_there_is():
    """Routines may change under their connections; each end is looked at by itself."""
    flow = pair(None, anything)
    source, sink = flow.routines["entry"], flow.routines["sink"]
    sink._slots["input"] = sink._slots.pop("in")
    source.define_event("other")
    del source._events["out"]
    assert found(flow)[:3] == [
        ("error", "unknown-event", "entry"),
        ("error", "unknown-slot", "sink"),
        ("error", "unreachable", "sink"),
    ]
    assert messages(flow, "unknown-event") == [
        "'entry'.'out' -> 'sink'.'in' needs event 'out' of routine 'entry'; there are: 'other'"
    ]
    assert messages(flow, "unknown-slot") == [
        "'entry'.'out' -> 'sink'.'in' needs slot 'in' of routine 'sink'; there are: 'input'"
    ]


def test_a_routine_that_is_gone_is_an_error():
    """A connection whose routine is not in the flow cannot work."""
    flow = pair(None, anything)
    flow._graph.remove("sink")
    assert found(flow) == [("error", "unknown-routine", "sink")]


def test_a_flow_without_an_entry_is_one_error_and_not_one_a_routine():
    """Where no job can begin, that is the finding; that nothing is reached goes without saying."""
    flow = flow_of([("a", "out", "b", "in")], a=routine("in", events=["out"]), b=routine("in"))
    assert found(flow) == [("error", "no-entry", None), ("note", "unfed-slot", "a")]
    assert found(Flow()) == [("error", "no-entry", None)]


def test_routines_out_of_reach_are_errors():
    """Whatever no connections lead to from any entry is named, and what depends on it too."""
    flow = flow_of(
        [("start", "out", "near", "in"), ("lost", "out", "after", "in"), ("lost", "out", "near", "in")],
        start=routine("trigger", events=["out"]),
        near=routine("in"),
        lost=routine(events=["out"]),
        after=routine("in"),
    )
    assert found(flow) == [("error", "unreachable", "lost"), ("error", "unreachable", "after")]


def test_with_a_given_entry_the_other_entries_parts_are_notes():
    """What jobs from elsewhere reach is not wrong; what none reaches is."""
    flow = flow_of(
        [("first", "out", "one", "in"), ("second", "out", "two", "in")],
        first=routine("trigger", events=["out"]),
        second=routine("trigger", events=["out"]),
        one=routine("in"),
        two=routine("in"),
        none=routine(),
    )
    assert found(flow) == [("error", "unreachable", "none")]
    assert found(flow, "first") == [
        ("error", "unreachable", "none"),
        ("note", "other-entry", "second"),
        ("note", "other-entry", "two"),
    ]


def test_a_given_entry_must_be_there_and_have_a_trigger():
    """An unknown entry is the caller's mistake; one without the slot is the flow's."""
    flow = pair(None, anything)
    with pytest.raises(ValueError, match=r"unknown routine 'nobody' in flow 'checked'; there are: 'entry', 'sink'"):
        validate(flow, "nobody")
    assert found(flow, "sink") == [("error", "no-entry", "sink"), ("note", "other-entry", "entry")]


def test_renaming_what_an_event_does_not_declare_is_a_warning():
    """Only where the event declares anything at all."""
    assert found(pair(["a"], anything, {"b": "c"})) == [("warning", "undeclared-name", "entry")]
    assert messages(pair(["a"], anything, {"b": "c"}), "undeclared-name") == [
        "'entry'.'out' -> 'sink'.'in' renames 'b' to 'c', but the event declares only 'a'"
    ]
    assert found(pair(None, anything, {"b": "c"})) == []


def test_a_required_parameter_that_an_event_does_not_bring_is_a_warning():
    """By the names under which the data arrives: declared, and renamed on the way."""
    flow = pair(["a", "x"], lambda a, b, c=0: None)
    assert messages(flow, "missing-parameter") == [
        "the handler of 'sink'.'in' needs 'b', but 'entry'.'out' -> 'sink'.'in' brings only 'a', 'x'"
    ]
    assert found(pair(["a", "x"], lambda a, b, c=0: None, {"x": "b"})) == []
    assert found(pair(["a", "b"], lambda a, b: None, {"b": "x"})) == [("warning", "missing-parameter", "sink")]
    assert found(pair(None, lambda a, b: None)) == []


def test_every_event_must_bring_all_unless_the_slot_gathers():
    """Alone, each event lacks something; appended, the two bring what is needed; a merge function may do anything."""

    def flow(merge_strategy, second=("b",)):
        return flow_of(
            [("entry", "one", "sink", "in"), ("entry", "two", "sink", "in")],
            entry=routine("trigger", events=[("one", ["a"]), ("two", second)]),
            sink=routine("in", handler=lambda a, b: None, merge_strategy=merge_strategy),
        )

    assert found(flow("override")) == [("warning", "missing-parameter", "sink")] * 2
    assert found(flow("append")) == []
    assert found(flow("append", second=("c",))) == [("warning", "missing-parameter", "sink")]
    assert found(flow("append", second=())) == []
    assert found(flow(lambda old, new: {**old, **new}, second=("c",))) == []


def test_what_an_entry_gathers_may_come_from_its_caller():
    """A ``trigger`` that appends has its caller's parameters too, which nobody declares."""
    flow = flow_of(
        [("entry", "again", "entry", "trigger")],
        entry=routine("trigger", events=[("again", ["a"]), "end"], handler=lambda a, b: None, merge_strategy="append"),
    )
    assert messages(flow, "missing-parameter") == []


def test_loose_ends_are_notes():
    """Events that go nowhere, slots that nothing feeds, and slots that drop what arrives; a trigger needs none."""
    flow = flow_of(
        [("entry", "out", "sink", "in")],
        entry=routine("trigger", "extra", events=["out", "unused"]),
        sink=routine("in", handler=None),
    )
    assert found(flow) == [
        ("note", "unheard-event", "entry"),
        ("note", "unfed-slot", "entry"),
        ("note", "no-handler", "sink"),
    ]


def ring(*members, closing=(), **more):
    """An entry feeding a ring of routines; ``more`` are other routines, ``closing`` other connections."""
    connections = [("entry", "out", members[0], "in")]
    connections += [(a, "out", b, "in") for a, b in zip(members, (*members[1:], members[0]), strict=True)]
    parts = {name: routine("in", events=["out"]) for name in members}
    return flow_of([*connections, *closing], entry=routine("trigger", events=["out"]), **{**parts, **more})


def test_a_cycle_that_nothing_leads_out_of_is_a_note():
    """It says what can be known: that it goes on until a handler stops emitting."""
    flow = ring("a", "b")
    assert found(flow) == [("note", "cycle-without-exit", "a")]
    assert messages(flow, "cycle-without-exit") == [
        "routines 'a', 'b' feed each other, and nothing leads out: a job that gets there goes on until a handler "
        "stops emitting"
    ]
    assert messages(ring("a"), "cycle-without-exit")[0].startswith("routine 'a' feeds itself, and nothing leads out")


@pytest.mark.parametrize(
    "flow",
    [
        ring("a", "b", closing=[("b", "out", "c", "in")], c=routine("in")),
        ring("a", "b", b=routine("in", events=["out", "result"])),
        ring("a", "b", b=routine("in", events=["out"], handler=None)),
    ],
    ids=["a connection leads out", "an event is not connected", "a slot has no handler"],
)
def test_a_cycle_with_an_exit_is_none(flow):
    """A loop that something can leave is how one writes a loop."""
    assert messages(flow, "cycle-without-exit") == []


def test_findings_come_gravest_first_and_always_the_same():
    """Levels in order; within each, the order in which the flow was built."""
    flow = ring("b", "a", closing=[("a", "out", "sink", "in", {"y": "z"})], sink=routine("in"), lost=routine("in"))
    flow.routines["a"].events["out"].output_params.append("x")
    levels = [LEVELS.index(finding.level) for finding in validate(flow)]
    assert levels == sorted(levels)
    assert len(set(levels)) == 3
    assert validate(flow) == validate(flow)


@pytest.mark.parametrize("closed", [False, True], ids=["chain", "ring"])
def test_depth_does_not_matter(closed):
    """A chain and a ring far longer than the recursion limit are looked through like any other flow."""
    assert sys.getrecursionlimit() < MANY
    flow = flow_of(first=routine("trigger", "in", events=["out"]))
    flow.add_routine(routine("lost"), "lost")
    before = "first"
    for count in range(MANY):
        after = flow.add_routine(routine("in", events=["out"]), f"r{count}")
        flow.connect(before, "out", after, "in")
        before = after
    if closed:
        flow.connect(before, "out", "first", "in")
    kinds = {finding.kind for finding in validate(flow)}
    assert "unreachable" in kinds
    assert ("cycle-without-exit" in kinds) is closed
    if closed:
        assert f"'r3' and {MANY - 4:,} more feed each other" in messages(flow, "cycle-without-exit")[0]


@given(st.integers(1, 8).flatmap(lambda n: st.lists(st.lists(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_components_are_those_that_reach_each_other(edges):
    """Against the definition: two nodes share a component just when paths lead both ways; and order is as promised."""
    graph = dict(enumerate(edges))
    reach = {node: {node} for node in graph}
    for _ in graph:
        for node, targets in graph.items():
            reach[node].update(*(reach[target] for target in targets))
    components = strong_components(graph)
    assert sorted(node for component in components for node in component) == sorted(graph)
    place = {node: at for at, component in enumerate(components) for node in component}
    for a in graph:
        for b in graph:
            assert (place[a] == place[b]) == (b in reach[a] and a in reach[b])
            assert b not in reach[a] or place[b] <= place[a]


def missing_from_an_empty_event(handler):
    try:
        bind(handler)({})
    except HandlerArgumentError as error:
        return set(error.missing)
    except (TypeError, KeyError, AttributeError):
        return set()  # it was called, and did not like it
    return set()


def positional(a, /, b, c=1):
    """One by position, two by either."""


def one_positional_and_rest(a, /, **rest):
    """One by position, and whatever else."""


@pytest.mark.parametrize(
    "handler",
    [
        lambda: None,
        lambda a: None,
        lambda data: None,
        lambda *, a: None,
        lambda a, b: None,
        lambda a, b=1: None,
        lambda a, *, b: None,
        lambda *args: None,
        lambda a, *args: None,
        lambda **kwargs: None,
        lambda a, **kwargs: None,
        lambda a=1, **kwargs: None,
        positional,
        one_positional_and_rest,
        functools.partial(lambda a, b, c: None, 1),
        functools.partial(lambda a, b, c: None, c=1),
        Flow.connect,
        operator.itemgetter("a"),
        dict.fromkeys,
        print,
    ],
)
def test_required_parameters_are_those_that_a_call_is_refused_without(handler):
    """The binding of a handler refuses an empty event for just these names, and else calls it."""
    assert required_parameters(handler) == missing_from_an_empty_event(handler)
