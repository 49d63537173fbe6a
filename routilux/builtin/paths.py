"""Dotted paths into nested dictionaries and lists: ``order.lines.0.price``. Attributes are never read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routilux.exceptions import brief

__all__ = ["MISSING", "find", "split_path"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""What `find` returns where there is nothing."""


def split_path(path: str) -> tuple[str, ...]:
    """Take a path apart; ``a[0].b`` is the same as ``a.0.b``.

    Raises:
        ValueError: A part of it is empty.
    """
    parts = tuple(path.replace("[", ".").replace("]", "").split("."))
    if not all(parts):
        raise ValueError(f"{brief(path)} is no path; write names and indices between dots, as in 'order.lines.0'")
    return parts


def find(value: Any, path: Sequence[str]) -> Any:
    """Follow ``path``: names in dictionaries, whole numbers (negative from the end) in lists and tuples."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list | tuple) and _is_index(part) and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _is_index(part: str) -> bool:
    digits = part.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20
