"""Rewrites code objects: before each access that somebody wants to know of, a call with the object is inserted.

The mechanism only: which accesses, and what is called, is told by a `Selection`. What the instructions compute, their
lines and their exception handlers stay what they were; code objects inside are rewritten too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple, Protocol

import bytecode as bc
from bytecode.instr import CellVar, FreeVar

from routilux_sim.points.accesses import BOUND, CELL, GLOBAL, NAMED, TURN, Access, accesses
from routilux_sim.points.dataflow import UnclearError

__all__ = ["Call", "Place", "Selection", "rewrite"]

_BEFORE_312 = sys.version_info < (3, 12)
_BEFORE_313 = sys.version_info < (3, 13)

EXTRA_STACK = 8
"""How much higher than before the stack may grow: a callable, its companion and its arguments, and a spare."""


class Place(NamedTuple):
    """Where an access stands.

    Attributes:
        code: The code object as it was.
        line: Its line; None if it has none.
    """

    code: CodeType
    line: int | None


class Call(NamedTuple):
    """What is to be called before an access.

    Attributes:
        function: Called with the object accessed (for a method, with the bound method) and the arguments; for a global
            variable and a loop's turn, with the arguments.
        arguments: Hashable constants.
    """

    function: Callable[..., object]
    arguments: Sequence[Any]


class Selection(Protocol):
    """Says which accesses are to be noted, and how."""

    def call(self, access: Access, place: Place) -> Call | None:
        """What to call before an access; None to leave it alone."""

    def inner(self, code: CodeType) -> CodeType:
        """What to put in the place of a code object inside another one."""


def rewrite(code: CodeType, selection: Selection) -> CodeType | None:
    """Return ``code`` with calls inserted; itself if there are none to insert, None if it cannot be rewritten."""
    try:
        listing = bc.Bytecode.from_code(code, conserve_exception_block_stackdepth=True)
        found = accesses(listing)
        changed = _Rewriting(code, listing, selection).run(found)
        return listing.to_code(stacksize=code.co_stacksize + EXTRA_STACK) if changed else code
    except (UnclearError, ValueError, IndexError, KeyError, TypeError, RuntimeError, AttributeError):
        # What the library or the analysis does not know leaves the function as it is, and the caller counts it.
        return None


class _Rewriting:
    def __init__(self, code: CodeType, listing: bc.Bytecode, selection: Selection) -> None:
        self._code = code
        self._listing = listing
        self._selection = selection
        self._before: dict[int, list[Any]] = {}
        self._instead: dict[int, list[Any]] = {}

    def run(self, found: list[Access]) -> bool:
        """Change the listing; return whether there was anything to change."""
        listing = self._listing
        for access in found:
            line = getattr(listing[access.at], "lineno", None)
            call = self._selection.call(access, Place(self._code, line))
            if call is not None:
                self._before.setdefault(access.at, []).extend(self._inserted(access, call))
                if access.what == BOUND:
                    self._instead[access.load] = self._plain_load(listing[access.load])
        changed = bool(self._before)
        made: list[Any] = []
        for index, item in enumerate(listing):
            made += self._before.get(index, ())
            made += self._instead.get(index, (item,))
            if isinstance(item, bc.Instr) and item.name == "LOAD_CONST" and isinstance(item.arg, CodeType):
                inner = self._selection.inner(item.arg)
                if inner is not item.arg:
                    item.arg = inner
                    changed = True
        listing[:] = made
        return changed

    def _inserted(self, access: Access, call: Call) -> list[Any]:
        location = getattr(self._listing[access.at], "location", None)

        def instruction(name: str, *arg: Any) -> Any:
            return bc.Instr(name, *arg, location=location)

        function = instruction("LOAD_CONST", call.function)
        made = [instruction("PUSH_NULL"), function] if _BEFORE_313 else [function, instruction("PUSH_NULL")]
        arguments = list(call.arguments)
        count = 1 + len(arguments)
        if access.what == TURN:
            count -= 1
        elif access.what == CELL:
            made.append(instruction("LOAD_CLOSURE" if _BEFORE_313 else "LOAD_FAST", self._variable(access.name)))
        elif access.what == GLOBAL:
            made.append(instruction("LOAD_CONST", arguments.pop(0)))
            count -= 1
        else:
            made.append(instruction("COPY", access.depth + 2))
        if access.what == NAMED:
            # The name is the next argument; the copy of the object lies above it.
            made.append(instruction("COPY", access.depth + 2))
            count += 1
        made += [instruction("LOAD_CONST", argument) for argument in arguments]
        if _BEFORE_312:
            made.append(instruction("PRECALL", count))
        return [*made, instruction("CALL", count), instruction("POP_TOP")]

    def _variable(self, name: str) -> Any:
        return FreeVar(name) if name in self._code.co_freevars else CellVar(name)

    def _plain_load(self, load: Any) -> list[Any]:
        """Load a method as any attribute: what is bound to the object can be asked for it."""
        name = load.arg[1] if isinstance(load.arg, tuple) else load.arg
        attribute = bc.Instr("LOAD_ATTR", name if _BEFORE_312 else (False, name), location=load.location)
        null = bc.Instr("PUSH_NULL", location=load.location)
        if _BEFORE_313:
            return [null, bc.Instr("SWAP", 2, location=load.location), attribute]
        return [attribute, null]
