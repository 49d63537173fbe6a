"""A failure is explained so that a person can follow it: one sentence, the conflict's name, the steps, the way back."""

import functools
import inspect
import re
import threading
from itertools import pairwise

import pytest
from buggy_programs import (
    BUGS,
    Counter,
    Location,
    lock_order,
    lost_update,
    missed_notify,
    two_sections,
    used_before_made,
    yielding,
)
from sim_helpers import ids, run_threads

from routilux_sim import explore as explore_memory
from routilux_sim import simulate
from routilux_sim.execution import Campaign
from routilux_sim.explanation import LONG, explain, explain_findings
from routilux_sim.findings import REPEATS, investigate
from routilux_sim.kernel.core import here

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

SCHEDULES = 3_000


@pytest.fixture(scope="module")
def failures():
    """A failure of each buggy program."""
    return {program: explore(program, schedules=SCHEDULES).failure for program in BUGS}


def line_of(program, text, occurrence=0):
    """Where a text stands in the source of a function or class, as explanations show it."""
    lines, first = inspect.getsourcelines(program)
    found = [first + index for index, line in enumerate(lines) if text in line]
    return f"{inspect.getsourcefile(program).rpartition('/')[2]}:{found[occurrence]}"


CONFLICTS = {
    "two_sections": "atomicity violation",
    "lost_update": "lost update",
    "lost_update_in_a_crowd": "lost update",
    "lock_order": "lock-order inversion",
    "check_then_act": "check-then-act",
    "check_then_act_in_memory": "check-then-act",
    "missed_notify": "lost wake-up",
    "used_before_made": "order violation",
    "seen_half_done": "atomicity violation",
}


@pytest.mark.parametrize("program", [bug for bug in BUGS if bug is not yielding], ids=lambda bug: bug.__name__)
def test_the_conflict_has_its_name(program, failures):
    """By which other people would call it; who did what where stands beside it."""
    failure = failures[program]
    conflict = failure.findings.conflict
    assert conflict.name == CONFLICTS[program.__name__]
    assert conflict.name in failure.explanation
    assert len(re.findall(r"\w+\.py:\d+", conflict.text)) >= 2


def test_what_has_no_name_is_given_none(failures):
    """Where nothing is seen but that tasks give way, nothing is made up."""
    assert failures[yielding].findings.conflict is None


def test_the_sentence_tells_of_a_preemption(failures):
    """Which task is preempted before what, where, and by whom."""
    place = line_of(Counter.add_unlocked, '"write"')
    assert re.fullmatch(
        r"FIFO everywhere, except: at step \d+ Thread-1 \(add_unlocked\) is preempted before it writes "
        rf"Counter\.value \({re.escape(place)}\), by Thread-2 \(add_unlocked\)",
        failures[lost_update].sentence,
    )


def test_the_sentence_tells_of_another_choice(failures):
    """What is no preemption is not called one: a task waits, and another goes on than would have."""
    assert re.fullmatch(
        r"FIFO everywhere, except: at step \d+, when MainThread waits to join Thread-1 \(make\) "
        r"\(sim_helpers\.py:\d+\), Thread-2 \(use\) goes on instead of Thread-1 \(make\)",
        failures[used_before_made].sentence,
    )


def test_the_sentence_of_a_plain_failure(failures):
    """Where FIFO fails, that is all there is to say."""
    assert failures[yielding].sentence == "FIFO everywhere: the plain schedule fails"


def test_a_step_of_the_sentence_is_a_decision_of_the_schedule(failures):
    """The number is the decision's index in the replay file."""
    failure = failures[lost_update]
    step = int(re.search(r"at step (\d+)", failure.sentence).group(1))
    assert failure.shrunk[step].value == 1
    assert failure.shrunk[step].label == "Thread-1 (add_unlocked): write Counter.value"


def test_locks_have_the_programs_names(failures):
    """Not Lock-1, but the attribute or variable that holds it."""
    assert "acquires Counter.lock (buggy_programs.py" in failures[two_sections].sentence
    text = failures[lock_order].findings.conflict.text
    assert "holds second (buggy_programs.py" in text
    assert "wants first (buggy_programs.py" in text


def test_what_would_pass_is_told(failures):
    """The one decision that separates it from a run that passes."""
    assert re.search(
        r"it passes if at step \d+ Thread-1 \(add_unlocked\) goes on and writes Counter\.value",
        failures[lost_update].explanation,
    )
    assert re.search(r"it passes if at step \d+ Thread-1 \(wait\) goes on\n", failures[missed_notify].explanation)


