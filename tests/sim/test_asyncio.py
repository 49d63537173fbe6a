"""asyncio in the simulated world: real loops' semantics, virtual time, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import random
import signal
import sys
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim_helpers import assert_as_on_threads, ids, outcomes, run_threads

from routilux_sim import EscapeError, SimScheduler, SimulationError, explore, simulate

NEEDS_EAGER_TASKS = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")


def thread_state():
    """What the interpreter keeps for the calling thread, that loops change."""
    return asyncio._get_running_loop(), sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth()


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch, caplog):
    """No loop, hook, warning, log line or unraisable exception survives a simulation."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    before = thread_state()
    policy = asyncio.get_event_loop_policy()
    yield
    gc.collect()
    assert thread_state() == before
    assert asyncio.get_event_loop_policy() is policy
    assert unraisable == []
    assert caplog.get_records("call") == []


# Time


def test_sleeping_takes_exactly_its_time(no_real_waiting):
    """A tenth of a second is a hundred million nanoseconds, every time."""

    async def main():
        for number in range(1, 50):
            await asyncio.sleep(0.1)
            assert time.monotonic_ns() == number * 100_000_000
            assert asyncio.get_running_loop().time() == number / 10

    assert simulate(lambda: asyncio.run(main())).result() is None


@pytest.mark.parametrize("seconds", [1e-9, 3e-10, 5e-10, 1e-7, 0.001, 1 / 3, 86_400.5, 200_000.25])
def test_every_delay_comes_to_an_end_at_its_nanosecond(seconds, no_real_waiting):
    """Below a nanosecond, and beyond the day at which asyncio cuts its waits short."""

    def program():
        began = time.monotonic_ns()
        asyncio.run(asyncio.sleep(seconds))
        return time.monotonic_ns() - began

    assert simulate(program, max_steps=1000).result() == pytest.approx(seconds * 1e9, abs=0.5)


@pytest.mark.parametrize("days", [1, 26, 100, 1000, 3600])
def test_no_timer_is_lost_late_in_a_long_execution(days, no_real_waiting):
    """Where floating-point seconds no longer hold nanoseconds, timers are at most a microsecond off, and all fire."""

    def program():
        time.sleep(days * 86_400 + 1 / 3)
        began = time.monotonic_ns()
        for _ in range(100):
            asyncio.run(asyncio.sleep(0.0001234567))
        return time.monotonic_ns() - began

    assert simulate(program, max_steps=10_000).result() == pytest.approx(100 * 123_456.7, abs=100_000)


def trees():
    """Nested sleeps, in nanoseconds: one after the other, side by side, and cut short in two ways."""
    nanoseconds = st.one_of(st.integers(0, 5), st.integers(0, 3_000_000_000))
    sleep = st.tuples(st.just("sleep"), nanoseconds)
    return st.recursive(
        sleep,
        lambda inner: st.one_of(
            st.tuples(st.just("then"), st.lists(inner, max_size=3)),
            st.tuples(st.just("gather"), st.lists(inner, max_size=3)),
            st.tuples(st.just("group"), st.lists(inner, max_size=3)),
            st.tuples(st.just("timeout"), nanoseconds, inner),
            st.tuples(st.just("wait_for"), nanoseconds, inner),
        ),
        max_leaves=12,
    )


def duration(tree):
    """How long a tree takes, by hand."""
    match tree:
        case ("sleep", nanoseconds):
            return nanoseconds
        case ("then", parts):
            return sum(map(duration, parts))
        case ("gather" | "group", parts):
            return max(map(duration, parts), default=0)
        case (_, limit, inner):
            return min(limit, duration(inner))


async def grow(tree):
    """Run a tree."""
    match tree:
        case ("sleep", nanoseconds):
            await asyncio.sleep(nanoseconds / 1e9)
        case ("then", parts):
            for part in parts:
                await grow(part)
        case ("gather", parts):
            await asyncio.gather(*map(grow, parts))
        case ("group", parts):
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(grow(part))
        case ("timeout", limit, inner):
            with suppress(TimeoutError):
                async with asyncio.timeout(limit / 1e9):
                    await grow(inner)
        case ("wait_for", limit, inner):
            with suppress(TimeoutError):
                await asyncio.wait_for(grow(inner), limit / 1e9)


