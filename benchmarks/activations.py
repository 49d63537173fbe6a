"""What an activation costs in other processes, beside a bare call to the same executor.

Knows flows and executors; knows nothing of explorations. Ours and theirs take turns in one run, on the same executor,
with the same handler and the same payload, and with as much under way at a time; the median of the turns counts.
"""

import functools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from benchmarks.report import Figure
from routilux import Flow, JobState, Routine
from routilux.schedulers.futures import FuturesScheduler

UNDER_WAY = 16
GOAL = 1.3

Work = Callable[[int], object]


def nothing(n: int) -> object:
    """Return at once."""
    return n


def compute(n: int) -> object:
    """Compute for about a millisecond."""
    total = 0
    for each in range(12_000):
        total += each * n
    return total


class Source(Routine):
    """Emits the numbers below ``n``, where the flow is."""

    runs_in_driver = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("out", ["n"])

    def go(self, n: int) -> None:
        for each in range(n):
            self.emit("out", n=each)


class Idle(Routine):
    """Does nothing with them."""

    stateless = True
    work = staticmethod(nothing)

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("in", handler=self.take)

    def take(self, n: int) -> None:
        self.work(n)


class Busy(Idle):
    """Computes."""

    work = staticmethod(compute)


class Stateful(Idle):
    """Does nothing with them, one after the other."""

    stateless = False

    def take(self, n: int) -> None:
        self.latest = n


def ours(scheduler: FuturesScheduler, step: type[Routine], count: int) -> float:
    """Seconds an activation of a flow."""
    with Flow(execution_strategy="concurrent", max_workers=UNDER_WAY, scheduler=scheduler) as flow:
        flow.add_routine(Source(), "source")
        flow.add_routine(step(), "step")
        flow.connect("source", "out", "step", "in")
        for n in (20, count):
            began = time.perf_counter()
            job = flow.execute("source", {"n": n})
            JobState.wait_for_completion(flow, job)
            assert job.status == "completed", job.error
        return (time.perf_counter() - began) / count


def bare(executor: Any, work: Work, count: int) -> float:
    """Seconds a call, with so many under way at a time, as a flow has them."""
    room = threading.Semaphore(UNDER_WAY)
    for n in (20, count):
        began = time.perf_counter()
        futures = []
        for each in range(n):
            room.acquire()
            future = executor.submit(work, each)
            future.add_done_callback(lambda _: room.release())
            futures.append(future)
        for future in futures:
            future.result()
    return (time.perf_counter() - began) / count


def burst(executor: Any, work: Work, count: int) -> float:
    """Seconds a call, all of them submitted at once: nobody who knows how many there are does better."""
    began = time.perf_counter()
    for future in [executor.submit(work, each) for each in range(count)]:
        future.result()
    return (time.perf_counter() - began) / count


@contextmanager
def processes(workers: int) -> Iterator[tuple[Any, FuturesScheduler]]:
    """A process pool, and a scheduler on it."""
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        yield pool, FuturesScheduler(pool)


@contextmanager
def dask(workers: int) -> Iterator[tuple[Any, FuturesScheduler]]:
    """Dask on this machine, likewise."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor(pure=False, retries=0), FuturesScheduler.dask(client)


def figures(short: bool, show: Callable[[str], object] = print) -> list[Figure]:
    """Each kind of activation on each executor, with its ratio to the bare call.

    Args:
        short: Fewer turns of fewer activations.
        show: Told what is being measured.
    """
    found: list[Figure] = []
    turns = 2 if short else 5
    for name, place in (("process pool", processes), ("Dask", dask)):
        count = (500 if short else 3_000) if name == "process pool" else (150 if short else 600)
        with place(2) as contenders:
            for title, step, work in KINDS:
                show(f"{name}, {title}")
                times = _measure(contenders, step, work, count, turns)
                found += _figures(f"{name}, 2 workers, {title}", times, None if step is Stateful else GOAL)
    return found


KINDS = (("brief", Idle, nothing), ("of 1 ms", Busy, compute), ("with state", Stateful, nothing))


def _measure(
    contenders: tuple[Any, FuturesScheduler], step: type[Routine], work: Work, count: int, turns: int
) -> dict[str, float]:
    executor, scheduler = contenders
    measures = {
        "ours": functools.partial(ours, scheduler, step, count),
        "bare": functools.partial(bare, executor, work, count),
        "burst": functools.partial(burst, executor, work, count),
    }
    taken: dict[str, list[float]] = {each: [] for each in measures}
    for _ in range(turns):
        for each, measure in measures.items():
            taken[each].append(measure())
    return {each: statistics.median(times) for each, times in taken.items()}


def _figures(name: str, seconds: dict[str, float], goal: float | None) -> Iterator[Figure]:
    yield Figure(f"{name}: an activation", seconds["ours"] * 1e6, "us")
    yield Figure("  a bare call, as many under way", seconds["bare"] * 1e6, "us")
    yield Figure("  a bare call, all submitted at once", seconds["burst"] * 1e6, "us")
    # One after the other, as a routine with state has it, is not what bare calls do: there is no goal for that.
    cheaper = min(seconds["bare"], seconds["burst"])
    yield Figure("  an activation, times the cheaper of these", seconds["ours"] / cheaper, "", goal)
