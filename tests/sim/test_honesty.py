"""The simulator says no more than it has seen: what escapes, what is cut short, what is left out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from routilux import Flow, JobState, Routine
from routilux_sim import EscapeError, SimScheduler, explore, simulate


@pytest.mark.parametrize(
    ("escape", "named"),
    [
        (lambda: subprocess.run([sys.executable, "-c", ""], check=False), "subprocess.Popen()"),
        (lambda: os.fork(), "os.fork()"),  # noqa: PLW0108 - looked up inside, as a program would
    ],
    ids=["process", "fork"],
)
def test_what_is_not_simulated_is_never_a_pass(escape, named):
    """The verdict is ``inconclusive``, and says what escaped, even if the program catches everything."""

    def program():
        try:
            escape()
        except Exception:  # noqa: BLE001 - as careless programs do
            return

    report = explore(program, schedules=5)
    assert report.verdict == "inconclusive"
    assert named in report.reason
    assert isinstance(simulate(program).error, EscapeError)


def test_an_event_loop_from_outside_is_not_simulated():
    """Running a real loop ends the execution as ``inconclusive`` instead of waiting on two clocks for ever."""
    loop = asyncio.new_event_loop()
    try:
        execution = simulate(loop.run_forever)
    finally:
        loop.close()
    assert execution.verdict == "inconclusive"
    assert "an event loop that was not made in the simulation" in str(execution.error)


def seen(program, schedules=300):
    """All values that a program returns under many schedules."""
    return {simulate(program, seed=seed, log=False).result() for seed in range(schedules)}


def test_questions_are_scheduling_points():
    """``is_alive``, ``locked`` and ``empty`` answer both ways when both are possible."""

    def alive():
        thread = threading.Thread(target=lambda: None)
        thread.start()
        return thread.is_alive()

    def locked():
        lock = threading.Lock()
        threading.Thread(target=lock.acquire).start()
        return lock.locked()

    assert seen(alive) == seen(locked) == {True, False}


def test_asking_for_ever_reaches_the_step_limit():
    """A loop that only asks whether a thread is alive is scheduled, and given up if it never ends."""

    def program():
        thread = threading.Thread(target=lambda: None)
        thread.start()
        while thread.is_alive():
            pass

    assert simulate(program).verdict == "passed"
    assert simulate(program, strategy="fifo", max_steps=1000).verdict == "inconclusive"


def test_a_daemon_may_have_its_turn_before_the_end():
    """A daemon thread that fails at once is found, though the program does not wait for it."""

    def program():
        threading.Thread(target=lambda: 1 / 0, daemon=True).start()

    report = explore(program, schedules=100)
    assert (report.verdict, type(report.failure.exception)) == ("failed", ZeroDivisionError)


def test_a_program_that_keeps_state_is_not_exhausted():
    """Threads started only on the first call leave the later schedules with nothing to choose: inconclusive."""
    cache = []

    def program():
        if not cache:
            cache.append(1)
            threads = [threading.Thread(target=time.sleep, args=(1,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    report = explore(program, schedules=10)
    assert report.verdict == "inconclusive"
    assert "keeps state" in report.reason


class Wild:
    """A strategy that chooses what it was not offered."""

    name = "wild"

    def __init__(self, choice):
        self.choice = choice

    def begin(self, seed):
        return True

    def pick(self, current, ready):
        return self.choice

    def draw(self, label, bound):
        return 0


@pytest.mark.parametrize("choice", [99, -1, None])
def test_a_strategy_out_of_bounds_is_not_the_programs_failure(choice):
    """A choice that was not offered makes the run inconclusive, and names it."""

    def program():
        threading.Thread(target=lambda: None).start()

    execution = simulate(program, strategy=Wild(choice))
    assert execution.verdict == "inconclusive"
    assert "the strategy failed" in str(execution.error)


def test_no_schedule_is_no_pass():
    """A strategy with nothing left to explore gives no verdict on the program."""
    spent = Wild(0)
    spent.begin = lambda seed: False
    assert explore(lambda: 1 / 0, strategy=spent).verdict == "inconclusive"


def test_an_async_program_is_refused():
    """Calling an ``async def`` runs nothing, so it is an error and not a pass."""

    async def program():
        raise AssertionError

    assert simulate(program).verdict == "failed"
    with pytest.raises(TypeError, match="a program must be a callable"):
        simulate(5)


def test_futures_come_in_the_order_of_the_seed():
    """``as_completed`` gives one order for one seed, and several for several."""

    def program():
        with ThreadPoolExecutor(3) as pool:
            futures = {pool.submit(time.sleep, 1): n for n in range(6)}
            return tuple(futures[future] for future in as_completed(futures))

    assert len({simulate(program, seed=3).value for _ in range(10)}) == 1
    assert len(seen(program, 30)) > 1


def test_operating_system_randomness_is_seeded():
    """``uuid4`` and ``os.urandom`` follow the seed, and keep a single schedule from being called exhaustive."""

    def program():
        return uuid.uuid4(), os.urandom(4)

    assert simulate(program, seed=1).value == simulate(program, seed=1).value != simulate(program, seed=2).value
    assert explore(program, schedules=3).verdict == "passed"
    assert uuid.uuid4() != uuid.uuid4()


def test_an_excepthook_set_by_the_program_ends_with_it():
    """Later schedules, and the world outside, have the hook that was there before."""
    before = threading.excepthook

    def program():
        threading.excepthook = lambda arguments: None

    simulate(program).result()
    assert threading.excepthook is before


class Interrupted(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.handle)

    def handle(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(1)


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_ctrl_c_ends_the_exploration_whatever_the_program_makes_of_it(strategy):
    """An interrupt that lands in a handler is not booked as the handler's failure: it stops everything."""

    def program():
        with Flow(execution_strategy=strategy) as flow:
            flow.add_routine(Interrupted(), "interrupted")
            JobState.wait_for_completion(flow, flow.execute("interrupted"))

    with pytest.raises(KeyboardInterrupt):
        explore(program, schedules=100)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failed_scheduler_says_why_and_can_be_closed():
    """After a deadlock each further call names it, and closing is no error."""
    scheduler = SimScheduler(seed=1)
    lock = scheduler.run(lambda: threading.Lock())  # noqa: PLW0108 - looked up inside
    scheduler.run(lock.acquire)
    with pytest.raises(Exception, match="deadlock"):
        scheduler.run(lock.acquire)
    with pytest.raises(Exception, match="the simulation has ended: DeadlockError"):
        scheduler.run(time.sleep, 1)
    scheduler.close()
