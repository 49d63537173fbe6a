"""Fault plans and latencies as data: what is read, what is written, and what is refused with which words."""

from __future__ import annotations

import json
import tomllib
from statistics import mean, median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux_sim.faults import Distribution, FaultPlan, Latencies
from routilux_sim.faults.arming import arm
from routilux_sim.faults.labels import nth_word, words_of
from routilux_sim.faults.plan import KINDS, Raise, Slow, Spurious, Stall

seconds = st.floats(0, 1e6, allow_nan=False) | st.integers(0, 10**6)
names = st.text(min_size=1, max_size=8)
distributions = st.one_of(
    seconds,
    st.builds(lambda value: {"kind": "constant", "seconds": value}, seconds),
    st.builds(lambda low, more: {"kind": "uniform", "low": low, "high": low + more}, seconds, seconds),
    st.builds(lambda mean, by: {"kind": "normal", "mean": mean, "deviation": by}, seconds, seconds),
    st.builds(lambda values: {"kind": "empirical", "values": values}, st.lists(seconds, min_size=1, max_size=5)),
)
errors = st.sampled_from(["ValueError", "OSError", "my.package:Error", "routilux:StoreError"])
probabilities = st.floats(0, 1)
counts = st.integers(1, 1000)


def fault(required, optional):
    """Tables of a kind of fault."""
    return st.fixed_dictionaries(required, optional={key: optional[key] for key in optional if key not in required})


when = {"nth": counts, "probability": probabilities, "times": counts}
plans = st.fixed_dictionaries(
    {},
    optional={
        "raise": st.lists(fault({}, {**when, "routine": names, "slot": names, "error": errors, "message": names})),
        "slow": st.lists(fault({"by": distributions}, {**when, "routine": names, "slot": names})),
        "stall": st.lists(fault({"by": distributions, "probability": probabilities}, {**when, "task": names})),
        "spurious": st.lists(fault({"nth": counts}, {**when, "condition": names, "after": distributions})),
        "clock": st.lists(
            fault({"at": seconds, "by": st.floats(1, 1e6) | st.floats(-1e6, -1)}, {"probability": probabilities})
        ),
        "queue": st.lists(fault({}, {**when, "queue": names})),
        "store": st.lists(fault({}, {**when, "operation": st.sampled_from(["read", "write"]), "error": errors})),
        "point": st.lists(
            fault({"name": names}, {**when, "error": errors})
            | fault({"name": names, "action": st.sampled_from(["delay", "stall"]), "by": distributions}, when)
        ),
        "latencies": st.dictionaries(names, distributions),
    },
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from([*KINDS]), inner),
    max_leaves=8,
)


@given(plans)
def test_what_is_written_is_read_again_as_the_same(data):
    """Also by way of JSON, as replay files have it."""
    plan = FaultPlan.from_dict(data)
    assert FaultPlan.from_dict(plan.to_dict()) == plan
    assert FaultPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert FaultPlan.from_dict(plan) is plan


@given(anything)
def test_anything_else_is_a_value_error_that_begins_with_the_place(data):
    """Whatever is read, it is a plan, or refused in words."""
    try:
        plan = FaultPlan.from_dict(data, "here")
    except ValueError as error:
        words = str(error)
    else:
        words = "here" if isinstance(plan, FaultPlan) else "nothing"
    assert words.startswith("here")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "faults must be a table, not []"),
        ({"rais": []}, "faults has no key 'rais'; did you mean 'raise'?"),
        ({"raise": {}}, "faults.raise must be an array of tables ([[faults.raise]]), not {}"),
        ({"raise": [{}, 3]}, "faults.raise[1] must be a table, not 3"),
        ({"raise": [{"rotine": "x"}]}, "faults.raise[0] has no key 'rotine'; did you mean 'routine'?"),
        ({"raise": [{"routine": ""}]}, "faults.raise[0].routine must be a string that is not empty, not ''"),
        ({"raise": [{"nth": 0}]}, "faults.raise[0].nth must be a whole number from 1 up, not 0"),
        ({"raise": [{"times": True}]}, "faults.raise[0].times must be a whole number from 1 up, not True"),
        ({"raise": [{"probability": 1.1}]}, "faults.raise[0].probability must be a number from 0 to 1, not 1.1"),
        (
            {"raise": [{"error": "KeyboardInterrupt"}]},
            "faults.raise[0].error must be the name of a built-in exception, or an import path like "
            "'package.module:Name', not 'KeyboardInterrupt'",
        ),
        ({"slow": [{}]}, "faults.slow[0].by is missing: it must be a number of seconds or a table with a kind"),
        ({"slow": [{"by": -1}]}, "faults.slow[0].by.seconds must be a finite number of seconds from 0 up, not -1"),
        (
            {"stall": [{"by": 1}]},
            "faults.stall[0].probability is missing: it must be a number from 0 to 1, "
            "unless nth says when the fault comes",
        ),
        ({"clock": [{"at": 1, "by": 0}]}, "faults.clock[0].by must be a finite number of seconds other than 0, not 0"),
        (
            {"clock": [{"at": 1, "by": 1, "nth": 1}]},
            "faults.clock[0].nth must be left out: a jump comes once, at its time, not 1",
        ),
        ({"store": [{"operation": "x"}]}, "faults.store[0].operation must be one of 'read', 'write', not 'x'"),
        ({"point": [{}]}, "faults.point[0].name is missing: it must be the name of a fault point"),
        (
            {"point": [{"name": "x", "by": 1}]},
            "faults.point[0].by must be left out, unless action is 'delay' or 'stall', not 1",
        ),
        ({"latencies": 3}, "faults.latencies must be a table of distributions by routine, not 3"),
        (
            {"latencies": {"a": {"kind": "gamma"}}},
            "faults.latencies.a.kind must be one of 'constant', 'uniform', 'normal', 'empirical', not 'gamma'",
        ),
        (
            {"latencies": {"a": {"kind": "uniform", "low": 2, "high": 1}}},
            "faults.latencies.a.low must be a number of seconds up to high, 1.0, not 2.0",
        ),
        (
            {"latencies": {"a": {"kind": "empirical", "values": []}}},
            "faults.latencies.a.values must be a list of numbers of seconds from 0 up, at least one, not []",
        ),
        ({"latencies": {"a": "x"}}, "faults.latencies.a must be a number of seconds or a table with a kind, not 'x'"),
    ],
)
def test_errors_say_place_value_and_what_is_allowed(data, words):
    """Each to the letter."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        FaultPlan.from_dict(data)
    assert str(caught.value) == words


def test_a_plan_reads_from_toml():
    """As scenarios have it."""
    text = """
    [[raise]]
    routine = "fetch"
    nth = 2
    error = "ValueError"
    [[stall]]
    task = "worker-*"
    by = 0.4
    probability = 0.1
    [latencies]
    fetch = { kind = "uniform", low = 0.1, high = 0.3 }
    """
    assert FaultPlan.from_dict(tomllib.loads(text)) == FaultPlan(
        (
            Stall(by=Distribution("constant", (0.4,)), task="worker-*", probability=0.1),
            Raise(routine="fetch", nth=2, error="ValueError"),
        ),
        Latencies({"fetch": Distribution("uniform", (0.1, 0.3))}),
    )


def test_a_plan_tells_what_it_would_import():
    """Each path once, and none that is routilux's own or never raised."""
    data = {
        "raise": [{"error": "a.b:C"}, {"error": "ValueError"}, {"error": "a.b:C"}],
        "store": [{}, {"error": "d:E"}],
        "point": [{"name": "x", "action": "delay", "by": 1, "error": "f:G"}],
    }
    assert FaultPlan.from_dict(data).import_paths == ("a.b:C", "d:E")


