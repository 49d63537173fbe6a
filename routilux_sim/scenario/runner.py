"""Running a scenario: simulate it under as many schedules as it asks for, and hold each against what must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from routilux import runtime as runtimes
from routilux_sim.execution import Execution
from routilux_sim.exploration import Failure, Report, explore
from routilux_sim.judge.verdict import Verdict
from routilux_sim.replay_files import ReplayFile
from routilux_sim.replays import replay as run_again
from routilux_sim.scenario.checks import (
    BrokenExpectationError,
    check_duration,
    check_flow,
    check_log,
    check_speedup,
    words_of_error,
)
from routilux_sim.scenario.model import Scenario
from routilux_sim.scenario.play import BrokenInvariantError, Played, Stage, play_flow, play_program
from routilux_sim.simulation import simulate

__all__ = ["Figures", "Outcome", "run_scenario", "staged"]


class Figures(NamedTuple):
    """What one execution came to.

    Attributes:
        status: The jobs' status; None of a plain program.
        duration: Virtual seconds.
        speedup: How many times as fast as under the other setting; None if that is not asked.
        difference: Where it left the observed order that it was to keep to; None: nowhere.
    """

    status: str | None
    duration: float
    speedup: float | None = None
    difference: str | None = None


class Outcome:
    """What came of a scenario.

    Attributes:
        verdict: As for `explore`. A scenario that must fail holds when it is ``failed``.
        problem: What does not hold, or why nothing can be said; None when all is as it must be.
        schedules: How many schedules ran.
        figures: Those of the last execution; None if none came to its end.
        samples: Those of every schedule that came to its end.
        execution: The failing execution, or the first one, with its log; None on real threads.
        simplest: The execution of the simplest schedule that fails; None if none failed or none was looked for.
        sentence: The simplest failing schedule in a sentence; None if none failed.
        failed_as: What it failed with, as it must; None if it must not fail, or has not.
    """

    def __init__(self, verdict: Verdict, problem: str | None, schedules: int) -> None:
        self.verdict = verdict
        self.problem = problem
        self.schedules = schedules
        self.figures: Figures | None = None
        self.samples: list[Figures] = []
        self.execution: Execution | None = None
        self.simplest: Execution | None = None
        self.sentence: str | None = None
        self.failed_as: str | None = None


def run_scenario(
    scenario: Scenario,
    seed: int | None = None,
    progress: Callable[[int], object] | None = None,
    *,
    schedules: int | None = None,
    replay: ReplayFile | None = None,
    check_determinism: bool = False,
    shrink: bool = True,
) -> Outcome:
    """Run a scenario under as many schedules as it asks for, and check what must hold after each.

    Args:
        scenario: What to run.
        seed: Instead of the scenario's own.
        progress: Called after each schedule with how many have run.
        schedules: How many at most, instead of the scenario's own.
        replay: The schedule to run, instead of what the scenario says.
        check_determinism: As for `explore`.
        shrink: As for `explore`; what must fail is not shrunk.
    """
    run = scenario.run
    run = run._replace(
        seed=run.seed if seed is None else seed,
        schedules=schedules or run.schedules,
        replay=replay or run.replay,
    )
    trial = _Trial(scenario._replace(run=run), progress, check_determinism)
    trial.shrink = shrink and scenario.expect.fails is None
    if run.clock == "real":
        outcome = trial.on_real_threads()
    elif run.replay is not None:
        outcome = trial.replayed(run.replay)
    else:
        outcome = trial.explored()
    outcome.figures, outcome.samples = trial.counted, trial.samples
    return outcome


class _Trial:
    """One scenario being run."""

    def __init__(self, scenario: Scenario, progress: Callable[[int], object] | None, check: bool) -> None:
        self._scenario = scenario
        self._progress = progress
        self._check = check
        self.shrink = True
        self.last: Figures | None = None
        self.counted: Figures | None = None
        self.samples: list[Figures] = []
        self._program, self._invariants = staged(scenario, self._note)

    def _note(self, figures: Figures | None) -> None:
        self.last = figures

    def _count(self, count: int) -> None:
        self.counted = self.last
        if self.last is not None:
            self.samples.append(self.last)
        if self._progress is not None:
            self._progress(count)

    # The three ways

    def on_real_threads(self) -> Outcome:
        """Run the program as it is, so many times."""
        runtime = runtimes.current()
        log = runtime.execution_log
        for count in range(1, self._scenario.run.schedules + 1):
            try:
                self._program()
            except Exception as error:  # noqa: BLE001 - the scenario's to judge
                self.counted = self.last
                return self._failed(error, None, count, None)
            finally:
                runtime.execution_log = log
            self._count(count)
        return self._held(Outcome("passed", None, self._scenario.run.schedules))

    def replayed(self, kept: ReplayFile) -> Outcome:
        """Run one schedule that was recorded."""
        execution = run_again(self._program, kept.path, invariants=self._invariants)
        self._count(1)
        error = execution.error
        if error is None:
            outcome = self._held(Outcome("passed", None, 1))
        elif execution.kind is None:
            outcome = Outcome("inconclusive", words_of_error(error), 1)
        else:
            outcome = self._failed(error, execution.kind, 1, None)
        outcome.execution = execution
        return outcome

    def explored(self) -> Outcome:
        """Run many schedules; with an observed order, first the one that keeps to it."""
        if self._scenario.observed:
            guided = self._explore("fifo", 1, check=False)
            difference = None if self.last is None else self.last.difference
            outcome = self._outcome(guided, "fifo")
            if guided.verdict not in {"passed", "exhausted"}:
                return outcome
            if difference is not None:
                outcome.verdict = "inconclusive"
                outcome.problem = f"the observed order does not come back: {difference}"
                return outcome
            if self._scenario.run.schedules == 1:
                return outcome
        strategy = self._scenario.run.strategy
        return self._outcome(self._explore(strategy, self._scenario.run.schedules, check=self._check), strategy)

    def _explore(self, strategy: str, schedules: int, *, check: bool) -> Report:
        run = self._scenario.run
        return explore(
            self._program,
            schedules=schedules,
            seed=run.seed,
            strategy=strategy,
            epoch=run.epoch,
            instrument=run.instrument,
            races=run.races,
            faults=self._scenario.faults or None,
            swarm=run.swarm,
            invariants=self._invariants,
            progress=self._count,
            check_determinism=check,
            shrink=self.shrink,
        )

    # What comes of it

    def _outcome(self, report: Report, strategy: str) -> Outcome:
        failure = report.failure
        if failure is not None:
            outcome = self._failed(failure.exception, failure.kind, report.schedules, failure)
            outcome.execution = failure.execution
            if failure.findings is not None and failure.findings.shrunk is not None:
                outcome.simplest = failure.findings.execution
            return outcome
        run = self._scenario.run
        # Explored without a log, for speed; the first schedule once more to have one.
        execution = simulate(
            self._program,
            seed=run.seed,
            strategy=strategy,
            epoch=run.epoch,
            instrument=None if run.instrument == "auto" else run.instrument,
            faults=self._scenario.faults or None,
            swarm=run.swarm,
            invariants=self._invariants,
        )
        outcome = Outcome(report.verdict, report.reason, report.schedules)
        if execution.error is not None and report.verdict != "inconclusive":
            outcome.verdict = "inconclusive"
            outcome.problem = (
                f"seed {run.seed} passed, and then gave {words_of_error(execution.error)}: the flow keeps state "
                "between runs"
            )
        elif report.verdict in {"passed", "exhausted"}:
            outcome.problem = None
            outcome = self._held(outcome)
        outcome.execution = execution
        return outcome

    def _held(self, outcome: Outcome) -> Outcome:
        """Nothing failed; that is a problem if something must."""
        fails = self._scenario.expect.fails
        if fails is not None:
            outcome.problem = f"no schedule of {outcome.schedules} failed, and one must, with {_words(fails.kind)}"
        return outcome

    def _failed(self, error: BaseException, kind: str | None, schedules: int, failure: Failure | None) -> Outcome:
        seed = "" if failure is None else f" (seed {failure.seed})"
        words = words_of_error(error)
        outcome = Outcome("failed", f"{words}{seed}", schedules)
        outcome.sentence = None if failure is None else failure.sentence
        fails = self._scenario.expect.fails
        if fails is None:
            return outcome
        if isinstance(error, BrokenExpectationError):
            kind = "invariant" if isinstance(error, BrokenInvariantError) else "expectation"
        kind = kind or "exception"
        if kind != fails.kind:
            outcome.problem = f"failed with {_words(kind)}, must fail with {_words(fails.kind)}: {words}{seed}"
        elif fails.message is not None and fails.message.search(str(error)) is None:
            outcome.problem = f"failed, but not with {fails.message.pattern!r}: {words}{seed}"
        else:
            outcome.problem = None
            outcome.failed_as = f"{kind}: {words.splitlines()[0]}{seed}"
        return outcome


def staged(
    scenario: Scenario, note: Callable[[Figures | None], None] = lambda _: None
) -> tuple[Callable[[], Any], list[Callable[[], object]]]:
    """What is run under each schedule of a scenario, and its invariants.

    Args:
        scenario: Which.
        note: Told what each execution came to.
    """
    # No methods of the trial's: what a program reaches is searched for code under test, and that object is none of it.
    stage = Stage()
    return _program(scenario, scenario.factory, note, stage), stage.invariants(scenario)


def _words(kind: str) -> str:
    words = {"exception": "an exception", "expectation": "a broken expectation", "invariant": "a broken invariant"}
    return words.get(kind, f"a {kind}")


def _program(
    scenario: Scenario, factory: Callable[..., Any], note: Callable[[Figures | None], None], stage: Stage
) -> Callable[[], Any]:
    """What is run under each schedule."""
    expect = scenario.expect

    def program() -> None:
        note(None)
        played = (
            play_program(scenario, factory) if scenario.is_program else play_flow(scenario, factory, {}, None, stage)
        )
        speedup = None
        if expect.speedup is not None:
            speedup = _speedup(scenario, factory, played, stage)
        difference = None
        if played.pacer is not None and played.pacer.keeps:
            difference = played.pacer.difference(scenario.observed)
        note(Figures(played.status, played.duration, speedup, difference))
        _check(scenario, played, speedup)

    return program


def _speedup(scenario: Scenario, factory: Callable[..., Any], played: Played, stage: Stage) -> float:
    setting = scenario.expect.speedup
    assert setting is not None  # noqa: S101 - else nobody would ask
    other = play_flow(scenario, factory, setting.arguments, setting.execution_strategy, stage)
    for name, ended in other.witness.ended.items():
        status = scenario.expect.statuses.get(name, scenario.expect.status)
        if ended.status != status:
            raise BrokenExpectationError(
                "speed-up",
                f"with {setting.over}, to compare with, status is {ended.status}, must be {status}",
            )
    return other.duration / played.duration if played.duration else float("inf")


def _check(scenario: Scenario, played: Played, speedup: float | None) -> None:
    expect = scenario.expect
    check_flow(expect, played.witness)
    check_duration("duration", played.duration, expect.duration)
    if expect.speedup is not None and speedup is not None:
        check_speedup(expect.speedup.over, speedup, expect.speedup.bounds)
    if played.log is not None:
        check_log(expect.log, played.log.lines)
    if expect.returns and played.value != expect.returns[0]:
        words = f"the program returned {played.value!r}, must return {expect.returns[0]!r}"
        raise BrokenExpectationError("returns", words)
