"""SimScheduler: flows in virtual time in a plain script, without a runner."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from routilux import ErrorHandler, Flow, JobState, Routine
from routilux_sim import DeadlockError, SimScheduler, SimulationError, explore, simulate

ROOT = Path(__file__).parents[2]
CREATION = threading.Lock


class Source(Routine):
    """Sends a number of items."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.send)
        self.define_event("item", ["number"])

    def send(self, count=1, **kwargs):
        for number in range(count):
            self.emit("item", number=number)


class Work(Routine):
    """Takes a while for each item."""

    def __init__(self):
        super().__init__()
        self.define_slot("input", handler=self.work)
        self.done = []

    def work(self, number):
        time.sleep(self.get_config("seconds", 1.0))
        self.done.append(number)


class Entry(Routine):
    """Calls the function that it is given."""

    def __init__(self, call=None):
        super().__init__()
        self.define_slot("trigger", handler=self.enter)
        self.call = call

    def enter(self, **kwargs):
        self.call()


def work_flow(scheduler, workers=2, seconds=1.0):
    flow = Flow(scheduler=scheduler, execution_strategy="concurrent", max_workers=workers)
    work = Work()
    work.set_config(seconds=seconds)
    flow.connect(flow.add_routine(Source(), "source"), "item", flow.add_routine(work, "work"), "input")
    return flow, work


def entry_flow(scheduler, call, strategy="concurrent"):
    flow = Flow(scheduler=scheduler, execution_strategy=strategy, max_workers=2)
    flow.add_routine(Entry(call), "entry")
    return flow


def run(seed, count=4, **options):
    with SimScheduler(seed=seed, **options) as scheduler:
        flow, work = work_flow(scheduler)
        job = flow.execute("source", {"count": count})
        assert JobState.wait_for_completion(flow, job)
        flow.shutdown()
        return scheduler.elapsed, tuple(work.done), scheduler.log_bytes(), scheduler.schedule, job.status


def test_work_takes_virtual_time():
    """Four items of a second on two workers take two virtual seconds and no real one."""
    began = time.perf_counter()
    elapsed, done, _, _, status = run(7)
    assert elapsed == 2.0
    assert sorted(done) == [0, 1, 2, 3]
    assert status == "completed"
    assert time.perf_counter() - began < 1


def test_one_seed_gives_one_log():
    """Ten runs with one seed write one log, byte for byte, and make the same decisions."""
    runs = [run(7) for _ in range(10)]
    assert len({log for _, _, log, _, _ in runs}) == 1
    assert len({schedule for _, _, _, schedule, _ in runs}) == 1
    assert runs[0][2].count(b"\n") > 10


def test_seeds_give_different_orders():
    """Ten seeds finish the items in more than one order."""
    assert len({run(seed)[1] for seed in range(10)}) > 1


def test_fifo_is_one_order():
    """The fifo strategy finishes them in one order whatever the seed."""
    assert len({run(seed, strategy="fifo")[1] for seed in range(5)}) == 1


def test_execute_returns_before_the_work_is_done():
    """A concurrent execute returns at virtual 0; time passes in the wait."""
    with SimScheduler() as scheduler:
        flow, work = work_flow(scheduler)
        job = flow.execute("source", {"count": 1})
        assert (job.status, scheduler.elapsed, work.done) == ("running", 0.0, [])
        assert not JobState.wait_for_completion(flow, job, timeout=0.25)
        assert (job.status, scheduler.elapsed) == ("running", 0.25)
        assert JobState.wait_for_completion(flow, job, timeout=10)
        assert (job.status, scheduler.elapsed, work.done) == ("completed", 1.0, [0])


def test_time_stands_between_calls():
    """What the script does itself takes no virtual time, and its clocks are real."""
    with SimScheduler() as scheduler:
        flow, _ = work_flow(scheduler)
        job = flow.execute("source")
        elapsed = scheduler.elapsed
        began = time.perf_counter()
        time.sleep(0.002)
        assert time.perf_counter() - began >= 0.002
        assert scheduler.elapsed == elapsed
        assert JobState.wait_for_completion(flow, job)


