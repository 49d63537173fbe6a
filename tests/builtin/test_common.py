"""What holds for every built-in routine: how it is made, configured, stored and connected."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import ClassVar

import pytest

from routilux import Flow, Routine, SerializationError, UnknownNameError, builtin
from routilux.builtin import (
    Aggregator,
    Batcher,
    BuiltinRoutine,
    ConditionalRouter,
    ConfigurationError,
    DataFlattener,
    DataTransformer,
    DataValidator,
    Filter,
    Mapper,
    ResultExtractor,
    Splitter,
    TextClipper,
    TextRenderer,
    TimeProvider,
)
from tests.builtin.flows import Sink, collect, output, run, stored, wire

ROUTINES = [
    Aggregator,
    Batcher,
    ConditionalRouter,
    DataFlattener,
    DataTransformer,
    DataValidator,
    Filter,
    Mapper,
    ResultExtractor,
    Splitter,
    TextClipper,
    TextRenderer,
    TimeProvider,
]

CONFIGURED = [
    (Aggregator, {"count": 2, "combine": "sum"}, [{"item": 2, "index": 1}, {"item": 3, "index": 0}]),
    (Aggregator, {"required": ["a", "b"]}, [{"a": 1}, {"b": 2}]),
    (Batcher, {"size": 2, "group_by": "g"}, [{"item": n, "g": "x", "total": 3} for n in range(3)]),
    (
        ConditionalRouter,
        {"routes": [["big", "n > 10"], ["small", "n < 3"]], "mode": "all", "default": "other"},
        [{"n": 11}, {"n": 1}, {"n": 5}],
    ),
    (DataFlattener, {"separator": "/", "max_depth": 2}, [{"data": {"a": {"b": {"c": 1}}}}]),
    (
        DataTransformer,
        {"fields": {"n": ["strip", "int"]}, "compute": {"m": "n * 2"}, "rename": {"x": "y"}, "drop": ["z"]},
        [{"data": {"n": " 3 ", "x": 1, "z": 2}}],
    ),
    (
        DataValidator,
        {"rules": {"n": {"type": "int", "min": 1, "check": "value % 2 == 1"}}, "strict": True},
        [{"data": {"n": 2, "m": 1}}, {"data": {"n": 3}}],
    ),
    (Filter, {"condition": "n % 2 == 0"}, [{"n": 1}, {"n": 2}]),
    (Mapper, {"function": "upper"}, [{"item": "a"}]),
    (Mapper, {"expression": "item + index", "each": True, "key": "items"}, [{"items": [1, 2]}]),
    (ResultExtractor, {"method": "regex", "pattern": r"(\d+)"}, [{"text": "a 12 b"}]),
    (ResultExtractor, {"method": "path", "path": "a.0", "key": None}, [{"a": [5]}]),
    (Splitter, {"batch_size": 2}, [{"items": [1, 2, 3]}]),
    (TextClipper, {"max_length": 2, "unit": "words", "keep": "ends"}, [{"text": "a b c d"}]),
    (TextRenderer, {"template": "{a.b}$c", "missing": "empty"}, [{"a": {"b": 1}}]),
    (TimeProvider, {"format": "%Y", "timezone": "+02:00"}, [{}]),
]


@pytest.mark.parametrize("kind", ROUTINES)
def test_every_routine_is_made_without_arguments_and_has_both_slots(kind):
    """A constructor without arguments; the slots ``input`` and ``trigger``, with the same handler; a docstring."""
    routine = kind()
    assert isinstance(routine, Routine)
    assert list(routine.slots) == ["input", "trigger"]
    assert len({slot.handler for slot in routine.slots.values()}) == 1
    assert routine.events
    assert kind.__doc__
    assert routine.config() == {}


@pytest.mark.parametrize("kind", ROUTINES)
def test_every_option_is_documented(kind):
    """The docstring of a routine, and the table of the package, name each of its options and events."""
    lines = [line for line in builtin.__doc__.splitlines() if not line.startswith("===")]
    begin = next(index for index, line in enumerate(lines) if line.startswith(kind.__name__))
    end = next((index for index in range(begin + 1, len(lines)) if not lines[index].startswith(" ")), len(lines))
    row = " ".join(lines[begin:end])
    for option in kind.options:
        assert option in kind.__doc__
        assert option in row or option in ("key", "output_key")
    for event in kind().events:
        assert f"``{event}``" in kind.__doc__
        assert event in row


@pytest.mark.parametrize(("kind", "options", "events"), CONFIGURED)
def test_a_stored_flow_behaves_the_same(kind, options, events):
    """Configured with plain data, a routine goes through JSON and does what it did."""
    flow = wire(kind().configure(**options))
    again = stored(flow)
    assert again.routines["it"].config() == flow.routines["it"].config()
    assert again.serialize() == flow.serialize()
    first = collect(flow, *events)
    assert first
    assert collect(again, *events) == first


@pytest.mark.parametrize(("kind", "options", "events"), CONFIGURED)
def test_either_slot_takes_an_event(kind, options, events):
    """As an entry routine, by ``trigger``, a routine does to one event what it does by ``input``."""
    flow = Flow()
    flow.add_routine(kind().configure(**options), "it")
    for event in flow.routines["it"].events:
        flow.add_routine(Sink(), event)
        flow.connect("it", event, event, "input")
    job = flow.execute("it", events[0])
    assert job.status == "completed"
    emitted = {name: sink.seen for name, sink in flow.routines.items() if isinstance(sink, Sink) and sink.seen}
    assert emitted == run(kind().configure(**options), events[0])


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        (Mapper, {"function": len}, "config 'function'"),
        (Filter, {"condition": lambda data: True}, "config 'condition'"),
        (ConditionalRouter, {"routes": [("a", lambda data: True)]}, r"config 'routes'\[0\]"),
        (DataTransformer, {"fields": {"a": len}}, r"config 'fields'\['a'\]"),
    ],
)
def test_functions_cannot_be_stored_and_are_named(kind, options, field):
    """A flow whose configuration holds a function says which one it cannot store."""
    with pytest.raises(SerializationError, match=f"routine 'it', {field}"):
        wire(kind().configure(**options)).serialize()


class Doubler(Mapper):
    def map_item(self, item, data):
        return item * 2


class Odd(Filter):
    def accepts(self, data):
        return data["n"] % 2 == 1


class Shouting(DataTransformer):
    def transform(self, record):
        return {name.upper(): value for name, value in record.items()}


class ByLength(ConditionalRouter):
    def choose(self, data):
        return ["long"] if len(data["text"]) > 3 else []


@pytest.mark.parametrize(
    ("routine", "event", "emitted"),
    [
        (Doubler(), {"item": 4}, {"output": [{"item": 8}]}),
        (Odd(), {"n": 3}, {"accepted": [{"n": 3}]}),
        (Odd(), {"n": 2}, {"rejected": [{"n": 2}]}),
        (Shouting(), {"data": {"a": 1}}, {"output": [{"data": {"A": 1}}]}),
        (ByLength().configure(routes=[("long", "False")]), {"text": "long text"}, {"long": [{"text": "long text"}]}),
    ],
)
def test_a_method_of_a_subclass_takes_a_functions_place_and_can_be_stored(routine, event, emitted):
    """Overriding a method says what a function would, and goes with the class when the flow is stored."""
    flow = wire(routine)
    again = stored(flow)
    assert collect(flow, event) == emitted
    assert collect(again, event) == emitted


def test_unknown_options_are_refused():
    """A misspelt option is an error that lists those that there are."""
    with pytest.raises(UnknownNameError, match=r"unknown option 'max_lenght' in TextClipper; .*'max_length'"):
        TextClipper().set_config(max_lenght=3)


def test_a_wrong_value_is_named_and_changes_nothing():
    """The error has the class, the option, the value and what is allowed; other options given with it are not set."""
    clipper = TextClipper().configure(max_length=10)
    with pytest.raises(ConfigurationError) as caught:
        clipper.set_config(unit="words", max_length=-1)
    assert str(caught.value) == "TextClipper option 'max_length' must be a whole number from 0 up, not -1"
    assert clipper.config() == {"max_length": 10}
    assert clipper.setting("unit") == "characters"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TextClipper, {"max_length": True}, "must be a whole number from 0 up, not True"),
        (TextClipper, {"ellipsis": 3}, "must be a string, not 3"),
        (TextClipper, {"key": ""}, "must be a string that is not empty, not ''"),
        (TextClipper, {"unit": "bytes"}, "must be one of 'characters', 'words', 'lines', not 'bytes'"),
        (TextClipper, {"whole_words": 1}, "must be True or False, not 1"),
        (DataFlattener, {"max_depth": 0}, "must be a whole number from 1 up or None, not 0"),
        (DataTransformer, {"keep": "ab"}, "must be a list of different names or None, not 'ab'"),
        (DataTransformer, {"fields": {"a": []}}, "must be a dictionary of functions.*'a': there is no step"),
        (DataTransformer, {"fields": {"a": 3}}, "3 is neither a function nor a name"),
        (DataTransformer, {"fields": {"a": "nonsense"}}, "unknown transformation 'nonsense'"),
        (DataTransformer, {"compute": {"a": "f()"}}, "'a': expression 'f\\(\\)', column 1: calls are not allowed"),
        (DataTransformer, {"compute": {"a": 1}}, "an expression must be a string, not 1"),
        (DataTransformer, {"rename": {"a": "c", "b": "c"}}, "two fields get the same name"),
        (Mapper, {"expression": "item +"}, "must be an expression or None.*column 7: invalid syntax"),
        (Mapper, {"function": "upper", "expression": "item"}, "'expression' must be None where 'function' is set"),
        (Filter, {"condition": 3}, "must be a function of the event's data, an expression or None, not 3"),
        (TextRenderer, {"template": 3}, "must be a template or None, not 3"),
    ],
)
def test_bad_options_are_refused_when_they_are_set(kind, options, message):
    """Nothing waits for the first event to be found wrong."""
    with pytest.raises(ConfigurationError, match=message):
        kind().configure(**options)


def test_a_stored_flow_with_a_bad_option_is_refused_whole():
    """A document's options are checked like any others, and the error says where in the document."""
    document = wire(TextClipper().configure(max_length=10)).serialize()
    document["routines"]["it"]["config"]["max_length"] = -1
    flow = Flow()
    with pytest.raises(SerializationError, match=r"routine 'it': .*TextClipper option 'max_length'"):
        flow.deserialize(json.loads(json.dumps(document)))
    assert len(flow.routines) == 0


