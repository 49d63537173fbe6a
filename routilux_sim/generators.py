"""Generators for property tests with Hypothesis (which calls them strategies): schedules, flows, workloads and faults.

They are plain data, which Hypothesis draws, shrinks, remembers and prints as it does everything else. A schedule is
drawn as the decisions that deviate from the plain choice: Hypothesis leaves as few of them as it can.

    @given(schedule=schedules())
    def test_transfers(schedule):
        simulate(program, strategy=schedule).result()

A test marked ``sim`` is simulated already, so there is no room for another simulation in it: leave out the marker.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from routilux import Flow, JobState, Routine
from routilux_sim.faults import FaultPlan
from routilux_sim.faults.plan import STORE_OPERATIONS
from routilux_sim.kernel.labels import describe

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:  # pragma: no cover - there is nothing to test it in
    raise ModuleNotFoundError("routilux_sim.generators needs Hypothesis: pip install hypothesis") from error

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = [
    "FlowGraph",
    "GivenSchedule",
    "Node",
    "Step",
    "Submission",
    "Workload",
    "fault_plans",
    "flow_graphs",
    "schedules",
    "workloads",
]

FEW = 2
"""Numbers in the shortest of the stretches from which they are drawn; each of the others is twice as long."""

CHOICES = 8
"""Values of a deviation; they are counted round where there are fewer candidates."""


class GivenSchedule:
    """A `Strategy` that makes the plain choice, but for some decisions.

    ``str()`` says after an execution what they were about, for Hypothesis's ``note()``.

    Args:
        deviations: For the n-th decision (from 0) at which a certain task would go on, as ``(task, n)``, which of the
            others runs instead: from 1, and modulo how many there are. Tasks are numbered in the order in which they
            are made, from 0: that is the program's own.
        draws: The same for the n-th number that is drawn for something else than who runs.

    Raises:
        ValueError: A task or decision below 0, or a choice below 1.
    """

    name = "given"
    divisible = True

    def __init__(self, deviations: Mapping[tuple[int, int], int], draws: Mapping[int, int] | None = None) -> None:
        self.deviations = dict(sorted(deviations.items()))
        self.draws = dict(sorted(({} if draws is None else draws).items()))
        for place, value in [*self.deviations.items(), *self.draws.items()]:
            if value < 1 or min(place if isinstance(place, tuple) else (place,)) < 0:
                raise ValueError(f"a deviation has numbers from 0 up and a choice from 1 up, not {place!r}: {value!r}")
        self.begin(0)

    def begin(self, seed: int) -> bool:  # noqa: ARG002 - all is given
        """Begin anew: each execution goes by the same decisions."""
        self._passed: dict[int, int] = {}
        self._drawn = 0
        self._made = 0
        self._told: list[str] = []
        return True

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        """Let the plain task run, or another one where it is given."""
        plain = ready[0] if current is None else current
        task = plain.number - 1
        number = self._passed.get(task, 0)
        self._passed[task] = number + 1
        value = self.deviations.get((task, number))
        self._made += 1
        if value is None:
            return 0
        others = ready[1:] if current is None else ready
        choice = 1 + (value - 1) % len(others)
        other = others[choice - 1]
        self._told.append(f"{other.name!r} runs instead of {plain.name!r}, which is to {describe(plain)}")
        return choice

    def draw(self, label: str, bound: int) -> int:
        """Give the plain number, or another one where it is given."""
        value = self.draws.get(self._drawn)
        self._drawn += 1
        self._made += 1
        if value is None:
            return 0
        choice = 1 + (value - 1) % (bound - 1)
        self._told.append(f"{label} is {choice}, of {bound} choices")
        return choice

    def weigh(self, label: str, probability: float, levels: int) -> int:
        """Let a fault come where it is given, or is certain."""
        choice = self.draw(label, 1 + levels)
        return choice or int(probability >= 1)

    def __str__(self) -> str:
        if not self._told:
            return f"the plain choice at each of {self._made} decisions"
        return f"the plain choice at {self._made} decisions, except: {'; '.join(self._told)}"

    def __repr__(self) -> str:
        draws = f", {self.draws!r}" if self.draws else ""
        return f"{type(self).__name__}({self.deviations!r}{draws})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GivenSchedule):
            return NotImplemented
        return (self.deviations, self.draws) == (other.deviations, other.draws)

    def __hash__(self) -> int:
        return hash((tuple(self.deviations.items()), tuple(self.draws.items())))


def schedules(*, tasks: int = 16, decisions: int = 500, draws: int = 50) -> st.SearchStrategy[GivenSchedule]:
    """Generate schedules, to be given to `simulate` or `explore` as their ``strategy``; they shrink to FIFO.

    Small numbers are more likely than large ones: most programs are small.

    Args:
        tasks: Only so many of them, the first ones, are kept from going on when it is their turn.
        decisions: Only at so many of the decisions about each of them.
        draws: Only so many of the numbers that are drawn for something else are not the plain one.

    Raises:
        ValueError: One of them is not a whole number: from 1 up, or from 0 up for ``draws``.
    """
    _check_counts(1, tasks=tasks, decisions=decisions)
    _check_counts(0, draws=draws)
    choices = st.integers(1, CHOICES - 1)
    deviations = st.dictionaries(st.tuples(_below(tasks), _below(decisions)), choices, max_size=50)
    numbers = st.dictionaries(_below(draws), choices, max_size=10) if draws else st.just({})
    return st.builds(GivenSchedule, deviations, numbers)


def _check_counts(least: int, **counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number from {least} up, not {value!r}")


def _check_seconds(**seconds: float) -> None:
    for name, value in seconds.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be a finite number of seconds from 0 up, not {value!r}")


def _below(end: int) -> st.SearchStrategy[int]:
    """Whole numbers, as likely from a short stretch as from a long one."""
    ends = [FEW]
    while ends[-1] < end:
        ends.append(2 * ends[-1])
    return st.one_of([st.integers(0, min(each, end) - 1) for each in ends])


class Step(Routine):
    """What drawn flows consist of, unless other routines are given: it naps, and emits so many events.

    A subclass puts what is to be tested in `work`, and calls ``super().work(token)`` to have the events emitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.define_event("out", ["token"])

    def work(self, token: str) -> None:
        """Handle one delivery; ``token`` says by which way it came, and no two in a job are alike."""
        nap = self.get_config("nap", 0.0)
        if nap:
            time.sleep(nap)
        for number in range(self.get_config("emits", 0)):
            self.emit("out", token=f"{token}.{number}")


