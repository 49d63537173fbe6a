"""Aggregator and Batcher: what they gather, when they emit it, and that no schedule loses or doubles any of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import ErrorHandler, Flow, JobState
from routilux.builtin import Aggregator, Batcher, ConfigurationError, Filter, Mapper, Splitter
from routilux.exceptions import HandlerArgumentError
from routilux.serialization import from_plain, to_plain
from tests.builtin.flows import Sink, run, seen, stored, wire
from tests.exploring import explore


def items(*values, **more):
    return [{"item": value, **more} for value in values]


def batches(routine, *events):
    return [event["items"] for event in run(routine, *events).get("output", [])]


# In order


def test_a_batcher_emits_full_batches_in_order_of_arrival():
    """Every ``size`` items go out as a list, with their count."""
    emitted = run(Batcher().configure(size=2), *items(1, 2, 3, 4, 5))
    assert emitted == {"output": [{"items": [1, 2], "count": 2}, {"items": [3, 4], "count": 2}]}


def test_a_flush_sends_out_what_is_left():
    """An event with ``flush`` completes the batch, with its item if it has one."""
    assert batches(Batcher().configure(size=3), *items(1, 2, 3, 4), {"flush": True}) == [[1, 2, 3], [4]]
    assert batches(Batcher().configure(size=3), *items(1), {"item": 2, "flush": True}) == [[1, 2]]
    assert batches(Batcher().configure(size=3), *items(1, 2, 3), {"flush": True}) == [[1, 2, 3]]
    assert batches(Batcher(), *items(1), {"flush": False, "item": 2}) == []


def test_what_comes_after_a_flush_waits_for_nothing():
    """Items that the flush overtook go out at once."""
    assert batches(Batcher().configure(size=3), {"flush": True}, *items(1, 2)) == [[1], [2]]


def test_a_total_completes_the_last_batch():
    """Where events say how many items there will be, the last of them sends out what is left."""
    assert batches(Batcher().configure(size=2), *items(1, 2, 3, total=3)) == [[1, 2], [3]]
    assert batches(Batcher().configure(size=2), *items(1, 2, 3), {"total": 3}) == [[1, 2], [3]]
    assert batches(Batcher().configure(size=2), {"total": 3, "flush": True}, *items(1, 2, 3)) == [[1, 2], [3]]


def test_a_batcher_may_gather_whole_events():
    """Without a key the item is all of the event's data but the marks."""
    assert batches(Batcher().configure(key=None, size=2), {"a": 1}, {"a": 2, "total": 9}) == [[{"a": 1}, {"a": 2}]]
    assert batches(Batcher().configure(key=None), {"a": 1}, {"flush": True}) == [[{"a": 1}]]


def test_groups_are_gathered_apart():
    """With ``group_by``, each value of that name has batches of its own, and they carry it."""
    events = [*items(1, 2, g="x"), *items(3, g=1), *items(4, 5, g="x"), *items(6, g="1"), *items(7, g=1)]
    emitted = run(Batcher().configure(size=2, group_by="g"), *events)["output"]
    assert [(event["g"], event["items"]) for event in emitted] == [("x", [1, 2]), ("x", [4, 5]), (1, [3, 7])]


@given(st.integers(0, 700), st.integers(1, 300))
def test_a_batcher_partitions_any_number_of_items(count, size):
    """Batches are the items, cut after every ``size``."""
    routine = Batcher().configure(size=size)
    merged, out = {}, []
    for event in items(*range(count), total=count):
        merged = routine.gather(merged, event)
        if merged["ready"] is not None:
            out.append(merged["ready"][1]["items"])
    assert out == [list(range(count))[start : start + size] for start in range(0, count, size)]


def test_a_batcher_keeps_nothing_of_what_it_emitted_but_the_last_batch():
    """What the slot retains is bounded by two batches, however many items come."""
    routine = Batcher().configure(size=4)
    merged = {}
    for event in items(*range(1000)):
        merged = routine.gather(merged, event)
        kept = sum(map(len, merged["groups"]["None"]["pile"])) + (
            len(merged["ready"][1]["items"]) if merged["ready"] else 0
        )
        assert kept <= 8


@pytest.mark.parametrize("routine", [Batcher().configure(size=300), Aggregator().configure(count=600)])
def test_what_is_gathered_can_be_stored_at_any_time(routine):
    """Written as JSON and read again after every event, the state goes on as it was: a job may be paused and saved."""
    merged, out = {}, []
    for event in items(*range(600), total=600):
        merged = routine.gather(merged, event)
        merged = from_plain(json.loads(json.dumps(to_plain(merged, "gathered"))), "gathered")
        if merged["ready"] is not None:
            out += merged["ready"][1]["items"]
    assert out == list(range(600))


