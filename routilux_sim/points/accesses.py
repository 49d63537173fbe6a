"""The accesses to memory that a code object's instructions make, whatever the Python version calls them."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import bytecode as bc

from routilux_sim.points.containers import FUNCTIONS, METHODS, READ, WRITE
from routilux_sim.points.dataflow import Origin, Stack, stacks

__all__ = ["ARGUMENT", "ATTRIBUTE", "BOUND", "CELL", "CONTAINER", "GLOBAL", "NAMED", "STEP", "Access", "accesses"]

ATTRIBUTE = "attribute"
CONTAINER = "container"
BOUND = "bound"
ARGUMENT = "argument"
NAMED = "named"
STEP = "step"
CELL = "cell"
GLOBAL = "global"


class Access(NamedTuple):
    """One access, before it happens.

    Attributes:
        at: The index of the instruction that it is to be noted before.
        what: `ATTRIBUTE` or `CONTAINER`: the object is on the stack; `BOUND`: a method bound to it is; `ARGUMENT`: it is
            a function's first argument; `NAMED`: ``getattr`` and the like, whose name follows the object; `STEP`: an
            iterator over it is; `CELL`, `GLOBAL`: a variable.
        op: ``read`` or ``write``.
        depth: How deep on the stack the object is, from 1 for the top; 0 for variables.
        name: Of the attribute, variable or method.
        origin: Where the object came from.
        load: The index of the instruction that loads the method, for `BOUND`.
    """

    at: int
    what: str
    op: str
    depth: int
    name: str
    origin: Origin
    load: int = -1


_SIMPLE: dict[str, tuple[str, int]] = {
    "BINARY_SUBSCR": (READ, 2),
    "STORE_SUBSCR": (WRITE, 2),
    "DELETE_SUBSCR": (WRITE, 2),
    "BINARY_SLICE": (READ, 3),
    "STORE_SLICE": (WRITE, 3),
    "CONTAINS_OP": (READ, 1),
    "GET_ITER": (READ, 1),
    "GET_YIELD_FROM_ITER": (READ, 1),
    "LIST_EXTEND": (READ, 1),
    "SET_UPDATE": (READ, 1),
    "DICT_UPDATE": (READ, 1),
    "DICT_MERGE": (READ, 1),
    "UNPACK_SEQUENCE": (READ, 1),
    "UNPACK_EX": (READ, 1),
    "UNARY_NOT": (READ, 1),
    "TO_BOOL": (READ, 1),
}
"""Instructions that work on a container: what they do, and where it is on the stack."""

_ATTRIBUTES = {"LOAD_ATTR": READ, "LOAD_METHOD": READ, "STORE_ATTR": WRITE, "DELETE_ATTR": WRITE}
_CELLS = {"LOAD_DEREF": READ, "STORE_DEREF": WRITE, "DELETE_DEREF": WRITE}
_GLOBALS = {"LOAD_GLOBAL": READ, "STORE_GLOBAL": WRITE, "DELETE_GLOBAL": WRITE}
_TESTS = {"POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE"} | (
    {
        "POP_JUMP_FORWARD_IF_TRUE",
        "POP_JUMP_FORWARD_IF_FALSE",
        "POP_JUMP_BACKWARD_IF_TRUE",
        "POP_JUMP_BACKWARD_IF_FALSE",
        "JUMP_IF_TRUE_OR_POP",
        "JUMP_IF_FALSE_OR_POP",
    }
    if sys.version_info < (3, 13)
    else set()
)
_TESTS = _TESTS if sys.version_info < (3, 13) else set()
_NAMED = {"getattr": READ, "hasattr": READ, "setattr": WRITE, "delattr": WRITE}
_PRECALLS = sys.version_info < (3, 12)
_CALLABLE_FIRST = sys.version_info >= (3, 13)
_UNSHARED = {"fresh", "bool"}
"""Origins of what no other task can have."""


def accesses(code: bc.Bytecode) -> list[Access]:
    """The accesses, in the order of the instructions.

    Raises:
        UnclearError: The instructions are beyond this analysis.
    """
    before = stacks(code)
    found: list[Access] = []
    for index, item in enumerate(code):
        stack = before[index]
        if stack is not None and isinstance(item, bc.Instr):
            access = _access(code, index, item, stack)
            if access is not None and (access.op == WRITE or access.what == ATTRIBUTE or _can_be_shared(access.origin)):
                found.append(access)
    return found


def _can_be_shared(origin: Origin) -> bool:
    if origin is None:
        return True
    if origin[0] == "const":
        # Constants may be objects that a rewriting put there, but no containers.
        return False
    return origin[0] not in _UNSHARED


def _access(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:
    name = item.name
    if name in _SIMPLE:
        op, depth = _SIMPLE[name]
        return Access(index, CONTAINER, op, depth, "", stack[-depth])
    if name in _ATTRIBUTES:
        attribute = item.arg[1] if isinstance(item.arg, tuple) else item.arg
        return Access(index, ATTRIBUTE, _ATTRIBUTES[name], 1, attribute, stack[-1])
    if name in _CELLS:
        return Access(index, CELL, _CELLS[name], 0, item.arg.name, None)
    if name in _GLOBALS:
        variable = item.arg[1] if isinstance(item.arg, tuple) else item.arg
        return Access(index, GLOBAL, _GLOBALS[name], 0, variable, None)
    if name in _TESTS:
        return Access(index, CONTAINER, READ, 1, "", stack[-1])
    if name == "FOR_ITER":
        return Access(index, STEP, READ, 1, "", None)
    if name == "BINARY_OP":
        return _binary(index, item, stack)
    if name == "COMPARE_OP":
        sides = (stack[-1], stack[-2])
        if any(side is not None and side[0] == "fresh" for side in sides):
            depth = 2 if sides[0] is not None and sides[0][0] == "fresh" else 1
            return Access(index, CONTAINER, READ, depth, "", stack[-depth])
        return None
    if name == "CALL_FUNCTION_EX":
        depth = 2 if item.arg & 1 else 1
        return Access(index, CONTAINER, READ, depth, "", stack[-depth])
    if name == ("PRECALL" if _PRECALLS else "CALL") or name == "CALL_KW":
        return _call(code, index, item, stack)
    return None


def _binary(index: int, item: Any, stack: Stack) -> Access | None:
    """``items += more`` changes the container; ``number += 1`` does not."""
    if not item.arg.name.startswith("INPLACE_") or (stack[-1] is not None and stack[-1][0] == "const"):
        return None
    return Access(index, CONTAINER, WRITE, 2, "", stack[-2])


def _call(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:
    count = item.arg
    names = item.name == "CALL_KW"
    depth = count + names + 1
    # The callable, and beside it nothing or the object that a method is bound to.
    position = depth + 1 if _CALLABLE_FIRST else depth
    if len(stack) < depth + 1:
        return None
    marker = stack[-position]
    at = index
    before = code[index - 1] if index else None
    if isinstance(before, bc.Instr) and before.name == "KW_NAMES":
        at = index - 1
    if marker is None:
        return None
    if marker[0] == "method" and stack[-depth] is marker and stack[-depth - 1] is marker:
        _, load, method, base = marker
        if method in METHODS and _can_be_shared(base):
            return Access(at, BOUND, METHODS[method], position, method, base, load)
        if method in FUNCTIONS and count:
            return Access(at, ARGUMENT, FUNCTIONS[method], depth - 1, method, stack[-depth + 1])
    elif marker[0] == "function" and count:
        function = marker[2]
        if function in FUNCTIONS:
            return Access(at, ARGUMENT, FUNCTIONS[function], depth - 1, function, stack[-depth + 1])
        if function in _NAMED and count > 1:
            return Access(at, NAMED, _NAMED[function], depth - 1, function, stack[-depth + 1])
    return None