@given(st.lists(trees(), min_size=1, max_size=3), st.integers(0, 100))
def test_trees_of_waits_take_the_time_computed_by_hand(forest, seed):
    """Each of several loops in threads of their own takes to the nanosecond what its tree says."""

    def program():
        took = {}

        def run(number, tree):
            asyncio.run(grow(tree))
            took[number] = time.monotonic_ns()

        run_threads(*(lambda number=number, tree=tree: run(number, tree) for number, tree in enumerate(forest)))
        return [took[number] for number in range(len(forest))]

    assert simulate(program, seed=seed).result() == [duration(tree) for tree in forest]


def test_two_loops_in_two_threads_keep_their_own_time(no_real_waiting):
    """Whatever the interleaving, each loop's timers come when they are due."""

    def program():
        ends = {}

        async def tick(delay, count):
            for _ in range(count):
                await asyncio.sleep(delay)
            ends[delay] = time.monotonic_ns()

        run_threads(lambda: asyncio.run(tick(0.1, 7)), lambda: asyncio.run(tick(0.3, 5)))
        assert ends == {0.1: 700_000_000, 0.3: 1_500_000_000}

    explore(program, schedules=200).raise_if_failed()


def test_waiting_without_end_for_the_clock_reaches_a_limit():
    """A coroutine that only yields until some time has passed is given up, as a thread that does so is."""

    async def spin():
        while asyncio.get_running_loop().time() < 1:
            await asyncio.sleep(0)

    async def spin_inside():
        while asyncio.get_running_loop().time() < 1:
            pass

    for main in (spin, spin_inside):
        assert simulate(lambda main=main: asyncio.run(main()), max_steps=1000).verdict == "inconclusive"


def test_yielding_lets_other_threads_run():
    """A coroutine that yields until another thread has done something sees it done, under any strategy."""

    def program():
        done = []

        async def main():
            thread = threading.Thread(target=lambda: done.append(True))
            thread.start()
            while not done:
                await asyncio.sleep(0)

        asyncio.run(main())

    assert simulate(program, strategy="fifo", max_steps=1000).verdict == "passed"
    explore(program, schedules=50).raise_if_failed()


# The same on real threads and simulated


def timeouts():
    async def main():
        said = []
        for patience in (0.001, 5):
            try:
                said.append(await asyncio.wait_for(asyncio.sleep(0.005, "slept"), patience))
            except TimeoutError:
                said.append("late")
        async with asyncio.timeout(None):
            said.append(await asyncio.sleep(0, "at once"))
        return said

    return asyncio.run(main())


def queues_and_events():
    async def main():
        box = asyncio.Queue(1)
        gone = asyncio.Event()
        got = []

        async def take():
            while (item := await box.get()) is not None:
                got.append(item)
            gone.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            for item in (1, 2, 3, None):
                await box.put(item)
            await gone.wait()
        return got

    return asyncio.run(main())


def threads_for_blocking_calls():
    variable = contextvars.ContextVar("variable")

    def block(number):
        time.sleep(0.001 * number)
        return number, variable.get(), threading.current_thread() is threading.main_thread()

    async def main():
        variable.set("seen")
        loop = asyncio.get_running_loop()
        plain = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        return plain, await asyncio.gather(*(asyncio.to_thread(block, number) for number in (3, 1, 2)))

    return asyncio.run(main())


def coroutines_from_other_threads():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def add(a, b):
        await asyncio.sleep(0.001)
        return a + b, asyncio.get_running_loop() is loop

    futures = [asyncio.run_coroutine_threadsafe(add(number, 1), loop) for number in range(3)]
    results = [future.result() for future in futures]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return results


def a_runner_twice():
    order = []

    async def main():
        order.append(asyncio.current_task().get_name() != "")
        return await asyncio.sleep(0.001, len(order))

    with asyncio.Runner() as runner:
        first = runner.get_loop()
        return [runner.run(main()), runner.run(main()), runner.get_loop() is first]


def as_they_complete():
    async def main():
        delays = (0.012, 0.001, 0.006)
        return [await future for future in asyncio.as_completed([asyncio.sleep(delay, delay) for delay in delays])]

    return asyncio.run(main())


def leftovers_are_cancelled():
    order = []

    async def serve(number):
        try:
            await asyncio.Event().wait()
        finally:
            order.append(number)

    async def generate():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            order.append("generator")

    async def main():
        kept = [asyncio.create_task(serve(0))]
        generator = generate()
        await anext(generator)
        await asyncio.sleep(0)
        return kept, generator

    asyncio.run(main())
    return order


