"""What an activation costs, beside ``ThreadPoolExecutor.submit`` and ``wait``, in one run.

Full accounting, history and tracker are on. Absolute times depend on the machine; the ratios are what to compare.

    python benchmarks/engine.py [--short]
"""

import argparse
import platform
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from statistics import median
from typing import NamedTuple

from routilux import Flow, JobState, Routine

WORKERS = 4


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


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_job(flow: Flow, entry: str, **params: object) -> None:
    job = flow.execute(entry, params)
    assert JobState.wait_for_completion(flow, job, timeout=60)
    assert job.status == "completed"


def executor_flat(pool: ThreadPoolExecutor, count: int) -> None:
    wait([pool.submit(int) for _ in range(count)])


def executor_chain(pool: ThreadPoolExecutor, count: int) -> None:
    for _ in range(count):
        pool.submit(int).result()


def executor_fan_out(pool: ThreadPoolExecutor, rounds: int) -> None:
    for _ in range(rounds):
        for width in (1, 3, 3, 3, 3):
            futures: list[Future[int]] = [pool.submit(int) for _ in range(width)]
            wait(futures)


class Case(NamedTuple):
    """One shape of work, done by both."""

    name: str
    activations: int
    goal: float
    ours: Callable[[Flow], None]
    flow: Callable[[], Flow]
    executor: Callable[[ThreadPoolExecutor], None]


def cases(scale: int) -> list[Case]:
    flat, chain, rounds = 10_000 // scale, 1_000 // scale, 200 // scale

    def fan_out(flow: Flow) -> None:
        for _ in range(rounds):
            run_job(flow, "trigger")

    return [
        Case(
            f"flat {flat:,}", flat, 0.20,
            lambda flow: run_job(flow, "source", n=flat), flat_flow,
            lambda pool: executor_flat(pool, flat),
        ),
        Case(
            f"chain of {chain:,}", chain, 0.35,
            lambda flow: run_job(flow, "hop", i=chain), chain_flow,
            lambda pool: executor_chain(pool, chain),
        ),
        Case(
            f"page's fan-out, {rounds} jobs", 13 * rounds, 0.6,
            fan_out, fan_out_flow,
            lambda pool: executor_fan_out(pool, rounds),
        ),
    ]  # fmt: skip


def measure(case: Case, repeats: int) -> tuple[float, float]:
    """Median of ``repeats``, in turn, in microseconds an activation: ours, and the executor's."""
    ours, theirs = [], []
    for _ in range(repeats):
        with case.flow() as flow:
            ours.append(seconds_of(lambda flow=flow: case.ours(flow)))
        with ThreadPoolExecutor(WORKERS) as pool:
            theirs.append(seconds_of(lambda pool=pool: case.executor(pool)))
    return median(ours) / case.activations * 1e6, median(theirs) / case.activations * 1e6


def waiting_overhead(repeats: int) -> float:
    """Median microseconds from the last activation's end to the return of ``wait_for_completion``."""
    ended: list[int] = []

    class Stamp(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", self.stamp)

        def stamp(self):
            time.sleep(0.0005)
            ended.append(time.perf_counter_ns())

    late = []
    with Flow(execution_strategy="concurrent") as flow:
        flow.add_routine(Stamp(), "stamp")
        for _ in range(repeats):
            run_job(flow, "stamp")
            late.append(time.perf_counter_ns() - ended[-1])
    return median(late) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of an activation beside ThreadPoolExecutor.")
    parser.add_argument("--short", action="store_true", help="a tenth of the work, fewer repeats")
    short = parser.parse_args().short
    print(f"CPython {platform.python_version()}, {WORKERS} workers, microseconds an activation, median")
    print(f"{'':<26}{'routilux':>10}{'executor':>10}{'ratio':>8}{'goal':>8}")
    for case in cases(10 if short else 1):
        ours, theirs = measure(case, 3 if short else 7)
        print(f"{case.name:<26}{ours:>10.2f}{theirs:>10.2f}{ours / theirs:>8.2f}{case.goal:>8.2f}")
    print(f"wait returns {waiting_overhead(20 if short else 200):.0f} us after the last activation's end (goal 1000)")


if __name__ == "__main__":
    main()
