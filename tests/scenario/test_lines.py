"""Lines of keys in TOML documents."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from routilux_sim.scenario.lines import lines_of

BARE = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=6)
QUOTED = st.sampled_from(["'a b'", '"q\\"x"', '"#"', "']'", '"\\u00e9"'])
KEYS = BARE | QUOTED
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "true",
        "inf",
        "1979-05-27 07:32:00Z",
        '"a # b"',
        "'c ] } = ['",
        '"""\nd = 1\n[e]\n"""',
        "'''f\n''g'''",
        '""""h"""""',
        '""',
    ]
)


@st.composite
def values(draw, depth=2):
    """A value's text."""
    kind = draw(st.integers(0, 2 if depth else 0))
    if kind == 0:
        return draw(SCALARS)
    if kind == 1:
        gap = draw(st.sampled_from(["", " ", "\n  ", " # note ]\n "]))
        items = draw(st.lists(values(depth - 1), max_size=3))
        return "[" + "".join(f"{gap}{item}{gap}," for item in items) + gap + "]"
    pairs = {key: draw(values(0).filter(lambda text: "\n" not in text)) for key in draw(st.lists(BARE, max_size=3))}
    return "{" + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + "}"


@st.composite
def documents(draw):
    """A document, and what it says on which line: a key that is found nowhere else, by its line."""
    parts: list[str] = []
    wanted: dict[str, int] = {}
    for number in range(draw(st.integers(1, 4))):
        header = draw(st.sampled_from(["", f"[table{number}]", "[[rows]]", f"[ 'x y'.t{number} ]"])) if number else ""
        parts.append(header + draw(st.sampled_from(["\n", "  # [comment]\n", "\r\n"])) if header else "")
        for index in range(draw(st.integers(0, 3))):
            parts.append(draw(st.sampled_from(["", "\n", "# a = 1\n"])))
            key = f"key{number}x{index}"
            wanted[key] = "".join(parts).count("\n") + 1
            parts.append(f"{key}.{draw(KEYS)} = {draw(values())}\n")
    return "".join(parts), wanted


@given(documents())
def test_each_key_is_found_on_its_line(document):
    """Whatever strings, comments, arrays and tables stand before it."""
    text, wanted = document
    tomllib.loads(text)
    found = {part: line for path, line in lines_of(text).items() for part in path[-1:] if part in wanted}
    assert found == wanted


def _paths(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from _paths(item, (*path, index))


@given(documents())
def test_the_paths_are_those_of_the_document(document):
    """What is found is exactly what `tomllib` reads."""
    text, _ = document
    assert set(lines_of(text)) == set(_paths(tomllib.loads(text)))


@given(st.text(max_size=60) | st.text("[]{}=\"'#.,\n ab", max_size=60))
def test_any_text_is_gone_through(text):
    """A document that is none gives what can be found, and no error."""
    lines = lines_of(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
