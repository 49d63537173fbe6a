"""Simulated queues behave as CPython's, down to their documented seams."""

import queue
import threading
import time

import pytest
from sim_helpers import assert_as_on_threads, attempt, elsewhere, ids, outcomes, run_threads

from routilux_sim import explore, simulate

KINDS = ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"]
BOUNDED = KINDS[:3]


class UniqueQueue(queue.Queue):
    """Keeps each item once, and gives the largest first."""

    def _init(self, maxsize):
        self.items = set()

    def _qsize(self):
        return len(self.items)

    def _put(self, item):
        self.items.add(item)

    def _get(self):
        item = max(self.items)
        self.items.remove(item)
        return item


def make(kind, *args):
    return getattr(queue, kind)(*args)


def orders():
    result = []
    for kind in KINDS:
        box = make(kind)
        for item in (2, 3, 1):
            box.put(item)
        result.append((kind, box.qsize(), [box.get() for _ in range(3)], box.empty()))
    return result


def bounds():
    result = []
    for kind in BOUNDED:
        box = make(kind, 2)
        box.put(1)
        box.put_nowait(2)
        result += [
            box.full(),
            attempt(box.put_nowait, 3),
            attempt(box.put, 3, False),
            attempt(box.put, 3, True, 0.001),
            attempt(box.put, 3, timeout=0),
            attempt(box.put, 3, timeout=-1),
            box.qsize(),
            box.maxsize,
        ]
    return result


def unbounded():
    box = queue.Queue(-1)
    for item in range(100):
        box.put(item, timeout=-1)
    return box.full(), box.qsize()


def emptiness():
    return [
        [
            attempt(box.get_nowait),
            attempt(box.get, False),
            attempt(box.get, False, -1),
            attempt(box.get, True, 0.001),
            attempt(box.get, timeout=0),
            attempt(box.get, timeout=-1),
            box.empty(),
            box.qsize(),
        ]
        for box in map(make, KINDS)
    ]


def tasks():
    box = queue.Queue()
    result = [attempt(box.task_done)]
    box.put(1)
    box.put(2)
    result.append(box.unfinished_tasks)
    box.get()
    box.task_done()
    result.append(box.unfinished_tasks)
    box.task_done()
    return [*result, box.join(), attempt(box.task_done)]


def subclass():
    box = UniqueQueue(2)
    for item in (1, 1, 5):
        box.put(item)
    return box.full(), attempt(box.put, 7, timeout=0.001), box.get(), box.get(), attempt(box.get_nowait)


def subclass_of_simple_queue():
    class Named(queue.SimpleQueue):
        name = "mine"

    box = Named()
    box.put(1)
    return box.name, box.get(), isinstance(box, queue.SimpleQueue)


def kinds():
    return [isinstance(make(kind), getattr(queue, kind)) for kind in KINDS]


def priorities_that_do_not_compare():
    box = queue.PriorityQueue()
    box.put((1, "a"))
    return attempt(box.put, (1, None)), box.get()


def clearing_under_the_mutex():
    box = queue.Queue()
    for item in range(3):
        box.put(item)
    with box.mutex:
        box.queue.clear()
    return box.qsize(), elsewhere(box.get_nowait)


def giving_up_the_unfinished():
    box = queue.Queue()
    box.put(1)
    joined = []

    def join():
        box.join()
        joined.append(True)

    def give_up():
        with box.all_tasks_done:
            box.unfinished_tasks = 0
            box.all_tasks_done.notify_all()

    run_threads(join, give_up)
    return joined


def waiting_for_not_empty():
    box = queue.Queue()
    began = time.monotonic()

    def wait():
        with box.not_empty:
            while not box.queue:
                box.not_empty.wait(5)

    run_threads(wait, lambda: box.put(1))
    return box.qsize(), time.monotonic() - began < 2


def waiting_for_not_full():
    box = queue.Queue(1)
    box.put(1)
    began = time.monotonic()

    def wait():
        with box.not_full:
            while box.queue:
                box.not_full.wait(5)

    run_threads(wait, box.get)
    return box.qsize(), time.monotonic() - began < 2


def shutting_down():
    result = []
    for kind in BOUNDED:
        box = make(kind, 3)
        box.put(1)
        box.put(2)
        box.shutdown()
        result += [attempt(box.put, 3), attempt(box.get), attempt(box.get_nowait), attempt(box.get)]
        result += [attempt(box.get, timeout=1), attempt(box.put_nowait, 1), box.is_shutdown]
        box.task_done()
        box.task_done()
        result.append(box.join())
    return result


def shutting_down_at_once():
    box = queue.Queue()
    for item in range(3):
        box.put(item)
    box.get()
    box.shutdown(immediate=True)
    return attempt(box.get), box.qsize(), box.unfinished_tasks, box.task_done(), box.join()


def shutting_down_on_those_who_wait():
    empty, full = queue.Queue(), queue.Queue(1)
    full.put(1)
    said = []
    run_threads(
        lambda: said.append(attempt(empty.get)),
        lambda: said.append(attempt(full.put, 2)),
        empty.shutdown,
        full.shutdown,
    )
    return said


AS_ON_THREADS = [
    orders,
    bounds,
    unbounded,
    emptiness,
    tasks,
    subclass,
    subclass_of_simple_queue,
    kinds,
    priorities_that_do_not_compare,
    clearing_under_the_mutex,
    giving_up_the_unfinished,
    waiting_for_not_empty,
    waiting_for_not_full,
]
if hasattr(queue, "ShutDown"):
    AS_ON_THREADS += [shutting_down, shutting_down_at_once, shutting_down_on_those_who_wait]


