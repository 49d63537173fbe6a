"""The simulated world is put in the real one's place and taken away again, and real threads notice nothing."""

import concurrent.futures.thread
import gc
import queue
import random
import threading
import time

import pytest
from sim_helpers import run_threads

from routilux import runtime
from routilux_sim import explore, simulate

PLACES = (time, threading, threading.Thread, queue, queue.Queue, concurrent.futures.thread)
REAL_TIME = time.time
REAL_LOCK = type(threading.Lock())


def contents():
    """Everything that could have been replaced, by identity."""
    found = {(place.__name__, name): value for place in PLACES for name, value in vars(place).items()}
    found["ambient"] = runtime.current()
    return found


def busy():
    box = queue.Queue()
    run_threads(lambda: time.sleep(1), lambda: box.put(threading.Event().wait(1)), box.get)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(time.sleep, 1)
    return random.random()


def failing():
    run_threads(lambda: time.sleep(1))
    raise ValueError("on purpose")


def failing_in_a_thread():
    run_threads(lambda: {}["missing"])


def deadlocked():
    threading.Thread(target=threading.Event().wait).start()
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def endless():
    while True:
        time.sleep(1)


def leaving_a_pool():
    concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 1)


class Broken:
    """A strategy that raises at its third choice."""

    name = "broken"

    def begin(self, seed):
        self.left = 2
        return True

    def pick(self, current, ready):
        self.left -= 1
        if self.left < 0:
            raise LookupError("strategy broke")
        return 0

    def draw(self, label, bound):
        return 0


@pytest.mark.parametrize(
    "program", [busy, failing, failing_in_a_thread, deadlocked, endless, leaving_a_pool], ids=lambda p: p.__name__
)
@pytest.mark.parametrize("run", [simulate, explore], ids=lambda run: run.__name__)
def test_everything_is_put_back(program, run):
    """After a simulation, however it ended, each name is what it was; so are the random state and the collector."""
    before, state, collecting = contents(), random.getstate(), gc.isenabled()
    frozen = gc.get_freeze_count()
    options = {"schedules": 3} if run is explore else {}
    run(program, max_steps=2000, **options)
    assert contents() == before
    assert random.getstate() == state
    assert gc.isenabled() == collecting
    assert gc.get_freeze_count() <= frozen


def test_everything_is_put_back_after_a_broken_strategy():
    """An error of the simulator's own parts is kept apart from the program, and nothing stays patched."""
    before = contents()
    execution = simulate(lambda: run_threads(*[lambda: time.sleep(0)] * 3), strategy=Broken())
    assert execution.verdict == "inconclusive"
    assert isinstance(execution.error.__cause__, LookupError)
    assert contents() == before


def test_everything_is_put_back_after_an_interrupt():
    """Ctrl-C leaves the simulation as KeyboardInterrupt, with the real world in place."""

    def program():
        run_threads(lambda: time.sleep(1))
        raise KeyboardInterrupt

    before, state = contents(), random.getstate()
    for run in (simulate, explore):
        with pytest.raises(KeyboardInterrupt):
            run(program)
        assert contents() == before
        assert random.getstate() == state
    assert simulate(busy).verdict == "passed"


def test_the_collector_stays_off_if_it_was():
    """A program that runs without garbage collection goes on without it."""
    gc.disable()
    try:
        simulate(busy)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_real_things_are_real_afterwards():
    """Locks, queues, threads and clocks made after a simulation are CPython's."""
    simulate(busy)
    assert type(threading.Lock()) is REAL_LOCK
    assert type(threading.Event()) is threading.Event
    ran = []
    thread = threading.Thread(target=lambda: ran.append(threading.get_ident()))
    thread.start()
    thread.join()
    assert ran != [threading.get_ident()]
    assert abs(time.time() - REAL_TIME()) < 5


def test_random_numbers_follow_the_seed():
    """The same seed draws the same numbers, another seed others, and the outside state does not matter."""

    def program():
        return random.random(), random.sample(range(1000), 3), random.choice("abcdef")

    first = simulate(program, seed=1).result()
    random.seed(99)
    assert simulate(program, seed=1).result() == first
    assert simulate(program, seed=2).result() != first


