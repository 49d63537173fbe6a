"""The functions that rewritten code calls before an access, and the sites that they come from.

The fast path is the hooks' one comparison: the task that accessed this object last, under this name, is the one that
runs. All else is in the sites' ``missed``.
"""

from __future__ import annotations

import gc
import types
from _thread import get_ident
from typing import TYPE_CHECKING, Any

from routilux_sim.points.containers import OWN_ITERATORS, VIEWS, is_container, is_iterator, overrides
from routilux_sim.points.sharing import Group, group_of, now
from routilux_sim.world.ready import local

if TYPE_CHECKING:
    from types import CodeType

    from routilux_sim.kernel.core import Kernel

__all__ = [
    "AttributeName",
    "AttributeSite",
    "CellSite",
    "ContainerSite",
    "GlobalName",
    "GlobalSite",
    "Site",
    "access",
    "begin",
    "bound",
    "end",
    "named",
    "step",
]


class _Idle:
    """In the place of a kernel when none runs: what nobody has accessed was accessed by its current task."""

    current = None


_kernel: Any = _Idle


def begin(kernel: Kernel) -> None:
    """From now on accesses are of ``kernel``'s tasks."""
    global _kernel  # noqa: PLW0603 - read at every access
    _kernel = kernel


def end() -> None:
    """From now on they are nobody's."""
    global _kernel  # noqa: PLW0603 - as above
    _kernel = _Idle


def access(obj: Any, get: Any, site: Any) -> None:
    """An access to something in ``obj``."""
    if get(id(obj)) is not _kernel.current:
        site.missed(obj)


def bound(method: Any, get: Any, site: Any) -> None:
    """A call of a method bound to a container, perhaps."""
    if type(method) in _BOUND:
        obj = method.__self__
        if get(id(obj)) is not _kernel.current:
            site.missed(obj)


def step(iterator: Any, get: Any, site: Any) -> None:
    """A step of a loop."""
    kind = type(iterator)
    if kind in OWN_ITERATORS:
        for obj in gc.get_referents(iterator):
            if get(id(obj)) is not _kernel.current:
                site.missed(obj)
    elif kind not in _PLAIN:
        site.stepped(iterator)


def named(obj: Any, name: Any, site: Any) -> None:
    """An access to an attribute whose name is computed."""
    if isinstance(name, str):
        site.named(obj, name)


_BOUND = {types.BuiltinMethodType, types.MethodType, type("".__str__)}
_PLAIN = {type(iter(value)) for value in (range(0), range(1 << 70), (), "", "\u0101", b"")}


class Site:
    """A place in the code that accesses memory.

    Attributes:
        op: ``read`` or ``write``.
        code: The function, as it was before rewriting.
        line: Where in its file; None if that is not known.
    """

    __slots__ = ("code", "line", "op")

    def __init__(self, op: str, code: CodeType, line: int | None) -> None:
        self.op = op
        self.code = code
        self.line = line

    def __repr__(self) -> str:
        return f"<{self.op} at {self.code.co_filename}:{self.line} in {self.code.co_qualname}>"


def _is_simulated() -> bool:
    """Whether the caller is a task, and goes on being one."""
    kernel = now.kernel
    return (
        kernel is not None
        and kernel is _kernel
        and kernel.current is not None
        and not kernel.ending
        and not kernel.current.quiet
        and kernel.thread_id == get_ident()
    )


