"""Slots, and how what arrives is merged with what arrived before."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import ErrorHandler, Flow, JobState, Routine, Slot
from routilux_sim import simulate
from tests.exploring import explore


class Source(Routine):
    """Emits one event for each item of ``items``."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("out")

    def go(self, items):
        for item in items:
            self.emit("out", **item)


def sink(handler, merge_strategy="override"):
    routine = Routine()
    routine.define_slot("in", handler=handler, merge_strategy=merge_strategy)
    return routine


def wired(handler, merge_strategy="override", **options):
    flow = Flow(**options)
    flow.add_routine(Source(), "source")
    flow.add_routine(sink(handler, merge_strategy), "sink")
    flow.connect("source", "out", "sink", "in")
    return flow


def run(handler, merge_strategy, items):
    return wired(handler, merge_strategy).execute("source", {"items": items})


def count(old, new):
    return {"n": old.get("n", 0) + new["n"]}


def test_override_gives_each_event_alone():
    """With ``override``, the default, a handler sees the event at hand and nothing before it."""
    seen = []
    run(lambda **data: seen.append(data), "override", [{"a": 1, "b": 2}, {"a": 3}])
    assert seen == [{"a": 1, "b": 2}, {"a": 3}]


def test_append_gathers_values_in_lists_by_key():
    """With ``append`` a handler sees, for each key, all values so far."""
    seen = []
    run(lambda **data: seen.append(data), "append", [{"a": 1, "b": 2}, {"a": 3}, {"c": 4}])
    assert seen == [{"a": [1], "b": [2]}, {"a": [1, 3], "b": [2]}, {"a": [1, 3], "b": [2], "c": [4]}]


def test_a_function_merges_old_and_new():
    """A callable gets what was merged so far, ``{}`` at first, and the new data."""
    calls = []

    def merge(old, new):
        calls.append((old, new))
        return {"all": [*old.get("all", []), new["x"]]}

    seen = []
    run(lambda **data: seen.append(data), merge, [{"x": 1}, {"x": 2}])
    assert seen == [{"all": [1]}, {"all": [1, 2]}]
    assert calls == [({}, {"x": 1}), ({"all": [1]}, {"x": 2})]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers()), max_size=8))
def test_append_loses_and_doubles_nothing(items):
    """After any sequence of events, each key's list is its values in order of arrival."""
    seen = []
    run(lambda **data: seen.append(data), "append", items)
    for index, data in enumerate(seen):
        keys = {key for item in items[: index + 1] for key in item}
        assert data == {key: [item[key] for item in items[: index + 1] if key in item] for key in keys}
    assert len(seen) == len(items)


def test_what_a_slot_gathers_is_kept_per_job():
    """A second job of the same flow begins with nothing gathered."""
    seen = []
    flow = wired(lambda **data: seen.append(data), "append")
    for _ in range(2):
        flow.execute("source", {"items": [{"a": 1}, {"a": 2}]})
    assert seen == [{"a": [1]}, {"a": [1, 2]}] * 2


def test_jobs_at_the_same_time_gather_apart():
    """Two concurrent jobs never see each other's data, in any order of events."""

    def program():
        seen = []
        with wired(lambda job, n: seen.append((set(job), len(n))), "append", execution_strategy="concurrent") as flow:
            jobs = [flow.execute("source", {"items": [{"job": k, "n": n} for n in range(3)]}) for k in "xy"]
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
        assert sorted((*names, size) for names, size in seen) == [(k, n) for k in "xy" for n in (1, 2, 3)]

    explore(program, schedules=300).raise_if_failed()


def test_slots_gather_apart():
    """Two slots of one routine keep what they gather to themselves."""
    seen = []
    routine = Routine()
    routine.define_slot("one", handler=lambda **data: seen.append(("one", data)), merge_strategy="append")
    routine.define_slot("two", handler=lambda **data: seen.append(("two", data)), merge_strategy="append")
    flow = Flow()
    flow.add_routine(Source(), "source")
    flow.add_routine(routine, "both")
    flow.connect("source", "out", "both", "one")
    flow.connect("source", "out", "both", "two")
    flow.execute("source", {"items": [{"a": 1}]})
    assert seen == [("one", {"a": [1]}), ("two", {"a": [1]})]


