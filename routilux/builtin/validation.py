"""`DataValidator`: checks records against rules, and lists everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from math import isnan
from typing import Any, ClassVar, NamedTuple

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Options, flag, label_or_none, mapping, prepare_condition, require
from routilux.exceptions import brief

__all__ = ["DataValidator"]

MAX_DEPTH = 20
"""How deep rules may be nested."""

TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float,),
    "number": (int, float),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
    "none": (type(None),),
    "any": (object,),
}
"""What rules call types. True and False are no numbers."""


class _Problem(NamedTuple):
    """One thing that is wrong: in which field, by which rule, in words."""

    field: str
    rule: str
    message: str


Test = Callable[[Any], str | None]
"""Checks a value that is there; returns what is wrong with it, as in "must be at least 3"."""


class _Rules(NamedTuple):
    """The rules of one field."""

    required: bool
    nullable: bool
    types: tuple[str, ...]
    tests: tuple[tuple[str, Test], ...]
    fields: Mapping[str, Any] | None
    items: Any


def _type_names(value: Any) -> tuple[str, ...]:
    require(isinstance(value, str | list | tuple), "type must be a name or a list of names")
    found = (value,) if isinstance(value, str) else tuple(value)
    for name in found:
        require(isinstance(name, str) and name in TYPES, f"type {brief(name)} is not one of {', '.join(TYPES)}")
    return found


def _fits(value: Any, types: tuple[str, ...]) -> bool:
    return any(
        isinstance(value, TYPES[name]) and (name in ("bool", "any") or not isinstance(value, bool)) for name in types
    )


def _bound(sign: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    def make(bound: Any) -> Test:
        require(isinstance(bound, int | float) and not isinstance(bound, bool) and not isnan(bound), "must be a number")

        def test(value: Any) -> str | None:
            if not isinstance(value, int | float) or isinstance(value, bool):
                return "must be a number"
            return None if compare(value, bound) else f"must be {sign} {bound}"

        return test

    return make


def _length(sign: str, compare: Callable[[int, int], bool]) -> Callable[[Any], Test]:
    def make(bound: Any) -> Test:
        require(type(bound) is int and bound >= 0, "must be a whole number from 0 up")

        def test(value: Any) -> str | None:
            if not isinstance(value, str | list | tuple | dict):
                return "must have a length"
            return None if compare(len(value), bound) else f"must have a length of {sign} {bound}, not {len(value)}"

        return test

    return make


def _pattern(value: Any) -> Test:
    require(isinstance(value, str), "must be a regular expression")
    try:
        matches = re.compile(value).fullmatch
    except re.error as error:
        raise ValueError(f"{brief(value)} is no regular expression: {error}") from error

    def test(item: Any) -> str | None:
        return None if isinstance(item, str) and matches(item) else f"must match {value!r}"

    return test


def _choices(value: Any) -> Test:
    require(isinstance(value, list | tuple | set | frozenset), "must be a list")
    allowed = list(value)
    # 1 == True, and yet they are not the same choice.
    return lambda item: (
        None
        if any(item == other and isinstance(item, bool) is isinstance(other, bool) for other in allowed)
        else f"must be one of {', '.join(map(brief, allowed))}"
    )


def _check(value: Any) -> Test:
    condition = prepare_condition(value)
    if isinstance(value, str):
        return lambda item: None if condition({"value": item}) else f"must satisfy {value!r}"
    return lambda item: None if value(item) else f"must satisfy {getattr(value, '__name__', brief(value))}"


TESTS: Mapping[str, Callable[[Any], Test]] = {
    "min": _bound("at least", lambda value, bound: value >= bound),
    "max": _bound("at most", lambda value, bound: value <= bound),
    "min_length": _length("at least", lambda value, bound: value >= bound),
    "max_length": _length("at most", lambda value, bound: value <= bound),
    "pattern": _pattern,
    "choices": _choices,
    "check": _check,
}
OTHER_RULES = ("type", "required", "nullable", "fields", "items")


def _prepared(value: Any, depth: int = 0) -> _Rules:
    """Make rules of a field's description.

    Raises:
        ValueError, TypeError: It is none.
    """
    if isinstance(value, str):
        value = {"type": value}
    require(isinstance(value, dict), "the rules of a field are a dictionary, or the name of a type")
    require(depth <= MAX_DEPTH, f"rules are nested more than {MAX_DEPTH} deep")
    for name in value:
        known = (*OTHER_RULES, *TESTS)
        require(name in known, f"unknown rule {brief(name)}; there are: {', '.join(known)}")
    tests = tuple((name, _made(name, value[name])) for name in TESTS if name in value)
    for low, high in (("min", "max"), ("min_length", "max_length")):
        if low in value and high in value:
            require(value[low] <= value[high], f"{low} {value[low]} is above {high} {value[high]}")
    for name in ("required", "nullable"):
        require(isinstance(value.get(name, False), bool), f"{name} must be True or False")
    fields = value.get("fields")
    require(fields is None or isinstance(fields, dict), "fields must be a dictionary of rules")
    return _Rules(
        required=value.get("required", False),
        nullable=value.get("nullable", False),
        types=_type_names(value.get("type", "any")),
        tests=tests,
        fields=None if fields is None else {name: _prepared(rules, depth + 1) for name, rules in fields.items()},
        items=_prepared(value["items"], depth + 1) if "items" in value else None,
    )


def _made(name: str, value: Any) -> Test:
    try:
        return TESTS[name](value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error


class DataValidator(BuiltinRoutine):
    """Checks the record under ``key``, and emits its event as ``valid``, or as ``invalid`` with ``problems``.

    Problems are dictionaries of ``field`` (a dotted name), ``rule`` and ``message``; all of them are listed, not just
    the first.

    A field's rules are a dictionary, or just the name of a type:

    * ``type``: one of str, int, float, number, bool, list, dict, none, any; or a list of these.
    * ``required``: the field must be there (False). ``nullable``: it may be None (False).
    * ``min``, ``max``: bounds of a number. ``min_length``, ``max_length``: of a string, list or dictionary.
    * ``pattern``: a regular expression that matches all of a string. One with nested repetitions, such as ``(a+)+``,
      can take for ever on some strings, and nothing interrupts it: write patterns that can match in one way only.
    * ``choices``: the values allowed. ``check``: an expression of ``value``, or a function of it.
    * ``fields``: rules for the fields of a dictionary. ``items``: the rules for each item of a list.

    Options:
        rules: ``{field: rules}``.
        strict: Whether fields without rules are problems, at every level that has ``fields``; False.
        key: Where the record is; ``data``. None: all of the event's data.
    """

    options: ClassVar[Options] = {
        "key": label_or_none("data"),
        "rules": mapping("a dictionary of rules by field", _prepared),
        "strict": flag(False),
    }
    emits: ClassVar[Emits] = {"valid": (), "invalid": ("problems",)}

    def process(self, data: dict[str, Any]) -> None:
        """Check one record."""
        problems = self.problems_of(self.value_of(data))
        if problems:
            self.send("invalid", {**data, "problems": problems})
        else:
            self.send("valid", data)

    def problems_of(self, record: Any) -> list[dict[str, str]]:
        """All that is wrong with a record; empty for one that is right."""
        if not isinstance(record, dict):
            return [_Problem("", "type", f"must be a dict, not {brief(record)}")._asdict()]
        return [problem._asdict() for problem in self._check_fields(record, self.setting("rules"), "")]

    def _check_fields(self, record: dict[Any, Any], rules: Mapping[str, _Rules], prefix: str) -> Iterator[_Problem]:
        for name, field in rules.items():
            if name in record:
                yield from self._check_value(record[name], field, prefix + name)
            elif field.required:
                yield _Problem(prefix + name, "required", "must be there")
        if self.setting("strict"):
            for name in record:
                if name not in rules:
                    yield _Problem(f"{prefix}{name}", "strict", f"is unknown; there are: {', '.join(rules) or 'none'}")

    def _check_value(self, value: Any, rules: _Rules, place: str) -> Iterator[_Problem]:
        if value is None and (rules.nullable or "none" in rules.types):
            return
        if not _fits(value, rules.types):
            yield _Problem(place, "type", f"must be {' or '.join(rules.types)}, not {brief(value)}")
            return
        for name, test in rules.tests:
            message = test(value)
            if message is not None:
                yield _Problem(place, name, message)
        if rules.fields is not None:
            if isinstance(value, dict):
                yield from self._check_fields(value, rules.fields, f"{place}.")
            else:
                yield _Problem(place, "fields", f"must be a dict, not {brief(value)}")
        if rules.items is not None:
            if isinstance(value, list | tuple):
                for index, item in enumerate(value):
                    yield from self._check_value(item, rules.items, f"{place}.{index}")
            else:
                yield _Problem(place, "items", f"must be a list, not {brief(value)}")
