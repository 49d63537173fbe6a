"""Flows as plain JSON and back: what survives, what is refused, and that hostile documents do no harm."""

from __future__ import annotations

import copy
import enum
import gc
import json
from datetime import UTC, datetime
from inspect import signature
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routilux import ErrorHandler, ErrorStrategy, Flow, Routine, SerializationError, serialization
from routilux.serialization import from_plain, register_encoder, to_plain


class CustomError(Exception):
    """An exception of the user's own."""


class Source(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("out", ["a", "b"])

    def go(self, **data):
        self.emit("out", **data)


class Sink(Routine):
    touched: ClassVar = []

    def __init__(self):
        super().__init__()
        self.seen = []
        self.define_slot("in", handler=self.take, merge_strategy="append")
        self.define_slot("sum", handler=self.take, merge_strategy=self.add)
        self.define_slot("deaf")

    def take(self, **data):
        self.seen.append(data)

    def take_other(self, **data):
        self.seen.append(("other", data))

    def add(self, old, new):
        return {"n": old.get("n", 0) + new["n"]}

    @property
    def alarm(self):
        Sink.touched.append("property")
        return self.take


class Demanding(Routine):
    """Cannot be made without arguments."""

    def __init__(self, needed):
        super().__init__()


CONFIG = {"delay": 0.5, "names": ["a", "b"], "nested": {"x": [1, None, True]}, "pair": (1, 2), "text": "ü"}


def rich():
    """A flow with something in every field."""
    flow = Flow("orders", execution_strategy="concurrent", max_workers=7, execution_timeout=12.5)
    flow.set_error_handler(ErrorHandler("skip", max_retries=0, retry_delay=0.25, retry_backoff=1.5))
    source, sink = Source(), Sink()
    source.set_config(**copy.deepcopy(CONFIG))
    sink.set_error_handler(
        ErrorHandler(
            "retry",
            max_retries=9,
            retry_delay=2,
            retry_backoff=3.5,
            retryable_exceptions=(OSError, CustomError),
            is_critical=True,
        )
    )
    flow.add_routine(source, "source")
    flow.add_routine(sink, "sink")
    flow.connect("source", "out", "sink", "in", {"a": "x"})
    flow.connect("source", "out", "sink", "sum", {"a": "n"})
    return flow


def read(document):
    flow = Flow("before")
    flow.deserialize(document)
    return flow


def again(flow):
    """The flow after a journey through JSON text."""
    return read(json.loads(json.dumps(flow.serialize(), allow_nan=False)))


def changed(path, value):
    """A rich document with ``value`` put at ``path``, or with that field removed."""
    document = json.loads(json.dumps(rich().serialize()))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


REMOVED = object()


def test_a_round_trip_keeps_everything():
    """Strategy, workers, timeout, error handlers with all fields, mappings, merge strategies, configuration survive."""
    flow = again(rich())
    assert flow.flow_id == "orders"
    assert (flow.execution_strategy, flow.max_workers, flow.execution_timeout) == ("concurrent", 7, 12.5)
    assert {rid: type(routine) for rid, routine in flow.routines.items()} == {"source": Source, "sink": Sink}
    assert [(c.key, c.param_mapping) for c in flow.connections] == [
        (("source", "out", "sink", "in"), {"a": "x"}),
        (("source", "out", "sink", "sum"), {"a": "n"}),
    ]
    source, sink = flow.routines.values()
    assert source.config() == CONFIG
    assert source.get_event("out").output_params == ["a", "b"]
    assert (source.get_error_handler(), sink.config()) == (None, {})
    assert {name: slot.merge_strategy for name, slot in sink.slots.items()} == {
        "in": "append",
        "sum": sink.add,
        "deaf": "override",
    }
    assert {name: slot.handler for name, slot in sink.slots.items()} == {
        "in": sink.take,
        "sum": sink.take,
        "deaf": None,
    }


@pytest.mark.parametrize("where", ["flow", "sink"])
def test_every_field_of_an_error_handler_survives(where):
    """Strategy, figures, retryable exceptions and the mark for critical are as they were."""

    def fields(flow):
        handler = flow.error_handler if where == "flow" else flow.routines["sink"].get_error_handler()
        return {name: getattr(handler, name) for name in signature(ErrorHandler).parameters}

    assert fields(again(rich())) == fields(rich())
    assert isinstance(fields(again(rich()))["strategy"], ErrorStrategy)


def test_the_document_is_plain_versioned_json():
    """It survives strict JSON unchanged and says format and version first."""
    document = rich().serialize()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document)[:2] == ["format", "version"]
    assert again(rich()).serialize() == document


