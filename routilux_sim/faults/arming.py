"""From a plan to what an execution can do: its exceptions are found, and what cannot happen is left out."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from routilux.loading import load_callable
from routilux_sim.faults.distributions import Distribution
from routilux_sim.faults.labels import duration_of
from routilux_sim.faults.plan import Fault, FaultPlan, Spurious, Stall

__all__ = ["Armed", "ArmedFault", "FaultsGiven", "arm", "error_of"]

FaultsGiven = FaultPlan | Mapping[str, Any] | None
"""How somebody may give a plan."""

SWARM_STALL = Stall(by=Distribution("empirical", (0.1, 0.01, 1.0, 10.0)), probability=0.01, times=2)
"""What swarm mode adds to a plan without stalls: threads are slow at times."""

SWARM_SPURIOUS = Spurious(probability=0.1)
"""What it has besides where there is no plan."""


class ArmedFault(NamedTuple):
    """A fault that may come.

    Attributes:
        fault: As it was planned.
        place: Where it is among those of its kind in the plan.
        error: Makes the exception; None: it raises nothing.
        error_name: What that one is called.
        duration: How long it lasts, if it does so at all.
    """

    fault: Fault
    place: int
    error: Callable[[], Exception] | None
    error_name: str
    duration: Distribution | None

    @property
    def levels(self) -> int:
        """In how many ways it may come."""
        return 1 if self.duration is None else self.duration.levels


class Armed:
    """A plan that is ready.

    Args:
        plan: What may go wrong.
        swarm: Whether each execution draws which of the faults exist.

    Attributes:
        plan: As given.
        faults: Those that may come, in the plan's order.
        latencies: How long handlers take.
        swarm: As given.
        document: The plan and ``swarm`` as plain data, for schedules.
    """

    def __init__(self, plan: FaultPlan, swarm: bool) -> None:
        self.plan = plan
        self.latencies = plan.latencies
        self.swarm = swarm
        self.document: dict[str, Any] = {"plan": plan.to_dict(), "swarm": swarm}
        self.faults: list[ArmedFault] = []
        for kind, index, fault in plan.numbered():
            error = _error_of(fault, f"faults.{kind}[{index}]")
            if fault.probability > 0:
                name = (fault.error_name or "").rpartition(":")[2]
                self.faults.append(ArmedFault(fault, index, error, name, duration_of(fault)))

    def of(self, kind: str) -> list[tuple[int, ArmedFault]]:
        """The faults of a kind, with their numbers."""
        return [(number, armed) for number, armed in enumerate(self.faults) if armed.fault.kind == kind]

    def __bool__(self) -> bool:
        return bool(self.faults or self.latencies)


def arm(given: FaultsGiven, swarm: bool = False) -> Armed | None:
    """Make a plan ready for executions; None if nothing can come of it.

    Args:
        given: The plan, or the data that `FaultPlan.from_dict` reads.
        swarm: Whether each execution draws which of the faults exist; then there are stalls, too.

    Raises:
        ValueError: It is no plan, or names an exception that is none or cannot be made of a message alone.
    """
    if not isinstance(swarm, bool):
        raise ValueError(f"swarm must be True or False, not {swarm!r}")  # noqa: TRY004 - as for what files say
    plan = FaultPlan() if given is None else FaultPlan.from_dict(given)
    if swarm:
        added = [] if any(fault.kind == "stall" for fault in plan.faults) else [SWARM_STALL]
        if given is None:
            added.append(SWARM_SPURIOUS)  # type: ignore[arg-type] # a list of faults
        plan = FaultPlan((*plan.faults, *added), plan.latencies)
    armed = Armed(plan, swarm)
    return armed or None


def _error_of(fault: Fault, place: str) -> Callable[[], Exception] | None:
    if fault.error_name is None:
        return None
    try:
        return error_of(fault.error_name, getattr(fault, "message", ""))
    except ValueError as error:
        raise ValueError(f"{place}.error: {error}") from error


def error_of(name: str, message: str) -> Callable[[], Exception]:
    """Find what makes an exception.

    Args:
        name: A built-in one's, or an import path.
        message: What each says that is made.

    Raises:
        ValueError: There is none of that name, or it cannot be made of a message alone.
    """
    kind: Any = load_callable(name) if ":" in name else getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise ValueError(f"must name an exception, not {kind!r}")  # noqa: TRY004 - as for what files say

    def make() -> Exception:
        made: Exception = kind(message)
        return made

    try:
        make()
    except Exception as error:
        raise ValueError(
            f"{name!r} cannot be made of a message alone ({type(error).__name__}: {error}); name another one, or "
            "derive one from it that can"
        ) from error
    return make
