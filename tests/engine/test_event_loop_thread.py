"""The thread of an event loop by itself: on real threads, and simulated over many schedules."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import time
import weakref

import pytest

from routilux import runtime
from routilux.abc import Runtime
from routilux.schedulers.event_loop import BATCH, LoopThread
from routilux_sim import simulate
from tests.exploring import explore

PATIENCE = 2.0
"""Real seconds for what takes microseconds."""


def thread_of(name="loop"):
    return LoopThread(runtime.current(), name)


@pytest.fixture
def thread():
    """A loop thread that has ended when the test has."""
    thread = thread_of()
    yield thread
    thread.close()
    assert thread.join(PATIENCE)


def call_in(thread, function, *args):
    """Call a function in a loop thread and wait for what it returns."""
    answer = []
    done = threading.Event()

    def call():
        answer.append(function(*args))
        done.set()

    thread.post(call)
    assert done.wait(PATIENCE)
    return answer[0]


def test_nothing_starts_before_the_first_post():
    """A loop thread that nobody needs costs no thread and no loop, and is closed and joined at once."""
    thread = thread_of()
    assert thread.loop is None
    assert not thread.is_current()
    thread.close()
    assert thread.join() is True


def test_callbacks_run_in_the_loop_in_order(thread):
    """Whatever is posted runs in one thread of that name, inside its loop, first come first served."""
    seen = []
    for number in range(3 * BATCH):
        thread.post(seen.append, number)
    assert call_in(thread, lambda: threading.current_thread().name) == "loop"
    assert seen == list(range(3 * BATCH))
    assert call_in(thread, asyncio.get_running_loop) is thread.loop
    assert call_in(thread, thread.is_current) is True
    assert thread.is_current() is False


def test_another_loop_is_not_this_one(thread):
    """Code in some other loop is not in this thread."""
    call_in(thread, int)

    async def elsewhere():
        return thread.is_current()

    assert asyncio.run(elsewhere()) is False


def test_the_loop_gets_a_turn_between_batches(thread):
    """A flood of posts does not keep the loop from its other callbacks."""
    order = []

    def flood():
        for number in range(5 * BATCH):
            thread.post(order.append, number)
        thread.loop.call_soon(order.append, "loop")

    call_in(thread, flood)
    call_in(thread, int)
    assert order.index("loop") <= 2 * BATCH
    assert [number for number in order if number != "loop"] == list(range(5 * BATCH))


def test_a_callback_that_raises_is_logged_and_the_next_one_runs(thread, caplog):
    """An error is told to the logger ``routilux``; the loop goes on."""
    with caplog.at_level(logging.ERROR, logger="routilux"):
        thread.post(lambda: 1 / 0)
        assert call_in(thread, lambda: "next") == "next"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("how", ["callback", "task"])
def test_an_exception_that_ends_programs_does_not_end_the_loop(thread, caplog, error, how):
    """What is posted after it runs, what was running goes on, and the loop is the same."""

    async def sleeper():
        await asyncio.sleep(0)
        return "slept"

    def fail():
        raise error

    async def failing():
        fail()

    loop = call_in(thread, asyncio.get_running_loop)
    task = call_in(thread, lambda: loop.create_task(sleeper()))
    failed = [loop] if how == "callback" else call_in(thread, lambda: [loop.create_task(failing())])
    if how == "callback":
        thread.post(fail)
        thread.post(int)
    assert call_in(thread, asyncio.get_running_loop) is loop
    waited = asyncio.run_coroutine_threadsafe(asyncio.wait_for(task, PATIENCE), loop)
    assert waited.result(PATIENCE) == "slept"
    if how == "task":
        assert isinstance(failed[0].exception(), error)


def test_closing_lets_everything_posted_run_first():
    """Posts before `close` run, posts made by them run too, and then the thread is gone and the loop closed."""
    seen = []
    thread = thread_of()
    loops = []

    def grow(depth):
        seen.append(depth)
        loops.append(thread.loop)
        if depth < 5:
            thread.post(grow, depth + 1)

    thread.post(grow, 0)
    thread.close()
    assert thread.join(PATIENCE) is True
    assert seen == list(range(6))
    assert all(loop.is_closed() for loop in loops)
    assert thread.loop is None


def test_closing_cancels_and_awaits_what_is_left():
    """Tasks are cancelled and end in their own time, asynchronous generators are closed."""
    seen = []
    thread = thread_of()

    async def serve():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("task")
            raise

    async def generate():
        try:
            yield
        finally:
            seen.append("generator")

    kept = []

    async def start():
        kept.append(thread.loop.create_task(serve()))
        generator = generate()
        kept.append(generator)
        await anext(generator)

    thread.post(lambda: kept.append(thread.loop.create_task(start())))
    call_in(thread, int)
    while len(kept) < 3:
        call_in(thread, int)
    thread.close()
    assert thread.join(PATIENCE)
    assert seen == ["task", "generator"]


def test_a_task_that_fails_on_being_cancelled_does_not_keep_the_loop(caplog):
    """Its error is logged, and the thread ends."""
    thread = thread_of()

    async def stubborn():
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("no end")

    kept = []

    def start():
        kept.append(thread.loop.create_task(stubborn()))

    call_in(thread, start)
    call_in(thread, int)
    thread.close()
    assert thread.join(PATIENCE)
    assert "no end" in caplog.text


def test_a_post_after_the_end_runs():
    """A closed loop thread comes back for what arrives late, and ends again: nothing posted is lost."""
    thread = thread_of()
    thread.post(int)
    thread.close()
    assert thread.join(PATIENCE)
    assert call_in(thread, lambda: "late") == "late"
    assert thread.join(PATIENCE)
    assert thread.loop is None


class NoThreads(Runtime):
    """The runtime at hand, in a system that has nothing left to give."""

    lock = monotonic_ns = None
    wall_time = thread_name = new_id = at_exit = None

    def __init__(self, files=True):
        self._inner = runtime.current()
        self.lock, self.monotonic_ns = self._inner.lock, self._inner.monotonic_ns
        self._files = files
        self.loops = []

    def new_event_loop(self):
        if not self._files:
            raise OSError("too many open files")
        self.loops.append(self._inner.new_event_loop())
        return self.loops[-1]

    def start_thread(self, target, name):
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(("files", "words"), [(True, "can't start new thread"), (False, "too many open files")])
def test_a_thread_that_cannot_be_started_calls_nothing(files, words):
    """The poster gets a RuntimeError; its callback is forgotten, and no loop is left open."""
    scarce = NoThreads(files)
    thread = LoopThread(scarce, "loop")
    called = []
    for _ in range(2):
        with pytest.raises(RuntimeError, match=words):
            thread.post(called.append, 1)
    assert all(loop.is_closed() for loop in scarce.loops)
    assert thread.join() is True
    scarce.start_thread = scarce._inner.start_thread
    scarce._files = True
    assert call_in(thread, lambda: list(called)) == []
    thread.close()
    assert thread.join(PATIENCE)


def test_an_idle_thread_keeps_nothing_of_what_was_posted(thread):
    """Once it has been called, neither the callback nor its arguments nor their context live on in a frame."""

    class Thing:
        def use(self, other):
            pass

    variable = contextvars.ContextVar("variable")
    things = [Thing(), Thing(), Thing()]
    references = [weakref.ref(thing) for thing in things]
    variable.set(things[2])
    thread.post(things[0].use, things[1])
    variable.set(None)
    call_in(thread, int)
    del things
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_callbacks_do_not_see_the_variables_of_who_woke_the_loop(thread):
    """What is posted runs in the loop's own context, whoever posted it."""
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    assert call_in(thread, variable.get) == "none"


