"""What the plugin makes of a test that does not do the same twice."""

from __future__ import annotations

import pytest

UNSTEADY = """
    import os
    import threading
    import time
    import pytest

    seen = []

    def decide(count):
        event = threading.Event()
        threads = [threading.Thread(target=lambda: [event.set() for _ in range(count)]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""


def run(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(UNSTEADY + body)
    return pytester.runpytest("--sim-seed=7", *options)


KEPT = """
    @pytest.mark.sim{arguments}
    def test_it():
        seen.append(1)
        decide(len(seen))
"""


@pytest.mark.parametrize("arguments", ["", "(schedules=5)"])
def test_a_test_that_does_otherwise_fails_with_the_option(pytester, arguments):
    """A passing test that keeps state passes by default, and is an error that names step and cause when asked for."""
    body = KEPT.format(arguments=arguments)
    run(pytester, body).assert_outcomes(passed=1)
    result = run(pytester, body, "--sim-check-determinism")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*every schedule is run twice*"])
    result.stdout.fnmatch_lines(["*NondeterminismError: under seed * did not do the same twice*"])
    result.stdout.fnmatch_lines(["*at decision * was * the first time, and * the second*"])
    result.stdout.fnmatch_lines(["*cause: state that is kept from one run to the next*"])
    result.stdout.fnmatch_lines(["*reproduce with: pytest --sim-seed=* --sim-check-determinism '*::test_*'"])


def test_the_option_has_an_ini_twin(pytester):
    """``sim_check_determinism = true`` in a configuration file does the same."""
    pytester.makeini("[pytest]\nsim_check_determinism = true\n")
    run(pytester, KEPT.format(arguments="")).assert_outcomes(failed=1)


def test_a_test_that_does_the_same_passes_with_the_option(pytester):
    """Nothing is said about a deterministic test, and it is really run twice."""
    body = """
    @pytest.mark.sim
    def test_it():
        seen.append(1)
        decide(3)

    def test_afterwards():
        assert len(seen) == 2
    """
    result = run(pytester, body, "--sim-check-determinism")
    result.assert_outcomes(passed=2)
    assert "not checked" not in str(result.stdout)


FIXTURE = """
    @pytest.fixture
    def given():
        return []

    @pytest.mark.sim{arguments}
    def test_it(given):
        given.append(1)
        decide(len(given))
        {end}
"""


@pytest.mark.parametrize("arguments", ["", "(schedules=3)"])
def test_a_changed_fixture_is_no_error(pytester, arguments):
    """A test whose second run sees what the first did to its fixtures passes, and is said not to be checked."""
    result = run(pytester, FIXTURE.format(end="pass", arguments=arguments), "--sim-check-determinism")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*determinism not checked*", "*::test_it: its second run saw what the first had done*"]
    )


def test_a_real_cause_is_an_error_with_fixtures_too(pytester):
    """What experiments show to come from elsewhere is not put down to the fixtures."""
    body = """
    randomness = (os.urandom,)

    @pytest.mark.sim
    def test_it(tmp_path):
        decide(int.from_bytes(randomness[0](2)) % 1000)
    """
    result = run(pytester, body, "--sim-check-determinism")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cause: randomness that the seed does not decide*"])


@pytest.mark.parametrize("option", [[], ["--sim-check-determinism"]])
def test_a_failure_that_does_not_come_back_stays_a_failure(pytester, option):
    """The original exception is what the report shows, with a note that says what the second run did otherwise."""
    result = run(pytester, FIXTURE.format(end='assert len(given) > 1, "the first failure"', arguments=""), *option)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: the first failure"])
    result.stdout.fnmatch_lines(["*run again, the test did not do the same, so this failure may not come back*"])
    result.stdout.fnmatch_lines(["*perhaps because the first run changed what the test was given (given)*"])


def test_a_failure_of_one_schedule_among_many_stays_a_failure(pytester):
    """Likewise when it is one of many schedules that failed."""
    body = """
    @pytest.mark.sim(schedules=10)
    def test_it():
        seen.append(1)
        decide(2)
        assert len(seen) != 4, "only once"
    """
    result = run(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: only once"])
    result.stdout.fnmatch_lines(["*this failure may not come back*"])


def test_a_failure_that_comes_back_has_no_such_note(pytester):
    """A deterministic failure is run again by default, and nothing more is said."""
    body = """
    @pytest.mark.sim
    def test_it():
        seen.append(1)
        decide(2)
        assert False, "always"

    def test_afterwards():
        assert len(seen) >= 2
    """
    result = run(pytester, body)
    result.assert_outcomes(failed=1, passed=1)
    assert "come back" not in str(result.stdout)


def test_a_skip_is_not_run_again(pytester):
    """What is no failure needs no second run."""
    body = """
    @pytest.mark.sim
    def test_it():
        seen.append(1)
        pytest.skip("not today")

    def test_afterwards():
        assert len(seen) == 1
    """
    run(pytester, body).assert_outcomes(skipped=1, passed=1)


def test_examples_of_hypothesis_are_not_run_again(pytester):
    """Hypothesis runs failing examples again itself; with the option, such a test is said not to be checked."""
    body = """
    from hypothesis import given, settings, strategies as st

    @pytest.mark.sim
    @settings(max_examples=5, database=None)
    @given(st.data())
    def test_it(data):
        decide(data.draw(st.integers(1, 3)))
    """
    result = run(pytester, body, "--sim-check-determinism")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*determinism not checked*", "*::test_it: Hypothesis makes its examples*"])


def test_a_failure_is_not_lost_to_a_time_limit(pytester):
    """What breaks the second run off from outside is a note on the failure of the first."""
    body = """
    import signal

    def strike(signum, frame):
        pytest.fail("time is up")

    @pytest.fixture(autouse=True)
    def limit():
        previous = signal.signal(signal.SIGALRM, strike)
        yield
        signal.signal(signal.SIGALRM, previous)

    @pytest.mark.sim
    def test_it():
        seen.append(1)
        if len(seen) > 1:
            signal.raise_signal(signal.SIGALRM)
        assert False, "the first failure"
    """
    result = run(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: the first failure"])
    result.stdout.fnmatch_lines(["*run again to see whether this comes back, it was broken off: time is up*"])
