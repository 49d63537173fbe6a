"""Time in a simulation is virtual: it costs nothing, every clock agrees, and every timeout is exact."""

import queue
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as generators
from sim_helpers import attempt, run_threads

from routilux_sim import explore, simulate

pytestmark = pytest.mark.usefixtures("no_real_waiting")

HOUR = 3600.0
EPOCH = 1_767_225_600.0


def elapsed(program, **options):
    execution = simulate(program, **options)
    execution.result()
    return execution.elapsed


def read_time():
    return time.time()


def holding(lock, seconds):
    """Hold a lock for a while, in another thread, from now on."""
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(seconds)

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    return lock


def test_the_fixture_notices_a_real_sleep():
    """A real sleep, and a real thread, fail a test of this file."""
    with pytest.raises(pytest.fail.Exception, match=r"really called time\.sleep"):
        time.sleep(0)
    with pytest.raises(pytest.fail.Exception, match="really called _start"):
        threading.Thread(target=print).start()


def test_an_hour_costs_no_real_second():
    """An hour of sleep passes at once."""
    began = time.perf_counter()
    assert elapsed(lambda: time.sleep(HOUR)) == HOUR
    assert time.perf_counter() - began < 1


def test_a_year_of_waiting_costs_no_real_second():
    """So does a year of timeouts, sleeps and waits in several threads."""

    def program():
        run_threads(
            lambda: time.sleep(365 * 24 * HOUR),
            lambda: threading.Event().wait(300 * 24 * HOUR),
            lambda: attempt(queue.Queue().get, timeout=200 * 24 * HOUR),
        )

    assert elapsed(program) == 365 * 24 * HOUR


def test_sleeps_side_by_side_overlap():
    """The longest of several sleeps counts, not their sum."""
    assert elapsed(lambda: run_threads(*[lambda s=s: time.sleep(s) for s in (1, 2.5, 2)])) == 2.5


def test_the_clocks_agree():
    """Every clock of the time module moves by what was slept, in seconds and in nanoseconds."""

    def program():
        clocks = (time.time, time.monotonic, time.perf_counter)
        fine = (time.time_ns, time.monotonic_ns, time.perf_counter_ns)
        before = [clock() for clock in clocks + fine]
        time.sleep(1.5)
        after = [clock() for clock in clocks + fine]
        return [end - begin for begin, end in zip(before, after, strict=True)]

    assert simulate(program).result() == [1.5] * 3 + [1_500_000_000] * 3


def test_seconds_and_nanoseconds_are_one_clock():
    """Each clock and its nanosecond form tell the same instant."""

    def program():
        time.sleep(0.123456789)
        return (
            (time.time() - EPOCH, (time.time_ns() - int(EPOCH) * 10**9) / 1e9),
            (time.monotonic(), time.monotonic_ns() / 1e9),
            (time.perf_counter(), time.perf_counter_ns() / 1e9),
        )

    for seconds, from_nanoseconds in simulate(program).result():
        assert seconds == pytest.approx(from_nanoseconds, abs=1e-6)
        assert from_nanoseconds == 0.123456789


def test_reading_a_clock_takes_no_time():
    """Time stands while a program runs."""

    def program():
        return len({time.monotonic_ns() for _ in range(1000)})

    assert simulate(program).result() == 1


def test_the_epoch_is_2026_unless_told():
    """time.time() begins on the first of January 2026, or where it is told to."""
    assert simulate(read_time).result() == EPOCH
    assert simulate(read_time, epoch=1000.0).result() == 1000.0
    seen = []
    explore(lambda: seen.append(time.time_ns()), schedules=1, epoch=2.5)
    assert seen == [2_500_000_000]


def test_every_execution_begins_at_the_epoch():
    """No time is carried over from one schedule to the next."""
    seen = set()

    def program():
        seen.add((time.time(), time.monotonic()))
        run_threads(lambda: time.sleep(5), lambda: time.sleep(3))

    explore(program, schedules=20).raise_if_failed()
    assert seen == {(EPOCH, 0.0)}


def test_a_thread_reads_the_same_clock():
    """Clocks read in a thread go on from where the program's stand."""

    def program():
        readings = []

        def read():
            time.sleep(1)
            readings.append(time.monotonic())

        time.sleep(2)
        run_threads(read)
        return [*readings, time.monotonic()]

    assert simulate(program).result() == [3.0, 3.0]


def test_sleep_0_yields():
    """sleep(0) lets every other thread go first, even under the strategy that never preempts, and takes no time."""

    def program():
        order = []
        threading.Thread(target=lambda: order.append("thread")).start()
        time.sleep(0)
        order.append("main")
        return order, time.monotonic()

    assert simulate(program, strategy="fifo").result() == (["thread", "main"], 0.0)


def test_a_negative_sleep_is_refused():
    """As CPython refuses it, in the same words."""
    with pytest.raises(ValueError, match="sleep length must be non-negative"):
        simulate(lambda: time.sleep(-1)).result()


def test_sleep_takes_numbers_that_are_no_floats():
    """Integers and booleans are seconds too."""
    assert elapsed(lambda: time.sleep(2)) == 2.0
    assert elapsed(lambda: time.sleep(True)) == 1.0


@pytest.mark.parametrize("arguments", [("1",), (None,), (), (1, 2)])
def test_sleep_takes_one_number(arguments):
    """Anything else is a TypeError."""
    with pytest.raises(TypeError):
        simulate(lambda: time.sleep(*arguments)).result()


