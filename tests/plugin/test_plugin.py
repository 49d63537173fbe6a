"""The pytest plugin: seeds, markers, notes and artifacts."""

from __future__ import annotations

import json
import re
from zlib import crc32

import pytest

RACE = """
    import threading, time
    import pytest

    @pytest.mark.sim
    def test_order():
        order = []

        def work(name):
            for _ in range(3):
                time.sleep(0)
                order.append(name)

        threads = [threading.Thread(target=work, args=(name,), name=name) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(order) == 9
"""

FAILING = """
    import time
    import pytest

    @pytest.mark.sim
    def test_that_fails():
        time.sleep(3600)
        raise ValueError("broken on purpose")
"""


def artifact(pytester: pytest.Pytester, suffix: str) -> bytes:
    path = min(pytester.path.glob(f"artifacts/*{suffix}"), key=lambda path: len(path.name))
    return path.read_bytes()


def test_the_same_seed_gives_a_byte_identical_execution_log(pytester):
    """Two runs under one ``--sim-seed`` write the same bytes; another seed writes others."""
    pytester.makepyfile(RACE)
    logs = []
    for seed in (7, 7, 8):
        pytester.runpytest(f"--sim-seed={seed}", "--sim-artifacts=artifacts").assert_outcomes(passed=1)
        logs.append(artifact(pytester, ".jsonl"))
    assert logs[0] == logs[1] != logs[2]
    assert all(json.loads(line)["event"] for line in logs[0].splitlines())


def test_the_seed_given_is_shown_in_the_header(pytester):
    """The header names the run's seed."""
    pytester.makepyfile(RACE)
    pytester.runpytest("--sim-seed=7").stdout.fnmatch_lines(["routilux-sim: --sim-seed=7"])


def test_without_the_option_a_fresh_seed_is_drawn_each_time(pytester):
    """Two runs without ``--sim-seed`` show different seeds."""
    pytester.makepyfile(RACE)
    seeds = {re.search(r"--sim-seed=(\d+)", str(pytester.runpytest().stdout)).group(1) for _ in range(3)}
    assert len(seeds) == 3


def test_a_failure_says_how_to_run_it_again(pytester):
    """The note of a failing test holds the command, which fails in the same way."""
    pytester.makepyfile(FAILING)
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    command = re.search(r"reproduce with: pytest (--sim-seed=\d+) '([^']+)'", str(result.stdout))
    again = pytester.runpytest(command.group(1), command.group(2))
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*ValueError: broken on purpose*", "*after 3600 virtual seconds*"])


def test_the_note_reaches_junit_xml(pytester):
    """A CI server that reads JUnit XML shows the command too."""
    pytester.makepyfile(FAILING)
    pytester.runpytest("--sim-seed=7", "--junitxml=out.xml").assert_outcomes(failed=1)
    assert "reproduce with: pytest --sim-seed=7" in (pytester.path / "out.xml").read_text()


def test_a_failing_test_leaves_a_replay_file(pytester):
    """With ``--sim-artifacts`` a failure's schedule is kept beside its log."""
    pytester.makepyfile(FAILING)
    pytester.runpytest("--sim-seed=7", "--sim-artifacts=artifacts")
    document = json.loads(artifact(pytester, ".replay.json"))
    assert document["format"] == "routilux-sim/replay"
    assert "broken on purpose" in document["failure"]


def seeds_of(pytester: pytest.Pytester, *arguments: str) -> dict[str, str]:
    output = str(pytester.runpytest("-s", *arguments).stdout)
    return dict(re.findall(r"(test_\w+) drew (\d+)", output))


TWO_TESTS = """
    import random
    import pytest

    @pytest.mark.sim
    def test_one():
        print("test_one drew", random.getrandbits(30))

    @pytest.mark.sim
    def test_two():
        print("test_two drew", random.getrandbits(30))
"""


def test_a_tests_seed_does_not_depend_on_which_others_run(pytester):
    """Under ``-k``, and in another order, each test draws what it draws in the whole run; and they differ."""
    pytester.makepyfile(test_seeds=TWO_TESTS)
    whole = seeds_of(pytester, "--sim-seed=7")
    assert whole["test_one"] != whole["test_two"]
    assert seeds_of(pytester, "--sim-seed=7", "-k", "two") == {"test_two": whole["test_two"]}
    backwards = ["test_seeds.py::test_two", "test_seeds.py::test_one"]
    assert seeds_of(pytester, "--sim-seed=7", *backwards) == whole


def test_a_tests_seed_is_the_runs_mixed_with_its_node_id(pytester):
    """The seed in the note is the run's, XOR the checksum of the node id."""
    pytester.makepyfile(test_mix=FAILING)
    result = pytester.runpytest("--sim-seed=7")
    expected = 7 ^ crc32(b"test_mix.py::test_that_fails")
    result.stdout.fnmatch_lines([f"*simulated under seed {expected};*"])


def test_all_xdist_workers_share_the_runs_seed(pytester):
    """With ``-n 2`` the seed that the controller drew is the one that the failure note names."""
    pytester.makepyfile(test_a=FAILING, test_b=FAILING)
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(failed=2)
    output = str(result.stdout)
    shown = re.search(r"routilux-sim: --sim-seed=(\d+)", output).group(1)
    assert set(re.findall(r"reproduce with: pytest --sim-seed=(\d+)", output)) == {shown}


