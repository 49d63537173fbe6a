"""DataTransformer, DataFlattener and the transformations that go by a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux.builtin import DataFlattener, DataTransformer, ExpressionError
from routilux.builtin.transformations import TRANSFORMATIONS
from tests.builtin.flows import output, run


def transformed(record, **options):
    return output(DataTransformer().configure(**options), data=record)["data"]


def flat(value, **options):
    return output(DataFlattener().configure(**options), data=value)["data"]


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({}, {"a": " 1 ", "b": [2]}),
        ({"fields": {"a": ["strip", "int"], "b": len}}, {"a": 1, "b": 1}),
        ({"rename": {"a": "c"}}, {"b": [2], "c": " 1 "}),
        ({"rename": {"a": "b", "b": "a"}}, {"a": [2], "b": " 1 "}),
        ({"defaults": {"a": 0, "z": 9}}, {"a": " 1 ", "b": [2], "z": 9}),
        ({"compute": {"c": "b[0] + 1", "d": "c * 2"}}, {"a": " 1 ", "b": [2], "c": 3, "d": 6}),
        ({"keep": ["a", "z"]}, {"a": " 1 "}),
        ({"drop": ["a", "z"]}, {"b": [2]}),
        (
            {
                "rename": {"a": "n"},
                "fields": {"n": "int"},
                "compute": {"m": "n + k"},
                "defaults": {"k": 4},
                "drop": ["b"],
            },
            {"n": 1, "k": 4, "m": 5},
        ),
        ({"fields": {"z": "int"}, "rename": {"y": "x"}, "missing": "skip"}, {"a": " 1 ", "b": [2]}),
    ],
)
def test_a_record_is_transformed_step_by_step(options, result):
    """Defaults, new names, functions of fields, expressions, and a choice of fields, in this order."""
    record = {"a": " 1 ", "b": [2]}
    assert transformed(record, **options) == result
    assert record == {"a": " 1 ", "b": [2]}


def test_without_a_key_the_event_is_the_record():
    """``key=None`` transforms all of the event's data."""
    assert output(DataTransformer().configure(key=None, drop=["a"]), a=1, b=2) == {"b": 2}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fields": {"z": "int"}}, KeyError, "the record has no field 'z'; there are: 'a'"),
        ({"rename": {"z": "y"}}, KeyError, "the record has no field 'z'"),
        ({"compute": {"c": "z"}}, ExpressionError, "there is no 'z'"),
    ],
)
def test_missing_fields_are_named(options, error, message):
    """An error says which field is missing, and which there are."""
    with pytest.raises(error, match=message):
        transformed({"a": 1}, **options)


def test_a_step_that_fails_is_named():
    """The error keeps its type, so that retries go by it, and has a note of the field and step."""
    with pytest.raises(ValueError, match="invalid literal") as caught:
        transformed({"a": "x"}, fields={"a": ["strip", "int"]})
    assert caught.value.__notes__ == ["DataTransformer: field 'a', step int"]


def test_only_dictionaries_are_records():
    """Another value is a TypeError that names it."""
    with pytest.raises(TypeError, match=r"DataTransformer: 'data' must be a dictionary, not \[1\]"):
        run(DataTransformer(), {"data": [1]})


# Flattening


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({}, {"a.b.0": 1, "a.b.1.c": 2, "a.e": [], "d": {}}),
        ({"separator": "/"}, {"a/b/0": 1, "a/b/1/c": 2, "a/e": [], "d": {}}),
        ({"max_depth": 1}, {"a": {"b": [1, {"c": 2}], "e": []}, "d": {}}),
        ({"max_depth": 2}, {"a.b": [1, {"c": 2}], "a.e": [], "d": {}}),
        ({"lists": False}, {"a.b": [1, {"c": 2}], "a.e": [], "d": {}}),
    ],
)
def test_nested_data_becomes_one_level(options, result):
    """Names are joined by the separator, down to the depth that is configured."""
    assert flat({"a": {"b": [1, {"c": 2}], "e": []}, "d": {}}, **options) == result


def test_lists_are_flattened_as_well():
    """A list at the top gives names that are numbers; nothing gives nothing."""
    assert flat([1, [2]]) == {"0": 1, "1.0": 2}
    assert flat({}) == {}


def test_data_nested_deeper_than_python_calls_is_flattened():
    """Depth is bounded by memory, not by the interpreter's stack."""
    value = 1
    for _ in range(5000):
        value = {"a": value}
    assert DataFlattener().flatten(value) == {".".join(["a"] * 5000): 1}


def test_data_that_contains_itself_is_refused():
    """A cycle is an error that says where; the same part twice is none."""
    ring = {"a": [1]}
    ring["a"].append(ring)
    with pytest.raises(ValueError, match=r"DataFlattener: 'data' contains itself, at 'a\.1'"):
        flat(ring)
    part = [1]
    assert flat({"a": part, "b": part}) == {"a.0": 1, "b.0": 1}