@pytest.mark.parametrize("program", AS_ON_THREADS, ids=ids(AS_ON_THREADS))
def test_it_is_as_on_threads(program):
    """Values, exceptions and their words are those of CPython's queues, in every schedule."""
    assert_as_on_threads(program)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled(kind):
    """Every item that was put is got once, whoever takes turns with whom."""

    def program():
        box = make(kind)
        got = []

        def produce(first):
            for item in range(first, first + 3):
                box.put(item)

        def consume():
            got.extend(box.get() for _ in range(3))

        run_threads(lambda: produce(0), lambda: produce(10), consume, consume)
        assert sorted(got) == [0, 1, 2, 10, 11, 12]
        assert box.empty()

    explore(program, schedules=200).raise_if_failed()


@pytest.mark.parametrize("kind", BOUNDED)
def test_a_bounded_queue_never_holds_more(kind):
    """With maxsize 1, four puts and four gets pass through, and there is never a second item."""

    def program():
        box = make(kind, 1)
        got = []

        def produce():
            for item in range(2):
                box.put(item)
                assert box.qsize() <= 1

        def consume():
            for _ in range(2):
                got.append(box.get())
                box.task_done()

        run_threads(produce, produce, consume, consume)
        box.join()
        assert sorted(got) == [0, 0, 1, 1]

    explore(program, schedules=200).raise_if_failed()


def test_one_producers_items_keep_their_order():
    """A FIFO queue gives the items of one producer in the order in which they were put."""

    def program():
        box = queue.Queue(2)
        got = []
        run_threads(
            lambda: [box.put(("a", n)) for n in range(3)],
            lambda: [box.put(("b", n)) for n in range(3)],
            lambda: got.extend(box.get() for _ in range(6)),
        )
        for name in "ab":
            assert [n for who, n in got if who == name] == [0, 1, 2]

    explore(program, schedules=200).raise_if_failed()


def test_producers_meet_in_every_order():
    """Two producers with an item each are seen in both orders."""

    def program():
        box = queue.Queue()
        run_threads(lambda: box.put("a"), lambda: box.put("b"))
        return box.get() + box.get()

    assert outcomes(program, 50) == {"ab", "ba"}


def test_join_waits_for_the_last_task():
    """Joining returns at the instant at which the last item is done."""

    def program():
        box = queue.Queue()

        def work():
            while True:
                time.sleep(box.get())
                box.task_done()

        for _ in range(2):
            threading.Thread(target=work, daemon=True).start()
        for seconds in (1.0, 2.0, 1.5):
            box.put(seconds)
        box.join()
        assert box.unfinished_tasks == 0
        return time.monotonic()

    assert outcomes(program, 50) <= {2.5, 3.5, 3.0}


def test_a_put_answers_a_waiting_get_at_once():
    """A get with a timeout returns at the instant of the put."""

    def program(kind):
        box = make(kind)
        threading.Timer(0.3, box.put, ("item",)).start()
        assert box.get(timeout=10) == "item"
        return time.monotonic()

    for kind in KINDS:
        assert outcomes(lambda kind=kind: program(kind), 20) == {0.3}


@pytest.mark.parametrize("kind", KINDS)
def test_a_put_that_meets_a_timeout_is_not_lost(kind):
    """An item put at the instant at which one getter gives up reaches that getter or the next one."""

    def program():
        box = make(kind)
        got = []

        def impatient():
            try:
                item = box.get(timeout=1)
            except queue.Empty:
                return
            box.put(item)

        def put():
            time.sleep(1)
            box.put("item")

        run_threads(impatient, lambda: got.append(box.get()), put)
        assert got == ["item"]

    explore(program, schedules=300).raise_if_failed()


@pytest.mark.parametrize("kind", BOUNDED)
def test_a_get_that_meets_a_timeout_is_not_lost(kind):
    """Room made at the instant at which one putter gives up goes to that putter or to the next one."""

    def program():
        box = make(kind, 1)
        box.put(0)

        def impatient():
            try:
                box.put(1, timeout=1)
            except queue.Full:
                return
            box.get()

        def get():
            time.sleep(1)
            box.get()

        run_threads(impatient, lambda: box.put(2), get)
        assert box.get() == 2

    explore(program, schedules=300).raise_if_failed()


def test_the_mutex_keeps_others_out():
    """While a program holds a queue's mutex, nobody puts or gets."""

    def program():
        box = queue.Queue()

        def look():
            with box.mutex:
                before = len(box.queue)
                time.sleep(0)
                assert len(box.queue) == before

        run_threads(look, lambda: box.put(1), lambda: attempt(box.get_nowait))

    explore(program, schedules=200).raise_if_failed()


def test_a_queue_made_outside_serves_inside():
    """A queue of a module is simulated too, in one execution after the other."""
    box = queue.Queue()

    def program():
        got = []
        run_threads(lambda: got.append(box.get()), lambda: box.put("item"))
        assert got == ["item"]

    explore(program, schedules=50).raise_if_failed()
    assert box.empty()


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_can_be_emptied_afterwards(kind):
    """What a program left in a queue can be taken out when the simulation is over."""

    def program():
        box = make(kind)
        box.put(1)
        return box

    box = simulate(program).result()
    assert box.get_nowait() == 1
    with pytest.raises(queue.Empty):
        box.get_nowait()