def test_a_flow_that_was_read_runs():
    """The wiring works: events arrive, renamed and merged."""
    flow = again(rich())
    flow.set_execution_strategy("sequential")
    for _ in range(2):
        assert flow.execute("source", {"a": 1, "b": 2}).status == "completed"
    assert flow.routines["sink"].seen == [{"x": [1], "b": [2]}, {"n": 1}] * 2


def test_serializing_changes_nothing_and_copies():
    """Changing the document afterwards does not change the flow."""
    flow = rich()
    document = flow.serialize()
    before = copy.deepcopy(document)
    document["routines"]["source"]["config"]["names"].append("c")
    document["connections"][0]["param_mapping"]["b"] = "y"
    document["routines"]["source"]["events"]["out"].append("c")
    assert flow.serialize() == before


def test_reading_copies():
    """Changing the document after it was read does not change the flow."""
    document = rich().serialize()
    flow = read(document)
    before = copy.deepcopy(document)
    document["routines"]["source"]["config"]["names"].append("c")
    document["connections"][0]["param_mapping"]["b"] = "y"
    document["routines"]["source"]["events"]["out"].append("c")
    assert flow.serialize() == before


def test_slots_handlers_and_events_of_the_document_win():
    """A slot that was given another handler, and one added by hand, come back as they were."""
    flow = Flow("x")
    sink = Sink()
    sink.redefine_slot("in", sink.take_other)
    sink.define_slot("extra", sink.take_other)
    sink.define_event("done", ["n"])
    flow.add_routine(sink, "sink")
    flow = again(flow)
    fresh = flow.routines["sink"]
    fresh.get_slot("extra").receive({"a": 1})
    assert fresh.seen == [("other", {"a": 1})]
    assert (fresh.get_slot("in").merge_strategy, fresh.get_event("done").output_params) == ("override", ["n"])


@pytest.mark.parametrize("classes", [None, (), (ValueError,), (KeyboardInterrupt, CustomError)])
def test_retryable_exceptions_survive(classes):
    """None, none at all, built-in classes and one's own."""
    flow = Flow()
    flow.set_error_handler(ErrorHandler("retry", retryable_exceptions=classes))
    assert again(flow).error_handler.retryable_exceptions == classes


@pytest.mark.parametrize("timeout", [None, 1, 0.1, 1e-9])
def test_timeouts_survive(timeout):
    """Also the lack of one."""
    assert again(Flow(execution_timeout=timeout)).execution_timeout == timeout


def test_workers_of_a_sequential_flow_survive():
    """The figure for concurrent runs is kept while the strategy is sequential."""
    flow = again(Flow(max_workers=3))
    flow.set_execution_strategy("concurrent")
    assert flow.max_workers == 3


def test_the_scheduler_stays_the_receivers():
    """A flow reads what to run, and goes on deciding where."""
    flow = Flow()
    scheduler = flow._scheduler
    flow.deserialize(rich().serialize())
    assert flow._scheduler is scheduler


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text().filter(lambda key: key != "$type"), inner, max_size=4)
    ),
    max_leaves=12,
)
RICH = PLAIN | st.sets(st.integers() | st.text()) | st.frozensets(st.integers()) | st.datetimes()


@given(st.dictionaries(st.sampled_from("abc"), RICH))
def test_any_configuration_survives(config):
    """Plain values and those with encoders come back equal and of the same type, through JSON text."""
    flow = Flow()
    source = Source()
    source.set_config(**config)
    flow.add_routine(source, "source")
    flow = again(flow)
    got = flow.routines["source"].config()
    assert got == config
    assert {key: type(value) for key, value in got.items()} == {key: type(value) for key, value in config.items()}


def test_moments_keep_their_time_zone():
    """A datetime comes back as the same moment, aware or not."""
    for moment in (datetime(2024, 5, 6, 7, 8, 9, 10, UTC), datetime(2024, 5, 6)):
        assert from_plain(json.loads(json.dumps(to_plain(moment, "x"))), "x") == moment


class Point:
    def __init__(self, x):
        self.x = x


class Colour(enum.Enum):
    RED = 1


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [Point(1), Colour.RED, float("nan"), float("inf"), {1: "a"}, {"$type": 1}, b"x", print, LOOP, [object()]],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_stored_names_routine_and_field(value):
    """A configuration value that is not JSON is refused by routine and key; nothing is pickled."""
    flow = Flow()
    source = Source()
    source.set_config(fine=1, odd=value)
    flow.add_routine(source, "my_source")
    with pytest.raises(SerializationError, match=r"routine 'my_source'.*'odd'") as caught:
        flow.serialize()
    assert isinstance(caught.value, ValueError)


