"""Decides for each access in the code under test whether it is noted, and what it is called."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from routilux_sim.addresses import address
from routilux_sim.points import hook
from routilux_sim.points.accesses import (
    ARGUMENT,
    ATTRIBUTE,
    BOUND,
    CELL,
    CONTAINER,
    GLOBAL,
    NAMED,
    OUTER,
    STEP,
    TURN,
    Access,
)
from routilux_sim.points.calibration import counts
from routilux_sim.points.containers import WRITE
from routilux_sim.points.dataflow import Origin
from routilux_sim.points.rewriting import Call, Place, rewrite
from routilux_sim.points.sharing import Group, group_of
from routilux_sim.points.sites import (
    AttributeName,
    AttributeSite,
    ContainerSite,
    NamedSite,
    VariableSite,
    attribute_name,
    global_name,
)
from routilux_sim.points.stores import Stores, inner_codes, plain_name

__all__ = ["Plan", "Rewritten"]


class Rewritten:
    """What has been rewritten in this process: the same code under the same plan is rewritten once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[CodeType, CodeType]] = {}
        self._originals: dict[int, CodeType] = {}
        self._refused: set[int] = set()

    def original(self, code: CodeType) -> CodeType:
        """What a code object was before rewriting: functions made in an earlier campaign may still have that."""
        return self._originals.get(address(code), code)

    def refused(self, code: CodeType) -> int:
        """How many of a code object and those inside it could not be rewritten, and are left as they are."""
        return (address(code) in self._refused) + sum(map(self.refused, inner_codes(code)))

    def get(self, key: tuple[Any, ...]) -> CodeType | None:
        """The rewritten code, if it is there."""
        found = self._known.get(key)
        return None if found is None else found[1]

    def put(self, key: tuple[Any, ...], code: CodeType, made: CodeType | None) -> CodeType:
        """Keep it, and the original alive: the key has its id."""
        if made is None:
            self._refused.add(address(code))
            made = code
        if made is not code:
            self._originals[address(made)] = code
        self._known[key] = (code, made)
        return made


class Plan:
    """What is to be noted in the functions of one module; a `Selection`.

    Args:
        stores: What the code under test stores.
        namespace: The module's global variables.
        done: What has been rewritten before.
    """

    def __init__(self, stores: Stores, namespace: dict[str, Any], done: Rewritten) -> None:
        self._stores = stores
        self._module = str(namespace.get("__name__"))
        self._namespace = namespace
        self._done = done
        self._own = counts()
        self._calls: dict[str, Callable[[Access, Place], Call | None]] = {
            ATTRIBUTE: self._attribute,
            CONTAINER: self._container,
            BOUND: self._container,
            ARGUMENT: self._container,
            NAMED: self._named,
            STEP: self._step,
            CELL: self._cell,
            GLOBAL: self._global,
            TURN: lambda _access, _place: Call(hook.turn, ()),
        }

    def rewritten(self, code: CodeType) -> CodeType:
        """The code with hooks, or itself."""
        key = (address(code), self._module, *self._relevant(code))
        found = self._done.get(key)
        return self._done.put(key, code, rewrite(code, self)) if found is None else found

    def refused(self, code: CodeType) -> int:
        """How many of a code object and those inside it could not be rewritten."""
        return self._done.refused(code)

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
            frozenset(name for name in names if _is_of_weakref(self._namespace.get(name))),
            cells,
            inner,
        )

    def call(self, access: Access, place: Place) -> Call | None:
        """What to call before an access; None to leave it alone."""
        return self._calls[access.what](access, place)

    def _attribute(self, access: Access, place: Place) -> Call | None:
        if access.name not in self._stores.attributes:
            return None
        attribute = attribute_name(access.name)
        return Call(hook.access, (_get(attribute, access.op), AttributeSite(access.op, *place, attribute)))

    def _container(self, access: Access, place: Place) -> Call:
        group = self._group(access.origin, place.code)
        function, own = (hook.bound, self._own.bound) if access.what == BOUND else (hook.access, self._own.access)
        site = ContainerSite(access.op, *place, group, access.name, own if _is_local(access.origin) else 0)
        return Call(function, (_get(group, access.op), site))

    def _step(self, access: Access, place: Place) -> Call:
        group = self._group(access.origin, place.code)
        own = self._own.stepped if _is_local(access.origin) else 0
        site = ContainerSite(access.op, *place, group, access.name, own)
        # The variable refers to it, besides the loop.
        site.iterators_own = self._own.step + (access.origin == OUTER)
        return Call(hook.step, (_get(group, access.op), site))

    def _named(self, access: Access, place: Place) -> Call:
        return Call(hook.named, (NamedSite(access.op, *place, self._find),))

    def _find(self, name: str) -> AttributeName | None:
        return attribute_name(name) if name in self._stores.attributes else None

    def _cell(self, access: Access, place: Place) -> Call | None:
        if not self._stores.is_stored_cell(place.code, access.name):
            return None
        label = f"{self._stores.owner(place.code, access.name)}.<locals>.{access.name}"
        group = group_of(label, label)
        return Call(hook.access, (_get(group, access.op), VariableSite(access.op, *place, group)))

    def _global(self, access: Access, place: Place) -> Call | None:
        if _is_of_weakref(self._namespace.get(access.name)):
            return Call(hook.weak, (access.name,))
        if not self._stores.is_stored_global(self._namespace, access.name):
            return None
        variable = global_name(self._namespace, access.name)
        site = VariableSite(access.op, *place, variable.group)
        return Call(hook.access, (variable, _get(variable.group, access.op), site))

    def _group(self, origin: Origin, code: CodeType) -> Group:
        """The group of a container by where it came from."""
        name = plain_name(code)
        label = self._label(origin, code)
        if label is None:
            return group_of(f"{name}:{'.0' if origin == OUTER else '()'}", "", numbered=True)
        return group_of(f"{label}[]", label)

    def _label(self, origin: Origin, code: CodeType) -> str | None:
        if origin is None:
            return None
        kind = origin[0]
        if kind == "attr":
            return f"{self._owner(origin[2], code)}.{origin[1]}"
        if kind == "local" and not origin[1].startswith("."):
            return f"{plain_name(code)}.<locals>.{origin[1]}"
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


def _is_of_weakref(value: Any) -> bool:
    # Types, functions and modules only: another object would be asked by running code of the program's.
    if isinstance(value, ModuleType):
        return value.__name__ == "weakref"
    return isinstance(value, type | FunctionType | BuiltinFunctionType) and value.__module__ in {"weakref", "_weakref"}


def _is_local(origin: Origin) -> bool:
    return origin is not None and origin[0] == "local" and origin != OUTER


def _get(caches: Any, op: str) -> Any:
    """What tells which task was the last to make an access."""
    return (caches.writes if op == WRITE else caches.reads).get
