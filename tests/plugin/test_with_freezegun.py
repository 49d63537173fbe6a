"""freezegun around simulations, and inside them."""

from __future__ import annotations

import datetime as dt
import logging
import queue
import subprocess
import sys
import threading
import time
from time import monotonic as captured_monotonic

import pytest

from routilux_sim import SimScheduler, explore, replay, simulate
from routilux_sim.world.freezing import frozen_epoch_ns

freezegun = pytest.importorskip("freezegun", reason="freezegun is not installed")
freeze_time = freezegun.freeze_time

NEW_YEAR_2026 = 1_767_225_600
NEW_YEAR_2030 = 1_893_456_000
NEW_YEAR_2040 = 2_208_988_800


def clocks() -> tuple[float, int, float, float]:
    return time.time(), time.time_ns(), time.monotonic(), captured_monotonic()


def now() -> float:
    return time.time()


def test_a_frozen_instant_is_where_the_virtual_clock_begins():
    """The wall clock starts there and goes on with virtual time; monotonic time starts at zero as always."""

    def program():
        before = clocks()
        time.sleep(3600.5)
        return before, clocks()

    with freeze_time("2030-01-01"):
        before, after = simulate(program).result()
    assert before == (NEW_YEAR_2030, NEW_YEAR_2030 * 10**9, 0, 0)
    assert after == (NEW_YEAR_2030 + 3600.5, NEW_YEAR_2030 * 10**9 + 3_600_500_000_000, 3600.5, 3600.5)


def test_dates_are_those_of_the_frozen_clock_and_its_offset():
    """``datetime.now()`` and ``date.today()`` go on with virtual time, in the zone that freezegun was told."""

    def program():
        time.sleep(3600)
        return dt.datetime.now(), dt.datetime.now(dt.UTC).hour, dt.date.today()

    with freeze_time("2030-01-01 22:30", tz_offset=2):
        now, hour, today = simulate(program).result()
        assert dt.datetime.now() == dt.datetime(2030, 1, 2, 0, 30)
    assert now == dt.datetime(2030, 1, 2, 1, 30)
    assert hour == 1  # freezegun adds its offset to every zone.
    assert today == dt.date(2030, 1, 2)


def test_an_epoch_that_is_given_goes_first():
    """``epoch=`` says more than the frozen clock around the simulation."""
    with freeze_time("2030-01-01"):
        assert simulate(now, epoch=1000.0).result() == 1000
        assert simulate(lambda: dt.datetime.now().year, epoch=0).result() == 1970


def test_every_schedule_begins_at_the_frozen_instant():
    """Also when the program moves the clock that was frozen outside: that clock is given back as it was."""
    seen = []
    with freeze_time("2030-01-01") as frozen:

        def program():
            seen.append(time.time())
            frozen.tick(60)
            thread = threading.Thread(target=time.sleep, args=(1,))
            thread.start()
            thread.join()
            seen.append(time.time())

        assert explore(program, schedules=3).schedules == 3
        assert frozen.time_to_freeze == dt.datetime(2030, 1, 1)
        assert time.time() == NEW_YEAR_2030
    assert seen == [NEW_YEAR_2030, NEW_YEAR_2030 + 61] * 3


def test_what_is_recorded_under_a_frozen_clock_replays_under_another():
    """The instant is part of the schedule."""
    with freeze_time("2030-01-01"):
        schedule = simulate(now).schedule
    with freeze_time("2040-01-01"):
        assert replay(now, schedule).result() == NEW_YEAR_2030


def test_a_scheduler_begins_at_the_frozen_instant():
    """``SimScheduler()`` has the wall clock of where it is made."""
    with freeze_time("2030-01-01"), SimScheduler() as scheduler:
        assert scheduler.enter(now) == NEW_YEAR_2030


