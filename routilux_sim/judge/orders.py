"""Whether calls that overlapped can have happened one after the other: the search for such an order.

An object is linearizable (Herlihy and Wing, 1990) if every history of calls has an order that keeps what really came
one after the other, and in which a sequential model of the object gives the same results. The search is that of Wing
and Gong (1993) with the configurations remembered that have been tried (Lowe, 2017), soonest to return first.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["Attempt", "Model", "NoOrder", "Operation", "Outcome", "WouldBlock", "find_order", "smallest"]

NEVER = float("inf")
MOST_TRIED = 200_000
"""Configurations that one search may try; a history that needs more is not made smaller."""


class WouldBlock(Exception):  # noqa: N818 - it is no error: a model says with it that a call waits
    """Raised by a model: in this state the call would wait, so it cannot have happened now."""


_WRITTEN = {
    "__contains__": "{} in it",
    "__delitem__": "del it[{}]",
    "__getitem__": "it[{}]",
    "__len__": "len(it)",
    "__setitem__": "it[{}] = {}",
}
"""How calls of methods that Python calls by a sign of its own are written."""


class Outcome(NamedTuple):
    """What a call came to: a value, or the exception that it raised."""

    value: Any = None
    error: Exception | None = None

    def is_same(self, other: Outcome) -> bool:
        """Whether it is what another came to: equal values, or exceptions of one type."""
        if self.error is not None or other.error is not None:
            return type(self.error) is type(other.error)
        return self.value is other.value or bool(self.value == other.value)

    def __str__(self) -> str:
        return f"raises {type(self.error).__name__}" if self.error is not None else repr(self.value)


class Operation(NamedTuple):
    """One call of an object.

    Attributes:
        task: The name of who called.
        method: The name of what was called.
        args, kwargs: With what.
        begun: When, as a position among all calls and returns.
        ended: When it returned; None: it has not, and may have taken effect or not.
        outcome: What it came to; None if it has not returned.
    """

    task: str
    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    begun: int = 0
    ended: int | None = None
    outcome: Outcome | None = None

    @property
    def returns_at(self) -> float:
        """Its end, or infinity."""
        return NEVER if self.ended is None else self.ended

    @property
    def call(self) -> str:
        """The call as it is written: ``put(1)``."""
        given = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        written = _WRITTEN.get(self.method)
        if written is not None and len(given) == written.count("{}"):
            return written.format(*given)
        return f"{'it' if self.method == '__call__' else self.method}({', '.join(given)})"

    def left_open(self) -> Operation:
        """The same call, as if it had not returned."""
        return self._replace(ended=None, outcome=None)

    def __str__(self) -> str:
        if self.outcome is None:
            return f"{self.call} …"
        arrow = "" if self.outcome.error is None and self.outcome.value is None else f" -> {self.outcome}"
        return f"{self.call}{arrow}"


class Attempt(NamedTuple):
    """How far the search came.

    Attributes:
        order: The longest order that fits, as indices of operations.
        stuck: The indices of those that could come next, and what the model gives for each.
    """

    order: tuple[int, ...]
    stuck: tuple[tuple[int, Outcome | None], ...]


class NoOrder(Exception):  # noqa: N818 - a result
    """There is no order.

    Attributes:
        attempt: The longest one that fits.
    """

    def __init__(self, attempt: Attempt) -> None:
        super().__init__("no order")
        self.attempt = attempt


class Model:
    """A sequential object that can go back to where it was.

    It is copied where that is known to be enough, and else made anew and taken through the same calls again. So a
    specification need not know how to copy itself, and may hold what cannot be copied.

    Args:
        spec: Makes the object.
        operations: What it is asked.
    """

    def __init__(self, spec: Callable[[], Any], operations: Sequence[Operation]) -> None:
        self._spec = spec
        self._operations = operations
        self._object = spec()
        self._copies = _can_be_copied(self._object)
        self.order: list[int] = []
        self._before: list[Any] = []

    def ask(self, index: int) -> Outcome | None:
        """Make a call, which goes to the end of the order; None: it would wait. `back` takes it back."""
        operation = self._operations[index]
        self._before.append(copy.copy(self._object) if self._copies else None)
        self.order.append(index)
        return _perform(self._object, operation)

    def back(self) -> None:
        """Take the last call back."""
        before = self._before.pop()
        self.order.pop()
        if self._copies:
            self._object = before
            return
        self._object = self._spec()
        for index in self.order:
            _perform(self._object, self._operations[index])

    def state(self) -> Hashable:
        """The object's state, to be compared; a new object that equals nothing if it cannot be."""
        try:
            return _frozen_object(self._object)
        except (TypeError, RecursionError):
            return object()


def _perform(target: Any, operation: Operation) -> Outcome | None:
    # A model that lacks the method is wrong, whatever the call came to.
    method = getattr(target, operation.method)
    try:
        return Outcome(method(*operation.args, **operation.kwargs))
    except WouldBlock:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the call came to
        return Outcome(error=error.with_traceback(None))


def _can_be_copied(target: Any) -> bool:
    """Whether `copy.copy` makes another one that shares no state with it."""
    return type(target) in {dict, list, set, deque, OrderedDict} or "__copy__" in vars(type(target))


