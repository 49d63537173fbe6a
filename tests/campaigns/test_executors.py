"""What comes of an exploration does not depend on who runs it, in which order, or on who dies meanwhile."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from routilux_sim import explore
from routilux_sim.campaigns import dealing
from tests.campaigns import programs
from tests.campaigns.executors import Breaking, Shuffled
from tests.campaigns.programs import told

ROOT = Path(__file__).parents[2]
STRATEGIES = ("mix", "random", "pct", "pos", "surw", "fifo")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def pool():
    """Processes that share no memory and no string hashes with this one."""
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


def run(code):
    """Run code in a process that has no other threads: pytest's workers may have some."""
    head = """
        import os, signal
        from routilux_sim import explore
        from tests.campaigns import programs
        from tests.campaigns.programs import told
    """
    whole = textwrap.dedent(head) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", whole], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("strategy", "program"),
    [
        *(("mix", program) for program in ("failing", "rare", "one_way")),
        *(("fifo", program) for program in ("passing", "one_way")),
        ("pct", "unlucky"),
        *(
            pytest.param(strategy, program, marks=pytest.mark.long)
            for strategy in STRATEGIES
            for program in ("passing", "failing", "unlucky", "rare")
        ),
    ],
)
def test_any_order_comes_to_what_one_process_comes_to(strategy, program):
    """Verdict, counts, coverage, failure and its schedule, with chunks that come back in any order."""
    target = f"tests.campaigns.programs:{program}"
    alone = told(explore(target, strategy=strategy, schedules=400))
    assert told(explore(target, strategy=strategy, schedules=400, executor=Shuffled(1))) == alone


def test_processes_of_their_own_come_to_the_same():
    """With other hashes of strings and another memory: a program by its path, and one that is pickled."""
    with pool() as executor:
        for program in (programs.rare, programs.unlucky, programs.racy):
            for instrument in ("auto", None):
                options = {"schedules": 300, "instrument": instrument, "races": "report"}
                alone = told(explore(program, strategy="mix", **options))
                assert told(explore(program, executor=executor, **options)) == alone


@needs_fork
def test_forked_processes_come_to_the_same():
    """With 1, 2 and 3 workers; programs that cannot be imported go to them as well."""
    said = run(
        """
        for strategy in ("mix", "fifo"):
            for program in (programs.rare, lambda: programs.unlucky()):
                one, *others = [
                    told(explore(program, strategy=strategy, schedules=300, workers=workers)) for workers in (1, 2, 3)
                ]
                print(strategy, one[0], all(other == one for other in others))
        """
    )
    lines = said.splitlines()
    assert len(lines) == 4
    assert all(line.endswith("True") for line in lines), said
    assert {line.split()[1] for line in lines} == {"passed", "failed"}


@pytest.mark.parametrize("deaths", [{1}, {2, 3}, {7}, {5, 9, 14, 15, 16}, set(range(8, 12))])
def test_deaths_by_chance_change_nothing(deaths):
    """The pool is made again, and what was out is run again."""
    alone = told(explore(programs.unlucky, strategy="random", schedules=500, seed=300))
    breaking = Breaking(deaths)
    assert told(explore(programs.unlucky, strategy="random", schedules=500, seed=300, executor=breaking)) == alone
    assert breaking.made >= 2


@pytest.mark.parametrize("killer", [0, 1, 137, 255, 256, 391])
def test_the_schedule_that_kills_is_found(killer):
    """By halving; what came before it is counted, and the verdict is no pass."""
    report = explore(programs.passing, strategy="random", schedules=400, seed=50, executor=Breaking(killers={killer}))
    assert report.verdict == "inconclusive"
    assert report.schedules == killer + 1
    assert report.reason.startswith(f"seed {50 + killer} ends the process that runs it (BrokenProcessPool")
    with pytest.raises(Exception, match="ends the process that runs it"):
        report.raise_if_failed()


def test_an_executor_that_runs_nothing_is_not_the_programs_fault_alone():
    """It is said that no other schedule has come back."""
    report = explore(programs.passing, schedules=400, executor=Breaking(killers=range(400)))
    assert "no other has come back either, so it may be the executor" in report.reason


def test_a_failure_before_the_one_that_kills_comes_first():
    """And the other way round: the lowest number counts, whichever is found first."""
    alone = explore(programs.unlucky, strategy="random", schedules=500, seed=300)
    number = alone.failure.seed - 300
    for killers, verdict in (({number + 1}, "failed"), ({number - 1}, "inconclusive")):
        options = {"strategy": "random", "schedules": 500, "seed": 300}
        report = explore(programs.unlucky, executor=Breaking(killers=killers), **options)
        assert (report.verdict, report.schedules) == (verdict, number + (1 if verdict == "failed" else 0))


@needs_fork
def test_a_real_death_is_reported_with_its_seed():
    """SIGKILL in a forked process, and in a pool's: the same seed."""
    first = next(seed for seed in range(1000) if programs.is_deadly(seed))
    said = run(
        """
        from concurrent.futures import ProcessPoolExecutor
        options = {"strategy": "random", "schedules": 1000}
        print(explore(programs.deadly, workers=2, **options).reason)
        print(explore(programs.deadly, executor=lambda: ProcessPoolExecutor(2), **options).reason)
        """
    )
    forked, pooled = said.splitlines()
    assert forked.startswith(f"seed {first} ends the process that runs it (killed by SIGKILL)")
    assert pooled.startswith(f"seed {first} ends the process that runs it (BrokenProcessPool")


