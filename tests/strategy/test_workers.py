"""Several processes come to the same as one, and say where they cannot be."""

import functools
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as generators

from routilux_sim import explore as explore_memory
from routilux_sim.workers import _share
from tests.strategy.small import guarded

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

ROOT = Path(__file__).parents[2]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def run(code: str) -> str:
    """Run code in a process that has no other threads: pytest's workers may have some."""
    head = """
        import functools, os, signal
        from routilux_sim import explore as explore_memory
        from tests.strategy.small import *

        explore = functools.partial(explore_memory, instrument=None)

        def told(report):
            failure = report.failure
            return (
                report.verdict, report.schedules, report.virtual_seconds, report.proof, report.reason,
                report.strategies, report.coverage.curve, report.coverage.pairs, report.coverage.unseen,
                failure and (failure.seed, str(failure.exception), failure.schedule.steps, failure.schedule.strategy),
            )
    """
    whole = textwrap.dedent(head) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", whole], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_fork
def test_what_comes_of_it_does_not_depend_on_how_many_there_are():
    """Verdict, counts, coverage, failure and its schedule are the same with 1, 2 and 3 workers."""
    said = run(
        """
        programs = {"fails": reorder(5), "passes": guarded(4), "is exhausted": points(0, 0)}
        for strategy in ("surw", "mix", "mutation", "portfolio"):
            for name, program in programs.items():
                one, *others = [
                    told(explore(program, strategy=strategy, schedules=200, workers=workers)) for workers in (1, 2, 3)
                ]
                print(strategy, name, one[0], all(other == one for other in others))
        """
    )
    lines = [line.split() for line in said.splitlines()]
    assert len(lines) == 12
    assert all(line[-1] == "True" for line in lines), said
    assert {line[-2] for line in lines} == {"failed", "passed", "exhausted"}


@given(
    generators.integers(0, 1000),
    generators.lists(generators.booleans(), max_size=60),
    generators.floats(0.1, 50),
    generators.integers(1, 5),
)
def test_each_schedule_is_one_workers(start, are_tied, ratio, workers):
    """Whatever takes how long; and those that come out of each other are all the first one's."""
    numbers = range(start, start + len(are_tied))
    tied = [number for number, is_tied in zip(numbers, are_tied, strict=True) if is_tied]
    parts = [_share(numbers, tied, ratio, place, workers) for place in range(workers)]
    assert sorted(number for part in parts for number in part) == list(numbers)
    assert all(part == sorted(part) for part in parts)
    assert set(tied) <= set(parts[0])


@needs_fork
def test_schedules_run_in_other_processes(tmp_path):
    """As many as there are workers; the one that explores runs none but a failure's replays."""
    said = run(
        f"""
        def program():
            in_threads(lambda: None)
            open({str(tmp_path)!r} + f"/{{os.getpid()}}", "w").close()
        explore(program, schedules=100, workers=2)
        print(os.getpid())
        """
    )
    processes = {path.name for path in tmp_path.iterdir()}
    assert len(processes) == 2
    assert said.strip() not in processes


@needs_fork
def test_no_process_is_left():
    """Neither after a failure nor after an error in `progress`."""
    run(
        """
        explore(reorder(3), schedules=500, workers=2)
        def progress(count):
            if count == 100:
                raise KeyError("enough")
        try:
            explore(guarded(2), schedules=500, workers=2, progress=progress)
        except KeyError:
            pass
        else:
            raise AssertionError
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
        else:
            raise AssertionError
        """
    )


@needs_fork
def test_a_worker_that_ends_by_itself_is_an_error():
    """And not a pass."""
    said = run(
        """
        def program():
            in_threads(lambda: None)
            signal.raise_signal(signal.SIGKILL)
        try:
            explore(program, schedules=50, workers=2)
        except RuntimeError as error:
            print(error)
        """
    )
    assert "a worker process has ended by itself" in said


@needs_fork
def test_a_failure_that_does_not_come_back_is_inconclusive():
    """A program that fails in the workers only."""
    said = run(
        """
        parent = os.getpid()
        def program():
            in_threads(lambda: None)
            assert os.getpid() == parent, "in a worker"
        for strategy in ("portfolio", "random"):
            report = explore(program, schedules=50, workers=2, strategy=strategy)
            print(report.verdict, report.reason)
        """
    )
    for line in said.splitlines():
        assert line.startswith("inconclusive seed 0 failed in a worker process with AssertionError: in a worker")


@needs_fork
def test_memory_that_turns_out_shared_is_the_same_for_all():
    """With memory points, what is shared is found on the way: by whoever it is, it is so for the next round."""
    said = run(
        """
        class Pair:
            def __init__(self):
                self.first = self.second = 0
        def late():
            pair = Pair()
            def one():
                if pair.first == 1:
                    pair.second += 1
            def other():
                pair.first = 1
                pair.first = 2
            def third():
                pair.second += 1
            in_threads(one, other, third)
        for strategy in ("mix", "portfolio"):
            for seed in (0, 1000):
                one, *others = [
                    told(explore(late, strategy=strategy, schedules=150, workers=workers, instrument="auto", seed=seed))
                    for workers in (1, 2, 3)
                ]
                print(one[0], all(other == one for other in others))
        """
    )
    assert {line.split()[-1] for line in said.splitlines()} == {"True"}, said
    assert {line.split()[0] for line in said.splitlines()} <= {"passed", "exhausted"}, said


@needs_fork
def test_progress_is_told_in_order():
    """Once for each schedule."""
    said = run(
        """
        told = []
        explore(guarded(2), schedules=300, workers=2, progress=told.append)
        print(told == list(range(1, 301)))
        """
    )
    assert said.split() == ["True"]


@needs_fork
def test_other_threads_are_refused():
    """They would not be there in the workers."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="bystander")
    thread.start()
    try:
        with pytest.raises(RuntimeError, match=r"workers=2 cannot be forked while other threads run .*bystander"):
            explore(guarded(2), workers=2)
    finally:
        ended.set()
        thread.join()


def test_without_fork_they_are_refused(monkeypatch):
    """Saying what to do."""
    monkeypatch.delattr(os, "fork", raising=False)
    with pytest.raises(RuntimeError, match=r"workers=2 needs os\.fork, which this system has not; leave workers at 1"):
        explore(guarded(2), workers=2)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2", 2000])
def test_a_number_that_is_none_is_refused(workers):
    """With the value."""
    with pytest.raises(ValueError, match=f"workers must be a whole number from 1 to 1024, not {workers!r}"):
        explore(guarded(2), workers=workers)


def test_what_cannot_be_shared_is_refused():
    """Enumeration, and running everything twice."""
    with pytest.raises(ValueError, match="strategy 'dfs:1' makes each schedule of those before, so workers=2"):
        explore(guarded(2), strategy="dfs:1", workers=2)
    with pytest.raises(ValueError, match="check_determinism works in one process, not with workers=2"):
        explore(guarded(2), check_determinism=True, workers=2)
