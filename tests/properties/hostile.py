"""What hostile documents are made of, and a watch over what reading them sets off.

A document is spoilt at one place at a time, so that the error has a place to name: `spoilt` puts a value wherever
something is, and there is a guard, `watched`, in which nothing may be imported, compiled, opened or sprung.
"""

from __future__ import annotations

import copy
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st

from routilux import ErrorHandler, Flow, JobState, Routine
from routilux.exceptions import brief

sprung: list[str] = []
"""What was set off that must not be."""


class Source(Routine):
    """The entry of the flow in question: emits, defers, and sends a result."""

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("out", ["n"])

    def go(self, n: int = 3, **_rest: Any) -> None:
        for number in range(n):
            self.emit("out", n=number)
        self.emit_deferred_event("out", n=-1)
        self.send_output("result", n=n, pair=(1, 2))
        here = self.get_execution_context()
        here.flow.pause(here.job_state, "to look at it", checkpoint={"at": [n]})


class Bait:
    """A descriptor: whoever binds it springs it."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is not None:
            sprung.append("a descriptor was bound")
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        sprung.append("a descriptor was called")


class Sink(Routine):
    """The other end, full of things that a document must not be able to reach."""

    bait = Bait()
    evaluate = eval
    made = dict

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("in", handler=self.take, merge_strategy="append")
        self.define_slot("sum", handler=self.take, merge_strategy=self.add, max_concurrency=2)

    def take(self, **data: Any) -> None:
        if data.get("n") == -7:
            raise OSError("seven")

    def add(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        return {"n": [old.get("n"), new["n"]]}

    @property
    def alarm(self) -> Any:
        sprung.append("a property was read")
        return self.take


class Unfinished(Routine):
    """Registered, and abstract."""

    @abstractmethod
    def go(self) -> None: ...


class Demanding(Routine):
    """Registered, and not to be made without arguments."""

    def __init__(self, needed: object) -> None:
        super().__init__()


class Trap(Routine):
    """A routine class that is not registered."""

    def __init__(self) -> None:
        sprung.append("a class was instantiated that is not registered")
        super().__init__()


del Routine.registry[Trap.registry_name()]


class TrapError(Exception):
    """An exception class that is loaded; to be found by name, and not to be made."""

    def __init__(self) -> None:
        sprung.append("an exception was instantiated")


def rich_flow() -> Flow:
    """A flow with something in every field."""
    flow = Flow("orders", execution_strategy="concurrent", max_workers=3, execution_timeout=60.0, max_pending=99)
    flow.set_error_handler(ErrorHandler("continue", 1, 0.5, 2))
    source, sink = Source(), Sink()
    source.set_config(names=["a", {"b": None}], pair=(1, 2), delay=0.5)
    sink.set_error_handler(ErrorHandler("retry", 2, 5.0, 1.5, retryable_exceptions=(OSError, TrapError)))
    flow.add_routine(source, "source")
    flow.add_routine(sink, "sink")
    flow.connect("source", "out", "sink", "in", {"n": "n", "m": "k"})
    flow.connect("source", "out", "sink", "sum")
    return flow


def rich_job() -> JobState:
    """A job with something in every field: paused, with things outstanding, gathered, retried, deferred and failed."""
    job = JobState.deserialize(JOB)
    assert job.pending_tasks
    return job


MOMENT = "2026-01-02T03:04:05.678900+00:00"
FIGURES = dict.fromkeys(
    ("completed", "failed", "error_continued", "skipped", "retries", "calls", "total_ns", "min_ns", "max_ns"), 1
)
STAMP = {"$type": "datetime", "value": MOMENT}
JOB: dict[str, Any] = {
    "format": "routilux/job",
    "version": 1,
    "flow_id": "orders",
    "job_id": "job-7",
    "status": "paused",
    "history_limit": 100,
    "created_at": MOMENT,
    "current_routine_id": "source",
    "error": {"type": "OSError", "message": "gone", "traceback": "Traceback …"},
    "routines": {"source": {"note": [1, {"$type": "tuple", "value": [1, 2]}]}, "sink": {}},
    "figures": {"source": dict(FIGURES), "sink": dict(FIGURES)},
    "events_emitted": 3,
    "shared_data": {"total": 1.5, "seen": {"$type": "set", "value": [1, "a"]}},
    "shared_log": [{"step": "one"}],
    "pause_points": [{"timestamp": STAMP, "reason": "r", "checkpoint": {"at": [1]}, "current_routine_id": None}],
    "output_log": [{"timestamp": STAMP, "routine_id": "source", "output_type": "result", "data": {"n": 1}}],
    "deferred_events": [{"routine": "source", "event": "out", "data": {"n": -1}}],
    "execution_strategy": "concurrent",
    "time_left": 30.5,
    "next_number": 9,
    "pending": [
        {"routine": "sink", "slot": "in", "data": {"n": [1]}, "attempt": 2, "merged": True, "due": None, "number": 3},
        {"routine": "sink", "slot": "sum", "data": {"n": 2}, "attempt": 1, "merged": False, "due": 1.5, "number": 4},
        {
            "routine": "source",
            "slot": "trigger",
            "data": {"n": 0},
            "attempt": 1,
            "merged": False,
            "due": 4e9,
            "number": 5,
        },
    ],
    "gathered": [{"routine": "sink", "slot": "in", "data": {"n": [0, 1]}}],
    "history": [
        {"routine": "source", "name": "out", "data": {"n": 1}, "timestamp": MOMENT, "kind": "event"},
        {
            "routine": "sink",
            "name": "retry",
            "data": {"slot": "in", "attempt": 1, "duration": 0.5, "error": "OSError: gone"},
            "timestamp": MOMENT,
            "kind": "activation",
        },
        {"routine": "", "name": "paused", "data": {"reason": "r"}, "timestamp": MOMENT, "kind": "job"},
    ],
}


# Values


class Raising(Mapping[str, Any]):
    """A mapping whose methods raise."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("getitem")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("iter")

    def __len__(self) -> int:
        raise RuntimeError("len")


