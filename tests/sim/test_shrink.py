"""A failing schedule becomes the simplest one that fails in the same way, and has a passing one beside it."""

import functools
import itertools
import threading
from itertools import pairwise

import pytest
from buggy_programs import BUGS, Location, lost_update, lost_update_in_a_crowd, missed_notify, two_sections, yielding
from sim_helpers import ids, run_threads

from routilux_sim import exploration, replay, simulate, trials
from routilux_sim import explore as explore_memory
from routilux_sim.execution import Campaign
from routilux_sim.judge.signature import signature_of
from routilux_sim.kernel.core import here
from routilux_sim.nearest import nearest_passing
from routilux_sim.shrink import shrink
from routilux_sim.strategy.guided import OPEN, Anchor, GuidedStrategy, Ledger
from routilux_sim.trials import Budget

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

SCHEDULES = 3_000
"""Enough for plain random to find each of the bugs."""


def failing(program, seed=0):
    """A schedule under which a program fails."""
    report = explore(program, schedules=SCHEDULES, seed=seed, strategy="random", shrink=False)
    assert report.failure is not None, report
    return report.failure.schedule


def shrunk(program, schedule, **budget):
    """What shrinking makes of a schedule."""
    campaign = Campaign(program)
    with campaign.running():
        return shrink(campaign, schedule, Budget(**budget))


def ways_to_fail(program, schedule):
    return signature_of(replay(program, schedule, log=False).error)


@pytest.mark.parametrize("program", BUGS, ids=ids(BUGS))
@pytest.mark.parametrize("seed", [0, 1_000_003])
def test_it_takes_no_more_preemptions_than_the_bug_needs(program, seed):
    """Whatever schedule found it: the pattern's own number, and the very same failure when it is replayed."""
    schedule = failing(program, seed)
    found = shrunk(program, schedule)
    assert found.after.preemptions <= BUGS[program]
    assert found.after <= found.before
    assert found.schedule.preemptions == found.after.preemptions
    assert found.schedule.deviations == found.after.deviations
    assert ways_to_fail(program, found.schedule) == ways_to_fail(program, schedule)


def test_it_comes_to_the_same_each_time():
    """One schedule, one result: decision by decision, in as many executions."""
    schedule = failing(lost_update_in_a_crowd)
    first, second = (shrunk(lost_update_in_a_crowd, schedule) for _ in range(2))
    assert first.schedule.steps == second.schedule.steps
    assert first.executions == second.executions
    assert not first.late


def test_where_fifo_fails_nothing_is_left():
    """Of a program that fails under the plain schedule, it is the plain schedule."""
    assert shrunk(yielding, failing(yielding)).schedule.deviations == 0


def test_what_is_as_simple_as_can_be_stays_as_it_is():
    """Shrinking a second time changes nothing."""
    first = shrunk(two_sections, failing(two_sections))
    second = shrunk(two_sections, first.schedule)
    assert second.schedule == first.schedule
    assert second.after == second.before


def test_another_failure_is_not_taken_for_it():
    """That the program fails more simply in another way does not matter: not in type, nor in the function."""

    def fail_in(order):
        raise RuntimeError(order)

    def program():
        order = []
        run_threads(lambda: order.append(1), lambda: order.append(2), lambda: order.append(3))
        if order == [3, 2, 1]:
            fail_in(order)
        if order == [2, 1, 3]:
            raise RuntimeError(order)
        if order == [1, 3, 2]:
            raise ValueError(order)

    schedule = next(
        execution.schedule
        for execution in (simulate(program, seed=seed) for seed in range(SCHEDULES))
        if "[3, 2, 1]" in str(execution.error)
    )
    assert str(replay(program, shrunk(program, schedule).schedule).error) == "[3, 2, 1]"


def test_a_deadlock_of_another_shape_is_another_failure():
    """A ring of two locks is not one of three."""

    def program():
        locks = [threading.Lock() for _ in range(3)]

        def take(first, second):
            with locks[first], locks[second]:
                pass

        run_threads(*(lambda pair=pair: take(*pair) for pair in ((0, 1), (1, 2), (2, 0), (1, 0))))

    def ring(execution):
        return len(getattr(execution.error, "cycle", ()))

    schedule = next(
        execution.schedule
        for execution in (simulate(program, seed=seed) for seed in range(SCHEDULES))
        if ring(execution) == 3
    )
    found = shrunk(program, schedule)
    assert ring(replay(program, found.schedule)) == 3
    assert found.after.preemptions <= 2


@pytest.mark.parametrize("executions", [1, 2, 5, 20])
def test_a_small_budget_still_leaves_a_schedule_that_fails(executions):
    """Not a trial more than is allowed, and what there is by then fails all the same."""
    schedule = failing(lost_update_in_a_crowd)
    found = shrunk(lost_update_in_a_crowd, schedule, executions=executions)
    assert found.executions <= executions
    assert found.after <= found.before
    assert ways_to_fail(lost_update_in_a_crowd, found.schedule) == ways_to_fail(lost_update_in_a_crowd, schedule)


def test_real_time_that_runs_out_is_told(monkeypatch):
    """Where it was the clock that ended it, the result says so."""
    schedule = failing(lost_update_in_a_crowd)
    readings = itertools.count()
    monkeypatch.setattr(trials, "_clock", lambda: next(readings) / 10)
    found = shrunk(lost_update_in_a_crowd, schedule, seconds=0.5)
    assert found.late
    assert found.executions < 10


def test_a_schedule_that_passes_is_not_shrunk():
    """There is nothing that it could be shrunk to."""
    assert shrunk(two_sections, simulate(two_sections, strategy="fifo").schedule) is None


