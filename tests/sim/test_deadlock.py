"""A deadlock ends an execution at once, and is told in words that lead to the code."""

import queue
import threading
import time
import traceback

import pytest
from sim_helpers import run_threads

from routilux_sim import DeadlockError, explore, replay, simulate


def inversion():
    """Takes two locks in two orders."""
    first, second = threading.Lock(), threading.Lock()

    def forward():
        with first, second:
            pass

    def backward():
        with second, first:
            pass

    threads = [threading.Thread(target=forward, name="forward"), threading.Thread(target=backward, name="backward")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def embrace():
    """Deadlocks in every schedule, after 1.5 virtual seconds."""
    left, right = threading.Lock(), threading.RLock()

    def take(one, other, pause):
        with one:
            time.sleep(pause)
            with other:
                pass

    threading.Thread(target=take, args=(left, right, 1), name="lefty").start()
    threading.Thread(target=take, args=(right, left, 1.5), name="righty").start()


def first_line(function):
    return function.__code__.co_firstlineno


def test_a_deadlock_ends_at_once():
    """No timeout is needed: the execution fails when nothing can run any more."""
    execution = simulate(embrace)
    assert execution.verdict == "failed"
    assert execution.kind == "deadlock"
    assert execution.elapsed == 1.5
    with pytest.raises(DeadlockError):
        execution.result()


def waiting():
    lock = threading.Lock()
    lock.acquire()

    def enter():
        lock.acquire()

    enter()


def test_its_traceback_leads_to_where_the_program_waits():
    """As if it had been raised there; the frames keep nothing of the program alive."""
    error = simulate(waiting).error
    calls = traceback.extract_tb(error.__traceback__)
    first = first_line(waiting)
    assert [(call.filename, call.name, call.lineno - first) for call in calls] == [
        (__file__, "waiting", 7),
        (__file__, "enter", 5),
    ]
    assert [call.line for call in calls] == ["enter()", "lock.acquire()"]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        assert (frame.f_locals, frame.f_back) == ({}, None)
    livelock = traceback.extract_tb(simulate(spin).error.__traceback__)
    assert [call.name for call in livelock][-1:] == ["spin"]


def spin():
    while True:
        time.sleep(0)


def test_a_deadlock_names_tasks_locks_and_where_they_were_made():
    """Both tasks, both locks, who holds them, and the file, line and function that made them."""
    text = str(simulate(embrace).error)
    made = f"made at {__file__}:{first_line(embrace) + 2} in embrace"
    assert f"task 'lefty' waits to acquire `other` (RLock-1, {made}), held by 'righty'" in text
    assert f"task 'righty' waits to acquire `one` (Lock-1, {made}), held by 'lefty'" in text
    assert "'lefty' -> 'righty' -> 'lefty'" in text
    assert "after 1.5 virtual seconds" in text


def test_a_deadlock_lists_its_ring():
    """The exception holds the tasks that wait, and those that wait for each other."""
    error = simulate(embrace).error
    assert [task.name for task in error.tasks] == ["MainThread", "lefty", "righty"]
    assert [task.name for task in error.cycle] == ["lefty", "righty"]


def test_exploration_finds_a_lock_order_inversion():
    """Two locks taken in two orders deadlock in some schedule, which replays."""
    assert simulate(inversion, strategy="fifo").verdict == "passed"
    report = explore(inversion, schedules=500)
    assert report.verdict == "failed"
    assert report.failure.kind == "deadlock"
    text = str(report.failure.exception)
    for word in ("'forward'", "'backward'", "Lock-1", "Lock-2", "in inversion"):
        assert word in text
    assert replay(inversion, report.failure.schedule).kind == "deadlock"
    with pytest.raises(DeadlockError):
        report.raise_if_failed()


def test_one_order_never_deadlocks():
    """The same locks always taken in the same order are fine."""

    def program():
        first, second = threading.Lock(), threading.Lock()

        def take():
            with first, second:
                time.sleep(0)

        run_threads(take, take)

    explore(program, schedules=300).raise_if_failed()


def test_taking_a_lock_twice_is_a_deadlock():
    """A Lock is not reentrant; the message says who holds it."""

    def program():
        lock = threading.Lock()
        with lock:
            lock.acquire()

    error = simulate(program).error
    assert "task 'MainThread' waits to acquire `lock` (Lock-1" in str(error)
    assert "which it holds itself" in str(error)


def test_a_lock_that_was_never_released_is_named():
    """A thread that ended with the lock is still told as its holder."""

    def program():
        lock = threading.Lock()
        thread = threading.Thread(target=lock.acquire, name="forgetful")
        thread.start()
        thread.join()
        lock.acquire()

    assert "held by 'forgetful'" in str(simulate(program).error)


def test_a_lost_wake_up_is_a_deadlock():
    """A wait without a predicate misses a notify that came before it."""

    def program():
        condition = threading.Condition()

        def wait():
            with condition:
                condition.wait()

        def notify():
            with condition:
                condition.notify()

        run_threads(wait, notify)

    report = explore(program, schedules=100)
    assert report.failure.kind == "deadlock"
    assert "waits to be notified by `condition` (Condition-1" in str(report.failure.exception)


WAITS = {
    "event": lambda: threading.Event().wait(),
    "semaphore": lambda: threading.Semaphore(0).acquire(),
    "barrier": lambda: threading.Barrier(2).wait(),
    "queue": lambda: queue.Queue().get(),
    "simple queue": lambda: queue.SimpleQueue().get(),
    "join": lambda: threading.Thread(target=threading.Event().wait).start(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_waiting_for_what_never_comes_is_a_deadlock(wait):
    """Whatever a program waits in for ever, it is told so, with the place that made it."""
    execution = simulate(wait)
    assert execution.kind == "deadlock"
    assert "waits to" in str(execution.error)


def test_a_deadline_that_is_coming_is_no_deadlock():
    """As long as some wait has a timeout, time goes on."""

    def program():
        lock = threading.Lock()
        lock.acquire()
        threading.Timer(1000, lock.release).start()
        lock.acquire()
        return time.monotonic()

    assert simulate(program).result() == 1000.0


def test_daemons_that_wait_for_ever_are_no_deadlock():
    """A program may end while its daemons wait."""

    def program():
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return "done"

    assert simulate(program).result() == "done"


def test_the_finally_blocks_of_the_stuck_run():
    """Tasks of a deadlock are unwound before the execution is handed back."""
    cleaned = []

    def program():
        lock = threading.Lock()
        with lock:
            try:
                lock.acquire()
            finally:
                cleaned.append("main")

    assert simulate(program).kind == "deadlock"
    assert cleaned == ["main"]


def test_the_place_is_the_users_whatever_its_module_is_called():
    """A user's module whose name begins like one of the standard library's is not taken for it."""
    scope = {"__name__": "queueing"}
    exec("import threading\ndef make():\n    return threading.Lock()\n", scope)

    def program():
        lock = scope["make"]()
        with lock:
            lock.acquire()

    assert "in make)" in str(simulate(program).error)


def test_the_next_execution_is_not_touched():
    """A deadlock leaves nothing behind."""
    simulate(embrace)
    explore(lambda: run_threads(lambda: time.sleep(1)), schedules=3).raise_if_failed()


class Account:
    """Has a lock of its own."""

    def __init__(self):
        self.lock = threading.Lock()


LOCK = threading.Lock()


def transfer():
    """Two transfers in opposite directions: each takes its own account first."""
    left, right = Account(), Account()

    def move(source, target):
        with source.lock:
            time.sleep(2)
            with target.lock:
                pass

    for source, target, name in ((left, right, "there"), (right, left, "back")):
        threading.Thread(target=move, args=(source, target), name=name).start()


def test_who_holds_a_lock_is_told_since_when_and_where():
    """With the virtual time at which it was taken, and the line that took it."""
    text = str(simulate(transfer).error)
    taken = f"taken at {__file__}:{first_line(transfer) + 5} in transfer.<locals>.move"
    assert f"held by 'back' since 0 s, {taken}" in text
    assert f"held by 'there' since 0 s, {taken}" in text


def test_a_lock_waited_for_is_held_since_it_was_got():
    """Not since it was asked for."""

    def program():
        lock, other = threading.Lock(), threading.Lock()

        def late():
            time.sleep(1)
            with lock, other:
                pass

        def later():
            with other:
                time.sleep(7)
                lock.acquire()

        lock.acquire()
        for target in (late, later):
            threading.Thread(target=target, name=target.__name__).start()
        time.sleep(5)
        lock.release()

    text = str(simulate(program).error)
    assert "held by 'late' since 5 s, taken at" in text
    assert "held by 'later' since 0 s, taken at" in text


def test_without_a_log_a_holder_is_told_all_the_same():
    """What was not recorded is left out."""
    text = str(simulate(transfer, log=False).error)
    assert "held by 'back'" in text
    assert "since" not in text


def test_an_exploration_says_since_where_too():
    """What it reports is a replay, which records."""
    report = explore(transfer, schedules=10)
    assert "held by 'back' since 0 s, taken at" in str(report.failure.exception)


def test_a_lock_is_called_as_the_program_calls_it():
    """By the attribute that holds it, or the global, and not only by its number."""
    assert "waits to acquire `Account.lock` (Lock-" in str(simulate(transfer).error)

    def program():
        with LOCK:
            LOCK.acquire()

    assert "waits to acquire `LOCK` (Lock-1" in str(simulate(program).error)


def test_an_element_of_a_list_is_called_by_its_place():
    """The forks of the philosophers."""

    def program():
        forks = [threading.Lock() for _ in range(3)]

        def dine(seat):
            with forks[seat]:
                time.sleep(1)
                with forks[(seat + 1) % 3]:
                    pass

        for seat in range(3):
            threading.Thread(target=dine, args=(seat,)).start()

    error = simulate(program).error
    assert error.cause == "lock cycle"
    for seat in range(3):
        assert f"waits to acquire `forks[{seat}]`" in str(error)


def test_a_name_is_found_without_running_the_programs_code():
    """Properties and __getattr__ are left alone, whatever they would do."""

    class Touchy:
        __slots__ = ("lock",)

        def __init__(self):
            self.lock = threading.Lock()

        @property
        def __class__(self):
            raise AssertionError("called")

        def __getattr__(self, name):
            raise AssertionError("called")

        def __eq__(self, other):
            raise AssertionError("called")

        __hash__ = None

    def program():
        touchy = Touchy()
        with touchy.lock:
            touchy.lock.acquire()

    assert "`Touchy.lock`" in str(simulate(program).error)


def test_every_stack_is_shown_with_its_lines():
    """As in a traceback: the latest call last, the source beside it, nothing of the simulator."""
    lines = str(simulate(transfer).error).splitlines()
    at = lines.index("  stack of 'there', the latest call last:")
    place = f"{__file__}:{first_line(transfer) + 7} in transfer.<locals>.move"
    assert lines[at + 1] == f"    {place}: with target.lock:"
    assert "  stack of 'back', the latest call last:" in lines
    assert not any("routilux_sim" in line for line in lines)


def test_the_report_is_the_same_every_time():
    """No addresses, and no order that comes from them."""
    assert str(simulate(transfer).error) == str(simulate(transfer).error)


def test_remedies_are_told():
    """What to do about it is part of the message."""
    error = simulate(transfer).error
    assert error.cause == "lock cycle"
    assert "  what to do: take the locks in the same order everywhere, or hold one at a time\n" in str(error)
