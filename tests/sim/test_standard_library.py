"""What programs use besides threads comes along as it is: ``sched``, logging, caches, context variables, secrets."""

import contextlib
import contextvars
import functools
import io
import logging
import logging.handlers
import pickle
import queue
import random
import sched
import secrets
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from routilux_sim import explore, simulate

LOGGER = logging.getLogger("tests.standard_library")


def run_together(*bodies):
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_sched_runs_on_the_virtual_clock():
    """``sched.scheduler`` has captured ``monotonic`` and ``sleep`` as default arguments; its delays are virtual."""

    def program():
        rung = []
        scheduler = sched.scheduler()
        for delay in (3, 1, 2):
            scheduler.enter(delay, 1, lambda delay=delay: rung.append((delay, time.monotonic())))
        cancelled = scheduler.enter(2.5, 1, rung.append, ("never",))
        threading.Timer(2.25, scheduler.cancel, [cancelled]).start()
        scheduler.run()
        return rung, scheduler.empty()

    assert simulate(program).result() == ([(1, 1.0), (2, 2.0), (3, 3.0)], True)


def test_log_records_carry_virtual_time_and_task_names():
    """A record's time is the virtual wall clock's, and its thread the task's."""

    def program():
        records = []
        handler = logging.Handler()
        handler.emit = records.append
        LOGGER.addHandler(handler)
        try:
            time.sleep(60)
            thread = threading.Thread(target=LOGGER.warning, args=("late",), name="writer")
            thread.start()
            thread.join()
        finally:
            LOGGER.removeHandler(handler)
        (record,) = records
        return record.created - time.time(), record.threadName, record.thread == thread.ident

    assert simulate(program).result() == (0.0, "writer", True)


def test_time_stamps_are_virtual_and_clocks_are_not_bound():
    """A clock that is a class attribute, as logging's is, is called without the object, as one written in C is."""

    class Watch:
        read = time.monotonic

    def program():
        class Inside:
            read = time.time

        time.sleep(1)
        record = logging.makeLogRecord({"msg": "late"})
        return logging.Formatter("%(asctime)s %(message)s", "%S").format(record), Watch().read(), Inside().read() % 10

    assert simulate(program).result() == ("01 late", 1.0, 1.0)
    assert pickle.loads(pickle.dumps(time.monotonic)) is time.monotonic


def test_a_handlers_lock_keeps_lines_whole():
    """Writers that are preempted between the parts of a line do not mix theirs, as the handler's lock was made for."""
    stream = io.StringIO()

    class InParts(logging.Handler):
        def emit(self, record):
            for letter in record.getMessage():
                stream.write(letter)
                time.sleep(0)

    handler = InParts()  # Its lock is made before the simulation.

    def program():
        stream.truncate(0)
        LOGGER.addHandler(handler)
        try:
            run_together(*(lambda word=word: LOGGER.error(word) for word in ("aaa", "bbb", "ccc")))
        finally:
            LOGGER.removeHandler(handler)
        text = stream.getvalue().strip("\0")
        assert sorted(text[at : at + 3] for at in (0, 3, 6)) == ["aaa", "bbb", "ccc"], text

    assert explore(program, schedules=200).verdict == "passed"


def test_a_queue_listener_is_simulated():
    """``QueueHandler`` and ``QueueListener``: a thread and a queue inside logging."""

    def program():
        records = []
        target = logging.Handler()
        target.emit = lambda record: records.append(record.getMessage())
        box = queue.SimpleQueue()
        listener = logging.handlers.QueueListener(box, target)
        handler = logging.handlers.QueueHandler(box)
        LOGGER.addHandler(handler)
        listener.start()
        try:
            run_together(*(lambda n=n: LOGGER.error("%d", n) for n in range(3)))
        finally:
            LOGGER.removeHandler(handler)
            listener.stop()
        assert sorted(records) == ["0", "1", "2"]

    assert explore(program, schedules=200).verdict == "passed"


