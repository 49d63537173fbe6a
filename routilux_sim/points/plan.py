"""Decides for each access in the code under test whether it is noted, and what it is called."""

from __future__ import annotations

from types import CodeType
from typing import Any

from routilux_sim.points import hook
from routilux_sim.points.accesses import ARGUMENT, ATTRIBUTE, BOUND, CELL, CONTAINER, GLOBAL, NAMED, STEP, Access
from routilux_sim.points.dataflow import Origin
from routilux_sim.points.rewriting import Call, Place, rewrite
from routilux_sim.points.sharing import Group, group_of
from routilux_sim.points.stores import Stores, plain_name

__all__ = ["Plan", "Rewritten"]

_attribute_names: dict[str, hook.AttributeName] = {}


def attribute_name(name: str) -> hook.AttributeName:
    """All attributes of a name; there is one such object in a process."""
    found = _attribute_names.get(name)
    if found is None:
        found = _attribute_names[name] = hook.AttributeName(name)
    return found


class Rewritten:
    """What has been rewritten in this process: the same code under the same plan is rewritten once.

    Attributes:
        refused: The code objects that could not be, and were left as they are.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[CodeType, CodeType]] = {}
        self.refused: list[CodeType] = []

    def get(self, key: tuple[Any, ...]) -> CodeType | None:
        """The rewritten code, if it is there."""
        found = self._known.get(key)
        return None if found is None else found[1]

    def put(self, key: tuple[Any, ...], code: CodeType, made: CodeType | None) -> CodeType:
        """Keep it, and the original alive: the key has its id."""
        if made is None:
            self.refused.append(code)
            made = code
        self._known[key] = (code, made)
        return made


class Plan:
    """What is to be noted in the functions of one module; a `Selection`.

    Args:
        stores: What the code under test stores.
        module: The module's name.
        namespace: Its global variables.
        done: What has been rewritten before.
    """

    def __init__(self, stores: Stores, module: str, namespace: dict[str, Any], done: Rewritten) -> None:
        self._stores = stores
        self._module = module
        self._namespace = namespace
        self._file = namespace.get("__file__")
        self._done = done
        self._codes: dict[int, frozenset[str]] = {}

    def rewritten(self, code: CodeType) -> CodeType:
        """The code with hooks, or itself."""
        key = (id(code), self._module, *self._relevant(code))
        found = self._done.get(key)
        return self._done.put(key, code, rewrite(code, self)) if found is None else found

    def inner(self, code: CodeType) -> CodeType:
        """Rewrite a code object inside another."""
        return self.rewritten(code)

    def _relevant(self, code: CodeType) -> tuple[Any, ...]:
        """As much of what is stored as matters to a code object and those inside it."""
        names = set(code.co_names)
        cells = tuple(
            (name, self._stores.owner(code, name), self._stores.is_stored_cell(code, name))
            for name in (*code.co_cellvars, *code.co_freevars)
        )
        inner = tuple(self._relevant(constant) for constant in code.co_consts if isinstance(constant, CodeType))
        return (
            frozenset(names & self._stores.attributes),
            frozenset(name for name in names if self._stores.is_stored_global(self._namespace, name)),
            cells,
            inner,
        )

    def call(self, access: Access, place: Place) -> Call | None:
        """What to call before an access; None to leave it alone."""
        made: Call | None = _CALLS[access.what](self, access, place)
        return made

    def _attribute(self, access: Access, place: Place) -> Call | None:
        if access.name not in self._stores.attributes:
            return None
        attribute = attribute_name(access.name)
        site = hook.AttributeSite(access.op, place.code, place.line, attribute)
        return Call(hook.access, (_getter(attribute, access.op), site))

    def _container(self, access: Access, place: Place) -> Call | None:
        group = self._group(access.origin, place.code)
        site = hook.ContainerSite(access.op, place.code, place.line, group, access.name)
        function = hook.bound if access.what == BOUND else hook.access
        return Call(function, (_getter(group, access.op), site))

    def _step(self, access: Access, place: Place) -> Call | None:
        name = plain_name(place.code)
        group = group_of(f"{name}:for", "", numbered=True)
        site = hook.ContainerSite(access.op, place.code, place.line, group, "next")
        return Call(hook.step, (_getter(group, access.op), site))

    def _named(self, access: Access, place: Place) -> Call | None:
        site = hook.NamedSite(access.op, place.code, place.line, self._name)
        return Call(hook.named, (site,))

    def _name(self, name: str) -> hook.AttributeName | None:
        return attribute_name(name) if name in self._stores.attributes else None

    def _cell(self, access: Access, place: Place) -> Call | None:
        if not self._stores.is_stored_cell(place.code, access.name):
            return None
        label = f"{self._stores.owner(place.code, access.name)}.<locals>.{access.name}"
        group = group_of(label, label)
        site = hook.CellSite(access.op, place.code, place.line, group)
        return Call(hook.access, (_getter(group, access.op), site))

    def _global(self, access: Access, place: Place) -> Call | None:
        if not self._stores.is_stored_global(self._namespace, access.name):
            return None
        variable = hook.global_name(self._module, self._file, access.name)
        site = hook.GlobalSite(access.op, place.code, place.line, variable.group)
        return Call(hook.access, (variable, _getter(variable.group, access.op), site))

    def _group(self, origin: Origin, code: CodeType) -> Group:
        """The group of a container by where it came from."""
        name = plain_name(code)
        label = self._label(origin, code)
        if label is None:
            return group_of(f"{name}:()", "", numbered=True)
        if origin is not None and origin[0] == "local":
            return group_of(f"{name}:{origin[1]}[]", label)
        return group_of(f"{label}[]", label)

    def _label(self, origin: Origin, code: CodeType) -> str | None:
        if origin is None:
            return None
        kind = origin[0]
        if kind == "attr":
            return f"{self._owner(origin[2], code)}.{origin[1]}"
        if kind == "local" and not origin[1].startswith("."):
            return f"{plain_name(code).rpartition('<locals>.')[2]}.{origin[1]}"
        if kind == "cell":
            owner = self._stores.owner(code, origin[1]) or plain_name(code)
            return f"{owner}.<locals>.{origin[1]}"
        if kind == "global":
            return f"{self._module.rpartition('.')[2]}.{origin[1]}"
        return None

    def _owner(self, origin: Origin, code: CodeType) -> str:
        """What an attribute belongs to: in a method the class, if it is its first argument's."""
        if origin is None or origin[0] not in {"local", "cell", "global", "attr"}:
            return ""
        around, _, _ = plain_name(code).rpartition(".")
        if (
            origin[0] in {"local", "cell"}
            and code.co_argcount
            and origin[1] == code.co_varnames[0]
            and around
            and not around.endswith("<locals>")
        ):
            return around.rpartition("<locals>.")[2]
        return str(origin[1])


def _getter(caches: Any, op: str) -> Any:
    return (caches.writes if op == "write" else caches.reads).get


_CALLS: dict[str, Any] = {
    ATTRIBUTE: Plan._attribute,
    CONTAINER: Plan._container,
    BOUND: Plan._container,
    ARGUMENT: Plan._container,
    NAMED: Plan._named,
    STEP: Plan._step,
    CELL: Plan._cell,
    GLOBAL: Plan._global,
}