def test_a_marked_test_explores_as_many_schedules_as_it_asks_for(pytester):
    """``sim(schedules=200)`` finds the lost update that one schedule misses."""
    pytester.makepyfile(
        """
        import threading, time
        import pytest

        @pytest.mark.sim(schedules=200)
        def test_lost_update():
            total = 0

            def add():
                nonlocal total
                seen = total
                time.sleep(0)
                total = seen + 1

            threads = [threading.Thread(target=add) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert total == 2
        """
    )
    result = pytester.runpytest("--sim-seed=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*simulated under seed *", "FIFO everywhere*", "reproduced 10 of 10;*"])


def test_fixtures_parameters_skips_and_classes_work(pytester):
    """A marked test is a pytest test in every other respect."""
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.fixture
        def five():
            return 5

        @pytest.mark.sim
        class TestThings:
            @pytest.mark.parametrize("n", [1, 2])
            def test_sum(self, five, n):
                time.sleep(n)
                assert time.monotonic() == n and five == 5

            def test_skipped(self):
                pytest.skip("not today")

            @pytest.mark.xfail(raises=ZeroDivisionError)
            def test_expected(self):
                1 / 0
        """
    )
    pytester.runpytest().assert_outcomes(passed=2, skipped=1, xfailed=1)


def test_unmarked_tests_are_left_alone(pytester):
    """A test without the marker runs on real threads."""
    pytester.makepyfile(
        """
        import threading
        from _thread import LockType

        def test_plain():
            assert isinstance(threading.Lock(), LockType)
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_an_inconclusive_run_is_not_a_pass(pytester):
    """A test that reaches its step limit fails, and says so."""
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.sim(max_steps=100)
        def test_forever():
            while True:
                time.sleep(1)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*more than 100 steps*"])


def test_a_livelock_fails(pytester):
    """With the steps that repeat, and what to do."""
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.sim(max_steps=100)
        def test_forever():
            while True:
                time.sleep(0)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*LivelockError: livelock after 0 virtual seconds*", "*'MainThread': yield, at *"])


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", ""])
def test_a_seed_that_is_no_number_is_a_usage_error(pytester, value):
    """``--sim-seed=abc`` exits with pytest's code 4 and says what is allowed."""
    result = pytester.runpytest(f"--sim-seed={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--sim-seed: must be a whole number from 0 up, or 'last', not '{value}'*"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("sim(schedule=3)", "*sim has no argument 'schedule'; there are: schedules, strategy, seed, max_steps*"),
        ("sim(schedules=0)", "*sim(schedules=0) is out of range*"),
        ("sim(seed='x')", "*sim(seed='x') is out of range*"),
        ("sim(strategy='nope')", "*unknown strategy 'nope'; there are: 'dfs', 'dpor'*"),
        ("sim(3)", "*sim takes keyword arguments only*"),
    ],
)
def test_a_marker_that_makes_no_sense_is_a_usage_error(pytester, marker, message):
    """A misspelt or impossible marker argument stops the run before any test, with pytest's code 4."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_the_marker_is_registered(pytester):
    """``--strict-markers`` accepts it, and ``--markers`` explains it."""
    pytester.makepyfile(RACE)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=1)
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.sim(schedules=1*"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("@pytest.mark.sim\nasync def test_it():\n    assert False", "*sim cannot run an 'async def' test*"),
        (
            "import unittest\n@pytest.mark.sim\nclass TestIt(unittest.TestCase):\n    def test_it(self): pass",
            "*sim works on test functions and plain classes, not on unittest's*",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused(pytester, code, message):
    """A marked test whose body would not run, or would run on real threads, is a usage error."""
    pytester.makepyfile(f"import pytest\n{code}\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


EXPLORED = """
    import threading
    import pytest

    @pytest.mark.sim(schedules=200)
    def test_overdrawn():
        lock, balance = threading.Lock(), [100]

        def withdraw():
            with lock:
                enough = balance[0] >= 100
            if enough:
                with lock:
                    balance[0] -= 100

        threads = [threading.Thread(target=withdraw) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert balance[0] >= 0
"""


def test_an_exploration_that_fails_leaves_its_schedules(pytester):
    """Without being asked: the one that was found, and beside it the simplest, in a folder that ignores itself."""
    pytester.makepyfile(test_bank=EXPLORED)
    result = pytester.runpytest("--sim-seed=7")
    result.assert_outcomes(failed=1)
    names = sorted(path.name for path in (pytester.path / ".routilux_sim").iterdir())
    stem = "test_bank.py_test_overdrawn"
    assert names == [".gitignore", f"{stem}.replay.json", f"{stem}.shrunk.replay.json"]
    result.stdout.fnmatch_lines(
        [
            "*FIFO everywhere, except: at step * is preempted before it acquires *",
            f"*pytest --sim-replay=.routilux_sim/{stem}.shrunk.replay.json 'test_bank.py::test_overdrawn'",
            "*check-then-act: *",
            "*reproduced 10 of 10*",
        ]
    )


def test_a_kept_schedule_is_replayed(pytester):
    """``--sim-replay`` runs the test under it alone; what does not fit diverges."""
    pytester.makepyfile(test_bank=EXPLORED)
    output = str(pytester.runpytest("--sim-seed=7").stdout)
    command = re.search(r"pytest (--sim-replay=\S+) '([^']+)'", output)
    again = pytester.runpytest(command.group(1), command.group(2))
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*assert -100 >= 0*"])
    pytester.makepyfile(test_bank=EXPLORED.replace("range(2)", "range(3)"))
    changed = pytester.runpytest(command.group(1), command.group(2))
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*DivergenceError*does not fit the program at step *"])


def test_explorations_that_pass_leave_nothing(pytester):
    """No folder."""
    pytester.makepyfile(test_bank=EXPLORED.replace("range(2)", "range(1)"))
    pytester.runpytest("--sim-seed=7").assert_outcomes(passed=1)
    assert not (pytester.path / ".routilux_sim").exists()
