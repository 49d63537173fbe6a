"""Marked tests under Hypothesis's ``@given``, and simulations inside one."""

from __future__ import annotations

import random
import re
import shlex
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from routilux_sim import explore, simulate
from routilux_sim.replay_files import save_schedule

HEAD = """
    import random, threading, time
    import pytest
    from hypothesis import HealthCheck, assume, example, given, note, reproduce_failure, settings, strategies as st

    # A busy machine takes its time, which is no test's subject but one's.
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
"""

LOST_UPDATE = (
    HEAD
    + """
    total = 0

    def add():
        global total
        seen = total
        time.sleep(0)
        total = seen + 1

    @MARKER
    @given(n=st.integers(1, 9))
    def test_sum(n):
        global total
        total = 0
        threads = [threading.Thread(target=add) for _ in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("sum of", n, "is", total)
        assert total == n
"""
)


@pytest.fixture
def run(pytester):
    """Runs pytest with a Hypothesis database of its own."""
    own = DirectoryBasedExampleDatabase(pytester.path / "examples")
    settings.register_profile("plugin", settings.get_profile("default"), derandomize=False, database=own)
    settings.load_profile("plugin")
    yield pytester.runpytest
    settings.load_profile("default")


def a_race(pytester, marker: str = "pytest.mark.sim") -> None:
    pytester.makepyfile(test_race=LOST_UPDATE.replace("MARKER", marker))


def sums(result: pytest.RunResult) -> list[tuple[str, str]]:
    return re.findall(r"sum of (\d) is (\d)", str(result.stdout))


def test_each_example_is_an_execution_of_its_own(pytester, run):
    """Virtual time begins at zero in every example, and Hypothesis makes as many as always."""
    pytester.makepyfile(
        HEAD
        + """
    naps = []

    @pytest.mark.sim
    @settings(max_examples=30)
    @given(st.integers(1, 10**6))
    def test_nap(n):
        assert time.monotonic() == 0
        time.sleep(n)
        assert time.monotonic() == n
        naps.append(n)

    def test_there_were_many():
        assert len(naps) == 30 and sum(naps) > 3600
    """
    )
    run().assert_outcomes(passed=2)


def test_a_failing_example_shrinks(pytester, run):
    """The smallest number that fails is shown, with its virtual time; the note and the explanation are there once."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @given(n=st.integers(0, 1000))
    def test_small(n):
        time.sleep(n)
        assert n < 42
    """
    )
    result = run("--sim-seed=7")
    result.assert_outcomes(failed=1)
    output = str(result.stdout)
    assert "n=42," in output
    assert "after 42 virtual seconds" in output
    assert len(re.findall("simulated under seed 0; reproduce with: pytest --sim-seed=7", output)) == 1
    assert len(re.findall("-- Captured simulation call --", output)) == 1


@pytest.mark.long
def test_a_failure_that_needs_a_schedule_shrinks_with_it(pytester, run):
    """A lost update takes two threads and an interleaving: under a few schedules each, the example shown has two."""
    a_race(pytester, "pytest.mark.sim(schedules=20)")
    result = run("--sim-seed=7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*n=2,*", "*decisions, * of them not the plain choice*"])


def test_the_same_seed_makes_the_same_examples_under_the_same_schedules(pytester, run):
    """``--sim-seed`` alone brings all of it back, in another process too; another one brings something else."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @given(n=st.integers(1, 10**6))
    def test_draw(n):
        print("drew", n, random.getrandbits(30))
    """
    )
    results = [
        run("-s", "--sim-seed=7"),
        pytester.runpytest_subprocess("-s", "--sim-seed=7", "-p", "no:cacheprovider"),
        run("-s", "--sim-seed=8"),
    ]
    here, elsewhere, other = (re.findall(r"drew \d+ \d+", str(result.stdout)) for result in results)
    assert len(set(here)) > 90
    assert here == elsewhere != other


def test_the_database_brings_a_failing_schedule_back_at_once(pytester, run):
    """The second run begins with the example that failed last, whatever the seed of the run, and it fails again."""
    a_race(pytester)
    first = run("-s", "--sim-seed=7")
    first.assert_outcomes(failed=1)
    again = run("-s", "--sim-seed=8")
    again.assert_outcomes(failed=1)
    assert sums(again)[0] == sums(first)[-1]


def test_reproduce_failure_brings_a_failing_schedule_back(pytester, run):
    """The decorator that Hypothesis prints fails in the same way, in one execution, under any seed of the run."""
    a_race(pytester, "settings(print_blob=True)\n    @pytest.mark.sim")
    first = run("-s", "--sim-seed=7")
    decorator = re.search(r"@(reproduce_failure\('[^']+', b'[^']+'\))", str(first.stdout)).group(1)
    a_race(pytester, f"{decorator}\n    @pytest.mark.sim")
    again = run("-s", "--sim-seed=8")
    again.assert_outcomes(failed=1)
    assert sums(again) == sums(first)[-1:]


