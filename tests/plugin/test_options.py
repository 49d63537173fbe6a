"""Options of the command line, their twins in ini files, and what goes before what."""

from __future__ import annotations

import re

import pytest

COUNTING = """
    import pytest

    ran = []

    @pytest.mark.sim{marker}
    def test_it():
        import threading, time
        ran.append(1)
        threads = [threading.Thread(target=time.sleep, args=(0,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def test_afterwards():
        print("ran", len(ran), "schedules")
"""


def schedules(pytester: pytest.Pytester, marker: str, *options: str, ini: str = "") -> int:
    """How many schedules a test runs under."""
    pytester.makepyfile(test_it=COUNTING.format(marker=marker))
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = pytester.runpytest("-s", *options)
    result.assert_outcomes(passed=2)
    return int(re.search(r"ran (\d+) schedules", str(result.stdout)).group(1))


@pytest.mark.parametrize(
    ("marker", "options", "ini", "ran"),
    [
        ("", [], "", 1),
        ("", [], "sim_schedules = 3", 3),
        ("(schedules=4)", [], "sim_schedules = 3", 4),
        ("(schedules=4)", ["--sim-schedules=5"], "sim_schedules = 3", 5),
        ("(schedules=4)", ["--sim-schedules=1"], "", 1),
    ],
)
def test_the_command_line_goes_before_the_marker_and_the_marker_before_the_ini_file(
    pytester, marker, options, ini, ran
):
    """Of how many schedules there are, each says something else."""
    assert schedules(pytester, marker, *options, ini=ini) == ran


FAILING = """
    import time
    import pytest

    @pytest.mark.sim{marker}
    def test_that_fails():
        time.sleep(1)
        for _ in range(50):
            time.sleep(0)
        raise ValueError("broken on purpose")
"""


ENDLESS = """
    import time
    import pytest

    @pytest.mark.sim{marker}
    def test_that_fails():
        while True:
            time.sleep(1)
"""


@pytest.mark.parametrize(
    ("marker", "options", "ini", "most"),
    [
        ("", ["--sim-max-steps=200"], "", 20),
        ("(max_steps=400)", ["--sim-max-steps=200"], "", 20),
        ("(max_steps=400)", [], "sim_max_steps = 200", 40),
        ("", [], "sim_max_steps = 200", 20),
    ],
)
def test_a_limit_of_steps(pytester, marker, options, ini, most):
    """It is reached, which is inconclusive; the note says so, and the command holds what was said there."""
    pytester.makepyfile(ENDLESS.format(marker=marker))
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = pytester.runpytest("--sim-seed=7", *options)
    result.assert_outcomes(failed=1)
    command = " ".join(["--sim-seed=7", *options])
    result.stdout.fnmatch_lines(
        [
            f"*the program took more than {most}0 steps*",
            f"*inconclusive, simulated under seed *; reproduce with: pytest {command} '*::test_that_fails'",
        ]
    )


@pytest.mark.parametrize(
    ("marker", "options", "ini", "name"),
    [
        ("", ["--sim-strategy=fifo"], "", "fifo"),
        ("(strategy='pct:3')", ["--sim-strategy=fifo"], "sim_strategy = pos", "fifo"),
        ("(strategy='pct:3')", [], "sim_strategy = pos", "pct:3"),
        ("", [], "sim_strategy = pos", "pos"),
        ("", [], "", "random"),
    ],
)
def test_a_strategy(pytester, marker, options, ini, name):
    """The replay file of the failure holds its name."""
    pytester.makepyfile(FAILING.format(marker=marker))
    pytester.makeini(f"[pytest]\n{ini}\n")
    pytester.runpytest("--sim-seed=7", *options).assert_outcomes(failed=1)
    path = min((pytester.path / ".routilux_sim").glob("*.replay.json"), key=lambda path: len(path.name))
    assert f'"strategy": "{name}"' in path.read_text()


def test_the_command_of_a_failure_holds_what_was_overridden(pytester):
    """Also by ``-o``; and the command fails in the same way."""
    pytester.makepyfile(test_x=FAILING.format(marker=""))
    result = pytester.runpytest("--sim-seed=7", "--sim-schedules=3", "--sim-strategy=pos", "-o", "sim_max_steps=900")
    said = (
        "pytest --sim-seed=7 --sim-schedules=3 --sim-strategy=pos -o 'sim_max_steps=900' 'test_x.py::test_that_fails'"
    )
    result.stdout.fnmatch_lines([f"*reproduce with: {said}"])


