"""The places in rewritten code where memory is accessed, and what becomes of an access that is not yet known of."""

from __future__ import annotations

import _thread
import gc
import sys
import types
from _thread import get_ident
from collections.abc import Callable
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from routilux_sim.points import hook
from routilux_sim.points.containers import READ, VIEWS, WRITE, is_container, is_iterator, override
from routilux_sim.points.sharing import Group, group_of, now
from routilux_sim.world.ready import local

if TYPE_CHECKING:
    from types import CodeType

    from routilux_sim.kernel.task import Task

__all__ = [
    "AttributeName",
    "AttributeSite",
    "ContainerSite",
    "GlobalName",
    "NamedSite",
    "Site",
    "VariableSite",
    "attribute_name",
    "global_name",
]


def _caller() -> Task | None:
    """The task that calls, if it goes on being one, and is in the midst of no operation of the simulator's."""
    kernel = now.kernel
    if kernel is None or kernel.ending or kernel.thread_id != get_ident():
        return None
    task = kernel.current
    return None if task is None or task.quiet else task


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


class VariableSite(Site):
    """Where a global variable, or one of an enclosing function, is accessed: by its cell or its `GlobalName`."""

    __slots__ = ("group",)

    def __init__(self, op: str, code: CodeType, line: int | None, group: Group) -> None:
        super().__init__(op, code, line)
        self.group = group

    def missed(self, obj: Any) -> None:
        """Note an access."""
        task = _caller()
        if task is not None:
            now.touch(task, self, self.op, self.group, obj, None)


class GlobalName:
    """A global variable: it stands for itself, because modules' dictionaries allow no weak references."""

    __slots__ = ("__weakref__", "group")

    def __init__(self, group: Group) -> None:
        self.group = group


_global_names: dict[str, GlobalName] = {}


def global_name(namespace: dict[str, Any], name: str) -> GlobalName:
    """A module's variable. A program is called by its file's name also when it runs as ``__main__``."""
    module, file = str(namespace.get("__name__")), namespace.get("__file__")
    if module == "__main__" and file is not None:
        module = str(file).replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    key = f"{module}.{name} ="
    found = _global_names.get(key)
    if found is None:
        found = _global_names[key] = GlobalName(group_of(key, f"{module.rpartition('.')[2]}.{name}"))
    return found