def test_every_example_is_explored_when_the_marker_says_so(pytester, run):
    """With ``schedules=50`` each example runs up to so many times, explicit ones too: the race is found at once."""
    a_race(pytester, "pytest.mark.sim(schedules=50)\n    @example(n=3)")
    result = run("--sim-seed=7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*explicit example*", "*n=3,*"])


def test_a_seed_in_the_marker_is_that_of_every_example(pytester, run):
    """``sim(seed=7)`` leaves Hypothesis the arguments only."""
    pytester.makepyfile(
        HEAD
        + """
    drawn = set()

    @pytest.mark.sim(seed=7)
    @given(st.booleans())
    def test_draw(flag):
        drawn.add(random.random())

    def test_all_the_same():
        assert drawn == {random.Random(7).random()}
    """
    )
    run().assert_outcomes(passed=2)


def test_drawing_assuming_and_noting_work_inside(pytester, run):
    """``data.draw()``, ``assume()`` and ``note()`` do what they do, between virtual naps and beside other threads."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @given(data=st.data())
    def test_draws(data):
        low = data.draw(st.integers(0, 10))
        time.sleep(low)
        assume(low != 3)
        thread = threading.Thread(target=time.sleep, args=(3600,))
        thread.start()
        high = data.draw(st.integers(low, 20))
        thread.join()
        note(f"noted {time.monotonic():g}")
        assert high <= 15
    """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Draw 2: 16*", "*noted 36*"])
    assert "UnsatisfiedAssumption" not in str(result.stdout)


def test_deadlines_do_not_count_virtual_time(pytester, run):
    """A virtual day passes under a deadline of five seconds, and real work past it still fails."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @settings(deadline=5000, max_examples=20)
    @given(st.integers(86_400, 10**6))
    def test_naps(n):
        time.sleep(n)

    @pytest.mark.sim
    @settings(deadline=20, max_examples=5)
    @given(st.integers(0, 9))
    def test_works(n):
        for _ in range(50):
            sum(range(100_000))
    """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*DeadlineExceeded: Test took*deadline of 20.00ms*"])


def test_fixtures_parameters_classes_and_settings_work(pytester, run):
    """Such a test is a pytest test and a Hypothesis test in every other respect; no health check objects."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.fixture(scope="module")
    def five():
        return 5

    @pytest.mark.sim
    class TestThings:
        @pytest.mark.parametrize("m", [1, 2])
        @settings(max_examples=10)
        @given(n=st.integers(0, 9))
        def test_sum(self, five, m, n):
            time.sleep(n)
            assert time.monotonic() == n and five == 5 and m in (1, 2)

        @given(n=st.integers(0, 9))
        def test_skipped(self, n):
            pytest.skip("not today")

    def test_unmarked_tests_are_left_alone():
        sizes = []

        @given(st.booleans())
        def inner(flag):
            sizes.append(time.monotonic() > 0)

        inner()
        assert set(sizes) == {True} and len(sizes) == 2
    """
    )
    run().assert_outcomes(passed=3, skipped=1)


def test_the_marker_may_stand_on_either_side_of_given(pytester, run):
    """Below ``@given`` it works as above it."""
    pytester.makepyfile(
        HEAD
        + """
    @given(st.integers(1, 9))
    @pytest.mark.sim
    def test_nap(n):
        assert time.monotonic() == 0
        time.sleep(n)
    """
    )
    run().assert_outcomes(passed=1)


def test_what_cannot_be_simulated_is_refused(pytester, run):
    """A state machine's TestCase and an ``async def`` under ``@given`` are usage errors that say so."""
    pytester.makepyfile(
        test_machine="""
    import pytest
    from hypothesis.stateful import RuleBasedStateMachine, rule

    class Machine(RuleBasedStateMachine):
        @rule()
        def step(self):
            pass

    TestMachine = pytest.mark.sim(Machine.TestCase)
    """,
        test_async=HEAD
        + """
    @pytest.mark.sim
    @given(st.integers())
    async def test_it(n):
        pass
    """,
    )
    for name, message in (
        ("test_machine.py", "*sim cannot run a state machine's TestCase; call simulate() in the machine's rules*"),
        ("test_async.py", "*sim cannot run an 'async def' test*"),
    ):
        result = run(name)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([message])


