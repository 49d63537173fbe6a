"""What the code under test stores: an attribute, a global or a cell that nobody stores anew cannot race."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from routilux_sim.addresses import address

__all__ = ["Stores", "inner_codes", "plain_name"]

_OP = dis.opmap
_STORE_ATTR, _DELETE_ATTR = _OP["STORE_ATTR"], _OP["DELETE_ATTR"]
_STORE_GLOBAL, _DELETE_GLOBAL = _OP["STORE_GLOBAL"], _OP["DELETE_GLOBAL"]
_STORE_DEREF, _DELETE_DEREF = _OP["STORE_DEREF"], _OP["DELETE_DEREF"]
_EXTENDED_ARG = _OP["EXTENDED_ARG"]
_BACKWARD = {code for name, code in _OP.items() if "JUMP_BACKWARD" in name}
_SETTERS = {"setattr", "delattr", "__setattr__", "__delattr__"}
_INLINED = (".<locals>.<listcomp>", ".<locals>.<setcomp>", ".<locals>.<dictcomp>")

_REMEMBERED = 10_000
"""Code objects of which is remembered what they store: each campaign looks at the same ones."""


def plain_name(code: CodeType) -> str:
    """A function's qualified name; of a comprehension, that of the function around it, as from Python 3.12 on."""
    name = code.co_qualname
    while name.endswith(_INLINED):
        name = name.rpartition(".<locals>.")[0]
    return name


def _variables(code: CodeType) -> tuple[str, ...]:
    """The names of local variables, cells and free variables, as instructions count them."""
    local = code.co_varnames
    return (*local, *(name for name in code.co_cellvars if name not in local), *code.co_freevars)


