"""What is said about failures, and about the run as a whole."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from routilux_sim import pytest_progress
from routilux_sim.pytest_summary import in_words

DEADLOCK = """
    import threading, time
    import pytest

    @pytest.mark.sim{marker}
    def test_it():
        locks = threading.Lock(), threading.Lock()

        def take(first, second):
            with first, second:
                pass

        threads = [threading.Thread(target=take, args=pair) for pair in (locks, locks[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""

SENTENCE = r"FIFO everywhere, except: at step \d+ Thread-1 \(take\) is preempted before it acquires "
VERDICT = r"failed \(deadlock\) in schedule \d+ of at most 100, simulated under seed \d+; "
COMMAND = r"reproduce with: pytest --sim-seed=7 'test_x.py::test_it'"
REPLAY = (
    r"run it alone with: pytest --sim-replay=.routilux_sim/test_x.py_test_it.shrunk.replay.json 'test_x.py::test_it'"
)


def test_the_note_of_a_failure_holds_seed_verdict_sentence_and_commands(pytester):
    """At the terminal and in JUnit XML; the interleaving stands in a section."""
    pytester.makepyfile(test_x=DEADLOCK.format(marker="(schedules=100)"))
    result = pytester.runpytest("--sim-seed=7", "--junitxml=out.xml")
    result.assert_outcomes(failed=1)
    told = ET.parse(pytester.path / "out.xml").find(".//failure").text
    for text in (str(result.stdout), told):
        for pattern in (SENTENCE, VERDICT + COMMAND, REPLAY):
            assert re.search(pattern, text), pattern
    result.stdout.fnmatch_lines(
        ["*Captured simulation call*", "what the tasks do, step by step:", "reproduced 10 of 10*"]
    )


def test_a_deadlock_points_to_the_line_where_the_test_waits(pytester):
    """With its source, and where reports have one line for a failure."""
    code = DEADLOCK.format(marker="(schedules=100)")
    pytester.makepyfile(test_x=code)
    result = pytester.runpytest("--sim-seed=7")
    result.stdout.fnmatch_lines([">*thread.join()", "E  *DeadlockError: deadlock after 0 virtual seconds: *"])
    assert "traceback entries are hidden" not in str(result.stdout)
    lines = pytester.path.joinpath("test_x.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "join()" in line)
    pytester.runpytest("--tb=line").stdout.fnmatch_lines([f"*test_x.py:{number}: *DeadlockError: *"])


def test_a_single_schedule_that_fails_is_made_simpler_too(pytester):
    """Nothing but the seed is said to find it, and the simplest schedule is kept."""
    pytester.makepyfile(test_x=DEADLOCK.format(marker=""))
    for seed in range(1, 60):
        result = pytester.runpytest(f"--sim-seed={seed}")
        if result.ret:
            break
    text = str(result.stdout)
    for pattern in (SENTENCE, r"failed \(deadlock\), simulated under seed \d+; reproduce with: ", REPLAY):
        assert re.search(pattern, text), pattern


def test_an_exploration_that_shows_nothing_says_how_to_run_it_again(pytester):
    """The verdict is in the note."""
    pytester.makepyfile(
        test_x="""
        import time
        import pytest

        @pytest.mark.sim(schedules=5, max_steps=100)
        def test_it():
            while True:
                time.sleep(1)
        """
    )
    result = pytester.runpytest("--sim-seed=7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*InconclusiveError*", f"*inconclusive in schedule 1 of at most 5; {COMMAND}"])
    result.stdout.fnmatch_lines(["routilux-sim: 1 test (1 inconclusive), 1 schedule in *"])


@pytest.mark.parametrize("marker", ["", "(schedules=5)"])
@pytest.mark.parametrize("call", ["subprocess.run('true')", "os.system('true')"])
def test_what_is_not_simulated_points_to_the_line_that_calls_it(pytester, call, marker):
    """And to none of the plugin's, the simulator's or the standard library's."""
    pytester.makepyfile(
        test_x=f"import os, subprocess\nimport pytest\n\n@pytest.mark.sim{marker}\ndef test_it():\n    {call}\n"
    )
    result = pytester.runpytest("--tb=short")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["test_x.py:6: in test_it", f"    {call}", "E  *is not simulated*"], consecutive=True)
    assert "routilux_sim/" not in str(result.stdout).partition("FAILURES")[2].partition("E  ")[0]


MANY = """
    import threading, time
    import pytest

    @pytest.mark.sim(schedules=20)
    @pytest.mark.parametrize("n", [1, 2])
    def test_many(n):
        lock = threading.Lock()

        def work():
            time.sleep(1800)
            with lock:
                pass

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @pytest.mark.sim(schedules=20)
    def test_nothing_to_choose():
        pass

    @pytest.mark.sim
    def test_one():
        time.sleep(1800)
"""


def test_the_summary_counts_everything(pytester):
    """Tests and verdicts, schedules and their rate, virtual time, coverage."""
    pytester.makepyfile(MANY)
    result = pytester.runpytest()
    result.assert_outcomes(passed=4)
    (line,) = (line for line in result.outlines if line.startswith("routilux-sim: 4 tests"))
    assert re.fullmatch(
        r"routilux-sim: 4 tests \(1 exhausted, 3 passed\), 42 schedules in \d+\.\d\d s \([\d,]+/s\), 20.5 h of virtual "
        r"time, coverage \d+ happens-before classes and \d+ ordered conflicting pairs",
        line,
    )


def test_tests_that_are_skipped_or_expected_to_fail_are_counted_as_such(pytester):
    """Their executions ended with an exception, which is no failure; and nothing is told of a schedule."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sim(schedules=20)
        def test_skipped():
            pytest.skip("not today")

        @pytest.mark.xfail(strict=True, reason="known")
        @pytest.mark.sim(schedules=20)
        def test_expected():
            assert False
        """
    )
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["routilux-sim: 2 tests (1 xfailed, 1 skipped), 2 schedules in *"])
    (line,) = (line for line in result.outlines if line.startswith("SKIPPED"))
    assert line.endswith(": not today")
    assert "FIFO" not in str(result.stdout)