@dataclass(frozen=True)
class Node:
    """A routine of a `FlowGraph`.

    Attributes:
        emits: How many events it emits for each that it gets.
        nap: Seconds that it sleeps before.
    """

    emits: int = 0
    nap: float = 0.0


@dataclass(frozen=True)
class FlowGraph:
    """A flow without cycles: ``nodes[n]`` becomes the routine ``"r<n>"``.

    Attributes:
        nodes: The routines.
        connections: Pairs of numbers: the first one's events go to the second, which is the greater.
        workers: How many activations run at a time; 1 makes the flow sequential.
    """

    nodes: tuple[Node, ...]
    connections: tuple[tuple[int, int], ...] = ()
    workers: int = 2

    def make_flow(self, step: Callable[[], Routine] = Step, **options: Any) -> Flow:
        """Make a flow of it.

        Args:
            step: Makes each routine; it has a slot ``trigger`` and an event ``out`` that carry ``token``, and reads
                ``emits`` and ``nap`` from its configuration.
            options: For `Flow`.
        """
        strategy = "sequential" if self.workers == 1 else "concurrent"
        flow = Flow(**{"execution_strategy": strategy, "max_workers": self.workers, **options})
        for number, node in enumerate(self.nodes):
            routine = step()
            routine.set_config(emits=node.emits, nap=node.nap)
            flow.add_routine(routine, f"r{number}")
        for source, target in self.connections:
            flow.connect(f"r{source}", "out", f"r{target}", "trigger")
        return flow

    def deliveries(self, entry: int = 0, jobs: int = 1) -> Counter[str]:
        """How often each routine is to be called, by id, when so many jobs begin at ``entry`` and nothing fails."""
        arriving = [0] * len(self.nodes)
        arriving[entry] = jobs
        for source, target in sorted(self.connections):
            arriving[target] += arriving[source] * self.nodes[source].emits
        return Counter({f"r{number}": count for number, count in enumerate(arriving) if count})