def running_loops_of_threads():
    """A coroutine that blocks its thread: another thread has no running loop, and can run one of its own."""

    def other():
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            said.append(str(error))
        asyncio.run(asyncio.sleep(0.001))

    async def main():
        said.append(asyncio.get_running_loop().is_running())
        run_threads(other)
        said.append(asyncio.get_running_loop().is_running())

    said = []
    asyncio.run(main())
    return said


def current_loops_of_threads():
    def ask():
        try:
            return asyncio.get_event_loop_policy().get_event_loop() is loop
        except RuntimeError as error:
            return str(error)

    said = []
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    said.append(ask())
    thread = threading.Thread(target=lambda: said.append(ask()), name="other")
    thread.start()
    thread.join()
    loop.close()
    asyncio.set_event_loop(None)
    said.append(ask())
    return said


def nested_running_is_refused():
    async def main():
        coroutine = asyncio.sleep(0)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    asyncio.run(main())


def failures_come_through():
    async def fail(number):
        await asyncio.sleep(0.001 * number)
        raise ValueError(number)

    async def main():
        return [str(error) for error in await asyncio.gather(*map(fail, range(3)), return_exceptions=True)]

    said = asyncio.run(main())
    try:
        asyncio.run(fail(7))
    except ValueError as error:
        said.append(str(error))
    return said


PROGRAMS = [
    timeouts,
    queues_and_events,
    threads_for_blocking_calls,
    coroutines_from_other_threads,
    a_runner_twice,
    as_they_complete,
    leftovers_are_cancelled,
    running_loops_of_threads,
    current_loops_of_threads,
    nested_running_is_refused,
    failures_come_through,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=ids(PROGRAMS))
def test_a_program_comes_to_the_same_as_on_real_threads(program):
    """Whatever a program does with asyncio, it sees the same in every simulated schedule as in reality."""
    assert_as_on_threads(program)


@NEEDS_EAGER_TASKS
def test_eager_tasks_run_at_once():
    """With the eager factory, a task runs before `create_task` returns, and is the current one meanwhile."""

    async def child(order):
        order.append(asyncio.current_task())
        await asyncio.sleep(1)
        return time.monotonic()

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        order = []
        task = asyncio.create_task(child(order))
        assert order == [task]
        assert asyncio.current_task() is not task
        return await task

    assert simulate(lambda: asyncio.run(main())).result() == 1.0


def test_a_task_factory_of_the_programs_is_used():
    """A factory gets each coroutine, and its tasks get their names."""

    async def main():
        loop = asyncio.get_running_loop()
        made = []
        loop.set_task_factory(lambda loop, coro, **kw: made.append(asyncio.Task(coro, loop=loop, **kw)) or made[-1])
        task = asyncio.create_task(asyncio.sleep(1, "slept"), name="mine")
        return await task, made == [task], task.get_name()

    assert simulate(lambda: asyncio.run(main())).result() == ("slept", True, "mine")


# Determinism


def busy():
    async def child(number):
        try:
            await asyncio.sleep(number % 3)
            await asyncio.to_thread(time.sleep, number % 2)
            await asyncio.Event().wait()
        finally:
            order.append(asyncio.current_task().get_name())

    async def generate(number):
        try:
            yield number
        finally:
            order.append(number)

    async def main():
        loop = asyncio.get_running_loop()
        for number in range(40):
            # Far apart, so that in a table of their size they are in each other's way.
            gaps = [loop.create_future() for _ in range(random.randrange(200))]
            kept.append(asyncio.create_task(child(number)))
            kept.append(generate(number))
            await anext(kept[-1])
            del gaps
        done, _ = await asyncio.wait([asyncio.create_task(asyncio.sleep(1, n)) for n in range(20)])
        order.extend(task.result() for task in done)
        order.extend([await each for each in asyncio.as_completed([asyncio.sleep(0, n) for n in range(20)])])
        await asyncio.sleep(2)
        order.extend(task.get_name() for task in asyncio.all_tasks())

    order, kept = [], []
    asyncio.run(main())
    return order


def test_the_same_seed_gives_the_same_log():
    """Byte for byte, and so are the order of sets, of cancelling at the end, and the names of tasks."""

    async def in_a_crowd(size):
        # Other addresses, and another size of the table that asyncio keeps of all tasks.
        others = [asyncio.create_task(asyncio.sleep(0)) for _ in range(size)]
        execution = simulate(busy, seed=5)
        await asyncio.gather(*others)
        return execution

    first = simulate(busy, seed=5)
    assert first.verdict == "passed"
    for size in (1, 500, 1000, 5000):
        again = asyncio.run(in_a_crowd(size))
        assert again.value == first.value
        assert again.log_bytes() == first.log_bytes()


