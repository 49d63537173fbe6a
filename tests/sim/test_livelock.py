"""A program that runs and gets nowhere is told apart from one that takes long, and from one that waits for time."""

import itertools
import random
import threading
import time
from types import SimpleNamespace

import pytest
from sim_helpers import ids, run_threads

from routilux_sim import (
    LimitReachedError,
    LivelockError,
    SimScheduler,
    explore,
    load_schedule,
    replay,
    save_schedule,
    simulate,
)
from routilux_sim.judge.fairness import STANDSTILL, Deed
from routilux_sim.judge.livelock import starved
from routilux_sim.kernel.task import Task
from routilux_sim.strategy.fifo import FifoStrategy


class Selfish(FifoStrategy):
    """Never switches away from a task that can go on, nor to another one than the last."""

    name = "selfish"

    def begin(self, seed):
        return True

    def pick(self, current, ready):
        return 0 if current is not None else len(ready) - 1


def after_you():
    """Two tasks, each of which lets the other one go first."""
    lock = threading.Lock()
    turn = ["a"]
    hungry = {"a": True, "b": True}

    def eat(me, other):
        while hungry[me]:
            with lock:
                if turn[0] == me:
                    if hungry[other]:
                        turn[0] = other
                    else:
                        hungry[me] = False

    for me, other in ("ab", "ba"):
        threading.Thread(target=eat, args=(me, other), name=me).start()


def after_me():
    """The same, each eating when it is its turn."""
    lock = threading.Lock()
    turn = ["a"]
    hungry = {"a": True, "b": True}

    def eat(me, other):
        while hungry[me]:
            with lock:
                if turn[0] == me:
                    hungry[me] = False
                    turn[0] = other

    run_threads(lambda: eat("a", "b"), lambda: eat("b", "a"))


def spin_for_ever():
    """Looks again and again for what nobody will do."""
    event = threading.Event()
    while not event.is_set():
        pass


def yield_for_ever():
    """The same, politely."""
    done = []

    def wait():
        while not done:
            time.sleep(0)

    run_threads(wait, wait)


LIVELOCKS = [after_you, spin_for_ever, yield_for_ever]


@pytest.mark.parametrize("program", LIVELOCKS, ids=ids(LIVELOCKS))
def test_a_livelock_is_a_failure_found_soon(program):
    """Long before the usual limit of a million steps, under any strategy."""
    for strategy in ("fifo", "random", Selfish()):
        execution = simulate(program, strategy=strategy, log=False)
        assert (execution.verdict, execution.kind) == ("failed", "livelock"), str(execution.error)
        assert execution.error.cause == "livelock"
        assert execution.fair_from == STANDSTILL + 1
        assert execution.steps < 2 * STANDSTILL


def test_a_livelock_shows_the_steps_that_repeat():
    """Task, operation, object and line, and nothing else."""
    error = simulate(after_you, strategy="fifo", max_steps=1000).error
    assert isinstance(error, LivelockError)
    line = f"at {__file__}:{after_you.__code__.co_firstlineno + 8} in after_you.<locals>.eat"
    assert sorted(error.cycle) == [
        f"'a': acquire `lock` (Lock-1), {line}",
        f"'a': release `lock` (Lock-1), {line}",
        f"'b': acquire `lock` (Lock-1), {line}",
        f"'b': release `lock` (Lock-1), {line}",
    ]
    text = str(error)
    assert text.startswith(
        "livelock after 0 virtual seconds: scheduled fairly from step 1001 on, the tasks come back to the same state "
        "every 4 steps, so the program never ends\n  what to do: wait for each other with something that blocks"
    )
    for step in error.cycle:
        assert f"\n    {step}" in text
    assert "  meanwhile task 'MainThread' waits to join task 'a'" in text
    assert "  stack of 'b', the latest call last:" in text


def test_a_livelock_that_was_explored_is_confirmed_and_replays(tmp_path):
    """From the report's schedule, and from a file: the fair part is recorded as well, and so is the limit."""
    report = explore(after_you, schedules=10, max_steps=500)
    assert report.verdict == "failed"
    assert report.failure.kind == "livelock"
    assert report.failure.explanation.startswith("livelock after 0 virtual seconds\n")
    assert "from step 501 on tasks were scheduled fairly, whatever the strategy" in report.failure.explanation
    schedule = report.failure.schedule
    again = replay(after_you, schedule)
    assert again.kind == "livelock"
    assert str(again.error) == str(report.failure.exception)
    save_schedule(schedule, tmp_path / "livelock.replay.json")
    kept = load_schedule(tmp_path / "livelock.replay.json")
    assert kept.max_steps == 500
    assert replay(after_you, kept).kind == "livelock"


@pytest.mark.long
def test_the_mended_twin_is_no_livelock():
    """Whoever has its turn eats; also if the strategy lets one of them wait for a long time."""
    assert explore(after_me, schedules=100).verdict == "passed"