def test_close_may_be_called_by_a_finalizer():
    """Dropping what owns the thread ends it, wherever the collector runs."""

    class Owner:
        def __init__(self):
            self.thread = thread_of()
            weakref.finalize(self, self.thread.close)

    owner = Owner()
    call_in(owner.thread, int)
    thread = owner.thread
    del owner
    gc.collect()
    assert thread.join(PATIENCE)


def test_joining_gives_up_in_time(thread):
    """A thread that is not closed is not joined."""
    call_in(thread, int)
    assert thread.join(0.01) is False


def test_posts_from_many_threads_all_run(thread):
    """On real threads: each post of several threads runs exactly once, each thread's in its order."""
    seen = []
    posters = [
        threading.Thread(target=lambda k=k: [thread.post(seen.append, (k, n)) for n in range(1000)]) for k in range(4)
    ]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    call_in(thread, int)
    for k in range(4):
        assert [n for poster, n in seen if poster == k] == list(range(1000))
    assert len(seen) == 4000


def test_no_post_is_lost_while_another_one_starts_the_thread():
    """A post that finds the thread being started, after the new loop has looked at its inbox, wakes it."""
    called, done = [], threading.Event()

    def call(n):
        called.append(n)
        if len(called) == 2:
            done.set()

    class Slow(runtime.OsRuntime):
        def start_thread(self, target, name):
            thread = super().start_thread(target, name)
            while loop_thread._inbox:
                time.sleep(0.001)
            other.start()
            while not loop_thread._inbox:
                time.sleep(0.001)
            return thread

    loop_thread = LoopThread(Slow(), "loop")
    other = threading.Thread(target=loop_thread.post, args=(call, 2))
    loop_thread.post(call, 1)
    assert done.wait(10.0)
    other.join()
    loop_thread.close()
    assert loop_thread.join(10.0)
    assert called == [1, 2]


