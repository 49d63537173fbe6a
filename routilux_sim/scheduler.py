"""`SimScheduler`: the production thread pool in a simulated world, for plain scripts without a test runner."""

from __future__ import annotations

import gc
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from routilux.abc import Runtime
from routilux.log import ExecutionLog
from routilux.schedulers.thread_pool import ThreadPoolScheduler
from routilux_sim.execution import LogCollector
from routilux_sim.judge.ending import reason_of
from routilux_sim.judge.fairness import Fairness
from routilux_sim.judge.memory import Memory
from routilux_sim.judge.watch import watch
from routilux_sim.kernel.core import HANG_SECONDS, Kernel, Limits, here
from routilux_sim.kernel.errors import SimulationError
from routilux_sim.kernel.task import Carriers
from routilux_sim.log_lines import render_all
from routilux_sim.schedule import Schedule
from routilux_sim.simulation import check_seed, epoch_of
from routilux_sim.strategy import Strategy, make_strategy
from routilux_sim.world import audit, watchdog
from routilux_sim.world.install import SavedState, World
from routilux_sim.world.runtime import SimRuntime

__all__ = ["SimScheduler"]

T = TypeVar("T")


class SimScheduler(ThreadPoolScheduler):
    """Runs a flow's activations on simulated threads, in virtual time.

    ``Flow(scheduler=SimScheduler(seed=7))`` in a plain script: whenever the script calls into the flow (execute, wait,
    shutdown …) the simulated world runs, and between those calls its time stands still. Several flows may share one.

    Args:
        seed: Decides every interleaving and random number.
        strategy: What makes the decisions: ``"random"``, ``"fifo"`` or a `Strategy`.
        max_steps: Scheduling points after which the simulation is given up.
        epoch: What ``time.time()`` reads at the beginning, in seconds since 1970; where freezegun has it stand, or else
            the beginning of 2026, if it is not given.
        hang_seconds: Real seconds that may go by without a step before the simulation is given up; None: any number.

    Raises:
        ValueError, TypeError: An unknown strategy, or a seed that is no whole number.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        strategy: str | Strategy = "random",
        max_steps: int = 1_000_000,
        epoch: float | None = None,
        hang_seconds: float | None = HANG_SECONDS,
    ) -> None:
        self.seed = check_seed(seed)
        chosen = make_strategy(strategy)
        chosen.begin(seed)
        self._strategy = chosen
        self._collector = LogCollector()
        self._carriers = Carriers()
        self._kernel = Kernel(
            chosen,
            self._carriers,
            Limits(max_steps, hang_seconds=hang_seconds),
            epoch_of(epoch),
            self._collector.write,
            keep_enabled=True,
        )
        self._fairness = Fairness(max_steps)
        self._fairness.guard(self._kernel)
        watch(self._kernel).memory = Memory()
        self._collector.kernel = self._kernel
        runtime = SimRuntime(self._kernel, (ExecutionLog(self._collector.write),))
        super().__init__(runtime)
        self._sim_runtime: Runtime = runtime
        self._world = World()
        self._hang_seconds = hang_seconds
        self._state = SavedState(seed)
        self._ended: BaseException | None = None

    @property
    def elapsed(self) -> float:
        """Virtual seconds gone by so far."""
        return self._kernel.now / 1e9

    @property
    def log(self) -> list[dict[str, Any]]:
        """The execution log so far, a dictionary a line."""
        return self._collector.lines

    def log_bytes(self) -> bytes:
        """The execution log so far, as JSON lines."""
        return render_all(self._collector.lines)

    @property
    def schedule(self) -> Schedule:
        """The decisions made so far."""
        kernel = self._kernel
        return Schedule.of(self.seed, self._strategy.name, kernel.tape, kernel.enabled, kernel.epoch_ns)

    def enter(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Run ``call(*args, **kwargs)`` as the main thread of the simulated world, and return what it returns.

        Everything else that can run at the same instant runs too, until all of it waits.

        Raises:
            SimulationError: The simulation cannot go on (a deadlock, a limit), or could not before.
            RuntimeError: Called inside another simulation, or in another thread than the one that made the scheduler.
            BaseException: Whatever ``call`` raised, or an uncaught exception of one of the simulated threads.
        """
        inside = here()
        if inside is self._kernel:
            return call(*args, **kwargs)
        if inside is not None:
            raise RuntimeError(
                "a SimScheduler inside a simulation would be a world in a world; leave out scheduler=, "
                "the flow is simulated as it is"
            )
        if get_ident() != self._kernel.thread_id:
            raise RuntimeError("a SimScheduler is used in the thread that made it; make one here")
        if self._ended is not None:
            raise SimulationError(f"the simulation has ended: {self._ended!r}") from self._ended
        return self._enter(lambda: call(*args, **kwargs))

    run = enter

    def _enter(self, call: Callable[[], T]) -> T:
        values: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                values.append(call())
            except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it below
                errors.append(error)

        collecting = gc.isenabled()
        gc.disable()
        try:
            with self._installed():
                kernel = self._kernel
                kernel.run(kernel.spawn_caller(body))
                if kernel.failure is None:
                    kernel.settle()
                if kernel.failure is not None:
                    self._fail(kernel)
        finally:
            if collecting:
                gc.enable()
        if self._ended is not None:
            raise self._ended
        if errors:
            raise errors[0]
        return values[0]

    @contextmanager
    def _installed(self) -> Iterator[None]:
        audit.install()
        with (
            self._world.installed(),
            self._world.resumed(self._kernel, self._sim_runtime, self._state),
            watchdog.watching(self._hang_seconds),
        ):
            yield

    def _fail(self, kernel: Kernel) -> None:
        self._ended = reason_of(kernel, self._fairness)
        kernel.log = None
        with self._world.quiet_executors():
            kernel.end()
        self._carriers.close()

    def close(self) -> None:
        """End the simulation: unwind every simulated thread that is left. Safe to call twice."""
        if self._ended is not None:
            return
        with self._installed():
            self._kernel.log = None
            with self._world.quiet_executors():
                self._kernel.end()
        self._ended = SimulationError("it was closed")
        self._carriers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