@pytest.mark.parametrize("merge_strategy", ["append", count])
def test_merging_is_atomic(merge_strategy):
    """Whatever the interleaving, each activation sees one event more than the one merged before it."""

    def program():
        seen = []
        flow = wired(
            lambda n: seen.append(sum(n) if isinstance(n, list) else n),
            merge_strategy,
            execution_strategy="concurrent",
            max_workers=3,
        )
        with flow:
            job = flow.execute("source", {"items": [{"n": 1}] * 4})
            assert JobState.wait_for_completion(flow, job)
        assert sorted(seen) == [1, 2, 3, 4]

    explore(program, schedules=400).raise_if_failed()


def test_a_slow_merge_function_takes_turns():
    """A merge function of one slot never runs twice at a time, and holds up nobody but its slot."""

    def program():
        inside = []
        worst = []

        def merge(old, new):
            inside.append(1)
            worst.append(len(inside))
            time.sleep(0.5)
            inside.pop()
            return count(old, new)

        ended = []
        with wired(lambda data: ended.append(data["n"]), merge, execution_strategy="concurrent", max_workers=4) as flow:
            flow.add_routine(sink(lambda n: ended.append("free")), "free")
            flow.connect("source", "out", "free", "in")
            job = flow.execute("source", {"items": [{"n": 1}] * 2})
            assert JobState.wait_for_completion(flow, job)
        assert max(worst) == 1
        assert time.monotonic() == 1.0
        assert sorted(ended, key=str) == [1, 2, "free", "free"]

    explore(program, schedules=200).raise_if_failed()


@pytest.mark.parametrize("merge_strategy", ["override", "append", count])
def test_the_dictionary_is_the_handlers_own(merge_strategy):
    """A handler may change the dictionary that it is given; no other handler notices."""
    seen = []

    def handler(data):
        seen.append(dict(data))
        data["n"] = 100
        data["extra"] = True

    run(handler, merge_strategy, [{"n": 1}, {"n": 1}])
    assert all("extra" not in data and data["n"] in (1, 2, [1], [1, 1]) for data in seen)


def test_gathered_lists_are_the_handlers_own():
    """A handler may change a list that ``append`` gathered; the next one gets it whole."""
    seen = []

    def handler(a):
        seen.append(list(a))
        a.clear()

    run(handler, "append", [{"a": 1}, {"a": 2}])
    assert seen == [[1], [1, 2]]


def test_a_snapshot_does_not_change_after_it_was_handed_out():
    """What a handler was given stays as it was while later events are merged, whatever the merge function does."""

    def merge(old, new):
        old.setdefault("xs", []).append(new["x"])
        return old

    snapshots = []
    run(lambda data: snapshots.append(data["xs"]), merge, [{"x": 1}, {"x": 2}, {"x": 3}])
    assert snapshots == [[1], [1, 2], [1, 2, 3]]


def test_what_a_handler_does_to_its_snapshot_stays_out_of_the_merge():
    """A handler that changes a list made by a merge function does not change what is merged next."""
    seen = []

    def handler(xs):
        seen.append(list(xs))
        xs.clear()

    run(handler, lambda old, new: {"xs": [*old.get("xs", []), new["x"]]}, [{"x": 1}, {"x": 2}])
    assert seen == [[1], [1, 2]]


def test_receivers_of_one_event_get_dictionaries_of_their_own():
    """Two slots connected to one event do not share the dictionary."""
    seen = []

    def handler(data):
        seen.append(dict(data))
        data.clear()

    flow = wired(handler)
    flow.add_routine(sink(handler), "other")
    flow.connect("source", "out", "other", "in")
    flow.execute("source", {"items": [{"a": 1}]})
    assert seen == [{"a": 1}, {"a": 1}]


def bad_merge_raises(old, new):
    raise LookupError("cannot merge")


def bad_merge_returns(old, new):
    return [1]


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize(("merge", "kind"), [(bad_merge_raises, LookupError), (bad_merge_returns, TypeError)])
def test_a_bad_merge_function_is_an_error_of_the_activation(merge, kind, concurrent):
    """A merge function that raises, or returns no dictionary, goes through the error strategy: STOP here."""

    def program():
        ran = []
        options = {"execution_strategy": "concurrent"} if concurrent else {}
        with wired(lambda **data: ran.append(data), merge, **options) as flow:
            job = flow.execute("source", {"items": [{"a": 1}]})
            assert JobState.wait_for_completion(flow, job)
        assert (job.status, type(job.error), ran) == ("failed", kind, [])
        assert job.get_routine_state("sink")["status"] == "failed"

    explore(program, schedules=50).raise_if_failed()


