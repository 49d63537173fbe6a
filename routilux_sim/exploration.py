"""`explore`: run a program under many schedules, and stop at the first that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from routilux_sim.determinism.check import check_again, execute_recorded
from routilux_sim.determinism.moments import Moment
from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.explanation import explain
from routilux_sim.judge.verdict import FailureKind, Verdict, of_campaign
from routilux_sim.kernel.core import HANG_SECONDS, Limits
from routilux_sim.kernel.errors import InconclusiveError, NondeterminismError
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.schedule import Schedule
from routilux_sim.simulation import check_seed, epoch_of
from routilux_sim.strategy import Strategy, make_strategy

__all__ = ["Failure", "InconclusiveError", "Report", "explore"]

CONFIRMATIONS = 2
"""How many times a failure is replayed before it is reported."""

_clock = time.perf_counter


class Failure:
    """How a program broke.

    Attributes:
        kind: ``exception``, ``deadlock``, ``livelock``, ``race`` or ``invariant``.
        exception: The program's exception, or a `DeadlockError` that says who waits for whom.
        seed: ``simulate(program, seed=seed, strategy=…)`` runs it again.
        schedule: ``replay(program, schedule)`` runs it again, whatever the strategy.
        explanation: What happened, in words.
    """

    def __init__(self, execution: Execution, kind: FailureKind) -> None:
        assert execution.error is not None  # noqa: S101 - only failed executions get here
        self.kind: FailureKind = kind
        self.exception: BaseException = execution.error
        self.seed: int = execution.seed
        self.schedule: Schedule = execution.schedule
        self.execution: Execution = execution
        self.explanation: str = explain(execution)

    def __repr__(self) -> str:
        return f"<Failure {self.kind}: {self.exception!r}, seed {self.seed}>"


class Report:
    """What an exploration came to.

    Attributes:
        verdict: ``failed``, ``exhausted``, ``passed`` or ``inconclusive``; see `routilux_sim.judge.verdict`.
        schedules: How many ran.
        seconds: Real time that they took.
        virtual_seconds: Virtual time that went by in them.
        failure: What broke, or None.
        reason: Why the verdict is inconclusive, else None.
        nondeterminism: What differed when a schedule was run again, or None.
        unconfirmed: The failing execution that did not come back when it was, or None.
    """

    def __init__(
        self,
        *,
        verdict: Verdict,
        schedules: int,
        seconds: float,
        virtual_seconds: float,
        failure: Failure | None,
        reason: str | None,
        nondeterminism: NondeterminismError | None = None,
        unconfirmed: Execution | None = None,
    ) -> None:
        self.verdict = verdict
        self.schedules = schedules
        self.seconds = seconds
        self.virtual_seconds = virtual_seconds
        self.failure = failure
        self.reason = reason
        self.nondeterminism = nondeterminism
        self.unconfirmed = unconfirmed

    def raise_if_failed(self) -> None:
        """Raise the program's exception if an execution failed, with an explanation as its note.

        Raises:
            InconclusiveError: The verdict is ``inconclusive``, which is not a pass; a `NondeterminismError` when the
                program did not do the same twice, whose ``__cause__`` is the failure that did not come back.
        """
        if self.verdict == "failed" and self.failure is not None:
            error = self.failure.exception
            if self.failure.explanation not in getattr(error, "__notes__", ()):
                error.add_note(self.failure.explanation)
            raise error
        if self.nondeterminism is not None:
            raise self.nondeterminism
        if self.verdict == "inconclusive":
            raise InconclusiveError(self.reason or "the exploration was inconclusive")

    def __str__(self) -> str:
        text = f"{self.verdict}: {self.schedules} schedules in {self.seconds:.2f} s"
        if self.verdict == "passed":
            text += ", none failed"
        if self.failure is not None:
            text += f"\n{self.failure.explanation}"
        if self.reason is not None:
            text += f"\n{self.reason}"
        return text

    def __repr__(self) -> str:
        return f"<Report {self.verdict}, {self.schedules} schedules>"


def explore(
    program: Program,
    *,
    schedules: int = 1000,
    seconds: float | None = None,
    seed: int = 0,
    strategy: str | Strategy = "random",
    max_steps: int = 1_000_000,
    max_seconds: float = 10 * 365 * 86_400.0,
    epoch: float | None = None,
    progress: Callable[[int], object] | None = None,
    hang_seconds: float | None = HANG_SECONDS,
    check_determinism: bool = False,
    instrument: Instrument = None,
) -> Report:
    """Run ``program`` under many schedules; stop at the first failure, or when a budget is spent.

    A failure is run again twice before it is reported: decisions, candidates, state and end must be the same.

    Args:
        program: As for `simulate`; called once a schedule, so it must make its own state.
        schedules: How many to run at most.
        seconds: Real seconds after which no other is begun.
        seed: The n-th schedule (from 0) runs under ``seed + n``.
        strategy: What makes the decisions: ``"random"``, ``"fifo"`` or a `Strategy`.
        max_steps: As for `simulate`, for each execution; so are ``max_seconds`` and ``epoch``.
        max_seconds: Virtual seconds.
        epoch: Seconds since 1970.
        progress: Called after each schedule, in real time, with how many have run.
        hang_seconds: As for `simulate`, for each execution.
        check_determinism: Run every schedule a second time, and stop when the program does not do the same: the verdict
            is ``inconclusive`` then, and ``nondeterminism`` says where and why.
        instrument: As for `simulate`.

    Raises:
        ValueError, TypeError: An unknown strategy, or a budget that is not a number above 0.
        RuntimeError: Called inside a simulation, or while another thread simulates.
    """
    _check_budget(schedules, seconds)
    chosen = make_strategy(strategy)
    campaign = Campaign(program, Limits(max_steps, max_seconds, hang_seconds), epoch_of(epoch), instrument)
    search = _Search(campaign, chosen, check_seed(seed), schedules, seconds, progress, check_determinism)
    with campaign.running():
        return search.run()


def _check_budget(schedules: Any, seconds: Any) -> None:
    if isinstance(schedules, bool) or not isinstance(schedules, int) or schedules < 1:
        raise ValueError(f"schedules must be a whole number from 1 up, not {schedules!r}")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0):
        raise ValueError(f"seconds must be a number above 0 or None, not {seconds!r}")


class _Search:
    """One exploration under way."""

    def __init__(
        self,
        campaign: Campaign,
        strategy: Strategy,
        seed: int,
        schedules: int,
        seconds: float | None,
        progress: Callable[[int], object] | None,
        check: bool,
    ) -> None:
        self._campaign = campaign
        self._strategy = strategy
        self._seed = seed
        self._budget = schedules
        self._seconds = seconds
        self._progress = progress
        self._check = check
        self._count = 0
        self._had_choices = False
        self._virtual_ns = 0
        self._began = 0.0

    def run(self) -> Report:
        self._began = _clock()
        complete = False
        while self._count < self._budget and not self._late():
            seed = self._seed + self._count
            if not self._strategy.begin(seed):
                break
            execution, moments = self._execute(seed)
            self._count += 1
            self._virtual_ns += execution.elapsed_ns
            if self._progress is not None:
                self._progress(self._count)
            self._had_choices = self._had_choices or execution.decisions > 0
            if execution.error is not None:
                return self._broken(execution, moments)
            if self._check:
                _, found = check_again(self._campaign, execution, moments)
                if found is not None:
                    return self._report(inconclusive=True, reason=str(found), nondeterminism=found)
            if execution.is_only_one:
                if self._had_choices:
                    return self._report(
                        inconclusive=True,
                        reason=f"seed {seed} left nothing to choose, but an earlier schedule did: the program keeps "
                        "state from one schedule to the next; make it build all its state itself",
                    )
                complete = True
                break
        if not self._count:
            return self._report(inconclusive=True, reason="no schedule ran: the strategy had nothing to explore")
        return self._report(complete=complete)

    def _late(self) -> bool:
        return self._seconds is not None and self._count > 0 and _clock() - self._began >= self._seconds

    def _execute(self, seed: int) -> tuple[Execution, list[Moment] | None]:
        if self._check:
            return execute_recorded(self._campaign, self._strategy, seed)
        return self._campaign.execute(self._strategy, seed), None

    def _broken(self, execution: Execution, moments: list[Moment] | None) -> Report:
        if execution.kind is None:
            return self._report(inconclusive=True, reason=f"seed {execution.seed}: {execution.error}")
        again, found = check_again(self._campaign, execution, moments, times=CONFIRMATIONS)
        if found is None:
            return self._report(failed=True, failure=Failure(again, execution.kind))
        return self._report(
            failed=True,
            reason=f"seed {execution.seed} failed with {execution.error!r}, which did not come back:\n{found}",
            nondeterminism=found,
            unconfirmed=execution,
        )

    def _report(
        self,
        *,
        failed: bool = False,
        failure: Failure | None = None,
        inconclusive: bool = False,
        complete: bool = False,
        reason: str | None = None,
        nondeterminism: NondeterminismError | None = None,
        unconfirmed: Execution | None = None,
    ) -> Report:
        return Report(
            verdict=of_campaign(
                failed=failed, reproduced=failure is not None, inconclusive=inconclusive, complete=complete
            ),
            schedules=self._count,
            seconds=_clock() - self._began,
            virtual_seconds=self._virtual_ns / 1e9,
            failure=failure,
            reason=reason,
            nondeterminism=nondeterminism,
            unconfirmed=unconfirmed,
        )