def by_lambda(routine):
    routine.define_slot("bad", handler=lambda: None)


def by_function(routine):
    routine.define_slot("bad", handler=print)


def by_another_routine(routine):
    routine.define_slot("bad", handler=Sink().take)


def by_base_method(routine):
    routine.define_slot("bad", handler=routine.set_config)


def by_merge_function(routine):
    routine.define_slot("bad", merge_strategy=lambda old, new: new)


@pytest.mark.parametrize("spoil", [by_lambda, by_function, by_another_routine, by_base_method, by_merge_function])
def test_functions_that_are_no_methods_of_the_routine_are_refused(spoil):
    """Handlers and merge functions are stored by method name; anything else is refused by routine and slot."""
    flow = Flow()
    source = Source()
    spoil(source)
    flow.add_routine(source, "my_source")
    with pytest.raises(SerializationError, match=r"routine 'my_source', slot 'bad', (handler|merge_strategy)"):
        flow.serialize()


def test_a_class_that_cannot_be_found_again_is_refused():
    """Two classes of one name cannot both be stored."""

    def make():
        class Twin(Routine):
            pass

        return Twin

    first, second = make(), make()
    flow = Flow()
    flow.add_routine(first(), "one")
    with pytest.raises(SerializationError, match=r"routine 'one'.*Twin"):
        flow.serialize()
    assert second


def test_registered_encoders_are_used_both_ways():
    """A type with an encoder is stored under its name and comes back."""
    register_encoder(Point, lambda point: point.x, Point, "test-point")
    try:
        flow = Flow()
        source = Source()
        source.set_config(where=[Point(3)])
        flow.add_routine(source, "source")
        assert flow.serialize()["routines"]["source"]["config"]["where"] == [{"$type": "test-point", "value": 3}]
        flow = again(flow)
        assert flow.routines["source"].config()["where"][0].x == 3
    finally:
        forget(Point, "test-point")


def forget(kind, name):
    del serialization._by_type[kind], serialization._by_name[name]


def test_an_encoder_that_raises_names_routine_and_field():
    """What goes wrong in an encoder is told with the place, like everything that cannot be stored."""

    def encode(point):
        raise LookupError("no way")

    register_encoder(Point, encode, Point, "test-point")
    try:
        flow = Flow()
        source = Source()
        source.set_config(where=Point(3))
        flow.add_routine(source, "my_source")
        with pytest.raises(SerializationError, match=r"routine 'my_source', config 'where'.*no way"):
            flow.serialize()
    finally:
        forget(Point, "test-point")


