"""Simulated threads behave as CPython's, from start to join."""

import _thread
import sys
import threading
import time

import pytest
from sim_helpers import assert_as_on_threads, attempt, elsewhere, ids, outcomes, run_threads

from routilux_sim import explore, replay, simulate


class Adder(threading.Thread):
    """A subclass made before anything was simulated."""

    def __init__(self, *numbers):
        super().__init__(name="adder")
        self.numbers = numbers
        self.sum = None

    def run(self):
        time.sleep(0.001)
        self.sum = sum(self.numbers)


def target_with_arguments():
    got = []
    thread = threading.Thread(target=lambda *args, **kwargs: got.append((args, kwargs)), args=(1, 2), kwargs={"a": 3})
    thread.start()
    return thread.join(), got


def subclass():
    adder = Adder(1, 2, 3)
    adder.start()
    adder.join()
    return adder.sum, adder.name, adder.is_alive()


def subclass_made_inside():
    class Doubler(threading.Thread):
        def run(self):
            self.result = 2 * 21

    doubler = Doubler()
    doubler.start()
    doubler.join()
    return doubler.result


def nothing_to_run():
    thread = threading.Thread()
    thread.start()
    thread.join()
    return thread.is_alive()


def life():
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="waits")
    seen = [thread.is_alive(), thread.ident, attempt(thread.join)]
    thread.start()
    seen += [thread.is_alive(), isinstance(thread.ident, int), thread.join(0.001), thread.is_alive()]
    go.set()
    seen += [thread.join(), thread.join(), thread.is_alive(), attempt(thread.start)]
    return seen


def text():
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="waits")
    initial = repr(thread).split()[1]
    thread.start()
    started = repr(thread).split()[1]
    go.set()
    thread.join()
    return initial, started, repr(thread).split()[1]


def join_errors():
    return [
        attempt(threading.current_thread().join),
        elsewhere(lambda: threading.current_thread().join()),
        attempt(threading.Thread().join),
    ]


def not_initialized():
    class Careless(threading.Thread):
        def __init__(self):
            pass

    return attempt(Careless().start), attempt(Careless().join)


def daemons():
    plain, daemon = threading.Thread(), threading.Thread(daemon=True)
    inherited = []
    daemon.run = lambda: inherited.append(threading.Thread().daemon)
    daemon.start()
    daemon.join()
    late = threading.Thread(target=threading.Event().wait, daemon=True)
    late.start()
    return plain.daemon, daemon.daemon, inherited, attempt(setattr, late, "daemon", False)


def identity():
    seen = []

    def look():
        here = threading.current_thread()
        seen.append(
            (
                here is thread,
                here.name,
                threading.get_ident() == here.ident == thread.ident,
                threading.get_ident() == threading.main_thread().ident,
                here in threading.enumerate(),
                threading.get_native_id() == here.native_id,
            )
        )

    thread = threading.Thread(target=look, name="looker")
    thread.start()
    thread.join()
    return seen, thread in threading.enumerate()


def renamed():
    thread = threading.Thread(target=lambda: seen.append(threading.current_thread().name), name="before")
    seen = []
    thread.name = "after"
    thread.start()
    thread.join()
    return seen


def exception_state_is_its_own():
    def raise_and_look():
        try:
            raise ValueError("mine")
        except ValueError:
            time.sleep(0.001)
            return str(sys.exc_info()[1])

    try:
        raise KeyError("main")
    except KeyError:
        return elsewhere(raise_and_look), str(sys.exc_info()[1])


def many():
    done = []
    run_threads(*[lambda n=n: done.append(n) for n in range(20)])
    return sorted(done)


def threads_in_threads():
    done = []
    run_threads(lambda: run_threads(lambda: done.append(1), lambda: run_threads(lambda: done.append(2))))
    return sorted(done)


def foreign():
    """A thread that ``threading`` knows nothing of before it asks who it is."""
    before, go, done = threading.active_count(), threading.Lock(), threading.Lock()
    go.acquire()
    done.acquire()
    seen = []

    def body():
        go.acquire()
        seen.append(threading.active_count() - before)
        me = threading.current_thread()
        seen.extend(
            [type(me).__name__, me.name.partition("-")[0], me.daemon, me.is_alive(), me is threading.enumerate()[-1]]
        )
        done.release()

    ident = _thread.start_new_thread(body, ())
    go.release()
    done.acquire()
    return (
        isinstance(ident, int),
        seen,
        attempt(_thread.start_new_thread, print),
        attempt(_thread.start_new_thread, 1, ()),
    )


AS_ON_THREADS = (
    target_with_arguments,
    subclass,
    subclass_made_inside,
    nothing_to_run,
    life,
    text,
    join_errors,
    not_initialized,
    daemons,
    identity,
    renamed,
    exception_state_is_its_own,
    many,
    threads_in_threads,
    foreign,
)