def test_options_are_copied_in():
    """Changing a list after it was given as an option changes nothing."""
    routes = [["a", "x > 1"]]
    router = ConditionalRouter().configure(routes=routes)
    routes[0][1] = "nonsense("
    routes.append(["b", "True"])
    assert router.config() == {"routes": [["a", "x > 1"]]}


def test_other_data_goes_along():
    """What an event carries beside the value to work on is passed on, and the value can be left where it was."""
    assert output(Mapper().configure(function="upper"), item="a", order=7) == {"item": "A", "order": 7}
    mapper = Mapper().configure(function="upper", key="name", output_key="loud")
    assert output(mapper, name="a", order=7) == {"name": "a", "loud": "A", "order": 7}


def test_a_missing_value_is_an_error_that_says_what_there_is():
    """The event must carry what the option ``key`` names."""
    with pytest.raises(TypeError, match="'TextClipper' needs 'text', but the event carries 'txt'"):
        run(TextClipper(), {"txt": "a"})


class Numbering(DataTransformer):
    def transform(self, record):
        return {1: 2}


@pytest.mark.parametrize(
    ("routine", "error", "message"),
    [
        (DataTransformer().configure(key=None, compute={"flow": "1"}), ValueError, r"'flow' is emit\(\)'s own"),
        (Numbering().configure(key=None), ValueError, "cannot emit 'output': 1 is no string"),
        (DataFlattener().configure(key=None, mode="unflatten"), TypeError, r"not \[3\]; set 'output_key'"),
    ],
)
def test_what_an_event_cannot_carry_is_named(routine, error, message):
    """Names that emit() has for itself, names that are no strings, and data that is no dictionary."""
    with pytest.raises(error, match=message):
        run(routine, {"0": 3})