def test_waiting_for_who_may_not_run_is_no_livelock():
    """The strategy is unfair, not the program: under a fair one it ends, and the run shows nothing."""

    def program():
        done = threading.Event()
        threading.Thread(target=done.set, name="other").start()
        while not done.is_set():
            pass

    execution = simulate(program, strategy=Selfish(), max_steps=1000)
    assert execution.verdict == "inconclusive"
    assert isinstance(execution.error, LimitReachedError)
    assert str(execution.error) == (
        "the program took more than 1000 steps; it ended once its tasks were scheduled fairly, so it needs a higher "
        "max_steps, or a strategy that lets every task run"
    )


def test_the_fair_part_counts_when_it_comes_before_the_limit():
    """Then the execution is one like any other."""

    def program():
        done = threading.Event()
        threading.Thread(target=done.set).start()
        while not done.is_set():
            pass
        return "done"

    execution = simulate(program, strategy=Selfish(), log=False)
    assert execution.result() == "done"
    assert execution.fair_from == STANDSTILL + 1
    assert replay(program, execution.schedule).result() == "done"


def test_trying_and_giving_back_is_no_livelock_if_it_can_end():
    """In lockstep two tasks may spoil it for each other for ever, but no machine keeps them in lockstep."""

    def program():
        left, right = threading.Lock(), threading.Lock()

        def dance(first, second):
            while True:
                with first:
                    if second.acquire(blocking=False):
                        second.release()
                        return

        run_threads(lambda: dance(left, right), lambda: dance(right, left))

    class Lockstep(FifoStrategy):
        def begin(self, seed):
            return True

        def pick(self, current, ready):
            return 0 if current is None else 1

    assert simulate(program, strategy=Lockstep(), max_steps=2000).kind is None
    assert explore(program, schedules=100).verdict == "passed"


def count_with_a_lock():
    lock = threading.Lock()
    total = 0
    for _ in range(10_000):
        with lock:
            total += 1


def count_in_an_object():
    class Counter:
        value = 0

    event = threading.Event()
    counter = Counter()
    while counter.value < 10_000:
        event.is_set()
        counter.value += 1


def empty_a_list():
    event = threading.Event()
    items = [None] * 10_000
    while items:
        event.is_set()
        items.pop()


def draw_lots():
    event = threading.Event()
    while random.random() > 1e-4:
        event.is_set()


def count_in_a_thread_local():
    local = threading.local()
    local.value = 0
    event = threading.Event()
    while local.value < 10_000:
        event.is_set()
        local.value += 1


def count_in_a_generator():
    event = threading.Event()
    for _ in (event.is_set() for _ in range(10_000)):
        pass


def count_with_itertools():
    event = threading.Event()
    numbers = itertools.count()
    while next(numbers) < 10_000:
        event.is_set()


def count_a_subclass():
    class Many(dict):
        pass

    event = threading.Event()
    many = Many()
    while len(many) < 10_000:
        event.is_set()
        many[len(many)] = None


LONG = [
    count_with_a_lock,
    count_in_an_object,
    empty_a_list,
    draw_lots,
    count_in_a_thread_local,
    count_in_a_generator,
    count_with_itertools,
    count_a_subclass,
]


@pytest.mark.parametrize("program", LONG, ids=ids(LONG))
def test_what_gets_ahead_is_no_livelock(program):
    """The same steps again and again, but something changes: it takes long, and that is all that can be said."""
    execution = simulate(program, max_steps=500)
    assert execution.verdict == "inconclusive"
    assert str(execution.error).startswith("the program took more than 500 steps; it")
    assert simulate(program).verdict == "passed"


def test_a_long_program_is_told_what_changes():
    """So that who reads it sees whether that is progress."""
    text = str(simulate(count_with_a_lock, max_steps=500).error)
    assert text.startswith("the program took more than 500 steps; it may never end, or it needs a higher max_steps\n")
    assert "it repeats the same 2 steps, but that is not called a livelock: " in text
    assert " in MainThread: count_with_a_lock changes from one time to the next" in text


def test_what_cannot_be_looked_into_is_no_livelock():
    """It may hold what changes."""

    def program():
        event = threading.Event()
        opaque = memoryview(bytearray(1)), zip(itertools.count(), itertools.count())
        while not event.is_set():
            next(opaque[1])

    text = str(simulate(program, max_steps=500).error)
    assert "is a builtins.zip, which cannot be looked into" in text


def test_polling_with_sleep_is_no_livelock():
    """Virtual time goes by: it is given up by a limit of steps or of seconds, which is named."""

    def program():
        event = threading.Event()
        while not event.is_set():
            time.sleep(1)

    steps = simulate(program, max_steps=500)
    assert steps.verdict == "inconclusive"
    assert "higher max_steps" in str(steps.error)
    seconds = simulate(program, max_seconds=100)
    assert seconds.verdict == "inconclusive"
    assert str(seconds.error) == (
        "more than 100 virtual seconds went by; it may never end, or it needs a higher max_seconds"
    )