def lock_acquire():
    return holding(threading.Lock(), 100).acquire(timeout=0.75)


def rlock_acquire():
    return holding(threading.RLock(), 100).acquire(timeout=0.75)


def condition_wait():
    condition = threading.Condition()
    with condition:
        return condition.wait(0.75)


def condition_wait_for():
    condition = threading.Condition()
    with condition:
        return condition.wait_for(lambda: False, 0.75)


def event_wait():
    return threading.Event().wait(0.75)


def semaphore_acquire():
    return threading.Semaphore(0).acquire(timeout=0.75)


def bounded_semaphore_acquire():
    semaphore = threading.BoundedSemaphore(1)
    semaphore.acquire()
    return semaphore.acquire(timeout=0.75)


def barrier_wait():
    with pytest.raises(threading.BrokenBarrierError):
        threading.Barrier(2).wait(0.75)
    return False


def thread_join():
    thread = threading.Thread(target=time.sleep, args=(100,), daemon=True)
    thread.start()
    thread.join(0.75)
    return not thread.is_alive()


def queue_get():
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=0.75)
    return False


def queue_put():
    box = queue.Queue(1)
    box.put(1)
    with pytest.raises(queue.Full):
        box.put(2, timeout=0.75)
    return False


def simple_queue_get():
    with pytest.raises(queue.Empty):
        queue.SimpleQueue().get(timeout=0.75)
    return False


TIMED_WAITS = (
    lock_acquire,
    rlock_acquire,
    condition_wait,
    condition_wait_for,
    event_wait,
    semaphore_acquire,
    bounded_semaphore_acquire,
    barrier_wait,
    thread_join,
    queue_get,
    queue_put,
    simple_queue_get,
)


@pytest.mark.parametrize("wait", TIMED_WAITS)
def test_a_timeout_is_exact(wait):
    """What nobody answers gives up after its timeout to the nanosecond, in every schedule."""

    def program():
        assert wait() is False
        assert time.monotonic_ns() == 750_000_000

    explore(program, schedules=20).raise_if_failed()


def test_a_timer_is_exact():
    """A Timer calls at its very instant."""

    def program():
        called = []
        timer = threading.Timer(0.3, lambda: called.append(time.monotonic()))
        timer.start()
        timer.join()
        return called

    assert simulate(program).result() == [0.3]


def test_an_answer_ends_a_wait_at_once():
    """A wait with a timeout goes on at the instant it is answered, not at its deadline."""

    def program():
        event = threading.Event()
        threading.Timer(0.2, event.set).start()
        assert event.wait(50)
        return time.monotonic()

    assert simulate(program).result() == 0.2


def test_a_stale_deadline_is_forgotten():
    """A deadline whose wait was answered wakes nobody later."""

    def program():
        event = threading.Event()
        threading.Timer(0.2, event.set).start()
        event.wait(1.0)
        other = threading.Event()
        assert not other.wait(5.0)
        return time.monotonic()

    assert simulate(program).result() == 5.2


@pytest.mark.parametrize("seconds", [0, -0.5])
def test_a_timeout_of_nothing_does_not_wait(seconds):
    """Waits whose timeout is over already return at once."""

    def program():
        assert threading.Event().wait(seconds) is False
        assert threading.Semaphore(0).acquire(timeout=seconds) is False
        thread = threading.Thread(target=time.sleep, args=(1,))
        thread.start()
        thread.join(seconds)
        assert time.monotonic() == 0
        condition = threading.Condition()
        with condition:
            assert condition.wait(seconds) is False
        return time.monotonic()

    assert simulate(program, strategy="fifo").result() == 0.0


@settings(deadline=None, max_examples=50)
@given(generators.lists(generators.integers(0, 10**12), min_size=1, max_size=6))
def test_nanoseconds_add_up(lengths):
    """Sleeps one after the other take their sum, without a drift."""

    def program():
        for length in lengths:
            time.sleep(length / 1e9)
        return time.monotonic_ns()

    assert simulate(program).result() == sum(lengths)


def test_deadlines_of_one_instant_come_in_every_order():
    """Which of several threads that wake at one instant runs first is the strategy's choice."""
    seen = set()

    def program():
        order = []

        def wake(name):
            time.sleep(1)
            order.append(name)

        run_threads(*[lambda name=name: wake(name) for name in "abc"])
        seen.add("".join(order))

    explore(program, schedules=200).raise_if_failed()
    assert seen == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_runnable_thread_does_not_lose_to_a_timeout():
    """The clock moves only when nothing can run: work that takes no time is in time for any timeout."""

    def program():
        done = threading.Event()

        def work():
            for _ in range(20):
                time.sleep(0)
            done.set()

        threading.Thread(target=work).start()
        assert done.wait(1e-9)

    explore(program, schedules=100).raise_if_failed()


def test_too_much_virtual_time_is_inconclusive():
    """A program that outlives max_seconds is given up, and not called a pass."""
    execution = simulate(lambda: time.sleep(100), max_seconds=99)
    assert execution.verdict == "inconclusive"
    assert "virtual seconds" in str(execution.error)


def test_a_loop_that_reads_the_clock_ends():
    """A busy wait on a clock that stands still is given up after max_steps."""

    def program():
        while time.monotonic() < 1:
            pass

    assert simulate(program, max_steps=1000).verdict == "inconclusive"
