"""What must come of a flow, worked out without an engine: pure functions of a graph, a workload and a fault plan.

Every activation is known by the routine, the slot and a token that no other activation has. What a handler does is a
function of these and of the attempt (`steps`), so that it cannot depend on the schedule. `walk` follows all activations
of one job; `forecast` says what a whole program of operations must leave behind, and where the schedule has a say,
only that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

FINAL_OUTCOMES = ("completed", "failed", "error_continued", "skipped", "dropped", "cancelled")
SLOTS = ("trigger", "gather", "turn")
"""One of each kind: plain, merging by "append", and ``max_concurrency=1``."""
ASYNC_SLOTS = (*SLOTS, "coro")
"""And one whose handler is a coroutine function."""
EVENTS = ("a", "b")
MOST_ACTIVATIONS = 40
"""Of one job: beyond it nothing new is found, only later."""


class Policy(NamedTuple):
    """An error handler."""

    strategy: str
    retries: int = 0
    delay_ms: int = 0


class Fault(NamedTuple):
    """Every ``every``-th token fails, in its first ``times`` attempts; after its emits, or before them."""

    every: int
    times: int
    after: bool


class Node(NamedTuple):
    """A routine: how often it emits each event, its error handler, and what goes wrong in it.

    ``pauses`` and ``defers`` say that every so manieth token pauses its job, or defers an event; 0: none does.
    """

    fanout: tuple[int, int] = (1, 0)
    policy: Policy | None = None
    fault: Fault | None = None
    pauses: int = 0
    defers: int = 0
    nap_ms: int = 0


class Edge(NamedTuple):
    """A connection; a renamed one hands over another of the event's values as the token."""

    source: int
    event: str
    target: int
    slot: str
    renamed: bool = False