def test_another_seed_gives_another_interleaving():
    """Threads that call into a loop come in any order."""

    def program():
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            calls = [lambda n=n: loop.call_soon_threadsafe(order.append, n) for n in "ab"]
            await asyncio.to_thread(run_threads, *calls)

        asyncio.run(main())
        return "".join(order)

    assert outcomes(program, 100) == {"ab", "ba"}


def test_replays_hold():
    """A recorded schedule runs again to the same end."""
    from routilux_sim import replay  # noqa: PLC0415 - beside what it replays

    first = simulate(busy, seed=11)
    assert replay(busy, first.schedule).value == first.value


# What it finds


def test_a_call_that_does_not_wake_the_loop_is_found():
    """``call_soon`` from another thread, where ``call_soon_threadsafe`` is needed: the loop sleeps on."""

    def program():
        async def main():
            loop = asyncio.get_running_loop()
            called = asyncio.Event()
            threading.Thread(target=lambda: loop.call_soon(called.set)).start()
            await called.wait()

        asyncio.run(main())

    report = explore(program, schedules=100)
    assert (report.verdict, report.failure.kind) == ("failed", "deadlock")
    assert "waits to be called in EventLoop-1 (made at " in str(report.failure.exception)
    assert __file__ in str(report.failure.exception)


def test_a_race_between_coroutine_and_thread_is_found():
    """A lock taken by a thread and by a coroutine that awaits while it has it: deadlock."""

    def program():
        lock = threading.Lock()

        async def main():
            async def holder():
                with lock:
                    await asyncio.sleep(0)

            await asyncio.gather(holder(), holder())

        asyncio.run(main())

    execution = simulate(program)
    assert execution.kind == "deadlock"


# What is not simulated


async def connect(loop):
    await asyncio.open_connection("localhost", 1)


async def serve(loop):
    await asyncio.start_server(print, "localhost", 0)


async def resolve(loop):
    await loop.getaddrinfo("localhost", 1)


async def run_process(loop):
    await asyncio.create_subprocess_exec("true")


async def run_shell(loop):
    await asyncio.create_subprocess_shell("true")


async def watch(loop):
    loop.add_reader(0, print)


async def receive(loop):
    await loop.sock_recv(None, 1)


