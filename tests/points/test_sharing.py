"""What is shared memory and what is not, and that this decides the same everywhere."""

import json
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from routilux_sim import explore, replay, simulate
from tests.points import racy
from tests.points.racy import run


class Account:
    def __init__(self):
        self.lock = threading.Lock()
        self.balance = 0
        self.log = []

    def pay(self):
        with self.lock:
            self.balance += 1
            self.log.append(self.balance)


def locked():
    account = Account()
    run(account.pay, account.pay)
    assert account.log == [1, 2]


def made_before_the_threads():
    settings = {"a": 1}
    account = Account()
    account.balance = 5

    def look():
        assert settings["a"] + account.balance == 6

    run(look, look)


def seen_after_the_join():
    account = Account()
    run(account.pay)
    account.balance += 1
    assert account.log == [1]


def handed_over_by_a_queue():
    line = queue.Queue()

    def make():
        account = Account()
        account.balance += 1
        line.put(account)

    def take():
        account = line.get()
        account.balance += 1
        assert account.balance == 2

    run(make, take)


def results_of_a_pool():
    with ThreadPoolExecutor(2) as pool:
        boxes = list(pool.map(lambda number: [number], range(3)))
    for box in boxes:
        box.append(1)
    assert sorted(map(sum, boxes)) == [1, 2, 3]


def each_its_own():
    store = threading.local()

    def work():
        store.items = []
        account = Account()
        for number in range(3):
            store.items.append(number)
            account.balance += 1

    run(work, work)


@pytest.mark.parametrize(
    "program",
    [locked, made_before_the_threads, seen_after_the_join, handed_over_by_a_queue, results_of_a_pool, each_its_own],
    ids=lambda program: program.__name__,
)
def test_what_synchronization_orders_is_not_shared(program):
    """Accesses to it are no scheduling points: the schedules are those without memory points."""
    with_points = explore(program, schedules=100, instrument="auto", strategy="random")
    plain = explore(program, schedules=100, strategy="random")
    assert with_points.verdict == plain.verdict == "passed"
    points = [step.label for seed in range(20) for step in simulate(program, seed=seed, instrument="auto").schedule]
    assert points == [step.label for seed in range(20) for step in simulate(program, seed=seed).schedule]
    assert len(points) > 20


def test_a_schedule_says_what_was_known_to_be_shared():
    """By names without lines or addresses, as data that a file can hold."""
    failure = explore(racy.attribute, schedules=100, instrument="auto").failure
    assert failure.schedule.points == {"instrument": "auto", "shared": ["Counter.value"]}
    assert json.loads(json.dumps(failure.schedule.points)) == failure.schedule.points


def test_labels_name_what_is_accessed():
    """Attributes, globals, cells and containers, by the names that the program has for them."""
    programs = {
        racy.attribute: "read Counter.value",
        racy.class_attribute: "write Counter.total",
        racy.global_variable: "write racy.TOTAL",
        racy.nonlocal_variable: "read nonlocal_variable.<locals>.total",
        racy.list_append_of_its_length: "write list_append_of_its_length.<locals>.items",
    }
    for program, expected in programs.items():
        labels = {step.label.partition(": ")[2] for step in explore(program, instrument="auto").failure.schedule}
        assert expected in labels, labels


def test_one_run_begins_knowing_nothing_and_learns():
    """The second access is a scheduling point, and all that follow."""
    execution = simulate(racy.attribute, seed=3, instrument="auto")
    assert execution.schedule.points == {"instrument": "auto", "shared": []}
    assert any("Counter.value" in step.label for step in execution.schedule)


