"""DataValidator."""

from __future__ import annotations

import pytest

from routilux.builtin import ConfigurationError, DataValidator
from tests.builtin.flows import run


def problems(rules, record, **options):
    return [tuple(p.values()) for p in DataValidator().configure(rules=rules, **options).problems_of(record)]


@pytest.mark.parametrize(
    ("rules", "good", "bad", "message"),
    [
        ("str", "a", 1, "must be str, not 1"),
        ("int", 1, True, "must be int, not True"),
        ("int", 1, 1.0, "must be int, not 1.0"),
        ("float", 1.0, 1, "must be float, not 1"),
        ("number", 1, False, "must be number, not False"),
        ("bool", True, 1, "must be bool, not 1"),
        ("list", [1], {}, "must be list, not {}"),
        ("dict", {}, [], "must be dict, not []"),
        ("none", None, 0, "must be none, not 0"),
        ({"type": ["int", "str"]}, "a", [], "must be int or str, not []"),
        ({"type": "int", "nullable": True}, None, "a", "must be int, not 'a'"),
        ({"min": 2}, 2, 1, "must be at least 2"),
        ({"max": 2.5}, 2.5, 3, "must be at most 2.5"),
        ({"min": 0}, 1, float("nan"), "must be at least 0"),
        ({"min": 2}, 2, "a", "must be a number"),
        ({"min_length": 2}, "ab", "a", "must have a length of at least 2, not 1"),
        ({"max_length": 1}, [1], [1, 2], "must have a length of at most 1, not 2"),
        ({"max_length": 1}, {}, 7, "must have a length"),
        ({"pattern": "a+"}, "aa", "aab", "must match 'a+'"),
        ({"pattern": "a"}, "a", 1, "must match 'a'"),
        ({"choices": [1, "b"]}, "b", True, "must be one of 1, 'b'"),
        ({"check": "value % 2 == 0"}, 2, 3, "must satisfy 'value % 2 == 0'"),
        ({"check": str.isupper}, "A", "a", "must satisfy isupper"),
    ],
)
def test_each_rule_tells_good_from_bad(rules, good, bad, message):
    """A value that fits is no problem; one that does not is, and is described."""
    assert problems({"x": rules}, {"x": good}) == []
    ((field, _, words),) = problems({"x": rules}, {"x": bad})
    assert (field, words) == ("x", message)


def test_required_fields_must_be_there():
    """A field without ``required`` may be missing; ``required`` alone lets it be anything."""
    rules = {"a": {"required": True}, "b": {"type": "int"}}
    assert problems(rules, {}) == [("a", "required", "must be there")]
    assert problems(rules, {"a": None}) == []


def test_unknown_fields_are_problems_in_strict_mode_only():
    """``strict`` names fields without rules, at every level that has rules."""
    rules = {"a": {"fields": {"b": "int"}}}
    record = {"a": {"b": 1, "c": 2}, "d": 3}
    assert problems(rules, record) == []
    assert problems(rules, record, strict=True) == [
        ("a.c", "strict", "is unknown; there are: b"),
        ("d", "strict", "is unknown; there are: a"),
    ]


def test_nested_data_is_checked_and_all_problems_are_listed():
    """Problems deep inside have dotted names; one problem does not hide another."""
    rules = {
        "user": {"required": True, "fields": {"name": {"type": "str", "min_length": 2, "pattern": "[a-z]+"}}},
        "lines": {"items": {"fields": {"n": {"required": True, "type": "int", "min": 1}}}},
        "tags": {"type": "list", "items": "str"},
    }
    assert problems(rules, {"user": {"name": "A"}, "lines": [{"n": 0}, {}, 3], "tags": ["a", 1]}) == [
        ("user.name", "min_length", "must have a length of at least 2, not 1"),
        ("user.name", "pattern", "must match '[a-z]+'"),
        ("lines.0.n", "min", "must be at least 1"),
        ("lines.1.n", "required", "must be there"),
        ("lines.2", "fields", "must be a dict, not 3"),
        ("tags.1", "type", "must be str, not 1"),
    ]
    assert problems({"a": {"items": "int"}}, {"a": 3}) == [("a", "items", "must be a list, not 3")]


def test_events_go_out_as_valid_or_invalid():
    """The event goes on as it is, with the problems if there are any; a record that is none is invalid."""
    routine = DataValidator().configure(rules={"n": {"type": "int", "required": True}})
    assert run(routine, {"data": {"n": 1}, "id": 7}) == {"valid": [{"data": {"n": 1}, "id": 7}]}
    emitted = run(routine, {"data": {}, "id": 7}, {"data": 3})
    assert emitted == {
        "invalid": [
            {"data": {}, "id": 7, "problems": [{"field": "n", "rule": "required", "message": "must be there"}]},
            {"data": 3, "problems": [{"field": "", "rule": "type", "message": "must be a dict, not 3"}]},
        ]
    }
    assert run(DataValidator().configure(key=None, rules={"n": "int"}), {"n": 1}) == {"valid": [{"n": 1}]}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([], "a dictionary of rules by field"),
        ({"x": 3}, "'x': the rules of a field are a dictionary, or the name of a type"),
        ({"x": "text"}, "'x': type 'text' is not one of str, int"),
        ({"x": {"type": ["int", 3]}}, "type 3 is not one of"),
        ({"x": {"type": 3}}, "'x': type must be a name or a list of names"),
        ({"x": {"mim": 3}}, "'x': unknown rule 'mim'; there are: type, required"),
        ({"x": {"min": "3"}}, "'x': min: must be a number"),
        ({"x": {"min": float("nan")}}, "'x': min: must be a number"),
        ({"x": {"min": 3, "max": 2}}, "'x': min 3 is above max 2"),
        ({"x": {"min": 3, "max": "a"}}, "'x': max: must be a number"),
        ({"x": {"min_length": 3, "max_length": 2}}, "min_length 3 is above max_length 2"),
        ({"x": {"min_length": -1}}, "min_length: must be a whole number from 0 up"),
        ({"x": {"pattern": "("}}, r"pattern: '\(' is no regular expression"),
        ({"x": {"pattern": 3}}, "pattern: must be a regular expression"),
        ({"x": {"choices": "abc"}}, "choices: must be a list"),
        ({"x": {"check": "f(value)"}}, "check: expression 'f\\(value\\)', column 1: calls are not allowed"),
        ({"x": {"check": 3}}, "check: 3 is neither"),
        ({"x": {"required": "yes"}}, "required must be True or False"),
        ({"x": {"fields": 3}}, "fields must be a dictionary of rules"),
        ({"x": {"fields": {"y": {"mim": 1}}}}, "unknown rule 'mim'"),
    ],
)
def test_bad_rules_are_refused_when_they_are_set(rules, message):
    """The error names the field, the rule, and what is allowed."""
    with pytest.raises(ConfigurationError, match=f"DataValidator option 'rules' must be .*{message}"):
        DataValidator().configure(rules=rules)


def test_rules_nested_without_end_are_refused():
    """Rules that contain themselves are an error, not an endless loop."""
    rules = {}
    rules["fields"] = {"x": rules}
    with pytest.raises(ConfigurationError, match="rules are nested more than 20 deep"):
        DataValidator().configure(rules={"x": rules})