class RaisingDict(dict[str, Any]):
    """A dictionary that raises, too."""

    def __iter__(self) -> Iterator[str]:
        raise LookupError("iter")

    def __contains__(self, key: object) -> bool:
        raise LookupError("contains")

    def __getitem__(self, key: str) -> Any:
        raise LookupError("getitem")

    def items(self) -> Any:
        raise LookupError("items")

    def keys(self) -> Any:
        raise LookupError("keys")


class RaisingList(list[Any]):
    """A list that raises."""

    def __iter__(self) -> Iterator[Any]:
        raise ArithmeticError("iter")

    def __len__(self) -> int:
        raise ArithmeticError("len")


class Text(str):
    """A string that is nobody's equal and has no words for itself."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise TypeError("eq")

    def __hash__(self) -> int:
        raise TypeError("hash")

    def __repr__(self) -> str:
        raise TypeError("repr")

    def __str__(self) -> str:
        raise TypeError("str")


class Number(int):
    """A number that cannot be compared."""

    def __le__(self, other: object) -> bool:
        raise OSError("le")

    __lt__ = __ge__ = __gt__ = __eq__ = __le__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Faceless:
    """An object that does not say of what class it is, nor anything else."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("class")

    def __repr__(self) -> str:
        raise RuntimeError("repr")


def nested(depth: int, kind: type) -> Any:
    """Something inside itself, so many times."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"k": value}
    return value


def cyclic(kind: type) -> Any:
    """Something that contains itself."""
    if kind is list:
        value: Any = []
        value.append(value)
    else:
        value = {}
        value["k"] = value
    return value


NAMES = [
    "",
    "\ud800",
    "x" * 100_000,
    "__init__",
    "__class__",
    "__init_subclass__",
    "__reduce_ex__",
    "bait",
    "alarm",
    "evaluate",
    "made",
    "emit",
    "config",
    "take",
    "registry",
    "builtins:object",
    "builtins:eval",
    "os:system",
    "subprocess:Popen",
    "antigravity:geohash",
    "routilux.routine:Routine",
    Trap.registry_name(),
    Unfinished.registry_name(),
    Demanding.registry_name(),
    f"{TrapError.__module__}:TrapError",
    "builtins:KeyboardInterrupt",
    "concurrent",
    "running",
    "completed",
    "retry",
    "9999-12-31T23:59:59+00:00",
    "0001-01-01T00:00:00+14:00",
    "2026-01-01",
]

LEAVES: list[Any] = [
    *NAMES,
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**40,
    2**63,
    10**5000,
    -(10**400),
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    b"bytes",
    1j,
    Ellipsis,
    int,
    Trap,
    print,
]

TAGS: list[Any] = [
    {"$type": kind, "value": value}
    for kind in ("tuple", "set", "frozenset", "datetime", "os:system", "", 5, None, "builtins:eval")
    for value in (None, 5, "echo", [[]], [{}], {"$type": "tuple", "value": []}, MOMENT)
]
TAGS += [{"$type": "tuple"}, {"$type": "tuple", "value": [], "more": 1}, {"value": []}, {"$type": {}, "value": []}]


def made_afresh() -> list[Any]:
    """Values that are not to be shared between documents."""
    return [
        object(),
        Raising(),
        RaisingDict(k=1),
        RaisingList([1]),
        Text("text"),
        Number(3),
        Faceless(),
        nested(99, list),
        nested(150, dict),
        nested(20_000, list),
        cyclic(list),
        cyclic(dict),
        iter([1]),
        {1, 2},
        {5: "a number for a key"},
        {None: 1, "": 2},
        {("a",): 1},
        [Text("item")],
        {"k": Faceless()},
    ]


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(), st.sampled_from(["$type", "value", "class", "handler"])), inner, max_size=4
        ),
    ),
    max_leaves=8,
)


class Case:
    """A value to spoil a document with, that can be shown in few words."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __repr__(self) -> str:
        return brief(self.make())