def test_cached_property_and_lru_cache_come_as_they_are():
    """From several tasks: the values are right, and where CPython locks, the body runs once."""

    class Once:
        def __init__(self):
            self.count = 0

        @functools.cached_property
        def value(self):
            self.count += 1
            time.sleep(1)
            return 42

    def program():
        once = Once()
        seen = []

        @functools.lru_cache
        def double(n):
            time.sleep(1)
            return 2 * n

        run_together(*(lambda: seen.append((once.value, double(4))) for _ in range(3)))
        assert seen == [(42, 8)] * 3
        # Until 3.11 the descriptor has a lock, which was made with the class; from 3.12 on each task may compute.
        assert once.count == 1 if sys.version_info < (3, 12) else 1 <= once.count <= 3

    explore(program, schedules=200).raise_if_failed()


def test_context_variables_are_each_tasks_own():
    """A thread begins with an empty context, a copied one is handed over, and switches never mix them."""
    name = contextvars.ContextVar("name", default="nobody")

    def program():
        name.set("main")
        seen = []

        def body(own):
            seen.append(name.get())
            name.set(own)
            time.sleep(0)
            assert name.get() == own

        threads = [threading.Thread(target=body, args=(str(n),)) for n in range(3)]
        threads.append(threading.Thread(target=contextvars.copy_context().run, args=(body, "copied")))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == ["main", "nobody", "nobody", "nobody"]
        assert name.get() == "main"

    assert explore(program, schedules=200).verdict == "passed"


def test_context_managers_unwind_in_their_own_task():
    """``ExitStack`` and generator-based managers that wait inside."""

    def program():
        ended = []

        @contextlib.contextmanager
        def span(name):
            time.sleep(0.5)
            try:
                yield name
            finally:
                time.sleep(0.5)
                ended.append(name)

        def body(n):
            with contextlib.ExitStack() as stack:
                for part in "ab":
                    stack.enter_context(span(f"{n}{part}"))
                with contextlib.suppress(LookupError):
                    raise LookupError

        run_together(*(lambda n=n: body(n) for n in range(2)))
        assert sorted(ended) == ["0a", "0b", "1a", "1b"]
        assert [name for name in ended if name[0] == "0"] == ["0b", "0a"]
        assert time.monotonic() == 2.0

    assert explore(program, schedules=200).verdict in {"passed", "exhausted"}


def draw_everything():
    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(random.random).result()
    return [
        elsewhere,
        random.random(),
        random.Random().random(),
        random.SystemRandom().random(),
        secrets.token_hex(8),
        secrets.choice(range(10**9)),
        str(uuid.uuid1()),
        str(uuid.uuid4()),
        tempfile.mktemp(),
    ]


def test_everything_random_is_seeded():
    """The same seed, the same draws; another seed, none of them; and the real generators go on as if nothing were."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first, again, other = (simulate(draw_everything, seed=seed).result() for seed in (1, 1, 2))
    assert random.random() == expected
    # The names of temporary files come from a generator that a process makes once.
    assert first[:-1] == again[:-1]
    assert not set(first[:-1]) & set(other[:-1])


def test_an_unseeded_generator_counts_as_chance():
    """A program that draws from a fresh generator has more executions than one, so it is not exhausted after one."""

    def program():
        return random.Random().random()

    report = explore(program, schedules=10)
    assert (report.verdict, report.schedules) == ("passed", 10)


@pytest.mark.parametrize("kind", ["lock", "rlock", "condition", "event", "semaphore"])
def test_objects_outlive_the_simulation(kind):
    """What was made inside works outside afterwards, as long as nobody has to wait."""

    def program():
        return {
            "lock": threading.Lock,
            "rlock": threading.RLock,
            "condition": threading.Condition,
            "event": threading.Event,
            "semaphore": threading.Semaphore,
        }[kind]()

    made = simulate(program).result()
    if kind == "event":
        assert not made.is_set()
        made.set()
        assert made.wait(1)
    else:
        with made:
            assert isinstance(made, object)
