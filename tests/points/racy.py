"""Racy programs without any synchronization between the two halves of what should be one operation."""

import threading
from collections import deque


def run(*targets):
    threads = [threading.Thread(target=target, name=f"worker-{number}") for number, target in enumerate(targets, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Counter:
    total = 0

    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1

    @classmethod
    def add_to_all(cls):
        cls.total += 1


def attribute():
    counter = Counter()
    run(counter.add, counter.add)
    assert counter.value == 2


def class_attribute():
    Counter.total = 0
    run(Counter.add_to_all, Counter.add_to_all)
    assert Counter.total == 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1


def slot():
    counter = Slotted()
    run(counter.add, counter.add)
    assert counter.value == 2


TOTAL = 0


def add_to_total():
    global TOTAL  # noqa: PLW0603 - the race to be found
    TOTAL += 1


def global_variable():
    global TOTAL  # noqa: PLW0603 - the race to be found
    TOTAL = 0
    run(add_to_total, add_to_total)
    assert TOTAL == 2


def nonlocal_variable():
    total = 0

    def add():
        nonlocal total
        total += 1

    run(add, add)
    assert total == 2


def dict_item():
    totals = {"a": 0}

    def add():
        totals["a"] += 1

    run(add, add)
    assert totals["a"] == 2


def list_append_of_its_length():
    items = []

    def add():
        items.append(len(items))

    run(add, add)
    assert items == [0, 1]


def test_and_append():
    items = []

    def add():
        if not items:
            items.append("only one")

    run(add, add)
    assert items == ["only one"]


def test_and_add():
    seen = set()
    done = deque()

    def once():
        if "it" not in seen:
            seen.add("it")
            done.append("it")

    run(once, once)
    assert len(done) == 1


def computed_name():
    class Bag:
        pass

    bag = Bag()
    bag.value = 0
    name = "value"

    def add():
        setattr(bag, name, getattr(bag, name) + 1)

    run(add, add)
    assert bag.value == 2


def shared_iterator():
    numbers = iter([1, 2])
    got = []

    def take():
        if numbers.__length_hint__() > 0:
            got.append(next(numbers))

    run(take, take, take)
    assert sorted(got) == [1, 2]


def changed_while_iterated():
    totals = {"a": 1, "b": 2}

    def add():
        totals["c"] = 3

    def look():
        for _ in totals:
            pass

    run(look, add)


RACES = [
    attribute,
    class_attribute,
    slot,
    global_variable,
    nonlocal_variable,
    dict_item,
    list_append_of_its_length,
    test_and_append,
    test_and_add,
    computed_name,
    shared_iterator,
    changed_while_iterated,
]
