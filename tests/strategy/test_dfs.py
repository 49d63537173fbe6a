"""Enumeration runs each schedule once, leaves none out within its bound, and claims nothing else."""

import functools
import random
import threading
from math import comb

import pytest

from routilux_sim import explore as explore_memory
from routilux_sim.judge.verdict import of_campaign, words_of_proof
from routilux_sim.strategy import Outcome
from routilux_sim.strategy.dfs import DfsStrategy
from tests.strategy.enumerating import all_schedules
from tests.strategy.small import guarded, in_threads, lost_update, points, reads

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

SMALL = {
    "two threads that only begin": points(0, 0),
    "one read and two": points(1, 2),
    "three threads": points(1, 0, 1),
    "a lock": guarded(2),
}


class Watched(DfsStrategy):
    """Keeps the values of each tape."""

    def __init__(self, *limit: int) -> None:
        super().__init__(*limit)
        self.tapes: list[tuple[int, ...]] = []
        self.preemptions: list[int] = []

    def end(self, outcome: Outcome) -> None:
        self.tapes.append(tuple(value for value, *_ in outcome.tape))
        self.preemptions.append(
            sum(1 for value, kind in zip(self.tapes[-1], self._preempting, strict=False) if value and kind)
        )
        super().end(outcome)


@pytest.mark.parametrize("program", SMALL.values(), ids=SMALL)
def test_it_runs_just_what_brute_force_runs(program):
    """Every schedule that brute force finds, each once, and then it is exhausted."""
    expected = [values for values, _ in all_schedules(program)]
    strategy = Watched()
    report = explore(program, strategy=strategy, schedules=10 * len(expected))
    assert report.verdict == "exhausted"
    assert sorted(strategy.tapes) == sorted(expected)


@pytest.mark.parametrize("limit", [0, 1, 2])
@pytest.mark.parametrize("program", SMALL.values(), ids=SMALL)
def test_a_bound_leaves_out_what_is_beyond_it_and_nothing_else(program, limit):
    """With a limit, exactly the schedules with at most so many preemptions run, those with fewer first."""
    expected = [values for values, preemptions in all_schedules(program) if preemptions <= limit]
    strategy = Watched(limit)
    report = explore(program, strategy=strategy, schedules=10 * len(expected))
    assert report.verdict == "exhausted"
    assert sorted(strategy.tapes) == sorted(expected)
    assert strategy.preemptions == sorted(strategy.preemptions)


def test_deviations_come_few_first():
    """Without a limit, no schedule has fewer choices that are not plain than one before it."""
    strategy = Watched()
    explore(points(1, 2), strategy=strategy, schedules=10_000)
    deviations = [sum(1 for value in tape if value) for tape in strategy.tapes]
    assert deviations == sorted(deviations)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 2), (1, 3)])
def test_all_interleavings_are_among_them(first, second):
    """Two threads with so many reads have the binomial number of interleavings of those."""
    seen = []
    assert explore(reads(first, second)(seen), strategy="dfs", schedules=100_000).verdict == "exhausted"
    assert len(set(seen)) == comb(first + second, first)


def test_the_proof_says_how_fine_and_how_far():
    """The verdict comes with granularity and bound, in the report and in its text."""
    report = explore(guarded(2), strategy="dfs:1", schedules=10_000)
    assert report.proof == "every interleaving of synchronization operations with at most 1 preemption"
    assert report.proof in str(report)
    assert explore(guarded(2), strategy="dfs:0", schedules=1000).proof.endswith("without a preemption")
    assert words_of_proof("", "memory accesses") == "every interleaving of memory accesses"


def test_a_reduced_space_is_no_proof_where_memory_is_not_looked_at():
    """An order of plain appends is not seen: reduction takes one for the other, and enumeration does not."""
    seen = set()

    def program():
        order = []
        in_threads(lambda: order.append("a"), lambda: order.append("b"))
        seen.add("".join(order))

    report = explore(program, strategy="dpor", schedules=100)
    assert (report.verdict, report.proof) == ("passed", None)
    assert "which is no proof: accesses to memory are no scheduling points" in str(report)
    reduced = explore(program, strategy="dpor", schedules=100, instrument="auto").proof
    assert reduced.endswith(
        "up to the order of independent ones, provided that tasks share nothing but what these are about"
    )
    assert (
        explore(program, strategy="portfolio", schedules=1000).proof
        == "every interleaving of synchronization operations"
    )
    assert seen == {"ab", "ba"}