def test_data_that_unfolds_to_too_much_is_refused():
    """Parts that are used again and again multiply; the limit says so."""
    value = [1]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(ValueError, match="has more than 100 items; see 'max_items' and 'max_depth'"):
        flat(value, max_items=100)


def test_items_of_one_name_are_refused():
    """Two items that would land under one name are an error, so nothing is lost."""
    with pytest.raises(ValueError, match=r"two items that would be called 'a\.b'"):
        flat({"a": {"b": 1}, "a.b": 2})


def test_only_containers_are_flattened():
    """Another value is a TypeError that names it."""
    with pytest.raises(TypeError, match="DataFlattener: 'data' must be a dictionary or a list, not 3"):
        run(DataFlattener(), {"data": 3})


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"a.b.0": 1, "a.b.1": 2, "c": 3}, {"a": {"b": [1, 2]}, "c": 3}),
        ({"a.1": 1, "a.0": 2}, {"a": {"1": 1, "0": 2}}),
        ({"a": {"b.c": 1}}, {"a": {"b.c": 1}}),
        ({}, {}),
    ],
)
def test_dotted_names_are_nested_again(value, result):
    """``unflatten`` makes dictionaries, and lists where the names are 0, 1, 2 and so on."""
    assert flat(value, mode="unflatten") == result


@pytest.mark.parametrize("value", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}, {"a": {"x": 1}, "a.b": 2}])
def test_a_name_cannot_be_a_value_and_a_level(value):
    """Dotted names that contradict each other are refused."""
    with pytest.raises(ValueError, match="stand for both a value and a level"):
        flat(value, mode="unflatten")


def test_levels_are_limited():
    """A name with hundreds of levels is refused rather than followed."""
    with pytest.raises(ValueError, match="more than 100 levels"):
        flat({".".join("a" * 200): 1}, mode="unflatten")
    with pytest.raises(TypeError, match="must be a dictionary by name"):
        flat([1], mode="unflatten")


nested = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), nested, max_size=4))
def test_unflattening_undoes_flattening(value):
    """There and back again is where it began, for names without dots or digits."""
    assert DataFlattener().unflatten(DataFlattener().flatten(value)) == value


# Transformations


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("abs", -1, 1),
        ("bool", " Yes ", True),
        ("bool", "off", False),
        ("bool", [], False),
        ("capitalize", "ab", "Ab"),
        ("count", [1, 2], 2),
        ("first", [1, 2], 1),
        ("flatten", [[1], [2, 3]], [1, 2, 3]),
        ("float", "1.5", 1.5),
        ("int", " 7 ", 7),
        ("json", '{"a": 1}', {"a": 1}),
        ("keys", {"a": 1}, ["a"]),
        ("last", (1, 2), 2),
        ("lines", "a\nb", ["a", "b"]),
        ("list", (1, 2), [1, 2]),
        ("lower", "AB", "ab"),
        ("lstrip", " a ", "a "),
        ("max", [1, 3, 2], 3),
        ("mean", [1, 2], 1.5),
        ("min", [2, 1], 1),
        ("reversed", [1, 2], [2, 1]),
        ("round", 1.6, 2),
        ("rstrip", " a ", " a"),
        ("sorted", [2, 1], [1, 2]),
        ("str", 1, "1"),
        ("strip", " a ", "a"),
        ("sum", [1, 2], 3),
        ("title", "a b", "A B"),
        ("to_json", {"a": "\u00e9"}, '{"a": "\u00e9"}'),
        ("unique", [1, [2], 1, [2], 3], [1, [2], 3]),
        ("upper", "a", "A"),
        ("values", {"a": 1}, [1]),
        ("words", " a  b ", ["a", "b"]),
    ],
)
def test_each_transformation_does_what_its_name_says(name, value, result):
    """One example of each."""
    assert TRANSFORMATIONS[name](value) == result


def test_every_transformation_has_an_example():
    """The table above leaves none out."""
    (mark,) = test_each_transformation_does_what_its_name_says.pytestmark
    assert {name for name, _, _ in mark.args[1]} == set(TRANSFORMATIONS)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("upper", 1, TypeError),
        ("bool", "maybe", ValueError),
        ("first", [], ValueError),
        ("mean", [], ValueError),
        ("keys", [1], TypeError),
        ("json", "{", ValueError),
        ("to_json", float("nan"), ValueError),
    ],
)
def test_values_that_do_not_fit_are_refused(name, value, error):
    """TypeError or ValueError, so that handlers of those work."""
    with pytest.raises(error):
        TRANSFORMATIONS[name](value)
