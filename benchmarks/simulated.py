"""Programs to run in the simulator: each uses plain ``threading`` and says by an assertion that all of it was done."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

Program = Callable[[], None]

MINUTE = 60.0


class Counter:
    """A number that threads add one to, under a lock."""

    def __init__(self) -> None:
        self.total = 0
        self.lock = threading.Lock()

    def add(self) -> None:
        with self.lock:
            self.total += 1


def run_all(threads: list[threading.Thread]) -> None:
    """Start them, and wait for them."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def locked_counter() -> None:
    """Two threads, each adding one to a counter under a lock."""
    counter = Counter()
    run_all([threading.Thread(target=counter.add) for _ in range(2)])
    assert counter.total == 2


def locked_counters(count: int) -> Program:
    """So many threads, each adding one to a counter under a lock."""

    def program() -> None:
        counter = Counter()
        run_all([threading.Thread(target=counter.add) for _ in range(count)])
        assert counter.total == count

    return program


LOOKS = 10


def looking(loops: int) -> Program:
    """Looks at an attribute that no other thread knows of, `LOOKS` times in each turn of a loop."""

    def program() -> None:
        look = Counter()
        for _ in range(loops):
            look.total, look.total, look.total, look.total, look.total  # noqa: B018 - the looking is what counts
            look.total, look.total, look.total, look.total, look.total  # noqa: B018 - likewise

    return program


def executor_of_sleeps() -> None:
    """An unmodified executor, three sleeps."""
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(time.sleep, [0.2, 0.2, 0.25]))
    assert time.monotonic() == 0.25


def page_flow() -> None:
    """The page's flow, from execute to shutdown."""
    from examples.concurrent_flow_demo import create_concurrent_flow, run_and_wait

    with create_concurrent_flow() as flow:
        _, seconds = run_and_wait(flow, "bench")
    assert seconds == 0.25


def contended(operations: int, tasks: int) -> Program:
    """Scheduling points and nothing else."""

    def program() -> None:
        ask = threading.Lock().locked

        def body() -> None:
            for _ in range(operations):
                ask()

        run_all([threading.Thread(target=body) for _ in range(tasks)])

    return program


def crowd(count: int) -> Program:
    """Threads that are all alive at once: each sleeps, takes the same lock as all others, and puts to a queue."""

    def program() -> None:
        counter = Counter()
        done: queue.Queue[int] = queue.Queue()

        def body() -> None:
            time.sleep(1.0)
            counter.add()
            done.put(1)

        threads = [threading.Thread(target=body) for _ in range(count)]
        for thread in threads:
            thread.start()
        assert threading.active_count() == count + 1
        assert sum(done.get() for _ in range(count)) == count
        for thread in threads:
            thread.join()
        assert counter.total == count

    return program


def mixed(rounds: int) -> Program:
    """Four threads, each of whose rounds takes a lock, sleeps, puts to a queue and gets from it."""

    def program() -> None:
        counter = Counter()
        items: queue.Queue[int] = queue.Queue()

        def body() -> None:
            for number in range(rounds):
                counter.add()
                time.sleep(0.001)
                items.put(number)
                items.get(timeout=1.0)

        run_all([threading.Thread(target=body) for _ in range(4)])
        assert counter.total == 4 * rounds
        assert items.empty()

    return program


class Repeat(threading.Timer):
    """A timer that goes off again and again, as people derive one from ``Timer``."""

    def run(self) -> None:
        while not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)


def periodic_timers(minutes: int, count: int) -> Program:
    """Timers that each go off every minute."""

    def program() -> None:
        fired = 0

        def fire() -> None:
            nonlocal fired
            fired += 1

        timers = [Repeat(MINUTE, fire) for _ in range(count)]
        for timer in timers:
            timer.start()
        time.sleep(MINUTE * minutes + 1.0)
        for timer in timers:
            timer.cancel()
        assert fired == minutes * count
        assert time.monotonic() == MINUTE * minutes + 1.0

    return program


def timers_in_a_row(minutes: int, count: int) -> Program:
    """Plain timers, each of which goes off once and starts the next: a thread for every time that one goes off."""

    def program() -> None:
        fired = 0

        def fire(left: int) -> None:
            nonlocal fired
            fired += 1
            if left:
                threading.Timer(MINUTE, fire, (left - 1,)).start()

        for _ in range(count):
            threading.Timer(MINUTE, fire, (minutes - 1,)).start()
        time.sleep(MINUTE * minutes + 1.0)
        assert fired == minutes * count

    return program
