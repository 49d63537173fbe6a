"""ConditionalRouter and Filter."""

from __future__ import annotations

import pytest

from routilux import ErrorHandler, UnknownNameError
from routilux.builtin import ConditionalRouter, ConfigurationError, ExpressionError, Filter
from tests.builtin.flows import collect, run, seen, wire

ROUTES = [("big", "n > 10"), ("odd", lambda data: data["n"] % 2)]


def routed(n, **options):
    return sorted(run(ConditionalRouter().configure(**{"routes": ROUTES, **options}), {"n": n}))


@pytest.mark.parametrize(
    ("n", "options", "events"),
    [
        (12, {}, ["big"]),
        (3, {}, ["odd"]),
        (13, {}, ["big"]),
        (13, {"routes": list(reversed(ROUTES))}, ["odd"]),
        (13, {"mode": "all"}, ["big", "odd"]),
        (2, {}, ["default"]),
        (2, {"default": "rest"}, ["rest"]),
        (2, {"default": None}, []),
        (2, {"routes": {"a": "n == 2", "b": "True"}}, ["a"]),
        (2, {"routes": []}, ["default"]),
    ],
)
def test_an_event_takes_the_routes_whose_conditions_hold(n, options, events):
    """The first that holds, or all that do; else the default, if there is one."""
    assert routed(n, **options) == events


def test_the_event_goes_on_unchanged():
    """All of the data, and nothing else, even if a condition changes what it is given."""
    router = ConditionalRouter().configure(routes=[("a", lambda data: data.clear() or True)])
    assert run(router, {"n": 1, "text": "x"}) == {"a": [{"n": 1, "text": "x"}]}


def test_routes_are_events_once_they_are_configured():
    """Configuring defines the events; events of routes that were configured before stay."""
    router = ConditionalRouter()
    assert list(router.events) == ["default"]
    router.configure(routes=[("a", "True")])
    kept = router.get_event("a")
    router.configure(routes=[("b", "True"), ("a", "False")], default="rest")
    assert set(router.events) == {"default", "a", "rest", "b"}
    assert router.get_event("a") is kept


def test_routes_that_do_not_exist_cannot_be_taken():
    """A subclass that chooses something else gets an error that lists what there is."""

    class Astray(ConditionalRouter):
        def choose(self, data):
            return ["nowhere"]

    with pytest.raises(UnknownNameError, match=r"unknown event 'nowhere' in .*; there are: 'default'"):
        run(Astray(), {})


def test_a_condition_that_fails_is_for_the_error_strategy():
    """By default the activation fails; the strategy may go on with the next event."""
    router = ConditionalRouter().configure(routes=[("a", "n > 1"), ("b", "True")])
    with pytest.raises(ExpressionError, match="expression 'n > 1', column 1: there is no 'n'"):
        run(router, {"m": 1})
    flow = wire(ConditionalRouter().configure(routes=[("a", "n > 1")]))
    flow.set_error_handler(ErrorHandler("continue"))
    flow.execute("source", {"events": [{"m": 1}, {"n": 2}]})
    assert seen(flow) == {"a": [{"n": 2}]}


def test_a_condition_that_fails_may_count_as_not_holding():
    """With ``no_match`` the next route is tried."""
    router = ConditionalRouter().configure(routes=[("a", "n > 1"), ("b", "True")], on_error="no_match")
    assert run(router, {"m": 1}) == {"b": [{"m": 1}]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routes": "a"}, "must be a list of pairs"),
        ({"routes": [("a",)]}, r"\('a',\) is no pair"),
        ({"routes": [("a", "True"), ("a", "False")]}, "route 'a' is there twice"),
        ({"routes": [("", "True")]}, "'' is no route's name"),
        ({"routes": [("a", 3)]}, "route 'a': 3 is neither"),
        (
            {"routes": [("a", "x.__class__")]},
            "route 'a': expression .*, column 1: '__class__' is not allowed",
        ),
        ({"routes": [("a", "f(x)")]}, "route 'a': .*calls are not allowed"),
        ({"routes": [("default", "True")]}, "'default' must be different from the routes' names"),
        ({"mode": "some"}, "'mode' must be one of 'first', 'all'"),
    ],
)
def test_bad_routes_are_refused_when_they_are_set(options, message):
    """The error names the route; no event is defined."""
    router = ConditionalRouter()
    with pytest.raises(ConfigurationError, match=message):
        router.configure(**options)
    assert list(router.events) == ["default"]


# Filter


def test_events_are_accepted_or_rejected():
    """By an expression or a function, over the event's data."""
    for condition in ("n > 1", lambda data: data["n"] > 1):
        emitted = run(Filter().configure(condition=condition), {"n": 1}, {"n": 2}, {"n": 3})
        assert emitted == {"accepted": [{"n": 2}, {"n": 3}], "rejected": [{"n": 1}]}


def test_the_items_of_a_list_are_sorted_out():
    """With ``each``, items go one way or the other, in order; no event carries nothing."""
    some = Filter().configure(condition="item > least or index == 0", each=True)
    assert run(some, {"items": [1, 2, 3, 1], "least": 1}) == {
        "accepted": [{"items": [1, 2, 3], "least": 1}],
        "rejected": [{"items": [1], "least": 1}],
    }
    assert run(some, {"items": [5], "least": 1}) == {"accepted": [{"items": [5], "least": 1}]}
    assert run(some, {"items": [], "least": 1}) == {}
    with pytest.raises(TypeError, match="Filter: 'items' must be a list, not 3"):
        run(some, {"items": 3})


def test_a_filters_condition_that_fails():
    """It fails the activation, or counts as a rejection."""
    with pytest.raises(ExpressionError, match="there is no 'n'"):
        run(Filter().configure(condition="n > 1"), {"m": 1})
    assert run(Filter().configure(condition="n > 1", on_error="reject"), {"m": 1}) == {"rejected": [{"m": 1}]}


def test_a_filter_without_a_condition_is_an_error():
    """Nothing is silently accepted or rejected, whatever ``on_error`` says."""
    for options in ({}, {"on_error": "reject"}):
        with pytest.raises(ConfigurationError, match="'condition' must be set, or accepts\\(\\) be defined"):
            collect(wire(Filter().configure(**options)), {"n": 1})