def test_a_batch_is_its_receivers_own():
    """A receiver may change the list that it is given; what the slot still holds does not change."""
    routine = Batcher().configure(size=1)
    merged = routine.gather({}, {"item": 1})
    given_out = []
    routine.define_event("probe")
    routine.send = lambda event, data: given_out.append(data)
    routine.process(merged)
    given_out[0]["items"].clear()
    assert merged["ready"][1]["items"] == [1]


def test_an_aggregator_waits_for_a_number_of_items():
    """With ``count``, the item that makes it full completes it, once; others are late."""
    emitted = run(Aggregator().configure(count=2), *items(1, 2, 3))
    assert emitted == {"output": [{"items": [1, 2], "count": 2}], "late": [{"item": 3}]}
    assert run(Aggregator().configure(count=3), *items(1, 2)) == {}


def test_an_aggregator_may_begin_anew():
    """With ``repeat``, every ``count`` items are one aggregate."""
    assert batches(Aggregator().configure(count=2, repeat=True), *items(1, 2, 3, 4, 5)) == [[1, 2], [3, 4]]


def test_an_aggregator_waits_for_names():
    """With ``required``, events are joined until they have all of the names."""
    routine = Aggregator().configure(required=["price", "stock"])
    emitted = run(routine, {"price": 1, "id": 7}, {"id": 8}, {"stock": 2}, {"price": 3})
    assert emitted == {"output": [{"price": 1, "id": 8, "stock": 2}], "late": [{"price": 3}]}
    routine = Aggregator().configure(required=["a", "b"], repeat=True, group_by="g")
    emitted = run(routine, {"a": 1, "g": 1}, {"b": 2, "g": 2}, {"b": 3, "g": 1}, {"a": 4, "g": 2}, {"a": 5, "g": 1})
    assert emitted == {"output": [{"a": 1, "b": 3, "g": 1}, {"a": 4, "b": 2, "g": 2}]}


def test_an_aggregator_waits_for_the_total_that_events_tell():
    """Without ``count`` and ``required``, events say how many items there will be; an event may say only that."""
    assert batches(Aggregator(), *items(1, 2, total=2)) == [[1, 2]]
    assert batches(Aggregator(), *items(1, 2), {"total": 2}) == [[1, 2]]
    assert run(Aggregator(), {"total": 0}) == {"output": [{"items": [], "count": 0}]}
    assert run(Aggregator(), *items(1, total=1), {"total": 1}) == {"output": [{"items": [1], "count": 1}]}


def test_items_are_put_in_order_by_their_index():
    """Items that have an ``index``, all of them, are sorted by it."""
    events = [{"item": name, "index": index} for name, index in (("c", 2), ("a", 0), ("b", 1))]
    assert batches(Aggregator().configure(count=3), *events) == [["a", "b", "c"]]
    assert batches(Aggregator().configure(count=3, order_by=None), *events) == [["c", "a", "b"]]
    assert batches(Aggregator().configure(count=4), *events, {"item": "d"}) == [["c", "a", "b", "d"]]


def test_items_are_combined():
    """``combine`` adds a result made of the list of items."""
    emitted = run(Aggregator().configure(count=3, combine="sum"), *items(1, 2, 3))
    assert emitted == {"output": [{"items": [1, 2, 3], "count": 3, "result": 6}]}
    emitted = run(Aggregator().configure(count=2, combine="-".join), *items("a", "b"))
    assert emitted["output"][0]["result"] == "a-b"


def test_both_slots_gather_apart():
    """What comes in by ``trigger`` is no part of what comes in by ``input``, as merging is a slot's business."""
    flow = Flow()
    flow.add_routine(Aggregator().configure(count=1), "it")
    flow.add_routine(Sink(), "sink")
    flow.connect("it", "output", "sink", "input")
    flow.execute("it", {"item": 1})
    assert seen(flow) == {"sink": [{"items": [1], "count": 1}]}


def test_a_list_is_taken_apart_and_put_together():
    """Splitter, Mapper and Aggregator fit together with no more configuration than what to do; so for no items."""
    flow = Flow()
    flow.add_routine(Splitter(), "split")
    flow.add_routine(Mapper().configure(expression="item * 10"), "map")
    flow.add_routine(Aggregator(), "join")
    flow.add_routine(Sink(), "sink")
    flow.connect("split", "output", "map", "input")
    flow.connect("map", "output", "join", "input")
    flow.connect("split", "done", "join", "input")
    flow.connect("join", "output", "sink", "input")
    for values, expected in (([1, 2, 3], [10, 20, 30]), ([], [])):
        for each in (flow, stored(flow)):
            each.execute("split", {"items": values})
            assert seen(each)["sink"][-1] == {"items": expected, "count": len(expected)}


