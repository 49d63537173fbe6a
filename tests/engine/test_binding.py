"""What a handler is given: its signature decides, and what does not fit is said by name."""

from __future__ import annotations

import functools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import Flow, HandlerArgumentError, Routine, Slot
from routilux.engine.binding import bind

DATA = {"a": 1, "b": 2}


class Recorder:
    """Methods of every shape; each returns what it was called with."""

    def everything(self, **kwargs):
        return kwargs

    def one_and_rest(self, a, **rest):
        return a, rest

    def optional_and_rest(self, c=9, **rest):
        return c, rest

    def keyword_and_rest(self, *, a, **rest):
        return a, rest

    def data(self, data):
        return data

    def data_optional(self, data=None):
        return data

    def data_keyword(self, *, data):
        return data

    def data_and_rest(self, data=None, **rest):
        return data, rest

    def one(self, a):
        return a

    def one_optional(self, a=7):
        return a

    def one_keyword(self, *, a):
        return a

    def one_and_args(self, a, *args):
        return a, args

    def other(self, payload):
        return payload

    def other_optional(self, payload=None):
        return payload

    def other_keyword(self, *, payload):
        return payload

    def several(self, a, b):
        return a, b

    def several_optional(self, a, c=3):
        return a, c

    def several_keyword(self, a, *, b, c=3):
        return a, b, c

    def data_among_several(self, a, data=None):
        return a, data

    def args(self, *args):
        return args

    def nothing(self):
        return "called"

    def positional_only(self, a, /):
        return a

    def positional_only_other(self, payload, /):
        return payload

    def positional_only_several(self, a, b, /, c=3):
        return a, b, c

    def positional_only_optional(self, a, c=3, b=4, /):
        return a, c, b

    def positional_only_and_rest(self, a, /, **rest):
        return a, rest


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("everything", {"a": 1, "b": 2}),
        ("one_and_rest", (1, {"b": 2})),
        ("optional_and_rest", (9, {"a": 1, "b": 2})),
        ("keyword_and_rest", (1, {"b": 2})),
        ("data", {"a": 1, "b": 2}),
        ("data_optional", {"a": 1, "b": 2}),
        ("data_keyword", {"a": 1, "b": 2}),
        ("data_and_rest", (None, {"a": 1, "b": 2})),
        ("one", 1),
        ("one_optional", 1),
        ("one_keyword", 1),
        ("one_and_args", (1, ())),
        ("other", {"a": 1, "b": 2}),
        ("other_optional", {"a": 1, "b": 2}),
        ("other_keyword", {"a": 1, "b": 2}),
        ("several", (1, 2)),
        ("several_optional", (1, 3)),
        ("several_keyword", (1, 2, 3)),
        ("data_among_several", (1, None)),
        ("args", ({"a": 1, "b": 2},)),
        ("nothing", "called"),
        ("positional_only", 1),
        ("positional_only_other", {"a": 1, "b": 2}),
        ("positional_only_several", (1, 2, 3)),
        ("positional_only_optional", (1, 3, 4)),
    ],
)
def test_the_signature_decides_what_a_handler_gets(method, expected):
    """Every shape of signature gets what the page on handler arguments promises."""
    assert bind(getattr(Recorder(), method))(dict(DATA)) == expected


def test_kwargs_get_everything_beside_a_positional_only_parameter():
    """``**kwargs`` gets what the other parameters leave, whatever kind those are."""
    first, rest = bind(Recorder().positional_only_and_rest)({"a": 1, "b": 2})
    assert (first, rest["b"]) == (1, 2)


def test_a_parameter_named_data_gets_the_dictionary_even_if_there_is_an_item_of_that_name():
    """One parameter named ``data`` is the whole dictionary."""
    assert bind(Recorder().data)({"data": 1, "b": 2}) == {"data": 1, "b": 2}


def test_several_parameters_take_an_item_named_data_by_name():
    """Among several parameters ``data`` is a name like any other."""
    assert bind(Recorder().data_among_several)({"a": 1, "data": 5}) == (1, 5)


@pytest.mark.parametrize("method", ["data", "data_keyword", "other", "other_keyword", "args", "positional_only_other"])
def test_the_dictionary_is_a_copy(method):
    """A handler that is given the dictionary may change it without anybody else noticing."""
    given_data = {"x": 1}
    got = bind(getattr(Recorder(), method))(given_data)
    (got[0] if method == "args" else got)["y"] = 2
    assert given_data == {"x": 1}


