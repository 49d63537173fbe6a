"""The accesses to memory that a code object's instructions make, whatever the Python version calls them."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import bytecode as bc

from routilux_sim.points.containers import FUNCTIONS, METHODS, READ, WRITE
from routilux_sim.points.dataflow import Origin, Stack, stacks

__all__ = [
    "ARGUMENT",
    "ATTRIBUTE",
    "BOUND",
    "CELL",
    "CONTAINER",
    "GLOBAL",
    "NAMED",
    "OUTER",
    "STEP",
    "TURN",
    "Access",
    "accesses",
]

ATTRIBUTE = "attribute"
CONTAINER = "container"
BOUND = "bound"
ARGUMENT = "argument"
NAMED = "named"
STEP = "step"
CELL = "cell"
GLOBAL = "global"
TURN = "turn"

OUTER: Origin = ("local", ".0")
"""Where a generator expression has its iterator from; up to Python 3.11 a comprehension, too."""


class Access(NamedTuple):
    """One access, before it happens.

    Attributes:
        at: The index of the instruction that it is to be noted before.
        what: `ATTRIBUTE` or `CONTAINER`: the object is on the stack; `BOUND`: a method bound to it is; `ARGUMENT`: it
            is a function's first argument; `NAMED`: ``getattr`` and the like, whose name follows the object; `STEP`: an
            iterator over it is; `CELL`, `GLOBAL`: a variable; `TURN`: none, but a
            loop that steps through nothing goes back to its beginning.
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


_CONTAINERS: dict[str, tuple[str, int]] = {
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

if sys.version_info < (3, 13):
    # From then on a test has an instruction of its own before the jump.
    _JUMPS = ("POP_JUMP_IF", "POP_JUMP_FORWARD_IF", "POP_JUMP_BACKWARD_IF")
    _CONTAINERS |= {f"{jump}_{truth}": (READ, 1) for jump in _JUMPS for truth in ("TRUE", "FALSE")}
    _CONTAINERS |= {f"JUMP_IF_{truth}_OR_POP": (READ, 1) for truth in ("TRUE", "FALSE")}

_NAMED = {"getattr": READ, "hasattr": READ, "setattr": WRITE, "delattr": WRITE}
_CALLABLE_FIRST = sys.version_info >= (3, 13)
_UNSHARED = {"const", "fresh", "bool"}
"""Origins of what no other task can have, or of what is no container."""


def accesses(code: bc.Bytecode) -> list[Access]:
    """The accesses, in the order of the instructions.

    Raises:
        UnclearError: The instructions are beyond this analysis.
    """
    found: list[Access] = []
    for index, (item, stack) in enumerate(zip(code, stacks(code), strict=True)):
        if stack is not None and isinstance(item, bc.Instr):
            found += [
                access
                for table in (_KINDS, _TURNS)
                if item.name in table and (access := table[item.name](code, index, item, stack)) is not None
            ]
    return found


def _can_be_shared(origin: Origin) -> bool:
    return origin is None or origin[0] not in _UNSHARED


def _container(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:  # noqa: ARG001 - a handler's
    op, depth = _CONTAINERS[item.name]
    return _in_container(index, op, depth, stack)


def _in_container(index: int, op: str, depth: int, stack: Stack) -> Access | None:
    origin = stack[-depth]
    return Access(index, CONTAINER, op, depth, "", origin) if _can_be_shared(origin) else None


def _attribute(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access:  # noqa: ARG001 - a handler's
    name = item.arg[1] if isinstance(item.arg, tuple) else item.arg
    return Access(index, ATTRIBUTE, READ if item.name.startswith("LOAD") else WRITE, 1, name, stack[-1])


def _cell(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access:  # noqa: ARG001 - a handler's
    return Access(index, CELL, READ if item.name.startswith("LOAD") else WRITE, 0, item.arg.name, None)


def _global(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access:  # noqa: ARG001 - a handler's
    name = item.arg[1] if isinstance(item.arg, tuple) else item.arg
    return Access(index, GLOBAL, READ if item.name.startswith("LOAD") else WRITE, 0, name, None)


def _step(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access:  # noqa: ARG001 - a handler's
    origin = stack[-1]
    if origin is not None and origin[0] == "iterator":
        origin = origin[1]
    elif origin != OUTER:
        origin = None
    return Access(index, STEP, READ, 1, "next", origin)


def _turn(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:  # noqa: ARG001 - a handler's
    start = next(at for at, other in enumerate(code) if other is item.arg)
    first = next(other for other in code[start:] if isinstance(other, bc.Instr))
    return None if start > index or first.name == "FOR_ITER" else Access(index, TURN, READ, 0, "", None)


def _binary(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:  # noqa: ARG001 - a handler's
    """``items += more`` changes the container; ``number += 1`` does not."""
    if not item.arg.name.startswith("INPLACE_") or (stack[-1] is not None and stack[-1][0] == "const"):
        return None
    return _in_container(index, WRITE, 2, stack)


def _compare(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:  # noqa: ARG001 - a handler's
    """``items == []``: of two values that are not known, hardly ever one is a container."""
    for depth, other in ((1, 2), (2, 1)):
        if stack[-other] == ("fresh",):
            return _in_container(index, READ, depth, stack)
    return None


def _call_with_all(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:  # noqa: ARG001 - a handler's
    """``function(*items, **more)``."""
    return _in_container(index, READ, 2 if item.arg & 1 else 1, stack)


def _call(code: bc.Bytecode, index: int, item: Any, stack: Stack) -> Access | None:
    count = item.arg
    # The names of keyword arguments may lie on top, below them the arguments; then come the callable and, beside it,
    # nothing or the object that a method is bound to.
    first = count + (item.name == "CALL_KW")
    position = first + 2 if _CALLABLE_FIRST else first + 1
    marker = stack[-position] if len(stack) >= position else None
    if marker is None:
        return None
    before = code[index - 1]
    at = index - 1 if isinstance(before, bc.Instr) and before.name == "KW_NAMES" else index
    if marker[0] == "method":
        _, load, name, base = marker
        if name in METHODS and _can_be_shared(base):
            return Access(at, BOUND, METHODS[name], position, name, base, load)
    elif marker[0] == "function":
        name = marker[2]
    else:
        return None
    if name in FUNCTIONS and count and _can_be_shared(stack[-first]):
        return Access(at, ARGUMENT, FUNCTIONS[name], first, name, stack[-first])
    if name in _NAMED and count > 1 and marker[0] == "function":
        return Access(at, NAMED, _NAMED[name], first, name, stack[-first])
    return None


_KINDS: dict[str, Any] = {
    **dict.fromkeys(_CONTAINERS, _container),
    **dict.fromkeys(("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR"), _attribute),
    **dict.fromkeys(("LOAD_DEREF", "STORE_DEREF", "DELETE_DEREF"), _cell),
    **dict.fromkeys(("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"), _global),
    "FOR_ITER": _step,
    "BINARY_OP": _binary,
    "COMPARE_OP": _compare,
    "CALL_FUNCTION_EX": _call_with_all,
    # Where there is one of these, the call itself does not see the arguments any more.
    "PRECALL" if sys.version_info < (3, 12) else "CALL": _call,
    "CALL_KW": _call,
}

# Up to Python 3.11 some of them are tests, too.
_BACKWARD = ("JUMP_BACKWARD", *(f"POP_JUMP_BACKWARD_IF_{truth}" for truth in ("TRUE", "FALSE", "NONE", "NOT_NONE")))
_TURNS: dict[str, Any] = dict.fromkeys(_BACKWARD, _turn)