# Simulated


def note_time(seen):
    seen.append(time.monotonic())


def test_no_post_is_lost():
    """Whatever the interleaving: each post is called once, each poster's in order, without anybody closing."""

    def program():
        seen = []
        thread = thread_of()
        done = threading.Semaphore(0)

        def see(poster, number):
            seen.append((poster, number))
            done.release()

        def post(poster):
            for number in range(3):
                thread.post(see, poster, number)

        posters = [threading.Thread(target=post, args=(name,)) for name in "ab"]
        for poster in posters:
            poster.start()
        thread.post(see, "c", 0)
        for _ in range(7):
            done.acquire()
        for name in "ab":
            assert [number for poster, number in seen if poster == name] == [0, 1, 2]
        assert len(seen) == 7
        thread.close()
        assert thread.join() is True
        for poster in posters:
            poster.join()
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=1000).raise_if_failed()


def test_a_post_while_the_thread_is_being_started_wakes_it():
    """The loop may have gone to sleep before whoever started its thread has noted that it runs."""

    def program():
        scarce = NoThreads()
        thread = LoopThread(scarce, "loop")

        def start_slowly(target, name):
            started = scarce._inner.start_thread(target, name)
            time.sleep(1)
            return started

        scarce.start_thread = start_slowly
        seen = []

        def post_meanwhile():
            time.sleep(0.5)
            thread.post(note_time, seen)

        poster = threading.Thread(target=post_meanwhile)
        poster.start()
        thread.post(note_time, seen)
        poster.join()
        time.sleep(1)
        assert seen == [0.0, 1.0]
        thread.close()
        assert thread.join()

    explore(program, schedules=100).raise_if_failed()


def test_a_post_to_a_sleeping_loop_wakes_it():
    """Posts that come one by one, with a loop that has gone to sleep in between, are each called at once."""

    def program():
        seen = []
        thread = thread_of()
        for second in range(3):
            thread.post(note_time, seen)
            time.sleep(1)
            assert seen == [float(n) for n in range(second + 1)]
        thread.close()
        assert thread.join()
        assert time.monotonic() == 3.0

    explore(program, schedules=300).raise_if_failed()


def test_posts_beside_closing_all_run_and_the_thread_ends():
    """Posts before, during and after `close`, from several threads: all are called, and nothing stays running."""

    def program():
        seen = []
        thread = thread_of()
        others = [
            threading.Thread(target=thread.post, args=(seen.append, 1)),
            threading.Thread(target=thread.close),
            threading.Thread(target=thread.post, args=(seen.append, 2)),
        ]
        for other in others:
            other.start()
        thread.post(thread.post, seen.append, 3)
        for other in others:
            other.join()
        assert thread.join() is True
        assert sorted(seen) == [1, 2, 3]
        assert thread.loop is None
        assert threading.enumerate() == [threading.main_thread()]

    explore(program, schedules=2000).raise_if_failed()


@pytest.mark.parametrize("steps", range(0, 60, 4))
def test_a_post_is_not_lost_however_far_the_end_has_come(steps):
    """A post that falls into any moment of the thread's winding up is called, by the thread or by the next."""

    def program():
        seen = []
        thread = thread_of()
        thread.post(int)

        def post_late():
            for _ in range(steps):
                time.sleep(0)
            thread.post(seen.append, 1)

        poster = threading.Thread(target=post_late)
        poster.start()
        thread.close()
        poster.join()
        assert thread.join()
        assert seen == [1]

    explore(program, schedules=200).raise_if_failed()


