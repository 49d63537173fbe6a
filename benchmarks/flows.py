"""The shapes of work that are measured, as flows: flat, a chain, and the page's fan-out.

Knows routilux and nothing of clocks, peers or goals.
"""

from routilux import Flow, JobState, Routine

WORKERS = 4
LIMIT = 120
"""Seconds after which a job that has not ended is a fault."""


class Source(Routine):
    """Emits ``n`` events."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.start)
        self.define_event("out")

    def start(self, n: int = 1):
        for i in range(n):
            self.emit("out", i=i)


class Sink(Routine):
    """Takes an event and does nothing."""

    def __init__(self):
        super().__init__()
        self.define_slot("in", self.take)

    def take(self, i):
        pass


class Hop(Routine):
    """Passes an event on to itself until it has gone round ``i`` times."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.hop)
        self.define_event("next")

    def hop(self, i):
        if i:
            self.emit("next", i=i - 1)


class Relay(Routine):
    """Passes an event on."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.relay)
        self.define_event("out")

    def relay(self, i=0):
        self.emit("out", i=i)


def flat_flow() -> Flow:
    flow = Flow(execution_strategy="concurrent", max_workers=WORKERS)
    flow.add_routine(Source(), "source")
    flow.add_routine(Sink(), "sink")
    flow.connect("source", "out", "sink", "in")
    return flow


def chain_flow() -> Flow:
    flow = Flow(execution_strategy="concurrent", max_workers=WORKERS)
    flow.add_routine(Hop(), "hop")
    flow.connect("hop", "next", "hop", "trigger")
    return flow


def fan_out_flow() -> Flow:
    """The page's graph: one trigger, three fetchers, three processors, one aggregator, one formatter."""
    flow = Flow(execution_strategy="concurrent", max_workers=WORKERS)
    for name in ("trigger", "fetch1", "fetch2", "fetch3", "process1", "process2", "process3", "aggregate"):
        flow.add_routine(Relay(), name)
    flow.add_routine(Sink(), "format")
    for n in "123":
        flow.connect("trigger", "out", f"fetch{n}", "trigger")
        flow.connect(f"fetch{n}", "out", f"process{n}", "trigger")
        flow.connect(f"process{n}", "out", "aggregate", "trigger")
    flow.connect("aggregate", "out", "format", "in")
    return flow


FLOWS = {"flat": flat_flow, "chain": chain_flow, "fan-out": fan_out_flow}


def run_job(flow: Flow, entry: str, **params: object) -> None:
    """Execute a job, wait for it, and see that it has completed."""
    job = flow.execute(entry, params)
    assert JobState.wait_for_completion(flow, job, timeout=LIMIT), f"{job!r} did not end within {LIMIT} s"
    assert job.status == "completed", f"{job!r}: {job.error!r}"
