"""`explore`: run a program under many schedules, and stop at the first that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from routilux_sim.coverage import Coverage
from routilux_sim.determinism.check import check_again
from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.explanation import explain, explain_findings, sentence_of
from routilux_sim.faults.arming import FaultsGiven, arm
from routilux_sim.findings import Findings, investigate
from routilux_sim.judge.invariants import Invariant
from routilux_sim.judge.races import Race, RaceMode, merge, policy_of
from routilux_sim.judge.verdict import FailureKind, Verdict, of_campaign, words_of_proof
from routilux_sim.kernel.core import HANG_SECONDS, Limits
from routilux_sim.kernel.errors import InconclusiveError, NondeterminismError
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.replays import rerun
from routilux_sim.schedule import Schedule
from routilux_sim.search import Row, Search
from routilux_sim.simulation import check_seed, epoch_of
from routilux_sim.strategy import Strategy, make_strategy
from routilux_sim.workers import check_can_share, check_workers, shared_rows

__all__ = ["Failure", "InconclusiveError", "Report", "explore"]

CONFIRMATIONS = 2
"""How many times a failure is replayed before it is reported."""

SLOW = 1.5
"""Real seconds of one execution from which on there is no time for others that would make it simpler."""

_clock = time.perf_counter


class Failure:
    """How a program broke.

    Attributes:
        kind: ``exception``, ``deadlock``, ``livelock``, ``race`` or ``invariant``.
        exception: The program's exception, or a `DeadlockError` that says who waits for whom.
        seed: What the program's randomness was seeded with. With ``"random"``, ``simulate(program, seed=seed)`` runs it
            again; what other strategies do depends on the executions before.
        strategy: The name of the strategy that found it: of the member, in a portfolio.
        schedule: ``replay(program, schedule)`` runs it again, whatever the strategy.
        shrunk: The simplest schedule that was found to fail in the same way; None without shrinking.
        sentence: That one in a sentence: what is not as under FIFO; None without shrinking.
        nearest_passing: A schedule that passes and differs from it in one decision; None if there is none at hand.
        findings: All that is known of it, piece by piece; None without shrinking.
        explanation: What happened, in words.
    """

    def __init__(
        self, execution: Execution, kind: FailureKind, strategy: str, findings: Findings | None = None
    ) -> None:
        assert execution.error is not None  # noqa: S101 - only failed executions get here
        self.kind: FailureKind = kind
        self.exception: BaseException = execution.error
        self.seed: int = execution.seed
        self.strategy = strategy
        self.schedule: Schedule = execution.schedule
        self.execution: Execution = execution
        self.findings = findings
        self.shrunk: Schedule | None = None
        self.sentence: str | None = None
        self.nearest_passing: Schedule | None = None
        if findings is None:
            self.explanation: str = explain(execution)
            return
        if findings.shrunk is not None:
            self.shrunk = findings.schedule
        if findings.nearest is not None:
            self.nearest_passing = findings.nearest.schedule
        self.sentence = sentence_of(findings)
        self.explanation = explain_findings(findings, execution)

    def __repr__(self) -> str:
        return f"<Failure {self.kind}: {self.exception!r}, seed {self.seed}>"


class Report:
    """What an exploration came to.

    Attributes:
        verdict: ``failed``, ``exhausted``, ``passed`` or ``inconclusive``; see `routilux_sim.judge.verdict`.
        schedules: How many ran.
        seconds: Real time that they took, without what was found out about a failure afterwards.
        virtual_seconds: Virtual time that went by in them.
        failure: What broke, or None.
        reason: Why the verdict is inconclusive, or a search that came to its end is no proof; else None.
        proof: What has been exhausted, in words; None if nothing has.
        coverage: How much of the program's schedule space was seen.
        strategies: How many schedules each strategy has made.
        races: The data races that were seen, each once, if they were looked for.
        nondeterminism: What differed when a schedule was run again, or None.
        unconfirmed: The failing execution that did not come back when it was, or None.
        cause: What ended the execution that the reason is of, or None.
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
        proof: str | None = None,
        coverage: Coverage | None = None,
        strategies: dict[str, int] | None = None,
        races: Sequence[Race] = (),
        nondeterminism: NondeterminismError | None = None,
        unconfirmed: Execution | None = None,
        cause: BaseException | None = None,
    ) -> None:
        self.verdict = verdict
        self.schedules = schedules
        self.seconds = seconds
        self.virtual_seconds = virtual_seconds
        self.failure = failure
        self.reason = reason
        self.proof = proof
        self.coverage = Coverage() if coverage is None else coverage
        self.strategies = {} if strategies is None else strategies
        self.races = tuple(races)
        self.nondeterminism = nondeterminism
        self.unconfirmed = unconfirmed
        self.cause = cause

    def raise_if_failed(self) -> None:
        """Raise the program's exception if an execution failed, with an explanation as its note.

        Raises:
            InconclusiveError: The verdict is ``inconclusive``, which is not a pass; a `NondeterminismError` when the
                program did not do the same twice, whose ``__cause__`` is the failure that did not come back.
        """
        __tracebackhide__ = True
        if self.verdict == "failed" and self.failure is not None:
            error = self.failure.exception
            if self.failure.explanation not in getattr(error, "__notes__", ()):
                error.add_note(self.failure.explanation)
            raise error
        if self.nondeterminism is not None:
            raise self.nondeterminism
        if self.verdict == "inconclusive":
            # Where the program stood, not where its report did.
            place = None if self.cause is None else self.cause.__traceback__
            raise InconclusiveError(self.reason or "the exploration was inconclusive").with_traceback(place)

    def __str__(self) -> str:
        text = f"{self.verdict}: {self.schedules} schedules in {self.seconds:.2f} s"
        if self.verdict == "passed":
            text += ", none failed"
        if self.proof is not None:
            text += f": {self.proof}"
        if self.coverage.schedules:
            at_its_end = self.proof is not None or (self.verdict == "passed" and self.reason is not None)
            text += f"\n{self.coverage.describe(self.schedules, complete=at_its_end)}"
        for race in self.races:
            if self.failure is None or self.failure.kind != "race":
                text += f"\n{race}"
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
    strategy: str | Strategy = "portfolio",
    max_steps: int = 1_000_000,
    max_seconds: float = 10 * 365 * 86_400.0,
    epoch: float | datetime | None = None,
    progress: Callable[[int], object] | None = None,
    hang_seconds: float | None = HANG_SECONDS,
    check_determinism: bool = False,
    races: RaceMode | None = None,
    allow_races: Sequence[str] = (),
    workers: int = 1,
    instrument: Instrument = "auto",
    shrink: bool = True,
    on_failure: Callable[[Execution], object] | None = None,
    faults: FaultsGiven = None,
    swarm: bool = False,
    invariants: Sequence[Invariant] = (),
    log: bool = False,
) -> Report:
    """Run ``program`` under many schedules; stop at the first failure, or when a budget is spent.

    A failure is run again twice before it is reported: decisions, candidates, state and end must be the same.

    Args:
        program: As for `simulate`; called once a schedule, so it must make its own state.
        schedules: How many to run at most.
        seconds: Real seconds after which no other is begun.
        seed: The n-th schedule (from 0) runs under ``seed + n``; those of ``"dfs"`` and ``"dpor"`` under ``seed``.
        strategy: What makes the decisions: ``"random"``, ``"pct"``, ``"pct:3"`` (with a depth), ``"pos"``, ``"surw"``,
            ``"mutation"``, ``"dfs"``, ``"dfs:2"`` (with the most preemptions), ``"dpor"``, ``"fifo"``, ``"portfolio"``
            (several of them) or a `Strategy`.
        max_steps: As for `simulate`, for each execution; so is ``max_seconds``.
        max_seconds: Virtual seconds.
        epoch: As for `simulate`.
        progress: Called after each schedule, in real time, with how many have run.
        hang_seconds: As for `simulate`, for each execution.
        check_determinism: Run every schedule a second time, and stop when the program does not do the same: the verdict
            is ``inconclusive`` then, and ``nondeterminism`` says where and why.
        races: As for `simulate`: ``"report"`` lists those of all schedules in ``races``, ``"fail"`` makes the first one
            a failure.
        allow_races: As for `simulate`.
        workers: How many processes, forked from this one, run the schedules. What comes of it does not depend on that,
            if the schedules share nothing and ``seconds`` are not what ends it.
        instrument: As for `simulate`.
        shrink: Look for the simplest schedule that fails in the same way, and for the nearest one that passes, for up
            to some seconds of real time: the program runs many times more.
        on_failure: Called with the failing execution as soon as it is sure to fail again, before it is shrunk.
        faults: As for `simulate`. ``"dfs"`` and ``"dpor"`` try what is only likely both ways.
        swarm: As for `simulate`: each schedule draws which of the faults exist.
        invariants: As for `simulate`, in each execution.
        log: Whether each execution keeps a log, for a program that looks at it; that takes time.

    Raises:
        ValueError, TypeError: An unknown strategy, a budget that is not a number above 0, or workers for a strategy
            whose schedules come out of each other.
        RuntimeError: Called inside a simulation, or while another thread simulates; or workers where there is no
            ``fork``, or where threads run, which would not be there in the workers.
    """
    _check_budget(schedules, seconds)
    check_workers(workers)
    chosen = make_strategy(strategy)
    limits = Limits(max_steps, max_seconds, hang_seconds)
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
    began = _clock()
    search = Search(
        campaign,
        chosen,
        check_seed(seed),
        schedules,
        lambda: seconds is not None and _clock() - began >= seconds,
        check_determinism,
    )
    exploration = _Exploration(campaign, search, progress, check_determinism)
    exploration.shrink = shrink
    exploration.on_failure = on_failure
    if workers == 1:
        with campaign.running():
            return exploration.run(search.rows())
    check_can_share(chosen, workers, check_determinism)
    with shared_rows(campaign, search, workers) as rows, campaign.running():
        return exploration.run(rows)