def _frozen_object(target: Any) -> Hashable:
    kept = dict(getattr(target, "__dict__", {}))
    for kind in type(target).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if hasattr(target, name):
                kept[name] = getattr(target, name)
    contents = _frozen(target) if isinstance(target, _CONTAINERS) else None
    if not kept and contents is None:
        raise TypeError("what it consists of cannot be seen")
    return contents, _frozen(kept)


_CONTAINERS = (dict, list, tuple, deque, set, frozenset)


def _frozen(value: Any) -> Hashable:
    """A container's contents; anything else as it is, alike only if it says so or is the same."""
    if isinstance(value, dict):
        return dict, tuple((key, _frozen(held)) for key, held in value.items())
    if isinstance(value, list | tuple | deque):
        return type(value), tuple(_frozen(held) for held in value)
    if isinstance(value, set | frozenset):
        return set, frozenset(value)
    hash(value)
    return value  # type: ignore[no-any-return]


def find_order(spec: Callable[[], Any], operations: Sequence[Operation], most: float = NEVER) -> tuple[int, ...] | None:
    """Find an order of the calls that explains what they came to.

    Args:
        spec: Makes a sequential object with the same methods.
        operations: The calls. Those that have not returned may be left out of the order.
        most: How many configurations may be tried.

    Returns:
        The indices of the calls, in that order; None if more configurations than ``most`` would have to be tried.

    Raises:
        NoOrder: There is none.
    """
    model = Model(spec, operations)
    wanted = sum(1 << index for index, operation in enumerate(operations) if operation.ended is not None)
    placed = 0
    seen: set[Hashable] = set()
    best: Attempt = Attempt((), ())
    stuck: list[list[tuple[int, Outcome | None]]] = [[]]
    paths: list[Iterator[int]] = [_next(operations, placed)]
    while placed & wanted != wanted:
        index = next(paths[-1], None)
        if index is None:
            if len(model.order) > len(best.order) or not best.stuck:
                best = Attempt(tuple(model.order), tuple(stuck[-1]))
            paths.pop()
            stuck.pop()
            if not paths:
                raise NoOrder(best)
            placed &= ~(1 << model.order[-1])
            model.back()
            continue
        outcome = model.ask(index)
        real = operations[index].outcome
        if outcome is None or not (real is None or outcome.is_same(real)):
            stuck[-1].append((index, outcome))
            model.back()
            continue
        key = placed | 1 << index, model.state()
        if key in seen:
            model.back()
            continue
        if len(seen) >= most:
            return None
        seen.add(key)
        placed |= 1 << index
        paths.append(_next(operations, placed))
        stuck.append([])
    return tuple(model.order)


def _next(operations: Sequence[Operation], placed: int) -> Iterator[int]:
    """Those calls of which no other one ended before they began; the one that returned soonest comes first."""
    left = [index for index in range(len(operations)) if not placed >> index & 1]
    first_end = min((operations[index].returns_at for index in left), default=NEVER)
    left = [index for index in left if operations[index].begun < first_end]
    return iter(sorted(left, key=lambda index: operations[index].returns_at))


def smallest(spec: Callable[[], Any], operations: Sequence[Operation]) -> tuple[list[Operation], Attempt]:
    """Make a history without an order as small as it can be.

    It is cut off behind the first return that cannot be explained. Then every call is left out that does not matter:
    there is no order whether it took effect or not, at any time from its beginning on, and all that returned before the
    last one can be explained without it. So a ``get`` never loses the ``put`` that it had its value from.

    Args:
        spec: Makes a sequential object with the same methods.
        operations: The calls of a history for which `find_order` finds no order.

    Returns:
        The calls that are left, in the order of their beginnings, and how far an order of these goes.
    """
    ends = sorted(operation.ended for operation in operations if operation.ended is not None)
    # Whatever begins with a history that has no order has none either.
    first = bisect_left(ends, True, key=lambda end: _has_no_order(spec, _until(operations, end)))
    last = ends[min(first, len(ends) - 1)]
    left = sorted(_until(operations, last), key=lambda operation: operation.begun)
    for operation in list(left):
        if operation.ended == last:
            continue
        without = [other for other in left if other is not operation]
        if _has_no_order(spec, [*without, operation.left_open()]) and _is_explained(spec, without, last):
            left = without
    try:
        find_order(spec, left)
    except NoOrder as none:
        return left, none.attempt
    raise AssertionError("what is left has an order")  # pragma: no cover - leaving out calls makes none


def _until(operations: Sequence[Operation], end: int) -> list[Operation]:
    """What had been seen of a history at some time."""
    seen = [operation for operation in operations if operation.begun < end]
    return [operation if operation.returns_at <= end else operation.left_open() for operation in seen]


def _has_no_order(spec: Callable[[], Any], operations: Sequence[Operation]) -> bool:
    """Whether there is certainly none."""
    try:
        find_order(spec, operations, MOST_TRIED)
    except NoOrder:
        return True
    return False


def _is_explained(spec: Callable[[], Any], operations: Sequence[Operation], last: int) -> bool:
    """Whether there certainly is one before some return."""
    before = [operation.left_open() if operation.ended == last else operation for operation in operations]
    try:
        return find_order(spec, before, MOST_TRIED) is not None
    except NoOrder:
        return False
