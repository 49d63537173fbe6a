"""Kept schedules, and what failed in the run before, run first."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

BANK = """
    import threading
    import pytest

    def program(withdrawals):
        lock, balance = threading.Lock(), [100]

        def withdraw():
            with lock:
                enough = balance[0] >= 100
            if enough:
                with lock:
                    balance[0] -= 100

        threads = [threading.Thread(target=withdraw) for _ in range(withdrawals)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert balance[0] >= 0

    @pytest.mark.sim
    def test_before():
        pass

    def test_plain():
        pass

    @pytest.mark.sim(schedules={schedules}, strategy={strategy!r})
    def test_bank():
        program({withdrawals})
"""

NODEID = "test_bank.py::test_bank"


def write(pytester: pytest.Pytester, schedules: int = 200, strategy: str = "portfolio", withdrawals: int = 2) -> None:
    pytester.makepyfile(test_bank=BANK.format(schedules=schedules, strategy=strategy, withdrawals=withdrawals))


def run(pytester: pytest.Pytester, *options: str) -> tuple[pytest.RunResult, list[str]]:
    """The result, and the tests in the order in which they ran."""
    result = pytester.runpytest("-v", *options)
    return result, re.findall(r"::(test_\w+) (?:PASSED|FAILED)", str(result.stdout))


USUAL = ["test_before", "test_plain", "test_bank"]
FIRST = ["test_bank", "test_before", "test_plain"]


def keep_regression(pytester: pytest.Pytester) -> None:
    """Find the failure, and keep its schedule as people do."""
    write(pytester)
    assert run(pytester, "--sim-seed=7")[1] == USUAL
    (path,) = (pytester.path / ".routilux_sim").glob("*.shrunk.replay.json")
    folder = pytester.mkdir("scenarios") / "regressions"
    folder.mkdir()
    path.rename(folder / "overdrawn.replay.json")


def test_what_failed_runs_first_under_the_schedule_that_failed(pytester):
    """The second time the plain schedule alone would not find it; the third time it does not fail any more."""
    write(pytester)
    run(pytester, "--sim-seed=7")[0].assert_outcomes(failed=1, passed=2)
    write(pytester, schedules=1, strategy="fifo")
    result, order = run(pytester)
    assert order == FIRST
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        [
            "routilux-sim: first 1 simulated test that failed before",
            "*under the schedule of its last failure, which is run first: .routilux_sim/*.shrunk.replay.json",
            f"*reproduce with: pytest --sim-replay=.routilux_sim/*.shrunk.replay.json '{NODEID}'",
        ]
    )
    write(pytester, schedules=1, strategy="fifo", withdrawals=1)
    result, order = run(pytester)
    assert order == FIRST
    result.assert_outcomes(passed=3)
    write(pytester, schedules=1, strategy="fifo")
    result, order = run(pytester)
    assert order == USUAL
    result.assert_outcomes(passed=3)


def test_what_did_not_run_is_remembered(pytester):
    """Until it runs and passes."""
    write(pytester)
    run(pytester, "--sim-seed=7")
    assert run(pytester, "-k", "before")[1] == ["test_before"]
    assert run(pytester, "--sim-seed=7")[1] == FIRST


def test_a_kept_schedule_is_found_without_the_run_before(pytester):
    """It lies in ``scenarios/regressions/`` and names its test; pytest's cache is not needed."""
    keep_regression(pytester)
    write(pytester, schedules=1, strategy="fifo")
    result, order = run(pytester, "-p", "no:cacheprovider")
    assert order == FIRST
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        [
            "routilux-sim: first 1 kept schedule of scenarios/regressions/",
            "*under a kept regression, which is run first: scenarios/regressions/overdrawn.replay.json",
        ]
    )


def test_a_kept_schedule_that_does_not_fit_any_more_is_named(pytester):
    """The test goes on to its other schedules, and passes."""
    keep_regression(pytester)
    write(pytester, schedules=3, withdrawals=1)
    result, order = run(pytester)
    assert order == FIRST
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "*simulated otherwise than asked for*",
            f"{NODEID}: scenarios/regressions/overdrawn.replay.json says nothing any more: the schedule does not fit*",
        ]
    )


def test_a_kept_schedule_that_cannot_be_read_is_a_usage_error(pytester):
    """It is named; without simulated tests nobody looks."""
    keep_regression(pytester)
    path = pytester.path / "scenarios" / "regressions" / "broken.replay.json"
    path.write_text("{")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*regressions: *broken.replay.json: not a JSON document*; mend or remove it*"])
    pytester.makepyfile(test_bank="def test_plain(): pass")
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_kept_schedule_whose_test_is_gone_is_named(pytester):
    """Where all tests of its file are there, and not just some of them."""
    keep_regression(pytester)
    path = pytester.path / "scenarios" / "regressions" / "overdrawn.replay.json"
    path.write_text(path.read_text().replace(NODEID, "test_bank.py::test_old"))
    write(pytester, schedules=1, strategy="fifo")
    said = "*overdrawn.replay.json is of test_bank.py::test_old, and there is no such simulated test"
    pytester.runpytest().stdout.fnmatch_lines([said])
    for options in (["-k", "overdrawn"], [NODEID]):
        assert "is of test_bank.py::test_old" not in str(pytester.runpytest(*options).stdout)


def test_kept_schedules_of_others_are_nobodys(pytester):
    """The order stays, and nothing is said."""
    keep_regression(pytester)
    path = pytester.path / "scenarios" / "regressions" / "overdrawn.replay.json"
    path.write_text(path.read_text().replace(NODEID, "shop.orders:program"))
    write(pytester, schedules=1, strategy="fifo")
    result, order = run(pytester, "--cache-clear")
    assert order == USUAL
    result.assert_outcomes(passed=3)
    assert "routilux-sim: first" not in str(result.stdout)


def test_a_kept_race_is_a_failure_where_races_are(pytester):
    """Elsewhere it is said that it did not run."""
    keep_regression(pytester)
    path = pytester.path / "scenarios" / "regressions" / "overdrawn.replay.json"
    path.write_text(path.read_text().replace('"kind": "exception"', '"kind": "race"'))
    write(pytester, schedules=1, strategy="fifo")
    result, _ = run(pytester, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*overdrawn.replay.json first: races are no failures here*"])


def test_under_xdist_all_processes_have_one_order_and_everything_is_said(pytester):
    """The controller says what is first; the note reaches terminal and JUnit XML, the section and figures come too."""
    keep_regression(pytester)
    write(pytester, schedules=1, strategy="fifo")
    result = pytester.runpytest_subprocess("-n", "1", "--junitxml=out.xml")
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        [
            "*under a kept regression, which is run first: *",
            "*Captured simulation call*",
            "what the tasks do, step by step:",
            "routilux-sim: 2 tests (1 failed, 1 passed), 2 schedules in *",
        ]
    )
    told = ET.parse(pytester.path / "out.xml").find(".//failure").text
    for text in (str(result.stdout), told):
        assert "FIFO everywhere, except: at step " in text
        assert "failed (exception), simulated under seed " in text
        assert "reproduce with: pytest --sim-replay=scenarios/regressions/overdrawn.replay.json" in text
