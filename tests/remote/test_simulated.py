"""Flows on a cluster in virtual time: calls and results travel, overtake each other, come twice, and workers die."""

from __future__ import annotations

import random

import pytest

from routilux.schedulers.futures import FuturesScheduler
from routilux_sim.executor import SimulatedExecutor
from tests.exploring import explore
from tests.remote.programs import NAP, PROGRAMS, chain, finish
from tests.remote.routines import Step


class Direct(SimulatedExecutor):
    """Has outcomes entered in its own threads, as a process pool has."""


Direct.__name__ = "ProcessPoolExecutor"


def cluster(trouble: float) -> FuturesScheduler:
    """A scheduler on a cluster of one to three workers."""
    latency = {"kind": "uniform", "low": 0.0, "high": NAP}
    workers, breaks = random.randint(1, 3), bool(trouble) and random.random() < 0.3
    kind = random.choice([SimulatedExecutor, Direct])
    return FuturesScheduler(lambda: kind(workers, latency=latency, trouble=trouble, breaks=breaks))


def hold(program, trouble, schedules):
    """Explore a program on such clusters."""

    def on_a_cluster():
        with cluster(trouble) as scheduler:
            program(scheduler)

    report = explore(on_a_cluster, schedules=schedules)
    report.raise_if_failed()
    assert report.schedules == schedules


each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
each_kind = pytest.mark.parametrize("trouble", [0.0, 0.1], ids=["smooth", "rough"])


@each_kind
@each_program
def test_what_is_settled_holds_on_a_cluster(program, trouble):
    """Whatever the cluster does, and whenever: nothing lost, nothing entered twice, every status truthful."""
    hold(program, trouble, 10)


def test_a_failure_comes_back_when_it_is_looked_at():
    """A simulation that tells the story of a run listens to it: who enters what does not hang on that."""

    def failing():
        with cluster(0.0) as scheduler, chain(scheduler, Step()) as flow:
            finish(flow, flow.execute("source", {"n": 3}))
        raise LookupError

    report = explore(failing, schedules=20)
    assert (report.verdict, report.nondeterminism) == ("failed", None)


@pytest.mark.long
@each_kind
@each_program
def test_what_is_settled_holds_on_ten_thousand_clusters(program, trouble):
    """The same, for more than 10,000 seeds in all."""
    hold(program, trouble, 10_000 // (2 * len(PROGRAMS)) + 1)
