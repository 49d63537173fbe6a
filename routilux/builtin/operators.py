"""What the operators of the expression language do: Python's own meaning, on plain data, within limits.

Knows values; knows nothing of syntax. Plain data is None, bool, int, float, str, bytes, list, tuple, dict and set,
by exact type: a subclass could bring methods of its own, and an operator would call them. Every operator takes a
`Budget`, so that no expression works for long or builds anything large.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from routilux.exceptions import brief

__all__ = ["BINARY", "COMPARISONS", "UNARY", "Budget", "check_plain", "item_of", "shown", "truth"]

MAX_BITS = 4096
"""The largest whole numbers that arithmetic takes or makes, in bits."""

MAX_SIZE = 100_000
"""The largest string or collection that an operator makes, in items."""

MAX_WORK = 1_000_000
"""How many items one evaluation looks at or makes."""

NUMBERS = frozenset({bool, int, float})
WHOLE = frozenset({bool, int})
SEQUENCES = frozenset({str, bytes, list, tuple})
SCALARS = NUMBERS | {type(None), str, bytes}
CONTAINERS = frozenset({list, tuple, dict, set})
PLAIN = SCALARS | CONTAINERS
PLAIN_NAMES = "None, bool, int, float, str, bytes, list, tuple, dict and set"


class Budget:
    """How much work one evaluation may still do."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_WORK

    def spend(self, items: int) -> None:
        """Take ``items`` off.

        Raises:
            ValueError: Nothing is left.
        """
        self._left -= items
        if self._left < 0:
            raise ValueError(f"looks at more than {MAX_WORK} items, or at data that contains itself")

    def make(self, size: int) -> None:
        """Allow for a string or collection of ``size`` items.

        Raises:
            ValueError: It would be too large.
        """
        if size > MAX_SIZE:
            raise ValueError(f"would make {size} items; at most {MAX_SIZE} are allowed")
        self.spend(size)


def check_plain(value: object, budget: Budget) -> None:
    """Refuse what holds, at any depth, something that is not plain data: comparing it would call its methods.

    Raises:
        TypeError: It does.
    """
    pending = [value]
    while pending:
        item: Any = pending.pop()
        kind = type(item)
        if kind in SCALARS:
            continue
        if kind not in CONTAINERS:
            raise _not_plain(item)
        budget.spend(len(item) + 1)
        pending.extend(item)
        if kind is dict:
            pending.extend(item.values())


def _not_plain(value: object) -> TypeError:
    return TypeError(f"a {type(value).__qualname__} is not plain data; operators take {PLAIN_NAMES}")


def truth(value: object) -> bool:
    """Whether a plain value counts as true.

    Raises:
        TypeError: It is not plain.
    """
    if type(value) not in PLAIN:
        raise _not_plain(value)
    return bool(value)


def item_of(container: Any, key: Any, budget: Budget) -> Any:
    """Look up ``container[key]``; a slice for a key cuts.

    Raises:
        TypeError: Not a container with items, or a key of the wrong type.
        LookupError: There is no such item.
    """
    if type(container) is dict:
        check_plain(key, budget)
        _check_keys(container, budget)
        if key not in container:
            raise LookupError(f"there is no {brief(key)}; there are: {_some(container)}")
        return container[key]
    if type(container) not in SEQUENCES:
        if type(container) not in PLAIN:
            raise _not_plain(container)
        raise TypeError(f"a {type(container).__name__} has no items to look up")
    if type(key) is slice:
        budget.make(len(container))
    elif type(key) not in WHOLE:
        raise TypeError(f"an item of a {type(container).__name__} is looked up by a whole number, not {shown(key)}")
    return container[key]


def _check_keys(container: dict[Any, Any], budget: Budget) -> None:
    budget.spend(len(container))
    for key in container:
        if type(key) not in SCALARS:
            check_plain(key, budget)


def shown(value: object) -> str:
    """Describe a value in a message, without asking it to describe itself unless it is plain."""
    return brief(value) if type(value) in SCALARS else f"a {type(value).__qualname__}"


def _some(container: Mapping[Any, Any]) -> str:
    shown = [brief(key) for key in list(container)[:10]]
    return ", ".join(shown + ["…"] * (len(container) > len(shown))) or "none"


def _unfit(sign: str, *operands: object) -> TypeError:
    for operand in operands:
        if type(operand) not in PLAIN:
            return _not_plain(operand)
    return TypeError(f"{sign!r} does not take {' and '.join(type(item).__name__ for item in operands)}")


def _numbers(sign: str, *operands: Any) -> None:
    """Refuse all but numbers, and whole numbers too large to reckon with."""
    for operand in operands:
        if type(operand) not in NUMBERS:
            raise _unfit(sign, *operands)
        if type(operand) is int:
            _bits(operand.bit_length())


