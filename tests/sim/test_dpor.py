"""Partial order reduction: fewer schedules, and nothing missing."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import weakref
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor, as_completed, wait
from math import factorial
from random import Random

import pytest
from small_programs import Cell, EverySchedule, Plain, outcomes, programs, small_program

from routilux_sim import explore
from routilux_sim.execution import Campaign
from routilux_sim.kernel.core import here
from routilux_sim.strategy import reversals
from routilux_sim.strategy.dfs import DfsStrategy
from routilux_sim.strategy.dpor import DporStrategy

MOST = 500
"""Programs with more schedules are left out of the comparison."""


def held_against_brute_force(start, count, most=MOST):
    """Compare as many programs as there are of at most so many schedules; return how many, and both's schedules."""
    compared = tried = reduced = 0
    for seed, program, plan in programs(start, count):
        brute = outcomes(program, EverySchedule(), most)
        if brute is None:
            continue
        strategy = DporStrategy()
        found = outcomes(program, strategy, 3 * most)
        assert found is not None, (seed, plan)
        assert found[0] == brute[0], (seed, plan)
        assert strategy.doubt is None, (seed, plan)
        compared += 1
        tried += brute[1]
        reduced += found[1]
    return compared, tried, reduced


def test_the_outcomes_are_those_of_all_schedules():
    """Programs of locks, conditions, events, queues, timers and shared variables can do the same under reduction."""
    compared, tried, reduced = held_against_brute_force(0, 60, 120)
    assert compared >= 20
    assert reduced * 10 < tried


@pytest.mark.long
def test_the_outcomes_are_those_of_all_schedules_of_hundreds_of_programs():
    """The same for some hundreds of them."""
    compared, tried, reduced = held_against_brute_force(60, 500)
    assert compared >= 200
    assert reduced * 10 < tried


@pytest.mark.thorough
def test_the_outcomes_are_those_of_all_schedules_of_thousands_of_programs():
    """The same for two thousand programs."""
    compared, tried, reduced = held_against_brute_force(60, 4_000)
    assert compared >= 2_000
    assert reduced * 10 < tried


def held_against_all_faults(start, count, most):
    """The same under a plan of faults that may come; return how many were compared."""
    plan = {
        "spurious": [{"probability": 0.3, "after": {"kind": "empirical", "values": [0, 0.15]}}],
        "queue": [{"probability": 0.1, "times": 1}],
    }
    compared = 0
    for seed, program, operations in programs(start, count):
        if not any(word in repr(operations) for word in ("wait", "put")):
            continue
        every = outcomes(program, DfsStrategy(), most, faults=plan)
        if every is not None:
            found = outcomes(program, DporStrategy(), most, faults=plan)
            assert found is not None, (seed, operations)
            assert found[0] == every[0], (seed, operations)
            compared += 1
    return compared


def test_the_outcomes_under_faults_are_those_of_all_schedules():
    """Where waits may end without a notify, and queues say that they are full."""
    assert held_against_all_faults(1000, 60, 60) >= 10


@pytest.mark.long
def test_the_outcomes_under_faults_are_those_of_all_schedules_of_many_programs():
    """The same for more than a hundred of them."""
    assert held_against_all_faults(2000, 800, 400) >= 150


