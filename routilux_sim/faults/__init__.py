"""Faults as data: what may go wrong in a simulation, when, and where it bites."""

from routilux_sim.faults.distributions import Distribution, Latencies
from routilux_sim.faults.plan import Fault, FaultPlan

__all__ = ["Distribution", "Fault", "FaultPlan", "Latencies"]
