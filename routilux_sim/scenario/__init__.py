"""Scenario files: which flow or program to simulate, how, and what must hold. TOML, written by hand."""

from __future__ import annotations

from routilux_sim.scenario.model import Scenario, ScenarioError
from routilux_sim.scenario.reader import load_scenario
from routilux_sim.scenario.runner import Outcome, run_scenario, staged

__all__ = ["Outcome", "Scenario", "ScenarioError", "load_scenario", "run_scenario", "staged"]