def test_a_subclass_may_have_more_options():
    """Options of one's own are declared like the built-in ones."""

    class Clipper(TextClipper):
        options: ClassVar = {**TextClipper.options, "shout": TextClipper.options["whole_words"]}

        def process(self, data):
            super().process({**data, "text": data["text"].upper()} if self.setting("shout") else data)

    assert output(Clipper().configure(shout=True, max_length=5), text="abcdefg")["text"] == "AB..."


def test_without_process_there_is_nothing_to_do():
    """The common base says what a subclass must define."""
    with pytest.raises(NotImplementedError, match="BuiltinRoutine must define process"):
        BuiltinRoutine().process({})


def test_the_names_of_the_package_load_when_asked_for():
    """Everything in ``__all__`` can be had; importing the package imports none of it."""
    for name in builtin.__all__:
        assert getattr(builtin, name).__name__ == name
    assert set(dir(builtin)) == set(builtin.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = builtin.nonsense
    code = "import sys, routilux.builtin; print([n for n in sys.modules if n.startswith('routilux.builtin.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_class_that_says_so_is_exported():
    """Each public routine of the modules is a name of the package."""
    assert {kind.__name__ for kind in ROUTINES} <= set(builtin.__all__)
    for kind in ROUTINES:
        assert kind.__name__ in importlib.import_module(kind.__module__).__all__
