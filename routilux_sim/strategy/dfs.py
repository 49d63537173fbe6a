"""Every schedule, one after the other: the few that deviate least from the plain one first.

Schedules are the leaves of a tree of decisions. Each execution follows a prefix that is to be tried and goes on
plainly; where it went on plainly, every other choice makes a prefix to try later. So each schedule runs exactly once,
and what is kept is one tape for each execution whose branches are not all tried. With a limit, prefixes with few
preemptions come first (after "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", Musuvathi
and Qadeer, PLDI 2007); among those, and without a limit, the ones with few choices that are not plain (after
"Delay-Bounded Scheduling", Emmi, Qadeer and Rakamarić, POPL 2011): nearly all known bugs need very few of either.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.strategy._protocol import Outcome

__all__ = ["DfsStrategy"]


class _Executed(NamedTuple):
    """An execution's decisions.

    Attributes:
        values, bounds: Of each decision.
        labels: A number for what the decision was about, to see that it comes back.
        preempting: 1 where another choice than 0 is a preemption.
        preemptions: How many it has.
        deviations: How many choices other than 0.
    """

    values: array[int]
    bounds: array[int]
    labels: array[int]
    preempting: bytearray
    preemptions: int
    deviations: int


class _Branches:
    """Prefixes to try: an execution's decisions up to one of a kind, and another choice there.

    Args:
        executed: The execution.
        start: The first decision to be made differently.
        kind: 1 for the decisions where that is a preemption, 0 for the others, None for all.
    """

    __slots__ = ("executed", "kind", "position", "value")

    def __init__(self, executed: _Executed, start: int, kind: int | None) -> None:
        self.executed = executed
        self.kind = kind
        self.position = start - 1
        self._go_on()

    def _go_on(self) -> None:
        """Go to the next decision of the kind."""
        _, bounds, _, preempting, *_ = self.executed
        position, end, kind = self.position + 1, len(bounds), self.kind
        while position < end and (bounds[position] < 2 or (kind is not None and preempting[position] != kind)):
            position += 1
        self.position = position
        self.value = 1

    def __bool__(self) -> bool:
        """Whether any are left."""
        return self.position < len(self.executed.bounds)

    def take(self) -> array[int]:
        """The next prefix."""
        position = self.position
        prefix = self.executed.values[:position]
        prefix.append(self.value)
        self.value += 1
        if self.value >= self.executed.bounds[position]:
            self._go_on()
        return prefix


class DfsStrategy:
    """Enumerates all schedules, or all with at most so many preemptions.

    The program's own randomness is the same each time; a program that draws on it is not proved anything about.

    Args:
        max_preemptions: How often a task that could go on may be kept from it; None: any number of times.

    Raises:
        ValueError: A number below 0.

    Attributes:
        proof: The bound within which everything has been covered, once nothing is left, in words that follow "every
            interleaving"; None if something was left out.
        kept: How many decisions are kept for what is left.
        doubt: How a recorded prefix did not come back, if that was why the enumeration ended, or None.
    """

    keeps_seed = True

    def __init__(self, max_preemptions: int | None = None) -> None:
        if max_preemptions is not None and (
            isinstance(max_preemptions, bool) or not isinstance(max_preemptions, int) or max_preemptions < 0
        ):
            raise ValueError(f"max_preemptions must be a whole number from 0 up or None, not {max_preemptions!r}")
        self.name = "dfs" if max_preemptions is None else f"dfs:{max_preemptions}"
        self._limit = max_preemptions
        self.restart()

    def restart(self) -> None:
        """Begin anew: the program has come to have more decisions than it had."""
        self.proof: str | None = None
        self.doubt: str | None = None
        self._begun = False
        self._ended = True
        self._left_out = False
        # With a number that settles which of the same cost comes first.
        self._queue: list[tuple[int, int, int, _Branches]] = []
        self._queued = 0
        self.kept = 0
        self._source: _Executed | None = None
        self._prefix: array[int] = array("l")
        self._position = 0
        self._off = False
        self._preempting = bytearray()
        self._certain: set[int] = set()

    def begin(self, seed: int) -> bool:  # noqa: ARG002 - the protocol's
        """Take the next prefix to try; False when there is none."""
        # What an execution that nobody told of came to is not known.
        self._left_out = self._left_out or not self._ended
        if self._begun:
            if self.doubt is not None:
                return False
            if not self._queue:
                if not self._left_out:
                    self.proof = _bound(self._limit)
                return False
            self._take()
        self._begun = True
        self._ended = False
        self._position = 0
        self._off = False
        self._preempting = bytearray()
        self._certain = set()
        return True

    def _take(self) -> None:
        branches = self._queue[0][-1]
        self._source = branches.executed
        self._prefix = branches.take()
        if not branches:
            heapq.heappop(self._queue)
            self.kept -= len(branches.executed.bounds)

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Follow the prefix, then choose plainly."""
        if current is None:
            self._preempting.append(0)
            return self._next(len(ready))
        self._preempting.append(1)
        return self._next(len(ready) + 1)

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Follow the prefix, then choose plainly."""
        self._preempting.append(0)
        return self._next(bound)

    def weigh(self, label: str, probability: float, levels: int) -> int:
        """Try both, if it is not certain, and all levels."""
        if probability < 1:
            return self.draw(label, 1 + levels)
        self._certain.add(self._position)
        return 1 + self.draw(label, levels)

    def _next(self, bound: int) -> int:
        position = self._position
        self._position = position + 1
        if position < len(self._prefix) and not self._off:
            value = self._prefix[position]
            if value < bound:
                return value
            self._off = True
        return 0

    def end(self, outcome: Outcome) -> None:
        """Check that the prefix came back, and note what else can be done from there on."""
        self._ended = True
        if outcome.fair or outcome.chance or outcome.failed:
            # There were decisions that nobody asked for: other values of those do not come up.
            self._left_out = True
        values, bounds, labels = array("l"), array("l"), array("q")
        for position, (value, bound, task, op, _) in enumerate(outcome.tape[: self._position]):
            # What is certain to come has only levels to choose from.
            least = position in self._certain
            values.append(value - least)
            bounds.append(bound - least)
            labels.append(hash((task.number, op)))
        self.doubt = self._difference(bounds, labels)
        if self.doubt is None:
            self._branch(values, bounds, labels)

    def _branch(self, values: array[int], bounds: array[int], labels: array[int]) -> None:
        start, preempting = len(self._prefix), self._preempting
        preemptions = sum(1 for value, kind in zip(self._prefix, preempting, strict=False) if value and kind)
        deviations = sum(1 for value in self._prefix if value)
        executed = _Executed(values, bounds, labels, preempting, preemptions, deviations)
        if self._limit is None:
            self._put(_Branches(executed, start, None), 0, deviations + 1)
            return
        self._put(_Branches(executed, start, 0), preemptions, deviations + 1)
        if preemptions < self._limit:
            self._put(_Branches(executed, start, 1), preemptions + 1, deviations + 1)

    def _put(self, branches: _Branches, preemptions: int, deviations: int) -> None:
        if branches:
            self._queued += 1
            self.kept += len(branches.executed.bounds)
            heapq.heappush(self._queue, (preemptions, deviations, self._queued, branches))

    def _difference(self, bounds: array[int], labels: array[int]) -> str | None:
        """Say where the prefix did not come back."""
        source = self._source
        if source is None:
            return None
        length = len(self._prefix)
        if bounds[:length] == source.bounds[:length] and labels[:length] == source.labels[:length]:
            return None
        same = 0
        while same < min(length, len(bounds)) and (
            (bounds[same], labels[same]) == (source.bounds[same], source.labels[same])
        ):
            same += 1
        return (
            f"decision {same} of a schedule that began like an earlier one was not the same again: the program depends "
            "on something not simulated, or keeps state from one schedule to the next"
        )


def _bound(limit: int | None) -> str:
    """The limit in words."""
    if limit is None:
        return ""
    if limit == 0:
        return "without a preemption"
    return f"with at most {limit} preemption{'s' if limit > 1 else ''}"
