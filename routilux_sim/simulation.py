"""`simulate`: run a program once in the simulated world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux_sim.determinism.check import check_again, execute_recorded
from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.faults.arming import FaultsGiven, arm
from routilux_sim.judge.invariants import Invariant
from routilux_sim.judge.races import RaceMode, policy_of
from routilux_sim.kernel.core import DEFAULT_EPOCH_NS, HANG_SECONDS, Limits
from routilux_sim.kernel.errors import NondeterminismError
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.strategy import Strategy, make_strategy
from routilux_sim.world.freezing import frozen_epoch_ns

if TYPE_CHECKING:
    from routilux_sim.findings import Findings

__all__ = ["Checked", "check_seed", "epoch_of", "simulate", "simulate_checked"]

# Bound before the simulated world takes its place.
_clock = perf_counter


def simulate(
    program: Program,
    *,
    seed: int = 0,
    strategy: str | Strategy = "random",
    max_steps: int = 1_000_000,
    max_seconds: float = 10 * 365 * 86_400.0,
    epoch: float | datetime | None = None,
    log: bool = True,
    hang_seconds: float | None = HANG_SECONDS,
    check_determinism: bool = False,
    instrument: Instrument = None,
    races: RaceMode | None = None,
    allow_races: Sequence[str] = (),
    faults: FaultsGiven = None,
    swarm: bool = False,
    invariants: Sequence[Invariant] = (),
) -> Execution:
    """Run ``program`` once on simulated threads, in virtual time.

    Args:
        program: A callable without arguments. Inside, plain ``threading``, ``queue``, ``time`` and routilux flows are
            simulated; so are threads that it starts.
        seed: Decides every interleaving and every random number. The same seed gives the same execution.
        strategy: What makes the decisions: ``"random"``, ``"fifo"`` or a `Strategy`.
        max_steps: Scheduling points and clock readings after which the run is given up as inconclusive.
        max_seconds: Virtual seconds after which it is.
        epoch: What the wall clock reads at the beginning: seconds since 1970, or a `datetime`, which without a time
            zone is local time, as ``datetime.now()`` gives it. If it is not given: where freezegun has the clock stand,
            or else the beginning of 2026.
        log: Whether to keep the execution log.
        hang_seconds: Real seconds that may go by without a step before the run is broken off as inconclusive, naming
            the call that it hangs in; None: any number.
        check_determinism: Run it a second time, and if the program does not do the same, let ``error`` be a
            `NondeterminismError` that says where and why; its ``__cause__`` is how the first run failed, if it did.
        instrument: Where accesses to memory that tasks share are scheduling points, too: ``"auto"`` for the program's
            own module and the modules of its project that it uses, or the names of modules and packages; None: nowhere.
        races: What is to be done about data races, which are two accesses to memory that nothing orders, one of them a
            write: ``"report"`` lists them in ``races``; ``"fail"`` ends the run at the first one, with a
            `DataRaceError`; None: they are not looked for.
            Accesses are those that ``instrument`` shows. The program runs once or more before, to learn what is shared.
        allow_races: Harmless ones, by what is accessed (``"Counter.value"``) or where (``"bank.py:12"``).
        faults: What may go wrong, and how long handlers take: a `FaultPlan`, or what `FaultPlan.from_dict` reads.
        swarm: Draw first which of the faults exist at all; and let threads stall, if the plan does not say when.
        invariants: Functions without arguments that are called inside the simulation at each step, before another task
            may run. One that returns something false (not None), or raises AssertionError, ends the run with an
            `InvariantError`. They must not wait; that they look is no step.

    Returns:
        What came of it. The program's exception is in ``error``, not raised.

    Raises:
        ValueError, TypeError: An unknown strategy, a seed that is no whole number, a limit that is not above 0, an
            epoch before 1970, invariants that are no functions, or a fault plan that is none.
        RuntimeError: Called inside a simulation, or while another thread simulates.
    """
    chosen = make_strategy(strategy)
    chosen.begin(check_seed(seed))
    limits = Limits(max_steps, max_seconds, hang_seconds)
    campaign = Campaign(
        program,
        limits,
        epoch_of(epoch),
        instrument,
        policy_of(races, allow_races),
        arm(faults, swarm),
        invariants=invariants,
    )
    with campaign.running():
        if races is not None and campaign.shared is not None:
            _find_shared(campaign, chosen, seed)
        if not check_determinism:
            return campaign.execute(chosen, seed, log=log, enabled=True)
        execution, found = _checked(campaign, chosen, seed, log)
        if found is not None:
            execution.error = found
        return execution


def _find_shared(campaign: Campaign, strategy: Strategy, seed: int) -> None:
    """Run the program until it is known what memory its tasks share: of the rest no accesses are noted.

    Leaves the strategy ready for the execution proper.
    """
    for _ in range(MOST_SCOUTS):
        grown = campaign.execute(strategy, seed).outcome.grown
        strategy.begin(seed)
        if not grown:
            return


MOST_SCOUTS = 4
"""More is shared in each of them than in the one before, but that comes to an end."""


class Checked(NamedTuple):
    """What running a program, and running it again, has come to.

    Attributes:
        execution: The first run, as it was.
        difference: What differed in the second; None if nothing did, or there was none.
        findings: What is known of its failure; None if it has not failed, or that was not wanted.
    """

    execution: Execution
    difference: NondeterminismError | None = None
    findings: Findings | None = None


def simulate_checked(
    program: Program,
    *,
    every: bool,
    is_failure: Callable[[BaseException], bool],
    on_failure: Callable[[Execution], object],
    seed: int,
    strategy: str | Strategy,
    max_steps: int,
    hang_seconds: float | None,
    epoch: float | datetime | None = None,
    instrument: Instrument = None,
    races: RaceMode | None = None,
    allow_races: Sequence[str] = (),
    faults: FaultsGiven = None,
    swarm: bool = False,
    invariants: Sequence[Invariant] = (),
    log: bool = False,
) -> Checked:
    """Run a program, and a second time if that is wanted or it fails; look into a failure that comes back.

    Args:
        program: As for `simulate`.
        every: Whether to run it twice in any case.
        is_failure: Tells failures from other exceptions that end a program.
        on_failure: Called with an execution that fails each time, before it is looked into.
        seed: Of both runs.
        strategy: Makes the first run's decisions.
        max_steps: For each run; so are ``hang_seconds``.
        hang_seconds: Real seconds.
        epoch: As for `simulate`.
        instrument: As for `simulate`.
        races: As for `simulate`; so is ``allow_races``.
        allow_races: Harmless races.
        faults: As for `simulate`; so is ``swarm``.
        swarm: Whether each execution draws which faults exist.
        invariants: As for `simulate`.
        log: Whether runs keep a log even where only the program can look at it.
    """
    chosen = make_strategy(strategy)
    chosen.begin(check_seed(seed))
    limits = Limits(max_steps, hang_seconds=hang_seconds)
    campaign = Campaign(
        program,
        limits,
        epoch_of(epoch),
        instrument,
        policy_of(races, allow_races),
        arm(faults, swarm),
        invariants=invariants,
        log=log,
    )
    with campaign.running():
        if races is not None and campaign.shared is not None:
            _find_shared(campaign, chosen, seed)
        if every:
            execution, difference = _checked(campaign, chosen, seed, log=True)
        else:
            execution, difference = campaign.execute(chosen, seed, log=True, enabled=True), None
        if execution.error is None or execution.kind is None or not is_failure(execution.error):
            return Checked(execution, difference)
        try:
            began = _clock()
            if not every:
                difference = check_again(campaign, execution)[1]
            if difference is None:
                on_failure(execution)
                if _clock() - began < SLOW:
                    return Checked(execution, None, _looked_into(campaign, execution))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a time limit, say; the failure is not to be lost over it
            execution.error.add_note(f"run again to see whether this comes back, it was broken off: {error}")
        return Checked(execution, difference)


SLOW = 1.5
"""Real seconds of a second run from which on there is no time for others that would make a failure simpler."""


def _looked_into(campaign: Campaign, execution: Execution) -> Findings:
    from routilux_sim.findings import investigate  # noqa: PLC0415 - only for failures

    return investigate(campaign, execution, simplify=True)


def _checked(
    campaign: Campaign, strategy: Strategy, seed: int, log: bool
) -> tuple[Execution, NondeterminismError | None]:
    """Run twice; what says nothing about the program in the first place is not run again."""
    execution, moments = execute_recorded(campaign, strategy, seed, log=log)
    if execution.verdict == "inconclusive":
        return execution, None
    return execution, check_again(campaign, execution, moments)[1]


def check_seed(seed: Any) -> int:
    """Return ``seed`` if it is a whole number from 0 up.

    Raises:
        ValueError: It is not.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0 up, not {seed!r}")
    return seed


def epoch_of(given: float | datetime | None) -> int:
    """What the wall clock reads at the beginning, in nanoseconds since 1970: what is given, frozen or usual.

    Raises:
        ValueError: It is not between the years 1970 and 9999.
        TypeError: It is neither a number nor a `datetime`.
    """
    if given is None:
        frozen = frozen_epoch_ns()
        return DEFAULT_EPOCH_NS if frozen is None else frozen
    if isinstance(given, datetime):
        seconds: Any = given.timestamp()
    else:
        seconds = given
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"epoch must be seconds since 1970 or a datetime, not {given!r}")
    if not 0 <= seconds < LATEST_EPOCH:
        raise ValueError(f"epoch must be between the years 1970 and 9999, not {given!r}")
    return round(seconds * 1e9)


LATEST_EPOCH = 253_402_300_800
"""The end of the year 9999, in seconds since 1970: what a `datetime` can hold."""
