"""The thread of an event loop by itself: on real threads, and simulated over many schedules."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref

import pytest

from routilux import runtime
from routilux.abc import Runtime
from routilux.schedulers.event_loop import BATCH, LoopThread

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


def test_a_post_while_the_thread_starts_is_not_overlooked():
    """It comes after the new thread has looked at its inbox, and before the thread is known to run."""

    class Slow(runtime.OsRuntime):
        def start_thread(self, target, name):
            started = super().start_thread(target, name)
            assert first.wait(PATIENCE)
            poster.start()
            while not loop._inbox:
                poster.join(0.001)
            return started

    first, second = threading.Event(), threading.Event()
    loop = LoopThread(Slow(), "loop")
    poster = threading.Thread(target=loop.post, args=(second.set,))
    loop.post(first.set)
    assert second.wait(PATIENCE)
    loop.close()
    assert loop.join(PATIENCE)
