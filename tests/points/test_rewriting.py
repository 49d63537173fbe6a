"""Code with hooks does what it did without, and calls them just before each access."""

import asyncio
import sys
import traceback
import types
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux_sim.points.rewriting import Call, rewrite


class Recorder:
    """A selection of everything, which notes what is accessed."""

    def __init__(self, only=None):
        self.seen = []
        self._only = only

    def call(self, access, place):
        if self._only is not None and access.what not in self._only:
            return None

        def note(obj, *rest):
            self.seen.append((access.what, access.op, access.name, obj))

        return Call(note, ("a global", "rest") if access.what == "global" else ("rest",))

    def inner(self, code):
        made = rewrite(code, self)
        assert made is not None, f"{code.co_qualname} was refused"
        return made


def rewritten(function, recorder):
    """The same function, with hooks."""
    code = recorder.inner(function.__code__)
    made = types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def test_a_point_stands_between_the_arguments_and_the_call():
    """``items.append(len(items))`` reads, then appends: whoever comes in between is seen by neither."""

    def program(items):
        items.append(len(items))

    recorder = Recorder({"bound", "argument"})
    lengths = []
    items = []
    note = recorder.seen.append
    recorder.seen = type("Seen", (), {"append": lambda self, row: (note(row), lengths.append(len(items)))})()
    rewritten(program, recorder)(items)
    assert lengths == [0, 0]
    assert items == [0]


def test_the_object_accessed_reaches_the_hook():
    """Whatever kind of access it is."""

    class Box:
        value = 1

    def program(box, items, names):
        box.value = box.value + items[0]
        items[1] = 5
        del items[2]
        names.update(a=1)
        return "a" in names, len(items), [item for item in items if item]

    recorder = Recorder({"attribute", "container", "bound", "argument"})
    box, items, names = Box(), [1, 2, 3], {}
    assert rewritten(program, recorder)(box, items, names) == (True, 2, [1, 5])
    seen = [(op, obj if what != "bound" else obj.__self__) for what, op, _, obj in recorder.seen]
    expected = [
        ("read", box),
        ("read", items),
        ("write", box),
        ("write", items),
        ("write", items),
        ("write", names),
        ("read", names),
        ("read", items),
        ("read", items),
    ]
    accesses = [row for row in seen if row[1] is box or row[1] is items or row[1] is names]
    # `names.update` is also the load of an attribute.
    assert [row for index, row in enumerate(accesses) if row != ("read", names) or index > 6][:9] == expected


def generator(items):
    """With everything that a generator can do."""
    try:
        got = yield items[0]
        items.append(got)
        yield from items
    except KeyError as error:
        yield str(error)
    finally:
        items.clear()


def test_generators_send_throw_and_close_as_before():
    """The exception table and the depth of the stack fit."""
    made = rewritten(generator, Recorder())
    items = [1]
    running = made(items)
    assert next(running) == 1
    assert running.send(2) == 1
    assert next(running) == 2
    running.close()
    assert items == []
    running = made([1])
    next(running)
    assert running.throw(KeyError("x")) == "'x'"


class Manager:
    def __init__(self):
        self.log = []

    def __enter__(self):
        self.log.append("in")
        return self

    def __exit__(self, kind, error, trace):
        self.log.append(kind.__name__ if kind else "out")
        return kind is ValueError

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, *args):
        return self.__exit__(*args)


def managing(manager, items):
    with manager as inner:
        items[0] = items[0].missing
        inner.log.append("not reached")
    return manager.log


def test_with_blocks_handle_exceptions_as_before():
    """Also one that comes out of an access."""
    with pytest.raises(AttributeError):
        rewritten(managing, Recorder())(Manager(), [1])
    assert rewritten(managing, Recorder())(Manager(), [types.SimpleNamespace(missing=1)]) == [
        "in",
        "not reached",
        "out",
    ]


async def awaiting(manager, items):
    async with manager as inner:
        inner.log += [await asyncio.sleep(0, item) for item in items]
    return [item async for item in stream(items)]


async def stream(items):
    for item in items:
        yield item


def test_coroutines_await_as_before():
    """And asynchronous generators and comprehensions."""
    manager = Manager()
    assert asyncio.run(rewritten(awaiting, Recorder())(manager, [1, 2])) == [1, 2]
    assert manager.log == ["in", 1, 2, "out"]


def raising(items):
    return items[0] + items[1].missing


def test_tracebacks_show_the_same_lines():
    """Also the columns, where there are some."""
    shown = []
    for function in (raising, rewritten(raising, Recorder())):
        with pytest.raises(AttributeError) as caught:
            function([1, 2])
        shown.append(traceback.format_tb(caught.value.__traceback__)[-1])
    assert shown[0] == shown[1]


def keywords(function, items, more):
    return function(items, *items, key=len(items), **more)


