"""Drawn schedules: their deviations come from Hypothesis, which finds a bug with them and shrinks them."""

from __future__ import annotations

import random
import re
import threading

import pytest
from hypothesis import HealthCheck, Phase, find, given, note, settings
from hypothesis import strategies as st

from routilux_sim import explore, replay, simulate
from routilux_sim.generators import GivenSchedule, schedules

THOROUGH = settings(
    database=None, deadline=None, derandomize=True, max_examples=300, suppress_health_check=list(HealthCheck)
)


class Account:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.balance = 0

    def add(self, amount: int) -> None:
        with self.lock:
            seen = self.balance
        with self.lock:
            self.balance = seen + amount


def deposits(count: int) -> int:
    account = Account()
    threads = [threading.Thread(target=account.add, args=(1,), name=f"t{n}") for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return account.balance


class Loses:
    """Whether an update is lost under a schedule; keeps what it has seen."""

    def __init__(self) -> None:
        self.last = None

    def __call__(self, schedule) -> bool:
        execution = simulate(lambda: deposits(3), strategy=schedule)
        if execution.value < 3:
            self.last = str(schedule), execution
            return True
        return False


def test_a_lost_update_is_found_and_shrunk_to_one_deviation():
    """Hypothesis leaves nothing of the schedule but the one preemption that loses an update."""
    loses = Loses()
    find(schedules(tasks=6, decisions=20, draws=0), loses, settings=THOROUGH)
    text, execution = loses.last
    assert execution.schedule.deviations == 1
    (deviation,) = text.partition(" decisions, except: ")[2].split("; ")
    assert re.fullmatch(r"'.+' runs instead of 't\d', which is to acquire .+", deviation)
    assert replay(lambda: deposits(3), execution.schedule).value == execution.value


def test_the_arguments_shrink_with_the_schedule():
    """A failing ``@given`` test ends with the fewest threads that can fail, and its note tells the schedule."""

    @settings(THOROUGH, phases=[Phase.generate, Phase.shrink])
    @given(count=st.integers(0, 5), schedule=schedules())
    def holds(count, schedule):
        try:
            balance = simulate(lambda: deposits(count), strategy=schedule).result()
        finally:
            note(str(schedule))
        assert balance == count

    with pytest.raises(AssertionError) as caught:
        holds()
    told = "\n".join(caught.value.__notes__)
    assert "count=2," in told
    assert re.search(r"schedule=GivenSchedule\(\{\(1, \d\): 1\}\),", told)
    assert re.search(r"decisions, except: 't1' runs instead of 't0', which is to acquire Lock-1$", told, re.MULTILINE)


def test_the_plain_schedule_is_the_simplest():
    """What Hypothesis begins with, and shrinks to, has no deviations: it is the schedule of ``fifo``."""

    @settings(THOROUGH, max_examples=1)
    @given(schedules())
    def run(schedule):
        execution = simulate(lambda: deposits(2), strategy=schedule)
        assert execution.schedule == simulate(lambda: deposits(2), strategy="fifo").schedule
        assert str(schedule) == f"the plain choice at each of {len(execution.schedule)} decisions"
        assert schedule == GivenSchedule({})

    run()


def test_deviations_keep_within_the_bounds():
    """``tasks=2, decisions=3`` lets six decisions deviate, those about the first two tasks; each of them does."""
    places = set()

    @settings(THOROUGH)
    @given(schedules(tasks=2, decisions=3, draws=0))
    def run(schedule):
        places.update(schedule.deviations)
        assert not schedule.draws

    run()
    assert places == {(task, number) for task in range(2) for number in range(3)}


@pytest.mark.parametrize(("name", "least"), [("tasks", 1), ("decisions", 1), ("draws", 0)])
@pytest.mark.parametrize("value", [-1, 1.5, True, None])
def test_other_bounds_are_refused(name, least, value):
    """It says what is wrong and what is allowed."""
    with pytest.raises(ValueError, match=rf"^{name} must be a whole number from {least} up, not {value!r}$"):
        schedules(**{name: value})


@pytest.mark.parametrize("given", [({(-1, 0): 1},), ({(0, -1): 1},), ({(0, 0): 0},), ({}, {-1: 1}), ({}, {0: 0})])
def test_deviations_that_are_none_are_refused(given):
    """A schedule written by hand has tasks and decisions from 0 up, and choices from 1 up."""
    with pytest.raises(ValueError, match="numbers from 0 up and a choice from 1 up, not "):
        GivenSchedule(*given)


def test_numbers_drawn_for_something_else_deviate_where_it_is_given():
    """What asks for a number by a label, and not for a task, gets 0 but where ``draws`` says otherwise."""
    schedule = GivenSchedule({}, {1: 1, 3: 5})
    assert [schedule.draw("fault", bound) for bound in (2, 2, 3, 4, 2)] == [0, 1, 0, 2, 0]
    assert str(schedule).endswith("except: fault is 1, of 2 choices; fault is 2, of 4 choices")


def test_what_is_printed_is_a_schedule():
    """The text that Hypothesis shows can be pasted into ``@example``: it makes an equal schedule, and the same run."""

    @settings(THOROUGH, max_examples=50)
    @given(schedules())
    def run(schedule):
        pasted = eval(repr(schedule))
        assert (pasted, hash(pasted)) == (schedule, hash(schedule))
        first, second = (simulate(lambda: deposits(3), strategy=each) for each in (schedule, pasted))
        assert first.log_bytes() == second.log_bytes()
        assert str(pasted) == str(schedule)

    run()


def test_random_numbers_of_the_program_come_from_the_seed():
    """Only decisions are drawn: what the program draws by itself is as in any simulation of that seed."""
    expected = simulate(random.random, seed=5).value

    @settings(THOROUGH, max_examples=5)
    @given(schedules())
    def run(schedule):
        assert simulate(random.random, seed=5, strategy=schedule).value == expected

    run()


def test_explore_takes_them_too():
    """``explore`` confirms a failure under a drawn schedule by replaying it."""

    def broken():
        assert deposits(2) == 2

    @settings(THOROUGH, phases=[Phase.generate, Phase.shrink])
    @given(schedules())
    def run(schedule):
        explore(broken, strategy=schedule, schedules=1, shrink=False).raise_if_failed()

    with pytest.raises(AssertionError, match="assert 1 == 2") as caught:
        run()
    assert any(re.search("decisions, 1 of them not the plain choice", line) for line in caught.value.__notes__)


def test_memory_accesses_are_decisions_as_well():
    """With ``instrument``, Hypothesis finds what needs a preemption between two accesses to an attribute."""

    class Counter:
        value = 0

        def add(self):
            self.value += 1

    def count():
        counter = Counter()
        threads = [threading.Thread(target=counter.add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter.value == 2

    def loses(schedule):
        # What turns out to be shared is a decision from the next execution on.
        explored = explore(count, strategy=schedule, schedules=3, instrument=[__name__], shrink=False)
        return explored.failure is not None

    found = find(schedules(), loses, settings=settings(THOROUGH, phases=[Phase.generate]))
    assert len(found.deviations) >= 1