async def handle_signals(loop):
    loop.add_signal_handler(signal.SIGUSR1, print)


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (connect, "create_connection()"),
        (serve, "create_server()"),
        (resolve, "getaddrinfo()"),
        (run_process, "subprocess_exec()"),
        (run_shell, "subprocess_shell()"),
        (watch, "add_reader()"),
        (receive, "sock_recv()"),
        (handle_signals, "add_signal_handler()"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_real_input_and_output_is_never_a_pass(use, named):
    """The verdict is ``inconclusive`` and names what escaped, even if the program catches everything."""

    async def main():
        try:
            await use(asyncio.get_running_loop())
        except BaseException:  # noqa: BLE001 - as careless programs do
            return

    execution = simulate(lambda: asyncio.run(main()))
    assert execution.verdict == "inconclusive"
    assert isinstance(execution.error, EscapeError)
    assert f"{named} of an asyncio event loop is not simulated" in str(execution.error)


def test_a_real_loop_made_inside_escapes():
    """Who insists on a loop of the system's gets an inconclusive run, not a wait on two clocks."""
    made = []

    def program():
        made.append(asyncio.SelectorEventLoop())
        made[0].run_forever()

    execution = simulate(program)
    made[0].close()
    assert isinstance(execution.error, EscapeError)


def test_a_real_thread_cannot_call_into_a_simulated_loop():
    """It gets an error; the simulation cannot wait for it."""
    loops, raised, tried = [], [], []

    def beside():
        while not loops:
            pass
        try:
            loops[0].call_soon_threadsafe(print)
        except SimulationError as error:
            raised.append(str(error))
        tried.append(True)

    thread = threading.Thread(target=beside)
    thread.start()

    def program():
        loops.append(asyncio.new_event_loop())
        while not tried:
            pass

    assert simulate(program).verdict == "passed"
    thread.join()
    assert "called from a real thread" in raised[0]


def test_a_simulated_loop_does_not_run_outside():
    """After the simulation it is closed."""
    loop = simulate(asyncio.new_event_loop).value
    assert loop.is_closed()
    coroutine = asyncio.sleep(1)
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_until_complete(coroutine)
    coroutine.close()


# The world around


def test_a_simulation_in_a_running_loop_has_its_own():
    """Called from a coroutine of a real loop, a program sees none, can run one, and the real one goes on."""

    def program():
        assert thread_state() == (None, (None, None), 0)
        return asyncio.run(asyncio.sleep(1, "simulated"))

    async def main():
        before = thread_state()
        assert before[0] is not None
        assert simulate(program).result() == "simulated"
        assert explore(program, schedules=3).verdict == "exhausted"
        assert thread_state() == before
        return await asyncio.sleep(0, "real")

    assert asyncio.run(main()) == "real"


def test_a_scheduler_keeps_its_loops_between_calls():
    """A loop in a thread of a `SimScheduler` stays while the caller is outside, and goes on afterwards."""
    ticks = []

    async def tick():
        while True:
            await asyncio.sleep(1)
            ticks.append(time.monotonic())

    with SimScheduler(seed=3) as scheduler:

        def start():
            threading.Thread(target=lambda: asyncio.run(tick()), daemon=True).start()
            time.sleep(2.5)

        def go_on():
            time.sleep(1)

        scheduler.run(start)
        assert thread_state()[0] is None
        assert asyncio.run(asyncio.sleep(0, "outside")) == "outside"
        scheduler.run(go_on)
        assert ticks == [1.0, 2.0, 3.0]


def test_generators_belong_to_the_loop_of_their_thread():
    """Two loops take turns; each closes the asynchronous generators that were begun in it, and no others."""

    def program():
        closed = []

        async def generate(name):
            try:
                while True:
                    yield name
            finally:
                closed.append((name, threading.current_thread().name, time.monotonic()))

        async def main(name, delay):
            generator = generate(name)
            await anext(generator)
            await asyncio.sleep(delay)
            kept.append(generator)

        kept = []
        names = ("a", "b")
        threads = [
            threading.Thread(target=lambda n=n, d=d: asyncio.run(main(n, d)), name=n) for d, n in enumerate(names, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return closed

    def check():
        assert program() == [("a", "a", 1.0), ("b", "b", 2.0)]

    explore(check, schedules=50).raise_if_failed()


@pytest.mark.parametrize("where", ["main", "thread"])
def test_signals_are_as_they_were(where):
    """`asyncio.run` in the main thread leaves the handler of Ctrl-C alone, or puts it back."""

    def program():
        async def main():
            seen.append(signal.getsignal(signal.SIGINT))

        run = lambda: asyncio.run(main())  # noqa: E731 - as short as it says
        seen = [signal.getsignal(signal.SIGINT)]
        run() if where == "main" else run_threads(run)
        seen.append(signal.getsignal(signal.SIGINT))
        return len(set(seen))

    before = signal.getsignal(signal.SIGINT)
    assert simulate(program).result() == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_a_simulation_in_its_loop():
    """Whatever the coroutines make of it."""

    async def main():
        signal.raise_signal(signal.SIGINT)
        while True:
            try:
                await asyncio.sleep(1)
            except BaseException:
                if time.monotonic() > 100:
                    raise

    with pytest.raises(KeyboardInterrupt):
        simulate(lambda: asyncio.run(main()))


def test_debug_mode_is_harmless():
    """It reports a callback that took long in virtual time, and says where things were made."""

    async def main():
        time.sleep(1)
        await asyncio.sleep(1)
        assert asyncio.get_running_loop().get_debug()
        assert "aio.py" not in repr(asyncio.current_task())
        return time.monotonic()

    logger = logging.getLogger("asyncio")
    records = []
    logger.addFilter(records.append)
    try:
        assert simulate(lambda: asyncio.run(main(), debug=True)).result() == 2.0
    finally:
        logger.removeFilter(records.append)
    assert "took 1.000 seconds" in records[0].getMessage()


# Ends


def in_a_daemon(main):
    """A program whose main coroutine runs in a daemon thread until the program ends, three seconds later."""

    def program():
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        time.sleep(3)

    return program


def test_coroutines_that_are_left_end_in_the_simulated_world():
    """Their ``finally`` blocks run in virtual time and inside their loop, in the order in which they were made."""
    seen, kept = [], []

    async def serve(number):
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append((number, time.monotonic(), asyncio.get_running_loop().is_closed()))
            time.sleep(3600)
            seen.append("never")

    def program():
        loop = asyncio.new_event_loop()
        kept.extend(loop.create_task(serve(number)) for number in range(12))
        threading.Thread(target=loop.run_forever, daemon=True).start()
        time.sleep(3)

    assert simulate(program).verdict == "passed"
    assert seen == [(number, 3.0, False) for number in range(12)]


def test_a_daemons_run_is_unwound():
    """A loop that is run in a daemon thread cancels its tasks when the program ends under it."""
    seen = []

    async def child():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append(time.monotonic())
            raise

    async def main():
        task = asyncio.create_task(child())
        await asyncio.sleep(1000)
        await task

    assert simulate(in_a_daemon(main)).verdict == "passed"
    assert seen == [3.0]


async def never_started():
    asyncio.get_running_loop().create_task(asyncio.sleep(1))
    threading.Event().wait()


async def blocked():
    time.sleep(1000)


async def blocked_in_a_child():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1000))
        group.create_task(blocked())


async def waiting_for_a_thread():
    await asyncio.to_thread(threading.Event().wait)


async def iterating():
    async def generate():
        try:
            while True:
                yield await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)

    async for _ in generate():
        pass


