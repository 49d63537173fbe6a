"""Dynamic partial order reduction: one schedule of all that differ only in the order of independent steps.

Executions are enumerated depth first. Each is looked through for pairs of steps that could have come the other way
round (`routilux_sim.strategy.reversals`), and only for those other choices are tried. *Source sets* keep the choices
few (Abdulla, Aronis, Jonsson and Sagonas, "Source sets: a foundation for optimal dynamic partial order reduction",
2017), *sleep sets* (Godefroid, 1996) keep what has been tried from being tried again in another order, and a choice
that is tried is followed by the very steps that reverse the pair. A draw is a choice of data: all its values are tried.

Steps are independent when they do nothing to an object in common, as far as the trace tells. So what a task does
between two scheduling points is taken to concern nobody else, and that is so only where accesses to shared memory are
such points; the proof says so. The program's own randomness is the same in every execution; of a program that draws on
it nothing is proved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from routilux_sim.kernel.active import active
from routilux_sim.kernel.trace import address
from routilux_sim.strategy.reversals import Footprint, Reversal, Steps, conflict, steps_of

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task
    from routilux_sim.kernel.trace import Trace
    from routilux_sim.strategy._protocol import Outcome

__all__ = ["DporStrategy"]

DIVERGED = "the same decisions did not lead to the same choice again: the program is not deterministic"


class _Node:
    """A decision of the execution that is being varied.

    Attributes:
        tasks: The candidates, in the order of the choices; empty for a draw.
        bound: How many choices there are.
        value: The choice that is being explored.
        sleep: Tasks that need not be chosen, with what they would do: that has been covered elsewhere.
        done: Tasks that have been chosen, with what they did.
        wanted: Tasks that are to be chosen, with the tasks that are to take steps from there on.
        offset: The number of events before it.
        spent: Whether nothing new can come of it.
    """

    __slots__ = ("bound", "done", "offset", "sleep", "spent", "tasks", "value", "wanted")

    def __init__(self, tasks: tuple[int, ...], bound: int, sleep: dict[int, Footprint], offset: int) -> None:
        self.tasks = tasks
        self.bound = bound
        self.value = 0
        self.sleep = sleep
        self.done: dict[int, Footprint] = {}
        self.wanted: dict[int, tuple[int, ...]] = {}
        self.offset = offset
        self.spent = False

    @property
    def chosen(self) -> int:
        """The task that is being explored."""
        return self.tasks[self.value]

    def want(self, task: int, path: tuple[int, ...]) -> None:
        """Ask for a task, unless it has been or need not be chosen."""
        if task not in self.done and task != self.chosen and task not in self.sleep:
            self.wanted.setdefault(task, path)


class DporStrategy:
    """Enumerates one schedule of each class of equivalent ones.

    Attributes:
        proof: Once nothing is left: "", there is no bound. None if something was left out.
        doubt: What showed that the program cannot be enumerated, or None.
        redundant: How many executions turned out, on the way, to be equivalent to earlier ones.
    """

    name = "dpor"
    needs_trace = True
    keeps_seed = True
    reduces = True

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew: the program has come to have more scheduling points than it had."""
        self.proof: str | None = None
        self.doubt: str | None = None
        self.redundant = 0
        self._nodes: list[_Node] = []
        self._begun = False
        self._ended = True
        self._left_out = False
        self._prepare(0)

    def _prepare(self, same: int) -> None:
        # How many decisions are made as before; those before the last one of them have been looked through.
        self._same = same
        self._position = 0
        self._guide: list[int] = list(self._path) if same else []
        # From which decision on the execution is equivalent to an earlier one.
        self._spent: int | None = None

    _path: tuple[int, ...] = ()

    def begin(self, seed: int) -> bool:  # noqa: ARG002 - the protocol's
        """Go back to the last decision that is to be made otherwise; False when there is none."""
        # What an execution that nobody told of came to is not known.
        self._left_out = self._left_out or not self._ended
        if self.doubt is not None:
            return False
        if self._begun and not self._backtrack():
            if not self._left_out:
                self.proof = ""
            return False
        self._begun = True
        self._ended = False
        self._prepare(len(self._nodes))
        return True

    def _backtrack(self) -> bool:
        nodes = self._nodes
        while nodes:
            node = nodes[-1]
            if not node.tasks and node.value + 1 < node.bound:
                node.value += 1
                self._path = ()
                return True
            if node.wanted:
                task = next(iter(node.wanted))
                self._path = node.wanted.pop(task)
                node.value = node.tasks.index(task)
                return True
            nodes.pop()
        return False

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Follow the execution that is being varied to its last decision; then what reverses the pair; then FIFO."""
        tasks = tuple(task.number for task in (ready if current is None else (current, *ready)))
        trace = _trace()
        offset = 0 if trace is None else len(trace)
        position = self._position
        self._position += 1
        if position < self._same:
            node = self._nodes[position]
            if node.tasks != tasks:
                self._diverge()
            node.offset = offset
            return node.value if node.value < len(tasks) else 0
        if self.doubt is not None or trace is None:
            return 0
        node = _Node(tasks, len(tasks), self._asleep(trace), offset)
        self._nodes.append(node)
        node.value = self._choose(node)
        return node.value

    def weigh(self, label: str, probability: float, levels: int) -> int:
        """Try both, if it is not certain, and all levels."""
        return 1 + self.draw(label, levels) if probability >= 1 else self.draw(label, 1 + levels)

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        """Follow the execution that is being varied; then the plain choice."""
        position = self._position
        self._position += 1
        if position < self._same:
            node = self._nodes[position]
            if node.tasks or node.bound != bound:
                self._diverge()
                return 0
            return node.value
        if self.doubt is None:
            self._nodes.append(_Node((), bound, {}, 0))
        return 0

    def _diverge(self) -> None:
        self.doubt = DIVERGED

    def _asleep(self, trace: Trace) -> dict[int, Footprint]:
        """The tasks that need not be chosen now; advances the guide by what has been done since the last decision."""
        last = next((node for node in reversed(self._nodes) if node.tasks), None)
        steps = steps_of(list(trace.since(0 if last is None else last.offset)))
        for task, _ in steps:
            if self._guide and self._guide[0] == task:
                self._guide.pop(0)
        if last is None:
            return {}
        sleep = {**last.sleep, **{task: done for task, done in last.done.items() if task != last.chosen}}
        for task, done in steps:
            if not sleep:
                break
            if task in sleep and self._spent is None:
                self._spent = len(self._nodes) - 1
            sleep = {other: what for other, what in sleep.items() if other != task and not conflict(what, done)}
        return sleep

    def _choose(self, node: _Node) -> int:
        guide = self._guide
        if guide and guide[0] in node.tasks and guide[0] not in node.sleep:
            return node.tasks.index(guide[0])
        for value, task in enumerate(node.tasks):
            if task not in node.sleep:
                return value
        if self._spent is None:
            self._spent = len(self._nodes) - 1
        return 0

    def end(self, outcome: Outcome) -> None:
        """Look through an execution for what is to be tried otherwise."""
        self._ended = True
        if outcome.fair or outcome.chance or outcome.failed or outcome.trace is None:
            # What happens after a failure, under another scheduler, or with other random numbers, has not been seen.
            self._left_out = True
        if self.doubt is not None or outcome.trace is None:
            return
        if self._position < self._same or len(outcome.tape) < len(self._nodes):
            self._diverge()
            return
        # What is drawn while tasks are unwound is no part of the program.
        del self._nodes[len(outcome.tape) :]
        start = self._first_new()
        self._note(outcome.trace, start)
        if self._spent is not None:
            self.redundant += 1
        steps = Steps(outcome.trace)
        for reversal in steps.reversals(start + 1, self._spent):
            if reversal.decision < len(self._nodes):
                self._want(reversal)
        cut_off = steps.cut_off()
        if cut_off is not None and self._spent is None and cut_off < len(self._nodes):
            # The program's end has kept others from what they were about to do.
            for task in self._nodes[cut_off].tasks:
                self._nodes[cut_off].want(task, ())

    def _first_new(self) -> int:
        """The first decision after which something may have been done that was not done last time.

        When the last one that is new is a draw, that is the choice of the task that has drawn.
        """
        place = max(0, self._same - 1)
        while place and not self._nodes[place].tasks:
            place -= 1
        return place

    def _note(self, trace: Trace, start: int) -> None:
        """Note what each chosen task has done."""
        events = list(trace)
        known: set[int] = set()
        place = 0
        for node in self._nodes[start:]:
            if node.tasks:
                known.update(address(event[2]) for event in events[place : node.offset])
                place = node.offset
                end = place + 1
                while end < len(events) and not events[end][4]:
                    end += 1
                _, done = steps_of(events[place:end], known)[0]
                node.done[node.chosen] = node.done.get(node.chosen, frozenset()) | done

    def _want(self, reversal: Reversal) -> None:
        node = self._nodes[reversal.decision]
        if not node.tasks:
            return
        initials = reversal.initials
        if any(task in node.done or task in node.sleep or task in node.wanted for task in initials):
            return
        enabled = [task for task in initials if task in node.tasks]
        if not enabled:
            for task in node.tasks:
                node.want(task, ())
            return
        # Rather the task whose step is to come first in the end: it needs the fewest others.
        task = enabled[0]
        node.want(task, _from(reversal.path, task))


def _from(path: tuple[int, ...], task: int) -> tuple[int, ...]:
    """A path with the first step of ``task`` put at its beginning."""
    if task not in path:
        return ()
    first = path.index(task)
    return (task, *path[:first], *path[first + 1 :])


def _trace() -> Trace | None:
    kernel = active()
    return None if kernel is None else kernel.trace
