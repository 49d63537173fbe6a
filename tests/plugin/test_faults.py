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


ADDED = """
    import threading
    import pytest

    def in_time(ready, name):
        ready.clear()
        threading.Thread(target=ready.set, name=name).start()
        return ready.wait(0.1)

    @pytest.mark.sim(schedules=50{marker})
    def test_in_time(sim):
        ready = threading.Event()
        {before}
        sim.fault({{"stall": [{{"task": "late", "probability": 0.3, "by": 0.5}}]}}, swarm={swarm})
        {after}
"""


@pytest.mark.parametrize("swarm", [False, True])
@pytest.mark.parametrize(
    "marker", ["", ', faults={"stall": [{"task": "nobody", "nth": 1, "by": 0.7}]}, strategy="pct"']
)
def test_what_is_said_in_the_test_goes_wrong_from_then_on(pytester, marker, swarm):
    """On top of what was planned; the failure is said to need it, and its replay has it too."""
    text = ADDED.format(marker=marker, before="", swarm=swarm, after='assert in_time(ready, "late")')
    pytester.makepyfile(test_x=text)
    result = pytester.runpytest("--sim-seed=7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FIFO everywhere, but only if late stalls for 0.5 s before set Event-1"])
    command = re.search(r"pytest (--sim-replay=\S+) '([^']+)'", str(result.stdout))
    again = pytester.runpytest(command.group(1), command.group(2))
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*FIFO everywhere, but only if late stalls for 0.5 s before set Event-1"])


def test_what_is_said_in_the_test_changes_nothing_before(pytester):
    """What came earlier ran without it in every schedule."""
    pytester.makepyfile(
        test_x=ADDED.format(marker="", before='assert in_time(ready, "late")', swarm=False, after="ready.set()")
    )
    pytester.runpytest("--sim-seed=7", "--sim-check-determinism").assert_outcomes(passed=1)


def test_a_job_that_runs_already_is_met(pytester):
    """Its next handler raises; what is said twice comes from both plans."""
    pytester.makepyfile(
        test_x="""
        import time
        import pytest
        from routilux import Flow, JobState, Routine

        class Twice(Routine):
            def __init__(self):
                super().__init__()
                self.define_slot("trigger", handler=self.begin)
                self.define_slot("again", handler=lambda n: time.sleep(1))
                self.define_event("out", ["n"])

            def begin(self):
                time.sleep(1)
                self.emit("out", n=1)

        @pytest.mark.sim(schedules=5)
        def test_it(sim):
            with Flow(execution_strategy="concurrent") as flow:
                flow.add_routine(Twice(), "twice")
                flow.connect("twice", "out", "twice", "again")
                job = flow.execute("twice")
                sim.advance(0.5)
                sim.fault({"slow": [{"routine": "twice", "slot": "again", "nth": 1, "by": 5}]})
                sim.fault({"raise": [{"routine": "twice", "nth": 1, "error": "ConnectionError"}]})
                JobState.wait_for_completion(flow, job)
                assert (sim.now, type(job.error)) == (6, ConnectionError)
        """
    )
    pytester.runpytest("--sim-seed=7").assert_outcomes(passed=1)


def test_a_search_that_leaves_out_orders_proves_nothing_when_faults_are_added(pytester):
    """Whether they come before or after another task's step is no order that it knows of."""
    pytester.makepyfile(
        test_x="""
        import threading
        import pytest

        @pytest.mark.sim(schedules=100, strategy="dpor")
        def test_it(sim):
            sim.fault({"clock": [{"at": 5, "by": 60, "probability": 0.5}]})
            thread = threading.Thread(target=threading.Lock().acquire)
            thread.start()
            thread.join()
        """
    )
    pytester.runpytest().stdout.fnmatch_lines(["routilux-sim: 1 test (1 passed), *"])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("sim.fault({'stal': []})", "ValueError: sim.fault: faults has no key 'stal'; did you mean 'stall'?"),
        ("sim.fault({'latencies': {'x': 1}})", "ValueError: sim.fault: faults.latencies: how long handlers take is *"),
        ("sim.always(lambda: sim.fault({}))", "RuntimeError: sim.fault is not for an invariant, *"),
    ],
)
def test_what_cannot_be_added_is_an_error_at_its_line(pytester, statement, message):
    """The report shows the test's line, and none of the plugin's."""
    pytester.makepyfile(
        test_x=f"import pytest\n\n@pytest.mark.sim\ndef test_it(sim):\n    {statement}\n    sim.advance(1)\n"
    )
    result = pytester.runpytest("--tb=short")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*    {statement}", f"E   {message}"])
    assert "pytest_fixture.py" not in str(result.stdout)


def test_a_fixture_says_it_once(pytester):
    """Otherwise it is an error that says what to do."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def twice(sim):
            sim.fault({})
            with pytest.raises(RuntimeError, match="put everything that may go wrong from the beginning in one plan"):
                sim.fault({})

        @pytest.mark.sim
        def test_twice(twice):
            pass
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


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
