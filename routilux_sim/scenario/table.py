"""One table of a scenario: takes its keys, each of its type, and complains about what is wrong or left over."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Mapping
from math import inf, isnan
from typing import Any, NoReturn

from routilux_sim.excerpts import excerpt, shorten
from routilux_sim.scenario.lines import Path
from routilux_sim.scenario.model import Range, ScenarioError

__all__ = ["Document", "Table"]

_REQUIRED: Any = object()
_LONGEST = 1_000


class Document:
    """A file, and on which line each of its keys is."""

    def __init__(self, file: Any, lines: Mapping[Path, int]) -> None:
        self._file = file
        self._lines = lines

    def error(self, path: Path, problem: str) -> ScenarioError:
        """Make the error that says what is wrong at a place: on its line, or on that of the nearest one around it."""
        problem = shorten(problem, _LONGEST)
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return ScenarioError(f"{self._file}:{line}: {problem}")
        return ScenarioError(f"{self._file}: {problem}")

    def path_in(self, problem: str) -> Path:
        """The place that a problem's words begin with."""
        found: Path = ()
        for path in self._lines:
            words = words_of(path)
            if len(path) > len(found) and problem.startswith((f"{words}.", f"{words} ", f"{words}[", f"{words}:")):
                found = path
        return found


def words_of(path: Path) -> str:
    """A place as a person writes it: ``expect.delivered[0].data``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Table:
    """A table under way; call `finish` when all keys have been taken."""

    def __init__(self, document: Document, path: Path, data: Mapping[str, Any]) -> None:
        self._document = document
        self._path = path
        self._data = data
        self._seen: list[str] = []

    # What is wrong

    def complain(self, key: str, problem: str) -> NoReturn:
        """Say what is wrong with a key."""
        raise self.error(key, problem)

    def error(self, key: str, problem: str) -> ScenarioError:
        """Make the error that says what is wrong with a key, in words that follow it."""
        return self.error_at((key,), problem)

    def error_at(self, path: Path, problem: str) -> ScenarioError:
        """Make the error that says what is wrong at a place inside."""
        return self._document.error((*self._path, *path), f"{words_of((*self._path, *path))}: {problem}")

    def error_about(self, problem: str) -> ScenarioError:
        """Make the error of a problem that begins with a place, in words: on the line of that place."""
        return self._document.error(self._document.path_in(problem), problem)

    def error_here(self, problem: str) -> ScenarioError:
        """Make the error that says what is wrong with the whole table."""
        return self._document.error(self._path, f"{words_of(self._path)} {problem}".lstrip())

    def at(self, path: Path) -> Table:
        """A place inside that something else has read, to complain about."""
        return Table(self._document, (*self._path, *path), {})

    def finish(self) -> None:
        """Complain about the first key that nobody has taken."""
        for key in self._data:
            if key not in self._seen:
                near = difflib.get_close_matches(key, self._seen, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(self._seen))}"
                raise self._document.error((*self._path, key), f"unknown key {excerpt(self._where(key))}; {hint}")

    def _where(self, key: str) -> str:
        return words_of((*self._path, key))

    def _wrong(self, key: str, words: str) -> ScenarioError:
        problem = f"{self._where(key)} must be {words}, not {excerpt(self._data[key])}"
        return self._document.error((*self._path, key), problem)

    def _take(self, key: str, default: Any, kind: type | tuple[type, ...], words: str) -> Any:
        self._seen.append(key)
        if key not in self._data:
            if default is _REQUIRED:
                near = difflib.get_close_matches(key, set(self._data) - set(self._seen), 1)
                hint = f"; found {near[0]!r} instead" if near else ""
                raise self._document.error((*self._path, *near), f"{self._where(key)} is missing{hint}")
            return default
        value = self._data[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(key, words)
        return value

    # What is there

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def refuse(self, keys: Iterable[str], why: str) -> None:
        """Complain about keys that do not go with something else."""
        for key in keys:
            self._seen.append(key)
            if key in self._data:
                self.complain(key, why)

    def anything(self, key: str) -> tuple[Any, ...]:
        """The value in a tuple, which is empty if there is none."""
        self._seen.append(key)
        return (self._data[key],) if key in self._data else ()

    def string(self, key: str, default: str = _REQUIRED) -> str:
        """A string."""
        return str(self._take(key, default, str, "a string"))

    def flag(self, key: str) -> bool:
        """True or false; false if there is nothing."""
        self._seen.append(key)
        value = self._data.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def choice(self, key: str, allowed: Iterable[str], default: str | None) -> str | None:
        """One of some strings."""
        value: str | None = self._take(key, default, str, "a string")
        if value is not None and value not in allowed:
            raise self._wrong(key, "one of " + ", ".join(repr(item) for item in sorted(allowed)))
        return value

    def one_of(self, key: str, allowed: Iterable[str]) -> str:
        """One of some strings, which must be there."""
        self._take(key, _REQUIRED, str, "a string")
        return self.choice(key, allowed, None) or ""

    def pattern(self, key: str) -> re.Pattern[str] | None:
        """A regular expression."""
        value: str | None = self._take(key, None, str, "a string")
        return None if value is None else self._compiled(key, value)

    def _compiled(self, key: str, value: str) -> re.Pattern[str]:
        try:
            with warnings.catch_warnings():
                # About what a later Python may take otherwise.
                warnings.simplefilter("ignore")
                return re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.error(key, f"{excerpt(value)} is no regular expression: {error}") from error

    def number(self, key: str, default: float | None) -> float | None:
        """A finite number above 0."""
        value: float | None = self._take(key, default, (int, float), "a number above 0")
        if value is not None and not (0 < value < inf and _is_float(value)):
            raise self._wrong(key, "a finite number above 0")
        return value

    def seconds(self, key: str, default: float = _REQUIRED) -> float:
        """A finite number from 0 up."""
        value: float = self._take(key, default, (int, float), "a number of seconds from 0 up")
        if not (0 <= value < inf and _is_float(value)):
            raise self._wrong(key, "a number of seconds from 0 up")
        return value

    def whole(self, key: str, default: int | None, *, least: int) -> int | None:
        """A whole number."""
        value: int | None = self._take(key, default, int, f"a whole number from {least} up")
        if value is not None and value < least:
            raise self._wrong(key, f"a whole number from {least} up")
        return value

    def moments(self, key: str) -> tuple[float, ...]:
        """Several numbers of seconds."""
        words = "an array of numbers of seconds from 0 up"
        rows = self._take(key, _REQUIRED, list, words)
        for item in rows:
            good = isinstance(item, int | float) and not isinstance(item, bool) and 0 <= item < inf
            if not good or not _is_float(item):
                raise self._wrong(key, words)
        return tuple(float(item) for item in rows)

    def strings(self, key: str) -> tuple[str, ...]:
        """Several strings."""
        rows = self._take(key, [], list, "an array of strings")
        if not all(isinstance(item, str) for item in rows):
            raise self._wrong(key, "an array of strings")
        return tuple(rows)

    def mapping(self, key: str) -> dict[str, Any]:
        """A table of anything."""
        return dict(self._take(key, {}, dict, "a table"))

    def fields(self, allowed: Iterable[str]) -> dict[str, Any]:
        """Those of some keys that are there, with their values; strings are regular expressions."""
        found: dict[str, Any] = {}
        for key in allowed:
            for value in self.anything(key):
                found[key] = self._compiled(key, value) if isinstance(value, str) else value
        self.finish()
        return found

    def keys(self) -> list[str]:
        """The keys of a table that has any."""
        return list(self._data)

    def table(self, key: str, *, optional: bool = False) -> Any:
        """A table inside; None if it is optional and not there."""
        data = self._take(key, None if optional else _REQUIRED, dict, "a table")
        return None if data is None else Table(self._document, (*self._path, key), data)

    def tables(self, key: str) -> list[Table]:
        """Several tables."""
        path = (*self._path, key)
        how = f" ([[{words_of(path)}]])" if all(isinstance(part, str) for part in path) else ""
        rows = self._take(key, [], list, f"an array of tables{how}")
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                problem = f"{words_of((*path, index))} must be a table, not {excerpt(row)}"
                raise self._document.error((*path, index), problem)
        return [Table(self._document, (*path, index), row) for index, row in enumerate(rows)]

    def range(self, key: str) -> Range | None:
        """A number, or two bounds."""
        value = self._take(key, None, (int, float, dict), "a number, or a table with min and max")
        if value is None:
            return None
        if isinstance(value, dict):
            inner = Table(self._document, (*self._path, key), value)
            bounds = inner.bounds()
            inner.finish()
            return bounds
        if isnan(value) or not _is_float(value):
            raise self._wrong(key, "a number")
        return Range(float(value), float(value))

    def bounds(self) -> Range:
        """``min`` and ``max``, at least one of them."""
        least = self._take("min", -inf, (int, float), "a number")
        most = self._take("max", inf, (int, float), "a number")
        if least == -inf and most == inf:
            raise self.error_here("must have min, max or both")
        if not _is_float(least) or not _is_float(most) or isnan(least) or isnan(most):
            raise self._document.error(self._path, f"{words_of(self._path)}: nan bounds nothing")
        if least > most:
            raise self._document.error(self._path, f"{words_of(self._path)}: min {least!r} is above max {most!r}")
        return Range(float(least), float(most))


def _is_float(value: float) -> bool:
    """Whether a number can be a float: a whole one may have too many digits."""
    try:
        float(value)
    except OverflowError:
        return False
    return True
