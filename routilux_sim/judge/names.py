"""The name by which a program knows an object: a global, an attribute, a variable. Searched for only in reports.

Nothing here may run code of the program's: even ``isinstance`` asks an object for its ``__class__``, which may be a
property, so it is types that are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from routilux_sim.judge.stacks import is_machinery
from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.task import Task

__all__ = ["Names", "fields_of", "made_at"]

_LOOKED_AT = 20_000
"""Values looked at for one name before it is given up."""

_ELEMENTS = 1_000
"""Elements of one container looked at."""

_PLAIN = (str, bytes, int, float, complex, type(None), ModuleType, CodeType)

_NOT_THE_PROGRAMS = ("threading", "queue", "_queue", "concurrent.", "asyncio.", "routilux_sim.", "_thread", "weakref")


class Names:
    """Finds names, one for each object, for one report.

    Args:
        frames: Where to look: the stacks of the tasks, the most interesting first.
    """

    def __init__(self, frames: Iterable[FrameType]) -> None:
        self._frames = [frame for frame in frames if not is_machinery(frame)]
        self._found: dict[int, tuple[Any, str | None]] = {}

    def of(self, obj: Any) -> str | None:
        """The name of an object, without quotes; None if nobody has one for it."""
        known = self._found.get(id(obj))
        if known is None:
            known = self._found[id(obj)] = (obj, self._search(obj))
        return known[1]

    def describe(self, obj: Any, part: Any = None) -> str:
        """Name, label and the place that made it, as far as they are known: ```LOCK` (Lock-1, made at …)``.

        Args:
            obj: What is meant.
            part: What it waits in, made at the same place, if that is not itself.
        """
        name, label, made = self.of(obj), label_of(obj), made_at(obj if part is None else part)
        if name is None:
            return f"{label} ({made})" if made else label
        return f"`{name}` ({label}, {made})" if made else f"`{name}` ({label})"

    def short(self, obj: Any) -> str:
        """Name and label, or the label alone."""
        if isinstance(obj, Task):
            return f"task {obj.name!r}"
        name = self.of(obj)
        return label_of(obj) if name is None else f"`{name}` ({label_of(obj)})"

    def _search(self, obj: Any) -> str | None:
        budget = _Budget()
        site = getattr(obj, "site", None)
        maker = site[0] if site else None
        ways: list[Callable[[], Iterator[tuple[str, Any]]]] = [
            self._globals,
            self._attributes,
            lambda: self._locals(maker),
            lambda: self._locals(None),
            self._elements,
            self._library_attributes,
        ]
        for way in ways:
            for name, value in way():
                if budget.is_spent():
                    return None
                if _is(value, obj):
                    return name
        return None

    def _globals(self) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for frame in self._frames:
            scope = frame.f_globals
            if id(scope) in seen:
                continue
            seen.add(id(scope))
            for name, value in list(scope.items()):
                yield name, value
                if issubclass(type(value), type) and value.__module__ == scope.get("__name__"):
                    for inner, member in list(vars(value).items()):
                        yield f"{value.__name__}.{inner}", member

    def _owners(self) -> Iterator[Any]:
        """Objects that may have attributes worth a name."""
        for frame in self._frames:
            for value in list(frame.f_locals.values()):
                yield value
                if type(value) in {list, tuple}:
                    yield from value[:_ELEMENTS]
                elif type(value) is dict:
                    yield from list(value.values())[:_ELEMENTS]
                elif type(value) is MethodType:
                    yield value.__self__
        for frame in self._frames:
            yield from list(frame.f_globals.values())

    def _attributes(self) -> Iterator[tuple[str, Any]]:
        for owner in self._owners():
            if not _is_of_library(type(owner)):
                yield from _named_fields(owner)

    def _library_attributes(self) -> Iterator[tuple[str, Any]]:
        for owner in self._owners():
            if _is_of_library(type(owner)) and not type(owner).__module__.startswith("routilux_sim."):
                yield from _named_fields(owner)

    def _locals(self, maker: CodeType | None) -> Iterator[tuple[str, Any]]:
        for frame in self._frames:
            if maker is None or frame.f_code is maker:
                yield from list(frame.f_locals.items())

    def _elements(self) -> Iterator[tuple[str, Any]]:
        for frame in self._frames:
            for scope in (frame.f_locals, frame.f_globals):
                for name, value in list(scope.items()):
                    yield from _named_elements(name, value)
            for owner in list(frame.f_locals.values()):
                if not _is_of_library(type(owner)):
                    for name, value in _named_fields(owner):
                        yield from _named_elements(name, value)


class _Budget:
    def __init__(self) -> None:
        self._left = _LOOKED_AT

    def is_spent(self) -> bool:
        self._left -= 1
        return self._left < 0


def _is_of_library(kind: type) -> bool:
    return kind.__module__.startswith(_NOT_THE_PROGRAMS)


def _named_fields(owner: Any) -> Iterator[tuple[str, Any]]:
    if issubclass(type(owner), (*_PLAIN, type, FunctionType)):
        return
    for name, value in fields_of(owner):
        yield f"{type(owner).__name__}.{name}", value


def _named_elements(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if type(value) in {list, tuple}:
        for index, element in enumerate(value[:_ELEMENTS]):
            yield f"{name}[{index}]", element
    elif type(value) is dict:
        for key, element in list(value.items())[:_ELEMENTS]:
            if type(key) in {str, int}:
                yield f"{name}[{key!r}]", element


def fields_of(owner: Any) -> list[tuple[str, Any]]:
    """The attributes that an object keeps itself, without running any code of the program's."""
    found = [(name, value) for name, value in _own(owner).items() if type(name) is str]
    for kind in type(owner).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else tuple(slots):
            name = slot if not slot.startswith("__") or slot.endswith("__") else f"_{kind.__name__.lstrip('_')}{slot}"
            member: Any = kind.__dict__.get(name)
            if type(member).__name__ == "member_descriptor":
                try:
                    found.append((slot, member.__get__(owner)))
                except AttributeError:
                    continue
    return found


def _is(value: Any, obj: Any) -> bool:
    """Whether ``value`` is the object, or what the program has in its place: it may be waited for elsewhere."""
    if value is obj:
        return True
    if issubclass(type(value), _PLAIN):
        return False
    if type(value).__module__ in {"_thread", "queue", "_queue"} and hasattr(type(value), "_twin"):
        return object.__getattribute__(value, "_twin") is obj
    own = _own(value)
    sides = own.get("_sim_sides")
    waited_in = () if sides is None else (sides.getters, sides.putters, sides.done)
    return any(side is obj for side in (own.get("_sim"), *waited_in))


def _own(value: Any) -> dict[Any, Any]:
    """An object's ``__dict__``; empty if it has none, or something else under that name."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001 - a property of that name may do anything
        return {}
    return own if type(own) is dict else {}


def made_at(obj: Any) -> str:
    """The place that made a simulated object, in words; empty if that was before the simulation."""
    site = getattr(obj, "site", None)
    if site is None:
        return ""
    code, line = site
    return f"made at {code.co_filename}:{line} in {code.co_qualname}"
