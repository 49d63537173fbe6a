"""The same seed gives the same execution, down to the last byte of its log."""

import hashlib
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import golden_logs
import pytest
from varied_programs import PROGRAMS, flows, story

from routilux_sim import NondeterminismError, simulate

ROOT = Path(__file__).parents[2]


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


def digests_in_a_process(hash_seed):
    """What every program does, in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    script = [sys.executable, str(Path(__file__).with_name("golden_logs.py"))]
    return json.loads(subprocess.run(script, env=environment, check=True, capture_output=True).stdout)


@pytest.mark.parametrize("program", [racing_threads, flows])
def test_one_seed_gives_one_log(program):
    """Ten runs with one seed write one log, byte for byte, and make the same decisions."""
    executions = [simulate(program, seed=7) for _ in range(10)]
    assert len({execution.log_bytes() for execution in executions}) == 1
    assert executions[0].log_bytes().count(b"\n") > 10
    assert len({execution.schedule for execution in executions}) == 1
    assert executions[0].result() == executions[9].result()


@pytest.mark.parametrize("program", [racing_threads, flows])
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


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_every_python_version_does_the_same(program):
    """Log, decisions and result are, byte for byte, those that are kept in the repository, whatever the version."""
    golden = json.loads(golden_logs.FILE.read_text(encoding="utf-8"))
    assert hashlib.sha256(story(program)).hexdigest() == golden[program.__name__]


@pytest.mark.parametrize("hash_seed", ["0", "1", "2", "random"])
def test_every_process_does_the_same(hash_seed):
    """So they are in other processes, whatever their PYTHONHASHSEED."""
    assert digests_in_a_process(hash_seed) == json.loads(golden_logs.FILE.read_text(encoding="utf-8"))


def test_there_is_a_golden_log_for_each_program():
    """None is missing, none is left over, and there are many."""
    golden = json.loads(golden_logs.FILE.read_text(encoding="utf-8"))
    assert set(golden) == {program.__name__ for program in PROGRAMS}
    assert len(golden) >= 12


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_check_finds_nothing(program):
    """Run twice, at other addresses, every program does the same: the simulator itself depends on nothing real."""
    for seed in range(10):
        assert not isinstance(simulate(program, seed=seed, check_determinism=True).error, NondeterminismError)


def test_what_ran_before_leaves_no_trace():
    """An execution does not depend on the executions, threads and random numbers before it."""
    alone = simulate(racing_threads, seed=3).log_bytes()
    simulate(flows, seed=9)
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
