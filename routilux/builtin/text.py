"""`TextClipper`: shortens text, and says whether it did."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Options, choice, flag, label, label_or_none, text, whole
from routilux.exceptions import brief

__all__ = ["TextClipper"]


class _Spans(NamedTuple):
    """Where the units of a text begin and end."""

    starts: Sequence[int]
    ends: Sequence[int]


class _Unit(NamedTuple):
    """How text is counted.

    Attributes:
        find: Finds the units.
        glue: What comes between text that is kept and the ellipsis.
        counts_ellipsis: Whether the ellipsis counts against the length.
    """

    find: Callable[[str], _Spans]
    glue: str
    counts_ellipsis: bool


def _characters(value: str) -> _Spans:
    return _Spans(range(len(value)), range(1, len(value) + 1))


def _words(value: str) -> _Spans:
    found = [match.span() for match in re.finditer(r"\S+", value)]
    return _Spans([start for start, _ in found], [end for _, end in found])


def _lines(value: str) -> _Spans:
    starts, ends, start = [], [], 0
    for line, with_end in zip(value.splitlines(), value.splitlines(keepends=True), strict=True):
        starts.append(start)
        ends.append(start + len(line))
        start += len(with_end)
    return _Spans(starts, ends)


UNITS: Mapping[str, _Unit] = {
    "characters": _Unit(_characters, "", counts_ellipsis=True),
    "words": _Unit(_words, " ", counts_ellipsis=False),
    "lines": _Unit(_lines, "\n", counts_ellipsis=False),
}


def _head(room: int, total: int) -> list[range | None]:
    return [range(min(room, total)), None]


def _tail(room: int, total: int) -> list[range | None]:
    return [None, range(total - room, total)]


def _middle(room: int, total: int) -> list[range | None]:
    start = (total - room) // 2
    return [None, range(start, start + room), None]


def _ends(room: int, total: int) -> list[range | None]:
    return [range(room - room // 2), None, range(total - room // 2, total)]


LAYOUTS: Mapping[str, Callable[[int, int], list[range | None]]] = {
    "head": _head,
    "tail": _tail,
    "middle": _middle,
    "ends": _ends,
}
"""Which units are kept, given how many may be and how many there are; None stands for the ellipsis."""


class TextClipper(BuiltinRoutine):
    """Shortens the text under ``key`` to ``max_length`` units.

    Emits ``output`` with the text, ``truncated`` (whether it was shortened) and ``original_length`` (in units). Counted
    by characters, the result with its ellipsis is never longer than ``max_length``; by words or lines the ellipsis
    comes on top.

    Options:
        max_length: How many units to keep; 100.
        unit: ``characters``, ``words`` or ``lines``.
        keep: Which part: the ``head``, the ``tail``, the ``middle``, or both ``ends``.
        ellipsis: What stands for what is left out; ``...``.
        whole_words: Counted by characters: do not cut a word, unless it is longer than the room for it.
        key, output_key: Where the text is, and where it goes; ``text``, and the same.
    """

    options: ClassVar[Options] = {
        "key": label("text"),
        "output_key": label_or_none(),
        "max_length": whole(100, 0),
        "unit": choice("characters", *UNITS),
        "keep": choice("head", *LAYOUTS),
        "ellipsis": text("..."),
        "whole_words": flag(False),
    }
    emits: ClassVar[Emits] = {"output": ("text", "truncated", "original_length")}

    def check(self, settings: Mapping[str, Any]) -> None:
        """The ellipsis must leave room for text."""
        lacking = -_room(settings)
        if lacking > 0:
            allowed = f"at least {settings['max_length'] + lacking}, to hold the ellipsis {brief(settings['ellipsis'])}"
            raise self.unfit("max_length", settings["max_length"], allowed)

    def process(self, data: dict[str, Any]) -> None:
        """Shorten one text."""
        value = self.value_of(data)
        if not isinstance(value, str):
            raise self.wrong_type("a string", value)
        spans = UNITS[self.setting("unit")].find(value)
        length = len(spans.starts)
        truncated = length > self.setting("max_length")
        clipped = self._clip(value, spans) if truncated else value
        self.send("output", self.result_in(data, clipped, truncated=truncated, original_length=length))

    def _clip(self, value: str, spans: _Spans) -> str:
        layout = LAYOUTS[self.setting("keep")](_room(self._settings), len(spans.starts))
        pieces = [self.setting("ellipsis") if part is None else self._cut(value, spans, part) for part in layout]
        return UNITS[self.setting("unit")].glue.join(piece for piece in pieces if piece)

    def _cut(self, value: str, spans: _Spans, part: range) -> str:
        if not part:
            return ""
        start, end = spans.starts[part[0]], spans.ends[part[-1]]
        if self.setting("whole_words") and self.setting("unit") == "characters":
            return _without_broken_words(value, start, end)
        return value[start:end]


def _room(settings: Mapping[str, Any]) -> int:
    """How many units of text fit when some are left out."""
    room: int = settings["max_length"]
    if UNITS[settings["unit"]].counts_ellipsis:
        room -= len(settings["ellipsis"]) * LAYOUTS[settings["keep"]](0, 0).count(None)
    return room


def _without_broken_words(value: str, start: int, end: int) -> str:
    piece = value[start:end]
    if _is_within_word(value, end):
        piece = piece.rsplit(None, 1)[0]
    if _is_within_word(value, start):
        piece = piece.split(None, 1)[-1]
    # No space between what is kept and the ellipsis.
    piece = piece.rstrip() if end < len(value) else piece
    return piece.lstrip() if start > 0 else piece


def _is_within_word(value: str, position: int) -> bool:
    return 0 < position < len(value) and not (value[position - 1].isspace() or value[position].isspace())
