"""Gathers the timeline of an execution while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from routilux.abc import Instrument
from routilux_sim.execution import Execution
from routilux_sim.explanation import explain, headline_of
from routilux_sim.judge.happens_before import Clock, Clocks, join
from routilux_sim.judge.stacks import Place as RawPlace
from routilux_sim.judge.watch import Watched
from routilux_sim.kernel.core import Kernel, label_of
from routilux_sim.kernel.edges import Edges
from routilux_sim.kernel.task import BLOCKED, Task
from routilux_sim.kernel.trace import Trace, address
from routilux_sim.phrases import SUSPENDED, doing
from routilux_sim.story import TOLD, Event, Teller
from routilux_sim.timeline import Activity, Arrow, Choice, Graph, Hold, Lane, Link, Node, Run, Step, Timeline, Wait

if TYPE_CHECKING:
    from routilux.connection import Connection
    from routilux.engine.activation import Activation
    from routilux.flow import Flow
    from routilux.job_state import JobState

__all__ = ["Gatherer"]

_GOES_ON = "goes on after "
"""What the operation of a step begins with by which a task goes on that was suspended."""

_OUT_OF_TIME = "gives up "
"""The same, when nothing but the clock let it."""

_PAUSES = {
    "sleep": "wakes up",
    "stall": "goes on after a stall",
    "yield": "goes on",
    "select": "goes on in its event loop",
}
"""What a task does after a wait that ends by the clock as it should, by what it has waited in."""

_FINE = {"completed", "cancelled", "late", "retry"}
"""Outcomes of activations that are no errors of the routine's; retries are counted apart."""

_TURNS = {"acquire", "reacquire", "get", "put", "take"}
"""What takes effect when a wait for it ends."""