class AttributeName:
    """All attributes of one name, whatever they belong to."""

    __slots__ = ("_kinds", "name", "reads", "writes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.reads: dict[int, Any] = {}
        self.writes: dict[int, Any] = {}
        self._kinds: dict[type, tuple[Group | None, type | None]] = {}

    def touch(self, task: Task, site: Site, op: str, obj: Any) -> None:
        """Note an access to the attribute of an object."""
        kind = type(obj)
        found = self._kinds.get(kind)
        if found is None:
            if kind is types.ModuleType:
                variable = global_name(vars(obj), self.name)
                now.touch(task, site, op, variable.group, variable, None)
                return
            if issubclass(kind, type):
                now.touch(task, site, op, self._of(obj), obj, self.name)
                return
            found = self._look_at(kind)
        group, base = found
        if base is not None and op == READ and not _has_own(obj, self.name):
            # What is read is the class's.
            now.touch(task, site, op, self._of(base), base, self.name)
        elif group is not None:
            now.touch(task, site, op, group, obj, self.name)

    def _look_at(self, kind: type) -> tuple[Group | None, type | None]:
        """The group of an attribute of objects of a class, if it is memory, and the class that has a value for all."""
        found = self._kinds[kind] = self._group(kind)
        if not _is_lasting(kind):
            now.at_end(lambda: self._kinds.pop(kind, None))
        return found

    def _group(self, kind: type) -> tuple[Group | None, type | None]:
        """Not memory are what each task has for itself, what is the simulator's own, and what calls functions."""
        if any(_is_apart(base) for base in kind.__mro__):
            return None, None
        for base in kind.__mro__:
            if self.name in vars(base):
                value = vars(base)[self.name]
                if type(value) is types.MemberDescriptorType:
                    break
                if hasattr(type(value), "__set__"):
                    return None, None
                return self._of(kind), base
        return self._of(kind), None

    def _of(self, kind: type) -> Group:
        name = str(kind.__qualname__)
        label = f"{name.rpartition('<locals>.')[2]}.{self.name}"
        return group_of(f"{name}.{self.name}", label, caches=(self.reads, self.writes))


def _is_lasting(kind: type) -> bool:
    """Whether a class is its module's: others, which a program makes as it runs, are not to outlive the execution."""
    module = sys.modules.get(_module_of(kind))
    return module is not None and vars(module).get(kind.__qualname__) is kind


def _is_apart(base: type) -> bool:
    return base in _APART or _module_of(base).startswith("routilux_sim.")


# As the class itself has it, whatever its metaclass makes of asking.
_get_module = type.__dict__["__module__"].__get__


def _module_of(kind: type) -> str:
    return str(_get_module(kind))


_APART = {local, _thread._local, super, types.FrameType}  # noqa: SLF001 - its only other name may be replaced


def _has_own(obj: Any, name: str) -> bool:
    """Whether an object has an attribute of its own, and not its class's."""
    try:
        return name in object.__getattribute__(obj, "__dict__")
    except AttributeError:
        return False


_attribute_names: dict[str, AttributeName] = {}


def attribute_name(name: str) -> AttributeName:
    """All attributes of a name; there is one such object in a process."""
    found = _attribute_names.get(name)
    if found is None:
        found = _attribute_names[name] = AttributeName(name)
    return found


class AttributeSite(Site):
    """Where an attribute is accessed."""

    __slots__ = ("_attribute",)

    def __init__(self, op: str, code: CodeType, line: int | None, attribute: AttributeName) -> None:
        super().__init__(op, code, line)
        self._attribute = attribute

    def missed(self, obj: Any) -> None:
        """Note an access to the attribute of ``obj``."""
        task = _caller()
        if task is not None:
            self._attribute.touch(task, self, self.op, obj)


class NamedSite(Site):
    """Where an attribute is accessed whose name is computed.

    Args:
        find: Returns what there is of an attribute by its name; None if nobody stores it.
    """

    __slots__ = ("_find",)

    def __init__(self, op: str, code: CodeType, line: int | None, find: Callable[[str], AttributeName | None]) -> None:
        super().__init__(op, code, line)
        self._find = find

    def named(self, obj: Any, name: str) -> None:
        """Note an access."""
        attribute = self._find(name)
        task = _caller()
        if attribute is not None and task is not None:
            attribute.touch(task, self, self.op, obj)


class ContainerSite(Site):
    """Where a container is accessed, or an iterator.

    Args:
        group: What it is called here.
        name: Of the method or function that accesses it; empty if none does.
        own: The references to a container that only a local variable has, as `missed` counts them; 0: whatever has it.

    Attributes:
        iterators_own: The references to an iterator that only a loop has, as `hook.step` counts them.
    """

    __slots__ = ("_group", "_name", "_own", "iterators_own")

    def __init__(self, op: str, code: CodeType, line: int | None, group: Group, name: str, own: int) -> None:
        super().__init__(op, code, line)
        self._group = group
        self._name = name
        self._own = own
        self.iterators_own = 0

    def missed(self, obj: Any) -> None:
        """Note an access to ``obj``, if it is a container or an iterator."""
        if self._own and getrefcount(obj) == self._own:
            return
        kind = type(obj)
        if is_container(kind):
            task = _caller()
            if task is not None and not self._is_programs_own(kind):
                # A step of an iterator changes that, and only reads the container.
                op = READ if self._name == "next" else self.op
                now.touch(task, self, op, self._group, obj, None)
        elif kind in VIEWS:
            for shown in gc.get_referents(obj):
                self.missed(shown)
        elif self._name and self._name in _TAKING and is_iterator(kind):
            for container in hook.containers_behind(obj):
                self.missed(container)
            self.stepped(obj)

    def stepped(self, iterator: Any) -> None:
        """Note that something is taken from an iterator, which is a location itself."""
        task = _caller()
        if task is not None:
            now.touch(task, self, WRITE, self._group, iterator, None)

    def _is_programs_own(self, kind: type) -> bool:
        """Whether a method is written in the code under test: then what it does is noted in there."""
        function = override(kind, self._name) if self._name and kind.__flags__ & _HEAP_TYPE else None
        return function is not None and any(
            constant in hook.HOOKS
            for constant in function.__code__.co_consts
            if isinstance(constant, types.FunctionType)
        )


_TAKING = {"next", "list", "tuple", "set", "frozenset", "sorted", "sum", "min", "max", "any", "all", "dict"}
_HEAP_TYPE = 1 << 9