def test_calls_with_keywords_and_stars_pass_what_they_did():
    """Whatever lies on the stack beside the callable."""

    def take(*args, **kwargs):
        return args, kwargs

    assert rewritten(keywords, Recorder())(take, [1, 2], {"more": [1, 2]}) == take([1, 2], 1, 2, key=2, more=[1, 2])


def sorting(words):
    words.sort(key=len, reverse=True)
    return sorted(words, key=lambda word: word[-1]), ", ".join(words), "x".count("x")


def test_methods_called_with_keywords_are_called():
    """A method's load is changed: what the call finds on the stack is not."""
    assert rewritten(sorting, Recorder())(["a", "cb", "bca"]) == (["bca", "a", "cb"], "bca, cb, a", 1)


class Derived(list):
    def append(self, item):
        super().append((item, __class__))

    @property
    def last(self):
        return self[-1]


def deriving(items):
    items.append(1)
    return items.last


def test_methods_of_derived_classes_are_the_classes_own():
    """And ``super()`` finds its class."""
    made = rewritten(Derived.append, Recorder())
    items = Derived()
    made(items, 2)
    assert items == [(2, Derived)]
    assert rewritten(deriving, Recorder())(items) == (1, Derived)


OPERATIONS = ["append", "pop", "extend", "get", "set", "del", "slice", "in", "len", "sum", "loop"]


@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(-3, 3))))
def test_any_sequence_of_operations_does_the_same(operations):
    """On a list, a dictionary, a deque and a counter at once, exceptions included."""
    plain = operate([0], {0: 0}, deque([0]), Counter(), operations)
    assert _operate([0], {0: 0}, deque([0]), Counter(), operations) == plain


def operate(items, table, line, counts, operations):  # noqa: C901 - a branch for each operation
    said = []
    for name, number in operations:
        try:
            if name == "append":
                items.append(number)
                line.appendleft(number)
                counts[number] += 1
            elif name == "pop":
                said.append((items.pop(number), table.pop(number, None)))
            elif name == "extend":
                items += [number, *line]
                table |= {number: items}
            elif name == "get":
                said.append((items[number], table.get(number), table[number]))
            elif name == "set":
                items[number] = table[number] = line[number] = number
            elif name == "del":
                del items[number], table[number]
            elif name == "slice":
                said.append(items[:number])
                items[number:] = [1]
            elif name == "in":
                said.append((number in items, number in table, not items, bool(line)))
            elif name == "len":
                said.append(len(items) if items else len(line) or None)
            elif name == "sum":
                said.append(
                    (sum(item for item in items), sorted(line), {key: str(value) for key, value in table.items()})
                )
            else:
                for index, item in enumerate(items):
                    if item == number:
                        said.append(index)
                        break
                else:
                    said.append("none")
        except (IndexError, KeyError) as error:
            said.append(repr(error))
    return said, items, sorted(table), line, counts


_operate = rewritten(operate, Recorder())


def test_what_cannot_be_rewritten_is_left_alone(monkeypatch):
    """It is no error: whoever asked is told."""
    monkeypatch.setattr("routilux_sim.points.accesses.stacks", lambda code: [])
    assert rewrite(raising.__code__, Recorder()) is None


def test_code_without_accesses_stays_what_it_is():
    """Nothing is inserted, so nothing is made anew."""

    def nothing(number):
        return number + 1

    assert rewrite(nothing.__code__, Recorder()) is nothing.__code__


def test_the_same_accesses_are_seen_on_every_python():
    """By their meanings, in the order in which they happen: the golden list was made on one of the versions."""
    recorder = Recorder({"container", "bound", "argument", "step", "named", "cell"})
    _run = rewritten(operate_once, recorder)
    _run([3, 1], {"a": 1})
    assert [f"{what} {op} {name}".strip() for what, op, name, _ in recorder.seen] == GOLDEN, sys.version


def operate_once(items, table):
    total = 0

    def add(number):
        nonlocal total
        total += number

    for item in items:
        add(item)
    items[0] += 1
    if table and not items:
        table.clear()
    while items:
        items.pop()
    pairs = {key: value for key, value in table.items() if value}
    setattr(add, "pairs", getattr(add, "pairs", pairs))  # noqa: B010 - names may be computed
    first, *rest = sorted(table)
    items[1:] = rest or [first]
    return total, [*items, *pairs], items == []


GOLDEN = """
cell write total
container read
step read next
cell read total
container write
cell write total
step read next
cell read total
container write
cell write total
step read next
container read
container write
container read
container read
container read
bound write pop
container read
bound write pop
container read
bound read items
container read
step read next
container read
container read
step read next
named read getattr
named write setattr
argument read sorted
container read
container read
container write
cell read total
container read
container read
container read
""".strip().splitlines()