def flow_graphs(
    *,
    max_routines: int = 5,
    max_emits: int = 2,
    max_nap: float = 0.3,
    max_workers: int = 4,
    max_deliveries: int = 20,
) -> st.SearchStrategy[FlowGraph]:
    """Generate flow graphs; they shrink to a single routine that does nothing.

    Args:
        max_routines: How many routines there are at most.
        max_emits: How many events a routine emits at most for each that it gets.
        max_nap: Seconds that a routine sleeps at most, in steps of a tenth, so that many meet at one instant.
        max_workers: How many activations run at a time at most.
        max_deliveries: How many there are in a job at most, wherever it begins; connections that make more are left
            out.

    Raises:
        ValueError: One of them is no whole number, or no number of seconds, that it may be.
    """
    _check_counts(1, max_routines=max_routines, max_workers=max_workers, max_deliveries=max_deliveries)
    _check_counts(0, max_emits=max_emits)
    _check_seconds(max_nap=max_nap)
    node = st.builds(Node, st.integers(0, max_emits), _tenths(max_nap))
    sources = st.sets(st.integers(0, max(0, max_routines - 2)))
    nodes = st.lists(st.tuples(node, sources), min_size=1, max_size=max_routines)
    return st.builds(_flow_graph, nodes, st.integers(1, max_workers), st.just(max_deliveries))


def _flow_graph(drawn: list[tuple[Node, set[int]]], workers: int, most: int) -> FlowGraph:
    arriving = [1] * len(drawn)
    connections: list[tuple[int, int]] = []
    for target, (_, numbers) in enumerate(drawn):
        # Modulo: when Hypothesis leaves out a routine, those after it keep sources.
        for source in sorted({number % target for number in numbers} if target else ()):
            more = arriving[source] * drawn[source][0].emits
            if sum(arriving) + more <= most:
                connections.append((source, target))
                arriving[target] += more
    return FlowGraph(tuple(node for node, _ in drawn), tuple(connections), workers)


def _tenths(most: float) -> st.SearchStrategy[float]:
    """Seconds in whole tenths, so that many meet at one instant."""
    return st.integers(0, round(most * 10)).map(lambda tenths: tenths / 10)


@dataclass(frozen=True)
class Submission:
    """A job of a `Workload`.

    Attributes:
        at: Seconds after the beginning.
        entry: The number of the routine that it begins with.
    """

    at: float = 0.0
    entry: int = 0


@dataclass(frozen=True)
class Workload:
    """Which jobs of a flow are begun, and when.

    Attributes:
        submissions: The jobs, in the order in which they begin.
    """

    submissions: tuple[Submission, ...]

    def run(self, flow: Flow) -> list[JobState]:
        """Begin all jobs, each when it is time or as soon as those before it let it, and wait until they have ended.

        Their tokens begin with ``"job0"``, ``"job1"`` …
        """
        began = time.monotonic()
        jobs = []
        for number, submission in enumerate(self.submissions):
            early = submission.at - (time.monotonic() - began)
            if early > 0:
                time.sleep(early)
            jobs.append(flow.execute(f"r{submission.entry}", {"token": f"job{number}"}))
        for job in jobs:
            JobState.wait_for_completion(flow, job)
        return jobs

    def deliveries(self, graph: FlowGraph) -> Counter[str]:
        """How often each routine is to be called in all the jobs, by id, when nothing fails."""
        entries = Counter(submission.entry for submission in self.submissions)
        return sum((graph.deliveries(entry, jobs) for entry, jobs in entries.items()), Counter[str]())


def workloads(
    graph: FlowGraph | None = None, *, max_jobs: int = 3, max_gap: float = 0.3
) -> st.SearchStrategy[Workload]:
    """Generate workloads; they shrink to one job at once.

    Args:
        graph: Whose routines jobs may begin with; None: all begin with the first one.
        max_jobs: How many jobs there are at most; there is one at least.
        max_gap: Seconds between one and the next at most, in steps of a tenth.

    Raises:
        ValueError: Of these, one is no whole number from 1 up, or no number of seconds.
    """
    _check_counts(1, max_jobs=max_jobs)
    _check_seconds(max_gap=max_gap)
    entry = st.integers(0, 0 if graph is None else len(graph.nodes) - 1)
    return st.lists(st.tuples(_tenths(max_gap), entry), min_size=1, max_size=max_jobs).map(_workload)