class Graph(NamedTuple):
    """A flow."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


class Op(NamedTuple):
    """One operation of a program: what to do, to which job, and how."""

    name: str
    job: int = 0
    args: tuple[Any, ...] = ()


class Program(NamedTuple):
    """A flow, and what is done to it."""

    graph: Graph
    ops: tuple[Op, ...]
    workers: int = 2
    policy: Policy | None = None
    observed: bool = False
    """An instrument listens: activations take the longer way through the engine."""
    bounded: bool = False
    """``max_pending`` is set, far above what there ever is: likewise."""


class Step(NamedTuple):
    """Something that a handler does: ``emit``, ``defer``, ``pause`` or ``raise``."""

    name: str
    event: str = ""
    token: str = ""


class Run(NamedTuple):
    """One attempt at an activation, and what becomes of it."""

    routine: int
    slot: str
    token: str
    attempt: int
    outcome: str


def job_of(token: str) -> int:
    """The job that a token belongs to."""
    return int(token.split("/", 1)[0])


def chosen(every: int, *what: object) -> bool:
    """Whether something is among every ``every``-th, by its checksum: always the same answer."""
    return bool(every) and crc32(repr(what).encode()) % every == 0


def steps(node: Node, routine: int, slot: str, token: str, hops: int, attempt: int) -> Iterator[Step]:
    """What the handler of one attempt does."""
    fault = node.fault
    fails = fault is not None and attempt <= fault.times and chosen(fault.every, "fault", routine, token)
    after = fault is not None and fault.after
    if attempt == 1 and chosen(node.pauses, "pause", routine, token):
        yield Step("pause")
    if fails and not after:
        yield Step("raise")
        return
    stem = f"{token}/{routine}{slot[:2]}{'' if attempt == 1 else attempt}"
    if hops > 0:
        for event, count in zip(EVENTS, node.fanout, strict=True):
            for number in range(count):
                yield Step("emit", event, f"{stem}{event}{number}")
    if attempt == 1 and hops > 0 and chosen(node.defers, "defer", routine, token):
        yield Step("defer", "a", f"{stem}d")
    if fails:
        yield Step("raise")


def received(edge: Edge, token: str) -> str:
    """The token that a slot gets at the end of a connection."""
    return token + "^" if edge.renamed else token


def emitted(token: str, hops: int) -> dict[str, Any]:
    """The data that an event carries."""
    return {"token": token, "hops": hops, "spare": token + "^"}


def outcome(policy: Policy | None, attempt: int, *, raised: bool) -> str:
    """What becomes of an attempt."""
    if not raised:
        return "completed"
    if policy is None or policy.strategy == "stop":
        return "failed"
    if policy.strategy == "retry":
        return "retry" if attempt <= policy.retries else "failed"
    return {"continue": "error_continued", "skip": "skipped"}[policy.strategy]


class Walk(NamedTuple):
    """All that happens in one job if nothing stops it, in queue order."""

    runs: tuple[Run, ...]
    emits: tuple[Step, ...]
    deferred: tuple[str, ...]
    pauses: bool

    @property
    def stops(self) -> bool:
        """Whether an error fails the job."""
        return any(run.outcome == "failed" for run in self.runs)

    @property
    def retries(self) -> bool:
        """Whether anything is tried again."""
        return any(run.outcome == "retry" for run in self.runs)

    def figures(self) -> Counter[tuple[int, str]]:
        """How many attempts ended how, by routine."""
        return Counter((run.routine, run.outcome) for run in self.runs)


class TooLargeError(Exception):
    """A job has more activations than are worth following."""


def walk(graph: Graph, job: int, entry: int, hops: int, policy: Policy | None, *, resumed: bool = False) -> Walk:
    """Follow a job to its end.

    Args:
        graph: The flow.
        job: Its number, which its tokens begin with.
        entry: The routine that it begins with.
        hops: How many connections its data goes along.
        policy: The flow's error handler.
        resumed: Deferred events are emitted.

    Raises:
        TooLargeError: It has too many activations.
    """
    queue = [(entry, "trigger", f"{job}", hops)]
    runs: list[Run] = []
    emits: list[Step] = []
    deferred: list[str] = []
    pauses = False

    def deliver(source: int, step: Step, left: int) -> None:
        emits.append(Step(str(source), step.event, step.token))
        queue.extend(
            (edge.target, edge.slot, received(edge, step.token), left)
            for edge in graph.edges
            if (edge.source, edge.event) == (source, step.event)
        )

    for routine, slot, token, left in queue:
        node = graph.nodes[routine]
        attempt, last = 0, "retry"
        while last == "retry":
            attempt += 1
            raised = False
            for step in steps(node, routine, slot, token, left, attempt):
                if step.name == "emit" or (step.name == "defer" and resumed):
                    deliver(routine, step, left - 1)
                elif step.name == "defer":
                    deferred.append(step.token)
                raised = raised or step.name == "raise"
                pauses = pauses or step.name == "pause"
            last = outcome(node.policy or policy, attempt, raised=raised)
            runs.append(Run(routine, slot, token, attempt, last))
        if len(queue) + len(runs) > 2 * MOST_ACTIVATIONS:
            raise TooLargeError
    return Walk(tuple(runs), tuple(emits), tuple(deferred), pauses)


class Forecast(NamedTuple):
    """What must come of one job.

    Attributes:
        statuses: Those that it may end with.
        walk: All that happens in it; None where the schedule has a say.
        in_order: It happens in exactly this order.
        pauses: Handlers may pause it.
    """

    statuses: frozenset[str]
    walk: Walk | None
    in_order: bool
    pauses: bool


def forecast(program: Program) -> dict[int, Forecast]:
    """Say what must come of each job of a program that resumes whatever is paused before it ends."""
    found: dict[int, Forecast] = {}
    ops = list(flat(program.ops))
    for at, op in enumerate(ops):
        if op.name == "execute":
            found[op.job] = _forecast(program, ops, at)
    return found


def flat(ops: tuple[Op, ...]) -> Iterator[Op]:
    """The operations, those that happen at the same time one after the other."""
    for op in ops:
        if op.name == "together":
            yield from op.args
        else:
            yield op


def _forecast(program: Program, ops: list[Op], at: int) -> Forecast:
    entry, hops, strategy = ops[at].args
    current: Policy | None = program.policy
    for op in ops[:at]:
        if op.name == "handle":
            current = op.args[0]
    policies = [current]
    mine = [op for op in ops[at + 1 :] if op.job == ops[at].job]
    for op in ops[at + 1 :]:
        if op.name == "wait" and op.job == ops[at].job:
            break
        if op.name == "handle":
            policies.append(op.args[0])
    names = {op.name for op in mine}
    walks = [walk(program.graph, ops[at].job, entry, hops, policy) for policy in policies]
    first = walks[0]
    disturbed = bool(names & {"pause", "move"}) or any(op.name == "restart" for op in ops[at:])
    certain = "cancel" not in names and all(other == first for other in walks)
    longest = [walk(program.graph, ops[at].job, entry, hops, policy, resumed=True) for policy in policies]
    pauses = any(each.pauses for each in longest)
    deferring = any(each.deferred for each in walks)
    exact = certain and not first.stops and not (deferring and (pauses or disturbed))
    statuses = {"failed" if each.stops else "completed" for each in walks}
    if deferring:
        statuses |= {
            "failed" for policy in policies if walk(program.graph, ops[at].job, entry, hops, policy, resumed=True).stops
        }
    if len(set(policies)) > 1 and not all(other == first for other in walks):
        statuses = {"failed", "completed"}
    if "cancel" in names:
        statuses.add("cancelled")
    # Turns at a slot are taken by all jobs of a flow: the others of them may make this one wait.
    turns = any(edge.slot == "turn" for edge in program.graph.edges)
    in_order = exact and strategy == "sequential" and not (first.retries or pauses or disturbed or turns)
    return Forecast(frozenset(statuses), first if exact else None, in_order, pauses)