@pytest.mark.parametrize("missing_value", [None, 0, "", False])
def test_a_falsy_value_is_a_value(missing_value):
    """An item that is None, zero or empty is there all the same."""
    assert bind(Recorder().other)({"payload": missing_value}) == missing_value


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("several", ["a", "b"]),
        ("several_optional", ["a"]),
        ("several_keyword", ["a", "b"]),
        ("one_and_rest", ["a"]),
        ("keyword_and_rest", ["a"]),
        ("positional_only_several", ["a", "b"]),
    ],
)
def test_missing_data_names_handler_parameter_and_keys(method, missing):
    """What a handler cannot do without is named, with the handler and the keys that did come."""
    with pytest.raises(HandlerArgumentError) as caught:
        bind(getattr(Recorder(), method))({"zebra": 1, "yak": 2})
    error = caught.value
    assert (error.handler, error.missing, error.given) == (method, missing, ["yak", "zebra"])
    for word in (method, *missing, "yak", "zebra"):
        assert repr(word) in str(error)


def test_missing_data_is_a_type_error_too():
    """``except TypeError`` catches it, as it would for a plain call."""
    with pytest.raises(TypeError, match="nothing"):
        bind(Recorder().several)({})


def test_a_type_error_of_the_handlers_own_is_left_alone():
    """What the handler itself raises is not taken for missing data."""

    def handler(a, b):
        return a + b

    with pytest.raises(TypeError) as caught:
        bind(handler)({"a": 1, "b": "x"})
    assert not isinstance(caught.value, HandlerArgumentError)


def test_missing_data_fails_the_job_with_that_error():
    """In a flow it is an error of the handler, and the error strategy has it."""
    routine = Routine()
    routine.define_slot("trigger", handler=Recorder().several)
    flow = Flow()
    flow.add_routine(routine, "r")
    job = flow.execute("r", {"a": 1})
    assert job.status == "failed"
    assert isinstance(job.error, HandlerArgumentError)
    assert job.error.missing == ["b"]


def test_builtins_without_a_signature_get_the_dictionary():
    """A built-in that tells nothing of its parameters gets the dictionary."""
    assert bind(dict)({"a": 1}) == {"a": 1}


def test_builtins_with_positional_parameters_get_values_by_name():
    """Built-in functions, which take nothing by name, get their items by position."""
    assert bind(operator.sub)({"b": 2, "a": 5}) == 3


def test_partials_and_callable_objects_are_handlers():
    """Whatever can be called will do."""

    class Caller:
        def __call__(self, b):
            return b

    assert bind(functools.partial(Recorder().several, a=10))({"b": 2, "a": 1}) == (1, 2)
    assert bind(Caller())(dict(DATA)) == 2


async def coroutine_function(**kwargs):
    """A handler that nobody would await."""


async def async_generator_function(**kwargs):
    """A handler that nobody would iterate."""
    yield


def generator_function(**kwargs):
    """A handler whose body would never run."""
    yield


class Methods:
    async def coroutine_method(self, **kwargs):
        pass

    def generator_method(self, **kwargs):
        yield


class AsyncCaller:
    async def __call__(self, **kwargs):
        pass


class GeneratorCaller:
    def __call__(self, **kwargs):
        yield


@pytest.mark.parametrize(
    "handler",
    [
        async_generator_function,
        generator_function,
        Methods().generator_method,
        functools.partial(generator_function, a=1),
        GeneratorCaller(),
    ],
    ids=lambda handler: getattr(handler, "__name__", type(handler).__name__),
)
def test_handlers_whose_body_would_not_run_are_refused_when_the_slot_is_defined(handler):
    """Generator handlers, async ones too, are a TypeError at once, not silence later."""
    routine = Routine()
    with pytest.raises(TypeError, match="generator function"):
        routine.define_slot("trigger", handler=handler)
    assert routine.get_slot("trigger") is None


@pytest.mark.parametrize("handler", [5, "method_name", {}])
def test_a_handler_that_cannot_be_called_is_refused(handler):
    """A handler is something to call."""
    with pytest.raises(TypeError, match="must be callable"):
        Slot("s", handler=handler)


NAMES = st.sampled_from("abcdef")


@given(
    required=st.sets(NAMES, min_size=1),
    optional=st.sets(NAMES),
    data=st.dictionaries(NAMES, st.integers()),
    takes_rest=st.booleans(),
)
def test_binding_obeys_the_rule_for_any_signature(required, optional, data, takes_rest):
    """Several parameters get exactly the items that match; with ``**rest`` all; a missing one is an error."""
    optional = optional - required
    parameters = [
        *sorted(required),
        *(f"{name}=None" for name in sorted(optional)),
        *(["**rest"] if takes_rest else []),
    ]
    scope = {}
    exec(f"def handler({', '.join(parameters)}): return locals()", scope)
    call = bind(scope["handler"])
    if len(parameters) == 1:
        (name,) = required
        assert call(dict(data)) == {name: data.get(name, data)}
    elif required <= data.keys():
        got = call(dict(data))
        rest = got.pop("rest", {})
        assert got == {name: data.get(name) for name in required | optional}
        assert rest == ({key: data[key] for key in data.keys() - required - optional} if takes_rest else {})
    else:
        with pytest.raises(HandlerArgumentError) as caught:
            call(dict(data))
        assert set(caught.value.missing) == required - data.keys()
