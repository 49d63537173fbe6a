"""Exploration finds what can go wrong, says honestly what it has shown, and sees every interleaving there is."""

import functools
import itertools
import queue
import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as generators
from sim_helpers import outcomes, run_threads

from routilux_sim import InconclusiveError, replay, simulate
from routilux_sim import explore as explore_memory
from routilux_sim.judge.verdict import of_campaign, of_execution

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


def lost_update():
    """Two threads add one each, with a yield between read and write."""
    count = 0

    def add():
        nonlocal count
        read = count
        time.sleep(0)
        count = read + 1

    run_threads(add, add)
    assert count == 2, f"count is {count}"


def harmless():
    box = queue.Queue()
    run_threads(lambda: box.put(1), lambda: box.put(2))
    assert box.qsize() == 2


def endless():
    while True:
        time.sleep(1)


def interleavings(tasks):
    """Compute every outcome of tasks that put, acquire and release, by trying every order of their operations."""
    found = set()
    seen = set()

    def go_on(places, held, text):
        if (places, held, text) in seen:
            return
        seen.add((places, held, text))
        stuck = True
        for index, task in enumerate(tasks):
            if places[index] == len(task):
                continue
            kind, what = task[places[index]]
            if kind == "acquire" and what in held:
                continue
            stuck = False
            after = tuple(place + (other == index) for other, place in enumerate(places))
            if kind == "put":
                go_on(after, held, text + what)
            else:
                go_on(after, held | {what} if kind == "acquire" else held - {what}, text)
        if stuck:
            ended = all(place == len(task) for place, task in zip(places, tasks, strict=True))
            found.add(text if ended else "deadlock")

    go_on((0,) * len(tasks), frozenset(), "")
    return found


def program_of(tasks):
    """Make a program of the same tasks: it returns what was put, or "deadlock" if a thread hangs for a second."""

    def program():
        locks = {name: threading.Lock() for name in "xyz"}
        box = queue.SimpleQueue()

        def run(task):
            for kind, what in task:
                if kind == "put":
                    box.put(what)
                else:
                    getattr(locks[what], kind)()

        threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(1)
        if any(thread.is_alive() for thread in threads):
            return "deadlock"
        return "".join(box.get_nowait() for _ in range(box.qsize()))

    return program


def puts(text):
    return tuple(("put", letter) for letter in text)


def locked(lock, *inner):
    return (("acquire", lock), *itertools.chain(*inner), ("release", lock))


SMALL = {
    "two writers": (puts("ab"), puts("cd")),
    "three writers": (puts("a"), puts("b"), puts("c")),
    "three writers of two": (puts("ab"), puts("cd"), puts("e")),
    "guarded writers": (locked("x", puts("ab")), locked("x", puts("cd"))),
    "a guard that one ignores": (locked("x", puts("ab")), locked("x", puts("c")), puts("d")),
    "two guards": (locked("x", puts("a")) + locked("y", puts("b")), locked("y", puts("c")) + locked("x", puts("d"))),
    "inversion": (locked("x", locked("y", puts("a"))), locked("y", locked("x", puts("b")))),
    "inversion with a put inside": (
        (("acquire", "x"), *puts("a"), *locked("y", puts("b")), ("release", "x")),
        (("acquire", "y"), *puts("c"), *locked("x", puts("d")), ("release", "y")),
    ),
    "a ring of three": tuple(
        locked(first, locked(second, puts(letter))) for first, second, letter in ("xya", "yzb", "zxc")
    ),
    "handed over": ((("acquire", "x"), *puts("a")), (*puts("b"), ("acquire", "x"), *puts("c"))),
}


@pytest.mark.parametrize("tasks", SMALL.values(), ids=SMALL)
def test_exploration_sees_every_interleaving(tasks):
    """What random schedules come to is exactly what trying every order by brute force comes to."""
    assert outcomes(program_of(tasks), schedules=3000) == interleavings(tasks)


def sections():
    letters = generators.text("ab", max_size=2).map(puts)
    inner = generators.builds(locked, generators.sampled_from("xy"), letters)
    return generators.lists(
        generators.one_of(letters, inner, generators.builds(locked, generators.just("z"), inner)), max_size=2
    ).map(lambda parts: tuple(itertools.chain(*parts)))