SINK_HANDLER = ("routines", "sink", "slots", "in", "handler")
SINK_MERGE = ("routines", "sink", "slots", "sum", "merge_strategy")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("format",), "other/flow", "'format'"),
        (("format",), REMOVED, "lacks 'format'"),
        (("version",), 2, "version"),
        (("version",), "1", "version"),
        (("version",), True, "version"),
        (("extra",), 1, "unknown field 'extra'"),
        (("flow_id",), 5, "'flow_id'"),
        (("flow_id",), "", "flow_id"),
        (("flow_id",), REMOVED, "lacks 'flow_id'"),
        (("execution_strategy",), "parallel", "'parallel'"),
        (("max_workers",), 0, "max_workers"),
        (("max_workers",), True, "max_workers"),
        (("max_workers",), 2.5, "max_workers"),
        (("execution_timeout",), -1, "execution_timeout"),
        (("execution_timeout",), float("inf"), "execution_timeout"),
        (("execution_timeout",), "1", "execution_timeout"),
        (("error_handler",), [], "error_handler"),
        (("error_handler", "strategy"), "ignore", "flow's error handler.*'ignore'"),
        (("error_handler", "max_retries"), -1, "flow's error handler.*max_retries"),
        (("error_handler", "retry_delay"), "x", "flow's error handler.*retry_delay"),
        (("error_handler", "retry_backoff"), None, "flow's error handler.*retry_backoff"),
        (("error_handler", "is_critical"), 1, "flow's error handler.*is_critical"),
        (("error_handler", "is_critical"), REMOVED, "flow's error handler.*is_critical"),
        (("error_handler", "more"), 1, "flow's error handler.*'more'"),
        (
            ("routines", "sink", "error_handler", "retryable_exceptions"),
            ["os:system"],
            "routine 'sink', error handler.*retryable.*os:system",
        ),
        (
            ("routines", "sink", "error_handler", "retryable_exceptions"),
            ["builtins:int"],
            "routine 'sink', error handler.*retryable",
        ),
        (
            ("routines", "sink", "error_handler", "retryable_exceptions"),
            [["builtins:ValueError"]],
            "routine 'sink', error handler.*retryable",
        ),
        (("routines",), [], "'routines'"),
        (("routines", "sink"), "Sink", "routine 'sink'"),
        (("routines", ""), {}, "routine ''"),
        (("routines", "sink", "class"), "os:system", "routine 'sink'.*'os:system'"),
        (("routines", "sink", "class"), "routilux.routine:Routine", "routine 'sink'.*class"),
        (("routines", "sink", "class"), f"{__name__}:Demanding", "routine 'sink'.*needed"),
        (("routines", "sink", "class"), None, "routine 'sink'.*class"),
        (("routines", "sink", "class"), REMOVED, "routine 'sink'.*class"),
        (("routines", "sink", "state"), {}, "routine 'sink'.*'state'"),
        (("routines", "sink", "config"), [], "routine 'sink'.*config"),
        (("routines", "sink", "config"), {"x": {"$type": "os:system", "value": "ls"}}, "routine 'sink', config 'x'"),
        (("routines", "sink", "config"), {"x": {"$type": "tuple"}}, "routine 'sink', config 'x'"),
        (("routines", "sink", "config"), {"x": {"$type": ["tuple"], "value": []}}, "routine 'sink', config 'x'"),
        (("routines", "sink", "config"), {"x": {"$type": "datetime", "value": "noon"}}, "routine 'sink', config 'x'"),
        (("routines", "sink", "config"), {"x": {"$type": "set", "value": [[]]}}, "routine 'sink', config 'x'"),
        (("routines", "sink", "config"), {"x": float("nan")}, "routine 'sink', config 'x'"),
        (("routines", "sink", "slots"), {"": {"handler": None, "merge_strategy": "override"}}, "slot ''"),
        (("routines", "sink", "config"), {"$type": "tuple", "value": []}, "routine 'sink', config"),
        (("routines", "sink", "slots", "in"), None, "routine 'sink', slot 'in'"),
        (SINK_HANDLER, "nothing_such", "routine 'sink', slot 'in', 'handler'.*'nothing_such'"),
        (SINK_HANDLER, 5, "routine 'sink', slot 'in'.*handler"),
        (SINK_HANDLER, REMOVED, "routine 'sink', slot 'in'.*handler"),
        (SINK_MERGE, "sum", "routine 'sink', slot 'sum'.*'sum'"),
        (SINK_MERGE, {"method": "nothing_such"}, "routine 'sink', slot 'sum', 'merge_strategy'"),
        (SINK_MERGE, {"method": None}, "routine 'sink', slot 'sum', 'merge_strategy'"),
        (SINK_MERGE, {"method": "add", "more": 1}, "routine 'sink', slot 'sum', 'merge_strategy'"),
        (("routines", "source", "events"), {"out": "ab"}, "routine 'source', event 'out'"),
        (("routines", "source", "events"), {"out": [1]}, "routine 'source', event 'out'"),
        (("routines", "source", "events"), {"": []}, "routine 'source'"),
        (("connections",), {}, "'connections'"),
        (("connections", 1), 5, "connection 1"),
        (("connections", 1, "source"), "nope", "connection 1.*'nope'"),
        (("connections", 1, "event"), "nope", "connection 1.*'nope'"),
        (("connections", 1, "target"), "nope", "connection 1.*'nope'"),
        (("connections", 1, "slot"), "nope", "connection 1.*'nope'"),
        (("connections", 1, "slot"), "in", "connection 1.*connected already"),
        (("connections", 1, "slot"), ["in"], "connection 1.*slot"),
        (("connections", 1, "param_mapping"), {"a": 1}, "connection 1.*param_mapping"),
        (("connections", 1, "param_mapping"), {"a": "x", "b": "x"}, "connection 1.*param_mapping"),
        (("connections", 1, "param_mapping"), None, "connection 1.*param_mapping"),
        (("connections", 1, "weight"), 1, "connection 1.*'weight'"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(path, value, words):
    """What is missing, unknown, of the wrong type or out of range is named; the flow that reads stays as it was."""
    flow = rich()
    before = flow.serialize()
    routines = dict(flow.routines)
    with pytest.raises(SerializationError, match=words):
        flow.deserialize(changed(path, value))
    assert flow.serialize() == before
    assert dict(flow.routines) == routines


@pytest.mark.parametrize("document", [None, [], "flow", 5, {}, {"format": None}])
def test_what_is_no_document_is_refused(document):
    """Anything but an object with the right format is a SerializationError."""
    with pytest.raises(SerializationError):
        read(document)


BASE_METHODS = dir(Routine)


@pytest.mark.parametrize("name", [*BASE_METHODS, "touched", "seen", "_config", "mro", ""])
def test_handler_names_reach_only_the_methods_of_the_class_itself(name):
    """What every Routine has, attributes, dunder names and nonsense are no handlers, nor merge functions."""
    for path, value in ((SINK_HANDLER, name), (SINK_MERGE, {"method": name})):
        with pytest.raises(SerializationError, match="defines no method"):
            read(changed(path, value))


def test_a_handler_name_runs_nothing():
    """Looking a handler up evaluates no property of the routine."""
    Sink.touched.clear()
    with pytest.raises(SerializationError):
        read(changed(SINK_HANDLER, "alarm"))
    assert Sink.touched == []


def test_only_registered_classes_are_made():
    """A class that is no Routine is never looked at, though its name be right."""
    made = []

    class Spy:
        def __init__(self):
            made.append(self)

    with pytest.raises(SerializationError, match="registered"):
        read(changed(("routines", "sink", "class"), f"{__name__}:{Spy.__qualname__}"))
    with pytest.raises(SerializationError, match="registered"):
        read(changed(("routines", "sink", "class"), f"{__name__}:Point"))
    assert made == []


def test_a_class_registers_itself():
    """Defining a subclass is enough: no decorator, no call."""
    assert Routine.registry[f"{__name__}:Sink"] is Sink


def test_a_class_that_is_gone_is_no_longer_registered():
    """The register keeps no class alive."""

    def make():
        class Passing(Routine):
            pass

        return Passing.registry_name()

    name = make()
    gc.collect()
    assert name not in Routine.registry


def test_the_exception_of_a_constructor_is_told_with_the_routine():
    """A routine whose constructor fails is named."""

    class Broken(Routine):
        def __init__(self):
            super().__init__()
            raise LookupError("out of order")

    with pytest.raises(SerializationError, match=r"routine 'sink'.*out of order"):
        read(changed(("routines", "sink", "class"), Broken.registry_name()))


def test_a_flow_that_has_run_reads_nothing():
    """Its jobs are of what it was: RuntimeError, and nothing changes."""
    flow = Flow("ran")
    flow.add_routine(Source(), "source")
    flow.execute("source")
    with pytest.raises(RuntimeError, match="has run jobs already"):
        flow.deserialize(rich().serialize())
    assert (flow.flow_id, list(flow.routines)) == ("ran", ["source"])


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def places(value, path=()):
    """The paths to all values in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


PLACES = [path for path in places(rich().serialize()) if path]


@pytest.mark.parametrize("value", [nested(100_000), 10**5000, -(10**400)], ids=["deep", "long", "big"])
def test_values_beyond_measure_are_refused_like_any_other(value):
    """Nesting or numbers without bound are a SerializationError wherever they stand, or are read as what they are."""
    wordy = []
    for path in PLACES:
        try:
            read(changed(path, value))
        except SerializationError as error:
            if len(str(error)) > 10_000:
                wordy.append(path)
    assert wordy == []


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["emit", "take", "__init__", "trigger", "in", "out", "sink", "source", "append", "retry", "tuple", "set"]
    )
    | st.sampled_from(
        [f"{__name__}:Sink", f"{__name__}:Demanding", "routilux.routine:Routine", "builtins:ValueError", "datetime"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.dictionaries(st.integers() | st.none(), inner, max_size=2)
        | st.fixed_dictionaries({"$type": inner, "value": inner})
        | st.fixed_dictionaries({"handler": inner, "merge_strategy": inner})
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.just(REMOVED) | HOSTILE), min_size=1, max_size=3))
def test_hostile_documents_raise_nothing_but_serialization_errors(changes):
    """Whatever is changed in a document, reading it works or raises SerializationError, and then changes nothing."""
    document = rich().serialize()
    for path, value in changes:
        place = document
        try:
            for key in path[:-1]:
                place = place[key]
            if value is REMOVED:
                del place[path[-1]]
            else:
                place[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    flow = Flow("before", max_workers=2)
    flow.add_routine(Source(), "kept")
    before = flow.serialize()
    try:
        flow.deserialize(document)
    except SerializationError:
        assert flow.serialize() == before
    else:
        assert again(flow).serialize() == flow.serialize()


@given(HOSTILE)
def test_no_value_at_all_breaks_the_reader(document):
    """Any JSON value instead of a document is a SerializationError."""
    with pytest.raises(SerializationError):
        read(document)
