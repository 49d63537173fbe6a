"""Drawn flow graphs and workloads: what must come of them is known, and what breaks a law shrinks to a small one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from routilux_sim import simulate
from routilux_sim.generators import (
    FlowGraph,
    Node,
    Step,
    Submission,
    Workload,
    flow_graphs,
    schedules,
    workloads,
)

QUICK = settings(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

loads = flow_graphs().flatmap(lambda graph: st.tuples(st.just(graph), workloads(graph)))


def calls(graph: FlowGraph, workload: Workload, make_step=Step) -> Counter[str]:
    """How often each routine was called, by the histories of the jobs."""
    with graph.make_flow(make_step) as flow:
        jobs = workload.run(flow)
    assert {job.status for job in jobs} == {"completed"}
    return Counter(record.routine_id for job in jobs for record in job.execution_history if record.kind == "activation")


@settings(QUICK, max_examples=80)
@given(load=loads, schedule=schedules())
def test_each_routine_is_called_as_often_as_forecast(load, schedule):
    """Whatever the graph, the jobs and the schedule: nothing is lost and nothing doubled."""
    graph, workload = load
    assert simulate(lambda: calls(graph, workload), strategy=schedule).result() == workload.deliveries(graph)


@settings(QUICK, max_examples=300)
@given(flow_graphs(max_routines=6, max_emits=3, max_nap=0.5, max_workers=3, max_deliveries=12))
def test_graphs_keep_within_the_bounds(graph):
    """Routines, events, naps, workers and deliveries: none is above what was asked for, from any entry."""
    assert 1 <= len(graph.nodes) <= 6
    assert 1 <= graph.workers <= 3
    assert all(0 <= node.emits <= 3 and 0 <= node.nap <= 0.5 for node in graph.nodes)
    assert all(0 <= source < target < len(graph.nodes) for source, target in graph.connections)
    assert max(graph.deliveries(entry).total() for entry in range(len(graph.nodes))) <= 12


@settings(QUICK, max_examples=200)
@given(workloads(FlowGraph((Node(), Node())), max_jobs=4, max_gap=0.2))
def test_workloads_keep_within_the_bounds(workload):
    """Jobs, gaps and entries: none is above what was asked for, and time does not run backwards."""
    assert 1 <= len(workload.submissions) <= 4
    times = [submission.at for submission in workload.submissions]
    assert times[0] == 0
    assert all(0 <= later - earlier < 0.2001 for earlier, later in pairwise(times))
    assert {submission.entry for submission in workload.submissions} <= {0, 1}


class Hasty(Step):
    """Keeps a total, and loses an update when two activations of one routine overlap."""

    lost = 0

    def work(self, token: str) -> None:
        seen = self.get_config("total", 0)
        super().work(token)
        self.set_config(total=seen + 1)


@pytest.mark.long
def test_a_routine_that_must_not_overlap_shrinks_to_the_smallest_flow_in_which_it_does():
    """Found with the plain schedule: two events that meet at one routine, while it naps, on two workers."""

    def loses(graph):
        def totals():
            with graph.make_flow(Hasty) as flow:
                Workload((Submission(),)).run(flow)
                return Counter({name: routine.get_config("total", 0) for name, routine in flow.routines.items()})

        return simulate(totals, strategy="fifo", log=False).value.total() < graph.deliveries().total()

    graph = find(flow_graphs(max_routines=3, max_workers=2), loses, settings=settings(QUICK, max_examples=500))
    assert graph == FlowGraph((Node(emits=2), Node(nap=0.1)), ((0, 1),), workers=2)


def test_jobs_that_meet_shrink_to_two_at_once():
    """A workload in which a routine that serves one job at a time is called by two shrinks to two jobs, gap 0."""

    class Single(Step):
        def __init__(self) -> None:
            super().__init__()
            self.busy = threading.Lock()

        def work(self, token: str) -> None:
            assert self.busy.acquire(blocking=False)
            time.sleep(0.2)
            self.busy.release()

    graph = FlowGraph((Node(),), workers=2)

    def fails(workload):
        def statuses():
            with graph.make_flow(Single) as flow:
                return {job.status for job in workload.run(flow)}

        return "failed" in simulate(statuses, strategy="fifo", log=False).value

    found = find(workloads(graph, max_jobs=5, max_gap=0.5), fails, settings=QUICK)
    assert found == Workload((Submission(), Submission()))


def test_jobs_begin_when_they_are_due():
    """Submissions are at virtual instants; who comes late, behind a sequential job, begins at once."""

    def starts(workers):
        began = []

        class Noting(Step):
            def work(self, token: str) -> None:
                began.append((token, time.monotonic()))
                super().work(token)

        graph = FlowGraph((Node(nap=0.3),), workers=workers)
        workload = Workload((Submission(), Submission(0.2), Submission(1.0)))
        with graph.make_flow(Noting) as flow:
            workload.run(flow)
        return began

    concurrent = simulate(lambda: starts(2)).result()
    sequential = simulate(lambda: starts(1)).result()
    assert concurrent == [("job0", 0.0), ("job1", 0.2), ("job2", 1.0)]
    assert sequential == [("job0", 0.0), ("job1", 0.3), ("job2", 1.0)]


def test_forecasts_add_up():
    """Deliveries multiply along a way and add up where ways meet; jobs begin where they are told to."""
    graph = FlowGraph((Node(2), Node(3), Node(), Node()), ((0, 1), (0, 2), (1, 2)))
    assert graph.deliveries() == {"r0": 1, "r1": 2, "r2": 8}
    assert graph.deliveries(1, jobs=2) == {"r1": 2, "r2": 6}
    assert Workload((Submission(), Submission(1.0, 3), Submission(2.0, 1))).deliveries(graph) == {
        "r0": 1,
        "r1": 3,
        "r2": 11,
        "r3": 1,
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_options_go_to_the_flow(workers):
    """The graph decides about workers, and everything else is the caller's."""
    flow = FlowGraph((Node(),), workers=workers).make_flow(flow_id="mine", history_limit=5)
    assert (flow.flow_id, flow.history_limit, flow.max_workers) == ("mine", 5, workers)
    assert flow.execution_strategy == ("sequential" if workers == 1 else "concurrent")