@pytest.mark.parametrize("gatherer", [Aggregator(), Batcher().configure(size=9)])
def test_what_is_filtered_out_on_the_way_is_not_waited_for(gatherer):
    """Rejected events, connected as ``skipped``, count towards the total and add nothing."""
    flow = Flow()
    flow.add_routine(Splitter(), "split")
    flow.add_routine(Filter().configure(condition="item > 2"), "filter")
    flow.add_routine(gatherer, "join")
    flow.add_routine(Sink(), "sink")
    flow.connect("split", "output", "filter", "input")
    flow.connect("filter", "accepted", "join", "input")
    flow.connect("filter", "rejected", "join", "input", {"item": "skipped"})
    flow.connect("join", "output", "sink", "input")
    flow.execute("split", {"items": [3, 1, 4, 1, 5, 1]})
    assert seen(flow) == {"sink": [{"items": [3, 4, 5], "count": 3}]}


# What is refused


@pytest.mark.parametrize(
    ("routine", "options", "message"),
    [
        (Batcher, {"size": 0}, "Batcher option 'size' must be a whole number from 1 up, not 0"),
        (Aggregator, {"count": 1, "required": ["a"]}, r"'required' must be None where 'count' is set, not \['a'\]"),
        (Aggregator, {"repeat": True}, "'repeat' must be False unless 'count' or 'required'"),
        (Aggregator, {"required": ["a", "a"]}, "a list of different names or None, not .*: a name is there twice"),
        (Aggregator, {"required": ["a"], "combine": "sum"}, "'combine' must be None where 'required' is set"),
        (Aggregator, {"count": 1, "combine": "nonsense"}, "unknown transformation 'nonsense'"),
    ],
)
def test_what_does_not_go_together_is_refused(routine, options, message):
    """Wrong options are named when they are set."""
    with pytest.raises(ConfigurationError, match=message):
        routine().configure(**options)


@pytest.mark.parametrize(
    ("options", "event", "error", "message"),
    [
        ({}, {"x": 1}, HandlerArgumentError, "'Batcher' needs 'item', but the event carries 'x'"),
        ({}, {"item": 1, "total": "3"}, TypeError, "Batcher: 'total' must be a whole number from 0 up, not '3'"),
        ({"group_by": "g"}, {"item": 1}, HandlerArgumentError, "'Batcher' needs 'g'"),
        ({"group_by": "g"}, {"item": 1, "g": 1.5}, TypeError, "'g' must be a string or a whole number, not 1.5"),
    ],
)
def test_events_that_do_not_fit_are_errors_and_change_nothing(options, event, error, message):
    """An event that cannot be gathered fails its activation; what was gathered stays."""
    with pytest.raises(error, match=message):
        run(Batcher().configure(**options), event)
    flow = wire(Batcher().configure(size=2, **options))
    flow.set_error_handler(ErrorHandler("continue"))
    good = items(1, 2, g="x") if options else items(1, 2)
    flow.execute("source", {"events": [good[0], event, good[1]]})
    assert [found["items"] for found in seen(flow)["output"]] == [[1, 2]]


def test_an_error_in_combining_loses_no_item():
    """The function that combines runs where an error can be retried: all items are still there."""
    tries = []

    def combine(found):
        tries.append(list(found))
        if len(tries) == 1:
            raise ValueError("not yet")
        return sum(found)

    flow = wire(Aggregator().configure(count=2, combine=combine))
    flow.set_error_handler(ErrorHandler("retry", retry_delay=0))
    flow.execute("source", {"events": items(1, 2)})
    assert seen(flow)["output"][0]["result"] == 3
    assert tries == [[1, 2], [1, 2]]


# In any order


class Shaky:
    """Mixed into a routine, makes each of its activations fail the first time it is tried, before or after emitting."""

    failed: set

    def process(self, data):
        if id(data.get("ready")) not in self.failed and data.get("ready") is not None:
            self.failed.add(id(data["ready"]))
            self.kept.append(data["ready"])  # so that the id is not given again
            raise ConnectionError("try again")
        super().process(data)


class ShakyBatcher(Shaky, Batcher):
    def __init__(self):
        super().__init__()
        self.failed, self.kept = set(), []


class ShakyAggregator(Shaky, Aggregator):
    def __init__(self):
        super().__init__()
        self.failed, self.kept = set(), []


JOBS = ("x", "y", "z")


