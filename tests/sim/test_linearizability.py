"""Overlapping calls are judged by whether some order of them explains what they came to."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import OrderedDict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as generators
from sim_helpers import run_threads

from routilux_sim import History, NotLinearizableError, WouldBlock, check_linearizable, explore, explore_linearizable
from routilux_sim.judge.intervals import draw
from routilux_sim.judge.orders import NoOrder, Operation, Outcome, find_order, smallest


class Fifo:
    """What a queue is, sequentially."""

    def __init__(self):
        self.items = deque()

    def put(self, item):
        self.items.append(item)

    def get(self):
        if not self.items:
            raise queue.Empty
        return self.items.popleft()


class Waiting(Fifo):
    """What a queue is whose readers wait."""

    def get(self):
        if not self.items:
            raise WouldBlock
        return self.items.popleft()


class Cell:
    """One value, and steps on it."""

    def __init__(self):
        self.value = 0

    def write(self, value):
        self.value = value

    def read(self):
        return self.value

    def add(self):
        self.value += 1
        return self.value


def calls(text, model=Cell):
    """Read a history: a line for each task, a call between "[" and "]" at its columns, results after "="."""
    operations = []
    for line in text.strip().splitlines():
        task, _, drawn = line.strip().partition(" ")
        for place in [place for place, sign in enumerate(drawn) if sign == "["]:
            end = drawn.find("]", place)
            written = drawn[place + 1 : end if end >= 0 else None].strip(" .-")
            name, _, result = written.partition("=")
            method, *args = name.split()
            outcome = None if end < 0 else Outcome(int(result) if result.strip() else None)
            operations.append(
                Operation(task, method, tuple(map(int, args)), {}, place, end if end >= 0 else None, outcome)
            )
    return operations


def has_order(spec, operations):
    try:
        find_order(spec, operations)
    except NoOrder:
        return False
    return True


HISTORIES = {
    "one after the other": (True, "a [write 1] [read=1]"),
    "a value that was never written": (False, "a [write 1] [read=2]"),
    "a read that overlaps sees the old value": (True, "a [write 1        ]\nb     [read=0]"),
    "a read that overlaps sees the new value": (True, "a [write 1        ]\nb     [read=1]"),
    "a read afterwards sees the old value": (False, "a [write 1]\nb             [read=0]"),
    "new and then old": (False, "a [write 1                ]\nb     [read=1] [read=0]"),
    "old and then new": (True, "a [write 1                ]\nb     [read=0] [read=1]"),
    "a call that has not returned took effect": (True, "a [write 1 ...\nb              [read=1]"),
    "a call that has not returned did not": (True, "a [write 1 ...\nb              [read=0]"),
    "a call that has not returned cannot take back": (False, "a [write 1 ...\nb              [read=1] [read=0]"),
    "two additions see each other": (False, "a [add=1]\nb   [add=1]"),
    "two additions, the later begun comes first": (True, "a [add=2   ]\nb   [add=1]"),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_histories_judged_by_hand(name):
    """What is known of a register holds."""
    expected, text = HISTORIES[name]
    assert has_order(Cell, calls(text)) is expected


def brute_force(spec, operations):
    """Try every order of every selection that has all calls which returned."""
    returned = [operation for operation in operations if operation.ended is not None]
    still_open = [operation for operation in operations if operation.ended is None]
    for count in range(len(still_open) + 1):
        for extra in itertools.combinations(still_open, count):
            for order in itertools.permutations([*returned, *extra]):
                if any(b.returns_at < a.begun for a, b in itertools.combinations(order, 2)):
                    continue
                if explains(spec, order):
                    return True
    return False


def explains(spec, order):
    model = spec()
    for operation in order:
        try:
            outcome = Outcome(getattr(model, operation.method)(*operation.args))
        except WouldBlock:
            return False
        except Exception as error:  # noqa: BLE001 - an outcome like others
            outcome = Outcome(error=error)
        if operation.outcome is not None and not outcome.is_same(operation.outcome):
            return False
    return True


class CopiedFifo(Fifo):
    """The same, which is copied and not made anew."""

    def __copy__(self):
        other = CopiedFifo()
        other.items = self.items.copy()
        return other


OUTCOMES = [Outcome(1), Outcome(2), Outcome(error=queue.Empty())]


@generators.composite
def small_histories(draw_from):
    """Up to six calls of a queue by up to three tasks, with whatever results, a few of them still open."""
    count = draw_from(generators.integers(1, 6))
    events = draw_from(generators.permutations([number for number in range(count) for _ in range(2)]))
    operations = []
    for number in range(count):
        begun, ended = (place for place, event in enumerate(events) if event == number)
        if draw_from(generators.booleans()):
            method, args, outcome = "put", (draw_from(generators.integers(1, 2)),), Outcome()
        else:
            method, args, outcome = "get", (), draw_from(generators.sampled_from(OUTCOMES))
        is_open = draw_from(generators.integers(0, 5)) == 0
        operations.append(
            Operation(
                f"task-{number % 3}", method, args, {}, begun, None if is_open else ended, None if is_open else outcome
            )
        )
    return operations


@settings(max_examples=300, deadline=None)
@given(small_histories(), generators.sampled_from([Fifo, CopiedFifo, Waiting]))
def test_the_search_agrees_with_trying_every_order(operations, spec):
    """An order is found if and only if there is one, and the one found is one."""
    try:
        order = find_order(spec, operations)
    except NoOrder:
        assert not brute_force(spec, operations)
        return
    placed = [operations[index] for index in order]
    assert {operation for operation in range(len(operations)) if operations[operation].ended is not None} <= set(order)
    assert not any(b.returns_at < a.begun for a, b in itertools.combinations(placed, 2))
    assert explains(spec, placed)


@settings(max_examples=200, deadline=None)
@given(small_histories())
def test_the_smallest_part_has_no_order_and_cannot_lose_its_last_call(operations):
    """What is shown is wrong in itself, and explained up to its last return."""
    if has_order(Fifo, operations):
        return
    left, _ = smallest(Fifo, operations)
    assert not brute_force(Fifo, left)
    last = max(operation.ended for operation in left if operation.ended is not None)
    assert brute_force(Fifo, [one.left_open() if one.ended == last else one for one in left])


def test_a_put_is_shown_with_the_two_gets_that_it_came_out_of():
    """What does not matter is left out; where a value came from is not."""
    text = """
    a [put 1] [put 2]                   [put 3]
    b                  [get=1] [get=1]            [get=2]
    """
    left, _ = smallest(Fifo, calls(text))
    assert [str(operation) for operation in left] == ["put(1)", "get() -> 1", "get() -> 1"]


def test_the_error_draws_the_calls_and_says_how_far_an_order_goes():
    """A person sees what overlapped, and what the specification would have given."""
    with pytest.raises(NotLinearizableError) as caught:
        check_linearizable(Cell, calls("one [write 1]      [read=1]\ntwo           [read=0]"))
    assert str(caught.value).splitlines() == [
        "not linearizable: no order of these calls explains what they came to",
        "  one  |-write(1)|",
        "  two              |-read() -> 0|",
        "  the longest order that fits: write(1)",
        "  then read() gives 1 by the specification",
        "  (3 calls in all; the others do not matter)",
    ]


def test_a_wide_drawing_numbers_its_calls():
    """Long calls are written below."""
    lines = draw([Operation("a", "put", ("x" * 200,), {}, 0, 1, Outcome())])
    assert lines == ["a  |-1|", f"1: put({'x' * 200!r})"]


def test_a_call_that_has_not_returned_is_drawn_open():
    """Nobody knows its end."""
    assert draw(calls("a [write 1 ...\nb         [read=1]"))[0] == "a  |-write(1) …"


def test_what_is_the_same_object_need_not_be_equal():
    """A result that is not even equal to itself is found again."""
    nothing = float("nan")
    check_linearizable(Fifo, [
        Operation("a", "put", (nothing,), {}, 0, 1, Outcome()),
        Operation("a", "get", (), {}, 2, 3, Outcome(nothing)),
    ])  # fmt: skip


def test_keys_are_checked_by_themselves():
    """What is wrong with one key is shown without the others; many keys cost no more than each of them."""
    operations = [Operation(f"t{key}", "__setitem__", (key, 1), {}, key, 1000 + key, Outcome()) for key in range(200)]
    operations.append(Operation("t", "__getitem__", (3,), {}, 2000, 2001, Outcome(error=KeyError())))
    with pytest.raises(NotLinearizableError) as caught:
        check_linearizable(dict, operations, key=lambda operation: operation.args[0])
    assert [str(operation) for operation in caught.value.operations] == ["it[3] = 1", "it[3] -> raises KeyError"]


def test_long_histories_are_cheap_if_little_overlaps():
    """A thousand calls, never more than two at once."""
    operations = [
        Operation(f"t{number % 2}", "put", (number,), {}, 3 * number, 3 * number + 4, Outcome())
        for number in range(1000)
    ]
    began = time.perf_counter()
    check_linearizable(Fifo, operations)
    assert time.perf_counter() - began < 5


def test_a_model_without_the_method_is_an_error():
    """It is not taken for what the call should have come to."""
    with pytest.raises(AttributeError, match="nonsense"):
        check_linearizable(Fifo, [Operation("a", "nonsense", (), {}, 0, 1, Outcome())])


def test_a_history_records_calls_on_real_threads():
    """Outside a simulation it works as well; what is raised is recorded and goes on to the caller."""
    history = History()
    items = history.wrap(queue.SimpleQueue())
    run_threads(lambda: items.put(1), lambda: items.put(2))
    assert {items.get_nowait(), items.get_nowait()} == {1, 2}
    with pytest.raises(queue.Empty):
        items.get_nowait()
    assert [str(call) for call in history.operations[-1:]] == ["get_nowait() -> raises Empty"]


def test_signs_are_recorded_as_calls():
    """``[]``, ``in``, ``len()`` and a call of the object itself."""
    history = History()
    table = history.wrap(OrderedDict())
    table["a"] = 1
    assert "a" in table
    assert len(table) == 1
    del table["a"]
    with pytest.raises(KeyError):
        table["a"]
    assert history.wrap(int)("7") == 7
    assert [str(call) for call in history.operations] == [
        "it['a'] = 1",
        "'a' in it -> True",
        "len(it) -> 1",
        "del it['a']",
        "it['a'] -> raises KeyError",
        "it('7') -> 7",
    ]
    check_linearizable(dict, history.operations[:-1])


def test_attributes_are_handed_through_and_none_can_be_set():
    """What is no call is not recorded, and setting what the object would not see is an error."""
    history = History()
    cell = history.wrap(Cell())
    cell.write(3)
    assert cell.value == 3
    with pytest.raises(AttributeError):
        cell.value = 4
    assert len(history.operations) == 1


def test_a_call_that_never_returns_stays_open():
    """A reader that still waits at the end may have anything."""

    def program():
        history = History()
        items = history.wrap(queue.Queue())
        for _ in range(2):
            threading.Thread(target=items.get, daemon=True).start()
        items.put(1)
        time.sleep(1)
        check_linearizable(Waiting, history)
        assert sum(operation.ended is None for operation in history.operations) == 1

    assert explore(program, schedules=50).verdict == "passed"


class HalfLocked:
    """A queue whose emptiness is looked at outside its lock."""

    def __init__(self):
        self.items = deque()
        self.lock = threading.Lock()

    def put(self, item):
        with self.lock:
            self.items.append(item)

    def get(self):
        if not self.items:
            raise queue.Empty
        with self.lock:
            return self.items.popleft()


class Locked(HalfLocked):
    """The same, mended."""

    def get(self):
        with self.lock:
            if not self.items:
                raise queue.Empty
            return self.items.popleft()


class Lifo(Locked):
    """Gives back last what came first."""

    def get(self):
        with self.lock:
            if not self.items:
                raise queue.Empty
            return self.items.pop()


class LossyCounter:
    """Reads under a lock, writes under it, but lets go in between."""

    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def read(self):
        with self.lock:
            return self.value

    def add(self):
        value = self.read() + 1
        with self.lock:
            self.value = value
        return value


class LockedCounter(LossyCounter):
    def add(self):
        with self.lock:
            self.value += 1
            return self.value


class StaleCache:
    """Answers from a copy that is made outside the lock."""

    def __init__(self):
        self.entries = {}
        self.copy = {}
        self.lock = threading.Lock()

    def __setitem__(self, key, value):
        with self.lock:
            self.entries[key] = value
        with self.lock:
            self.copy = dict(self.entries)

    def __contains__(self, key):
        with self.lock:
            return key in self.copy

    def __len__(self):
        with self.lock:
            return len(self.entries)


class LockedCache(StaleCache):
    def __contains__(self, key):
        with self.lock:
            return key in self.entries


WRONG = {
    "half locked queue": (HalfLocked, Fifo, [[("put", 1), ("get",)], [("get",), ("put", 2)]]),
    "lifo queue": (Lifo, Fifo, [[("put", 1), ("put", 2)], [("get",), ("get",)]]),
    "lossy counter": (LossyCounter, Cell, [[("add",), ("read",)], [("add",), ("add",)]]),
    "stale cache": (StaleCache, dict, [[("__setitem__", "a", 1)], [("__len__",), ("__contains__", "a")]]),
}
RIGHT = {
    "locked queue": (Locked, Fifo, [[("put", 1), ("get",)], [("get",), ("put", 2)]]),
    "standard queue": (queue.Queue, Waiting, [[("put", 1), ("put", 2)], [("get",)], [("get",)]]),
    "locked counter": (LockedCounter, Cell, [[("add",), ("read",)], [("add",), ("add",)]]),
    "locked cache": (LockedCache, dict, [[("__setitem__", "a", 1)], [("__len__",), ("__contains__", "a")]]),
    "set": (set, set, [[("add", 1), ("discard", 1)], [("__contains__", 1), ("add", 1)]]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_object_is_found(name):
    """What overlapping calls come to has no order, in some schedule."""
    report = explore_linearizable(*WRONG[name], schedules=300)
    assert report.verdict == "failed"
    assert isinstance(report.failure.exception, NotLinearizableError), report


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_found_in_a_right_object(name):
    """Whatever the schedule, there is an order."""
    report = explore_linearizable(*RIGHT[name], schedules=300)
    assert report.verdict == "passed", report


SMALL = [
    (Locked, Fifo, [[("put", 1), ("get",)], [("get",)]]),
    (LockedCounter, Cell, [[("add",)], [("add",), ("read",)]]),
    (LockedCache, dict, [[("__setitem__", "a", 1)], [("__len__",), ("__contains__", "a")]]),
]


@pytest.mark.parametrize("parts", SMALL, ids=["queue", "counter", "cache"])
def test_a_right_object_is_proved_to_be_right(parts):
    """Reduction keeps which call had returned when another began, so it may say that they all have an order."""
    assert explore_linearizable(*parts, strategy="dpor", instrument="auto", schedules=2000).verdict == "exhausted"


@pytest.mark.parametrize("name", WRONG)
def test_reduction_finds_a_wrong_object(name):
    """No order is taken for another that explains it."""
    report = explore_linearizable(*WRONG[name], strategy="dpor", instrument="auto", schedules=2000)
    assert isinstance(report.failure.exception, NotLinearizableError), report


class Stale:
    """Reads of it may miss a write that has returned, for nobody waits for the copy to be made."""

    def __init__(self):
        self.value = self.copy = 0
        self.lock = threading.Lock()

    def write(self, value):
        with self.lock:
            self.value = value
        threading.Thread(target=self.refresh).start()

    def refresh(self):
        with self.lock:
            self.copy = self.value

    def read(self):
        with self.lock:
            return self.copy


@pytest.mark.parametrize("strategy", ["random", "dpor", "portfolio"])
def test_what_came_after_another_stays_after_it(strategy):
    """A stale read is wrong only because the write had returned: an order of its own would explain it."""
    report = explore_linearizable(Stale, Cell, [[("write", 1)], [("read",)]], strategy=strategy, schedules=500)
    assert isinstance(report.failure.exception, NotLinearizableError), report
    first, second = report.failure.exception.operations
    assert first.ended < second.begun


class Deaf:
    """Never hears of a write."""

    def write(self, value):
        pass

    def read(self):
        return 0


def test_calls_that_share_nothing_are_tried_in_both_orders():
    """Reduction takes the end of one call and the beginning of another as dependent, whatever the calls do."""
    report = explore_linearizable(Deaf, Cell, [[("read",)], [("write", 1)]], strategy="dpor")
    assert isinstance(report.failure.exception, NotLinearizableError), report


class Unlocked:
    """Adds without any lock."""

    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1
        return self.value


def test_memory_points_reach_the_object_under_test():
    """An object that has no synchronization at all is interrupted between its accesses."""
    calls_of_two = [[("add",)], [("add",)]]
    assert explore_linearizable(Unlocked, Cell, calls_of_two, instrument=None).failure is None
    report = explore_linearizable(Unlocked, Cell, calls_of_two, instrument="auto")
    assert isinstance(report.failure.exception, NotLinearizableError), report


def test_what_is_reported_is_the_smallest_selection_of_calls():
    """Calls and tasks that a failure does not need are left out of the program."""
    report = explore_linearizable(
        LossyCounter, Cell, [[("read",), ("add",), ("read",)], [("read",)], [("add",), ("read",)]], schedules=500
    )
    history = report.failure.exception.history
    assert sorted(str(operation) for operation in history) == ["add() -> 1", "add() -> 1"]


def test_an_object_that_deadlocks_is_a_deadlock():
    """What the exploration finds besides is reported as it is."""
    report = explore_linearizable(queue.Queue, Waiting, [[("get",)], [("get",)]], schedules=10)
    assert report.failure.kind == "deadlock"


def test_a_method_that_the_object_lacks_is_an_error():
    """It is not taken for what a call came to."""
    report = explore_linearizable(queue.Queue, Waiting, [[("nonsense",)]], schedules=10)
    assert isinstance(report.failure.exception, AttributeError)