ALLOWED = {
    "schedules": "must be a whole number from 1 up, not ",
    "max-steps": "must be a whole number from 1 up, not ",
    "workers": "must be a whole number from 1 to 1024, not ",
    "seed": "must be a whole number from 0 up, or 'last', not ",
    "strategy": "unknown strategy ",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schedules", "0"),
        ("schedules", "ten"),
        ("max-steps", "-1"),
        ("workers", "0"),
        ("workers", "1025"),
        ("seed", "first"),
        ("strategy", "nope"),
    ],
)
def test_wrong_values_are_usage_errors(pytester, name, value):
    """At the command line and in the ini file: pytest's exit code 4, what it was, and what is allowed."""
    option = f"--sim-{name}"
    result = pytester.runpytest(f"{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option}*: {ALLOWED[name]}'{value}'*"])
    ini = option[2:].replace("-", "_")
    pytester.makeini(f"[pytest]\n{ini} = {value}\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{ini}: {ALLOWED[name]}'{value}'*"])


@pytest.mark.parametrize(
    "name", ["seed", "schedules", "strategy", "max-steps", "workers", "replay", "artifacts", "check-determinism"]
)
def test_help_has_each_option_and_its_twin(pytester, name):
    """And says what goes before what."""
    text = str(pytester.runpytest("--help").stdout)
    assert f"--sim-{name}" in text
    assert f"sim_{name.replace('-', '_')}" in text
    assert "goes before the marker's arguments, and these go before" in " ".join(text.split())


def test_a_seed_in_the_ini_file_is_the_runs(pytester):
    """The command line's goes before it."""
    pytester.makepyfile(COUNTING.format(marker=""))
    pytester.makeini("[pytest]\nsim_seed = 41\n")
    pytester.runpytest().stdout.fnmatch_lines(["routilux-sim: --sim-seed=41"])
    pytester.runpytest("--sim-seed=42").stdout.fnmatch_lines(["routilux-sim: --sim-seed=42"])


def test_the_last_seed_is_that_of_the_run_before(pytester):
    """Also when a run without simulated tests came in between."""
    pytester.makepyfile(test_it=COUNTING.format(marker=""), test_plain="def test_plain(): pass")
    pytester.runpytest("--sim-seed=43").assert_outcomes(passed=3)
    pytester.runpytest("test_plain.py").assert_outcomes(passed=1)
    for _ in range(2):
        pytester.runpytest("--sim-seed=last").stdout.fnmatch_lines(["routilux-sim: --sim-seed=43"])


def test_without_a_run_before_there_is_no_last_seed(pytester):
    """A usage error, as when pytest keeps nothing."""
    result = pytester.runpytest("--sim-seed=last")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--sim-seed=last: no seed is known of a run before this one; give a whole number*"])
    result = pytester.runpytest("--sim-seed=last", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--sim-seed=last needs pytest's cache*"])


def test_artifacts_and_a_replay_by_the_ini_file(pytester):
    """Their paths are seen from the project's root."""
    pytester.makepyfile(test_x=FAILING.format(marker="(schedules=3)"))
    pytester.makeini("[pytest]\nsim_artifacts = kept\n")
    pytester.runpytest("--sim-seed=7").assert_outcomes(failed=1)
    (path,) = (pytester.path / "kept").glob("*_fails.replay.json")
    pytester.makeini(f"[pytest]\nsim_replay = kept/{path.name}\n")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*broken on purpose*", "*under seed *; reproduce with: pytest --sim-replay=*"])


def test_a_replay_that_fails_shows_what_happens_step_by_step(pytester):
    """As the exploration that found it does."""
    pytester.makepyfile(test_x=FAILING.format(marker="(schedules=3)"))
    pytester.runpytest("--sim-seed=7")
    (path,) = (pytester.path / ".routilux_sim").glob("*.shrunk.replay.json")
    result = pytester.runpytest(f"--sim-replay={path}")
    result.stdout.fnmatch_lines(["FIFO everywhere*", "what the tasks do, step by step:"])


def test_workers_share_the_schedules(pytester):
    """The same schedules as in one process, so the same failure; only explorations need them."""
    pytester.makepyfile(test_x=FAILING.format(marker="(schedules=20)"))
    result = pytester.runpytest("--sim-seed=7", "--sim-workers=2")
    result.assert_outcomes(failed=1)
    assert "simulated otherwise than asked for" not in str(result.stdout)
    pytester.makepyfile(test_x=COUNTING.format(marker="(schedules=20)"))
    pytester.makeini("[pytest]\nsim_workers = 2\n")
    result = pytester.runpytest("-s")
    result.assert_outcomes(passed=2)
    # They ran elsewhere.
    result.stdout.fnmatch_lines(["*ran 0 schedules*", "routilux-sim: 1 test (1 *), 20 schedules in *"])


def test_where_workers_cannot_share_one_process_runs_all_and_it_is_said(pytester):
    """Nothing is left out, and nothing goes unsaid."""
    pytester.makepyfile(test_x=COUNTING.format(marker="(schedules=5, strategy='dfs')"))
    result = pytester.runpytest("--sim-workers=2", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*ran 5 schedules*",
            "*simulated otherwise than asked for*",
            "test_x.py::test_it: in one process, not in 2: strategy 'dfs' makes each schedule of those before*",
        ]
    )
