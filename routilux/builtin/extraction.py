"""`ResultExtractor`: finds the part that matters in text, or in data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Option, Options, choice, flag, label, label_or_none, optional, plain, require
from routilux.builtin.paths import MISSING, find, split_path
from routilux.exceptions import RoutiluxError, brief

__all__ = ["ExtractionError", "ResultExtractor"]

MAX_STARTS = 100
"""At how many places in a text JSON is tried to be read."""


class ExtractionError(RoutiluxError, LookupError):
    """What was to be extracted is not there."""


_decoder = json.JSONDecoder()
_OPENING = re.compile(r"[\[{]")


def _json(value: str) -> Iterator[Any]:
    """The objects and lists written as JSON in a text, or all of it if it is JSON as a whole."""
    try:
        yield json.loads(value)
    except (ValueError, RecursionError):
        yield from _embedded_json(value)


def _embedded_json(value: str) -> Iterator[Any]:
    position = 0
    for _ in range(MAX_STARTS):
        start = _OPENING.search(value, position)
        if start is None:
            return
        try:
            found, position = _decoder.raw_decode(value, start.start())
        except (ValueError, RecursionError):
            position = start.end()
        else:
            yield found


_SEPARATOR = re.compile(r"[=:]")
_NAME = re.compile(r"[^\W\d][\w .-]*")


def _pairs(value: str) -> Iterator[dict[str, str]]:
    """The lines ``name = value`` and ``name: value`` of a text, as one dictionary."""
    found = {}
    for line in value.splitlines():
        parts = _SEPARATOR.split(line, maxsplit=1)
        name = _unquoted(parts[0].strip().removeprefix("- ").removeprefix("* ").strip())
        if len(parts) == 2 and _NAME.fullmatch(name):
            found[name] = _unquoted(parts[1].strip().removesuffix(",").rstrip())
    if found:
        yield found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _code(value: str, language: str | None) -> Iterator[str]:
    """The blocks of a text between lines of three or more backticks or tildes, as Markdown has them."""
    fence, wanted = "", False
    lines: list[str] = []
    for line in value.splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)", line)
        if not fence and mark is not None:
            fence, wanted, lines = mark[1], language is None or mark[2].lower() == language.lower(), []
        elif fence and mark is not None and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
            if wanted:
                yield "\n".join(lines)
            fence = ""
        else:
            lines.append(line)


def _groups(match: re.Match[str]) -> Any:
    """What a pattern is after, going by its groups."""
    if match.re.groupindex:
        return match.groupdict()
    groups = match.groups()
    if not groups:
        return match[0]
    return groups[0] if len(groups) == 1 else list(groups)


def _pattern(value: Any) -> re.Pattern[str]:
    require(isinstance(value, str))
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(str(error)) from error


def _path(value: Any) -> tuple[str, ...]:
    require(isinstance(value, str))
    return split_path(value)


def _group(value: Any) -> int | str:
    require((type(value) is int and value >= 0) or (isinstance(value, str) and value != ""))
    found: int | str = value
    return found


class ResultExtractor(BuiltinRoutine):
    """Finds something in the value under ``key``, and emits ``output`` with it under ``output_key``.

    Methods:
    * ``json``: an object or list written as JSON, alone or amid other text.
    * ``pairs``: lines ``name = value`` or ``name: value``, as a dictionary of strings.
    * ``code``: a block between lines of three backticks, of a ``language`` if that is set.
    * ``regex``: what ``pattern`` matches. ``group`` says which part of it; else it is a dictionary of the named groups
      if there are any, the only group if there is one, a list of them if there are more, or all of the match. Some
      patterns take for ever on some texts, see `DataValidator`.
    * ``path``: the item at a dotted ``path`` in data, or in text that is JSON.

    What is not there is an ExtractionError, or whatever ``missing`` says.

    Options:
        method, pattern, group, path, language: See above; ``json`` by default.
        all: Emit a list of everything that is found, rather than the first; False. Not for ``path``.
        missing: ``error``, ``default`` (emit ``output`` with ``default``) or ``event`` (emit ``missing`` with the
            event's data).
        default: What stands for what is not there; None.
        key, output_key: Where the text or data is, and where the result goes; ``text`` and ``result``. With None for a
            key, ``path`` looks in all of the event's data.
    """

    options: ClassVar[Options] = {
        "key": label_or_none("text"),
        "output_key": label("result"),
        "method": choice("json", "json", "pairs", "code", "regex", "path"),
        "pattern": optional(Option(None, "a regular expression", _pattern)),
        "group": optional(Option(None, "the number or the name of a group", _group)),
        "path": optional(Option(None, "a dotted path", _path)),
        "language": label_or_none(),
        "all": flag(False),
        "missing": choice("error", "error", "default", "event"),
        "default": plain(),
    }
    emits: ClassVar[Emits] = {"output": ("result",), "missing": ()}

    def check(self, settings: Mapping[str, Any]) -> None:
        """A method must have what it works by."""
        pattern, group = settings["pattern"], settings["group"]
        if pattern is not None and group is not None:
            known = group in pattern.groupindex if isinstance(group, str) else group <= pattern.groups
            if not known:
                raise self.unfit("group", group, f"a group of the pattern {pattern.pattern!r}")

    def process(self, data: dict[str, Any]) -> None:
        """Extract from one event."""
        value = self.value_of(data)
        found = self.extract(value)
        if found:
            self.send("output", self.result_in(data, found if self.setting("all") else found[0]))
        elif self.setting("missing") == "default":
            self.send("output", self.result_in(data, self.setting("default")))
        elif self.setting("missing") == "event":
            self.send("missing", data)
        else:
            raise ExtractionError(f"{self.place_of()} holds no {self._wanted()}: {brief(value)}")

    def extract(self, value: Any) -> list[Any]:
        """All that is found in a value; unless ``all`` is set, no more than one need be.

        Raises:
            TypeError: The value is no string, and the method reads text.
            ConfigurationError: The method's pattern or path is not set.
        """
        method = self.setting("method")
        if method == "path":
            return self._at_path(value)
        if not isinstance(value, str):
            raise self.wrong_type("a string", value)
        found = _METHODS[method](self, value)
        return list(found if self.setting("all") else islice(found, 1))

    def _wanted(self) -> str:
        method = self.setting("method")
        return {"code": "code block", "pairs": "pairs of name and value", "json": "JSON"}.get(method, f"such {method}")

    def _needed(self, option: str) -> Any:
        value = self.setting(option)
        if value is None:
            raise self.unfit(option, None, f"set for the method {self.setting('method')!r}")
        return value

    def _at_path(self, value: Any) -> list[Any]:
        path = self._needed("path")
        if isinstance(value, str):
            value = next(_json(value), None)
        found = find(value, path)
        return [] if found is MISSING else [found]

    def matches(self, value: str) -> Iterator[Any]:
        """What the pattern matches in a text."""
        group = self.setting("group")
        for match in self._needed("pattern").finditer(value):
            yield _groups(match) if group is None else match[group]

    def blocks(self, value: str) -> Iterator[str]:
        """The blocks of code in a text."""
        return _code(value, self.setting("language"))


_METHODS: Mapping[str, Callable[[ResultExtractor, str], Iterator[Any]]] = {
    "json": lambda _routine, value: _json(value),
    "pairs": lambda _routine, value: _pairs(value),
    "code": ResultExtractor.blocks,
    "regex": ResultExtractor.matches,
}