def _instructions(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Offset, operation and argument of each instruction."""
    raw = code.co_code
    extended = 0
    for offset in range(0, len(raw), 2):
        operation = raw[offset]
        argument = raw[offset + 1] | extended
        extended = argument << 8 if operation == _EXTENDED_ARG else 0
        yield offset, operation, argument


def inner_codes(code: CodeType) -> list[CodeType]:
    """The code objects among a code object's constants."""
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


class _Names(NamedTuple):
    """What a code object's own instructions and constants name.

    Attributes:
        attributes: Attributes that are stored.
        variables: Global variables that are stored.
        strings: Constants that may be names.
        sets_attributes: It mentions `setattr` or the like.
    """

    attributes: frozenset[str]
    variables: frozenset[str]
    strings: frozenset[str]
    sets_attributes: bool


@lru_cache(maxsize=_REMEMBERED)
def _names_in(code: CodeType) -> _Names:
    names = code.co_names
    attributes: set[str] = set()
    variables: set[str] = set()
    for _, operation, argument in _instructions(code):
        if operation in {_STORE_ATTR, _DELETE_ATTR}:
            attributes.add(names[argument])
        elif operation in {_STORE_GLOBAL, _DELETE_GLOBAL}:
            variables.add(names[argument])
    strings: set[str] = set()
    for constant in code.co_consts:
        # Tuples are the names of keyword arguments, among others.
        parts = constant if isinstance(constant, tuple) else (constant,)
        strings.update(part for part in parts if isinstance(part, str) and part.isidentifier())
    return _Names(frozenset(attributes), frozenset(variables), frozenset(strings), not _SETTERS.isdisjoint(names))


class Stores:
    """What is stored in certain functions, given as code objects and the global variables that they see.

    Attributes:
        attributes: Names of attributes.
    """

    def __init__(self, functions: Iterable[tuple[CodeType, dict[str, Any]]]) -> None:
        self.attributes: set[str] = set()
        self._globals: set[tuple[int, str]] = set()
        # By the id of a code object: the functions that own the variables it shares, and which of those are hot.
        self._owners: dict[int, dict[str, str]] = {}
        self._hot: dict[int, set[str]] = {}
        self._kept: list[Any] = []
        # Names may be computed: of what its module mentions, `setattr` may set anything.
        self._strings: dict[int, set[str]] = {}
        self._setting: set[int] = set()
        # Outer functions first: they know best what their inner ones share.
        for code, namespace in sorted(functions, key=lambda pair: pair[0].co_qualname.count("<locals>")):
            if address(code) not in self._hot:
                self._kept.append(code)
                # Whatever is known of the function around: it may store anything.
                self._scan(code, namespace, dict.fromkeys(code.co_freevars, _outer_name(code)), set(code.co_freevars))
        for key in self._setting:
            self.attributes |= self._strings[key]

    def is_stored_global(self, namespace: dict[str, Any], name: str) -> bool:
        """Whether a function stores a global variable of a module, or anyone an attribute of that name of a module."""
        return (address(namespace), name) in self._globals

    def owner(self, code: CodeType, name: str) -> str | None:
        """The qualified name of the function whose variable a cell is; None if the code is not known."""
        return self._owners.get(address(code), {}).get(name)

    def is_stored_cell(self, code: CodeType, name: str) -> bool:
        """Whether a variable may be stored when another function has seen it."""
        return name in self._hot.get(address(code), ())

    def _scan(self, code: CodeType, namespace: dict[str, Any], owners: dict[str, str], hot: set[str]) -> None:
        self._scan_names(code, namespace)
        owners = {name: owner for name, owner in owners.items() if name in code.co_freevars}
        owners |= dict.fromkeys(code.co_cellvars, plain_name(code))
        hot = (hot & set(code.co_freevars)) | _hot_cells(code)
        self._owners[address(code)] = owners
        self._hot[address(code)] = hot
        for inner in inner_codes(code):
            self._scan(inner, namespace, owners, hot)

    def _scan_names(self, code: CodeType, namespace: dict[str, Any]) -> None:
        names = _names_in(code)
        self.attributes |= names.attributes
        self._globals.update((address(namespace), name) for name in names.variables)
        self._strings.setdefault(address(namespace), set()).update(names.strings)
        if names.sets_attributes:
            self._setting.add(address(namespace))

    def store_module_attribute(self, namespace: dict[str, Any]) -> None:
        """Take attributes stored by anybody for global variables of a module, too: ``module.name = value``."""
        self._globals.update((address(namespace), name) for name in self.attributes if name in namespace)


@lru_cache(maxsize=_REMEMBERED)
def _hot_cells(code: CodeType) -> frozenset[str]:
    """Variables of ``code`` that are stored by an inner function, more than once, or in a loop."""
    if not code.co_cellvars:
        return frozenset()
    names = _variables(code)
    counts = dict.fromkeys(code.co_cellvars, 0)
    places: dict[str, int] = {}
    loops: list[tuple[int, int]] = []
    for offset, operation, argument in _instructions(code):
        if operation in {_STORE_DEREF, _DELETE_DEREF} and names[argument] in counts:
            counts[names[argument]] += 1
            places[names[argument]] = offset
        elif operation in _BACKWARD:
            loops.append((offset - 2 * argument, offset))
    hot = {name for name, count in counts.items() if count > 1 or (name in code.co_varnames and count)}
    hot |= {name for name, at in places.items() if any(start <= at <= end for start, end in loops)}
    for inner in inner_codes(code):
        hot |= _stored_inside(inner) & counts.keys()
    return frozenset(hot)


def _stored_inside(code: CodeType) -> set[str]:
    names = _variables(code)
    found = {
        names[argument]
        for _, operation, argument in _instructions(code)
        if operation in {_STORE_DEREF, _DELETE_DEREF} and names[argument] in code.co_freevars
    }
    for inner in inner_codes(code):
        found |= _stored_inside(inner) & set(code.co_freevars)
    return found


def _outer_name(code: CodeType) -> str:
    """The function around, as far as the name tells."""
    return plain_name(code).rpartition(".<locals>.")[0] or plain_name(code)
