"""With memory points, shrinking, explanation and replay files see the accesses themselves."""

import functools
import re

import pytest
from sim_helpers import ids, run_threads

from routilux_sim import explore as explore_memory
from routilux_sim import load_schedule, replay, save_schedule

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

SCHEDULES = 3_000


class Counter:
    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1


def lost_update():
    counter = Counter()
    run_threads(counter.add, counter.add)
    assert counter.value == 2


def check_then_act():
    stock = [1]

    def take():
        if stock:
            stock.pop()

    run_threads(take, take)


class Lazy:
    made = None
    count = 0

    @classmethod
    def get(cls):
        if cls.made is None:
            cls.count += 1
            cls.made = object()
        return cls.made


def made_twice():
    Lazy.made, Lazy.count = None, 0
    run_threads(Lazy.get, Lazy.get)
    assert Lazy.count == 1


def changed_while_iterated():
    prices = dict.fromkeys(range(3))

    def walk():
        for price in prices:
            str(price)

    def grow():
        prices[10] = None

    run_threads(walk, grow)


def used_before_made():
    box = {}

    def make():
        box["it"] = 1

    def use():
        assert box["it"]

    run_threads(make, use)


class Settings:
    ready = None

    def make(self):
        if self.ready is None:
            self.ready = {}
            self.ready["level"] = "info"

    def use(self):
        assert self.ready is None or self.ready["level"]


def published_half_made():
    settings = Settings()
    run_threads(settings.make, settings.use)


def appended_out_of_order():
    numbers = []
    run_threads(lambda: numbers.append(1), lambda: numbers.append(2))
    assert numbers == [1, 2]


class Numbers:
    def __init__(self):
        self.last = 0
        self.made = self.make()

    def make(self):
        while True:
            self.last += 1
            yield self.last

    def take(self):
        return next(self.made)


def shared_generator():
    numbers = Numbers()
    run_threads(numbers.take, numbers.take)


CONFLICTS = {
    lost_update: ("lost update", "Counter.value", 1),
    check_then_act: ("check-then-act", "stock", 1),
    made_twice: ("check-then-act", "Lazy.made", 1),
    changed_while_iterated: ("atomicity violation", "prices", 1),
    used_before_made: ("order violation", "box", 0),
    published_half_made: ("order violation", "Settings.ready", 1),
    shared_generator: ("atomicity violation", "Numbers.made", 1),
    appended_out_of_order: ("order violation", "numbers", 0),
}


@pytest.fixture(scope="module")
def failures():
    """A failure of each program."""
    return {program: explore(program, schedules=SCHEDULES, instrument="auto").failure for program in CONFLICTS}


@pytest.mark.parametrize("program", CONFLICTS, ids=ids(CONFLICTS))
def test_the_conflict_is_named_by_its_accesses(program, failures):
    """Its name, the memory that it is about, and no more preemptions than it takes."""
    failure = failures[program]
    name, memory, preemptions = CONFLICTS[program]
    assert failure.findings.conflict.name == name
    assert memory in failure.findings.conflict.text
    assert failure.shrunk.preemptions <= preemptions
    assert failure.findings.reproduced == failure.findings.runs


@pytest.mark.parametrize("program", CONFLICTS, ids=ids(CONFLICTS))
def test_the_schedules_replay(program, failures, tmp_path):
    """Found, shrunk and passing: each from its file, which knows what was instrumented and shared."""
    failure = failures[program]
    for schedule, verdict in (
        (failure.schedule, "failed"),
        (failure.shrunk, "failed"),
        (failure.nearest_passing, "passed"),
    ):
        path = tmp_path / "kept.replay.json"
        save_schedule(schedule, path)
        assert load_schedule(path).points == schedule.points
        execution = replay(program, path)
        assert execution.verdict == verdict, execution.error


def test_the_sentence_names_what_is_about_to_be_written(failures):
    """The attribute, and the line that writes it."""
    assert re.fullmatch(
        r"FIFO everywhere, except: at step \d+ Thread-1 \(add\) is preempted before it writes Counter\.value "
        r"\(test_memory_explained\.py:\d+\), by Thread-2 \(add\)",
        failures[lost_update].sentence,
    )


def test_an_access_is_a_step(failures):
    """Beside the source: read and write of one line, and the other task's in between."""
    text = failures[lost_update].explanation
    assert re.search(r"self\.value \+= 1 +\[read Counter\.value\]\n    \* step", text)
    assert re.search(r"self\.value \+= 1 +\[read Counter\.value\] \[write Counter\.value\]\n", text)


def test_what_is_known_to_be_shared_only_later_is_told_too(failures):
    """The access that failed was no scheduling point when the failure was found: nobody else had touched it yet."""
    failure = failures[used_before_made]
    assert "[read used_before_made.<locals>.box]" in failure.explanation