def _bits(count: int) -> None:
    if count > MAX_BITS:
        raise ValueError(f"whole numbers of more than {MAX_BITS} bits are not allowed")


def _add(left: Any, right: Any, budget: Budget) -> Any:
    if type(left) is type(right) and type(left) in SEQUENCES:
        budget.make(len(left) + len(right))
    else:
        _numbers("+", left, right)
    return left + right


def _multiply(left: Any, right: Any, budget: Budget) -> Any:
    for sequence, times in ((left, right), (right, left)):
        if type(sequence) in SEQUENCES and type(times) in WHOLE:
            budget.make(len(sequence) * max(0, times))
            return left * right
    _numbers("*", left, right)
    if type(left) is int and type(right) is int:
        _bits(left.bit_length() + right.bit_length())
    return left * right


def _power(left: Any, right: Any, _budget: Budget) -> Any:
    _numbers("**", left, right)
    if type(left) in WHOLE and type(right) in WHOLE and right > 0:
        _bits(left.bit_length() * right)
    result = left**right
    if type(result) is complex:
        raise ValueError(f"{brief(left)} ** {brief(right)} is a complex number")
    return result


def _shift_left(left: Any, right: Any, _budget: Budget) -> Any:
    _whole("<<", left, right)
    _bits(left.bit_length() + max(0, right))
    return left << right


def _shift_right(left: Any, right: Any, _budget: Budget) -> Any:
    _whole(">>", left, right)
    return left >> right


def _whole(sign: str, *operands: Any) -> None:
    _numbers(sign, *operands)
    if not all(type(operand) in WHOLE for operand in operands):
        raise _unfit(sign, *operands)


Binary = Callable[[Any, Any, Budget], Any]


def _reckoning(sign: str, operation: Callable[[Any, Any], Any]) -> Binary:
    def reckon(left: Any, right: Any, _budget: Budget) -> Any:
        _numbers(sign, left, right)
        return operation(left, right)

    return reckon


def _on_sets_or(sign: str, operation: Callable[[Any, Any], Any], check: Callable[..., None]) -> Binary:
    """An operator on two sets, or on two numbers that pass ``check``; ``|`` also joins two dictionaries."""
    collections = {set, dict} if sign == "|" else {set}

    def combine(left: Any, right: Any, budget: Budget) -> Any:
        if type(left) is type(right) and type(left) in collections:
            budget.make(len(left) + len(right))
            check_plain(left, budget)
            check_plain(right, budget)
        else:
            check(sign, left, right)
        return operation(left, right)

    return combine


BINARY: Mapping[str, Binary] = {
    "Add": _add,
    "Sub": _on_sets_or("-", operator.sub, _numbers),
    "Mult": _multiply,
    "Div": _reckoning("/", operator.truediv),
    "FloorDiv": _reckoning("//", operator.floordiv),
    "Mod": _reckoning("%", operator.mod),
    "Pow": _power,
    "LShift": _shift_left,
    "RShift": _shift_right,
    "BitAnd": _on_sets_or("&", operator.and_, _whole),
    "BitOr": _on_sets_or("|", operator.or_, _whole),
    "BitXor": _on_sets_or("^", operator.xor, _whole),
}
"""Operators of two operands, by the name of their node in Python's grammar."""


def _invert(value: Any) -> Any:
    _whole("~", value)
    # ``~True`` is deprecated in Python, and means this.
    return ~int(value)


def _signed(sign: str, operation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        _numbers(sign, value)
        return operation(value)

    return apply


UNARY: Mapping[str, Callable[[Any], Any]] = {
    "Not": lambda value: not truth(value),
    "USub": _signed("-", operator.neg),
    "UAdd": _signed("+", operator.pos),
    "Invert": _invert,
}
"""Operators of one operand, likewise."""


def _comparing(operation: Callable[[Any, Any], bool]) -> Binary:
    def compare(left: Any, right: Any, budget: Budget) -> bool:
        check_plain(left, budget)
        check_plain(right, budget)
        return operation(left, right)

    return compare


def _contains(item: Any, container: Any, budget: Budget) -> bool:
    check_plain(item, budget)
    if type(container) is dict:
        # Its values are not looked at, and may be anything.
        _check_keys(container, budget)
    else:
        check_plain(container, budget)
    return item in container


COMPARISONS: Mapping[str, Binary] = {
    "Eq": _comparing(operator.eq),
    "NotEq": _comparing(operator.ne),
    "Lt": _comparing(operator.lt),
    "LtE": _comparing(operator.le),
    "Gt": _comparing(operator.gt),
    "GtE": _comparing(operator.ge),
    "In": _contains,
    "NotIn": lambda item, container, budget: not _contains(item, container, budget),
    "Is": lambda left, right, _budget: left is right,
    "IsNot": lambda left, right, _budget: left is not right,
}
"""Comparisons, likewise."""