@pytest.mark.parametrize("program", BUGS, ids=ids(BUGS))
def test_the_steps_stand_beside_their_source(program, failures):
    """Every step is shown with its line, by task, and each deviation where it happens."""
    failure = failures[program]
    lines = failure.explanation.splitlines()
    begin = lines.index("what the tasks do, step by step:")
    end = next(index for index, line in enumerate(lines) if line.startswith("  => "))
    steps = lines[begin + 1 : end]
    shown = [re.match(r"    (\w+\.py):(\d+) +(\S.*?) +\[", line) for line in steps]
    for match in filter(None, shown):
        module = inspect.getmodule(run_threads) if match[1] == "sim_helpers.py" else inspect.getmodule(program)
        assert match[3] == inspect.getsource(module).splitlines()[int(match[2]) - 1].strip()
    assert sum(map(bool, shown)) >= 3
    deviations = [line for line in steps if line.startswith("    * step ")]
    assert len(deviations) == failure.shrunk.deviations
    tasks = [line for line in steps if not line.startswith("    ")]
    assert all(one != following for one, following in pairwise(tasks))


def test_the_steps_tell_the_accesses(failures):
    """``[read Counter.value]`` and then, after the preemption, the write of another task comes first."""
    text = failures[lost_update].explanation
    steps = re.findall(r"\[(?:read|write) Counter\.value\]|\* step", text)
    assert steps == [
        "[read Counter.value]",
        "* step",
        "[write Counter.value]",
        "[read Counter.value]",
        "[write Counter.value]",
        "[write Counter.value]",
    ]


@pytest.mark.parametrize("program", BUGS, ids=ids(BUGS))
def test_it_has_really_been_reproduced(program, failures):
    """Ten runs more, and the count is of them."""
    failure = failures[program]
    assert failure.findings.runs == failure.findings.reproduced == REPEATS
    assert f"reproduced {REPEATS} of {REPEATS}" in failure.explanation


def test_what_comes_back_only_sometimes_is_counted_so():
    """When the program comes to another end while it is run again, the count says it."""
    runs = []

    def program():
        runs.append(None)
        run_threads(lambda: None)
        if len(runs) < 10 or len(runs) % 2:
            raise ValueError("broken")

    failure = explore(program, schedules=1, shrink=False).failure
    campaign = Campaign(program)
    with campaign.running():
        found = investigate(campaign, failure.execution, simplify=False)
    assert found.runs == REPEATS
    assert 0 < found.reproduced < REPEATS
    assert f"reproduced {found.reproduced} of {REPEATS}" in explain_findings(found, failure.execution)


def test_the_way_back_is_shown(failures):
    """The schedule, or the seed where that is enough; and a command, for who has one."""
    by_seed = explore(lost_update, schedules=SCHEDULES, strategy="random").failure
    assert f"run again with seed {by_seed.seed}" in by_seed.explanation
    failure = failures[lost_update]
    assert "run again with replay(program, failure.shrunk)" in failure.explanation
    text = explain_findings(failure.findings, failure.execution, "routilux-sim replay it.replay.json")
    assert text.endswith("run again with: routilux-sim replay it.replay.json")


def test_a_long_story_is_cut_to_what_matters():
    """Hundreds of steps about something else are counted; the conflict's own stay."""
    value, noise = Location("value"), [Location(f"noise[{index}]") for index in range(300)]
    box = {"value": 0}

    def work():
        for location in noise:
            here().point("read", location)
            here().point("read", Location("other"))
        here().point("read", value)
        seen = box["value"]
        here().point("write", value)
        box["value"] = seen + 1

    def program():
        box["value"] = 0
        run_threads(work, work)
        assert box["value"] == 2

    failure = explore(program, schedules=50).failure
    lines = failure.explanation.splitlines()
    assert len(lines) < 2 * LONG
    assert any(re.fullmatch(r"  … \d+ more", line) for line in lines)
    assert sum("value]" in line for line in lines if not line.startswith("    *")) >= 4


def test_a_failure_in_a_library_is_placed_in_the_program():
    """The line shown is the program's own, that called the library."""
    lock = None

    def work():
        threading.Timer(0, lock.acquire).start()
        lock.acquire()
        raise ValueError("broken")

    def program():
        nonlocal lock
        lock = threading.Lock()
        run_threads(work)

    failure = explore(program, schedules=3).failure
    assert "threading.py" not in failure.explanation


def test_an_execution_nobody_has_looked_into_is_explained_by_its_decisions():
    """As `simulate` leaves it: the choices, one a line."""
    execution = simulate(lost_update, strategy="fifo")
    text = explain(execution)
    assert text.startswith("passed, after 0 virtual seconds")
    assert "decisions, 0 of them not the plain choice" in text


def test_odd_objects_do_not_spoil_an_explanation():
    """A program whose objects refuse to be looked at is explained all the same."""

    class Odd:
        def __getattribute__(self, name):
            raise RuntimeError("do not touch me")

        def __eq__(self, other):
            raise RuntimeError("do not compare me")

        __hash__ = None

    def program():
        odd, lock = [Odd()], threading.Lock()
        order = []

        def take(number):
            with lock:
                order.append((number, odd))

        run_threads(lambda: take(1), lambda: take(2))
        assert [number for number, _ in order] == [1, 2]

    failure = explore(program, schedules=200).failure
    assert failure.sentence.startswith("FIFO everywhere, except: ")