def test_commands_work_where_pytest_was_started(pytester, monkeypatch):
    """In a folder of the project, for a test that goes elsewhere, and with what a shell takes for something else."""
    pytester.makeini("[pytest]")
    folder = pytester.mkdir("inner")
    folder.joinpath("test_x.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.sim\n"
        "@pytest.mark.parametrize('who', [\"it's\"])\n"
        "def test_it(who, monkeypatch, tmp_path):\n"
        "    monkeypatch.chdir(tmp_path)\n"
        "    raise ValueError('on purpose')\n"
    )
    monkeypatch.chdir(folder)
    text = str(pytester.runpytest("--sim-seed=7", "--sim-artifacts=kept").stdout)
    assert (folder / "kept").is_dir()
    commands = re.findall(r"(?:reproduce|run it alone) with: pytest (.*)", text)
    assert len(commands) == 2
    for command in commands:
        again = pytester.runpytest(*shlex.split(command))
        again.assert_outcomes(failed=1)
        again.stdout.fnmatch_lines(["*ValueError: on purpose*"])


def test_a_message_of_several_lines_is_told_as_one(pytester):
    """Where and when it was raised stands behind its first line, and the others are not mistaken for steps."""
    pytester.makepyfile(
        "import pytest\n@pytest.mark.sim(schedules=2)\ndef test_it():\n    raise ValueError('one\\ntwo')\n"
    )
    pytester.runpytest().stdout.fnmatch_lines(
        ["ValueError: one in task 'MainThread', after 0 virtual seconds", "two"], consecutive=True
    )


def test_artifacts_that_cannot_be_written_are_no_failure_of_the_test(pytester):
    """The test's own is shown, and what is not kept is said."""
    pytester.makepyfile(test_x=MANY + "\n    @pytest.mark.sim\n    def test_broken():\n        assert not 'so'\n")
    pytester.path.joinpath("taken").write_text("no folder")
    result = pytester.runpytest("--sim-artifacts=taken")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: assert not 'so'",
            "*simulated otherwise than asked for*",
            "test_x.py::test_one: its log is not kept: *taken*",
            "test_x.py::test_broken: its schedule is not kept: *taken*",
        ]
    )


def test_a_pytest_xdist_worker_refuses_each_test_by_itself(pytester):
    """With the reason, which a usage error in a worker would not show; other tests run."""
    pytester.makepyfile(
        "import pytest\n\n@pytest.mark.sim(schedule=3)\ndef test_it(): pass\n\ndef test_plain(): pass\n"
    )
    result = pytester.runpytest_subprocess("-n", "1")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*sim has no argument 'schedule'; there are: schedules, *"])


def test_without_simulated_tests_there_is_no_summary(pytester):
    """Nor with -qq."""
    pytester.makepyfile("def test_it(): pass")
    assert "routilux-sim: " not in str(pytester.runpytest("-q").stdout)
    pytester.makepyfile(DEADLOCK.format(marker="(strategy='fifo')"))
    pytester.runpytest("-q").stdout.fnmatch_lines(["routilux-sim: 1 test (1 passed), 1 schedule in *"])
    assert "routilux-sim: " not in str(pytester.runpytest("-qq").stdout)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172_799, "48 h"),
        (172_800, "2 days"),
        (86_400 * 12_345.0, "12,345 days"),
    ],
)
def test_virtual_time_in_words(seconds, words):
    """In a unit that fits."""
    assert in_words(seconds) == words


SLOW = """
    import threading, time
    import pytest

    @pytest.mark.sim(schedules=300)
    def test_long():
        threads = [threading.Thread(target=time.sleep, args=(0,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""


def test_a_long_exploration_says_how_far_it_is(pytester, monkeypatch):
    """Although output is captured; ever less often, and not under -q."""
    monkeypatch.setattr(pytest_progress, "QUIET", 0.02)
    pytester.makepyfile(test_x=SLOW)
    line = r"routilux-sim: test_x.py::test_long: \d+ of at most 300 schedules in \d+ s \([\d,]+/s\), none has failed"
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    shown = [text for text in result.outlines if re.fullmatch(line, text)]
    assert 1 <= len(shown) < 12
    assert "schedules in" not in "\n".join(pytester.runpytest("-q", "-q").outlines)


def test_short_explorations_say_nothing(pytester):
    """It takes two seconds for the first line."""
    pytester.makepyfile(test_x=SLOW)
    assert "of at most" not in str(pytester.runpytest().stdout)


START = """
import time, pytest
began = time.process_time()
import routilux_sim.pytest_plugin as plugin
parser = pytest.Parser(_ispytest=True)
plugin.pytest_addoption(parser)
plugin.ready.prepare()
print(time.process_time() - began)
"""


def test_an_unused_plugin_costs_little():
    """Loading it and making ready what modules are about to capture: some 12 ms where 20 are allowed, the best of five.

    Of processor time, with a margin of two for slower machines.
    """
    took = [
        float(subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(took) < 0.040
