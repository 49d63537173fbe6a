"""The state of a program as far as it can be seen: where its tasks are, and everything reachable from their variables.

Two equal states under a scheduler that decides by nothing else mean that the program goes round in circles. So what
cannot be looked into makes a state incomparable, instead of being taken for unchanged. No code of the program's runs:
objects are told by their types and fields, not by ``==`` or ``repr``.
"""

from __future__ import annotations

import array
import datetime as dt
import decimal
import functools
import itertools
import random
import struct
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    GenericAlias,
    MappingProxyType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any

import greenlet

from routilux_sim.judge.names import fields_of
from routilux_sim.kernel.core import Kernel
from routilux_sim.kernel.task import Task

__all__ = ["OpaqueError", "State", "difference", "state_of"]

LARGEST = 50_000
"""Values in a state; a larger one is not compared."""

State = list[tuple[str, Any]]
"""What was found, in the order of the search: the way to it, and its value or type."""

_VALUES = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), range, slice)
_FIXED = (
    ModuleType,
    CodeType,
    GenericAlias,
    TracebackType,
    staticmethod,
    classmethod,
    property,
)
_SEQUENCES = (list, tuple, deque)
_MAPPINGS = (dict, OrderedDict, defaultdict)
_SETS = (set, frozenset)
_BUILT_IN = (*_SEQUENCES, *_MAPPINGS, *_SETS, int, float, complex, str, bytes, BaseException)
_POINTER = struct.calcsize("P")
_BUFFERS = (bytearray, memoryview, array.array)
_TELLING = (
    itertools.count,
    itertools.repeat,
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    dt.timezone,
    decimal.Decimal,
)
_Cached: Any = type(functools.lru_cache(lambda: None))
_ITERATORS: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter({})),
    type(iter({}.values())),
    type(iter({}.items())),
    type(iter(set())),
    type(reversed([])),
    type(iter(deque())),
)
_IGNORED = {
    # of the interpreter, and without a say in what a program does next
    "logging",
    "io",
    "_io",
    "re",
    "weakref",
    "_weakref",
    "abc",
    "typing",
    "enum",
    "_thread",
    "greenlet",
    "contextvars",
    "_contextvars",
    # what runs the program as a test
    "_pytest",
    "pytest",
    "pluggy",
    "hypothesis",
}
_LIBRARY = ("routilux_sim.kernel", "routilux_sim.strategy", "routilux_sim.judge")


class OpaqueError(Exception):
    """A state cannot be compared; the message says why."""


def state_of(kernel: Kernel, running: FrameType) -> State:
    """The state of a program.

    Args:
        kernel: Its kernel, while a task runs.
        running: The frame of that task to begin with.

    Raises:
        OpaqueError: It holds something that cannot be looked into, or too much.
    """
    walk = _Walk()
    walk.note("the clock", kernel.now)
    walk.note("random", hash(random.getstate()))
    for task in kernel.tasks:
        walk.note(task.name, f"{task.state} {task.op}")
        carrier = task.greenlet
        walk.add(task.storage, f"what is local to {task.name}")
        for variable, value in () if task.context is None else task.context.items():
            # By identity: a variable that changes is given another value, and what libraries keep there is opaque.
            walk.note(f"{variable.name} in the context of {task.name}", value if type(value) in _VALUES else id(value))
        frame = running if task is kernel.current else carrier.gr_frame if carrier is not None else None
        while frame is not None:
            if not frame.f_globals.get("__name__", "").startswith("routilux_sim"):
                walk.frame(frame, f"{task.name}: {frame.f_code.co_qualname}")
            frame = frame.f_back
    walk.run()
    return walk.found


def difference(before: State, after: State) -> str | None:
    """The way to the first thing that differs; None if nothing does."""
    for old, new in zip(before, after, strict=False):
        if old != new:
            return new[0]
    return None if len(before) == len(after) else "the number of objects"


class _Walk:
    """A breadth-first search."""

    def __init__(self) -> None:
        self.found: State = []
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        self._queue: deque[tuple[Any, str]] = deque()

    def run(self) -> None:
        while self._queue:
            value, way = self._queue.popleft()
            self._visit(value, way)
            if len(self.found) > LARGEST:
                raise OpaqueError(f"it has more than {LARGEST} values")

    def note(self, way: str, value: Any) -> None:
        """Found something that is compared as it is."""
        self.found.append((way, value))

    def add(self, value: Any, way: str) -> None:
        """Found something to look into."""
        self._queue.append((value, way))

    def all(self, values: Iterable[Any], way: str) -> None:
        """Found several things in their order."""
        for index, element in enumerate(list(values)):
            self.add(element, f"{way}[{index}]")

    def frame(self, frame: FrameType, way: str) -> None:
        self.note(way, (id(frame.f_code), frame.f_lasti))
        if frame.f_locals is not frame.f_globals:
            for name, value in list(frame.f_locals.items()):
                self.add(value, f"{name} in {way}")
        self.named(frame.f_code, frame.f_globals)

    def named(self, code: CodeType, scope: dict[str, Any]) -> None:
        """Found code: the globals that it names."""
        for name in code.co_names:
            if name in scope:
                self.add(scope[name], name)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self.named(constant, scope)

    def _visit(self, value: Any, way: str) -> None:
        kind = type(value)
        if kind in _VALUES:
            self.note(way, value if kind is not float else value.hex())
            return
        number = self._seen.get(id(value))
        if number is not None:
            self.note(way, f"as {number}")
            return
        self._seen[id(value)] = len(self._seen)
        # Kept while the search lasts: what fields are made of on demand must not have the same address as another.
        self._kept.append(value)
        self.note(way, kind.__qualname__)
        look = _LOOKS.get(kind)
        if look is not None:
            look(self, value, way)
        elif issubclass(kind, random.Random):
            self.note(way, hash(value.getstate()))
        elif issubclass(kind, type):
            _class(self, value, way)
        elif not issubclass(kind, _FIXED):
            _object(self, value, way)


