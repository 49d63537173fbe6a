"""One run of a program in the simulator, and the campaign of runs that it is part of."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from routilux.log import ExecutionLog
from routilux_sim.faults.joining import Joining
from routilux_sim.interruption import is_interruption
from routilux_sim.judge.ending import reason_of
from routilux_sim.judge.fairness import Fairness
from routilux_sim.judge.invariants import Invariant, always, check_invariants
from routilux_sim.judge.left_running import LeftRunning, left_running
from routilux_sim.judge.memory import Memory
from routilux_sim.judge.races import Race, RacePolicy, Races
from routilux_sim.judge.verdict import FailureKind, Verdict, kind_of, of_execution
from routilux_sim.judge.watch import watch
from routilux_sim.kept_invariants import named_invariants
from routilux_sim.kernel.core import DEFAULT_EPOCH_NS, Kernel, Limits
from routilux_sim.kernel.task import Carriers
from routilux_sim.kernel.trace import TASKS, Trace
from routilux_sim.log_lines import render_all
from routilux_sim.points.code_under_test import Instrument, check_instrument
from routilux_sim.schedule import Schedule
from routilux_sim.strategy import Outcome, Strategy
from routilux_sim.strategy._protocol import keeps_seed, needs_trace, weigher
from routilux_sim.world import audit, watchdog
from routilux_sim.world.install import World
from routilux_sim.world.runtime import SimRuntime
from routilux_sim.world.threads import join_task

if TYPE_CHECKING:
    from routilux_sim.faults.arming import Armed
    from routilux_sim.points.instrumentation import Instrumentation

__all__ = ["Campaign", "Execution", "LogCollector", "Program", "log_of"]

Program = Callable[[], Any]

FROZEN_AT_START = 1_000
"""More objects than CPython freezes by itself when it starts (3.12: a few hundred): beyond it, a program has frozen."""

GARBAGE = 5_000
"""Objects made since the last collection before the next one, between two executions."""


class LogCollector:
    """Gathers an execution's log lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.kernel: Kernel | None = None

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Add a line."""
        kernel = self.kernel
        assert kernel is not None  # noqa: S101 - set before the execution begins
        task = kernel.current
        self.lines.append(
            {
                "seq": len(self.lines),
                "t_ns": kernel.now,
                "event": event,
                "task": task.name if task is not None else "driver",
                **fields,
            }
        )


def log_of(kernel: Kernel) -> list[dict[str, Any]]:
    """The log so far of an execution that is under way.

    Raises:
        RuntimeError: It keeps none.
    """
    collector = getattr(kernel.log, "__self__", None)
    if not isinstance(collector, LogCollector):
        raise RuntimeError("this execution keeps no log: simulate and explore take log=True")  # noqa: TRY004
    return collector.lines


class Execution:
    """What came of one run.

    Attributes:
        value: What the program returned; None if it did not.
        error: What ended it instead: the program's exception, or a `SimulationError`; else None.
        elapsed: Virtual seconds from beginning to end.
        log: The execution log, a dictionary a line; empty when it was not asked for.
        schedule: The decisions made.
        verdict: ``passed``, ``failed`` or ``inconclusive``.
        kind: What kind of failure it is, or None.
        seed: What it ran under.
        steps: Scheduling points and clock readings passed.
        left_running: Tasks that were still there when the program had ended; empty if it did not end by itself.
        fair_from: The step from which on tasks were scheduled fairly, whatever the strategy; None: nowhere.
        outcome: What a strategy is told of it.
        races: The data races in it, if they were looked for.
    """

    def __init__(
        self,
        *,
        seed: int,
        value: Any,
        error: BaseException | None,
        failed_task: str | None,
        elapsed_ns: int,
        steps: int,
        log: list[dict[str, Any]],
        schedule: Callable[[], Schedule],
        outcome: Outcome,
        left_running: list[LeftRunning],
        fair_from: int | None,
        races: Sequence[Race] = (),
    ) -> None:
        self.seed = seed
        self.value = value
        self.error = error
        self.failed_task = failed_task
        self.elapsed_ns = elapsed_ns
        self.steps = steps
        self.log = log
        self.outcome = outcome
        self.left_running = left_running
        self.fair_from = fair_from
        self.races = tuple(races)
        self._make_schedule = schedule
        self._schedule: Schedule | None = None

    @property
    def is_only_one(self) -> bool:
        """Nothing was left to choose, and chance had no say: no other execution of the program differs."""
        return self.outcome.only_one

    @property
    def elapsed(self) -> float:
        """Virtual seconds from beginning to end."""
        return self.elapsed_ns / 1e9

    @property
    def verdict(self) -> Verdict:
        """What this one run shows."""
        return of_execution(self.error)

    @property
    def kind(self) -> FailureKind | None:
        """What kind of failure it is, or None."""
        return None if self.error is None else kind_of(self.error)

    @property
    def schedule(self) -> Schedule:
        """The decisions made."""
        if self._schedule is None:
            self._schedule = self._make_schedule()
        return self._schedule

    def log_bytes(self) -> bytes:
        """The log as JSON lines: for one seed, the same bytes every time."""
        return render_all(self.log)

    def result(self) -> Any:
        """Return the value, or raise what ended the run."""
        if self.error is not None:
            raise self.error
        return self.value

    def __repr__(self) -> str:
        return f"<Execution {self.verdict}, {self.elapsed:g} virtual seconds, seed {self.seed}>"


class Campaign:
    """Runs executions of one program, one after the other.

    Use it inside ``with campaign.running():``, which installs the simulated world once for all of them, and keeps
    garbage collection out of the executions: when a finalizer runs must not depend on what ran before.

    Args:
        program: A callable without arguments.
        limits: How long one execution may go on.
        epoch_ns: The wall clock at the beginning, in nanoseconds since 1970.
        instrument: Where accesses to shared memory are scheduling points: ``"auto"``, names of modules, or None.
        races: What is to be done about data races; None: they are not looked for.
        faults: What may go wrong, and how long handlers take; None: nothing, and no time.
        invariants: What is checked at each step of every execution.
        log: Whether each execution keeps a log, also if it is not asked to.

    Attributes:
        program: What it runs.
    """

    def __init__(
        self,
        program: Program,
        limits: Limits | None = None,
        epoch_ns: int = DEFAULT_EPOCH_NS,
        instrument: Instrument = None,
        races: RacePolicy | None = None,
        faults: Armed | None = None,
        *,
        invariants: Sequence[Invariant] = (),
        log: bool = False,
    ) -> None:
        if not callable(program):
            raise TypeError(f"a program must be a callable without arguments, not {program!r}")
        self.program = program
        self._limits = limits or Limits()
        self._fairness = Fairness(self._limits.max_steps)
        self._epoch_ns = epoch_ns
        self._races = races
        self._faults = faults
        self._faults_join = False
        self._invariants = check_invariants(invariants)
        self._named = named_invariants(self._invariants)
        self._log = log
        self._world = World(program)
        self._points = _instrumentation(program, check_instrument(instrument))
        self._carriers: Carriers

    @contextmanager
    def running(self) -> Iterator[None]:
        """Install the simulated world for as long as executions are to run."""
        audit.install()
        points = nullcontext() if self._points is None else self._points.installed()
        with self._world.installed(), points, _garbage_kept_out(), watchdog.watching(self._limits.hang_seconds):
            self._carriers = Carriers()
            try:
                yield
            finally:
                self._carriers.close()

    @property
    def granularity(self) -> str:
        """Between what another task may come, in words."""
        words = "synchronization operations" if self._points is None else self._points.granularity
        planned = self._faults is not None and self._faults.faults
        return f"{words} and of the faults planned" if planned or self._faults_join else words

    @property
    def unseen(self) -> str | None:
        """Why tasks may share what no scheduling point tells of; None if nothing says so."""
        if self._faults_join:
            return "faults are added while the program runs, and to add them is no step"
        if self._faults is not None and self._faults.of("stall"):
            return "a task may stall at any step, and in another order has other steps"
        return "accesses to memory are no scheduling points" if self._points is None else self._points.unseen

    @property
    def shared(self) -> frozenset[str] | None:
        """What memory is known to be shared, by name; None if accesses to it are no scheduling points."""
        return None if self._points is None else self._points.sharing.keys

    def execute(
        self,
        strategy: Strategy,
        seed: int,
        *,
        log: bool = False,
        enabled: bool = False,
        trace: bool = False,
        points: dict[str, Any] | None = None,
        attend: Callable[[Kernel], object] | None = None,
        instruments: Sequence[object] = (),
    ) -> Execution:
        """Run the program once; the strategy has begun already.

        Args:
            strategy: Makes the decisions.
            seed: For the program's own randomness.
            log: Write an execution log.
            enabled: Note at each decision which tasks could run.
            trace: Keep a trace, even if the strategy does not need one.
            points: As in `Schedule`: what memory is to be known as shared from the beginning; None: all that has been
                found to be so far.
            attend: Called with the kernel before it runs, by who wants to see more of it.
            instruments: Told of what flows do; only along with a log, without which flows run as if nobody watched.
        """
        name = strategy.name
        if gc.get_count()[0] > GARBAGE:
            gc.collect()
        collector = LogCollector() if log or self._log else None
        kernel = Kernel(
            strategy,
            self._carriers,
            self._limits,
            self._epoch_ns,
            collector.write if collector is not None else None,
            enabled,
        )
        kept = kernel.trace = Trace() if trace or needs_trace(strategy) else None
        races = None if self._races is None else Races(kernel, self._races)
        fairness = self._fairness
        fairness.guard(kernel)
        if attend is not None:
            attend(kernel)
        told: tuple[object, ...] = ()
        if collector is not None:
            collector.kernel = kernel
            watch(kernel).memory = Memory()
            told = (ExecutionLog(collector.write), *instruments)
        if self._invariants:
            always(kernel, self._invariants)
        runtime = SimRuntime(kernel, told)
        values: list[Any] = []
        with (
            self._world.inhabited(kernel, runtime, seed),
            _points(self._points, kernel, points) as known_points,
            Joining(self._faults, kernel, runtime, lambda: weigher(strategy, seed), fairness.has_begun) as faults,
        ):
            kernel.run(kernel.spawn_caller(partial(self._main, kernel, runtime, values, faults)))
            elapsed = kernel.now
            error = kernel.failure
            if error is not None or kernel.steps > fairness.limit:
                error = reason_of(kernel, fairness)
            left = left_running(kernel, stacks=log) if error is None else []
            if collector is not None:
                for task in left:
                    collector.write("task.left", {"left": task.task, "daemon": task.daemon, "point": task.doing})
                collector.write("execution.end", {"status": of_execution(error)})
                kernel.log = None
            # It refers to the kernel, and an execution is to leave no cycles behind.
            kernel.at_limit = None
            decisions = len(kernel.tape)
            chance = _chance(seed, strategy, decisions)
            runtime.instruments = ()
            if kernel.tasks or kernel.at_end:
                with self._world.quiet_executors():
                    kernel.end()
            else:
                kernel.end()
        error = error or kernel.failure
        if error is not None and is_interruption(error):
            raise error
        tape, candidates = kernel.tape[:decisions], kernel.enabled[:decisions]
        if known_points is not None and self._races is not None and self._races.mode == "fail":
            known_points["allow_races"] = list(self._races.allowed)
        document = faults.document
        self._faults_join = self._faults_join or faults.has_joined
        grown = frozenset() if self._points is None else self._points.grown
        return Execution(
            seed=seed,
            value=values[0] if values else None,
            error=error,
            failed_task=kernel.failed_task.name if kernel.failed_task is not None else None,
            elapsed_ns=elapsed,
            steps=kernel.steps,
            log=collector.lines if collector is not None else [],
            schedule=lambda: Schedule.of(
                seed,
                name,
                tape,
                candidates,
                self._epoch_ns,
                self._limits.max_steps,
                known_points,
                document,
                self._named,
            ),
            outcome=Outcome(
                tape=tape,
                trace=kept,
                failed=error is not None,
                only_one=not decisions and not chance and not grown,
                fair=fairness.begun is not None,
                chance=chance,
                grown=grown,
            ),
            left_running=left,
            fair_from=fairness.begun,
            races=() if races is None else races.found,
        )

    def _main(self, kernel: Kernel, runtime: SimRuntime, values: list[Any], faults: Joining) -> None:
        """What CPython does with a program: run it, let executors and other threads finish, call exit functions."""
        __tracebackhide__ = True
        faults.begin()
        leaving: SystemExit | None = None
        try:
            values.append(_plain(self.program()))
        except SystemExit as error:
            leaving = error
        self._world.finish_executors()
        while (task := kernel.first_to_join()) is not None:
            join_task(kernel, task, None)
        kernel.touch("outlast", TASKS)
        runtime.exit()
        if self._points is not None:
            self._points.let_go()
        # Daemon threads may get another turn before the end, or not.
        kernel.point("exit")
        if leaving is not None and leaving.code not in {None, 0}:
            raise leaving


def _chance(seed: int, strategy: Strategy, decisions: int) -> bool:
    """Whether the program has drawn random numbers; it may be so, when nobody can make anything of the answer."""
    if decisions and not keeps_seed(strategy):
        return True
    return random.getstate() != random.Random(seed).getstate()  # noqa: S311 - the seeded one is what it is held against


def _instrumentation(program: Program, instrument: str | tuple[str, ...] | None) -> Instrumentation | None:
    if instrument is None:
        return None
    from routilux_sim.points.instrumentation import Instrumentation  # noqa: PLC0415 - needs more than most want

    return Instrumentation(program, instrument)


@contextmanager
def _points(
    instrumentation: Instrumentation | None, kernel: Kernel, points: dict[str, Any] | None
) -> Iterator[dict[str, Any] | None]:
    """Make accesses to memory scheduling points; gives what decides which, for the schedule."""
    if instrumentation is None:
        yield None
        return
    made = instrumentation.begin(kernel, None if points is None else points["shared"])
    try:
        yield made
    finally:
        instrumentation.end()


def _plain(value: Any) -> Any:
    if isawaitable(value):
        if isinstance(value, Coroutine):
            value.close()
        raise TypeError("the program is 'async def', so calling it ran nothing; give a plain function")
    return value


@contextmanager
def _garbage_kept_out() -> Iterator[None]:
    enabled = gc.isenabled()
    # What is there already need not be looked through after every few executions; who has frozen something has seen
    # to that, and unfreezing would undo it.
    freezing = gc.get_freeze_count() < FROZEN_AT_START
    if freezing:
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if freezing:
            gc.unfreeze()
        if enabled:
            gc.enable()
