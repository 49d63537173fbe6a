"""Who is measured: routilux, ``ThreadPoolExecutor`` as the yardstick, and peers that do like work on threads.

One small class each. A case that a peer has no natural way to do is one that it does not have; a peer that is not
installed says so when it is made. Handlers do nothing, so that what is measured is what surrounds them. All use four
workers, and each is written as its own documentation would have it.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import ClassVar, Self

from benchmarks.flows import FLOWS, WORKERS, run_job

ACTIVATIONS_A_FAN_OUT = 13
"""One trigger, three fetchers, three processors, and for each of the three an aggregator and a formatter."""


def nothing(value: object = None) -> object:
    """Stand in for a handler."""
    return value


def _method(case: str) -> str:
    return case.replace("-", "_")


class Contender:
    """Somebody who can do some of the cases.

    A context manager around one measurement: what is set up in ``__init__`` or ``__enter__`` is not timed.

    Attributes:
        name: For the table; a peer's is that of its distribution.
        note: What a reader must know to judge the figures.
    """

    name: ClassVar[str]
    note: ClassVar[str] = ""

    def __init__(self, case: str) -> None:
        self.case = case

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back what `__enter__` took."""

    @classmethod
    def can(cls, case: str) -> bool:
        """Whether there is a method for the case."""
        return hasattr(cls, _method(case))

    def work(self, size: int) -> None:
        """Do the case."""
        getattr(self, _method(self.case))(size)


class Routilux(Contender):
    """Ours: with full accounting, history and tracker, as every flow has them."""

    name = "routilux"

    def __enter__(self) -> Self:
        self._flow = FLOWS[self.case]().__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._flow.shutdown()

    def flat(self, count: int) -> None:
        run_job(self._flow, "source", n=count)

    def chain(self, count: int) -> None:
        run_job(self._flow, "hop", i=count)

    def fan_out(self, rounds: int) -> None:
        for _ in range(rounds):
            run_job(self._flow, "trigger")


class Executor(Contender):
    """The yardstick: ``ThreadPoolExecutor.submit``, and a wait."""

    name = "executor"

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(WORKERS)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pool.shutdown()

    def flat(self, count: int) -> None:
        wait([self._pool.submit(nothing) for _ in range(count)])

    def chain(self, count: int) -> None:
        for _ in range(count):
            self._pool.submit(nothing).result()

    def fan_out(self, rounds: int) -> None:
        for _ in range(rounds):
            for width in (1, 3, 3, 3, 3):
                wait([self._pool.submit(nothing) for _ in range(width)])


class Pypeln(Contender):
    """Stages of threads with queues between them; no chain: that would be a stage, and a thread, a hop."""

    name = "pypeln"
    note = "one pipeline of five threads for all rounds of the fan-out, which overlap; the others wait for each round"

    def __init__(self, case: str) -> None:
        super().__init__(case)
        with warnings.catch_warnings():
            # A dependency of pypeln's says at import that setuptools is going to drop pkg_resources.
            warnings.simplefilter("ignore")
            import pypeln
        self._thread = pypeln.thread

    def flat(self, count: int) -> None:
        self._thread.run(self._thread.map(nothing, range(count), workers=WORKERS))

    def fan_out(self, rounds: int) -> None:
        stage = self._thread.flat_map(lambda value: (nothing(value),) * 3, range(rounds))
        for _ in range(4):
            stage = self._thread.map(nothing, stage)
        self._thread.run(stage)


class DaskThreads(Contender):
    """Dask's threaded scheduler, given its graph without the optimizations that would merge tasks."""

    name = "dask"

    def __init__(self, case: str) -> None:
        super().__init__(case)
        from dask.threaded import get

        self._get = get

    def flat(self, count: int) -> None:
        self._get(dict.fromkeys(range(count), (nothing,)), list(range(count)), num_workers=WORKERS)

    def chain(self, count: int) -> None:
        first, rest = {0: (nothing,)}, {i: (nothing, i - 1) for i in range(1, count)}
        self._get(first | rest, count - 1, num_workers=WORKERS)

    def fan_out(self, rounds: int) -> None:
        graph: dict[object, tuple[object, ...]] = {"trigger": (nothing,)}
        for n in range(3):
            above: object = "trigger"
            for step in ("fetch", "process", "aggregate", "format"):
                graph[step, n] = (nothing, above)
                above = (step, n)
        for _ in range(rounds):
            self._get(graph, [("format", n) for n in range(3)], num_workers=WORKERS)


class ReactiveX(Contender):
    """Observables whose every item is scheduled on a pool of threads."""

    name = "reactivex"

    def __init__(self, case: str) -> None:
        super().__init__(case)
        import reactivex
        from reactivex import operators
        from reactivex.scheduler import ThreadPoolScheduler

        self._rx, self._ops = reactivex, operators
        self._pool = ThreadPoolScheduler(WORKERS)

    def __exit__(self, *exc_info: object) -> None:
        self._pool.executor.shutdown()

    def _hop(self, value: object):
        return self._rx.just(value, scheduler=self._pool).pipe(self._ops.map(nothing))

    def flat(self, count: int) -> None:
        self._rx.range(0, count).pipe(self._ops.flat_map(self._hop)).run()

    def chain(self, count: int) -> None:
        # The first value is given, not scheduled, so that there are as many hops as asked for.
        def again(left: int):
            return self._hop(left - 1) if left else self._rx.empty()

        self._rx.just(count).pipe(self._ops.expand(again)).run()

    def fan_out(self, rounds: int) -> None:
        rx, hop = self._rx, self._ops.flat_map(self._hop)

        def spread(value: object):
            return rx.merge(*[rx.just(value).pipe(hop, hop, hop, hop) for _ in range(3)])

        for _ in range(rounds):
            rx.just(None).pipe(hop, self._ops.flat_map(spread)).run()


PEERS: tuple[type[Contender], ...] = (Pypeln, DaskThreads, ReactiveX)


def present(peers: tuple[type[Contender], ...] = PEERS) -> tuple[list[type[Contender]], dict[str, str]]:
    """Which peers can be imported; and by name, what the others lack."""
    found: list[type[Contender]] = []
    absent: dict[str, str] = {}
    for peer in peers:
        try:
            peer("flat")
        except ImportError as error:
            absent[peer.name] = str(error)
        else:
            found.append(peer)
    return found, absent