def _workload(drawn: list[tuple[float, int]]) -> Workload:
    gaps = [round(10 * gap) for gap, _ in drawn]
    # The first job begins at once: what comes before it is nothing that could be tested.
    starts = (sum(gaps[1 : number + 1]) / 10 for number in range(len(gaps)))
    return Workload(tuple(map(Submission, starts, (entry for _, entry in drawn))))


FAULT_KINDS = ("raise", "slow", "stall")
"""What plans are made of, if nothing is said."""

MORE_FAULT_KINDS = ("spurious", "clock", "queue", "store")

_Table = st.SearchStrategy[dict[str, Any]]


def fault_plans(
    routines: Sequence[str] = ("*",),
    *,
    kinds: Sequence[str] = FAULT_KINDS,
    max_faults: int = 3,
    max_nth: int = 5,
    max_delay: float = 1.0,
) -> st.SearchStrategy[FaultPlan]:
    """Generate fault plans, to be given to `simulate` or `explore` as ``faults``; they shrink to a plan of nothing.

    Each fault comes at a call of a certain number, so that chance has no say.

    Args:
        routines: Ids of routines whose handlers may raise or be slow, or patterns of ids. The first is the simplest.
        kinds: ``"raise"``: a handler raises RuntimeError instead of running; ``"slow"``: time goes by before it
            begins; ``"stall"``: a task that could run is held for some time, at one of its steps. Only if they are
            named: ``"spurious"``: a wait in a condition ends without cause; ``"clock"``: the wall clock jumps, by up to
            an hour; ``"queue"``: a queue says that it is full; ``"store"``: an operation of a job store raises.
        max_faults: How many there are at most.
        max_nth: The last call at which one comes, from 1; for a stall the last step, ten times as many.
        max_delay: Seconds that a slow handler or a stall takes at most, in steps of a tenth; a jump of the clock comes
            by then, too.

    Raises:
        ValueError: No routine, a kind that is none of the above, or a number that is none.
    """
    if not routines or isinstance(routines, str):
        raise ValueError(f"routines must be a list of ids or patterns of ids, at least one, not {routines!r}")
    if isinstance(kinds, str):
        raise ValueError(f"kinds must be a list, as in [{kinds!r}], not {kinds!r}")  # noqa: TRY004 - as for its entries
    known = (*FAULT_KINDS, *MORE_FAULT_KINDS)
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"kinds must be among {', '.join(map(repr, known))}, not {kind!r}")
    _check_counts(1, max_nth=max_nth)
    _check_counts(0, max_faults=max_faults)
    _check_seconds(max_delay=max_delay)
    routine = st.sampled_from(list(routines))
    nth = st.integers(1, max_nth)
    delay = st.integers(1, max(1, round(max_delay * 10))).map(lambda tenths: tenths / 10)
    tables: dict[str, _Table] = {
        "raise": st.fixed_dictionaries({"routine": routine, "nth": nth}),
        "slow": st.fixed_dictionaries({"routine": routine, "nth": nth, "by": delay}),
        "stall": st.fixed_dictionaries({"nth": st.integers(1, 10 * max_nth), "by": delay}),
        "spurious": st.fixed_dictionaries({"nth": nth}),
        "clock": st.fixed_dictionaries({"at": _tenths(max_delay), "by": st.integers(-3600, 3600).filter(bool)}),
        "queue": st.fixed_dictionaries({"nth": nth}),
        "store": st.fixed_dictionaries({"operation": st.sampled_from(STORE_OPERATIONS), "nth": nth}),
    }
    if not kinds:
        return st.just(FaultPlan())
    fault = st.one_of([st.tuples(st.just(kind), tables[kind]) for kind in kinds])
    return st.lists(fault, max_size=max_faults).map(_fault_plan)


def _fault_plan(drawn: list[tuple[str, dict[str, Any]]]) -> FaultPlan:
    plan: dict[str, list[dict[str, Any]]] = {}
    for kind, table in drawn:
        plan.setdefault(kind, []).append(table)
    return FaultPlan.from_dict(plan)