LEFT = [never_started, blocked, blocked_in_a_child, iterating]


@pytest.mark.parametrize("main", LEFT, ids=ids(LEFT))
def test_what_is_left_makes_no_noise(main):
    """No warning, no log line, no complaint about destroyed tasks, wherever the end finds the loop."""
    assert simulate(in_a_daemon(main)).verdict == "passed"
    assert explore(in_a_daemon(main), schedules=5).verdict in {"passed", "exhausted"}


def test_an_executor_is_waited_for():
    """A call that never returns in a loop's executor keeps the program, as in reality: a deadlock, and no noise."""
    assert simulate(in_a_daemon(waiting_for_a_thread)).kind == "deadlock"


def test_loops_that_are_forgotten_make_no_noise():
    """A loop that nobody closes is closed when the execution is over, with what was scheduled in it."""

    def program():
        loop = asyncio.new_event_loop()
        kept.append(loop.create_task(asyncio.sleep(1)))
        loop.call_later(1, print)
        return loop

    kept = []
    assert simulate(program).value.is_closed()


def test_a_loop_closed_over_pending_tasks_makes_no_noise():
    """Nor does one that is closed by the program while tasks wait in it."""
    seen = []

    async def serve():
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append(time.monotonic())

    def program():
        loop = asyncio.new_event_loop()
        kept.append(loop.create_task(serve()))
        loop.run_until_complete(asyncio.sleep(1))
        loop.close()

    kept = []
    assert simulate(program).verdict == "passed"
    assert seen == [1.0]


def test_a_coroutine_that_does_not_end_is_told():
    """One that catches every attempt makes the run inconclusive, and hangs nothing."""

    async def main():
        while True:
            with suppress(BaseException):
                await asyncio.sleep(1)

    execution = simulate(in_a_daemon(main))
    assert execution.verdict == "inconclusive"
    assert "main' caught every attempt to end it" in str(execution.error)


def test_a_loops_error_is_reported_as_in_reality():
    """A callback that raises, and a task whose error nobody asks for, go to the loop's exception handler."""

    async def fail():
        raise ValueError("mine")

    async def main():
        said = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: said.append(context["message"]))
        loop.call_soon(lambda: 1 / 0)
        task = loop.create_task(fail())
        await asyncio.sleep(2)
        del task
        return [message.partition(" test_")[0] for message in said]

    execution = simulate(lambda: asyncio.run(main()))
    assert execution.result() == ["Exception in callback", "Task exception was never retrieved"]


def test_everything_is_put_back():
    """Afterwards asyncio makes the system's loops, and its functions are its own."""
    names = ("all_tasks", "as_completed", "new_event_loop")
    before = [getattr(asyncio, name) for name in names], dict(vars(asyncio.events.BaseDefaultEventLoopPolicy))
    simulate(busy)
    assert ([getattr(asyncio, name) for name in names], dict(vars(asyncio.events.BaseDefaultEventLoopPolicy))) == before
    loop = asyncio.new_event_loop()
    assert type(loop) is asyncio.SelectorEventLoop
    loop.close()
