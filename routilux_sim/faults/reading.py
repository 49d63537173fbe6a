"""Reading plans: each value of a table checked, and an error that names place, value and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

__all__ = ["Table"]

IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class Table:
    """Takes the keys of one table; `finish` complains about what nobody has taken.

    Args:
        place: Where the table stands, as errors call it.
        data: The table.

    Raises:
        ValueError: It is none, and so for each method.
    """

    def __init__(self, place: str, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise ValueError(  # noqa: TRY004 - what is read from a file is of a wrong value, whatever its type
                f"{place} must be a table, not {data!r}"
            )
        self._place = place
        self._data = data
        self._taken: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the table says anything of a key; None is nothing."""
        return self._data.get(key) is not None

    def take(self, key: str, words: str, fits: Callable[[Any], bool], default: Any = None) -> Any:
        """The value of a key that ``fits``, described by ``words``; the default if it has none."""
        self._taken.append(key)
        value = self._data.get(key)
        if value is None:
            return default
        if not fits(value):
            self.refuse(key, words)
        return value

    def refuse(self, key: str, words: str) -> NoReturn:
        """Say what a key's value must be."""
        if not self.has(key):
            raise ValueError(f"{self._place}.{key} is missing: it must be {words}")
        raise ValueError(f"{self._place}.{key} must be {words}, not {self._data[key]!r}")

    def text(self, key: str, default: str | None = None) -> str | None:
        """A string that is not empty."""
        text: str | None = self.take(key, "a string that is not empty", _is_text, default)
        return text

    def choice(self, key: str, allowed: Iterable[str], default: str) -> str:
        """One of some words."""
        allowed = tuple(allowed)
        words = "one of " + ", ".join(map(repr, allowed))
        return str(self.take(key, words, lambda value: _is_text(value) and value in allowed, default))

    def count(self, key: str, *, least: int = 1) -> int | None:
        """A whole number; None if there is none."""
        words = f"a whole number from {least} up"
        count: int | None = self.take(key, words, lambda value: _is_whole(value) and value >= least)
        return count

    def probability(self, key: str, default: float) -> float:
        """A number from 0 to 1."""
        return float(
            self.take(key, "a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1, default)
        )

    def seconds(self, key: str, default: float | None = None, *, signed: bool = False) -> float | None:
        """A finite number of seconds."""
        words = "a finite number of seconds" + ("" if signed else " from 0 up")
        value = self.take(key, words, lambda value: _is_number(value) and (signed or value >= 0), default)
        return None if value is None else float(value)

    def error(self, key: str, default: str) -> str:
        """The name of an exception: a built-in one's, or an import path."""
        words = "the name of a built-in exception, or an import path like 'package.module:Name'"
        return str(self.take(key, words, _names_error, default))

    def value(self, key: str) -> Any:
        """Whatever is there, to be checked by somebody else."""
        self._taken.append(key)
        return self._data.get(key)

    def tables(self, key: str) -> list[Table]:
        """The tables of an array; none if the key is not there."""
        rows = self.take(
            key, f"an array of tables ([[{self._place}.{key}]])", lambda value: isinstance(value, list | tuple), ()
        )
        return [Table(f"{self._place}.{key}[{index}]", row) for index, row in enumerate(rows)]

    def place(self, key: str) -> str:
        """What errors call a key."""
        return f"{self._place}.{key}"

    def finish(self) -> None:
        """Complain about keys that nobody has taken."""
        for key in self._data:
            if key not in self._taken:
                near = difflib.get_close_matches(str(key), self._taken, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(sorted(self._taken))}"
                raise ValueError(f"{self._place} has no key {key!r}; {hint}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < 1e18 if isinstance(value, int) else math.isfinite(value)


def _is_probability(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _names_error(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if ":" in value:
        return IMPORT_PATH.fullmatch(value) is not None
    import builtins  # noqa: PLC0415 - for a look at one of its names

    found = getattr(builtins, value, None)
    return isinstance(found, type) and issubclass(found, Exception)