@pytest.mark.parametrize("program", AS_ON_THREADS, ids=ids(AS_ON_THREADS))
def test_it_is_as_on_threads(program):
    """Values, exceptions and their words are those of CPython's threads, in every schedule."""
    assert_as_on_threads(program)


def test_names_count_from_one_in_every_execution():
    """Default names do not depend on the threads of the process."""

    def program():
        def work():
            return None

        return [threading.Thread().name, threading.Thread(target=work).name]

    assert simulate(program).result() == simulate(program).result() == ["Thread-1", "Thread-2 (work)"]


def test_the_program_is_the_main_thread():
    """Inside, the program sees itself as the thread that it was called in."""

    def program():
        here = threading.current_thread()
        return here is threading.main_thread(), here.name, here.ident == threading.get_ident()

    assert simulate(program).result() == (True, "MainThread", True)


def test_enumerate_shows_the_simulated_threads_alone():
    """The program's thread and those it started and that have not ended."""

    def program():
        go = threading.Event()
        threads = [threading.Thread(target=go.wait, name=name) for name in "ab"]
        for thread in threads:
            thread.start()
        during = [thread.name for thread in threading.enumerate()], threading.active_count()
        go.set()
        for thread in threads:
            thread.join()
        return during, [thread.name for thread in threading.enumerate()], threading.active_count()

    assert simulate(program).result() == ((["MainThread", "a", "b"], 3), ["MainThread"], 1)


def test_join_with_a_timeout_goes_on_at_the_end_of_the_thread():
    """A join returns at the thread's end or its own timeout, whichever comes first."""

    def program():
        thread = threading.Thread(target=time.sleep, args=(1,))
        thread.start()
        thread.join(0.25)
        first = time.monotonic(), thread.is_alive()
        thread.join(100)
        return first, (time.monotonic(), thread.is_alive())

    assert simulate(program).result() == ((0.25, True), (1.0, False))


def test_several_threads_may_join_one():
    """All of them go on when it ends."""

    def program():
        thread = threading.Thread(target=time.sleep, args=(1,))
        thread.start()
        instants = []

        def join():
            thread.join()
            instants.append(time.monotonic())

        run_threads(join, join, thread.join)
        return instants

    assert simulate(program).result() == [1.0, 1.0]


def test_threads_that_are_no_daemons_are_joined_at_the_end():
    """The execution ends when the last of them has."""
    done = []

    def program():
        def work():
            time.sleep(5)
            done.append(time.monotonic())
            threading.Thread(target=later).start()

        def later():
            time.sleep(2)
            done.append(time.monotonic())

        threading.Thread(target=work).start()
        return "returned"

    execution = simulate(program)
    assert execution.result() == "returned"
    assert done == [5.0, 7.0]
    assert execution.elapsed == 7.0


def test_daemons_are_ended_with_the_program():
    """A daemon does not keep the program; its finally blocks run."""
    done = []

    def program():
        def serve():
            try:
                while True:
                    time.sleep(1)
                    done.append("tick")
            finally:
                done.append("ended")

        threading.Thread(target=serve, daemon=True).start()
        time.sleep(2.5)

    execution = simulate(program)
    execution.result()
    assert execution.elapsed == 2.5
    assert done == ["tick", "tick", "ended"]


def test_a_daemon_that_catches_everything_is_still_ended():
    """`except Exception` does not catch the end of the world."""
    caught = []

    def program():
        def serve():
            while True:
                try:
                    time.sleep(1)
                except Exception as error:  # noqa: BLE001 - the point
                    caught.append(error)

        threading.Thread(target=serve, daemon=True).start()
        time.sleep(3)

    assert simulate(program).verdict == "passed"
    assert caught == []


def test_a_thread_that_cannot_be_ended_is_no_pass():
    """One that goes on after every attempt to end it makes the execution inconclusive."""

    def program():
        def serve():
            while True:
                try:
                    time.sleep(1)
                except BaseException:  # noqa: BLE001 - the point
                    time.sleep(0)
                    continue

        threading.Thread(target=serve, daemon=True).start()
        time.sleep(1)

    execution = simulate(program, strategy="fifo")
    assert execution.verdict == "inconclusive"


def test_an_uncaught_exception_in_a_thread_is_a_failure():
    """It fails the execution, is kept with its traceback, and the explanation names the thread."""

    def program():
        def work():
            time.sleep(1)
            raise LookupError("in the thread")

        threading.Thread(target=work, name="worker-7").start()
        time.sleep(100)

    execution = simulate(program)
    assert execution.verdict == "failed"
    assert execution.kind == "exception"
    assert execution.elapsed == 1.0
    with pytest.raises(LookupError, match="in the thread"):
        execution.result()
    report = explore(program, schedules=5)
    assert report.verdict == "failed"
    assert "in task 'worker-7'" in report.failure.explanation
    with pytest.raises(LookupError) as raised:
        report.raise_if_failed()
    assert any("worker-7" in note for note in raised.value.__notes__)