def test_freezing_inside_a_simulation_moves_the_wall_clock_for_a_while():
    """It stands where freezegun, ``tick()`` and ``move_to()`` say, goes on, and is as without them afterwards."""

    def program():
        seen = []
        time.sleep(10)
        with freeze_time("2030-01-01") as frozen:
            seen.append(time.time() - NEW_YEAR_2030)
            time.sleep(5)
            seen.append(time.time() - NEW_YEAR_2030)
            frozen.tick(60)
            seen.append(time.time() - NEW_YEAR_2030)
            frozen.tick(dt.timedelta(minutes=1))
            seen.append(time.time() - NEW_YEAR_2030)
            with freeze_time("2040-01-01"):
                time.sleep(1)
                seen.append(time.time() - NEW_YEAR_2040)
            frozen.move_to("2030-01-01")
            seen.append(time.time() - NEW_YEAR_2030)
            time.sleep(2)
            seen.append((frozen.time_to_freeze - dt.datetime(2030, 1, 1)).total_seconds())
            seen.append(time.monotonic())
        seen.append(time.time() - NEW_YEAR_2026)
        return seen

    assert simulate(program).result() == [0, 5, 65, 125, 1, 0, 2, 18, 18]


def test_timeouts_and_other_threads_keep_the_virtual_clock():
    """Queues, timers and logging from threads, which freezegun leaves to real time, have virtual time too."""

    def program():
        records = []

        def work():
            time.sleep(0.5)
            records.append(logging.makeLogRecord({"msg": "late"}).created)

        with freeze_time("2030-01-01"):
            timer = threading.Timer(7, work)
            timer.start()
            with pytest.raises(queue.Empty):
                queue.Queue().get(timeout=3)
            assert not threading.Event().wait(1)
            with freeze_time("2040-01-01"):
                timer.join()
            return time.monotonic(), records, time.time()

    assert simulate(program).result() == (7.5, [NEW_YEAR_2040 + 3.5], NEW_YEAR_2030 + 7.5)


def test_a_ticking_clock_ticks_in_virtual_time():
    """``tick=True`` adds nothing real, inside or outside."""

    def inside():
        with freeze_time("2030-01-01", tick=True) as frozen:
            time.sleep(3)
            frozen.tick(10)
            return time.time(), frozen()

    expected = (NEW_YEAR_2030 + 13, dt.datetime(2030, 1, 1, 0, 0, 13))
    assert simulate(inside).result() == expected
    with freeze_time("2030-01-01", tick=True):
        assert simulate(now).result() == NEW_YEAR_2030


def state() -> dict[tuple[str, str], object]:
    """Everything that freezegun or the simulator may leave behind."""
    api = sys.modules["freezegun.api"]
    owners = [
        time,
        dt,
        api,
        api._freeze_time,
        *(vars(api)[name] for name in vars(api) if name.endswith("Factory")),
    ]
    lists = {("freezegun", name): list(getattr(api, name)) for name in ("freeze_factories", "tz_offsets", "tick_flags")}
    return {(repr(owner), name): value for owner in owners for name, value in vars(owner).items()} | lists


class BrokenError(Exception):
    """What the programs below raise."""


def test_everything_is_put_back():
    """After a return, an exception and a freeze that nobody ends, all is as it was: outside a freeze and inside."""

    def fine():
        with freeze_time("2040-01-01", tick=True):
            time.sleep(1)

    def raising():
        with freeze_time("2040-01-01") as frozen:
            frozen.tick(5)
            raise BrokenError

    def leaking():
        freeze_time("2040-01-01").start()

    def in_a_thread():
        with freeze_time("2040-01-01"):
            thread = threading.Thread(target=raising)
            thread.start()
            thread.join()

    def check():
        for program in (fine, raising, leaking, in_a_thread):
            before = state()
            simulate(program)
            explore(program, schedules=2)
            assert state() == before, program
            assert simulate(now).result() == (frozen_epoch_ns() or NEW_YEAR_2026 * 10**9) / 1e9

    check()
    with freeze_time("2030-01-01"):
        check()
        assert time.time() == NEW_YEAR_2030
    check()
    assert frozen_epoch_ns() is None


HEAD = """
    import time
    import pytest
    from freezegun import freeze_time

    NEW_YEAR_2030 = 1_893_456_000

    def check():
        assert time.time() == NEW_YEAR_2030 and time.monotonic() == 0
        time.sleep(3600)
        assert time.time() == NEW_YEAR_2030 + 3600 and time.monotonic() == 3600
"""