@settings(deadline=None, max_examples=30)
@given(generators.lists(sections(), min_size=1, max_size=3), generators.integers(0, 2**32))
def test_exploration_invents_nothing(tasks, seed):
    """No schedule comes to anything that brute force does not."""
    assert outcomes(program_of(tasks), schedules=40, seed=seed) <= interleavings(tuple(tasks))


def test_the_enumerator_knows_what_it_is_for():
    """The brute force itself is right on cases counted by hand."""
    assert interleavings(SMALL["two writers"]) == {"abcd", "acbd", "acdb", "cabd", "cadb", "cdab"}
    assert interleavings(SMALL["guarded writers"]) == {"abcd", "cdab"}
    assert interleavings(SMALL["inversion"]) == {"ab", "ba", "deadlock"}


def test_a_lost_update_is_found():
    """Two threads that read, yield and write lose an update; the report says so and how to see it again."""
    report = explore(lost_update, schedules=200, strategy="random")
    assert report.verdict == "failed"
    assert report.failure.kind == "exception"
    assert "count is 1" in str(report.failure.exception)
    assert f"run again with seed {report.failure.seed}" in report.failure.explanation


def test_it_stops_at_the_first_failure():
    """No schedule runs after the one that fails, but for its two confirmations, if it is not to be shrunk."""
    runs = []

    def program():
        runs.append(1)
        raise ValueError("always")

    report = explore(program, schedules=100, shrink=False)
    assert report.schedules == 1
    assert len(runs) == 3


def test_a_failures_seed_runs_it_again():
    """simulate() with the seed that is told makes the same decisions and fails in the same way."""
    failure = explore(lost_update, schedules=200, seed=1000, strategy="random").failure
    assert failure.seed >= 1000
    again = simulate(lost_update, seed=failure.seed)
    assert again.schedule == failure.schedule
    assert str(again.error) == str(failure.exception)


def test_a_failures_schedule_runs_it_again():
    """replay() with its schedule does so too, and writes the same log."""
    failure = explore(lost_update, schedules=200).failure
    again = replay(lost_update, failure.schedule)
    assert str(again.error) == str(failure.exception)
    assert again.log_bytes() == failure.execution.log_bytes()


def test_raise_if_failed_raises_the_programs_exception():
    """The very exception, with the explanation as a note; calling it twice adds no second note."""
    report = explore(lost_update, schedules=200)
    for _ in range(2):
        with pytest.raises(AssertionError, match="count is 1") as raised:
            report.raise_if_failed()
        assert raised.value.__notes__ == [report.failure.explanation]


def test_passed_is_what_a_spent_budget_shows():
    """When every schedule of the budget ran and none failed, the verdict is passed and nothing more."""
    report = explore(harmless, schedules=50)
    assert (report.verdict, report.schedules, report.failure) == ("passed", 50, None)
    report.raise_if_failed()
    assert "none failed" in str(report)


def test_exhausted_is_said_only_when_there_was_nothing_to_choose():
    """A program with one schedule is exhausted after it."""
    report = explore(lambda: time.sleep(1), schedules=50)
    assert (report.verdict, report.schedules) == ("exhausted", 1)
    report.raise_if_failed()


@pytest.mark.parametrize("program", [harmless, lambda: run_threads(lambda: None)])
def test_a_program_with_choices_is_never_exhausted_by_chance(program):
    """However small the program, random schedules prove nothing."""
    assert explore(program, schedules=30, strategy="random").verdict == "passed"


def test_fifo_alone_proves_nothing():
    """A strategy that knows one schedule of many has not exhausted them."""
    report = explore(harmless, schedules=30, strategy="fifo")
    assert (report.verdict, report.schedules) == ("passed", 1)


def test_random_numbers_are_choices_too():
    """A program that draws random numbers differs from seed to seed, so one schedule does not exhaust it."""

    def program():
        assert random.random() < 0.9, "drew a large number"

    report = explore(program, schedules=200)
    assert report.verdict == "failed"


