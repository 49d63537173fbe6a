"""The marker's ``instrument=`` and the ini option of its name."""

from __future__ import annotations

import pytest

RACY = """
    import threading
    import pytest

    class Counter:
        def __init__(self):
            self.value = 0

        def add(self):
            self.value += 1

    @pytest.mark.sim(schedules=100{arguments})
    def test_counting():
        counter = Counter()
        threads = [threading.Thread(target=counter.add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter.value == 2
"""

AUTO = ', instrument="auto"'
NAMED = ', instrument=["test_racy"]'
OTHER = ', instrument=["elsewhere"]'
NONE = ", instrument=None"


def run(pytester: pytest.Pytester, arguments: str, ini: str = "") -> pytest.RunResult:
    pytester.makepyfile(test_racy=RACY.format(arguments=arguments))
    if ini:
        pytester.makeini(f"[pytest]\nsim_instrument = {ini}\n")
    return pytester.runpytest("-p", "no:cacheprovider", "--sim-seed=1")


@pytest.mark.parametrize(
    ("arguments", "ini", "is_found"),
    [
        ("", "", True),
        ("", "none", False),
        (AUTO, "none", True),
        (AUTO, "", True),
        (NAMED, "", True),
        (OTHER, "", False),
        ("", "auto", True),
        ("", "elsewhere test_racy", True),
        (NONE, "auto", False),
    ],
)
def test_a_race_on_memory_is_found_unless_one_says_otherwise(pytester, arguments, ini, is_found):
    """The marker's argument goes before the ini option, which holds for tests that have none."""
    run(pytester, arguments, ini).assert_outcomes(failed=int(is_found), passed=int(not is_found))


@pytest.mark.parametrize("value", ["'everything'", "[]", "[1]", "7"])
def test_a_wrong_value_is_refused_before_anything_runs(pytester, value):
    """It is a usage error that names the test."""
    result = run(pytester, f", instrument={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_counting*instrument*out of range*"])


def test_auto_and_names_do_not_go_together(pytester):
    """It is not clear what would be meant."""
    result = run(pytester, "", "auto test_racy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*sim_instrument*'auto' or 'none' stand alone*"])