KNOWN = [
    *(Case(partial(copy.deepcopy, value)) for value in [*LEAVES, *TAGS]),
    *(Case(lambda index=index: made_afresh()[index]) for index in range(len(made_afresh()))),  # type: ignore[misc]
]

cases = json_values.map(lambda value: Case(partial(copy.deepcopy, value)))


# Places

Path = tuple[Any, ...]


def paths(document: Any, here: Path = ()) -> Iterator[Path]:
    """Wherever something is in a document."""
    yield here
    if isinstance(document, dict):
        for key, value in document.items():
            yield from paths(value, (*here, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from paths(value, (*here, index))


def put(document: Any, path: Path, value: Any) -> Any:
    """A copy of a document that differs at one place; only what leads there is copied."""
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = put(document[path[0]], path[1:], value)
    return changed


def without(document: Any, path: Path) -> Any:
    """A copy of a document that lacks what is at one place."""
    if len(path) > 1:
        return put(document, path[:1], without(document[path[0]], path[1:]))
    changed = copy.copy(document)
    del changed[path[0]]
    return changed


def at(document: Any, path: Path) -> Any:
    """What is at a place."""
    for key in path:
        document = document[key]
    return document


def spoilt(document: Any, case: Case, kind: str) -> Iterator[tuple[Path, Any]]:
    """Copies of a document, each spoilt at another place.

    Args:
        document: A good one.
        case: What to spoil it with.
        kind: ``"put"``: in place of what is there; ``"add"``: beside it, under a name of its own; ``"rename"``: as the
            key; ``"remove"``: it is missing; ``"twice"``: it stands there again.
    """
    value = case.make()
    for path in paths(document):
        found = at(document, path)
        if kind == "put":
            yield path, put(document, path, value)
        elif kind == "add" and isinstance(found, dict):
            yield path, put(document, path, {**found, "unknown": value})
        elif kind == "add" and isinstance(found, list):
            yield path, put(document, path, [*found, value])
        elif kind == "rename" and path and isinstance(path[-1], str) and type(value) in (str, int, type(None)):
            inner = without(document, path)
            yield path, put(inner, path[:-1], {**at(inner, path[:-1]), value: found})
        elif kind == "remove" and path:
            yield path, without(document, path)
        elif kind == "twice" and isinstance(found, list):
            yield path, put(document, path, [*found, *found])


KINDS = ("put", "add", "rename", "remove", "twice")


# The watch


class Watch:
    """Says what the interpreter does while it is on: imports, compilations, files."""

    events: ClassVar[list[str]] = []
    on: ClassVar[bool] = False

    @classmethod
    def hear(cls, event: str, args: tuple[Any, ...]) -> None:
        """Take note of an audit event."""
        if cls.on and event.split(".", maxsplit=1)[0] in SUSPECT:
            cls.events.append(f"{event}{args!r:.200}")

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        """Take note of a module that is looked for; find none."""
        if cls.on:
            cls.events.append(f"import of {name}")


SUSPECT = {"import", "compile", "exec", "open", "os", "subprocess", "socket", "ctypes", "pickle", "marshal", "shutil"}

sys.addaudithook(Watch.hear)


@contextmanager
def watched(allowed: str = "") -> Iterator[None]:
    """Nothing is imported, compiled, opened or sprung in the body, but files whose path holds ``allowed``."""
    Watch.events.clear()
    sprung.clear()
    modules = set(sys.modules)
    sys.meta_path.insert(0, Watch)  # type: ignore[arg-type]
    Watch.on = True
    try:
        yield
    finally:
        Watch.on = False
        sys.meta_path.remove(Watch)  # type: ignore[arg-type]
    heard = [event for event in Watch.events if not (allowed and event.startswith("open") and allowed in event)]
    assert not heard, heard
    assert not sprung, sprung
    assert set(sys.modules) == modules