def test_an_exception_of_the_program_is_the_failure():
    """What the program raises ends the execution, whatever its threads do."""

    def program():
        threading.Thread(target=time.sleep, args=(100,)).start()
        raise LookupError("in the program")

    execution = simulate(program)
    assert execution.failed_task == "MainThread"
    with pytest.raises(LookupError, match="in the program"):
        execution.result()


def test_an_excepthook_is_called_instead():
    """A program that sets threading.excepthook deals with the exception itself, as on threads."""

    def program():
        seen = []
        previous, threading.excepthook = threading.excepthook, seen.append
        try:
            run_threads(lambda: {}["missing"])
        finally:
            threading.excepthook = previous
        return seen[0].exc_type, str(seen[0].exc_value), seen[0].thread.name

    assert simulate(program).result() == (KeyError, "'missing'", "Thread-1 (<lambda>)")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_an_excepthook_is_given_every_exception(error):
    """Also those that are no `Exception`; only CPython's own hook passes over SystemExit."""

    def program():
        def fail():
            raise error

        seen = []
        previous, threading.excepthook = threading.excepthook, seen.append
        try:
            run_threads(fail)
        finally:
            threading.excepthook = previous
        return [said.exc_value for said in seen]

    assert simulate(program).result() == [error]


def test_a_local_made_in_a_thread_is_initialized_once_there():
    """Whether or not its ``__init__`` sets anything."""

    def program():
        made = []

        class Own(threading.local):
            def __init__(self, value):
                made.append(threading.current_thread().name)
                if value:
                    self.value = value

        def work(value):
            own = Own(value)
            own.other = 1
            run_threads(lambda: vars(own))

        run_threads(lambda: work(0), lambda: work(1))
        return len(made)

    assert simulate(program).result() == program() == 4


def test_a_thread_may_be_started_while_somebody_asks_whether_it_is_alive():
    """The answer is yes or no, and always no before."""

    def program():
        thread = threading.Thread(target=time.sleep, args=(1,))
        assert not thread.is_alive()
        said = []
        run_threads(thread.start, lambda: said.append(thread.is_alive()))
        return said

    assert outcomes(lambda: tuple(program()), 200) == {(False,), (True,)}


def test_a_runners_excepthook_does_not_hide_a_failure(monkeypatch):
    """A hook that a test runner has set for real threads leaves an uncaught exception in a simulated one a failure."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def program():
        run_threads(lambda: {}["missing"])

    assert simulate(program).verdict == "failed"
    assert explore(program, schedules=5).verdict == "failed"


def test_system_exit_in_a_thread_ends_that_thread_alone():
    """SystemExit in a thread is no failure, and the others go on."""
    done = []

    def program():
        def leave():
            raise SystemExit("bye")

        def stay():
            time.sleep(1)
            done.append("stayed")

        run_threads(leave, stay)

    assert simulate(program).verdict == "passed"
    assert done == ["stayed"]


def test_exit_of_the_program_still_waits_for_its_threads():
    """sys.exit() in the program waits for the threads that are no daemons, and their failures count."""

    def program():
        def work():
            time.sleep(1)
            raise LookupError("after the exit")

        threading.Thread(target=work).start()
        sys.exit()

    execution = simulate(program)
    assert execution.verdict == "failed"
    assert isinstance(execution.error, LookupError)


@pytest.mark.parametrize(("code", "verdict"), [(None, "passed"), (0, "passed"), (1, "failed"), ("no", "failed")])
def test_an_exit_code_is_a_failure_unless_it_is_0(code, verdict):
    """sys.exit(0) is the end, sys.exit(1) a failure."""
    assert simulate(lambda: sys.exit(code)).verdict == verdict


def test_joining_the_main_thread_is_seen_as_a_wait():
    """A thread that joins the main thread, which waits for that thread, does not hang the process."""

    def program():
        thread = threading.Thread(target=lambda: threading.main_thread().join(0.01), daemon=True)
        thread.start()
        thread.join()
        return time.monotonic()

    assert simulate(program).result() == 0.01


def test_threads_start_in_any_order():
    """Which of the started threads runs first is the strategy's choice."""

    def program():
        order = []
        run_threads(*[lambda name=name: order.append(name) for name in "abc"])
        return "".join(order)

    assert outcomes(program, 300) == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_failure_in_a_thread_replays():
    """The schedule of a failure in a thread brings it back."""

    def program():
        turns = []

        def first():
            turns.append("first")

        def second():
            assert turns, "second came first"

        run_threads(first, second)

    report = explore(program, schedules=200)
    assert report.verdict == "failed"
    again = replay(program, report.failure.schedule)
    assert isinstance(again.error, AssertionError)
    assert again.schedule == report.failure.schedule


def test_a_thread_made_outside_can_be_started_inside():
    """What counts is where it is started."""
    ran = []
    thread = threading.Thread(target=lambda: ran.append(time.monotonic()))

    def program():
        thread.start()
        thread.join()

    simulate(program).result()
    assert ran == [0.0]