def run_jobs(routine, events_of, **options):
    """Run one job for each of `JOBS` at the same time; return what came out, by event, in any order."""
    flow = wire(routine, execution_strategy="concurrent", max_workers=3, **options)
    with flow:
        jobs = [flow.execute("source", {"events": events_of(name)}) for name in JOBS]
        for job in jobs:
            assert JobState.wait_for_completion(flow, job)
            assert job.status == "completed"
    return seen(flow)


def by_job(events):
    """The lists of items by the job that they are of; no list mixes jobs."""
    found = {name: [] for name in JOBS}
    for event in events:
        (name,) = {job for job, _ in event["items"]}
        found[name].append([n for _, n in event["items"]])
    return found


def retrying(routine, **options):
    routine.configure(**options)
    routine.set_as_critical(max_retries=2, retry_delay=0.1)
    return routine


@pytest.mark.parametrize("kind", [Batcher, ShakyBatcher])
@pytest.mark.parametrize("end", ["total", "flush", "flush with total"])
def test_every_item_is_in_exactly_one_batch_in_any_schedule(kind, end):
    """Five items in batches of two, three jobs at once: with a total, two full batches and one of the item left."""

    def events_of(name):
        marks = {"total": 5} if end == "total" else {}
        events = [{"item": (name, n), **marks} for n in range(5)]
        return events if end == "total" else [*events, {"flush": True, **({"total": 5} if "with" in end else {})}]

    def program():
        found = by_job(run_jobs(retrying(kind(), size=2), events_of)["output"])
        for lists in found.values():
            assert sorted(n for batch in lists for n in batch) == list(range(5))
            if end != "flush":
                assert sorted(map(len, lists)) == [1, 2, 2]

    explore(program, schedules=300).raise_if_failed()


@pytest.mark.parametrize("kind", [Aggregator, ShakyAggregator])
@pytest.mark.parametrize("by", ["count", "total"])
def test_an_aggregate_is_emitted_exactly_once_in_any_schedule(kind, by):
    """Three jobs at once: each emits one aggregate, whole and in order, whichever of its items is merged last."""

    def events_of(name):
        total = {"total": 4} if by == "total" else {}
        return [{"item": (name, n), "index": n, **total} for n in range(4)]

    def program():
        emitted = run_jobs(retrying(kind(), count=4 if by == "count" else None), events_of)
        assert list(emitted) == ["output"]
        assert by_job(emitted["output"]) == {name: [[0, 1, 2, 3]] for name in JOBS}

    explore(program, schedules=300).raise_if_failed()


def test_an_aggregate_of_a_number_is_emitted_once_and_the_rest_is_late():
    """Of five items for an aggregate of three, two are late, in any schedule."""

    def program():
        emitted = run_jobs(retrying(ShakyAggregator(), count=3), lambda name: [{"item": (name, n)} for n in range(5)])
        late = [event["item"] for event in emitted["late"]]
        for name, lists in by_job(emitted["output"]).items():
            assert sorted([*lists[0], *(n for job, n in late if job == name)]) == list(range(5))
            assert [len(found) for found in lists] == [3]

    explore(program, schedules=300).raise_if_failed()


def test_branches_are_joined_exactly_once_in_any_schedule():
    """Names that arrive in any order, in groups, make one event a job and group."""

    def events_of(name):
        return [{"g": group, "of": name, part: (name, group)} for group in (1, 2) for part in ("a", "b")]

    def program():
        emitted = run_jobs(retrying(ShakyAggregator(), required=["a", "b"], group_by="g"), events_of)
        joined = sorted((event["of"], event["g"], event["a"], event["b"]) for event in emitted["output"])
        assert joined == [(name, group, (name, group), (name, group)) for name in JOBS for group in (1, 2)]
        assert list(emitted) == ["output"]

    explore(program, schedules=300).raise_if_failed()


def test_the_shaky_routines_do_fail():
    """The tests above retry something."""
    routine = retrying(ShakyBatcher(), size=2)
    assert batches(routine, *items(1, 2, 3, total=3)) == [[1, 2], [3]]
    assert len(routine.kept) == 2


def test_a_schedule_that_flushes_early_exists():
    """A flush without a total can overtake items; explore finds it, so the tests above cover it."""
    sizes = set()

    def program():
        events = [{"item": (name, n)} for name in "x" for n in range(3)]
        flow = wire(Batcher().configure(size=3), execution_strategy="concurrent", max_workers=3)
        with flow:
            job = flow.execute("source", {"events": [*events, {"flush": True}]})
            assert JobState.wait_for_completion(flow, job)
        sizes.add(tuple(sorted(event["count"] for event in seen(flow)["output"])))

    explore(program, schedules=300).raise_if_failed()
    assert (3,) in sizes
    assert (1, 2) in sizes
