"""Which functions get memory points, and that all is put back; and what programs may notice, which is nothing."""

import functools
import gc
import importlib
import queue
import sys
import threading
import types
import weakref

import pytest

from routilux_sim import explore, simulate
from routilux_sim.points import instrumentation as instrumentations
from routilux_sim.points.code_under_test import CodeUnderTest
from routilux_sim.points.instrumentation import Instrumentation
from routilux_sim.points.plan import Rewritten
from tests.points import racy
from tests.points.racy import run

HELPERS = """
import functools

COUNT = 0

def bump():
    global COUNT
    COUNT += 1

def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

class Service:
    total = 0

    @logged
    def wrapped(self):
        self.total += 1

    @staticmethod
    def static(box):
        box.total += 1

    @classmethod
    def of_class(cls, box):
        box.total += 1

    @property
    def asked(self):
        self.total += 1
        return self.total

    @functools.cached_property
    def cached(self):
        self.total += 1
        return self.total

    class Inner:
        def nested(self, box):
            box.total += 1

handlers = {"lambda": [lambda box: setattr(box, "total", box.total + 1)]}
partial = functools.partial(Service.static)
"""


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """A module of the project, which is not loaded by the test's own."""
    (tmp_path / "project_helpers.py").write_text(HELPERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("project_helpers")
    sys.modules.pop("project_helpers", None)


CALLS = {
    "wrapped": lambda module, box: box.wrapped(),
    "static": lambda module, box: module.Service.static(box),
    "class": lambda module, box: module.Service.of_class(box),
    "property": lambda module, box: box.asked,
    "nested": lambda module, box: module.Service.Inner().nested(box),
    "lambda": lambda module, box: module.handlers["lambda"][0](box),
    "partial": lambda module, box: module.partial(box),
}


@pytest.mark.parametrize("kind", CALLS)
def test_functions_are_found_wherever_they_are(helpers, kind):
    """In classes, behind decorators, in containers: the race in each is found."""

    def program():
        box = helpers.Service()
        run(*[lambda: CALLS[kind](helpers, box)] * 2)
        assert box.total == 2

    assert explore(program, schedules=200, instrument="auto", strategy="random").verdict == "failed"


def test_a_module_imported_by_the_program_is_found(tmp_path, monkeypatch):
    """While the simulation runs."""
    (tmp_path / "imported_inside.py").write_text(HELPERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def program():
        module = importlib.import_module("imported_inside")
        module.COUNT = 0
        run(module.bump, module.bump)
        assert module.COUNT == 2

    try:
        assert explore(program, schedules=200, instrument="auto", strategy="random").verdict == "failed"
        assert "access" not in sys.modules["imported_inside"].bump.__code__.co_names
    finally:
        sys.modules.pop("imported_inside", None)


def code_of(module):
    return {name: value.__code__ for name, value in vars(module).items() if isinstance(value, types.FunctionType)}


@pytest.mark.parametrize("ending", ["passes", "fails", "is interrupted"])
def test_everything_is_put_back(ending):
    """However the campaign ends."""
    before = code_of(racy)

    def program():
        assert racy.add_to_total.__code__ is not before["add_to_total"]
        if ending == "is interrupted":
            raise KeyboardInterrupt
        assert ending == "passes"

    try:
        simulate(program, instrument="auto")
    except KeyboardInterrupt:
        assert ending == "is interrupted"
    assert code_of(racy) == before
    assert all(code is before[name] for name, code in code_of(racy).items())


def test_nothing_of_the_simulator_the_engine_or_python_is_among_them():
    """Unless it is named, for the engine."""

    def program():
        from routilux import Flow  # noqa: PLC0415 - what is to be reached

        return Flow, threading.Thread, queue.Queue, explore

    names = {function.__module__.partition(".")[0] for function in CodeUnderTest(program, "auto").functions()}
    assert "tests" in names
    assert names.isdisjoint({"routilux", "routilux_sim", "threading", "queue", "pytest", "_pytest"})
    engine = CodeUnderTest(program, ("routilux",)).functions()
    assert {function.__module__.partition(".")[0] for function in engine} == {"routilux"}


def test_the_simulator_cannot_be_named():
    """It would run under itself."""
    with pytest.raises(ValueError, match="the simulator cannot be run under itself"):
        explore(racy.attribute, instrument=["routilux_sim.kernel"])


@pytest.mark.parametrize("value", ["racy", [], [1], 5])
def test_what_is_no_list_of_names_is_refused(value):
    """With a word on what there may be."""
    with pytest.raises(ValueError, match="instrument must be"):
        simulate(racy.attribute, instrument=value)


def test_functions_that_cannot_be_rewritten_are_counted(monkeypatch):
    """They run as they are: their accesses are no scheduling points."""
    monkeypatch.setattr(instrumentations, "_done", Rewritten())
    monkeypatch.setattr("routilux_sim.points.plan.rewrite", lambda code, plan: None)
    instrumentation = Instrumentation(racy.attribute, ("tests.points.racy",))
    with instrumentation.installed():
        assert instrumentation.refused >= len(code_of(racy))
        assert all(code is code_of(racy)[name] for name, code in code_of(racy).items())
    assert explore(racy.attribute, schedules=100, instrument="auto", strategy="random").verdict == "passed"


class Resource:
    ended = 0

    def __init__(self):
        self.used = 0

    def use(self):
        self.used += 1

    def __del__(self):
        type(self).ended += 1


def test_objects_end_when_they_would():
    """Also those of which a local list was the last to know."""

    def program():
        Resource.ended = 0
        resource = Resource()
        resource.use()
        watched = weakref.ref(resource)
        table = weakref.WeakValueDictionary(key=resource)
        items = [resource]
        items.append(resource)
        assert len(items) == 2
        del resource, items
        assert watched() is None
        assert "key" not in table
        assert Resource.ended == 1

    simulate(program, instrument="auto").result()


def test_objects_kept_by_containers_end_before_the_program_does():
    """A container that no weak reference can be had of is let go of in the course of the execution."""

    class Owner:
        def __init__(self):
            self.items = [Resource()]

        def touch(self):
            self.items.append(len(self.items))

    def program():
        Resource.ended = 0
        for _ in range(100):
            Owner().touch()
        return Resource.ended

    assert simulate(program, instrument="auto").result() > 80
    gc.collect()
    assert Resource.ended == 100


def test_an_address_used_again_is_not_taken_for_the_object_before():
    """Hundreds of short-lived objects in two tasks: none of them is shared."""

    class Box:
        def __init__(self):
            self.used = 0

    def program():
        def work():
            for number in range(300):
                box = Box()
                box.used = [number]
                box.used.append(number)
                threading.Event().set()

        run(work, work)

    execution = simulate(program, seed=1, instrument="auto")
    assert execution.verdict == "passed"
    assert not any("used" in step.label for step in execution.schedule)


def test_the_inside_of_a_queue_is_one_operation():
    """A comparison that the program has written does not let others into the midst of it."""

    @functools.total_ordering
    class Job:  # noqa: PLW1641 - nobody hashes it
        compared = 0

        def __init__(self, number):
            self.number = number

        def __eq__(self, other):
            return self.number == other.number

        def __lt__(self, other):
            Job.compared += 1
            return self.number < other.number

    def program():
        line = queue.PriorityQueue()
        run(*[lambda: [line.put(Job(number)) for number in (3, 1, 2)]] * 2)
        got = [line.get().number for _ in range(6)]
        assert got == [1, 1, 2, 2, 3, 3]

    report = explore(program, schedules=100, instrument="auto", strategy="random")
    assert report.verdict == "passed", report


def test_a_strategy_of_the_programs_own_is_not_under_test():
    """It chooses where others make points, and must make none itself."""

    class Counting:
        name = "counting"

        def __init__(self):
            self.picks = 0

        def begin(self, seed):
            return True

        def pick(self, current, ready):
            self.picks += 1
            return self.picks % (len(ready) + (current is not None))

        def draw(self, label, bound):
            return 0

    strategy = Counting()

    def program():
        assert strategy.picks >= 0
        run(racy.add_to_total, racy.add_to_total)

    assert simulate(program, strategy=strategy, instrument="auto").verdict == "passed"
    assert strategy.picks > 0