def test_a_bad_merge_under_continue_leaves_the_others_alone():
    """CONTINUE records the failed merge; what was gathered stays, and the next event is merged into it."""

    def merge(old, new):
        if new["n"] == 0:
            raise LookupError("cannot merge")
        return count(old, new)

    seen = []
    flow = wired(lambda data: seen.append(data["n"]), merge)
    flow.set_error_handler(ErrorHandler("continue"))
    job = flow.execute("source", {"items": [{"n": 1}, {"n": 0}, {"n": 5}]})
    assert (seen, job.status) == ([1, 6], "completed")
    assert job.get_routine_state("sink")["status"] == "error_continued"


def test_a_merge_that_raised_is_tried_again():
    """RETRY repeats a merge that failed, and merges the data once."""

    def program():
        attempts = []

        def merge(old, new):
            attempts.append(time.monotonic())
            if len(attempts) == 1:
                raise LookupError("not yet")
            return count(old, new)

        seen = []
        flow = wired(lambda data: seen.append(data["n"]), merge)
        flow.set_error_handler(ErrorHandler("retry", retry_delay=2.0))
        job = flow.execute("source", {"items": [{"n": 4}]})
        return seen, attempts, job.status

    assert simulate(program).result() == ([4], [0.0, 2.0], "completed")


def test_an_unknown_merge_strategy_is_refused_by_name():
    """A strategy that does not exist is a ValueError that lists those that do."""
    with pytest.raises(ValueError, match=r"'sum'.*'append', 'override'"):
        Routine().define_slot("in", merge_strategy="sum")
    with pytest.raises(TypeError, match="merge_strategy must be"):
        Routine().define_slot("in", merge_strategy=5)


def test_a_slot_or_event_is_defined_once():
    """Defining a name twice is a ValueError, and the first one stays."""
    routine = Routine()
    slot, event = routine.define_slot("in"), routine.define_event("out")
    with pytest.raises(ValueError, match="has a slot 'in' already"):
        routine.define_slot("in", handler=print)
    with pytest.raises(ValueError, match="has an event 'out' already"):
        routine.define_event("out", ["x"])
    assert (routine.get_slot("in"), routine.get_event("out")) == (slot, event)


@pytest.mark.parametrize("name", ["", None, 3])
def test_names_are_non_empty_strings(name):
    """A slot or event without a proper name is refused."""
    with pytest.raises(ValueError, match="non-empty string"):
        Routine().define_slot(name)
    with pytest.raises(ValueError, match="non-empty string"):
        Routine().define_event(name)


def test_get_slot_and_get_event_give_none_for_what_is_not_there():
    """Looking up a name that was not defined gives None."""
    assert Routine().get_slot("x") is None
    assert Routine().get_event("x") is None


def test_a_slot_without_a_handler_takes_events_in():
    """Events may end in a slot that does nothing with them; the job completes."""
    job = run(None, "override", [{"a": 1}])
    assert (job.status, job.get_routine_state("sink")["status"]) == ("completed", "completed")


def test_a_slot_can_be_fed_directly():
    """``Slot.receive`` hands data to the handler and returns what it returns."""
    assert Slot("s", handler=lambda a: a + 1).receive({"a": 1}) == 2


def test_configuration_is_copied_out():
    """``config()`` is a copy; ``get_config`` has a default."""
    routine = Routine()
    routine.set_config(a=1)
    routine.config()["a"] = 2
    assert (routine.get_config("a"), routine.get_config("b", 7), routine.config()) == (1, 7, {"a": 1})


def test_outside_a_job_a_slot_merges_with_nothing():
    """A handler written for gathered lists gets lists of one when it is called directly, every time."""
    seen = []
    slot = Slot("in", handler=lambda values: seen.append(tuple(values)), merge_strategy="append")
    slot.receive({"values": 1})
    slot.receive({"values": 2})
    assert seen == [(1,), (2,)]
