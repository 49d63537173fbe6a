"""The fixture ``sim``."""

from __future__ import annotations

import pytest


def outcome(pytester: pytest.Pytester, body: str, *options: str, marker: str = "") -> pytest.RunResult:
    """What comes of a test with that body."""
    lines = "\n    ".join(body.strip("\n").splitlines())
    pytester.makepyfile(
        test_x=f"import threading, time\nimport pytest\n\n@pytest.mark.sim{marker}\ndef test_it(sim):\n    {lines}\n"
    )
    return pytester.runpytest("--sim-seed=7", *options)


@pytest.mark.parametrize("marker", ["", "(schedules=20)"])
def test_time_is_told_and_goes_by(pytester, marker):
    """In virtual seconds, while others run."""
    body = """
done = []
thread = threading.Thread(target=lambda: (time.sleep(3), done.append(sim.now)))
thread.start()
assert sim.now == 0
sim.advance(2.5)
assert (sim.now, done) == (2.5, [])
sim.advance(1)
assert (sim.now, done) == (3.5, [3])
"""
    outcome(pytester, body, marker=marker).assert_outcomes(passed=1)


def test_time_does_not_go_back(pytester):
    """It is a ValueError."""
    body = "with pytest.raises(ValueError, match='time cannot go back'):\n    sim.advance(-1)"
    outcome(pytester, body).assert_outcomes(passed=1)


@pytest.mark.parametrize("marker", ["", "(schedules=20)"])
def test_the_log_can_be_looked_at(pytester, marker):
    """Its lines so far, in each schedule."""
    body = """
thread = threading.Thread(target=time.sleep, args=(1,), name="sleeper")
thread.start()
thread.join()
lines = [line for line in sim.log if line["event"] == "task.end"]
assert [(line["task"], line["t_ns"]) for line in lines] == [("sleeper", 10**9)]
"""
    outcome(pytester, body, marker=marker).assert_outcomes(passed=1)


def test_always_is_checked_at_each_step(pytester):
    """What holds at the end may not have held in between."""
    body = """
state = [0]
sim.always(lambda: state[0] < 2)

def work():
    state[0] += 1
    time.sleep(0)
    state[0] -= 1

threads = [threading.Thread(target=work, name=name) for name in "ab"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert state == [0]
"""
    result = outcome(pytester, body, marker="(schedules=50)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*InvariantError: invariant 'lambda at test_x.py:7' does not hold after step *", "*failed (invariant) in *"]
    )


def test_always_can_be_said_in_a_fixture_for_all_schedules(pytester):
    """It is a decorator, too."""
    pytester.makepyfile(
        """
        import time
        import pytest

        state = []

        @pytest.fixture
        def short(sim):
            @sim.always
            def is_short():
                assert len(state) < 3, f"{state} is long"

        @pytest.mark.sim(schedules=3)
        def test_it(short):
            state.clear()
            for number in range(5):
                state.append(number)
                time.sleep(1)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*invariant 'is_short' does not hold *[[]0, 1, 2] is long*"])


@pytest.mark.parametrize(("within", "outcomes"), [(5, {"passed": 1}), (4, {"failed": 1})])
def test_eventually_gives_so_much_time(pytester, within, outcomes):
    """In virtual seconds; the test goes on."""
    body = f"""
done = []
timer = threading.Timer(5, lambda: done.append(1))
timer.start()
sim.eventually(lambda: done, within={within})
timer.join()
"""
    result = outcome(pytester, body)
    result.assert_outcomes(**outcomes)
    if "failed" in outcomes:
        result.stdout.fnmatch_lines(["*did not come true within 4 virtual seconds*"])


def test_speedup_is_the_quotient_of_virtual_times(pytester):
    """Exact, whatever the machine; what takes no time has none."""
    body = """
def work():
    time.sleep(0.2)

def one_by_one():
    for _ in range(3):
        work()

def at_once():
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

assert sim.speedup(one_by_one, at_once) == 3
with pytest.raises(ValueError, match="takes no virtual time"):
    sim.speedup(at_once, int)
"""
    outcome(pytester, body, marker="(schedules=20)").assert_outcomes(passed=1)


def test_it_is_for_marked_tests(pytester):
    """Another test that asks for it is an error, which says what to do."""
    pytester.makepyfile("def test_it(sim): pass")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the fixture 'sim' is for tests marked with @pytest.mark.sim*"])


@pytest.mark.parametrize("use", ["now", "log", "advance(1)", "eventually(bool, within=1)"])
def test_outside_the_test_there_is_no_simulation(pytester, use):
    """It is an error, and no answer."""
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def early(sim):
            sim.{use}

        @pytest.mark.sim
        def test_it(early):
            pass
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: sim.* is for the test itself: no simulation runs here*"])


@pytest.mark.parametrize("epoch", ["0", "datetime(1970, 1, 1, tzinfo=UTC)"])
def test_the_marker_sets_where_the_wall_clock_begins(pytester, epoch):
    """To seconds since 1970 or a date, for one schedule and for many."""
    for more in ("", ", schedules=3"):
        pytester.makepyfile(
            f"""
            import time
            from datetime import UTC, datetime
            import pytest

            @pytest.mark.sim(epoch={epoch}{more})
            def test_it():
                assert time.time() == 0
                time.sleep(60)
                assert datetime.now(UTC) == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
            """
        )
        pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("epoch", ["'1970'", "-1", "True"])
def test_an_epoch_that_is_no_time_is_a_usage_error(pytester, epoch):
    """Before anything runs."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.sim(epoch={epoch})\ndef test_it(): pass\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*sim(epoch={epoch}) is out of range*"])