def test_a_plan_that_does_not_fit_is_followed_as_far_as_it_does():
    """A decision that never comes, and a task that could not run, are left at the plain choice."""
    plain = simulate(two_sections, strategy="fifo").schedule
    plan = {Anchor(2, OPEN, "acquire Lock-1", 7): 3, Anchor(2, OPEN, "acquire Lock-1", 1): 99}
    campaign = Campaign(two_sections)
    with campaign.running():
        execution = campaign.execute(GuidedStrategy(plan, Ledger()), 0, enabled=True)
    assert execution.schedule == plain


def test_decisions_keep_their_names_when_those_before_them_change():
    """A preemption that is named is made, also when the program has got there by another way."""
    anchor = Anchor(2, OPEN, "acquire Lock-1", 2)
    campaign = Campaign(two_sections)
    with campaign.running():
        for earlier in ({}, {Anchor(1, OPEN, "start", 1): 2}):
            ledger = Ledger()
            campaign.execute(GuidedStrategy({**earlier, anchor: 3}, ledger), 0)
            assert anchor in [choice.anchor for choice in ledger.choices]


@pytest.mark.parametrize("program", BUGS, ids=ids(BUGS))
def test_the_nearest_passing_schedule_parts_at_one_decision(program):
    """Up to there both are the same; the one passes, the other fails; at most that one deviation is more."""
    found = shrunk(program, failing(program))
    campaign = Campaign(program)
    with campaign.running():
        nearest = nearest_passing(campaign, found.schedule, found.plan)
    assert replay(program, nearest.schedule).verdict == "passed"
    step = nearest.step
    assert nearest.schedule.steps[:step] == found.schedule.steps[:step]
    old, new = found.schedule[step], nearest.schedule[step]
    assert (old.label, old.bound, old.enabled) == (new.label, new.bound, new.enabled)
    assert old.value != new.value
    assert abs(nearest.schedule.deviations - found.schedule.deviations) <= 1


def test_what_always_fails_has_no_passing_schedule():
    """Nothing is made up."""

    def program():
        run_threads(lambda: None, lambda: None)
        raise ValueError("always")

    report = explore(program, schedules=5)
    assert report.failure.shrunk.deviations == 0
    assert report.failure.nearest_passing is None
    assert "it passes" not in report.failure.explanation


def test_a_failure_carries_what_was_found():
    """Schedule, sentence and passing schedule stand beside what was found first."""
    failure = explore(lost_update, schedules=SCHEDULES).failure
    assert failure.shrunk.preemptions == 1
    assert failure.shrunk.deviations == 1
    assert failure.sentence in failure.explanation
    assert replay(lost_update, failure.nearest_passing).verdict == "passed"
    assert replay(lost_update, failure.shrunk).verdict == "failed"
    assert replay(lost_update, failure.schedule).verdict == "failed"


def test_shrinking_can_be_left_out():
    """Then the program runs no more than it takes to confirm the failure."""
    failure = explore(lost_update, schedules=SCHEDULES, shrink=False).failure
    assert failure.shrunk is failure.sentence is failure.nearest_passing is None


def test_a_failure_is_told_before_it_is_shrunk():
    """Who is to keep it hears of it with no execution in between."""
    runs, told = [], []

    def program():
        runs.append(None)
        lost_update()

    explore(program, schedules=SCHEDULES, on_failure=lambda execution: told.append((execution, len(runs))))
    ((execution, count),) = told
    assert execution.verdict == "failed"
    assert count < len(runs)


def test_the_preemptions_of_a_schedule_are_those_of_tasks_that_could_go_on():
    """A choice among those that wait, when a task is blocked, is none."""
    counted = [simulate(missed_notify, seed=seed).schedule for seed in range(20)]
    assert all(schedule.preemptions <= schedule.deviations for schedule in counted)
    assert any(schedule.preemptions < schedule.deviations for schedule in counted)
    for schedule in counted:
        for step, following in pairwise(schedule):
            if step.is_open and not step.value:
                # Whoever goes on makes the next decision.
                assert following.label.partition(":")[0] == step.label.partition(":")[0]


def test_a_preemption_by_the_last_of_many_is_found():
    """One that does alone, also where there are many tasks to choose from at each decision."""
    place = Location("place")

    def program():
        state = [0, 0]

        def put():
            here().point("write", place)
            state[0] += 1
            here().point("write", place)
            state[1] += 1

        def check():
            here().point("read", place)
            assert state[0] == state[1], "half done"

        run_threads(*[put] * 12, check)

    found = shrunk(program, failing(program))
    assert (found.after.preemptions, found.after.deviations) == (1, 1)


@pytest.mark.long
@pytest.mark.parametrize("program", BUGS, ids=ids(BUGS))
def test_it_takes_no_more_preemptions_whatever_found_it(program):
    """A hundred schedules that fail, and all of them shrink to the pattern's own number."""
    for seed in range(0, 100 * SCHEDULES, SCHEDULES):
        assert shrunk(program, failing(program, seed)).after.preemptions <= BUGS[program]


def test_a_slow_program_is_not_shrunk(monkeypatch):
    """What takes long is reported at once, and says that it was not."""
    readings = itertools.count()
    monkeypatch.setattr(exploration, "_clock", lambda: float(next(readings) * 4))
    failure = explore(lost_update, schedules=SCHEDULES).failure
    assert failure.shrunk is None
    assert failure.explanation.endswith("not shrunk: an execution takes 2.0 real seconds")
