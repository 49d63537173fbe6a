"""Linearizability: whether a thread-safe object behaves as if every call of it happened at one instant.

    check_linearizable(spec, operations)    judges the calls that a `History` has recorded
    explore_linearizable(make, spec, …)     runs calls from several tasks under many schedules, and judges each

The specification is a plain object without any locks: whatever comes of calls that overlap must be what comes of the
same calls one after the other, in some order that keeps what really came one after the other.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from routilux_sim.exploration import Report, explore
from routilux_sim.judge.intervals import draw
from routilux_sim.judge.orders import Attempt, NoOrder, Operation, Outcome, WouldBlock, find_order, smallest
from routilux_sim.kernel.core import here

__all__ = [
    "History",
    "NotLinearizableError",
    "Operation",
    "Outcome",
    "WouldBlock",
    "check_linearizable",
    "explore_linearizable",
]

Calls = Sequence[tuple[Any, ...]]
"""What a task does, one call after the other: the name of a method, and its arguments."""

ENOUGH = 200
"""Schedules that a smaller selection of calls is tried with at least, if so many are allowed."""

_SIGNS = ("__call__", "__contains__", "__delitem__", "__getitem__", "__len__", "__setitem__")


class NotLinearizableError(AssertionError):
    """Calls came to what no order of them explains.

    Attributes:
        operations: The smallest part of the history that has no order.
        history: All of it.
    """

    def __init__(self, operations: Sequence[Operation], history: Sequence[Operation], attempt: Attempt) -> None:
        self.operations = tuple(operations)
        self.history = tuple(history)
        lines = ["not linearizable: no order of these calls explains what they came to"]
        lines += [f"  {line}" for line in draw(operations)]
        lines += [f"  {line}" for line in _why(operations, attempt)]
        if len(operations) < len(history):
            lines.append(f"  ({len(history)} calls in all; the others do not matter)")
        super().__init__("\n".join(lines))


def _why(operations: Sequence[Operation], attempt: Attempt) -> Iterator[str]:
    """The longest order that fits, and what the specification says to each call that could come next."""
    told = "; ".join(str(operations[index]) for index in attempt.order)
    yield f"the longest order that fits: {told}" if told else "not even the first one fits:"
    for index, outcome in attempt.stuck:
        wanted = "waits" if outcome is None else f"gives {outcome}" if outcome.error is None else str(outcome)
        yield f"then {operations[index].call} {wanted} by the specification"


class History:
    """Records calls of one object by several tasks: on simulated threads, or on real ones.

    Attributes:
        operations: The calls so far, in the order in which they began.
    """

    def __init__(self) -> None:
        self.label = "history"
        self._clock = itertools.count()
        self._operations: dict[int, Operation] = {}

    @property
    def operations(self) -> list[Operation]:
        """The calls so far, in the order in which they began."""
        return list(self._operations.values())

    def wrap(self, target: Any) -> Any:
        """Return a stand-in for an object: it is called like that, and every call is recorded.

        Calls of methods are, and ``len()``, ``in``, ``[]`` and calling the object itself. Attributes that cannot be
        called are handed through, and none can be set. In a simulation a call's beginning and end are scheduling
        points.
        """
        signs = {name: _sign(name) for name in _SIGNS if hasattr(type(target), name)}
        return type("Recorded", (_Recorded,), {"__slots__": (), **signs})(self, target)

    def call(self, function: Callable[..., Any], method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function, recorded as a call of ``method``; return what it returns."""
        kernel = here()
        if kernel is not None:
            # Which of two calls began first is no matter; whether one had returned when another began is.
            kernel.point("invoke", self)
        task = threading.current_thread().name if kernel is None or kernel.current is None else kernel.current.name
        begun = next(self._clock)
        # What ends the task, and not the call, leaves it open.
        self._operations[begun] = operation = Operation(task, method, args, kwargs, begun)
        try:
            outcome = Outcome(function(*args, **kwargs))
        except Exception as error:
            self._end(operation, Outcome(error=error))
            raise
        self._end(operation, outcome)
        return outcome.value

    def _end(self, operation: Operation, outcome: Outcome) -> None:
        kernel = here()
        if kernel is not None:
            kernel.point("return", self)
        ended = next(self._clock)
        self._operations[operation.begun] = operation._replace(ended=ended, outcome=outcome)

    def __repr__(self) -> str:
        return f"<History of {len(self._operations)} calls>"


class _Recorded:
    """Stands in for an object whose calls are recorded."""

    __slots__ = ("_history", "_target")

    def __init__(self, history: History, target: Any) -> None:
        self._history = history
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self._history.call(value, name, *args, **kwargs)


