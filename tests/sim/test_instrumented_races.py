"""Races and reduction on real attributes: memory points stand for the accesses, without a word in the program."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from examples.concurrent_flow_demo import create_concurrent_flow, run_and_wait
from routilux import Routine
from routilux_sim import explore as explore_memory
from routilux_sim import load_schedule, replay, save_schedule, simulate
from routilux_sim.kernel.errors import DataRaceError

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

ROOT = Path(__file__).parents[2]


class Account:
    def __init__(self):
        self.balance = 0
        self.lock = threading.Lock()

    def pay_in(self):
        self.balance += 1

    def pay_in_safely(self):
        with self.lock:
            self.balance += 1


def paying(name):
    def program():
        account = Account()
        threads = [threading.Thread(target=getattr(account, name)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return account.balance

    return program


def test_an_unlocked_attribute_races():
    """Both accesses are told by name, function and line, in one simulated run as well as over many schedules."""
    for races in (
        simulate(paying("pay_in"), instrument="auto", races="report").races,
        explore(paying("pay_in"), schedules=20, instrument="auto", races="report").races,
    ):
        assert {race.name for race in races} == {"Account.balance"}
        for race in races:
            for access in (race.first, race.second):
                assert access.stack[0].function == "Account.pay_in"
                assert access.stack[0].source == "self.balance += 1"


def test_a_locked_attribute_does_not():
    """In every schedule the lock orders them."""
    report = explore(paying("pay_in_safely"), strategy="dpor", instrument="auto", races="fail")
    assert report.verdict == "exhausted"


def test_a_race_on_an_attribute_can_be_a_failure_or_allowed():
    """As a failure it is replayed before it is reported; allowed, it is nothing."""
    report = explore(paying("pay_in"), instrument="auto", races="fail")
    assert (report.verdict, report.failure.kind) == ("failed", "race")
    with pytest.raises(DataRaceError, match=r"data race on Account\.balance"):
        report.raise_if_failed()
    allowed = explore(paying("pay_in"), instrument="auto", races="fail", allow_races=["bank.Account.balance"])
    assert allowed.verdict in {"passed", "exhausted"}


class State:
    pass


def checked_then_locked(is_mended):
    def program():
        state = State()
        state.flag, state.last, state.lock = False, None, threading.Lock()

        def one():
            if is_mended:
                with state.lock:
                    if not state.flag:
                        state.last = "W"
            elif not state.flag:
                with state.lock:
                    state.last = "W"

        def two():
            if is_mended:
                with state.lock:
                    state.flag, state.last = True, "N"
            else:
                state.flag = True
                with state.lock:
                    state.last = "N"

        threads = [threading.Thread(target=one), threading.Thread(target=two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state.last != "W"

    return program


def test_what_looks_exhaustive_without_memory_points_is_not():
    """The order in which the test comes first and its consequence last is found, on plain attributes."""
    report = explore(checked_then_locked(is_mended=False), strategy="dpor", instrument="auto")
    assert report.verdict == "failed"
    assert report.schedules <= 10


def test_its_mended_twin_is_exhausted():
    """With the test under the lock there is no such order, and the verdict says at which granularity."""
    report = explore(checked_then_locked(is_mended=True), strategy="dpor", instrument="auto")
    assert report.verdict == "exhausted"
    assert "accesses to shared memory" in report.proof


def test_a_kept_race_comes_back(tmp_path):
    """A replay file knows that races were failures, and which were not."""
    report = explore(paying("pay_in"), instrument="auto", races="fail", allow_races=["other.py:1"])
    path = tmp_path / "race.replay.json"
    save_schedule(report.failure.schedule, path)
    assert load_schedule(path).points["allow_races"] == ["other.py:1"]
    execution = replay(paying("pay_in"), path)
    assert isinstance(execution.error, DataRaceError)
    assert execution.kind == "race"


def test_workers_tell_of_their_races():
    """What races there are does not depend on how many processes look for them."""
    code = """
        from routilux_sim import explore
        from tests.sim.test_instrumented_races import paying
        found = [
            {race.key for race in explore(paying("pay_in"), schedules=40, races="report", workers=n).races}
            for n in (1, 2)
        ]
        assert found[0] == found[1] != set(), found
    """
    # Only a process without other threads can be forked: pytest's workers may have some.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def page(is_mended, monkeypatch):
    define_slot = Routine.define_slot

    def define(self, name, *args, **options):
        if name == "processed_data" and is_mended:
            options["max_concurrency"] = 1
        return define_slot(self, name, *args, **options)

    monkeypatch.setattr(Routine, "define_slot", define)

    def program():
        with create_concurrent_flow() as flow:
            run_and_wait(flow, "page")

    return program


def test_the_page_has_a_hidden_race(monkeypatch):
    """Its aggregator appends and then looks how much there is, in two activations at once."""
    races = explore(page(False, monkeypatch), schedules=20, instrument=["examples"], races="report").races
    assert {race.name for race in races} == {"DataAggregator._collected_results"}


def test_activations_one_at_a_time_do_not_race(monkeypatch):
    """The engine hands a routine's state from one activation to the next in an order that can be relied on."""
    report = explore(page(True, monkeypatch), schedules=50, instrument=["examples"], races="fail")
    assert report.verdict == "passed"