def locked_counter(tasks, memory=True):
    def program():
        lock = threading.Lock()
        counter = Cell("Counter.value")

        def add():
            with lock:
                if memory:
                    counter.write(counter.read() + 1)
                else:
                    counter.value += 1

        threads = [threading.Thread(target=add) for _ in range(tasks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter.value == tasks

    return program


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("tasks", [2, 3, 4])
def test_a_locked_counter_has_as_many_schedules_as_orders_of_its_tasks(tasks, memory):
    """2, 3 and 4 tasks take 2, 6 and 24 schedules, with and without memory points, and then nothing is left."""
    strategy = DporStrategy()
    report = explore(locked_counter(tasks, memory), strategy=strategy)
    assert report.verdict == "exhausted"
    assert report.schedules == factorial(tasks)
    assert strategy.redundant == 0


def test_test_then_lock_is_not_certified():
    """The order in which the test comes first and its consequence last is found behind the lock that hides it."""

    def program():
        lock, flag, last = threading.Lock(), Cell("flag", False), Cell("last")

        def one():
            if not flag.read():
                with lock:
                    last.write("W")

        def two():
            flag.write(True)
            with lock:
                last.write("N")

        threads = [threading.Thread(target=one), threading.Thread(target=two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return last.value

    found = outcomes(program, DporStrategy(), 100)
    assert found is not None
    assert found == ({"'W'", "'N'"}, 3)


def test_every_value_of_a_draw_is_tried():
    """A draw is a choice of data: in each order of the tasks each of its values comes up."""

    def program():
        cell = Cell("cell")

        def one():
            kernel = here()
            assert kernel is not None
            kernel.point("read", cell)
            cell.value += kernel.draw("fault", 3)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return cell.value

    every = outcomes(program, EverySchedule(), 5_000)
    found = outcomes(program, DporStrategy(), 5_000)
    assert every is not None
    assert found is not None
    assert found[0] == every[0] == set("01234")
    assert found[1] < every[1] / 2


def test_without_memory_points_it_proves_nothing():
    """What is done between scheduling points may concern others: with memory points that is found."""

    def program():
        values, made, lock = {}, [], threading.Lock()

        def make():
            with lock:
                made.append(1)
            return len(made)

        def get():
            if "key" not in values:
                values["key"] = make()

        together(get, get)
        assert len(made) == 1

    report = explore(program, strategy="dpor", instrument=None)
    assert (report.verdict, report.proof) == ("passed", None)
    assert report.reason.endswith("which is no proof: accesses to memory are no scheduling points")
    assert explore(program, strategy="dpor", instrument="auto").verdict == "failed"


def test_a_program_with_weak_references_is_not_proved_anything_about():
    """When the last other reference to an object goes, no step tells of it."""

    def program():
        cell = Cell("Counter.value")
        ref = weakref.ref(cell)
        together(lambda: ref() is not None and cell.write(1), lambda: cell.write(2))

    report = explore(program, strategy="dpor", instrument="auto")
    assert report.verdict == "passed"
    assert "weak references" in report.reason


def test_a_search_that_was_cut_short_proves_nothing():
    """After fewer schedules than there are, or after a failure, nothing is exhausted."""
    strategy = DporStrategy()
    report = explore(locked_counter(3), strategy=strategy, schedules=5)
    assert (report.verdict, strategy.proof) == ("passed", None)


def test_a_program_that_draws_random_numbers_is_not_proved_anything_about():
    """Its randomness is not enumerated."""
    generator = Random(0)

    def program():
        generator.seed(random.random())
        locked_counter(2)()

    strategy = DporStrategy()
    report = explore(program, strategy=strategy)
    assert report.schedules >= 2
    assert (report.verdict, strategy.proof) == ("passed", None)


def test_a_program_that_remembers_earlier_schedules_is_doubted():
    """Decisions that do not lead to the same choice again end the enumeration, without a proof."""
    count = [0]

    def program():
        count[0] += 1
        locked_counter(2 + count[0] % 2)()

    strategy = DporStrategy()
    campaign = Campaign(program)
    with campaign.running():
        while strategy.begin(0):
            strategy.end(campaign.execute(strategy, 0).outcome)
            assert count[0] < 100
    assert strategy.doubt is not None
    assert strategy.proof is None


def test_restarting_forgets_what_has_been_enumerated():
    """When a program has got more scheduling points, the enumeration begins anew and is whole again."""
    strategy = DporStrategy()
    assert explore(locked_counter(2, memory=False), strategy=strategy).verdict == "exhausted"
    strategy.restart()
    report = explore(locked_counter(3), strategy=strategy)
    assert (report.verdict, report.schedules) == ("exhausted", 6)


def test_a_failure_before_which_others_could_have_failed_hides_nothing():
    """Where each of two daemons fails, going on after the first failure finds the other, and the program's own end."""

    def program():
        def one(text):
            raise ArithmeticError(text)

        for text in "ab":
            threading.Thread(target=one, args=(text,), daemon=True).start()

    brute = outcomes(program, EverySchedule(), 1_000)
    found = outcomes(program, DporStrategy(), 1_000)
    assert brute is not None
    assert found is not None
    assert found[0] == brute[0]
    assert len(found[0]) == 3


# What the generator has no operations for.


def together(*bodies):
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def pool_with_a_late_cancel():
    with ThreadPoolExecutor(1) as pool:
        first, second = (pool.submit(lambda: 1) for _ in range(2))
        return second.cancel(), first.done()


def future_set_and_cancelled():
    future, log = Future(), []

    def finish():
        try:
            future.set_result(1)
        except InvalidStateError:
            log.append("invalid")

    together(finish, lambda: log.append(future.cancel()))
    return sorted(map(str, log)), future._state


def callback_added_late():
    future, cell, log = Future(), Cell("cell"), []

    def add():
        future.add_done_callback(lambda _: log.append(cell.read()))
        cell.write(1)

    together(lambda: future.set_result(1), add)
    return log


def first_of_two_futures():
    one, two, log = Future(), Future(), []

    def wait_for_first():
        done, _ = wait([one, two], return_when=FIRST_COMPLETED)
        log.append((one in done, two in done))

    together(wait_for_first, lambda: (one.set_result(1), two.set_result(2)))
    return log


def futures_as_they_come():
    one, two, log = Future(), Future(), []

    def take():
        log.extend(future is one for future in as_completed([one, two]))

    together(take, lambda: two.set_result(1), lambda: one.set_result(1))
    return log


def barrier_that_breaks():
    barrier, log = threading.Barrier(2), []

    def meet():
        try:
            barrier.wait(1)
            log.append("met")
        except threading.BrokenBarrierError:
            log.append("broken")

    together(meet, lambda: (time.sleep(1), meet()))
    return log


def daemon_that_may_fail():
    cell = Cell("cell")

    def body():
        cell.write(1)
        if cell.read() == 1:
            raise ArithmeticError

    threading.Thread(target=body, daemon=True).start()
    return cell.read()


def loop_called_from_a_thread():
    cell = Cell("cell")

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def other():
            cell.write(1)
            loop.call_soon_threadsafe(future.set_result, cell.read())

        threading.Thread(target=other).start()
        await asyncio.sleep(0)
        return cell.read(), await future

    return asyncio.run(main())


def locks_in_both_orders():
    one, two = threading.Lock(), threading.Lock()

    def take(first, second):
        with first, second:
            pass

    together(lambda: take(one, two), lambda: take(two, one))


def worker_told_to_stop_at_its_deadline():
    stop, cell = threading.Event(), Cell("cell")

    def work():
        while not stop.wait(1):
            cell.write(cell.read() + 1)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(2)
    stop.set()
    thread.join()
    return cell.value


def lock_given_back_at_the_deadline():
    lock, log = threading.Lock(), []

    def hold():
        with lock:
            time.sleep(1)

    together(hold, lambda: log.append(lock.acquire(timeout=1)))
    return log


def lock_taken_twice():
    lock, cell, log = threading.RLock(), Cell("cell"), []

    def hold():
        with lock:
            with lock:
                cell.write(1)
            cell.write(2)

    def attempt():
        if lock.acquire(blocking=False):
            log.append(cell.read())
            lock.release()

    together(hold, attempt)
    return log


@pytest.mark.parametrize(
    "program",
    [
        pool_with_a_late_cancel,
        future_set_and_cancelled,
        callback_added_late,
        first_of_two_futures,
        pytest.param(futures_as_they_come, marks=pytest.mark.long),
        barrier_that_breaks,
        daemon_that_may_fail,
        loop_called_from_a_thread,
        pytest.param(locks_in_both_orders, marks=pytest.mark.long),
        worker_told_to_stop_at_its_deadline,
        lock_given_back_at_the_deadline,
        lock_taken_twice,
    ],
)
def test_it_does_what_all_schedules_do(program):
    """Pools, futures, barriers, daemons and event loops."""
    every = outcomes(program, EverySchedule(), 10_000)
    found = outcomes(program, DporStrategy(), 10_000)
    assert every is not None
    assert found is not None
    assert found[0] == every[0]
    assert found[1] * 2 < every[1]


def test_three_locks_in_a_ring_deadlock():
    """With too many schedules to try them all, the deadlock is found in a few."""

    def program():
        locks = [threading.Lock() for _ in range(3)]

        def take(number):
            with locks[number], locks[(number + 1) % 3]:
                pass

        together(*(lambda number=number: take(number) for number in range(3)))

    report = explore(program, strategy=DporStrategy())
    assert report.verdict == "failed"
    assert report.failure.kind == "deadlock"
    assert report.schedules <= 18


def test_reversals_far_apart_are_found_as_well(monkeypatch):
    """Where working out the way to a reversal would take too long, its task runs first, or all do that can."""
    monkeypatch.setattr(reversals, "FARTHEST", 3)
    for seed, program, plan in programs(0, 40):
        every = outcomes(program, EverySchedule(), 60)
        if every is not None:
            found = outcomes(program, DporStrategy(), 300)
            assert found is not None
            assert found[0] == every[0], (seed, plan)


def held_on_plain_attributes(start, count, most):
    """The same comparison, with attributes for variables in the reduction: memory points where they are shared."""
    compared = 0
    for seed, program, plan in programs(start, count):
        every = outcomes(program, EverySchedule(), most)
        if every is not None:
            plain, _ = small_program(seed, Plain)
            found = outcomes(plain, DporStrategy(), 6 * most, instrument=["small_programs"])
            assert found is not None, (seed, plan)
            assert found[0] == every[0], (seed, plan)
            compared += 1
    return compared


def test_what_orders_of_synchronization_leave_out_is_found_on_plain_attributes():
    """Accesses are scheduling points only where nothing orders them; nothing is missing because of that."""
    assert held_on_plain_attributes(0, 40, 60) >= 10


@pytest.mark.thorough
def test_what_orders_of_synchronization_leave_out_is_found_on_plain_attributes_of_many_programs():
    """The same for hundreds of programs."""
    assert held_on_plain_attributes(40, 1_000, 300) >= 400


def joined_before_it_is_started():
    thread, log = threading.Thread(target=lambda: None), []

    def join():
        try:
            thread.join()
            log.append("joined")
        except RuntimeError:
            log.append("too early")

    together(join, thread.start)
    return log


def alive_when_looked_at():
    thread, log = threading.Thread(target=lambda: None), []
    together(lambda: log.append(thread.is_alive()), thread.start)
    return log


@pytest.mark.parametrize("program", [joined_before_it_is_started, alive_when_looked_at])
def test_whether_a_thread_has_started_is_looked_at(program):
    """Both answers come up."""
    every = outcomes(program, EverySchedule(), 10_000)
    found = outcomes(program, DporStrategy(), 100)
    assert every is not None
    assert found is not None
    assert found[0] == every[0]
    assert len(found[0]) == 2
