"""Random graphs, workloads, faults and operations: simulated and real threads come to what the model says.

``ROUTILUX_EFFORT=50`` in the environment searches fifty times as many programs.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.exploring import explore

from .interpreter import REAL, SIMULATED, perform
from .model import ASYNC_SLOTS, SLOTS, Edge, Fault, Graph, Node, Op, Policy, Program, TooLargeError, walk

EFFORT = int(os.environ.get("ROUTILUX_EFFORT", "1"))
"""Programs are multiplied with this."""

SCHEDULES = 6
"""Seeds under which each program is simulated."""

MOST_JOBS = 3

policies = st.one_of(
    st.none(),
    st.sampled_from(["continue", "skip", "stop"]).map(Policy),
    st.builds(Policy, st.just("retry"), retries=st.integers(0, 2), delay_ms=st.sampled_from([0, 2, 20])),
    st.builds(Policy, st.just("retry"), retries=st.integers(1, 2), delay_ms=st.sampled_from([2, 20])),
)
faults = st.builds(Fault, every=st.sampled_from([1, 1, 2, 3]), times=st.sampled_from([1, 1, 2, 3]), after=st.booleans())
nodes = st.builds(
    Node,
    fanout=st.tuples(st.integers(0, 2), st.integers(0, 1)),
    policy=policies,
    fault=st.one_of(st.none(), faults, faults),
    pauses=st.sampled_from([0, 0, 0, 0, 3, 2]),
    defers=st.sampled_from([0, 0, 0, 2]),
    nap_ms=st.integers(0, 3),
)


@st.composite
def graphs(draw, slots=SLOTS):
    """Graphs of up to four routines, with any connections between them: fans, joins, cycles, loops."""
    found = tuple(draw(st.lists(nodes, min_size=1, max_size=4)))
    ends = st.integers(0, len(found) - 1)
    edge = st.builds(Edge, ends, st.sampled_from("ab"), ends, st.sampled_from(slots), st.booleans())
    edges = draw(st.lists(edge, min_size=1, max_size=6, unique_by=lambda each: each[:4]))
    return Graph(found, tuple(edges))


class FlowMachine(RuleBasedStateMachine):
    """Writes a program, rule by rule, and runs it when it is done."""

    schedules = SCHEDULES
    real = True
    slots = SLOTS

    def __init__(self):
        super().__init__()
        self.program = None
        self.ops = []
        self.jobs = 0

    @initialize(
        data=st.data(),
        workers=st.integers(1, 4),
        policy=policies,
        observed=st.booleans(),
        bounded=st.booleans(),
        hops=st.integers(1, 4),
    )
    def wire(self, data, workers, policy, observed, bounded, hops):
        graph = data.draw(graphs(self.slots), label="graph")
        self.program = Program(graph, (), workers, policy, observed, bounded)
        self.ops.append(self.execution(0, hops, "concurrent"))

    def execution(self, entry, hops, strategy):
        """An operation that begins a job, of at most so many hops that it stays small."""
        label = self.jobs
        entry %= len(self.program.graph.nodes)
        while hops and not self.is_small(label, entry, hops):
            hops -= 1
        self.jobs += 1
        return Op("execute", label, (entry, hops, strategy))

    def is_small(self, label, entry, hops):
        try:
            walk(self.program.graph, label, entry, hops, Policy("retry", 2), resumed=True)
        except TooLargeError:
            return False
        return True

    def job(self, data):
        """One of the jobs so far."""
        return data.draw(st.integers(0, self.jobs - 1), label="job")

    @precondition(lambda self: 0 < self.jobs < MOST_JOBS)
    @rule(
        entry=st.integers(0, 3),
        hops=st.integers(1, 4),
        strategy=st.sampled_from(["concurrent", "concurrent", "sequential"]),
    )
    def execute(self, entry, hops, strategy):
        self.ops.append(self.execution(entry, hops, strategy))

    @rule(data=st.data(), name=st.sampled_from(["pause", "resume", "snapshot", "wait", "cancel"]))
    def act(self, data, name):
        self.ops.append(Op(name, self.job(data)))

    @rule(data=st.data(), how=st.sampled_from([(), ("resume",), ("file",), ("file", "resume")]))
    def move(self, data, how):
        self.ops.append(Op("move", self.job(data), how))

    @rule(data=st.data(), milliseconds=st.integers(0, 15), name=st.sampled_from(["snapshot", "tick", "move"]))
    def interrupt(self, data, milliseconds, name):
        """Stop a job at some time in the middle, and let it go on."""
        job = self.job(data)
        meanwhile = Op(name, job, (milliseconds,))
        self.ops += [Op("tick", args=(milliseconds,)), Op("pause", job), meanwhile, Op("resume", job)]

    @rule()
    def restart(self):
        self.ops.append(Op("restart"))

    @rule(strategy=st.sampled_from(["concurrent", "sequential"]), workers=st.integers(1, 4))
    def switch(self, strategy, workers):
        self.ops.append(Op("switch", args=(strategy, workers)))

    @rule(policy=policies)
    def handle(self, policy):
        self.ops.append(Op("handle", args=(policy,)))

    @rule(milliseconds=st.integers(0, 5))
    def tick(self, milliseconds):
        self.ops.append(Op("tick", args=(milliseconds,)))

    @rule(
        data=st.data(),
        names=st.lists(st.sampled_from(["pause", "resume", "snapshot", "cancel"]), min_size=2, max_size=3),
    )
    def together(self, data, names):
        self.ops.append(Op("together", args=tuple(Op(name, self.job(data)) for name in names)))

    def teardown(self):
        if self.program is None:
            return
        program = self.program._replace(ops=tuple(self.ops))
        check(program, self.schedules, real=self.real)


def check(program, schedules=SCHEDULES, *, real=True):
    """A program comes to the same, as far as the schedule has no say, under each schedule and on real threads."""
    outcomes = []
    if schedules:
        explore(lambda: outcomes.append(perform(program, SIMULATED)), schedules=schedules).raise_if_failed()
    if real:
        outcomes.append(perform(program, REAL))
    assert all(outcome == outcomes[0] for outcome in outcomes)


class CoroutineMachine(FlowMachine):
    """The same with ``async`` handlers, on real threads alone."""

    schedules = 0
    slots = ASYNC_SLOTS


TestFlowMachine = FlowMachine.TestCase
TestFlowMachine.settings = settings(max_examples=120 * EFFORT, stateful_step_count=12)

TestCoroutineMachine = CoroutineMachine.TestCase
TestCoroutineMachine.settings = settings(max_examples=100 * EFFORT, stateful_step_count=12)
