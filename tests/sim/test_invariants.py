"""Invariants: checked at each step, named with the step, and no step themselves."""

from __future__ import annotations

import queue
import threading
import time
from datetime import UTC, datetime

import pytest

from routilux_sim import InvariantError, explore, replay, simulate
from routilux_sim.pytest_fixture import Sim


class Bank:
    """An account with two slots of time between test and withdrawal."""

    def __init__(self) -> None:
        self.balance = 100
        self.lock = threading.Lock()

    def withdraw(self) -> None:
        if self.balance >= 100:
            time.sleep(0)
            with self.lock:
                self.balance -= 100


class Program:
    """Two withdrawals; the bank is of the latest execution."""

    def __init__(self) -> None:
        self.bank: Bank | None = None

    def __call__(self) -> None:
        self.bank = Bank()
        threads = [threading.Thread(target=self.bank.withdraw, name=name) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # What was wrong in between cannot be seen any more.
        self.bank.balance = 0


def test_what_is_broken_for_a_while_is_found_in_some_schedule_and_only_with_the_invariant():
    """The end state is right in all schedules, so that only a look at each step tells."""
    program = Program()

    def never_overdrawn() -> bool:
        return program.bank is None or program.bank.balance >= 0

    assert explore(program, schedules=50, instrument=None).verdict == "passed"
    report = explore(program, schedules=200, invariants=[never_overdrawn], instrument=None)
    assert report.failure is not None
    assert report.failure.kind == "invariant"
    error = report.failure.exception
    assert isinstance(error, InvariantError)
    assert error.invariant.endswith("never_overdrawn")
    assert error.task in {"a", "b"}
    assert f"does not hold after step {error.step}, in task '{error.task}'" in str(error)
    assert report.failure.shrunk is not None
    again = replay(program, report.failure.shrunk, invariants=[never_overdrawn])
    assert again.kind == "invariant"


def test_an_assertion_says_why():
    """Its text stands in the message, and it is the error's cause."""
    seen = []

    def few() -> None:
        assert len(seen) < 2, f"{len(seen)} are too many"

    def program() -> None:
        seen.clear()
        for number in range(3):
            seen.append(number)
            time.sleep(1)

    error = simulate(program, invariants=[few]).error
    assert isinstance(error, InvariantError)
    assert "2 are too many" in str(error)
    assert isinstance(error.__cause__, AssertionError)


@pytest.mark.parametrize("answer", [None, True, 1, "yes"])
def test_what_holds(answer):
    """None is what a function returns that only asserts."""
    assert simulate(lambda: time.sleep(1), invariants=[lambda: answer]).verdict == "passed"


@pytest.mark.parametrize("answer", [False, 0, ""])
def test_what_does_not_hold(answer):
    """Everything else that is false."""
    assert simulate(lambda: time.sleep(1), invariants=[lambda: answer]).kind == "invariant"


def test_another_exception_is_itself():
    """An invariant that is wrong fails with what it raises."""
    execution = simulate(lambda: time.sleep(1), invariants=[lambda: 1 / 0])
    assert isinstance(execution.error, ZeroDivisionError)
    assert execution.kind == "exception"


def test_looking_is_no_step_and_changes_no_schedule():
    """Locks, queues and clocks may be looked at: the same seeds give the same schedules, with the same steps."""
    things = []

    def program() -> list[str]:
        things[:] = [threading.Lock(), queue.Queue(), threading.Event()]
        order = []

        def work(name: str) -> None:
            with things[0]:
                things[1].put(name)
            order.append(things[1].get())
            time.sleep(0.5)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return order

    def looks() -> bool:
        if not things:
            return True
        lock, waiting, event = things
        times = time.time(), time.monotonic(), datetime.now(UTC)
        return not event.is_set() and waiting.qsize() < 4 and lock.locked() in {True, False} and bool(times)

    for seed in range(30):
        things.clear()
        plain = simulate(program, seed=seed)
        things.clear()
        looked_at = simulate(program, seed=seed, invariants=[looks])
        assert plain.error is None
        assert (looked_at.error, looked_at.value, looked_at.steps) == (None, plain.value, plain.steps)
        assert looked_at.schedule == plain.schedule
        assert looked_at.log_bytes() == plain.log_bytes()


def test_an_invariant_must_not_wait():
    """It would see what nobody sees; it is inconclusive, with what to do."""
    lock = []

    def program() -> None:
        lock[:] = [threading.Lock()]
        with lock[0]:
            time.sleep(1)

    execution = simulate(program, invariants=[lambda: (lock and lock[0].acquire()) or True])
    assert execution.verdict == "inconclusive"
    assert "an invariant must not wait" in str(execution.error)


def test_an_invariant_must_not_start_threads():
    """Likewise."""
    execution = simulate(lambda: time.sleep(1), invariants=[lambda: threading.Thread(target=print).start() or True])
    assert execution.verdict == "inconclusive"
    assert "an invariant must not start threads" in str(execution.error)


@pytest.mark.parametrize("invariants", [print, "abc", [1], None])
def test_what_are_no_invariants(invariants):
    """Refused before anything runs."""
    with pytest.raises(TypeError, match="invariants must be a list of functions without arguments, not"):
        simulate(lambda: None, invariants=invariants)


def test_what_a_task_does_last_is_its_own_doing():
    """What is broken between a task's last step and its end is put down to it."""
    state = [0]

    def breaks() -> None:
        time.sleep(1)
        state[0] = 1

    def program() -> None:
        state[0] = 0
        thread = threading.Thread(target=breaks, name="breaks")
        thread.start()
        thread.join()

    for seed in range(20):
        state[0] = 0
        error = simulate(program, seed=seed, invariants=[lambda: state[0] == 0]).error
        assert isinstance(error, InvariantError)
        assert error.task == "breaks"


@pytest.mark.parametrize(("takes", "within", "holds"), [(1, 2, True), (2, 2, True), (3, 2, False), (5, 100, True)])
def test_what_must_come_true_in_time(takes, within, holds):
    """The last instant counts; nobody waits for it."""
    sim = Sim()

    def program() -> float:
        done = []

        def work() -> None:
            time.sleep(takes)
            done.append(True)

        thread = threading.Thread(target=work)
        sim.eventually(lambda: done, within=within)
        thread.start()
        thread.join()
        return sim.now

    for seed in range(20):
        execution = simulate(program, seed=seed)
        assert execution.kind == (None if holds else "invariant")
        if holds:
            assert execution.value == takes
        else:
            assert "did not come true within 2 virtual seconds" in str(execution.error)


def test_the_end_of_the_program_is_the_last_chance():
    """What has not come true by then will not."""
    sim = Sim()
    execution = simulate(lambda: sim.eventually(lambda: False, within=1e6))
    assert execution.kind == "invariant"
    assert "did not come true before the program ended" in str(execution.error)


def test_what_was_true_once_may_be_false_again():
    """It is asked no more."""
    sim = Sim()
    state = []

    def program() -> None:
        state.clear()
        sim.eventually(lambda: state, within=5)
        time.sleep(1)
        state.append(1)
        time.sleep(1)
        state.clear()
        time.sleep(100)

    assert simulate(program).error is None


@pytest.mark.parametrize(
    ("epoch", "reads"),
    [
        (datetime(2030, 5, 1, 12, tzinfo=UTC), datetime(2030, 5, 1, 12, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (86_400.5, datetime(1970, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_an_epoch_is_a_date_or_seconds(epoch, reads):
    """The wall clock begins there."""
    assert simulate(lambda: datetime.now(UTC), epoch=epoch).value == reads


def test_an_epoch_without_a_zone_is_local_time():
    """``datetime.now()`` gives it back."""
    begins = datetime(2030, 5, 1, 12)
    assert simulate(lambda: datetime.now(), epoch=begins).value == begins  # noqa: PLW0108 - `now` itself is a real one
    assert explore(lambda: _is(begins), schedules=3, epoch=begins).failure is None


def _is(begins: datetime) -> None:
    assert datetime.now() == begins


@pytest.mark.parametrize("epoch", [-1, 1e12, float("nan"), float("inf")])
def test_an_epoch_that_no_date_can_be(epoch):
    """Refused before anything runs."""
    with pytest.raises(ValueError, match="epoch must be between the years 1970 and 9999, not"):
        simulate(lambda: None, epoch=epoch)


@pytest.mark.parametrize("epoch", ["2030-01-01", True, [1]])
def test_an_epoch_that_is_no_time(epoch):
    """Likewise."""
    with pytest.raises(TypeError, match="epoch must be seconds since 1970 or a datetime, not"):
        simulate(lambda: None, epoch=epoch)
