"""The same seed gives the same execution, down to the last byte of its log."""

import os
import queue
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from routilux import Flow, JobState, Routine
from routilux_sim import simulate

ROOT = Path(__file__).parents[2]


class Fan(Routine):
    """Sends what it gets three times."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.fan)
        self.define_event("out", ["number"])

    def fan(self, **kwargs):
        for number in range(3):
            self.emit("out", number=number)


class Collect(Routine):
    """Waits a while that depends on the number."""

    def __init__(self):
        super().__init__()
        self.define_slot("input", handler=self.collect)

    def collect(self, number):
        time.sleep(0.1 * (number % 2))


def racing_threads():
    order = []
    box = queue.Queue()
    lock = threading.Lock()

    def worker(name):
        for _ in range(3):
            with lock:
                order.append(name)
            time.sleep(random.choice((0, 0.001)))
        box.put(name)

    threads = [threading.Thread(target=worker, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    ended = [box.get() for _ in threads]
    return "".join(order), "".join(ended)


def concurrent_flow():
    flow = Flow(execution_strategy="concurrent", max_workers=3)
    fan = flow.add_routine(Fan(), "fan")
    for name in ("left", "right"):
        flow.connect(fan, "out", flow.add_routine(Collect(), name), "input")
    job = flow.execute(fan)
    JobState.wait_for_completion(flow, job)
    flow.shutdown()
    return job.status


PROGRAMS = (racing_threads, concurrent_flow)


def log_in_a_process(program, seed, hash_seed):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_determinism\n"
        "from routilux_sim import simulate\n"
        f"sys.stdout.buffer.write(simulate(test_determinism.{program.__name__}, seed={seed}).log_bytes())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_seed_gives_one_log(program):
    """Ten runs with one seed write one log, byte for byte, and make the same decisions."""
    executions = [simulate(program, seed=7) for _ in range(10)]
    assert len({execution.log_bytes() for execution in executions}) == 1
    assert executions[0].log_bytes().count(b"\n") > 10
    assert len({execution.schedule for execution in executions}) == 1
    assert executions[0].result() == executions[9].result()


@pytest.mark.parametrize("program", PROGRAMS)
def test_ten_seeds_give_more_than_one_log(program):
    """Another seed is another interleaving."""
    assert len({simulate(program, seed=seed).log_bytes() for seed in range(10)}) > 1


def test_ten_seeds_give_more_than_one_order():
    """Seeds decide in which order threads get a lock."""
    assert len({simulate(racing_threads, seed=seed).result() for seed in range(10)}) > 1


def test_fifo_ignores_the_seed_for_scheduling():
    """The fifo strategy knows one schedule."""

    def program():
        box = queue.Queue()
        threads = [threading.Thread(target=box.put, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        return "".join(box.get() for _ in threads)

    assert {simulate(program, seed=seed, strategy="fifo").result() for seed in range(10)} == {"abc"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_log_does_not_depend_on_the_process(program):
    """The same seed gives the same log in other processes, whatever their PYTHONHASHSEED."""
    assert (
        log_in_a_process(program, 7, "1") == log_in_a_process(program, 7, "2") == simulate(program, seed=7).log_bytes()
    )


def test_what_ran_before_leaves_no_trace():
    """An execution does not depend on the executions, threads and random numbers before it."""
    alone = simulate(racing_threads, seed=3).log_bytes()
    simulate(concurrent_flow, seed=9)
    threading.Thread(name=None)
    random.random()
    assert simulate(racing_threads, seed=3).log_bytes() == alone


def test_a_log_can_be_left_out():
    """Without a log the decisions are the same."""
    silent = simulate(racing_threads, seed=5, log=False)
    assert silent.log == []
    assert silent.schedule == simulate(racing_threads, seed=5).schedule


def test_log_lines_are_numbered_and_ordered_in_time():
    """Lines count from 0, never go back in time, and hold no wall clock."""
    log = simulate(racing_threads, seed=1).log
    assert [line["seq"] for line in log] == list(range(len(log)))
    assert [line["t_ns"] for line in log] == sorted(line["t_ns"] for line in log)
    assert log[-1]["event"] == "execution.end"


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True])
def test_a_seed_is_a_whole_number(seed):
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="seed must be a whole number from 0 up"):
        simulate(racing_threads, seed=seed)


def test_an_unknown_strategy_is_refused():
    """A strategy that does not exist is a ValueError, something that is none a TypeError."""
    with pytest.raises(ValueError, match="nonsense"):
        simulate(racing_threads, strategy="nonsense")
    with pytest.raises(TypeError, match="strategy must be one of"):
        simulate(racing_threads, strategy=3)