def test_a_truncated_search_is_never_exhausted():
    """One schedule fewer than there are, and nothing is proved."""
    total = sum(1 for _ in all_schedules(points(1, 0)))
    for budget in range(1, total):
        report = explore(points(1, 0), strategy="dfs", schedules=budget)
        assert (report.verdict, report.schedules, report.proof) == ("passed", budget, None)
    report = explore(points(1, 0), strategy="dfs", schedules=total)
    assert (report.verdict, report.schedules) == ("exhausted", total)


def test_no_other_strategy_proves_anything():
    """However often it has run every schedule there is."""
    for strategy in ("random", "pct", "pos", "surw", "mutation", "fifo"):
        report = explore(points(0, 0), strategy=strategy, schedules=300)
        assert (report.verdict, report.proof) == ("passed", None), strategy
    assert of_campaign(failed=False, reproduced=False, inconclusive=False, proof=None) == "passed"


def test_a_failure_is_found_and_outranks():
    """A bug within the bound fails, and is no proof."""
    report = explore(lost_update, strategy="dfs:1", schedules=1000)
    assert (report.verdict, report.proof) == ("failed", None)


def test_a_bug_beyond_the_bound_is_not_found():
    """Which is why the bound is part of the proof."""
    report = explore(lost_update, strategy="dfs:0", schedules=1000)
    assert (report.verdict, report.proof.endswith("without a preemption")) == ("exhausted", True)


def test_a_prefix_that_does_not_come_back_is_noticed():
    """A program that keeps state from one schedule to the next is inconclusive, and not exhausted."""
    runs = []

    def program():
        runs.append(1)
        points(*[1] * (1 + len(runs) % 3))()

    report = explore(program, strategy="dfs", schedules=10_000)
    assert report.verdict == "inconclusive"
    assert "was not the same again" in report.reason


def test_random_numbers_are_not_enumerated():
    """A program that draws some has more executions than schedules: all of those have run, and nothing is proved."""

    def program():
        points(0, 0)()
        assert random.random() < 2

    report = explore(program, strategy="dfs", schedules=10_000)
    assert (report.verdict, report.proof) == ("passed", None)
    assert report.schedules == sum(1 for _ in all_schedules(points(0, 0)))


def test_the_programs_randomness_is_the_same_each_time():
    """Else a prefix would not come back."""
    drawn = set()

    def program():
        drawn.add(random.random())
        points(0, 0)()

    explore(program, strategy="dfs", schedules=50)
    assert len(drawn) == 1


def test_a_fair_suffix_leaves_schedules_out():
    """Where limits made a fair scheduler choose, not every choice has been tried."""

    def program():
        done = threading.Event()

        def spin():
            while not done.is_set():
                pass

        thread = threading.Thread(target=spin)
        thread.start()
        done.set()
        thread.join()

    report = explore(program, strategy="dfs:1", schedules=300, max_steps=60)
    assert report.verdict != "exhausted"


def test_restarting_forgets_what_was_enumerated():
    """When the program has more decisions than before, a proof begins anew."""
    strategy = Watched()
    explore(points(0, 0), strategy=strategy, schedules=1000)
    first = list(strategy.tapes)
    strategy.restart()
    assert strategy.proof is None
    assert explore(points(0, 0), strategy=strategy, schedules=1000).verdict == "exhausted"
    assert strategy.tapes == first * 2


def test_who_is_not_told_of_an_execution_proves_nothing():
    """Without `end`, what an execution came to is unknown."""
    strategy = DfsStrategy()
    assert strategy.begin(0)
    assert not strategy.begin(1)
    assert strategy.proof is None