def test_the_same_seed_gives_the_same_schedule_in_a_fresh_process():
    """What was shared in other explorations of this process makes no difference."""
    explore(racy.attribute, schedules=50, instrument="auto")
    code = (
        "from routilux_sim import simulate; from tests.points import racy;"
        "print([[s.label for s in simulate(p, seed=7, instrument='auto').schedule] for p in racy.RACES])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [[step.label for step in simulate(p, seed=7, instrument="auto").schedule] for p in racy.RACES]
    assert ran.stdout.strip() == str(here)


def schedules():
    """Of all racy programs, under a few seeds: what the golden file holds."""
    return {
        program.__name__: [
            [step.label for step in simulate(program, seed=seed, instrument="auto").schedule] for seed in range(3)
        ]
        for program in [*racy.RACES, locked, handed_over_by_a_queue, with_a_comprehension]
    }


def with_a_comprehension():
    totals = {"a": 1}
    wanted = ["a", "b"]

    def add():
        totals.update({name: totals.get(name, 0) + 1 for name in wanted if name in totals})

    def want():
        wanted.append("c")

    run(add, add, want)


def test_every_python_version_makes_the_same_schedules(request):
    """The golden file was made on one of them."""
    golden = request.path.with_name("golden_schedules.json")
    assert schedules() == json.loads(golden.read_text(encoding="utf-8"))


def test_a_replay_holds_what_was_shared_at_its_beginning():
    """In a campaign that knows nothing, and twice in a row."""
    report = explore(racy.test_and_append, schedules=200, instrument="auto", seed=5)
    for _ in range(2):
        again = replay(racy.test_and_append, report.failure.schedule)
        assert again.schedule == report.failure.schedule
        assert again.schedule.points == report.failure.schedule.points
        assert isinstance(again.error, AssertionError)


def flag_and_lock():
    """A known tool certifies that N is always the last; it is not."""

    class State:
        def __init__(self):
            self.flag = False
            self.last = ""
            self.lock = threading.Lock()

    state = State()

    def one():
        if not state.flag:
            with state.lock:
                state.last = "W"

    def two():
        state.flag = True
        with state.lock:
            state.last = "N"

    run(one, two)
    return state.last


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "random"])
def test_a_test_that_is_out_of_date_when_the_lock_is_had(strategy):
    """Whatever is exhausted has come to both ends."""
    ends = set()
    report = explore(lambda: ends.add(flag_and_lock()), instrument="auto", strategy=strategy, schedules=2000)
    assert report.verdict == ("passed" if strategy == "random" else "exhausted")
    assert ends == {"W", "N"}


@pytest.mark.parametrize("tasks", [2, 3])
def test_a_locked_counter_is_exhausted_by_the_orders_of_its_tasks(tasks):
    """Accesses under the lock add none."""

    def program():
        account = Account()
        run(*[account.pay] * tasks)
        assert account.balance == tasks

    report = explore(program, instrument="auto", strategy="dpor", schedules=100)
    assert (report.verdict, report.schedules) == ("exhausted", {2: 2, 3: 6}[tasks])


def test_what_is_found_late_voids_what_was_enumerated():
    """A race that only few schedules reach is still among those of a search that is exhausted."""

    def program():
        counter = racy.Counter()
        gate = threading.Event()

        def late():
            if gate.is_set():
                counter.add()

        def opening():
            gate.set()
            counter.add()

        run(late, opening)
        values.add(counter.value)

    values = set()
    report = explore(program, instrument="auto", strategy="dfs", schedules=5000)
    assert report.verdict == "exhausted"
    assert values == {1, 2}
    assert "accesses to shared memory" in report.proof


def test_a_loop_that_waits_for_a_variable_ends():
    """Its reads are scheduling points: others get their turn."""

    class Flag:
        up = False

    def program():
        flag = Flag()

        def wait():
            while not flag.up:
                pass

        def raise_it():
            flag.up = True

        run(wait, raise_it)

    assert explore(program, instrument="auto", schedules=50, strategy="random").verdict == "passed"


def peterson(wait_for_turn):
    """Peterson's lock of two flags and a turn, in plain memory; without the turn both may get in."""
    wants = [False, False]
    turn = [0]
    inside = []

    def enter(me):
        wants[me] = True
        turn[0] = 1 - me
        while wait_for_turn and wants[1 - me] and turn[0] == 1 - me:
            pass
        inside.append(me)
        assert len(inside) == 1
        inside.pop()
        wants[me] = False

    run(lambda: enter(0), lambda: enter(1))


def test_a_lock_made_of_plain_memory_keeps_the_other_out():
    """Loops that wait for memory are explored like any others; and without the wait, the bug is found."""
    assert explore(lambda: peterson(True), instrument="auto", schedules=300, strategy="random").verdict == "passed"
    assert explore(lambda: peterson(False), instrument="auto", schedules=300, strategy="random").verdict == "failed"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schedules(), indent=1) + "\n")
