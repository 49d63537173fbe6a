"""What an exploration came to, and how a program broke in it."""

from __future__ import annotations

from collections.abc import Sequence

from routilux_sim.coverage import Coverage
from routilux_sim.execution import Execution
from routilux_sim.explanation import explain, explain_findings, sentence_of
from routilux_sim.findings import Findings
from routilux_sim.judge.races import Race
from routilux_sim.judge.verdict import FailureKind, Verdict
from routilux_sim.kernel.errors import InconclusiveError, NondeterminismError
from routilux_sim.schedule import Schedule

__all__ = ["Failure", "Report"]


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
