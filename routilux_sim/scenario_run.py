"""Running a scenario: simulate its flow, and hold what happened against what must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routilux.abc import Instrument
from routilux.engine.activation import Activation
from routilux.job_state import JobState
from routilux_sim.execution import Execution
from routilux_sim.exploration import explore
from routilux_sim.judge.verdict import Verdict
from routilux_sim.scenario import Delivery, Range, Scenario
from routilux_sim.simulation import simulate

__all__ = ["BrokenExpectationError", "Outcome", "run_scenario"]

Figures = dict[str, Any]


class BrokenExpectationError(AssertionError):
    """Something that a scenario says must hold does not."""


class Deliveries(Instrument):
    """Gathers what each slot's handler was given and completed with."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, Any]]] = []

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:  # noqa: ARG002
        """Note a completed activation."""
        if status == "completed":
            self.seen.append((activation.routine_id, activation.slot, activation.data))


class Outcome:
    """What came of a scenario.

    Attributes:
        verdict: As for `explore`.
        problem: What does not hold, or why nothing can be said; None when all is well.
        schedules: How many schedules ran.
        figures: ``status, duration`` (virtual seconds) and ``speedup`` of that execution.
        execution: The failing execution, or the first one, with its log.
        sentence: The simplest failing schedule in a sentence; None if none failed.
    """

    def __init__(
        self, verdict: Verdict, problem: str | None, schedules: int, figures: Figures, execution: Execution
    ) -> None:
        self.verdict = verdict
        self.problem = problem
        self.schedules = schedules
        self.figures = figures
        self.execution = execution
        self.sentence: str | None = None


def run_scenario(
    scenario: Scenario,
    seed: int | None = None,
    progress: Callable[[int], object] | None = None,
    *,
    check_determinism: bool = False,
) -> Outcome:
    """Simulate a scenario's flow under as many schedules as it asks for, and check what must hold after each.

    Args:
        scenario: What to run.
        seed: Instead of the scenario's own.
        progress: Called after each schedule with how many have run.
        check_determinism: As for `explore`.
    """
    first = scenario.seed if seed is None else seed
    figures: Figures = {}

    def program() -> None:
        found = _run_job(scenario, scenario.execution_strategy)
        if scenario.expect.speedup is not None:
            other = _run_job(scenario, scenario.expect.speedup_over)
            if other["status"] != scenario.expect.status:
                raise BrokenExpectationError(
                    f"with {scenario.expect.speedup_over}, to compare with, status is {other['status']}, "
                    f"must be {scenario.expect.status}"
                )
            found["speedup"] = other["duration"] / found["duration"] if found["duration"] else float("inf")
        figures.update(found)
        _check(scenario, found)

    report = explore(
        program,
        schedules=scenario.schedules,
        seed=first,
        strategy=scenario.strategy,
        progress=progress,
        check_determinism=check_determinism,
    )
    if report.failure is not None:
        problem = f"{_words(report.failure.exception)} (seed {report.failure.seed})"
        outcome = Outcome(report.verdict, problem, report.schedules, figures, report.failure.execution)
        outcome.sentence = report.failure.sentence
        return outcome
    # Explored without a log, for speed; the first schedule once more to have one.
    execution = simulate(program, seed=first, strategy=scenario.strategy)
    if execution.error is not None and report.verdict != "inconclusive":
        problem = f"seed {first} passed, and then gave {_words(execution.error)}: the flow keeps state between runs"
        return Outcome("inconclusive", problem, report.schedules, figures, execution)
    return Outcome(report.verdict, report.reason, report.schedules, figures, execution)


def _run_job(scenario: Scenario, strategy: str | None) -> Figures:
    import time  # noqa: PLC0415 - simulated here; the module is not for real time

    flow = scenario.factory(**scenario.arguments)
    deliveries = Deliveries()
    flow.add_instrument(deliveries)
    with flow:
        began = time.monotonic_ns()
        job = flow.execute(scenario.entry, scenario.params, execution_strategy=strategy, timeout=scenario.timeout)
        JobState.wait_for_completion(flow, job)
        ended = time.monotonic_ns()
    return {
        "status": job.status,
        "error": job.error,
        "duration": (ended - began) / 1e9,
        "delivered": deliveries.seen,
    }


def _check(scenario: Scenario, found: Figures) -> None:
    expect = scenario.expect
    if found["status"] != expect.status:
        because = f" ({_words(found['error'])})" if found["error"] is not None else ""
        raise BrokenExpectationError(f"status is {found['status']}{because}, must be {expect.status}")
    _check_range("duration", found["duration"], expect.duration, "virtual seconds")
    if expect.speedup is not None:
        _check_range(f"speed-up over {expect.speedup_over}", found["speedup"], expect.speedup, "times")
    for delivery in expect.delivered:
        _check_delivery(delivery, found["delivered"])


def _check_range(name: str, value: float, allowed: Range | None, unit: str) -> None:
    if allowed is not None and value not in allowed:
        raise BrokenExpectationError(f"{name} is {value:g} {unit}, must be {allowed}")


def _check_delivery(delivery: Delivery, seen: list[tuple[str, str, dict[str, Any]]]) -> None:
    place = f"{delivery.routine}.{delivery.slot}"
    got = [data for routine, slot, data in seen if (routine, slot) == (delivery.routine, delivery.slot)]
    if delivery.times is None and not got:
        raise BrokenExpectationError(f"{place} got nothing, must get at least one delivery")
    if delivery.times is not None and len(got) != delivery.times:
        raise BrokenExpectationError(f"{place} got {len(got)} deliveries, must get {delivery.times}")
    for data in got:
        difference = _difference(delivery.data, data, place)
        if difference is not None:
            raise BrokenExpectationError(difference)


def _difference(wanted: Any, found: Any, place: str) -> str | None:
    """Where ``found`` lacks something wanted; tables are compared key by key, everything else as a whole."""
    if not isinstance(wanted, dict):
        return None if wanted == found else f"{place} is {found!r}, must be {wanted!r}"
    if not isinstance(found, dict):
        return f"{place} is {found!r}, must be a table"
    for key, value in wanted.items():
        if key not in found:
            return f"{place} lacks {key!r}; it has: {', '.join(sorted(map(str, found)))}"
        difference = _difference(value, found[key], f"{place}[{key!r}]")
        if difference is not None:
            return difference
    return None


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, BrokenExpectationError) else f"{type(error).__name__}: {error}"
