"""Transformations that go by a name, so that a flow that uses them can be stored.

Each takes one value and returns another; one that does not fit raises TypeError or ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from routilux.exceptions import UnknownNameError, brief

__all__ = ["TRANSFORMATIONS", "transformation"]

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0", ""})


def _bool(value: Any) -> bool:
    if not isinstance(value, str):
        return bool(value)
    word = value.strip().lower()
    if word not in _YES | _NO:
        raise ValueError(f"must be true, yes, on, 1, false, no, off, 0 or empty, not {brief(value)}")
    return word in _YES


def _on_text(function: Callable[[str], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"must be a string, not {brief(value)}")
        return function(value)

    return apply


def _on_dict(function: Callable[[dict[Any, Any]], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"must be a dictionary, not {brief(value)}")
        return function(value)

    return apply


def _unique(value: Any) -> list[Any]:
    """The items without repetitions, each where it stood first; items need not be hashable."""
    kept: list[Any] = []
    seen = set()
    for item in value:
        try:
            new = item not in seen
            seen.add(item)
        except TypeError:
            new = item not in kept
        if new:
            kept.append(item)
    return kept


def _mean(value: Any) -> float:
    items = list(value)
    if not items:
        raise ValueError("nothing has no mean")
    result: float = sum(items) / len(items)
    return result


def _end(index: int) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        items = list(value)
        if not items:
            raise ValueError("must not be empty")
        return items[index]

    return pick


TRANSFORMATIONS: Mapping[str, Callable[[Any], Any]] = {
    "abs": abs,
    "bool": _bool,
    "capitalize": _on_text(str.capitalize),
    "count": len,
    "first": _end(0),
    "flatten": lambda value: [item for part in value for item in part],
    "float": float,
    "int": int,
    "json": _on_text(json.loads),
    "keys": _on_dict(list),
    "last": _end(-1),
    "lines": _on_text(str.splitlines),
    "list": list,
    "lower": _on_text(str.lower),
    "lstrip": _on_text(str.lstrip),
    "max": max,
    "mean": _mean,
    "min": min,
    "reversed": lambda value: value[::-1],
    "round": round,
    "rstrip": _on_text(str.rstrip),
    "sorted": sorted,
    "str": str,
    "strip": _on_text(str.strip),
    "sum": sum,
    "title": _on_text(str.title),
    "to_json": lambda value: json.dumps(value, ensure_ascii=False, allow_nan=False),
    "unique": _unique,
    "upper": _on_text(str.upper),
    "values": _on_dict(lambda value: list(value.values())),
    "words": _on_text(str.split),
}
"""By name. ``json`` reads JSON text, ``to_json`` writes it; ``bool`` reads words like "yes" and "off"."""


def transformation(value: Any) -> Callable[[Any], Any]:
    """Find a transformation: a function is one, a string names one.

    Raises:
        ValueError: An unknown name.
        TypeError: Neither.
    """
    if isinstance(value, str):
        if value not in TRANSFORMATIONS:
            raise UnknownNameError("transformation", value, TRANSFORMATIONS)
        return TRANSFORMATIONS[value]
    if not callable(value):
        raise TypeError(f"{brief(value)} is neither a function nor a name")
    found: Callable[[Any], Any] = value
    return found