class Gatherer(Teller):
    """Notes all that a timeline holds; see `routilux_sim.story.Teller`.

    Steps are counted from the execution's first here, and from the timeline's first in what is made of it.

    Args:
        skip: So many steps at the beginning are not noted, only what they leave behind: waits and locks held. From
            there on it is as many as `routilux_sim.story.TOLD`.

    Attributes:
        count: How many steps there have been, noted or not.
        flows: To be given to the execution as an instrument.
    """

    def __init__(self, skip: int = 0) -> None:
        super().__init__()
        self.count = 0
        self._skip = skip
        self._decided = 0
        self._last_task = 0
        self._times: list[int] = []
        self._latest: dict[int, int] = {}
        self._lanes: dict[int, list[Any]] = {}
        self._asleep: dict[int, list[Any]] = {}
        self._barred: dict[int, list[Any]] = {}
        self._waits: list[list[Any]] = []
        self._holds: list[list[Any]] = []
        self._held: dict[tuple[int, int], list[list[Any]]] = {}
        self._arrows: _Arrows
        self.flows = _Flows(self)

    def attend(self, kernel: Kernel) -> None:
        """Listen to an execution that has not begun."""
        kernel.__class__ = _Gathered
        super().attend(kernel)
        made = self._kernel
        assert isinstance(made, _Gathered)  # noqa: S101 - just said so
        made.barred = self.barred
        made.went_on = self.went_on
        kernel.trace = _Turns(self._spawned, self._turn, self._ended)
        self._arrows = _Arrows(kernel, self, kernel.edges)
        kernel.edges = self._arrows

    @property
    def kernel(self) -> Kernel:
        """Of the execution."""
        return self._kernel

    @property
    def latest(self) -> int:
        """The number of the running task's latest step."""
        task = self._kernel.current
        return max(0, self.count - 1) if task is None else self._latest.get(task.number, 0)

    def number(self, obj: Any) -> int:
        """Tells an object from others."""
        return self._number(obj, sys._getframe(1))  # noqa: SLF001 - as the story does

    def step(self, task: Task, op: str, obj: Any, place: RawPlace | None) -> None:  # noqa: ARG002 - looked up here
        """Hear that a task does something now."""
        event = self._add(task, op, obj)
        if op.startswith(SUSPENDED):
            owner = getattr(obj, "owner", None)
            holder = owner.number if isinstance(owner, Task) else 0
            wait = [task.number, op.removeprefix(SUSPENDED), event, self.latest, None, self._kernel.now, None, True]
            wait.append(holder)
            if event is not None:
                self._waits.append(wait)
            self._asleep[task.number] = wait

    def resumed(self, task: Task, op: str, obj: Any) -> None:
        """Hear that a task goes on; `_turn` has been told of it already."""

    @property
    def is_told(self) -> bool:
        """Whether what comes of the running task's latest step is noted; of those after the last nothing is."""
        return self.latest < self._skip + TOLD

    def _add(self, task: Task, op: str, obj: Any) -> Event | None:
        """Count a step; None after the last one that is noted."""
        number = self.count
        self._latest[task.number] = number
        self._last_task = task.number
        lane = self._lane(task)
        if lane[1] is None:
            lane[1] = number
        event = None
        if number < self._skip + TOLD:
            event = self._event(task, op, obj, sys._getframe(2))  # noqa: SLF001 - likewise
            if number < self._skip:
                self._decided = event.decision
            else:
                self._times.append(self._kernel.now)
                self.story.events.append(event)
        self.count += 1
        return event

    def _lane(self, task: Task) -> list[Any]:
        return self._lanes.setdefault(task.number, [task.name, None, None])

    def _spawned(self, task: Task) -> None:
        self._lane(task)

    def _turn(self, op: str, obj: Any) -> None:
        """A task goes on: at its beginning, at a scheduling point (of which `step` hears), or after a wait."""
        task = self._kernel.current
        if task is None:
            return
        if op == "begin":
            self._add(task, op, None)
            return
        barred = self._barred.pop(task.number, None)
        if barred is not None:
            # `step` is about to hear of what it does now.
            barred[4], barred[6] = self.count, self._kernel.now
        wait = self._asleep.pop(task.number, None)
        if wait is None:
            return
        if not task.woken:
            # Of sleeping nobody would say that it failed.
            told = (_GOES_ON if wait[1] in _PAUSES else _OUT_OF_TIME) + wait[1]
        else:
            told = op if op in _TURNS else _GOES_ON + op
        self._add(task, told, obj)
        wait[4], wait[6], wait[7] = self.latest, self._kernel.now, task.woken

    def _ended(self, task: Task) -> None:
        self._add(task, "end", None)
        self._lane(task)[2] = self.latest

    def barred(self, task: Task, obj: Any) -> None:
        """Hear that a task, which was about to do something, cannot: another has just taken what it needs."""
        if task.number in self._asleep or not self.count or not self.is_told:
            return
        event = self._event(task, task.op, obj, sys._getframe(1))  # noqa: SLF001 - as the story does
        holder = 0 if self._kernel.current is None else self._kernel.current.number
        wait = [task.number, task.op, event, self.latest, None, self._kernel.now, None, True, holder]
        self._waits.append(wait)
        self._barred[task.number] = wait

    def went_on(self, op: str) -> None:
        """Hear that the current task goes on, which let others run first."""
        task = self._kernel.current
        if task is not None and self.count and self._last_task != task.number:
            self._add(task, _GOES_ON + op, None)

    def took(self, obj: Any) -> None:
        """Hear that the current task has taken a lock."""
        task = self._kernel.current
        # Who only waits until a lock is free has not taken it.
        if task is not None and obj.owner is task and self.is_told:
            number = self.number(obj)
            hold = [task.number, number, label_of(obj), self.latest, None, self._kernel.now, None]
            self._holds.append(hold)
            self._held.setdefault((task.number, number), []).append(hold)

    def gave(self, obj: Any) -> None:
        """Hear that the current task has given a lock back; any task may."""
        owner = obj.owner
        if owner is not None:
            held = self._held.get((owner.number, self.number(obj)))
            if held:
                hold = held.pop()
                hold[4], hold[6] = self.latest, self._kernel.now

    def timeline(self, execution: Execution, program: str) -> Timeline:
        """What has been gathered, once the execution is over."""
        story, events = self.story, self.story.events
        steps = tuple(_step(self, event, at) for event, at in zip(events, self._times, strict=True))
        waits = tuple(
            Wait(task, op, event.obj, story.called(event), *span, *others)
            for (task, op, event, first, last, *others) in self._waits
            if (span := self._span(first, last)) is not None
        )
        holds = tuple(
            Hold(task, obj, story.names.get(obj, label), *span, *others)
            for task, obj, label, first, last, *others in self._holds
            if (span := self._span(first, last)) is not None
        )
        activities = tuple(
            Activity(task, name, *span, *others)
            for task, name, first, last, *others in self.flows.activities
            if (span := self._span(first, last)) is not None
        )
        runs = []
        for task, same in groupby(range(len(events)), key=lambda index: events[index].task):
            indices = list(same)
            runs.append(Run(task, indices[0], indices[-1]))
        return Timeline(
            program=program,
            seed=execution.seed,
            strategy=execution.schedule.strategy,
            verdict=str(execution.verdict),
            headline=headline_of(execution),
            report=explain(execution),
            elapsed_ns=execution.elapsed_ns,
            lanes=tuple(
                Lane(task, name, *(self._span(first or 0, last) or (None, None)))
                for task, (name, first, last) in sorted(self._lanes.items())
            ),
            steps=steps,
            runs=tuple(runs),
            waits=waits,
            holds=holds,
            activities=activities,
            arrows=tuple(
                Arrow(edge, one - self._skip, two - self._skip, story.names.get(obj, label))
                for edge, one, two, obj, label in self._arrows.drawn
                if one >= self._skip
            ),
            choices=_choices(execution, events, self._decided),
            failing=self._failing(execution),
            graphs=self.flows.graphs(),
            skipped=min(self._skip, self.count),
            left=max(0, self.count - self._skip - len(steps)),
        )

    def _span(self, first: int, last: int | None) -> tuple[int, int | None] | None:
        """From where to where in the timeline; None if that is before its beginning or after its end."""
        ends = len(self._times)
        first -= self._skip
        if first >= ends or (last is not None and last < self._skip):
            return None
        return max(first, -1), None if last is None else min(last - self._skip, ends)

    @property
    def _is_to_the_end(self) -> bool:
        return self.count <= self._skip + TOLD

    def _failing(self, execution: Execution) -> int | None:
        """The failed task's last step; the last of all if nobody in particular failed."""
        if execution.error is None or not self._times or not self._is_to_the_end:
            return None
        events = self.story.events
        for index in range(len(events) - 1, -1, -1):
            if events[index].name == execution.failed_task:
                return index
        return len(events) - 1