def _sign(name: str) -> Callable[..., Any]:
    """A method that Python calls by a sign of its own."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        target = self._target
        return self._history.call(getattr(target, name), name, *args, **kwargs)

    return method


def check_linearizable(
    spec: Callable[[], Any],
    operations: History | Sequence[Operation],
    *,
    key: Callable[[Operation], Hashable] | None = None,
) -> None:
    """Check that calls of an object, which may have overlapped, can have happened one after the other.

    Results are compared with ``==``, exceptions by their type. A call that has not returned may have taken effect or
    not. The price grows with how many calls overlap, not with how many there are.

    Args:
        spec: Makes a sequential object with the same methods: a class, mostly. A method of it raises `WouldBlock` in a
            state in which the call would wait. It is copied if it is a plain ``dict``, ``list``, ``set`` or ``deque``
            or has a ``__copy__``; else it is made anew and taken through the calls again when an order does not fit.
        operations: What a `History` has recorded, or calls of one's own.
        key: What a call is about, where the object is one for each key, as a dictionary is if nobody asks for its
            length: each key's calls are then checked by themselves, which is much cheaper.

    Raises:
        NotLinearizableError: They cannot. It shows the smallest part of the history for which that is so.
    """
    calls = operations.operations if isinstance(operations, History) else list(operations)
    for part in _parts(calls, key):
        try:
            find_order(spec, part)
        except NoOrder:
            left, attempt = smallest(spec, part)
            raise NotLinearizableError(left, calls, attempt) from None


def _parts(calls: Sequence[Operation], key: Callable[[Operation], Hashable] | None) -> Sequence[Sequence[Operation]]:
    if key is None:
        return [calls]
    parts: dict[Hashable, list[Operation]] = {}
    for operation in calls:
        parts.setdefault(key(operation), []).append(operation)
    return list(parts.values())


def explore_linearizable(
    make: Callable[[], Any],
    spec: Callable[[], Any],
    operations: Sequence[Calls],
    *,
    key: Callable[[Operation], Hashable] | None = None,
    schedules: int = 1000,
    **options: Any,
) -> Report:
    """Call an object from several tasks under many schedules, and check that each history has an order.

        report = explore_linearizable(Cache, dict, [[("put", 1)], [("get",), ("get",)]])
        report.raise_if_failed()

    When one has none, calls and whole tasks are left out as long as some schedule still finds one: what is reported is
    the smallest selection of calls that was found to fail.

    Args:
        make: Makes the object under test; called once a schedule.
        spec: As for `check_linearizable`; so is ``key``.
        operations: What each task calls, one after the other: the name of a method and its arguments.
        key: What a call is about.
        schedules: How many to run at most.
        options: Anything else that `explore` takes.

    Returns:
        What the exploration came to; its failure's exception is a `NotLinearizableError`, if nothing else went wrong.
    """

    def explored(selection: Sequence[Calls], most: int, **more: Any) -> Report:
        return explore(_program(make, spec, selection, key), schedules=most, **{**options, **more})

    first = explored(operations, schedules, shrink=False)
    if not _is_found(first):
        return first
    enough = min(schedules, max(ENOUGH, 4 * first.schedules))
    fewest = operations
    while fewer := next((some for some in _fewer(fewest) if _is_found(explored(some, enough, shrink=False))), None):
        fewest = fewer
    return explored(fewest, schedules)


def _is_found(report: Report) -> bool:
    """Whether what failed is what was looked for."""
    return report.failure is not None and isinstance(report.failure.exception, NotLinearizableError)


def _fewer(operations: Sequence[Calls]) -> Iterator[list[Calls]]:
    """The calls of all tasks without one of them, then without one of the calls."""
    if len(operations) > 1:
        for place in range(len(operations)):
            yield [*operations[:place], *operations[place + 1 :]]
    for place, calls in enumerate(operations):
        if len(calls) < 2:
            continue
        for number in range(len(calls)):
            yield [*operations[:place], [*calls[:number], *calls[number + 1 :]], *operations[place + 1 :]]


def _program(
    make: Callable[[], Any],
    spec: Callable[[], Any],
    operations: Sequence[Calls],
    key: Callable[[Operation], Hashable] | None,
) -> Callable[[], None]:
    def program() -> None:
        history = History()
        recorded = history.wrap(make())

        def work(calls: Calls) -> None:
            for name, *args in calls:
                method = getattr(recorded, name)
                with suppress(Exception):  # recorded as what the call came to
                    method(*args)

        threads = [
            threading.Thread(target=work, args=(calls,), name=f"task-{number}")
            for number, calls in enumerate(operations, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check_linearizable(spec, history, key=key)

    return program
