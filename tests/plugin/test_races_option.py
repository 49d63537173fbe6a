"""Data races in marked tests: ``races=``, ``allow_races=`` and the ini option."""

from __future__ import annotations

import pytest

RACY = """
    import threading
    import pytest
    from routilux_sim.kernel.core import here

    class Cell:
        label = "Counter.value"

        def write(self):
            here().point("write", self)

    def race():
        cell = Cell()
        for _ in range(2):
            threading.Thread(target=cell.write).start()

    @pytest.mark.sim({options})
    def test_racy():
        race()
"""


@pytest.mark.parametrize("schedules", [1, 5])
def test_a_race_fails_a_test_that_says_so(pytester, schedules):
    """The message names what is accessed and where; without ``races`` nobody looks."""
    pytester.makepyfile(RACY.format(options=f"races='fail', schedules={schedules}"))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DataRaceError: data race on Counter.value: nothing orders them*"])
    pytester.makepyfile(RACY.format(options=f"schedules={schedules}"))
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("schedules", [1, 5])
def test_a_race_that_is_reported_is_listed_below_the_test(pytester, schedules):
    """The test passes; ``-rP`` shows the list."""
    pytester.makepyfile(RACY.format(options=f"races='report', schedules={schedules}"))
    result = pytester.runpytest("-rP")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*data races*", "data race on Counter.value: *"])


def test_a_race_is_allowed_by_the_marker_or_by_the_ini_file(pytester):
    """Either list will do."""
    pytester.makepyfile(RACY.format(options="races='fail', allow_races=['Counter.value']"))
    pytester.runpytest().assert_outcomes(passed=1)
    pytester.makepyfile(RACY.format(options="races='fail'"))
    pytester.makeini("[pytest]\nsim_allow_races =\n    bank.py:12\n    Counter.value\n")
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("options", ["races='maybe'", "races=True", "allow_races='Counter.value'", "allow_races=[1]"])
def test_wrong_values_are_refused(pytester, options):
    """Before anything runs."""
    pytester.makepyfile(RACY.format(options=options))
    result = pytester.runpytest()
    result.assert_outcomes()
    result.stderr.fnmatch_lines(["*ERROR: *test_racy: sim(* is out of range*"])
