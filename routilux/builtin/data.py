"""`DataTransformer` and `DataFlattener`: records in, records of another shape out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.expression import Expression
from routilux.builtin.options import (
    Option,
    Options,
    choice,
    flag,
    label,
    label_or_none,
    mapping,
    names,
    optional,
    require,
    whole,
)
from routilux.builtin.transformations import transformation
from routilux.exceptions import brief

__all__ = ["DataFlattener", "DataTransformer"]

MAX_LEVELS = 100
"""How deep `DataFlattener.unflatten` nests."""


def _steps(value: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    steps = list(value) if isinstance(value, list | tuple) else [value]
    require(bool(steps), "there is no step")
    return [(step if isinstance(step, str) else brief(step), transformation(step)) for step in steps]


def _renamed(value: Any) -> dict[str, str]:
    require(isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) and v for k, v in value.items()))
    require(len(set(value.values())) == len(value), "two fields get the same name")
    return dict(value)


class DataTransformer(BuiltinRoutine):
    """Transforms the record (a dictionary) under ``key``, and emits ``output`` with the result.

    What is configured happens in this order: ``defaults``, ``rename``, ``fields``, ``compute``, ``keep``, ``drop``. A
    subclass may define `transform` instead. The record that came in is not changed.

    Options:
        defaults: ``{field: value}`` for fields that are not there.
        rename: ``{old name: new name}``.
        fields: ``{field: step}`` or ``{field: [step, …]}``; a step is a function of the field's value or the name of a
            transformation, see `routilux.builtin.transformations`.
        compute: ``{field: expression}``; an expression sees the record, and the fields computed before it.
        keep: The only fields that the result has.
        drop: Fields that it has not.
        missing: What to do about a field to rename or to transform that is not there: ``error`` or ``skip``.
        key, output_key: Where the record is (``data``; None: all of the event's data) and where the result goes; the
            same.
    """

    options: ClassVar[Options] = {
        "key": label_or_none("data"),
        "output_key": label_or_none(),
        "defaults": mapping("a dictionary of values by field", lambda value: value),
        "rename": Option({}, "a dictionary of new names by old", _renamed),
        "fields": mapping("a dictionary of functions, names of transformations, or lists of them, by field", _steps),
        "compute": mapping("a dictionary of expressions by field", Expression),
        "keep": optional(names()),
        "drop": names(()),
        "missing": choice("error", "error", "skip"),
    }
    emits: ClassVar[Emits] = {"output": ("data",)}

    def process(self, data: dict[str, Any]) -> None:
        """Transform one record."""
        self.send("output", self.result_in(data, self.transform(self.value_of(data))))

    def transform(self, record: Any) -> Any:
        """Return a transformed record; a subclass may do something of its own here.

        Raises:
            TypeError: The record is no dictionary.
            KeyError: It lacks a field, and ``missing`` is ``error``.
        """
        if not isinstance(record, dict):
            raise self.wrong_type("a dictionary", record)
        result = self._rename({**self.setting("defaults"), **record})
        for field, steps in self.setting("fields").items():
            if self._has(result, field):
                result[field] = self._apply(field, steps, result[field])
        for field, expression in self.setting("compute").items():
            result[field] = expression.evaluate(result)
        keep, drop = self.setting("keep"), self.setting("drop")
        return {name: value for name, value in result.items() if (keep is None or name in keep) and name not in drop}

    def _rename(self, record: dict[str, Any]) -> dict[str, Any]:
        new_names = {old: new for old, new in self.setting("rename").items() if self._has(record, old)}
        result = {name: value for name, value in record.items() if name not in new_names}
        result.update((new, record[old]) for old, new in new_names.items())
        return result

    def _has(self, record: dict[str, Any], field: str) -> bool:
        if field not in record and self.setting("missing") == "error":
            there = ", ".join(map(brief, record)) or "none"
            raise KeyError(f"{type(self).__name__}: the record has no field {field!r}; there are: {there}")
        return field in record

    def _apply(self, field: str, steps: list[tuple[str, Callable[[Any], Any]]], value: Any) -> Any:
        for name, step in steps:
            try:
                value = step(value)
            except Exception as error:
                error.add_note(f"{type(self).__name__}: field {field!r}, step {name}")
                raise
        return value


class _Part(NamedTuple):
    """A part of the data being flattened.

    Attributes:
        name: The dotted name that leads there.
        depth: How many names that is.
        above: The part that it is in.
    """

    name: str
    value: Any
    depth: int
    above: _Part | None

    def is_in_itself(self) -> bool:
        part = self.above
        while part is not None and part.value is not self.value:
            part = part.above
        return part is not None


class DataFlattener(BuiltinRoutine):
    """Turns nested data under ``key`` into a dictionary of one level with dotted names, or back.

    Emits ``output`` with the result: ``{"a": {"b": [1, 2]}}`` becomes ``{"a.b.0": 1, "a.b.1": 2}``. Empty dictionaries
    and lists stay as they are. Data that contains itself, and two items that would get the same name, are refused.

    Options:
        mode: ``flatten``, or ``unflatten``: the way back, to nested dictionaries and, where the names of one level are
            0, 1, 2 and so on in this order, lists.
        separator: What stands between names; ``.``.
        max_depth: How many names to join at most; what is deeper stays nested. None: no limit.
        lists: Whether lists and tuples are flattened as well; True.
        max_items: The most items that a result may have; 100,000.
        key, output_key: Where the data is (``data``; None: all of the event's data) and where the result goes; the
            same.
    """

    options: ClassVar[Options] = {
        "key": label_or_none("data"),
        "output_key": label_or_none(),
        "mode": choice("flatten", "flatten", "unflatten"),
        "separator": label("."),
        "max_depth": optional(whole(None, 1)),
        "lists": flag(True),
        "max_items": whole(100_000, 1),
    }
    emits: ClassVar[Emits] = {"output": ("data",)}

    def process(self, data: dict[str, Any]) -> None:
        """Flatten, or nest, the data of one event."""
        value = self.value_of(data)
        if not isinstance(value, dict | list):
            raise self.wrong_type("a dictionary or a list", value)
        self.send("output", self.result_in(data, self.flatten(value) if self._flattens() else self.unflatten(value)))

    def _flattens(self) -> bool:
        return bool(self.setting("mode") == "flatten")

    def flatten(self, value: Any) -> dict[str, Any]:
        """Make one level of all.

        Raises:
            ValueError: The data contains itself, has more than ``max_items`` items, or two of them get one name.
        """
        result: dict[str, Any] = {}
        limit = self.setting("max_items")
        for name, item in self._walk(value):
            if name in result:
                raise ValueError(f"{self.place_of()} has two items that would be called {brief(name)}")
            if len(result) == limit:
                raise ValueError(f"{self.place_of()} has more than {limit} items; see 'max_items' and 'max_depth'")
            result[name] = item
        return result

    def _walk(self, value: Any) -> Iterator[tuple[str, Any]]:
        # A stack of our own: data may be nested deeper than Python calls may be.
        pending = [_Part("", value, 0, None)]
        max_depth = self.setting("max_depth")
        while pending:
            part = pending.pop()
            too_deep = max_depth is not None and part.depth >= max_depth
            if part.depth and (too_deep or not self._is_nested(part.value)):
                yield part.name, part.value
                continue
            if part.is_in_itself():
                raise ValueError(f"{self.place_of()} contains itself, at {brief(part.name)}")
            pending.extend(reversed(list(self._parts(part))))

    def _is_nested(self, value: Any) -> bool:
        kinds = (dict, list, tuple) if self.setting("lists") else dict
        return isinstance(value, kinds) and len(value) > 0

    def _parts(self, whole: _Part) -> Iterator[_Part]:
        value = whole.value
        prefix = whole.name + self.setting("separator") if whole.depth else ""
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield _Part(f"{prefix}{key}", item, whole.depth + 1, whole)

    def unflatten(self, value: Any) -> Any:
        """Nest a dictionary of dotted names.

        Raises:
            TypeError: Something else than a dictionary by name.
            ValueError: A name stands for both a value and a level.
        """
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.wrong_type("a dictionary by name", value)
        root = _Level()
        for name, item in value.items():
            *path, last = name.split(self.setting("separator"))
            if len(path) >= MAX_LEVELS:
                raise ValueError(f"{self.place_of()}: {brief(name)} has more than {MAX_LEVELS} levels")
            level = root
            for part in path:
                below = level.setdefault(part, _Level())
                if not isinstance(below, _Level):
                    raise self._both(name)
                level = below
            if last in level:
                raise self._both(name)
            level[last] = item
        return _nested(root)

    def _both(self, name: str) -> ValueError:
        return ValueError(f"{self.place_of()}: {brief(name)} and another name stand for both a value and a level")


class _Level(dict[str, Any]):
    """A dictionary that `DataFlattener.unflatten` made, as opposed to one that was a value."""


def _nested(level: _Level) -> Any:
    result = {name: _nested(item) if isinstance(item, _Level) else item for name, item in level.items()}
    if result and list(result) == [str(index) for index in range(len(result))]:
        return list(result.values())
    return result