def test_too_many_steps_are_inconclusive():
    """A program that does not end within max_steps is no pass, and raise_if_failed says why."""
    report = explore(endless, schedules=10, max_steps=100)
    assert (report.verdict, report.schedules, report.failure) == ("inconclusive", 1, None)
    assert "more than 100 steps" in report.reason
    with pytest.raises(InconclusiveError, match="more than 100 steps"):
        report.raise_if_failed()


def test_a_failure_that_does_not_come_back_is_inconclusive():
    """A program that depends on what is not simulated cannot be judged."""
    runs = []

    def program():
        runs.append(1)
        assert len(runs) != 5

    report = explore(lambda: (run_threads(lambda: None), program()), schedules=50)
    assert (report.verdict, report.schedules) == ("inconclusive", 5)
    assert "something not simulated" in report.reason
    with pytest.raises(InconclusiveError):
        report.raise_if_failed()


def test_a_failure_that_comes_back_differently_is_inconclusive():
    """Nor is one that raises something else each time."""
    errors = itertools.cycle((ValueError, KeyError))

    def program():
        raise next(errors)("unstable")

    assert explore(program, schedules=5).verdict == "inconclusive"


def test_seconds_are_a_budget():
    """No schedule begins after so many real seconds; one always runs."""
    began = time.perf_counter()
    report = explore(harmless, schedules=10**9, seconds=0.05, strategy="random")
    assert report.verdict == "passed"
    assert 1 <= report.schedules < 10**6
    assert time.perf_counter() - began < 2
    assert explore(harmless, schedules=10, seconds=1e-9).schedules == 1


def test_schedules_are_a_budget():
    """Exactly so many run, and progress is told after each."""
    told = []
    assert explore(harmless, schedules=7, progress=told.append).schedules == 7
    assert told == [1, 2, 3, 4, 5, 6, 7]


def test_virtual_seconds_add_up():
    """The report sums the virtual time of its schedules."""
    report = explore(lambda: run_threads(lambda: time.sleep(2), lambda: time.sleep(3)), schedules=10)
    assert report.virtual_seconds == 30.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedules": 0}, "schedules must be a whole number from 1 up, not 0"),
        ({"schedules": 1.5}, "schedules must be a whole number from 1 up, not 1.5"),
        ({"schedules": True}, "schedules must be a whole number from 1 up, not True"),
        ({"seconds": 0}, "seconds must be a number above 0 or None, not 0"),
        ({"seconds": "1"}, "seconds must be a number above 0 or None, not '1'"),
        ({"seed": -1}, "seed must be a whole number from 0 up, not -1"),
        ({"strategy": "luck"}, "luck"),
    ],
)
def test_a_budget_that_is_none_is_refused(options, words):
    """Nonsense is refused before anything runs, and the message repeats it."""
    ran = []
    with pytest.raises(ValueError, match=words):
        explore(lambda: ran.append(1), **options)
    assert ran == []


def test_schedules_of_one_seed_are_the_same():
    """Two explorations with one seed see the same executions, those with another seed others."""

    def schedules_of(seed):
        seen = []

        def program():
            order = []
            run_threads(*[lambda name=name: order.append(name) for name in "abcd"])
            seen.append("".join(order))

        explore(program, schedules=20, seed=seed)
        return seen

    assert schedules_of(1) == schedules_of(1) != schedules_of(1000)


def test_one_place_issues_the_verdict():
    """A failure that came back outranks all else; a doubt outranks a pass; a proof alone gives exhausted."""
    for failed, reproduced, inconclusive, complete in itertools.product((False, True), repeat=4):
        proof = "schedule" if complete else None
        verdict = of_campaign(failed=failed, reproduced=reproduced, inconclusive=inconclusive, proof=proof)
        assert (verdict == "failed") == (failed and reproduced)
        if verdict == "exhausted":
            assert complete
        if verdict in {"exhausted", "passed"}:
            assert not failed
            assert not inconclusive
    assert of_execution(None) == "passed"
    assert of_execution(ValueError()) == "failed"
    assert of_execution(InconclusiveError()) == "inconclusive"