def test_spinning_until_a_time_is_no_livelock():
    """On a real machine time goes by while a task runs; the message says what to do here."""

    def read():
        while time.monotonic() < 1:
            pass

    def expect():
        event = threading.Event()
        threading.Timer(1, event.set).start()
        while not event.is_set():
            pass

    text = str(simulate(read, max_steps=500).error)
    assert "'MainThread' reads the clock, which stands still while any task can run: sleep or wait there" in text
    text = str(simulate(expect, max_steps=500).error)
    assert "'Thread-1' waits for a time that never comes while others run without a pause" in text


def unseen():
    """The state that one task waits for is there only while nobody can look."""
    condition = threading.Condition()
    free = [False]

    def want():
        with condition:
            while not free[0]:
                condition.wait()

    def use():
        while not done:
            with condition:
                free[0] = True
                condition.notify_all()
                free[0] = False

    done = []
    for target in (want, use):
        threading.Thread(target=target, name=target.__name__).start()


def test_starvation_names_who_waits_for_what_and_who_takes_it():
    """One task is woken again and again and never finds what it waits for, while another one goes on."""
    execution = simulate(unseen)
    assert execution.kind == "livelock"
    assert execution.error.cause == "starvation"
    assert execution.error.starved == ("want",)
    text = str(execution.error)
    assert text.startswith("starvation after 0 virtual seconds: scheduled fairly from step ")
    assert "  'want' waits for `condition` (Condition-1) all the time; 'use' tells it in vain again and again\n" in text


def deeds(*rows):
    """Steps of made-up tasks on one lock: who, what, and who has it before."""
    tasks = {name: Task(number, name, list, daemon=False) for number, name in enumerate("abc", 1)}
    lock = SimpleNamespace(kind="Lock", label="Lock-1")
    return tasks, [Deed(tasks[name], op, lock, tasks.get(owner), None) for name, op, owner in rows]


def test_who_never_gets_a_lock_that_others_take_in_turn_starves():
    """It is free at times, and always goes to the others."""
    tasks, cycle = deeds(
        ("a", "acquire", None),
        ("c", "try-acquire", "a"),
        ("a", "release", "a"),
        ("b", "acquire", None),
        ("c", "try-acquire", "b"),
        ("b", "release", "b"),
    )
    ((who, what, others),) = starved(list(tasks.values()), cycle)
    assert (who.name, what.op, [other.name for other in others]) == ("c", "try-acquire", ["a", "b"])


def test_who_waits_for_a_lock_that_is_never_free_does_not_starve():
    """Its owner goes round in circles, which is a livelock."""
    tasks, cycle = deeds(("c", "try-acquire", "a"))
    assert starved(list(tasks.values()), cycle) == []


def test_who_has_a_turn_as_well_does_not_starve():
    """Each gets the lock."""
    tasks, cycle = deeds(
        *((name, op, name if op == "release" else None) for name in "abc" for op in ("acquire", "release"))
    )
    assert starved(list(tasks.values()), cycle) == []


@pytest.mark.long
def test_nobody_starves_where_locks_are_handed_on():
    """A hog that gives the lock back between its turns lets the other one have it."""

    def program():
        lock = threading.Lock()
        had = threading.Event()

        def hog():
            while not had.is_set():
                with lock:
                    pass

        def want():
            with lock:
                had.set()

        run_threads(hog, want)

    assert explore(program, schedules=100).verdict == "passed"
    assert simulate(program, strategy=Selfish(), max_steps=1000).kind is None


def test_a_scheduler_finds_livelocks_too():
    """Outside a runner it is raised from the call that ran into it."""

    def spin():
        event = threading.Event()
        while not event.is_set():
            pass

    with SimScheduler(max_steps=1000) as scheduler, pytest.raises(LivelockError, match="every 1 step,"):
        scheduler.run(spin)


def test_a_state_is_compared_without_running_the_programs_code():
    """Odd objects are no obstacle."""

    class Touchy:
        @property
        def __class__(self):
            raise AssertionError("called")

        def __getattribute__(self, name):
            raise AssertionError("called")

        def __eq__(self, other):
            raise AssertionError("called")

        __hash__ = None
        __repr__ = __len__ = __iter__ = __eq__

    def program():
        touchy = Touchy(), [Touchy()]
        event = threading.Event()
        while not event.is_set():
            pass
        return touchy

    assert simulate(program, max_steps=100).kind == "livelock"


def test_the_next_execution_is_scheduled_by_its_strategy_again():
    """What one execution came to changes nothing for those after it."""
    seen = []

    def program():
        if not seen:
            seen.append(True)
            spin_for_ever()

    assert simulate(program, max_steps=100).kind == "livelock"
    assert simulate(program, max_steps=100).verdict == "passed"
