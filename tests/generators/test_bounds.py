"""Bounds that are none are refused where they are given, and not when an example is drawn."""

from __future__ import annotations

import pytest

from routilux_sim.generators import fault_plans, flow_graphs, workloads


@pytest.mark.parametrize(
    ("generator", "bounds", "message"),
    [
        (flow_graphs, {"max_routines": 0}, "max_routines must be a whole number from 1 up, not 0"),
        (flow_graphs, {"max_workers": True}, "max_workers must be a whole number from 1 up, not True"),
        (flow_graphs, {"max_deliveries": 1.5}, "max_deliveries must be a whole number from 1 up, not 1.5"),
        (flow_graphs, {"max_emits": -1}, "max_emits must be a whole number from 0 up, not -1"),
        (flow_graphs, {"max_nap": "x"}, "max_nap must be a finite number of seconds from 0 up, not 'x'"),
        (workloads, {"max_jobs": 0}, "max_jobs must be a whole number from 1 up, not 0"),
        (workloads, {"max_gap": -1}, "max_gap must be a finite number of seconds from 0 up, not -1"),
        (fault_plans, {"routines": []}, r"routines must be a list .*, at least one, not \[\]"),
        (fault_plans, {"routines": "r1"}, "routines must be a list of ids or patterns of ids, at least one, not 'r1'"),
        (fault_plans, {"kinds": "raise"}, r"kinds must be a list, as in \['raise'\], not 'raise'"),
        (fault_plans, {"kinds": ["point"]}, "kinds must be among 'raise', 'slow', .*, not 'point'"),
        (fault_plans, {"max_nth": 0}, "max_nth must be a whole number from 1 up, not 0"),
        (fault_plans, {"max_faults": -1}, "max_faults must be a whole number from 0 up, not -1"),
        (fault_plans, {"max_delay": float("inf")}, "max_delay must be a finite number of seconds from 0 up, not inf"),
    ],
)
def test_a_bound_that_is_none_is_refused(generator, bounds, message):
    """By its name, with what is allowed."""
    with pytest.raises(ValueError, match=message):
        generator(**bounds)