def _step(gatherer: Gatherer, event: Event, at: int) -> Step:
    story, place = gatherer.story, event.place
    called = story.called(event)
    return Step(
        t_ns=at,
        task=event.task,
        op=event.op,
        obj=event.obj,
        called=called,
        text=_words(gatherer, event, called),
        filename="" if place is None else place.filename,
        line=0 if place is None else place.line,
        function="" if place is None else place.function,
        source="" if place is None else place.source,
        is_own=event.is_own or (place is None and event.op in {"begin", "end", "exit"}),
        decisions=event.decision,
    )


def _words(gatherer: Gatherer, event: Event, called: str) -> str:
    op = event.op
    if op.startswith(_GOES_ON):
        return _PAUSES.get(op.removeprefix(_GOES_ON), f"{op} {called}".rstrip())
    if op.startswith(_OUT_OF_TIME):
        return f"gives up waiting to {op.removeprefix(_OUT_OF_TIME)} {called}".rstrip() + ": its time is up"
    return doing(gatherer.story, event)


def _choices(execution: Execution, events: list[Event], decided: int) -> tuple[Choice, ...]:
    found = []
    step = 0
    for index, made in enumerate(execution.schedule):
        while step < len(events) and events[step].decision <= index:
            step += 1
        at = -1 if index < decided else step
        found.append(Choice(at, made.label, made.value, made.bound, made.enabled, bool(made.value) and made.is_open))
    return tuple(found)


