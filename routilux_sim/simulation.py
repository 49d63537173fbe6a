"""`simulate`: run a program once in the simulated world."""

from __future__ import annotations

from typing import Any

from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.kernel.core import DEFAULT_EPOCH_NS, HANG_SECONDS, Limits
from routilux_sim.strategy import Strategy, make_strategy
from routilux_sim.world.freezing import frozen_epoch_ns

__all__ = ["check_seed", "epoch_of", "simulate"]


def simulate(
    program: Program,
    *,
    seed: int = 0,
    strategy: str | Strategy = "random",
    max_steps: int = 1_000_000,
    max_seconds: float = 10 * 365 * 86_400.0,
    epoch: float | None = None,
    log: bool = True,
    hang_seconds: float | None = HANG_SECONDS,
) -> Execution:
    """Run ``program`` once on simulated threads, in virtual time.

    Args:
        program: A callable without arguments. Inside, plain ``threading``, ``queue``, ``time`` and routilux flows are
            simulated; so are threads that it starts.
        seed: Decides every interleaving and every random number. The same seed gives the same execution.
        strategy: What makes the decisions: ``"random"``, ``"fifo"`` or a `Strategy`.
        max_steps: Scheduling points and clock readings after which the run is given up as inconclusive.
        max_seconds: Virtual seconds after which it is.
        epoch: What ``time.time()`` reads at the beginning, in seconds since 1970; where freezegun has it stand, or else
            the beginning of 2026, if it is not given.
        log: Whether to keep the execution log.
        hang_seconds: Real seconds that may go by without a step before the run is broken off as inconclusive, naming
            the call that it hangs in; None: any number.

    Returns:
        What came of it. The program's exception is in ``error``, not raised.

    Raises:
        ValueError, TypeError: An unknown strategy, a seed that is no whole number, or a limit that is not above 0.
        RuntimeError: Called inside a simulation, or while another thread simulates.
    """
    chosen = make_strategy(strategy)
    chosen.begin(check_seed(seed))
    campaign = Campaign(program, Limits(max_steps, max_seconds, hang_seconds), epoch_of(epoch))
    with campaign.running():
        return campaign.execute(chosen, seed, log=log, enabled=True)


def check_seed(seed: Any) -> int:
    """Return ``seed`` if it is a whole number from 0 up.

    Raises:
        ValueError: It is not.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0 up, not {seed!r}")
    return seed


def epoch_of(seconds: float | None) -> int:
    """What the wall clock reads at the beginning, in nanoseconds since 1970: what is given, frozen or usual."""
    if seconds is not None:
        return round(seconds * 1e9)
    frozen = frozen_epoch_ns()
    return DEFAULT_EPOCH_NS if frozen is None else frozen