def _mapping(walk: _Walk, value: Any, way: str) -> None:
    for key, element in list(value.items()):
        name = repr(key) if type(key) in _VALUES else "…"
        walk.add(key, f"a key of {way}")
        walk.add(element, f"{way}[{name}]")


def _set(walk: _Walk, value: Any, way: str) -> None:
    plain = frozenset(element for element in value if type(element) in _VALUES)
    walk.note(way, (len(value), plain))
    walk.all((element for element in value if type(element) not in _VALUES), way)


def _cached(walk: _Walk, value: Any, way: str) -> None:
    walk.note(way, value.cache_info())
    walk.add(value.__wrapped__, way)


def _method(walk: _Walk, value: Any, way: str) -> None:
    walk.add(value.__self__, way)
    walk.add(value.__func__, way)


def _builtin(walk: _Walk, value: Any, way: str) -> None:
    if type(value.__self__) is not ModuleType:
        walk.add(value.__self__, way)


def _function(walk: _Walk, function: FunctionType, way: str) -> None:
    walk.all(function.__closure__ or (), way)
    walk.all(function.__defaults__ or (), way)
    if not (function.__module__ or "").startswith("routilux_sim"):
        walk.named(function.__code__, function.__globals__)


def _cell(walk: _Walk, cell: CellType, way: str) -> None:
    try:
        walk.add(cell.cell_contents, f"a variable of {way}")
    except ValueError:
        walk.note(way, "empty")


def _suspended(walk: _Walk, value: Any, way: str) -> None:
    frame = getattr(value, "gi_frame", None) or getattr(value, "cr_frame", None)
    if frame is not None:
        walk.frame(frame, way)


_LOOKS: dict[type, Callable[[_Walk, Any, str], None]] = {
    **dict.fromkeys(_SEQUENCES, _Walk.all),
    **dict.fromkeys(_MAPPINGS, _mapping),
    **dict.fromkeys(_SETS, _set),
    **dict.fromkeys(_BUFFERS, lambda walk, value, way: walk.note(way, bytes(value))),
    **dict.fromkeys(_TELLING, lambda walk, value, way: walk.note(way, repr(value))),
    **dict.fromkeys(_ITERATORS, lambda walk, value, way: walk.note(way, value.__length_hint__())),
    _Cached: _cached,
    functools.partial: lambda walk, value, way: walk.all((value.func, value.args, value.keywords), way),
    MappingProxyType: lambda walk, value, way: walk.add(dict(value), way),
    FunctionType: _function,
    MethodType: _method,
    BuiltinFunctionType: _builtin,
    CellType: _cell,
    GeneratorType: _suspended,
    CoroutineType: _suspended,
}
"""How to look into what is Python's own."""


def _class(walk: _Walk, kind: type, way: str) -> None:
    if not _is_ignored(kind):
        for name, member in list(vars(kind).items()):
            if not name.startswith("__"):
                walk.add(member, f"{way}.{name}")


def _object(walk: _Walk, value: Any, way: str) -> None:
    kind = type(value)
    if kind is Task:
        walk.note(way, (value.number, value.state))
        return
    if issubclass(kind, (Kernel, greenlet.greenlet)) or _is_ignored(kind):
        return
    for name, field in fields_of(value):
        walk.add(field, f"{way}.{name}")
    if issubclass(kind, _BUILT_IN):
        _base(walk, value, way)
    elif _hidden_bytes(kind):
        raise OpaqueError(f"{way} is a {kind.__module__}.{kind.__qualname__}, which cannot be looked into")


def _base(walk: _Walk, value: Any, way: str) -> None:
    """What an instance of a subclass of a built-in type has besides its fields."""
    if issubclass(type(value), BaseException):
        walk.add(value.args, way)
        return
    base: Any = next(kind for kind in _BUILT_IN if issubclass(type(value), kind))
    if issubclass(base, dict):
        walk.all(dict.items(value), way)
    elif base in _SEQUENCES or base in _SETS:
        # A copy of the base's kind, by its own iterator: the subclass may have another.
        walk.add(base(base.__iter__(value)), way)
    else:
        walk.note(way, base.__repr__(value))


def _is_ignored(kind: type) -> bool:
    module = kind.__module__
    stream = any(base.__module__ == "_io" for base in kind.__mro__)
    return stream or module.split(".")[0] in _IGNORED or module.startswith(_LIBRARY)


def _hidden_bytes(kind: type) -> int:
    """How much of an instance is neither an attribute nor a slot, but a field of a type written in C."""
    slots = sum(type(member).__name__ == "member_descriptor" for base in kind.__mro__ for member in vars(base).values())
    pointers = slots + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
    return kind.__basicsize__ - object.__basicsize__ - pointers * _POINTER