@given(distributions)
def test_a_distribution_has_only_durations_from_0_up_and_the_plain_one_first(data):
    """At each level; the plain one is the median of a normal one, the lowest of a uniform one."""
    distribution = Distribution.from_dict(data)
    values = [distribution.at(level) for level in range(distribution.levels)]
    assert all(0 <= value < float("inf") for value in values)
    assert distribution.most == max(values)
    if distribution.kind == "normal":
        assert values[0] == distribution.values[0] == median(values)
    if distribution.kind == "uniform":
        assert (values[0], values[-1]) == pytest.approx(distribution.values)
        assert values == sorted(values)
    if distribution.kind == "empirical":
        assert tuple(values) == distribution.values


def test_a_normal_distribution_has_its_mean_and_deviation():
    """As far as 99 percentiles have them, and nothing below 0."""
    distribution = Distribution.from_dict({"kind": "normal", "mean": 10, "deviation": 2})
    values = [distribution.at(level) for level in range(distribution.levels)]
    assert len(set(values)) == 99
    assert mean(values) == pytest.approx(10)
    assert stdev(values) == pytest.approx(2, rel=0.06)
    cut = Distribution.from_dict({"kind": "normal", "mean": 1, "deviation": 2})
    assert min(cut.at(level) for level in range(cut.levels)) == 0


def test_only_what_can_come_is_armed():
    """Probability 0 and no latencies are no plan; in swarm mode there are stalls in any case."""
    assert arm(None) is None
    assert arm({"raise": [{"probability": 0}]}) is None
    assert [each.fault.kind for each in arm({"raise": [{"probability": 0}, {}]}).faults] == ["raise"]
    assert [each.fault.kind for each in arm(None, swarm=True).faults] == ["stall", "spurious"]
    assert [each.fault.kind for each in arm({"raise": [{}]}, swarm=True).faults] == ["raise", "stall"]
    own = {"stall": [{"probability": 1, "by": 1}]}
    assert [each.fault.probability for each in arm(own, swarm=True).faults] == [1.0]
    assert arm({"latencies": {"a": 1}}).faults == []


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("worker-1: fault slow[1]: a.b is slower ... at its 3rd call", 2, "a.b is slower by 2 s at its 3rd call"),
        ("fault raise[0]: a.b raises ValueError at its 1st call", 1, "a.b raises ValueError at its 1st call"),
        ("fault spurious[0]: the 1st wait in Condition-1 ends ...", 1, "the 1st wait in Condition-1 ends at once"),
        ("worker-1: latency a.b", 1, "a.b takes 4 s"),
        ("worker-1: acquire Lock-1", 1, None),
        ("worker-1: swarm raise[0] exists", 1, None),
    ],
)
def test_labels_are_told_in_words(label, value, words):
    """With the duration that the value stands for."""
    levels = Distribution("empirical", (1.0, 2.0))
    plan = FaultPlan(
        (Slow(by=levels), Slow(by=levels), Spurious(nth=1)), Latencies({"a": Distribution("empirical", (3.0, 4.0))})
    )
    assert words_of(label, value, {"plan": plan.to_dict(), "swarm": False}) == words


def test_numbers_in_words():
    """Of the first and of those that are told otherwise."""
    assert [nth_word(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th")
    ]