def test_a_sequential_flow_runs_in_execute():
    """A sequential execute returns when all is done, in virtual time."""
    with SimScheduler() as scheduler:
        flow, work = work_flow(scheduler)
        job = flow.execute("source", {"count": 3}, execution_strategy="sequential")
        assert (job.status, scheduler.elapsed, work.done) == ("completed", 3.0, [0, 1, 2])


def test_two_flows_share_a_scheduler():
    """Two flows on one scheduler run side by side on one clock."""
    with SimScheduler() as scheduler:
        first, fast = work_flow(scheduler, seconds=1.0)
        second, slow = work_flow(scheduler, seconds=2.5)
        jobs = [first.execute("source", {"count": 2}), second.execute("source", {"count": 2})]
        assert JobState.wait_for_completion(first, jobs[0])
        assert scheduler.elapsed == 1.0
        assert slow.done == []
        assert JobState.wait_for_completion(second, jobs[1])
        assert scheduler.elapsed == 2.5
        assert (sorted(fast.done), sorted(slow.done)) == ([0, 1], [0, 1])


def test_two_schedulers_have_clocks_of_their_own():
    """Two simulations may be used in turn."""
    with SimScheduler() as one, SimScheduler() as other:
        (first, _), (second, _) = work_flow(one, seconds=1.0), work_flow(other, seconds=5.0)
        jobs = first.execute("source"), second.execute("source")
        assert JobState.wait_for_completion(first, jobs[0])
        assert (one.elapsed, other.elapsed) == (1.0, 0.0)
        assert JobState.wait_for_completion(second, jobs[1])
        assert (one.elapsed, other.elapsed) == (1.0, 5.0)


def test_handlers_see_the_simulated_world():
    """Inside a handler time begins at the epoch, and random numbers follow the seed."""

    def look(seed):
        seen = []
        with SimScheduler(seed=seed, epoch=1000.0) as scheduler:
            flow = entry_flow(scheduler, lambda: seen.extend((time.time(), time.monotonic(), random.random())))
            assert JobState.wait_for_completion(flow, flow.execute("entry"))
        return seen

    first = look(1)
    assert first[:2] == [1000.0, 0.0]
    assert first == look(1)
    assert first != look(2)


def test_random_numbers_go_on_from_call_to_call():
    """The second job draws other numbers than the first, and the script's own draws do not matter."""

    def look(between):
        seen = []
        with SimScheduler() as scheduler:
            flow = entry_flow(scheduler, lambda: seen.append(random.random()))
            for _ in range(2):
                JobState.wait_for_completion(flow, flow.execute("entry"))
                between()
        return seen

    first = look(lambda: None)
    assert first[0] != first[1]
    assert first == look(random.random)


def test_the_script_keeps_its_world():
    """Between calls, and after an error, locks and random numbers are the script's own."""
    random.seed(3)
    expected = random.random()
    random.seed(3)
    with SimScheduler() as scheduler:
        flow = entry_flow(scheduler, lambda: {}["missing"])
        JobState.wait_for_completion(flow, flow.execute("entry"))
        assert threading.Lock is CREATION
        assert random.random() == expected
    assert threading.Lock is CREATION


def test_a_failed_job_is_the_flows_business():
    """An exception in a handler fails the job, not the simulation."""
    with SimScheduler() as scheduler:
        flow = entry_flow(scheduler, lambda: {}["missing"])
        job = flow.execute("entry")
        assert JobState.wait_for_completion(flow, job)
        assert job.status == "failed"
        assert isinstance(job.error, KeyError)
        assert flow.execute("entry", execution_strategy="sequential").status == "failed"


def test_retries_wait_in_virtual_time():
    """Delays of the retry policy pass on the virtual clock."""
    instants = []

    def fail():
        instants.append(time.monotonic())
        raise ValueError("again")

    with SimScheduler() as scheduler:
        flow = entry_flow(scheduler, fail)
        flow.set_error_handler(ErrorHandler("retry", max_retries=2, retry_delay=10.0, retry_backoff=3.0))
        job = flow.execute("entry")
        assert JobState.wait_for_completion(flow, job)
        assert job.status == "failed"
    assert instants == [0.0, 10.0, 40.0]


