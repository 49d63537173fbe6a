"""Splitter and Mapper."""

from __future__ import annotations

import pytest

from routilux import JobState
from routilux.builtin import Aggregator, ConfigurationError, Mapper, Splitter
from tests.builtin.flows import output, run, seen, wire
from tests.exploring import explore


def test_a_list_becomes_one_event_an_item():
    """Each with its index, the total, and the rest of the data; and then ``done``."""
    assert run(Splitter(), {"items": ["a", "b"], "id": 7}) == {
        "output": [{"item": "a", "index": 0, "total": 2, "id": 7}, {"item": "b", "index": 1, "total": 2, "id": 7}],
        "done": [{"total": 2, "count": 2, "id": 7}],
    }
    assert run(Splitter(), {"items": []}) == {"done": [{"total": 0, "count": 0}]}


def test_a_list_becomes_lists():
    """With a ``batch_size``, each event carries so many items, and index and total count these."""
    assert run(Splitter().configure(batch_size=2), {"items": [1, 2, 3]}) == {
        "output": [{"item": [1, 2], "index": 0, "total": 2}, {"item": [3], "index": 1, "total": 2}],
        "done": [{"total": 2, "count": 3}],
    }


@pytest.mark.parametrize(
    ("options", "value", "parts"),
    [
        ({}, (1, 2), [1, 2]),
        ({}, {3}, [3]),
        ({}, range(2), [0, 1]),
        ({}, {"a": 1}, [{"key": "a", "value": 1}]),
        ({"separator": ","}, "a,b,", ["a", "b", ""]),
        ({"separator": ","}, "", []),
        ({"separator": ","}, ["x"], ["x"]),
    ],
)
def test_what_can_be_taken_apart(options, value, parts):
    """Lists, tuples, sets, ranges, dictionaries and, with a separator, strings."""
    emitted = run(Splitter().configure(**options), {"items": value})
    assert [event["item"] for event in emitted.get("output", [])] == parts


@pytest.mark.parametrize(("options", "wanted"), [({}, "a list"), ({"separator": ","}, "a list or a string")])
def test_what_cannot_be_taken_apart(options, wanted):
    """A TypeError names the value, and what would do."""
    with pytest.raises(TypeError, match=f"Splitter: 'items' must be {wanted}, not 3"):
        run(Splitter().configure(**options), {"items": 3})
    with pytest.raises(TypeError, match="must be a list, not 'abc'"):
        run(Splitter(), {"items": "abc"})


def test_a_value_is_mapped():
    """By a function, the name of a transformation, or an expression over the event's data."""
    assert output(Mapper().configure(function=lambda item: item + 1), item=1) == {"item": 2}
    assert output(Mapper().configure(function="int"), item="5") == {"item": 5}
    assert output(Mapper().configure(expression="item * factor"), item=2, factor=3) == {"item": 6, "factor": 3}
    assert output(Mapper().configure(expression="item.a", key="x"), x={"a": 1}) == {"x": 1}


def test_each_item_of_a_list_is_mapped():
    """With ``each``; an expression also sees the index."""
    mapper = Mapper().configure(key="items", each=True)
    assert output(mapper.configure(function="upper"), items=["a", "b"]) == {"items": ["A", "B"]}
    assert output(mapper.configure(function=None, expression="item * index"), items=(5, 6)) == {"items": [0, 6]}
    with pytest.raises(TypeError, match="Mapper: 'items' must be a list, not 3"):
        run(mapper, {"items": 3})


def test_a_mapper_without_a_function_is_an_error():
    """Nothing is passed on unmapped."""
    with pytest.raises(ConfigurationError, match="'function' must be set, or 'expression', or map_item"):
        run(Mapper(), {"item": 1})


def test_lists_in_several_jobs_are_taken_apart_and_put_together_in_any_schedule():
    """Jobs at the same time, mapped by three workers: each list comes out whole and in order."""

    def program():
        flow = wire(Aggregator(), execution_strategy="concurrent", max_workers=3)
        flow.add_routine(Splitter(), "split")
        flow.add_routine(Mapper().configure(function=lambda item: (*item, "mapped")), "map")
        flow.connect("split", "output", "map", "input")
        flow.connect("split", "done", "it", "input")
        flow.connect("map", "output", "it", "input")
        with flow:
            jobs = [flow.execute("split", {"items": [(name, n) for n in range(size)]}) for name, size in SIZES.items()]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        emitted = seen(flow)
        assert list(emitted) == ["output"]
        found = sorted(event["items"] for event in emitted["output"])
        assert found == sorted([(name, n, "mapped") for n in range(size)] for name, size in SIZES.items())

    explore(program, schedules=300).raise_if_failed()


SIZES = {"x": 3, "y": 0, "z": 4}
