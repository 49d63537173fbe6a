"""Data races: what is reported, when it is a failure, and which are let pass."""

from __future__ import annotations

import functools
import pickle
import threading

import pytest
from small_programs import Cell

from routilux_sim import explore as explore_memory
from routilux_sim import simulate
from routilux_sim.judge.races import RacePolicy
from routilux_sim.kernel.errors import DataRaceError

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


def racy(name="Counter.value", hold=False):
    cell, lock = Cell(name), threading.Lock()

    def add():
        cell.write(cell.read() + 1)

    def add_locked():
        with lock:
            cell.write(cell.read() + 1)

    threads = [
        threading.Thread(target=add_locked if hold else add, name="one"),
        threading.Thread(target=add, name="two"),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_race_tells_what_who_and_where():
    """The object, both accesses with their stacks and locks, and the order that is missing."""
    [race, *_] = explore(lambda: racy(hold=True), schedules=20, races="report").races
    assert race.name == "Counter.value"
    assert {race.first.task, race.second.task} == {"one", "two"}
    assert "write" in {race.first.op, race.second.op}
    for access in (race.first, race.second):
        assert access.stack[1].function.startswith("racy.<locals>.add")
        assert access.stack[1].file == __file__
        assert "cell.write(cell.read() + 1)" in access.stack[1].source
        assert access.locks == (("Lock-1",) if access.task == "one" else ())
    assert "nothing orders them" in race.missing
    text = str(race)
    assert "data race on Counter.value" in text
    assert "holding Lock-1" in text
    assert "holding no lock" in text


def test_what_was_told_in_vain_is_named():
    """When the first task gave a lock back that the second one has not taken since, it says so."""
    races = []
    for seed in range(50):
        races += simulate(lambda: racy(hold=True), seed=seed, races="report", log=False).races
    assert any("one has given back Lock-1, ended one, but two has not" in race.missing for race in races)
    assert any("one has given back no lock" in race.missing for race in races)


def test_a_race_is_listed_once_for_each_pair_of_places():
    """However many schedules show it, in whichever order."""
    report = explore(racy, schedules=100, races="report")
    assert report.verdict == "passed"
    keys = [race.key for race in report.races]
    assert len(keys) == len(set(keys))
    # write and write, read and write: the cell's own lines.
    assert len(keys) == 2
    assert str(report.races[0]) in str(report)


def test_without_being_asked_nobody_looks():
    """Races are looked for on demand."""
    assert explore(racy, schedules=5).races == ()
    assert simulate(racy).races == ()


def test_found_in_a_schedule_that_shows_no_harm():
    """One plain schedule is enough: that nothing orders the accesses does not depend on which came first."""
    execution = simulate(racy, strategy="fifo", races="report")
    assert execution.verdict == "passed"
    assert execution.races


def test_as_a_failure_it_ends_the_execution():
    """It is a failure of kind race, comes back when replayed, and carries the race."""
    report = explore(racy, races="fail")
    assert (report.verdict, report.failure.kind) == ("failed", "race")
    error = report.failure.exception
    assert isinstance(error, DataRaceError)
    assert error.race.name == "Counter.value"
    with pytest.raises(DataRaceError, match=r"data race on Counter\.value"):
        report.raise_if_failed()
    assert isinstance(simulate(racy, seed=report.failure.seed, races="fail").error, DataRaceError)


@pytest.mark.parametrize(
    "entry",
    [
        "Counter.value",
        "bank.Counter.value",
        f"small_programs.py:{Cell.write.__code__.co_firstlineno + 3}",
        f"sim/small_programs.py:{Cell.write.__code__.co_firstlineno + 3}",
        "Cell.write",
    ],
)
def test_an_allowed_race_is_none(entry):
    """By the name of what is accessed, by file and line, or by function."""
    assert explore(racy, schedules=30, races="fail", allow_races=[entry]).verdict == "passed"


@pytest.mark.parametrize("entry", ["value", "ounter.value", "Counter.values", "programs.py:1", "Cell"])
def test_what_is_allowed_is_allowed_by_its_full_name(entry):
    """Part of a name allows nothing."""
    assert explore(racy, races="fail", allow_races=[entry]).verdict == "failed"


def test_objects_of_one_name_are_numbered_and_allowed_together():
    """A number that tells objects of one name apart is no part of the name."""
    assert explore(lambda: racy("Counter.value-2"), races="fail", allow_races=["Counter.value"]).verdict == "passed"


def test_a_policy_refuses_what_it_does_not_know():
    """A mode that is none, or a string for a list of strings."""
    with pytest.raises(ValueError, match="races must be 'report', 'fail' or None"):
        RacePolicy("maybe")
    with pytest.raises(TypeError, match="list of strings, not the string 'Counter"):
        RacePolicy("fail", "Counter.value")
    with pytest.raises(TypeError, match="list of strings, but 3 is none"):
        RacePolicy("fail", [3])


def test_races_can_be_sent_from_process_to_process():
    """Workers tell of theirs."""
    races = explore(racy, schedules=20, races="report").races
    assert pickle.loads(pickle.dumps(races)) == races


def test_a_task_is_ordered_after_itself():
    """What one task does, in whatever order, is no race."""

    def program():
        cell = Cell("cell")
        cell.write(cell.read() + 1)
        threading.Thread(target=lambda: None).start()
        cell.write(cell.read() + 1)

    assert simulate(program, races="report").races == ()


def test_reads_do_not_race():
    """Any number of tasks may read what nobody writes any more."""

    def program():
        cell = Cell("cell")
        cell.write(1)
        for _ in range(3):
            threading.Thread(target=cell.read).start()

    assert explore(program, schedules=20, races="fail").verdict == "passed"


def test_each_read_since_the_last_write_counts():
    """A write is held against the reads of all tasks, and not only against the last one."""

    def program():
        cell, lock = Cell("cell"), threading.Lock()

        def read():
            cell.read()

        def read_locked():
            with lock:
                cell.read()

        first = threading.Thread(target=read)
        first.start()
        second = threading.Thread(target=read_locked)
        second.start()
        second.join()
        with lock:
            cell.write(1)

    races = explore(program, schedules=20, races="report").races
    assert {race.first.op for race in races} | {race.second.op for race in races} == {"read", "write"}