class _Gathered(Watched):
    """A kernel that tells also who has to wait for what another one has taken before its eyes, and who goes on."""

    barred: Callable[[Task, Any], None]
    went_on: Callable[[str], None]

    def give_way(self, op: str) -> None:
        """Let others run first."""
        super().give_way(op)
        if not self.ending:
            self.went_on(op)

    def disable(self, task: Task, obj: Any) -> None:
        """Take back a wake, or a turn."""
        super().disable(task, obj)
        if task.state is BLOCKED and not self.ending:
            self.barred(task, obj)


class _Turns(Trace):
    """A trace that keeps nothing, but tells when a task is made, goes on and ends."""

    __slots__ = ("_end", "_spawn", "_turn")

    def __init__(
        self, spawn: Callable[[Task], None], turn: Callable[[str, Any], None], end: Callable[[Task], None]
    ) -> None:
        super().__init__()
        self._spawn = spawn
        self._turn = turn
        self._end = end

    def add(self, task: int, op: str, obj: Any, decision: int) -> None:  # noqa: ARG002 - as traces do
        """A task goes on with an operation."""
        self._turn(op, obj)

    def touch(self, task: int, op: str, obj: Any) -> None:  # noqa: ARG002 - likewise
        """Something else happens."""
        if op == "spawn":
            self._spawn(obj)
        elif op == "end":
            self._end(obj)


class _Arrows(Clocks):
    """Notes what orders steps of different tasks.

    Args:
        kernel: Runs the execution.
        gatherer: Knows the steps and is told of locks.
        other: Whoever wants to be told as well.

    Attributes:
        drawn: Those that do not follow from others: edge, releasing step, acquiring step, object and its label.
    """

    def __init__(self, kernel: Kernel, gatherer: Gatherer, other: Edges | None) -> None:
        super().__init__(kernel)
        self._gatherer = gatherer
        self._other = other
        self.drawn: list[tuple[str, int, int, int, str]] = []
        # For each task, the latest step of each other one that it knows of.
        self._known_of: dict[int, Clock] = {}
        # For each object, with the object: by task the latest step that released it, and what that task knew.
        self._freed: dict[tuple[int, int], tuple[Any, dict[int, tuple[int, Clock]]]] = {}

    def release(self, edge: str, obj: Any) -> None:
        """See `Edges`."""
        if edge == "lock":
            self._gatherer.gave(obj)
        self._release((address(obj), 0), obj)
        super().release(edge, obj)
        if self._other is not None:
            self._other.release(edge, obj)

    def acquire(self, edge: str, obj: Any) -> None:
        """See `Edges`."""
        if edge == "lock":
            self._gatherer.took(obj)
        self._acquire(edge, (address(obj), 0), obj)
        super().acquire(edge, obj)
        if self._other is not None:
            self._other.acquire(edge, obj)

    def send(self, edge: str, obj: Any, item: Any) -> None:
        """See `Edges`."""
        self._release((address(obj), address(item)), (obj, item))
        super().send(edge, obj, item)
        if self._other is not None:
            self._other.send(edge, obj, item)

    def receive(self, edge: str, obj: Any, item: Any) -> None:
        """See `Edges`."""
        self._acquire(edge, (address(obj), address(item)), obj)
        super().receive(edge, obj, item)
        if self._other is not None:
            self._other.receive(edge, obj, item)

    def _release(self, key: tuple[int, int], kept: Any) -> None:
        task = self._gatherer.kernel.current
        if task is not None:
            known = {**self._known_of.get(task.number, {}), task.number: self._gatherer.latest}
            self._freed.setdefault(key, (kept, {}))[1][task.number] = self._gatherer.latest, known

    def _acquire(self, edge: str, key: tuple[int, int], obj: Any) -> None:
        task = self._gatherer.kernel.current
        released = self._freed.get(key)
        if task is None or released is None or not self._gatherer.is_told:
            return
        seen = self._known_of.setdefault(task.number, {})
        for number, (step, known) in sorted(released[1].items(), key=lambda one: -one[1][0]):
            if number != task.number and seen.get(number, -1) < step:
                called = "" if isinstance(obj, Task) else label_of(obj)
                self.drawn.append((edge, step, self._gatherer.latest, self._gatherer.number(obj), called))
                join(seen, known)