@needs_fork
def test_a_worker_that_is_killed_from_outside_changes_nothing():
    """SIGKILL while it runs a chunk: another one is forked, and has the chunk."""
    said = run(
        """
        import threading, time
        from routilux_sim.campaigns import crews

        alone = told(explore(programs.passing, strategy="random", schedules=600))
        give, killed = crews.ForkCrew.give, []

        def give_and_kill(self, key, knowledge, chunk):
            give(self, key, knowledge, chunk)
            if key in {9, 17}:
                process = next(process for process, busy in self._workers.values() if busy == key)
                os.kill(process, signal.SIGKILL)
                killed.append(process)

        crews.ForkCrew.give = give_and_kill
        print(told(explore(programs.passing, strategy="random", schedules=600, workers=2)) == alone, len(killed))
        """
    )
    assert said.split() == ["True", "2"]


def test_a_broken_pool_that_cannot_be_made_again_is_an_error():
    """Which says what to give instead."""
    broken = Breaking({3})()
    with pytest.raises(RuntimeError, match=r"the executor is broken .*give explore\(executor=...\) a function"):
        explore(programs.passing, schedules=400, executor=broken)


def test_what_goes_wrong_in_the_executor_is_said():
    """An error that is not the program's is none of its failures."""
    with pytest.raises(RuntimeError, match="could not be run by the executor: LookupError: no such place"):
        explore(programs.passing, schedules=50, executor=_Refusing())


class _Refusing:
    def submit(self, fn, *args):
        future = Future()
        future.set_exception(LookupError("no such place"))
        return future


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "portfolio"}, "strategy 'portfolio' makes schedules of what it has learned"),
        ({"strategy": "dfs"}, "strategy 'dfs' makes schedules of what it has learned from all those before"),
        ({"check_determinism": True}, "check_determinism works in one process, not with executor="),
        ({"shard": (3, 2)}, r"shard must be two whole numbers, as \(3, 8\) for the third of eight shares"),
        ({"shard": (1, 2000)}, "1000 schedules cannot be split over 2000; take fewer shares"),
    ],
)
def test_what_cannot_be_run_in_chunks_is_refused(options, words):
    """Saying why, and what can."""
    with pytest.raises(ValueError, match=words):
        explore(programs.passing, executor=Shuffled(1), **options)


def test_what_cannot_travel_is_named():
    """A program that nobody can import or pickle."""
    with pytest.raises(ValueError, match=r"the exploration cannot go to an executor: .*<lambda>.*cannot be pickled"):
        explore(lambda: None, executor=Shuffled(1))
    with pytest.raises(TypeError, match=r"executor must have submit\(fn, \*args\)"):
        explore(programs.passing, executor=5)
    with pytest.raises(TypeError, match=r"executor\(\) must return something with submit"):
        explore(programs.passing, executor=lambda: 5)


def test_progress_goes_up_to_the_end():
    """A call for each chunk, with how many have run."""
    counts = []
    explore(programs.passing, schedules=700, executor=Shuffled(1), progress=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 700


def test_time_can_be_up():
    """Then what has run is reported, and it is no failure."""
    report = explore(programs.passing, schedules=10_000_000, seconds=0.5, executor=Shuffled(1))
    assert report.verdict == "passed"
    assert 0 < report.schedules < 10_000_000


def test_an_executor_that_never_answers_is_not_waited_for_once_time_is_up(monkeypatch):
    """And nothing that has run is no pass."""
    monkeypatch.setattr(dealing, "GRACE", 0.3)

    class Silent:
        def submit(self, fn, *args):
            return Future()

    report = explore(programs.passing, seconds=0.1, executor=Silent())
    assert (report.verdict, report.schedules) == ("inconclusive", 0)


def test_one_that_is_cut_short_by_its_strategy_is_told_by_its_seed():
    """The same as in one process: others ran all the same."""
    options = {"strategy": "pct:2", "schedules": 60, "seed": 20, "max_steps": 200, "instrument": None}
    alone = explore(programs.impatient, **options)
    assert alone.verdict == "inconclusive"
    assert told(explore(programs.impatient, executor=Shuffled(1), **options)) == told(alone)


def test_a_schedule_that_says_nothing_is_inconclusive():
    """A limit that is hit elsewhere is hit here again."""
    options = {"strategy": "random", "schedules": 50, "max_steps": 40, "instrument": None}
    alone = told(explore(programs.unfinished, **options))
    assert alone[0] == "inconclusive"
    assert told(explore(programs.unfinished, executor=Shuffled(1), **options)) == alone


def test_neither_dask_nor_ray_is_imported():
    """Unless somebody wants them."""
    said = run(
        """
        import sys
        import routilux, routilux.schedulers.ray, routilux_sim.cli
        explore(programs.passing, schedules=20, shard=(1, 1))
        print([name for name in ("dask", "distributed", "ray", "cloudpickle") if name in sys.modules])
        """
    )
    assert said.strip() == "[]"
