"""What is on the stack before each instruction: where each value came from, as far as the instructions tell.

A forward analysis over symbolic values: a value's origin is a tuple, None if it is unknown. Two paths that meet must
agree on the depth; where they disagree on a value, its origin is unknown.
"""

from __future__ import annotations

import sys
from typing import Any

import bytecode as bc
from bytecode.instr import TryBegin

__all__ = ["Origin", "UnclearError", "stacks"]

Origin = tuple[Any, ...] | None
Stack = tuple[Origin, ...]

_BEFORE_313 = sys.version_info < (3, 13)

# What the library's table of effects does not split into what is popped and what is pushed.
_EFFECTS: dict[str, tuple[int, int]] = {
    "CALL_INTRINSIC_1": (1, 1),
    "CALL_INTRINSIC_2": (2, 1),
    "YIELD_VALUE": (1, 1),
    "BEFORE_WITH": (1, 2),
    "LOAD_METHOD": (1, 2),
    "END_SEND": (2, 1),
    "GET_AWAITABLE": (1, 1),
    "RETURN_GENERATOR": (0, 1),
}
_BOOLEANS = {"COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "TO_BOOL"}
_KEEPING = {"NOP", "RESUME", "KW_NAMES", "MAKE_CELL", "COPY_FREE_VARS", "DELETE_FAST", "DELETE_DEREF", "DELETE_GLOBAL"}


class UnclearError(Exception):
    """The stack cannot be told."""


def stacks(code: bc.Bytecode) -> list[Stack | None]:
    """The stack before each instruction of ``code``; None before those that are never reached, and labels.

    Origins are ``("const", value)``, ``("local", name)``, ``("cell", name)``, ``("global", name)``,
    ``("attr", name, origin)``, ``("iterator", origin)``, ``("bool",)``, ``("fresh",)`` for what was just built,
    ``("call",)``, and for what a call will use ``("method", index, name, origin)`` and ``("function", index, name)``,
    with the loading instruction's index.

    Raises:
        UnclearError: Paths of different depths meet.
    """
    return _Analysis(code).run()


class _Analysis:
    def __init__(self, code: bc.Bytecode) -> None:
        self._code = code
        self._labels = {item: index for index, item in enumerate(code) if isinstance(item, bc.Label)}
        self._before: list[Stack | None] = [None] * len(code)
        self._todo: list[tuple[int, Stack]] = [(0, ())]

    def run(self) -> list[Stack | None]:
        while self._todo:
            index, stack = self._todo.pop()
            self._follow(index, stack)
        return self._before

    def _follow(self, index: int, stack: Stack) -> None:
        code = self._code
        while index < len(code):
            known = self._before[index]
            if known is not None:
                merged = _merge(known, stack)
                if merged == known:
                    return
                stack = merged
            self._before[index] = stack
            item = code[index]
            if isinstance(item, TryBegin):
                depth = item.stack_depth
                if not isinstance(depth, int) or depth > len(stack):
                    raise UnclearError("an exception handler's depth is not known")
                handled = (*stack[:depth], None, None) if item.push_lasti else (*stack[:depth], None)
                self._todo.append((self._labels[item.target], _forget(handled)))
            elif isinstance(item, bc.Instr):
                if isinstance(item.arg, bc.Label):
                    self._todo.append((self._labels[item.arg], self._after(index, item, stack, True)))
                if item.is_final() or item.is_uncond_jump():
                    return
                stack = self._after(index, item, stack, False)
            index += 1

    def _after(self, index: int, item: Any, stack: Stack, jump: bool) -> Stack:
        name = item.name
        if name in _KEEPING:
            return stack
        if name == "COPY":
            return (*stack, stack[-item.arg])
        if name == "SWAP":
            values = list(stack)
            values[-1], values[-item.arg] = values[-item.arg], values[-1]
            return tuple(values)
        if name in _LOADS:
            loaded: Stack = _LOADS[name](index, item, stack)
            return loaded
        popped, pushed = (0, 1) if name == "FOR_ITER" and not jump else _EFFECTS.get(name) or _effect(item, jump)
        if popped > len(stack):
            raise UnclearError(f"{name} finds too little on the stack")
        left = stack[: len(stack) - popped]
        if name == "CHECK_EXC_MATCH":
            return (*left, None, ("bool",))
        return left + (_result(name, stack),) * pushed


def _result(name: str, stack: Stack) -> Origin:
    """What an instruction leaves on the stack."""
    if name == "GET_ITER":
        return ("iterator", stack[-1])
    if name in _BOOLEANS:
        return ("bool",)
    if name.startswith("BUILD_"):
        return ("fresh",)
    return ("call",) if name.startswith("CALL") else None


def _effect(item: Any, jump: bool) -> tuple[int, int]:
    if item.name == "SEND":
        return 2, 2 + item.stack_effect(jump)
    before, after = item.pre_and_post_stack_effect(jump)
    return (0, before + after) if before > 0 else (-before, after)


def _merge(known: Stack, stack: Stack) -> Stack:
    if known == stack:
        return known
    if len(known) != len(stack):
        raise UnclearError("paths of different depths meet")
    return tuple(old if old == new and type(old) is type(new) else None for old, new in zip(known, stack, strict=True))


def _forget(stack: Stack) -> Stack:
    """A handler is reached from everywhere in its region."""
    return (None,) * len(stack)


def _variable(kind: str, name: Any) -> Origin:
    return (kind, name) if isinstance(name, str) else ("cell", name.name)


def _load_fast(_: int, item: Any, stack: Stack) -> Stack:
    return (*stack, _variable("local", item.arg))


def _load_two(_: int, item: Any, stack: Stack) -> Stack:
    return (*stack, *(_variable("local", name) for name in item.arg))


def _store_load(_: int, item: Any, stack: Stack) -> Stack:
    return (*stack[:-1], _variable("local", item.arg[1]))


def _load_const(_: int, item: Any, stack: Stack) -> Stack:
    return (*stack, ("const", _Constant(item.arg)))


def _load_global(index: int, item: Any, stack: Stack) -> Stack:
    is_call, name = item.arg
    if not is_call:
        return (*stack, ("global", name))
    marker = ("function", index, name)
    return (*stack, None, marker) if _BEFORE_313 else (*stack, marker, None)


def _load_deref(_: int, item: Any, stack: Stack) -> Stack:
    return (*stack, ("cell", item.arg.name))


def _load_attr(index: int, item: Any, stack: Stack) -> Stack:
    is_call, name = item.arg if isinstance(item.arg, tuple) else (item.name == "LOAD_METHOD", item.arg)
    *left, base = stack
    if not is_call:
        return (*left, ("attr", name, base))
    marker = ("method", index, name, base)
    return (*left, marker, marker)


class _Constant:
    """Equal only to itself: constants of different types may be equal."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


_LOADS: dict[str, Any] = {
    "LOAD_FAST": _load_fast,
    "LOAD_FAST_CHECK": _load_fast,
    "LOAD_FAST_BORROW": _load_fast,
    "LOAD_FAST_LOAD_FAST": _load_two,
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": _load_two,
    "STORE_FAST_LOAD_FAST": _store_load,
    "LOAD_CONST": _load_const,
    "LOAD_GLOBAL": _load_global,
    "LOAD_DEREF": _load_deref,
    "LOAD_CLASSDEREF": _load_deref,
    "LOAD_ATTR": _load_attr,
    "LOAD_METHOD": _load_attr,
}
