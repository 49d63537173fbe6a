"""What may go wrong in marked tests: the marker's ``faults=`` and ``swarm=``, and ``sim.fault``."""

from __future__ import annotations

import re

import pytest

IN_TIME = """
    import threading
    import pytest

    PLAN = {{"stall": [{{"task": "worker", "probability": 0.3, "by": {{"kind": "constant", "seconds": 0.5}}}}]}}

    @pytest.fixture
    def slow(sim):
        sim.fault(PLAN)

    @pytest.mark.sim(schedules=50{marker})
    def test_in_time({arguments}):
        ready = threading.Event()
        threading.Thread(target=ready.set, name="worker").start()
        assert ready.wait(0.1)
"""


def run(pytester: pytest.Pytester, marker: str = "", arguments: str = "") -> pytest.RunResult:
    pytester.makepyfile(test_x=IN_TIME.format(marker=marker, arguments=arguments))
    return pytester.runpytest("--sim-seed=7")


def test_without_a_plan_nothing_goes_wrong(pytester):
    """No schedule fails."""
    run(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "arguments"), [(", faults=PLAN", ""), ("", "slow"), (", faults={}", "slow"), (", faults=PLAN", "sim")]
)
def test_a_plan_is_told_by_marker_or_fixture(pytester, marker, arguments):
    """The failure is said to need the fault, and its replay has it too."""
    result = run(pytester, marker, arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*only if worker stalls for 0.5 s*"])
    command = re.search(r"pytest (--sim-replay=\S+) '([^']+)'", str(result.stdout))
    again = pytester.runpytest(command.group(1), command.group(2))
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*only if worker stalls for 0.5 s*"])


def test_swarm_has_threads_stall_without_a_plan(pytester):
    """Each schedule draws whether."""
    result = run(pytester, ", swarm=True")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*only if * stalls for *"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (", faults={'stal': []}", "*sim(faults=): *stal*"),
        (", faults=3", "*sim(faults=3) is out of range*"),
        (", swarm=1", "*sim(swarm=1) is out of range*"),
    ],
)
def test_what_is_no_plan_is_a_usage_error(pytester, marker, message):
    """Before anything runs."""
    result = run(pytester, marker)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_it_is_settled_before_the_test_begins_and_once(pytester):
    """Otherwise it is an error that says what to do."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.sim
        def test_late(sim):
            with pytest.raises(RuntimeError, match="sim.fault is for a fixture"):
                sim.fault({})

        @pytest.fixture
        def twice(sim):
            sim.fault({})
            with pytest.raises(RuntimeError, match="put everything that may go wrong in one plan"):
                sim.fault({})

        @pytest.mark.sim
        def test_twice(twice):
            pass
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_invariants_are_checked_where_tasks_stall(pytester):
    """Looking at what is simulated draws nothing."""
    pytester.makepyfile(
        test_x="""
        import threading
        import pytest

        @pytest.mark.sim(schedules=30, swarm=True)
        def test_it(sim):
            lock, state = threading.Lock(), [0]
            sim.always(lambda: lock.locked() or state[0] % 2 == 0)

            def work():
                with lock:
                    state[0] += 1
                    sim.advance(1)
                    state[0] += 1

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)