class _Flows(Instrument):
    """Hears what flows do.

    Attributes:
        activities: As in `Activity`.
    """

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self.activities: list[list[Any]] = []
        self._running: dict[tuple[str, int], list[Any]] = {}
        self._of_flow: list[Flow | None] = []
        # By job: several flows may have one name.
        self._flows: dict[str, Flow] = {}
        # By flow's address, and emitting routine, event, receiving routine and slot.
        self._sent: dict[tuple[int, str, str, str, str], int] = {}
        self._retries: dict[tuple[int, str], int] = {}

    def emit(self, job: JobState, routine_id: str, event: str, data: dict[str, Any], targets: int) -> None:  # noqa: ARG002 - an instrument's
        """Count it, for each connection that there is now."""
        flow = self._flows.get(job.job_id)
        for each in () if flow is None else flow.connections:
            if (each.source_id, each.event) == (routine_id, event):
                key = id(flow), *_ends(each)
                self._sent[key] = self._sent.get(key, 0) + 1

    def activation_queue(self, activation: Activation) -> None:
        """Note which flow it is of."""
        flow = activation.account.flow
        if flow is not None:
            self._flows[activation.job.job_id] = flow

    def activation_start(self, activation: Activation) -> None:
        """Begin an activity."""
        kernel = self._gatherer.kernel
        task = kernel.current
        name = f"{activation.routine_id}.{activation.slot}"
        row = [task.number if task else 0, name, self._gatherer.latest, None, kernel.now, None, None]
        self._of_flow.append(self._flows.get(activation.job.job_id))
        self.activities.append(row)
        self._running[activation.job.job_id, activation.number] = row

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:  # noqa: ARG002 - likewise
        """End it."""
        self._end(activation, status)

    def activation_retry(self, activation: Activation, error: BaseException, delay: float) -> None:  # noqa: ARG002 - likewise
        """End it, for now."""
        key = id(self._flows.get(activation.job.job_id)), activation.routine_id
        self._retries[key] = self._retries.get(key, 0) + 1
        self._end(activation, "retry")

    def _end(self, activation: Activation, status: str) -> None:
        row = self._running.pop((activation.job.job_id, activation.number), None)
        if row is not None:
            row[3], row[5], row[6] = self._gatherer.latest, self._gatherer.kernel.now, status

    def graphs(self) -> tuple[Graph, ...]:
        """The flows that had something to do."""
        return tuple(self._graph(flow) for flow in {id(flow): flow for flow in self._flows.values()}.values())

    def _graph(self, flow: Flow) -> Graph:
        nodes = []
        for routine in flow.routines:
            rows = [
                row
                for row, its in zip(self.activities, self._of_flow, strict=True)
                if its is flow and row[1].rpartition(".")[0] == routine
            ]
            took = [row[5] - row[4] for row in rows if row[5] is not None]
            bad = sum(row[6] is not None and row[6] not in _FINE for row in rows)
            retries = self._retries.get((id(flow), routine), 0)
            nodes.append(Node(routine, len(rows), bad, retries, sum(took), max(took, default=0)))
        links = [Link(*_ends(each), self._sent.get((id(flow), *_ends(each)), 0)) for each in flow.connections]
        return Graph(flow.flow_id, tuple(nodes), tuple(links))


def _ends(connection: Connection) -> tuple[str, str, str, str]:
    return connection.source_id, connection.event, connection.target_id, connection.slot