@settings(max_examples=20)
@given(naps=st.lists(st.integers(0, 100), min_size=1, max_size=5), data=st.data())
def test_a_simulation_inside_a_given_test(naps, data):
    """``simulate()`` and ``explore()`` in the body take part in it: they draw, and leave randomness alone."""
    state = random.getstate()

    def program():
        threads = [threading.Thread(target=time.sleep, args=(nap,)) for nap in naps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return random.random()

    def drawing():
        time.sleep(data.draw(st.integers(0, 5)))

    execution = simulate(program, seed=3)
    assert execution.elapsed == max(naps)
    assert execution.result() == simulate(program, seed=3).result()
    assert simulate(drawing).elapsed <= 5
    assert explore(program, schedules=3).failure is None
    assert random.getstate() == state


@pytest.mark.long
def test_the_command_shown_brings_a_failure_back_from_a_ci_server(pytester, monkeypatch):
    """There Hypothesis goes by a profile in which examples do not depend on a seed: the command names it."""
    pytester.makepyfile(
        HEAD.partition("# A busy")[0]
        + """
    @pytest.mark.sim
    @settings(phases=["generate"])
    @given(n=st.integers(1, 10**9), m=st.integers(1, 10**9))
    def test_sum(n, m):
        time.sleep(n)
        assert n + m < 10**8
    """
    )
    monkeypatch.setenv("CI", "true")
    there = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    there.assert_outcomes(failed=1)
    (command,) = set(re.findall(r"reproduce with: pytest (--sim-seed=.*)", str(there.stdout)))
    assert "--hypothesis-profile=ci" in command
    monkeypatch.delenv("CI")
    here = pytester.runpytest_subprocess("-p", "no:cacheprovider", *shlex.split(command))
    examples = [re.findall(r"[nm]=\d+,|simulated under seed \d+", str(result.stdout)) for result in (there, here)]
    assert len(examples[0]) >= 3
    assert set(examples[0]) == set(examples[1])


def test_a_test_alone_makes_the_examples_that_it_makes_among_others(pytester):
    """Hypothesis tries constants that it reads in the project's modules: of those, only the test's own count."""
    pytester.makepyfile(
        test_one=HEAD
        + """
    ONE = 77_000_077

    @pytest.mark.sim(seed=3)
    @settings(max_examples=300)
    @given(n=st.integers(1, 10**9))
    def test_draw(n):
        print("drew", n)
    """,
        test_other="OTHER = 55_000_055\ndef test_nothing(): pass\n",
    )
    both = pytester.runpytest_subprocess("-s", "--sim-seed=7", "-p", "no:cacheprovider")
    both.assert_outcomes(passed=2)
    alone = pytester.runpytest_subprocess("-s", "--sim-seed=7", "-p", "no:cacheprovider", "test_one.py")
    drawn, again = (re.findall(r"drew (\d+)", str(result.stdout)) for result in (both, alone))
    assert drawn == again
    assert "77000077" in drawn
    assert "55000055" not in drawn


FIXTURE = """
    @pytest.fixture
    def other():
        return []

    @pytest.mark.sim
    @given(st.integers(0, 5))
    def test_it({arguments}n):
        sim.always(lambda: sim.now <= 5)
        sim.advance(n)
        assert sim.now == n
"""


def test_the_fixture_is_anew_in_each_example(pytester, run):
    """Time begins at 0, so Hypothesis has nothing to object to; to another fixture it has."""
    pytester.makepyfile(test_x=HEAD + FIXTURE.format(arguments="sim, "))
    run().assert_outcomes(passed=1)
    pytester.makepyfile(test_x=HEAD + FIXTURE.format(arguments="sim, other, "))
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FailedHealthCheck: *uses a function-scoped fixture*"])


def test_a_failure_shows_the_test_and_none_of_the_simulator(pytester, run):
    """As without Hypothesis."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @given(st.integers())
    def test_it(n):
        assert n < 100
    """
    )
    result = run("--tb=short")
    result.assert_outcomes(failed=1)
    shown = str(result.stdout).partition("Failing test case")[0]
    assert "routilux_sim" not in shown.partition("FAILURES")[2]


def test_a_kept_schedule_of_such_a_test_is_said_not_to_run(pytester, run):
    """Hypothesis makes its examples, and no file keeps them."""
    path = pytester.mkdir("scenarios") / "regressions" / "kept.replay.json"
    save_schedule(simulate(lambda: None).schedule, path, program="test_x.py::test_it")
    pytester.makepyfile(test_x=HEAD + FIXTURE.format(arguments="sim, "))
    run().stdout.fnmatch_lines(["test_x.py::test_it: not under *kept.replay.json first: Hypothesis makes its examples"])
