"""The option ``--sim-replay``: which test it runs, and what it refuses."""

from __future__ import annotations

import pytest

TESTS = """
    import time
    import pytest
    from hypothesis import given, strategies as st

    @pytest.mark.sim
    def test_broken():
        time.sleep(1)
        raise ValueError("on purpose")

    @pytest.mark.sim
    def test_other():
        time.sleep(2)

    @pytest.mark.sim
    @given(st.integers())
    def test_given(n):
        pass

    def test_plain():
        pass
"""

FILE = ".routilux_sim/test_x.py_test_broken.shrunk.replay.json"


@pytest.fixture
def kept(pytester):
    """A replay file of ``test_broken``."""
    pytester.makepyfile(test_x=TESTS)
    pytester.runpytest("--sim-seed=7").assert_outcomes(failed=1, passed=3)
    assert (pytester.path / FILE).exists()
    return pytester


def test_of_all_tests_the_one_that_the_file_is_of_runs(kept):
    """The others are deselected, which is said."""
    result = kept.runpytest(f"--sim-replay={FILE}")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines([f"routilux-sim: only the test that {FILE} is of", "*ValueError: on purpose"])


def test_a_test_that_has_been_renamed_can_be_named(kept):
    """If the file's own is not there, all that are run under it."""
    kept.makepyfile(test_x=TESTS.replace("test_broken", "test_renamed"))
    result = kept.runpytest(f"--sim-replay={FILE}", "test_x.py::test_renamed")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ValueError: on purpose"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "ERROR: --sim-replay: *there.replay.json: No such file or directory"),
        ("[]", "ERROR: --sim-replay: *there.replay.json: not a replay file: *"),
    ],
)
@pytest.mark.parametrize("options", [[], ["-n", "1"]])
def test_what_cannot_be_read_is_a_usage_error(pytester, content, message, options):
    """Before anything is collected, and without a traceback."""
    pytester.makepyfile(test_x=TESTS)
    if content is not None:
        pytester.makefile(".replay.json", there=content)
    result = pytester.runpytest_subprocess("--sim-replay=there.replay.json", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in str(result.stdout)


def test_no_file_is_of_a_test_whose_examples_hypothesis_makes(kept):
    """It says what brings them back."""
    result = kept.runpytest(f"--sim-replay={FILE}", "test_x.py::test_given")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*: test_x.py::test_given: no file keeps the examples that Hypothesis makes; *"])
