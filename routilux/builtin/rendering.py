"""`TextRenderer`: text made of data, by a template that holds names and no code, or as a readable listing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Option, Options, choice, label, label_or_none, optional, whole
from routilux.builtin.paths import MISSING, find, split_path
from routilux.exceptions import UnknownNameError

__all__ = ["TextRenderer"]

MAX_DEPTH = 50
"""How deep the data may be nested that is listed."""


class _Place(NamedTuple):
    """A name in a template.

    Attributes:
        path: Where its value is.
        source: How it is written there.
    """

    path: tuple[str, ...]
    source: str


_TOKEN = re.compile(
    r"""
    (?P<escaped>\{\{|\}\}|\$\$)
  | \{ (?P<braced>[^{}]*) \}
  | \$\{ (?P<dollar_braced>[^{}]*) \}
  | \$ (?P<dollar>[^\W\d]\w*(?:\.\w+)*)
  | (?P<stray>[{}])
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"\s*\w[\w-]*(?:\.-?\w[\w-]*|\[-?\d+\])*\s*")


def parse_template(template: str) -> list[str | _Place]:
    """Take a template apart into text and places.

    Raises:
        ValueError: A brace without its partner, or something else than a name between two.
    """
    parts: list[str | _Place] = []
    done = 0
    for match in _TOKEN.finditer(template):
        parts.append(template[done : match.start()])
        done = match.end()
        if match["escaped"]:
            parts.append(match["escaped"][0])
        elif match["stray"]:
            raise ValueError(f"column {match.start() + 1}: a lone {match['stray']!r}; write it twice to have one")
        else:
            parts.append(_place(match))
    parts.append(template[done:])
    return [part for part in parts if part]


def _place(match: re.Match[str]) -> _Place:
    name = next(match[group] for group in ("braced", "dollar_braced", "dollar") if match[group] is not None)
    if not _NAME.fullmatch(name):
        raise ValueError(f"column {match.start() + 1}: {match[0]!r} holds no name; write one, as in '{{order.id}}'")
    return _Place(split_path(name.strip()), match[0])


def _template(value: Any) -> list[str | _Place]:
    if not isinstance(value, str):
        raise TypeError
    return parse_template(value)


class TextRenderer(BuiltinRoutine):
    """Makes text of data, and emits ``output`` with it under ``output_key``.

    With a ``template``, each ``{name}``, ``$name`` or ``${name}`` in it is replaced by the data's item of that name.
    Names may be dotted paths into nested dictionaries and lists (``{order.lines.0.price}``); they never reach
    attributes, and nothing in a template is run. ``{{``, ``}}`` and ``$$`` stand for one brace or dollar sign.

    Without one, the data is listed in a ``style``.

    Options:
        template: The template.
        style: ``text`` (indented), ``markdown`` (a nested list) or ``json``.
        indent: Spaces a level; 2.
        missing: What to do about a name that the data lacks: ``error``, ``keep`` (the name as it is written) or
            ``empty``.
        key, output_key: Where the data is (None, the default: all of it), and where the text goes; ``text``.
    """

    options: ClassVar[Options] = {
        "key": label_or_none(),
        "output_key": label("text"),
        "template": optional(Option(None, "a template", _template)),
        "style": choice("text", "text", "markdown", "json"),
        "indent": whole(2, 0),
        "missing": choice("error", "error", "keep", "empty"),
    }
    emits: ClassVar[Emits] = {"output": ("text",)}

    def process(self, data: dict[str, Any]) -> None:
        """Render one event's data."""
        value = self.value_of(data)
        self.send("output", self.result_in(data, self.render(value)))

    def render(self, value: Any) -> str:
        """The text for a value.

        Raises:
            UnknownNameError: The template has a name that the value lacks, and ``missing`` is ``error``.
            ValueError: The value is nested too deep to be listed, or contains itself.
        """
        template = self.setting("template")
        if template is None:
            return STYLES[self.setting("style")](value, self.setting("indent"))
        return "".join(part if isinstance(part, str) else self._fill(part, value) for part in template)

    def _fill(self, place: _Place, value: Any) -> str:
        found = find(value, place.path)
        if found is not MISSING:
            return str(found)
        missing = self.setting("missing")
        if missing == "error":
            known = map(str, value) if isinstance(value, dict) else ()
            raise UnknownNameError("name", ".".join(place.path), known, f"{type(self).__name__}'s data")
        return place.source if missing == "keep" else ""


def _as_json(value: Any, indent: int) -> str:
    # Something that JSON has not, a date perhaps, is better shown than refused: this is for reading.
    return json.dumps(value, indent=indent or None, ensure_ascii=False, default=str)


def _as_text(value: Any, indent: int) -> str:
    return "\n".join(_listing(value, "{key}: {value}", "- {value}", indent, 0))


def _as_markdown(value: Any, indent: int) -> str:
    return "\n".join(_listing(value, "- **{key}**: {value}", "- {value}", indent, 0))


STYLES: Mapping[str, Callable[[Any, int], str]] = {"text": _as_text, "markdown": _as_markdown, "json": _as_json}


def _listing(value: Any, named: str, numbered: str, indent: int, depth: int) -> Iterator[str]:
    """One line an item; containers go one level deeper, below the line that names them."""
    if depth > MAX_DEPTH:
        raise ValueError(f"data nested more than {MAX_DEPTH} deep, or containing itself, cannot be listed")
    if not _is_nested(value):
        yield _scalar(value)
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    form = named if isinstance(value, dict) else numbered
    for key, item in items:
        shown = "" if _is_nested(item) else _scalar(item)
        yield " " * indent * depth + form.replace("{key}", str(key), 1).replace("{value}", shown, 1).rstrip()
        if _is_nested(item):
            yield from _listing(item, named, numbered, indent, depth + 1)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list | tuple) and len(value) > 0


def _scalar(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)
