"""TextClipper and TextRenderer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import UnknownNameError
from routilux.builtin import ConfigurationError, TextClipper, TextRenderer
from tests.builtin.flows import output, run


def clipped(text, **options):
    return output(TextClipper().configure(**options), text=text)["text"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_length": 8}, "abcde..."),
        ({"max_length": 8, "keep": "tail"}, "...vwxyz"),
        ({"max_length": 9, "keep": "middle"}, "...lmn..."),
        ({"max_length": 9, "keep": "ends"}, "abc...xyz"),
        ({"max_length": 8, "keep": "ends"}, "abc...yz"),
        ({"max_length": 3}, "..."),
        ({"max_length": 3, "keep": "ends"}, "..."),
        ({"max_length": 4, "ellipsis": ""}, "abcd"),
        ({"max_length": 4, "ellipsis": "", "keep": "ends"}, "abyz"),
        ({"max_length": 0, "ellipsis": ""}, ""),
        ({"max_length": 26}, "abcdefghijklmnopqrstuvwxyz"),
    ],
)
def test_characters_are_counted_with_the_ellipsis(options, text):
    """A clipped text, ellipsis and all, has at most ``max_length`` characters."""
    assert clipped("abcdefghijklmnopqrstuvwxyz", **options) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"keep": "head"}, "one  two ..."),
        ({"keep": "tail"}, "... four five"),
        ({"keep": "ends"}, "one ... five"),
        ({"keep": "middle"}, "... two\tthree ..."),
        ({"keep": "head", "max_length": 5}, "one  two\tthree four five "),
        ({"keep": "head", "max_length": 0}, "..."),
        ({"keep": "ends", "ellipsis": ""}, "one five"),
    ],
)
def test_words_keep_the_space_between_them(options, text):
    """Counted by words, the ellipsis comes on top, and what is kept stays as it was."""
    assert clipped("one  two\tthree four five ", **{"unit": "words", "max_length": 2, **options}) == text


def test_lines_are_cut_between_lines():
    """Counted by lines, the ellipsis has a line of its own."""
    assert clipped("a\nb\r\nc\n", unit="lines", max_length=2) == "a\nb\n..."
    assert clipped("a\nb\r\nc\n", unit="lines", max_length=1, keep="tail") == "...\nc"
    assert clipped("a\nb\r\nc\n", unit="lines", max_length=3) == "a\nb\r\nc\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_length": 12}, "alpha..."),
        ({"max_length": 14}, "alpha beta..."),
        ({"max_length": 12, "keep": "tail"}, "...delta"),
        ({"max_length": 6, "keep": "head"}, "alp..."),
        ({"max_length": 21, "keep": "ends"}, "alpha...delta"),
    ],
)
def test_words_are_left_whole_if_they_fit(options, text):
    """With ``whole_words`` a cut falls between words, unless not even one fits."""
    assert clipped("alpha beta gamma delta", whole_words=True, **options) == text


def test_the_event_says_whether_and_how_much_was_cut():
    """``truncated`` and ``original_length`` come along, counted in the unit."""
    routine = TextClipper().configure(max_length=1, unit="words")
    assert output(routine, text="a b") == {"text": "a ...", "truncated": True, "original_length": 2}
    assert output(routine, text="a") == {"text": "a", "truncated": False, "original_length": 1}


@given(
    st.text(max_size=40),
    st.integers(6, 30),
    st.sampled_from(["head", "tail", "middle", "ends"]),
    st.booleans(),
)
def test_no_clipped_text_is_too_long(text, max_length, keep, whole_words):
    """Whatever the text, the result fits, and is the text itself if that does."""
    result = clipped(text, max_length=max_length, keep=keep, whole_words=whole_words)
    assert len(result) <= max_length
    assert (result == text) or len(text) > max_length


def test_an_ellipsis_must_fit():
    """A length that has no room for the ellipsis is refused, with the least that has."""
    with pytest.raises(ConfigurationError, match=r"'max_length' must be at least 3, to hold the ellipsis '...', not 2"):
        TextClipper().configure(max_length=2)
    with pytest.raises(ConfigurationError, match="at least 6"):
        TextClipper().configure(max_length=5, keep="middle")


def test_only_text_is_clipped():
    """Another value is a TypeError that names it."""
    with pytest.raises(TypeError, match="TextClipper: 'text' must be a string, not 3"):
        run(TextClipper(), {"text": 3})


# Rendering


def rendered(template=None, _options=(), **data):
    options = {} if template is None else {"template": template}
    return output(TextRenderer().configure(**options, **dict(_options)), **data)["text"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Dear {name}, $name and ${name}!", "Dear Ada, Ada and Ada!"),
        ("{order.lines.0.price} {order.lines[1].price} {order.lines.-1.price}", "5 6 6"),
        ("$order.id.", "7."),
        ("{ name }", "Ada"),
        ("{{name}} $$name 5$ $5", "{name} $name 5$ $5"),
        ("{none} {order.empty}", "None []"),
        ("", ""),
    ],
)
def test_names_in_a_template_are_replaced(template, text):
    """Braces or dollar signs, dotted paths into dictionaries and lists, and two for one."""
    order = {"id": 7, "lines": [{"price": 5}, {"price": 6}], "empty": []}
    assert rendered(template, name="Ada", order=order, none=None) == text


@pytest.mark.parametrize("template", ["{x.__class__}", "{s.upper}", "{x.real}", "{d.items}"])
def test_a_template_never_reaches_attributes(template):
    """What is no item of a dictionary is not there, whatever attributes the value has."""
    with pytest.raises(UnknownNameError, match=r"unknown name '.*' in TextRenderer's data"):
        rendered(template, x=1, s="a", d={"k": 1})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {", "column 3: a lone '{'; write it twice"),
        ("a } b", "column 3: a lone '}'"),
        ("{}", "column 1: '{}' holds no name"),
        ("{x!r}", "'{x!r}' holds no name"),
        ("{x:>10}", "'{x:>10}' holds no name"),
        ("{f(1)}", "holds no name"),
        ("${a b}", "holds no name"),
        ("{a..b}", "holds no name"),
    ],
)
def test_what_is_no_template_is_refused_when_it_is_set(template, message):
    """Conversions, formats, calls and lone braces are errors with their column."""
    with pytest.raises(ConfigurationError) as caught:
        TextRenderer().configure(template=template)
    assert message in str(caught.value)


def test_missing_names_are_dealt_with_as_configured():
    """An error that lists the names, the name as it is written, or nothing."""
    with pytest.raises(UnknownNameError, match=r"unknown name 'b.c' in TextRenderer's data; there are: 'a'"):
        rendered("{a} {b.c}", a=1)
    assert rendered("{a} {b.c} $d", {"missing": "keep"}, a=1) == "1 {b.c} $d"
    assert rendered("{a} {b.c} $d", {"missing": "empty"}, a=1) == "1  "


NESTED = {"id": 7, "lines": [{"name": "tea", "n": 2}, {"name": "jam"}], "tags": ["a", "b"], "none": {}}


def test_nested_data_is_listed():
    """Without a template, data becomes indented text, Markdown or JSON."""
    assert rendered(**NESTED) == (
        "id: 7\nlines:\n  -\n    name: tea\n    n: 2\n  -\n    name: jam\ntags:\n  - a\n  - b\nnone: {}"
    )
    assert rendered(None, {"style": "markdown"}, id=7, tags=["a"]) == "- **id**: 7\n- **tags**:\n  - a"
    assert rendered(None, {"style": "json", "indent": 0}, id=7, name="\u00e9") == '{"id": 7, "name": "\u00e9"}'
    assert rendered(None, {"key": "d", "output_key": "page", "style": "json", "indent": 1}, d=[1], text="") == ""


def test_the_text_goes_where_it_is_told():
    """``key`` picks the data, ``output_key`` places the text; the rest goes along."""
    routine = TextRenderer().configure(key="d", output_key="page", template="{x}")
    assert output(routine, d={"x": 1}, y=2) == {"d": {"x": 1}, "y": 2, "page": "1"}


@pytest.mark.parametrize("style", ["text", "json"])
def test_data_that_contains_itself_is_not_listed(style):
    """A cycle is a ValueError, not an endless text."""
    ring = {}
    ring["ring"] = ring
    with pytest.raises(ValueError, match=r"containing itself|Circular"):
        TextRenderer().configure(style=style).render(ring)
