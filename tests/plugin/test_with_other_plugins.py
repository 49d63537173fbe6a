"""pytest-randomly, pytest-xdist and pytest-timeout beside the simulator."""

from __future__ import annotations

import re

import pytest

TESTS = """
    import random, threading, time, uuid
    import pytest

    @pytest.mark.sim
    @pytest.mark.parametrize("n", range(6))
    def test_order(n):
        order = []

        def work(name):
            for _ in range(3):
                time.sleep(random.random())
                order.append((name, uuid.uuid4().hex))

        threads = [threading.Thread(target=work, args=(name,), name=name) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(order) == 9

    @pytest.mark.sim
    def test_that_fails():
        time.sleep(3600)
        raise ValueError(f"broken on purpose: {random.random()}")
"""


def logs(pytester, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (pytester.path / name).iterdir()}


def run(pytester, name: str, *arguments: str) -> tuple[dict[str, bytes], str]:
    """Run `TESTS`, in another process if there are arguments; return all execution logs, and what was printed."""
    runpytest = pytester.runpytest_subprocess if arguments else pytester.runpytest
    result = runpytest("-v", "--sim-seed=7", f"--sim-artifacts={name}", *arguments)
    result.assert_outcomes(passed=6, failed=1)
    return logs(pytester, name), str(result.stdout)


def names(output: str) -> list[str]:
    return re.findall(r"test_order\[\d\]", output)


def test_pytest_randomly_changes_the_order_and_nothing_else(pytester, with_plugin):
    """In another order and with the global generator reseeded, the same ``--sim-seed`` writes the same bytes."""
    pytester.makepyfile(test_them=TESTS)
    plain, output = run(pytester, "plain")
    with_plugin("randomly", "pytest_randomly")
    shuffled, other = run(pytester, "shuffled", "--randomly-seed=1")
    assert shuffled == plain
    assert names(other) != names(output)


def test_all_xdist_workers_write_what_one_process_writes(pytester):
    """Under ``-n 2`` every log has the same bytes, and the failure's note is shown."""
    pytester.makepyfile(test_them=TESTS)
    plain, _ = run(pytester, "plain")
    spread, output = run(pytester, "spread", "-n", "2")
    assert spread == plain
    assert re.search(
        r"simulated under seed \d+; reproduce with: pytest --sim-seed=7 'test_them.py::test_that_f", output
    )


HANGING = """
    import threading, time
    import pytest
    from routilux_sim import simulate

    simulate(lambda: None)  # What the first one takes is not the tests'.

    @pytest.mark.sim
    def test_long_naps():
        for _ in range(10):
            time.sleep(86_400)

    def loop():
        try:
            while True:
                pass
        except Exception:
            pass

    @pytest.mark.sim(schedules=SCHEDULES)
    def test_that_hangs():
        thread = threading.Thread(target=loop)
        thread.start()
        thread.join()

    @pytest.mark.sim
    def test_the_next_one():
        time.sleep(1)
"""


@pytest.mark.parametrize("schedules", [1, 10])
def test_pytest_timeout_ends_a_hanging_test_by_a_signal(pytester, schedules):
    """Virtual days do not count; a real hang does, is reported with its seed, not tried again, and the rest runs."""
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    pytester.makepyfile(HANGING.replace("SCHEDULES", str(schedules)))
    result = pytester.runpytest_subprocess("--timeout=1", "--timeout-method=signal", "--sim-seed=7")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*Failed: Timeout*", "*reproduce with: pytest --sim-seed=7 *test_that_hangs*"])


def test_pytest_timeout_ends_a_hanging_test_by_a_thread(pytester):
    """That method ends the whole run, and shows where the hanging task is."""
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    pytester.makepyfile(HANGING.replace("SCHEDULES", "1"))
    result = pytester.runpytest_subprocess("--timeout=1", "--timeout-method=thread")
    assert result.ret == 1
    output = str(result.stdout) + str(result.stderr)
    assert "Timeout" in output
    assert re.search(r"in loop\b", output)