@pytest.mark.long
def test_marker_and_decorator_go_together(pytester):
    """In either order, on functions, methods and classes, and with the clock handed over."""
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @freeze_time("2030-01-01")
    def test_marker_above():
        check()

    @freeze_time("2030-01-01")
    @pytest.mark.sim(schedules=3)
    def test_marker_below():
        check()

    @pytest.mark.sim
    @freeze_time("2029-12-31", as_kwarg="frozen")
    def test_moved(frozen):
        frozen.move_to("2030-01-01")
        check()

    @freeze_time("2030-01-01")
    @pytest.mark.sim
    class TestClass:
        @pytest.mark.parametrize("n", [1, 2])
        def test_method(self, n):
            check()

    @pytest.fixture
    def frozen():
        with freeze_time("2030-01-01") as clock:
            yield clock

    @pytest.mark.sim(schedules=3)
    def test_fixture(frozen):
        check()
        frozen.move_to("2030-01-01")
        assert time.time() == NEW_YEAR_2030

    def test_unmarked_tests_are_left_alone():
        with freeze_time("2030-01-01"):
            assert time.time() == time.monotonic() == NEW_YEAR_2030
        assert time.time() != NEW_YEAR_2030
    """
    )
    pytester.runpytest().assert_outcomes(passed=7)


def test_the_freezer_fixture_and_marker_of_pytest_freezer(pytester, with_plugin):
    """``freezer`` and ``@pytest.mark.freeze_time`` set the virtual clock, and move it from inside."""
    with_plugin("freezer", "pytest_freezer")
    pytester.makepyfile(
        HEAD
        + """
    @pytest.mark.sim
    @pytest.mark.freeze_time("2030-01-01")
    def test_marked():
        check()

    @pytest.mark.sim
    def test_fixture(freezer):
        freezer.move_to("2030-01-01")
        check()
        freezer.tick(60)
        assert time.time() == NEW_YEAR_2030 + 3660
    """
    )
    pytester.runpytest().assert_outcomes(passed=2)


IMPORTED_INSIDE = """
import sys, time
from routilux_sim import explore, simulate

def program():
    from freezegun import freeze_time
    time.sleep(5)
    with freeze_time("2030-01-01"):
        time.sleep(1)
        seen = time.time() - 1_893_456_000
    return seen, time.time() - 1_767_225_600

assert "freezegun" not in sys.modules
for _ in range(2):
    assert simulate(program).result() == (1, 6)
    assert explore(program, schedules=2).failure is None
from freezegun import api
assert api.real_time is time.time and not api.freeze_factories
with api.freeze_time("2030-01-01"):
    assert time.time() == 1_893_456_000
    assert simulate(program).result() == (1, 1_893_456_006 - 1_767_225_600)
"""

IMPORTED_WHILE_FROZEN = """
import datetime, sys, time
from freezegun import freeze_time

def program():
    time.sleep(5)
    return time.time(), time.monotonic(), datetime.datetime.now().year

with freeze_time("2030-01-01"):
    from routilux_sim import explore, simulate
    assert simulate(program).result() == (1_893_456_005, 5, 2030)
    report = explore(program, schedules=2)
    assert report.failure is None and 0 < report.seconds < 60
assert time.time() > 1_700_000_000 and abs(time.time() - 1_893_456_000) > 3600
assert simulate(program).result()[:2] == (1_767_225_605, 5)
"""


@pytest.mark.parametrize("script", [IMPORTED_INSIDE, IMPORTED_WHILE_FROZEN], ids=["inside", "while_frozen"])
def test_either_may_be_imported_in_the_midst_of_the_other(script):
    """The first import of freezegun is inside a simulation, or that of the simulator while time is frozen."""
    completed = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr


def test_freezegun_is_not_imported_for_nothing():
    """The simulator does without it."""
    script = "import sys, routilux_sim; routilux_sim.simulate(print); assert 'freezegun' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