def test_a_post_while_the_last_tasks_end_is_called():
    """The loop still listens while it waits for cancelled tasks."""

    def program():
        thread = thread_of()
        asked = asyncio.Event()
        seen = []

        async def ask():
            try:
                await asyncio.sleep(100)
            finally:
                await asked.wait()
                seen.append(time.monotonic())

        kept = []
        thread.post(lambda: kept.append(thread.loop.create_task(ask())))
        time.sleep(1)
        thread.close()
        time.sleep(1)
        thread.post(asked.set)
        assert thread.join()
        assert seen == [2.0]

    explore(program, schedules=100).raise_if_failed()


def test_only_one_loop_at_a_time_runs_what_is_posted():
    """A thread that ends and the one that comes after it do not overlap."""

    def program():
        busy = threading.Lock()
        seen = []

        def work():
            assert busy.acquire(blocking=False)
            time.sleep(0)
            busy.release()
            seen.append(1)

        thread = thread_of()
        thread.close()
        posters = [threading.Thread(target=thread.post, args=(work,)) for _ in range(3)]
        for poster in posters:
            poster.start()
        for poster in posters:
            poster.join()
        assert thread.join()
        assert seen == [1, 1, 1]

    explore(program, schedules=1000).raise_if_failed()


def test_a_burst_of_posts_wakes_the_loop_once():
    """However many are posted to a sleeping loop before it gets its turn, one call into it is on its way."""

    def program():
        thread = thread_of()
        thread.post(int)
        time.sleep(1)
        calls = []
        loop = thread.loop
        call = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args, **kwargs: calls.append(1) or call(*args, **kwargs)
        for _ in range(50):
            thread.post(int)
        del loop.call_soon_threadsafe
        thread.close()
        assert thread.join()
        return len(calls)

    assert simulate(program, strategy="fifo").result() == 1


def test_coroutines_take_virtual_time_and_are_cancelled_on_closing():
    """Tasks that callbacks start sleep to the nanosecond, and one that is left when the thread closes is cancelled."""

    def program():
        seen = []
        thread = thread_of()

        async def nap(seconds):
            try:
                await asyncio.sleep(seconds)
                seen.append(time.monotonic())
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                seen.append(("cancelled", time.monotonic()))
                raise

        kept = []
        for seconds in (0.25, 0.1, 100):
            thread.post(lambda seconds=seconds: kept.append(thread.loop.create_task(nap(seconds))))
        time.sleep(1)
        thread.close()
        assert thread.join()
        assert seen == [0.1, 0.25, ("cancelled", 1.5)]

    explore(program, schedules=200).raise_if_failed()


def test_posters_to_a_thread_that_cannot_start_all_hear_of_it():
    """Each gets its RuntimeError, and nothing of theirs is called when the thread can start after all."""

    def program():
        scarce = NoThreads()
        thread = LoopThread(scarce, "loop")
        called, raised = [], []

        def post(number):
            try:
                thread.post(called.append, number)
            except RuntimeError:
                raised.append(number)

        posters = [threading.Thread(target=post, args=(number,)) for number in range(3)]
        for poster in posters:
            poster.start()
        scarce.start_thread = scarce._inner.start_thread
        for poster in posters:
            poster.join()
        thread.post(int)
        thread.close()
        assert thread.join()
        assert sorted(called + raised) == [0, 1, 2]
        outcomes.add(bool(raised))

    outcomes = set()
    explore(program, schedules=500).raise_if_failed()
    assert outcomes == {True, False}


def test_a_program_that_ends_without_closing_makes_no_noise():
    """The thread is a daemon's: it neither keeps the program nor complains."""

    def program():
        thread = thread_of()
        thread.post(lambda: thread.loop.create_task(asyncio.sleep(1000)))
        time.sleep(1)

    assert simulate(program).verdict == "passed"


def test_the_same_in_both_worlds():
    """The order of what is called, and what is told, is the same on real threads and simulated."""

    def program():
        order = []
        thread = thread_of()

        def grow(name):
            order.append((name, thread.is_current()))
            if len(name) < 4:
                thread.post(grow, name + "l")
                thread.loop.call_soon(grow, name + "s")
            if len(order) == 31:
                thread.close()

        thread.post(grow, "")
        return thread.join(PATIENCE), order, thread.is_current()

    real = program()
    assert {repr(simulate(program, seed=seed).result()) for seed in range(20)} == {repr(real)}
