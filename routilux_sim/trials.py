"""Running a program under plans, within a budget: what shrinking and the search for a passing schedule are made of."""

from __future__ import annotations

import time
from typing import NamedTuple

from routilux_sim.execution import Campaign, Execution
from routilux_sim.faults.labels import is_fault
from routilux_sim.judge.signature import Signature, signature_of
from routilux_sim.schedule import Schedule
from routilux_sim.strategy import Strategy
from routilux_sim.strategy.guided import DRAW, OPEN, Anchor, Choice, GuidedStrategy, Ledger, Plan
from routilux_sim.strategy.recording import RecordingStrategy
from routilux_sim.strategy.replay import ReplayStrategy

__all__ = ["Budget", "BudgetSpentError", "Size", "Trial", "Trials"]

# Bound before the simulated world takes its place.
_clock = time.perf_counter


class BudgetSpentError(Exception):
    """No further trial may be made."""


class Budget:
    """How much may be tried.

    Executions and steps are what usually ends it: they are the same each time. Real time is for programs that are slow.

    Args:
        executions: At most.
        steps: In all executions together.
        seconds: Real time.

    Attributes:
        used: How many executions have been.
        late: Whether it was real time that ended it, so that another machine may come to more or less.
    """

    def __init__(self, executions: int = 2_000, steps: int = 2_000_000, seconds: float = 3.0) -> None:
        self.executions = executions
        self.steps = steps
        self.seconds = seconds
        self.used = 0
        self.late = False
        self._ends = _clock() + seconds

    def spend(self) -> None:
        """Take one execution.

        Raises:
            BudgetSpentError: There is none left.
        """
        if self.used >= self.executions or self.steps <= 0:
            raise BudgetSpentError
        if _clock() >= self._ends:
            self.late = True
            raise BudgetSpentError
        self.used += 1


class Size(NamedTuple):
    """How large an execution's schedule is; the smaller one compares as less.

    Attributes:
        faults: What went wrong on purpose.
        preemptions: Tasks that could have gone on, and did not.
        deviations: Decisions that are not the plain choice, those among them.
        steps: Of the execution.
        tasks: How many tasks had something to decide.
        values: How far the choices are from the plain one.
        room: Less, the later the deviations come: those that come late stand beside what they bring about.
    """

    faults: int
    preemptions: int
    deviations: int
    steps: int
    tasks: int
    values: int
    room: int


class Trial:
    """What one execution under a plan came to. It does not keep the execution, and with it the program's objects.

    Attributes:
        choices: Its decisions, as far as a plan could make them.
        plan: Those that were not the plain choice.
        places: Their indices.
        signature: How it failed; None if it did not.
        passed: Whether it passed: one that says nothing about the program neither fails nor passes.
        size: Of its schedule.
        missed: How much of the plan could not be done.
    """

    def __init__(self, execution: Execution, choices: list[Choice], chosen: list[int], missed: int = 0) -> None:
        self.choices = choices
        self.missed = missed
        self.signature: Signature | None = signature_of(execution.error)
        self.passed = execution.verdict == "passed"
        taken = [index for index, value in enumerate(chosen) if value]
        self.plan: dict[Anchor, int] = {choices[at].anchor: choices[at].options[chosen[at]] for at in taken}
        self.places: dict[Anchor, int] = {choices[at].anchor: at for at in taken}
        self.size = Size(
            faults=sum(choices[at].anchor.kind == DRAW and is_fault(choices[at].anchor.label) for at in taken),
            preemptions=sum(choices[at].anchor.kind == OPEN for at in taken),
            deviations=len(taken),
            steps=execution.steps,
            tasks=len({choice.maker for choice in choices}),
            values=sum(chosen[at] for at in taken),
            room=sum(len(choices) - at for at in taken),
        )


class Trials:
    """Makes trials with one program under one seed.

    Args:
        campaign: Of the program; it must be running.
        schedule: Where the trials start from.
        budget: How many there may be.
    """

    def __init__(self, campaign: Campaign, schedule: Schedule, budget: Budget) -> None:
        self._campaign = campaign
        self._schedule = schedule
        self._budget = budget
        self._tried: set[int] = set()

    def original(self) -> Trial:
        """Run the schedule itself."""
        ledger = Ledger()
        strategy = RecordingStrategy(ReplayStrategy(self._schedule), ledger)
        strategy.begin(self._schedule.seed)
        self._budget.spend()
        execution = self._execute(strategy)
        return Trial(execution, ledger.choices, [step.value for step in self._schedule.steps][: len(ledger.choices)])

    def run(self, plan: Plan, *, insists: bool = False) -> Trial | None:
        """Run the program under a plan; None if that has been done before.

        Raises:
            BudgetSpentError: There is nothing left of the budget.
        """
        key = hash((frozenset(plan.items()), insists))
        if key in self._tried:
            return None
        self._budget.spend()
        self._tried.add(key)
        return self.record(plan, enabled=False, insists=insists)[0]

    def record(self, plan: Plan, *, enabled: bool = True, insists: bool = False) -> tuple[Trial, Execution]:
        """Run the program under a plan, whatever the budget, and note who could have run at each decision."""
        ledger = Ledger()
        strategy = GuidedStrategy(plan, ledger, insists=insists)
        execution = self._execute(strategy, enabled=enabled)
        return Trial(execution, ledger.choices, strategy.chosen, strategy.missed), execution

    def _execute(self, strategy: Strategy, *, enabled: bool = False) -> Execution:
        # What memory is known to be shared decides which accesses are scheduling points.
        points = self._schedule.points
        execution = self._campaign.execute(strategy, self._schedule.seed, enabled=enabled, points=points)
        self._budget.steps -= execution.steps
        return execution