def _check_budget(schedules: Any, seconds: Any) -> None:
    if isinstance(schedules, bool) or not isinstance(schedules, int) or schedules < 1:
        raise ValueError(f"schedules must be a whole number from 1 up, not {schedules!r}")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0):
        raise ValueError(f"seconds must be a number above 0 or None, not {seconds!r}")


class _Exploration:
    """One exploration under way."""

    def __init__(
        self, campaign: Campaign, search: Search, progress: Callable[[int], object] | None, check: bool
    ) -> None:
        self._campaign = campaign
        self._search = search
        self._progress = progress
        self._check = check
        self.shrink = True
        self.on_failure: Callable[[Execution], object] | None = None
        self._count = 0
        self._counts: dict[str, int] = {}
        self._coverage = Coverage()
        self._virtual_ns = 0
        self._races: list[Race] = []
        self._unfair: str | None = None
        self._began = _clock()
        self._seconds: float | None = None

    def run(self, rows: Iterable[Row]) -> Report:
        """Judge the schedules as they come."""
        for row in rows:
            self._count += 1
            self._counts[row.strategy] = self._counts.get(row.strategy, 0) + 1
            self._virtual_ns += row.elapsed_ns
            if row.footprint is not None:
                self._coverage.add(row.footprint)
            merge(self._races, row.races)
            if self._progress is not None:
                self._progress(self._count)
            if row.is_unfair:
                # It says nothing about the program; others may fail.
                self._unfair = self._unfair or f"seed {row.seed}: {row.error}"
                continue
            if row.error is not None:
                return self._broken(row)
            if self._check and row.execution is not None:
                _, found = check_again(self._campaign, row.execution, row.moments)
                if found is not None:
                    return self._report(inconclusive=True, reason=str(found), nondeterminism=found)
            if row.only_one:
                return self._only_one(row)
        return self._ended()

    def _ended(self) -> Report:
        """No schedule is left, or no time."""
        doubt = self._search.doubt or self._unfair
        if doubt is not None:
            return self._report(inconclusive=True, reason=doubt)
        if not self._count:
            return self._report(inconclusive=True, reason="no schedule ran: the strategy had nothing to explore")
        return self._report(proof=self._search.proof)

    def _only_one(self, row: Row) -> Report:
        if self._count == 1:
            return self._report(proof="")
        return self._report(
            inconclusive=True,
            reason=f"seed {row.seed} left nothing to choose, but an earlier schedule did: the program keeps "
            "state from one schedule to the next; make it build all its state itself",
        )

    def _broken(self, row: Row) -> Report:
        execution = row.execution
        if execution is None:
            # It ran in another process.
            execution = rerun(self._campaign, row.schedule, log=False)
            if execution.error is None:
                return self._report(
                    failed=True,
                    reason=f"seed {row.seed} failed in a worker process with {row.error}, which did not come back",
                )
        if execution.kind is None:
            error = execution.error
            return self._report(inconclusive=True, reason=f"seed {execution.seed}: {error}", cause=error)
        began = _clock()
        again, found = check_again(self._campaign, execution, row.moments, times=CONFIRMATIONS)
        took = (_clock() - began) / CONFIRMATIONS
        if found is None:
            self._seconds = _clock() - self._began
            again.schedule.strategy = row.strategy
            if self.on_failure is not None:
                self.on_failure(again)
            findings = self._investigate(again) if self.shrink and took < SLOW else None
            failure = Failure(again, execution.kind, row.strategy, findings)
            if self.shrink and took >= SLOW:
                failure.explanation += f"\nnot shrunk: an execution takes {took:.1f} real seconds"
            return self._report(failed=True, failure=failure)
        return self._report(
            failed=True,
            reason=f"seed {execution.seed} failed with {execution.error!r}, which did not come back:\n{found}",
            nondeterminism=found,
            unconfirmed=execution,
        )

    def _investigate(self, execution: Execution) -> Findings | None:
        try:
            return investigate(self._campaign, execution, simplify=True)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a time limit, say; the failure is not to be lost over it
            assert execution.error is not None  # noqa: S101 - it has failed
            execution.error.add_note(f"looking for a simpler schedule was broken off: {error!r}")
            return None

    def _words(self, bound: str) -> str:
        return words_of_proof(bound, self._campaign.granularity, reduced=self._search.reduced)

    def _report(
        self,
        *,
        failed: bool = False,
        failure: Failure | None = None,
        inconclusive: bool = False,
        proof: str | None = None,
        reason: str | None = None,
        nondeterminism: NondeterminismError | None = None,
        unconfirmed: Execution | None = None,
        cause: BaseException | None = None,
    ) -> Report:
        unseen = self._campaign.unseen if proof is not None and self._search.reduced else None
        if unseen is not None:
            reason = f"every order that was known to matter has run, which is no proof: {unseen}"
        verdict = of_campaign(
            failed=failed, reproduced=failure is not None, inconclusive=inconclusive, proof=proof, unseen=unseen
        )
        return Report(
            verdict=verdict,
            schedules=self._count,
            seconds=_clock() - self._began if self._seconds is None else self._seconds,
            virtual_seconds=self._virtual_ns / 1e9,
            failure=failure,
            reason=reason,
            proof=self._words(proof) if proof is not None and verdict == "exhausted" else None,
            coverage=self._coverage,
            strategies=self._counts,
            races=self._races,
            nondeterminism=nondeterminism,
            unconfirmed=unconfirmed,
            cause=cause,
        )
