"""ResultExtractor."""

from __future__ import annotations

import time

import pytest

from routilux.builtin import ConfigurationError, ExtractionError, ResultExtractor
from tests.builtin.flows import output, run

ANSWER = """Here is it:

```json
{"a": [1, 2]}
```

and some code

~~~Python title
x = 1

if x: pass
~~~

[3] is a list, {this} is not JSON, {"b": 4} is.
"""


def extracted(text, **options):
    return output(ResultExtractor().configure(**options), text=text)["result"]


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({}, {"a": [1, 2]}),
        ({"all": True}, [{"a": [1, 2]}, [3], {"b": 4}]),
        ({"method": "code"}, '{"a": [1, 2]}'),
        ({"method": "code", "language": "python"}, "x = 1\n\nif x: pass"),
        ({"method": "code", "all": True}, ['{"a": [1, 2]}', "x = 1\n\nif x: pass"]),
        ({"method": "regex", "pattern": r"\[(\d)\]"}, "3"),
        ({"method": "regex", "pattern": r"\d"}, "1"),
        ({"method": "regex", "pattern": r"(\w) = (\d)"}, ["x", "1"]),
        ({"method": "regex", "pattern": r"(?P<name>\w) = (\d)"}, {"name": "x"}),
        ({"method": "regex", "pattern": r"(?P<name>\w) = (\d)", "group": 2}, "1"),
        ({"method": "regex", "pattern": r"(?P<name>\w) = (\d)", "group": "name"}, "x"),
        ({"method": "regex", "pattern": r"\d", "group": 0, "all": True}, ["1", "2", "1", "3", "4"]),
        ({"method": "path", "path": "a[1]"}, 2),
        ({"method": "path", "path": "a.-1"}, 2),
    ],
)
def test_each_method_finds_what_it_is_for(options, result):
    """JSON amid text, blocks of code, matches of a pattern, items of data: the first, or all."""
    assert extracted(ANSWER, **options) == result


def test_text_that_is_json_as_a_whole_is_read_as_that():
    """Also if it is a mere number or string."""
    assert extracted(" 3 ") == 3
    assert extracted('"a [1]"') == "a [1]"
    assert extracted('{"a": "{"}') == {"a": "{"}


def test_pairs_become_a_dictionary():
    """Lines of name and value, with ``=`` or ``:``, bullets, quotes and commas; other lines are left out."""
    text = "Result\nname: Ada Lovelace\n - born = 1815\n'x.y': \"a: b\",\nhttp://nowhere\n: none\nempty:\n1: 2"
    assert extracted(text, method="pairs") == {
        "name": "Ada Lovelace",
        "born": "1815",
        "x.y": "a: b",
        "http": "//nowhere",
        "empty": "",
    }


def test_a_path_leads_into_data():
    """In the value under ``key``, or in all of the event's data."""
    routine = ResultExtractor().configure(method="path", path="order.lines.0", key=None)
    assert output(routine, order={"lines": ["tea"]})["result"] == "tea"
    routine.configure(key="order", path="lines.0", output_key="first")
    assert output(routine, order={"lines": ["tea"]}, id=7) == {"order": {"lines": ["tea"]}, "id": 7, "first": "tea"}
    assert output(routine.configure(path="lines", missing="default"), order={"lines": None})["first"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "ResultExtractor: 'text' holds no JSON: 'nothing'"),
        ({"method": "pairs"}, "holds no pairs of name and value"),
        ({"method": "code"}, "holds no code block"),
        ({"method": "regex", "pattern": "x"}, "holds no such regex"),
        ({"method": "path", "path": "x"}, "holds no such path"),
    ],
)
def test_what_is_not_there_is_dealt_with_as_configured(options, message):
    """An error for the error strategy, a default, or an event of its own."""
    with pytest.raises(ExtractionError, match=message):
        extracted("nothing", **options)
    assert extracted("nothing", missing="default", default=[], **options) == []
    emitted = run(ResultExtractor().configure(missing="event", **options), {"text": "nothing"})
    assert emitted == {"missing": [{"text": "nothing"}]}


def test_only_text_is_searched():
    """Another value is a TypeError that names it."""
    with pytest.raises(TypeError, match="ResultExtractor: 'text' must be a string, not 3"):
        run(ResultExtractor(), {"text": 3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "("}, "'pattern' must be a regular expression or None.*unterminated|missing"),
        ({"pattern": "a", "group": 1}, "'group' must be a group of the pattern 'a', not 1"),
        ({"pattern": "a", "group": "x"}, "'group' must be a group of the pattern"),
        ({"group": -1}, "'group' must be the number or the name of a group"),
        ({"path": "a..b"}, "'a..b' is no path"),
        ({"path": ""}, "'' is no path"),
        ({"method": "xml"}, "'method' must be one of 'json'"),
    ],
)
def test_bad_options_are_refused_when_they_are_set(options, message):
    """Patterns, groups and paths are checked."""
    with pytest.raises(ConfigurationError, match=message):
        ResultExtractor().configure(**options)


@pytest.mark.parametrize("method", ["regex", "path"])
def test_a_method_must_have_what_it_works_by(method):
    """Without a pattern or a path there is an error, not an empty result."""
    with pytest.raises(ConfigurationError, match=f"must be set for the method '{method}'"):
        extracted("a", method=method)


@pytest.mark.parametrize("method", ["json", "pairs", "code"])
@pytest.mark.parametrize("piece", ["[", '{"a":', "`", "a ", "```\n", "=", "-", "'"])
def test_no_text_takes_long(method, piece):
    """Whatever the text, the search is over soon."""
    began = time.perf_counter()
    ResultExtractor().configure(method=method, all=True).extract(piece * 50_001)
    assert time.perf_counter() - began < 5
