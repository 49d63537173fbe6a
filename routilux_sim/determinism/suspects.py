"""Looks for what could make a program do otherwise: real calls to the outside, sets in use, state that is kept."""

from __future__ import annotations

import gc
import itertools
import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from routilux_sim.determinism.frames import is_program_file, where
from routilux_sim.kernel.core import active

__all__ = ["Call", "changes_in", "kept_state", "sets_in_use", "watched"]

_NAMES = {
    "clock": (
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "process_time_ns",
        "thread_time",
        "thread_time_ns",
        "clock_gettime",
        "clock_gettime_ns",
        "now",
        "utcnow",
        "today",
        "times",
    ),
    "process": ("getpid", "getppid", "get_native_id", "gettid"),
    "randomness": ("urandom", "getrandom"),
    "files": ("stat", "lstat", "scandir", "listdir", "open", "read", "recv"),
}
_HOMES = {"time", "datetime", "posix", "nt", "_thread", "io", "_io", "_socket"}


class Call(NamedTuple):
    """A call of something real in the simulated program.

    Attributes:
        cause: ``clock``, ``randomness``, ``process`` or ``files``.
        name: What was called.
        place: File and line in the program.
        step: How many decisions had been made.
    """

    cause: str
    name: str
    place: str
    step: int


def _cause_of(function: Any) -> str | None:
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    home = owner.__name__ if isinstance(owner, ModuleType) else getattr(type(owner), "__module__", "")
    if isinstance(owner, type):
        home = owner.__module__
    if name == "seed" and home == "random":
        # A generator that is given no seed takes one from the operating system.
        return "randomness"
    for cause, names in _NAMES.items():
        if name in names and home in _HOMES:
            return cause
    return None


@contextmanager
def watched(decisions: Callable[[], int]) -> Iterator[list[Call]]:
    """Gather the program's calls of real clocks, randomness, process numbers and files for a while.

    Args:
        decisions: Says how many decisions have been made.
    """
    calls: list[Call] = []
    before = sys.getprofile()

    def look(frame: FrameType, event: str, function: Any) -> None:
        if event != "c_call" or (cause := _cause_of(function)) is None:
            return
        if function.__name__ == "seed" and frame.f_locals.get("a") is not None:
            return
        kernel = active()
        if kernel is None or kernel.current is None or _is_ours(frame):
            return
        if (stack := where(frame)) and len(calls) < MOST_CALLS:
            code, line = stack[0]
            calls.append(Call(cause, _name_of(function), f"{code.co_filename}:{line}", decisions()))

    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(before)


MOST_CALLS = 1_000


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("routilux_sim.")


def _name_of(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    home = owner.__name__ if isinstance(owner, ModuleType | type) else type(owner).__name__
    return f"{'os' if home == 'posix' else home}.{function.__name__}"


_SetIterator: type = type(iter(set()))


def sets_in_use() -> list[str]:
    """Sets that are being iterated just now and whose order is one of addresses or of string hashes, in words."""
    found: dict[str, None] = {}
    for iterator in gc.get_objects():
        if type(iterator) is _SetIterator:
            for iterated in gc.get_referents(iterator):
                words = _order_of(iterated) if isinstance(iterated, set | frozenset) else None
                if words is not None:
                    found[words] = None
    return list(found)


def _order_of(iterated: set[Any] | frozenset[Any]) -> str | None:
    kinds = sorted({type(member).__name__ for member in iterated})
    text = f"a set of {len(iterated)} ({', '.join(kinds[:3])})"
    if len(iterated) < 2:
        return None
    if any(_hash_of(type(member)) is object.__hash__ for member in iterated):
        return f"{text}, in the order of their addresses"
    if any(isinstance(member, str | bytes) for member in iterated):
        return f"{text}, in the order of string hashes, which PYTHONHASHSEED changes"
    return None


def _hash_of(kind: type) -> Any:
    return kind.__hash__


def kept_state(program: Callable[..., Any]) -> dict[str, str]:
    """What the program's modules, its classes and the variables around it hold, roughly: name and digest."""
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if is_program_file(getattr(module, "__file__", None) or "<"):
            _note(found, name, vars(module))
    seen: set[int] = set()
    _note_closure(found, program, seen)
    return found


def _note_closure(found: dict[str, str], program: Any, seen: set[int]) -> None:
    """The variables that a function sees, and those of the functions among them."""
    if isinstance(program, MethodType):
        _note(found, type(program.__self__).__name__, getattr(program.__self__, "__dict__", {}))
        program = program.__func__
    if not isinstance(program, FunctionType) or id(program) in seen or len(seen) > MOST_FUNCTIONS:
        return
    seen.add(id(program))
    for number, value in enumerate(program.__defaults__ or ()):
        found[f"default {number} of {program.__qualname__}"] = _digest(value)
    for name, cell in zip(program.__code__.co_freevars, program.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        found[f"variable {name!r} of {program.__qualname__}"] = _digest(value)
        _note_closure(found, value, seen)


MOST_FUNCTIONS = 100


def _note(found: dict[str, str], owner: str, names: dict[str, Any]) -> None:
    for name, value in list(names.items()):
        if name.startswith("__"):
            continue
        found[f"{owner}.{name}"] = _digest(value)
        if isinstance(value, type) and is_program_file(
            getattr(sys.modules.get(value.__module__), "__file__", None) or "<"
        ):
            for attribute, inner in list(vars(value).items()):
                if not attribute.startswith("__"):
                    found[f"{owner}.{name}.{attribute}"] = _digest(inner)


_CONTAINERS = {list, dict, set, tuple, frozenset, bytearray, deque, defaultdict, Counter, OrderedDict}


def _digest(value: Any) -> str:
    """A few words about a value, without asking its own code."""
    kind = type(value)
    if kind in {int, float, bool, str, bytes, type(None)}:
        return repr(value)[:80]
    if kind in _CONTAINERS:
        return f"{kind.__name__} of {len(value)}"
    if kind is random.Random:
        return f"a generator at {hash(value.getstate())}"
    if kind.__name__ == "_lru_cache_wrapper":
        return f"a cache of {value.cache_info().currsize}"
    if kind is itertools.count:
        return repr(value)[:80]
    return f"a {kind.__name__}"


def changes_in(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is held otherwise than before, in words."""
    return [
        f"{name} ({before.get(name, 'nothing')} before, {digest} after)"
        for name, digest in after.items()
        if before.get(name) != digest
    ]