def test_random_numbers_outside_go_on_as_if_nothing_had_been():
    """A simulation in between does not change what the real program draws."""
    random.seed(5)
    expected = [random.random() for _ in range(2)]
    random.seed(5)
    drawn = [random.random()]
    simulate(busy, seed=3)
    drawn.append(random.random())
    assert drawn == expected


def test_real_threads_beside_keep_their_world():
    """A real thread that runs during a simulation has real locks, queues, threads and clocks."""
    started, enough = threading.Event(), threading.Event()
    seen = []
    problems = []

    def check():
        lock = threading.Lock()
        box = queue.Queue()
        child = threading.Thread(target=box.put, args=(threading.get_ident(),))
        child.start()
        child.join()
        began = time.perf_counter()
        time.sleep(0.001)
        event = threading.Event()
        assert isinstance(lock, REAL_LOCK)
        assert box.get(timeout=1) == threading.get_ident()
        assert threading.current_thread() is beside
        assert threading.main_thread() in threading.enumerate()
        assert time.perf_counter() - began >= 0.001
        assert abs(time.time() - REAL_TIME()) < 5
        assert not event.wait(0.001)
        nested, condition = threading.RLock(), threading.Condition()
        with lock, nested, condition as entered:
            assert entered

    def live():
        try:
            while not enough.is_set():
                check()
                seen.append(threading.Thread.start.__module__.startswith("routilux_sim"))
                started.set()
        except BaseException as error:  # noqa: BLE001 - told by the test
            problems.append(error)
            started.set()

    beside = threading.Thread(target=live)
    beside.start()
    started.wait()
    report = explore(busy, schedules=10**6, seconds=0.3)
    enough.set()
    beside.join()
    assert problems == []
    assert report.verdict == "passed"
    assert True in seen


def test_a_simulation_inside_a_simulation_is_refused():
    """A simulated program cannot simulate, and goes on unharmed."""

    def program():
        with pytest.raises(RuntimeError, match="a simulated program cannot simulate"):
            simulate(busy)
        with pytest.raises(RuntimeError, match="a simulated program cannot simulate"):
            explore(busy)
        time.sleep(1)
        return time.monotonic()

    assert simulate(program).result() == 1.0


def test_a_second_simulation_at_a_time_is_refused():
    """While one thread simulates, another cannot; afterwards it can."""
    inside, tried = threading.Event(), threading.Event()
    raised = []

    def other():
        inside.wait()
        try:
            simulate(busy)
        except RuntimeError as error:
            raised.append(str(error))
        tried.set()

    thread = threading.Thread(target=other)
    thread.start()

    def hold(count):
        inside.set()
        deadline = REAL_TIME() + 5
        while not tried.is_set() and REAL_TIME() < deadline:
            pass

    explore(busy, schedules=1, progress=hold)
    thread.join()
    assert len(raised) == 1
    assert "another thread is simulating" in raised[0]
    again = []
    thread = threading.Thread(target=lambda: again.append(simulate(busy).verdict))
    thread.start()
    thread.join()
    assert again == ["passed"]


def test_a_simulation_may_run_in_any_thread():
    """What is simulated is the thread that asks for it."""
    results = []
    thread = threading.Thread(target=lambda: results.append(simulate(busy, seed=4).log_bytes()))
    thread.start()
    thread.join()
    assert results == [simulate(busy, seed=4).log_bytes()]


def test_finally_blocks_run_in_the_simulated_world():
    """What a program cleans up when it is ended still meets simulated time, and cannot block the end."""
    seen = []

    def program():
        def serve():
            try:
                threading.Event().wait()
            finally:
                seen.append(time.time())
                time.sleep(3600)
                seen.append("never")

        threading.Thread(target=serve, daemon=True).start()
        time.sleep(1)

    assert simulate(program).verdict == "passed"
    assert seen == [1_767_225_601.0]