def test_another_thread_is_refused():
    """A scheduler belongs to the thread that made it."""
    with SimScheduler() as scheduler:
        flow, _ = work_flow(scheduler)
        raised = []

        def use():
            try:
                flow.execute("source")
            except RuntimeError as error:
                raised.append(str(error))

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert len(raised) == 1
        assert "in the thread that made it" in raised[0]


def test_inside_a_simulation_it_is_refused():
    """A world in a world is refused, and the message says to leave scheduler= out."""
    scheduler = SimScheduler()
    flow, _ = work_flow(scheduler)
    with pytest.raises(RuntimeError, match="leave out scheduler="):
        simulate(lambda: flow.execute("source")).result()
    scheduler.close()


def test_a_simulation_inside_a_handler_is_refused():
    """What runs on a SimScheduler cannot simulate."""
    raised = []

    def nest():
        with pytest.raises(RuntimeError) as error:
            simulate(int)
        raised.append(str(error.value))

    with SimScheduler() as scheduler:
        flow = entry_flow(scheduler, nest)
        JobState.wait_for_completion(flow, flow.execute("entry"))
    assert len(raised) == 1


def test_after_close_it_is_refused():
    """A closed scheduler says that it was closed; closing it twice is fine."""
    scheduler = SimScheduler()
    flow, _ = work_flow(scheduler)
    scheduler.close()
    scheduler.close()
    with pytest.raises(SimulationError, match="it was closed"):
        flow.execute("source")


def test_close_ends_what_still_runs():
    """Handlers under way are unwound, and their finally blocks run."""
    seen = []

    def handle():
        try:
            time.sleep(100)
            seen.append("slept")
        finally:
            seen.append("ended")

    scheduler = SimScheduler()
    flow = entry_flow(scheduler, handle)
    flow.execute("entry")
    scheduler.close()
    assert seen == ["ended"]


def test_a_deadlock_is_raised_and_ends_the_simulation():
    """The call that runs into a deadlock raises it, and later calls say what ended the simulation."""
    with SimScheduler() as scheduler:

        def get_stuck():
            lock = threading.Lock()
            with lock:
                lock.acquire()

        flow = entry_flow(scheduler, get_stuck, "sequential")
        with pytest.raises(DeadlockError, match=r"acquire `lock` \(Lock-"):
            flow.execute("entry", timeout=None)
        with pytest.raises(SimulationError, match="the simulation has ended"):
            flow.execute("entry")
    assert threading.Lock is CREATION


def test_a_limit_is_raised():
    """A handler that never ends is given up after max_steps."""

    def spin():
        while True:
            time.sleep(0)

    with SimScheduler(max_steps=1000) as scheduler:
        flow = entry_flow(scheduler, spin, "sequential")
        with pytest.raises(SimulationError, match="more than 1000 steps"):
            flow.execute("entry")


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True])
def test_a_seed_is_a_whole_number(seed):
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="seed must be a whole number"):
        SimScheduler(seed=seed)


def test_simulate_and_explore_work_beside_it():
    """An open scheduler that is not being called does not stand in the way of other simulations."""
    with SimScheduler() as scheduler:
        flow, _ = work_flow(scheduler)
        job = flow.execute("source")
        assert simulate(lambda: time.sleep(5)).elapsed == 5.0
        explore(lambda: time.sleep(5), schedules=3).raise_if_failed()
        assert JobState.wait_for_completion(flow, job)
        assert scheduler.elapsed == 1.0


def test_a_plain_script_needs_no_runner():
    """The same script prints the same lines in two processes with different hash seeds."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_scheduler
elapsed, done, log, schedule, status = test_scheduler.run(7)
sys.stdout.buffer.write(repr((elapsed, done, status)).encode() + log)
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            timeout=20,
        ).stdout
        for hash_seed in ("1", "2")
    }
    elapsed, done, log, _, status = run(7)
    assert outputs == {repr((elapsed, done, status)).encode() + log}
