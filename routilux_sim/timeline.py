"""A picture's data: what each task of an execution did, waited for and held, when, and what ordered it.

Plain data with no live object in it; `routilux_sim.gathering` makes it of an execution, and reports, trace files and
the terminal are views of it. Steps are counted from 0, in the order in which they took effect, and -1 stands for all
before the first that is there; times are virtual nanoseconds since the beginning of the execution.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

__all__ = [
    "Activity",
    "Arrow",
    "Choice",
    "Graph",
    "Hold",
    "Lane",
    "Link",
    "Node",
    "Run",
    "Step",
    "Timeline",
    "Wait",
    "parting",
]


class Lane(NamedTuple):
    """A task.

    Attributes:
        task: Its number; tasks are counted from 1 as they are made.
        name: It may be another task's as well.
        first: Its first step; None if it never ran.
        last: The step with which it ended; None if it did not.
    """

    task: int
    name: str
    first: int | None
    last: int | None


class Step(NamedTuple):
    """Something that takes effect.

    Attributes:
        t_ns: When.
        task: Whose, by number.
        op: What is done, as labels call it.
        obj: Tells the objects of an execution apart; 0: it is about none.
        called: What that object is called.
        text: What is done, in words that continue the task's name.
        filename: Where in the program; empty if nothing of the program's called it. So are the next three.
        line: In that file; 0 if there is none.
        function: Its qualified name.
        source: The text of the line.
        is_own: Whether the program itself does it, and not the flow engine or a library that it has called.
        decisions: How many decisions had been made.
    """

    t_ns: int
    task: int
    op: str
    obj: int
    called: str
    text: str
    filename: str
    line: int
    function: str
    source: str
    is_own: bool
    decisions: int

    @property
    def where(self) -> str:
        """File without its folder, and line: ``bank.py:12``; empty if there is none."""
        return f"{self.filename.replace(chr(92), '/').rpartition('/')[2]}:{self.line}" if self.filename else ""


class Run(NamedTuple):
    """Steps of one task with no other task's in between, from ``first`` to ``last``."""

    task: int
    first: int
    last: int


class Wait(NamedTuple):
    """A task is suspended.

    Attributes:
        task: Which.
        op: What it waits in.
        obj: What must change for it to go on; 0: nothing but the clock.
        called: What that is called.
        first: The step by which it stops: its own, or that of another task that takes what it was about to have.
        last: The one by which it goes on; None if it never does.
        first_ns: When it stops.
        last_ns: When it goes on; None likewise.
        in_time: Whether somebody lets it go on, and not the clock.
        holder: Who has the object when the wait begins, where somebody has; else 0.
    """

    task: int
    op: str
    obj: int
    called: str
    first: int
    last: int | None
    first_ns: int
    last_ns: int | None
    in_time: bool
    holder: int


class Hold(NamedTuple):
    """A task has a lock, from one step to another (None: to the end)."""

    task: int
    obj: int
    called: str
    first: int
    last: int | None
    first_ns: int
    last_ns: int | None


class Activity(NamedTuple):
    """A flow's handler runs: ``name`` is ``routine.slot``, ``status`` the outcome; None: it never ended."""

    task: int
    name: str
    first: int
    last: int | None
    first_ns: int
    last_ns: int | None
    status: str | None


class Arrow(NamedTuple):
    """What was done up to one step happened before what is done from another on.

    Those that follow from others are left out.

    Attributes:
        edge: Why, by its name in `routilux_sim.judge.happens_before.EDGES`.
        source: The step that releases.
        target: The step that acquires; another task's.
        called: The object by which they synchronize.
    """

    edge: str
    source: int
    target: int
    called: str


class Choice(NamedTuple):
    """A decision.

    Attributes:
        step: The first step after it; the number of steps if there is none, -1 if that is before the first one there.
        label: What was about to be done.
        value: What was chosen; 0 is the plain choice.
        bound: Out of how many.
        names: The tasks that could run, in the order of the choices; empty if it was no choice among tasks.
        preempts: Whether it takes the turn from a task that could go on.
    """

    step: int
    label: str
    value: int
    bound: int
    names: tuple[str, ...]
    preempts: bool


class Node(NamedTuple):
    """A routine of a flow: how often it ran, failed, was tried again, and for how many virtual nanoseconds."""

    name: str
    runs: int
    errors: int
    retries: int
    total_ns: int
    longest_ns: int


class Link(NamedTuple):
    """A connection of a flow, and how many events went along it."""

    source: str
    event: str
    target: str
    slot: str
    sent: int


class Graph(NamedTuple):
    """A flow."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


class Timeline(NamedTuple):
    """An execution.

    Attributes:
        program: What ran.
        seed: Under which seed.
        strategy: What made the decisions.
        verdict: ``passed``, ``failed`` or ``inconclusive``.
        headline: What came of it, in one line.
        report: What is known of it, in several.
        elapsed_ns: How long it took.
        lanes: Its tasks.
        steps: What they did.
        runs: Who ran when.
        waits: Who waited when.
        holds: Who had which lock when.
        activities: Which handlers ran when.
        arrows: What ordered the steps of different tasks.
        choices: The decisions.
        failing: The step at which it failed; None if it did not, or that step is not there.
        graphs: The flows that ran.
        skipped: How many steps before the first are not there.
        left: How many after the last are not.
    """

    program: str
    seed: int
    strategy: str
    verdict: str
    headline: str
    report: str
    elapsed_ns: int
    lanes: tuple[Lane, ...]
    steps: tuple[Step, ...]
    runs: tuple[Run, ...]
    waits: tuple[Wait, ...]
    holds: tuple[Hold, ...]
    activities: tuple[Activity, ...]
    arrows: tuple[Arrow, ...]
    choices: tuple[Choice, ...]
    failing: int | None
    graphs: tuple[Graph, ...]
    skipped: int
    left: int

    @property
    def is_whole(self) -> bool:
        """Whether all steps are there."""
        return not self.skipped and not self.left

    @property
    def total(self) -> int:
        """How many steps there were."""
        return self.skipped + len(self.steps) + self.left

    def number(self, step: int) -> int:
        """A step's number in the whole execution."""
        return self.skipped + step

    def extent(self) -> str:
        """Which steps are there, in words."""
        if self.is_whole:
            return f"{len(self.steps)} steps"
        last = self.number(len(self.steps) - 1)
        return f"steps {self.skipped} to {last} of {self.total}"

    def names(self) -> dict[int, str]:
        """The tasks' names by their numbers; of several with the same one, with the number."""
        times = Counter(lane.name for lane in self.lanes)
        return {lane.task: lane.name if times[lane.name] == 1 else f"{lane.name} #{lane.task}" for lane in self.lanes}

    def name_of(self, task: int) -> str:
        """One of the `names`."""
        return self.names().get(task, f"task {task}")

    def held_at(self, step: int) -> list[Hold]:
        """The locks that some task has just after a step."""
        return [hold for hold in self.holds if hold.first <= step and (hold.last is None or step < hold.last)]

    def waiting_at(self, step: int) -> list[Wait]:
        """Who is suspended just after a step."""
        return [wait for wait in self.waits if wait.first <= step and (wait.last is None or step < wait.last)]


def parting(one: Timeline, other: Timeline) -> int | None:
    """The index of the first decision that differs between two executions; None if all are the same."""
    for index, (left, right) in enumerate(zip(one.choices, other.choices, strict=False)):
        if (left.label, left.value, left.bound) != (right.label, right.value, right.bound):
            return index
    shorter = min(len(one.choices), len(other.choices))
    return None if len(one.choices) == len(other.choices) else shorter