class AttributeName:
    """All attributes of one name, whatever they belong to."""

    __slots__ = ("_kinds", "name", "reads", "writes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.reads: dict[int, Any] = {}
        self.writes: dict[int, Any] = {}
        self._kinds: dict[type, Group | None] = {}

    def group(self, obj: Any) -> Group | None:
        """The group of an object's attribute; None if it is no memory of the program's."""
        kind = type(obj)
        if kind in self._kinds:
            return self._kinds[kind]
        if issubclass(kind, type):
            return self._of(obj)
        if not self._kinds:
            now.at_end(self._kinds.clear)
        found = self._kinds[kind] = self._of(kind) if self._is_memory(kind) else None
        return found

    def _of(self, kind: type) -> Group:
        label = f"{kind.__qualname__.rpartition('<locals>.')[2]}.{self.name}"
        return group_of(f"{kind.__qualname__}.{self.name}", label, caches=(self.reads, self.writes))

    def _is_memory(self, kind: type) -> bool:
        """Not so: what each task has for itself, the simulator's own, and attributes that call functions."""
        if issubclass(kind, local | super) or kind.__module__.startswith("routilux_sim."):
            return False
        for base in kind.__mro__:
            found = vars(base).get(self.name)
            if found is not None:
                # A slot or a default stands for memory; a property does not, nor does a function.
                return not isinstance(found, property | types.FunctionType | staticmethod | classmethod)
        return True


class AttributeSite(Site):
    """Where an attribute is accessed."""

    __slots__ = ("attribute",)

    def __init__(self, op: str, code: CodeType, line: int | None, attribute: AttributeName) -> None:
        super().__init__(op, code, line)
        self.attribute = attribute

    def missed(self, obj: Any) -> None:
        """Note an access to the attribute of ``obj``."""
        if _is_simulated():
            _touch_attribute(self, self.attribute, obj)

    @property
    def group(self) -> AttributeName:
        """What keeps the caches."""
        return self.attribute


def _touch_attribute(site: Site, attribute: AttributeName, obj: Any) -> None:
    if type(obj) is types.ModuleType:
        variable = global_name(obj.__name__, vars(obj).get("__file__"), attribute.name)
        now.touch(site, variable.group, variable, None)
        return
    group = attribute.group(obj)
    if group is not None:
        now.touch(site, group, obj, attribute.name)


class NamedSite(Site):
    """Where an attribute is accessed whose name is computed."""

    __slots__ = ("_names",)

    def __init__(self, op: str, code: CodeType, line: int | None, names: Any) -> None:
        super().__init__(op, code, line)
        self._names = names

    def named(self, obj: Any, name: str) -> None:
        """Note an access."""
        attribute = self._names(name)
        if attribute is not None and _is_simulated():
            _touch_attribute(self, attribute, obj)


class ContainerSite(Site):
    """Where a container is accessed."""

    __slots__ = ("group", "method")

    def __init__(self, op: str, code: CodeType, line: int | None, group: Group, method: str = "") -> None:
        super().__init__(op, code, line)
        self.group = group
        self.method = method

    def missed(self, obj: Any) -> None:
        """Note an access to ``obj``, if it is a container or an iterator."""
        kind = type(obj)
        if is_container(kind):
            if _is_simulated() and not self._is_programs_own(kind):
                now.touch(self, self.group, obj, None)
        elif kind in VIEWS:
            for shown in gc.get_referents(obj):
                self.missed(shown)
        elif self.method == "next" and is_iterator(kind) and _is_simulated():
            self.stepped(obj)

    def _is_programs_own(self, kind: type) -> bool:
        """Whether a method is written in the program itself: then what it does is noted in there."""
        if not self.method or kind.__flags__ & _HEAP == 0:
            return False
        function = overrides(kind, self.method)
        return function is not None and function.__code__.co_code is not None and _is_rewritten(function)

    def stepped(self, iterator: Any) -> None:
        """Note a step of an iterator, which is a location itself, and the containers that it reads."""
        for inner in _behind(iterator, 3):
            self.missed(inner)
        if self.method == "next" and _is_simulated():
            now.touch(self, self.group, iterator, None)


_HEAP = 1 << 9


def _is_rewritten(function: types.FunctionType) -> bool:
    return any(constant in _HOOKS for constant in function.__code__.co_consts if callable(constant))


def _behind(iterator: Any, depth: int) -> list[Any]:
    """The containers that an iterator of the language's own reads, over others if need be."""
    if type(iterator) not in OWN_ITERATORS or not depth:
        return []
    found = []
    for inner in gc.get_referents(iterator):
        if is_container(type(inner)):
            found.append(inner)
        elif type(inner) is tuple:
            for part in inner:
                found += _behind(part, depth - 1)
        else:
            found += _behind(inner, depth - 1)
    return found


class CellSite(Site):
    """Where a variable of an enclosing function is accessed."""

    __slots__ = ("group",)

    def __init__(self, op: str, code: CodeType, line: int | None, group: Group) -> None:
        super().__init__(op, code, line)
        self.group = group

    def missed(self, obj: Any) -> None:
        """Note an access to the cell."""
        if _is_simulated():
            now.touch(self, self.group, obj, None)


class GlobalName:
    """A global variable, which stands for itself: modules' dictionaries allow no weak references."""

    __slots__ = ("__weakref__", "group")

    def __init__(self, group: Group) -> None:
        self.group = group


class GlobalSite(CellSite):
    """Where a global variable is accessed."""

    __slots__ = ()


_globals: dict[str, GlobalName] = {}


def global_name(module: str, file: str | None, name: str) -> GlobalName:
    """A module's variable. A program is called by its file's name also when it runs as ``__main__``."""
    if module == "__main__" and file is not None:
        module = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    key = f"{module.rpartition('.')[2]}.{name}"
    found = _globals.get(key)
    if found is None:
        found = _globals[key] = GlobalName(group_of(f"{key} =", key))
    return found


_HOOKS = {access, bound, step, named}
