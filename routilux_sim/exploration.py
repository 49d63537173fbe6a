"""`explore`: run a program under many schedules, and stop at the first that breaks it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from datetime import datetime
from typing import Any

from routilux_sim.campaigns.crews import Executor
from routilux_sim.campaigns.outset import check_settles, check_shard, crew_of, opened, settings_of
from routilux_sim.campaigns.parts import Stop
from routilux_sim.campaigns.running import Keeper, Shared, run_share
from routilux_sim.campaigns.targets import Target
from routilux_sim.coverage import Coverage
from routilux_sim.determinism.check import check_again
from routilux_sim.execution import Campaign, Execution, Program
from routilux_sim.faults.arming import FaultsGiven, arm
from routilux_sim.findings import Findings, investigate
from routilux_sim.judge.invariants import Invariant
from routilux_sim.judge.races import Race, RaceMode, merge, policy_of
from routilux_sim.judge.verdict import of_campaign, words_of_proof
from routilux_sim.judgement import Failure, Report
from routilux_sim.kernel.core import HANG_SECONDS, Limits
from routilux_sim.kernel.errors import InconclusiveError, NondeterminismError
from routilux_sim.points.code_under_test import Instrument, check_instrument
from routilux_sim.replays import rerun
from routilux_sim.search import Row, Search
from routilux_sim.simulation import check_seed, epoch_of
from routilux_sim.strategy import Strategy, make_strategy
from routilux_sim.strategy._protocol import settles
from routilux_sim.workers import check_can_share, check_workers, shared_rows

__all__ = ["Failure", "InconclusiveError", "Report", "explore"]

CONFIRMATIONS = 2
"""How many times a failure is replayed before it is reported."""

SLOW = 1.5
"""Real seconds of one execution from which on there is no time for others that would make it simpler."""

_clock = time.perf_counter


def explore(
    program: Program | str,
    *,
    schedules: int = 1000,
    seconds: float | None = None,
    seed: int = 0,
    strategy: str | Strategy | None = None,
    max_steps: int = 1_000_000,
    max_seconds: float = 10 * 365 * 86_400.0,
    epoch: float | datetime | None = None,
    progress: Callable[[int], object] | None = None,
    hang_seconds: float | None = HANG_SECONDS,
    check_determinism: bool = False,
    races: RaceMode | None = None,
    allow_races: Sequence[str] = (),
    workers: int | None = None,
    instrument: Instrument = "auto",
    shrink: bool = True,
    on_failure: Callable[[Execution], object] | None = None,
    faults: FaultsGiven = None,
    swarm: bool = False,
    invariants: Sequence[Invariant] = (),
    log: bool = False,
    executor: Executor | None = None,
    campaign_file: str | os.PathLike[str] | None = None,
    shard: tuple[int, int] | None = None,
) -> Report:
    """Run ``program`` under many schedules; stop at the first failure, or when a budget is spent.

    A failure is run again twice before it is reported: decisions, candidates, state and end must be the same.

    Args:
        program: As for `simulate`; called once a schedule, so it must make its own state. Or its import path,
            ``"package.module:function"``.
        schedules: How many to run at most.
        seconds: Real seconds after which no other is begun.
        seed: The n-th schedule (from 0) runs under ``seed + n``; those of ``"dfs"`` and ``"dpor"`` under ``seed``.
        strategy: What makes the decisions: ``"random"``, ``"pct"``, ``"pct:3"`` (with a depth), ``"pos"``, ``"surw"``,
            ``"mutation"``, ``"dfs"``, ``"dfs:2"`` (with the most preemptions), ``"dpor"``, ``"fifo"``, ``"portfolio"``
            (several of them, and more of those that find something), ``"mix"`` (several by turns) or a `Strategy`.
            None: ``"portfolio"``, or ``"mix"`` along with ``executor``, ``campaign_file`` or ``shard``.
        max_steps: As for `simulate`, for each execution; so is ``max_seconds``.
        max_seconds: Virtual seconds.
        epoch: As for `simulate`.
        progress: Called after each schedule, or each few where processes share them, in real time, with how many have
            run.
        hang_seconds: As for `simulate`, for each execution.
        check_determinism: Run every schedule a second time, and stop when the program does not do the same: the verdict
            is ``inconclusive`` then, and ``nondeterminism`` says where and why.
        races: As for `simulate`: ``"report"`` lists those of all schedules in ``races``, ``"fail"`` makes the first one
            a failure.
        allow_races: As for `simulate`.
        workers: How many processes, forked from this one, run the schedules; or how many an executor has, if it does
            not tell. What comes of it does not depend on that, if the schedules share nothing and ``seconds`` are not
            what ends it. None: one; or as many as the executor has.
        instrument: As for `simulate`.
        shrink: Look for the simplest schedule that fails in the same way, and for the nearest one that passes, for up
            to some seconds of real time: the program runs many times more.
        on_failure: Called with the failing execution as soon as it is sure to fail again, before it is shrunk.
        faults: As for `simulate`. ``"dfs"`` and ``"dpor"`` try what is only likely both ways.
        swarm: As for `simulate`: each schedule draws which of the faults exist.
        invariants: As for `simulate`, in each execution.
        log: Whether each execution keeps a log, for a program that looks at it; that takes time.
        executor: Runs the schedules, in chunks of about a second: anything with ``submit(fn, *args)`` that returns a
            future, as a `ProcessPoolExecutor`, Dask's ``client.get_executor()`` or `RayExecutor` has; or a function
            without arguments that makes one, which is called again when a process's death has broken it. It stands for
            independent strategies only: ``"mix"``, ``"random"``, ``"pct"``, ``"pos"``, ``"surw"`` and ``"fifo"``. The
            program goes to it by its import path if it has one, else pickled.
        campaign_file: A file that is kept of what has run, about every second; the same exploration goes on with what
            is in it. For the same strategies.
        shard: ``(3, 8)``: run the third of eight shares of the schedules only; the first 256 are run by all, to learn
            from. For the same strategies.

    Raises:
        ValueError, TypeError: An unknown strategy, a budget that is not a number above 0, or workers for a strategy
            whose schedules come out of each other; a program that cannot go to the executor.
        CampaignFileError: The file is no campaign file, or one of another exploration.
        RuntimeError: Called inside a simulation, or while another thread simulates; or workers where there is no
            ``fork``, or where threads run, which would not be there in the workers; or a broken executor that cannot be
            made again.
    """
    _check_budget(schedules, seconds)
    if workers is not None:
        check_workers(workers)
    in_chunks = [
        f"{name}={value!r}"
        for name, value in (("executor", executor), ("campaign_file", campaign_file), ("shard", shard))
        if value is not None
    ]
    named = strategy or ("mix" if in_chunks else "portfolio")
    chosen = make_strategy(named)
    armed = arm(faults, swarm)
    path = program if isinstance(program, str) else None
    target = Target(
        path,
        None if isinstance(program, str) else program,
        os.getcwd(),
        Limits(max_steps, max_seconds, hang_seconds),
        epoch_of(epoch),
        check_instrument(instrument),
        policy_of(races, allow_races),
        None if armed is None else armed.document,
        tuple(invariants),
        log,
    )
    campaign = target.campaign()
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
    if in_chunks:
        check_settles(chosen, named if isinstance(named, str) else chosen.name, in_chunks[0], check_determinism)
    elif workers in {None, 1}:
        with campaign.running():
            return exploration.run(search.rows())
    if in_chunks or (settles(chosen) and not check_determinism):
        settings = settings_of(target, seed, schedules, named)
        place = None if campaign_file is None else os.fspath(campaign_file)
        kept = opened(target, campaign.program, settings, check_shard(shard, schedules), place)
        keeper = Keeper(kept, place, progress)
        with closing(crew_of(campaign, target, executor, workers)) as crew:
            share = run_share(search, crew, keeper, lambda: None if seconds is None else seconds - (_clock() - began))
        with nullcontext() if share.stop is None else campaign.running():
            report = exploration.add_up(share, kept.seconds)
        if share.stop is not None:
            keeper.tell(share.stop.number, report.verdict, str(report))
        return report
    assert workers is not None  # noqa: S101 - there is more than one
    check_can_share(chosen, workers, check_determinism)
    with shared_rows(campaign, search, workers) as rows, campaign.running():
        return exploration.run(rows)


def _lost(seed: int, error: str | None) -> str:
    return f"seed {seed} failed in a worker process with {error}, which did not come back"


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

    def add_up(self, shared: Shared, seconds: float) -> Report:
        """Judge what a share of the schedules has come to, which has taken so many seconds."""
        for part in shared.parts:
            self._count += part.count
            for name, count in part.strategies.items():
                self._counts[name] = self._counts.get(name, 0) + count
            self._virtual_ns += part.virtual_ns
            self._coverage.add_all(part.kinds, part.pairs)
            merge(self._races, part.races)
            if part.unfair is not None:
                number, error = part.unfair
                self._unfair = self._unfair or f"seed {self._search.seed_of(number)}: {error}"
        self._seconds = seconds
        stop = shared.stop
        if stop is None or stop.kind == "over":
            return self._ended()
        if stop.kind == "killed":
            return self._report(inconclusive=True, reason=self._words_of_killing(stop))
        row = self._search.run(stop.number)
        if stop.kind == "only-one" and row is not None and row.only_one:
            return self._only_one(row)
        if row is None or row.error is None or row.is_unfair:
            return self._report(failed=True, reason=_lost(self._search.seed_of(stop.number), stop.error))
        return self._broken(row)

    def _words_of_killing(self, stop: Stop) -> str:
        return (
            f"seed {self._search.seed_of(stop.number)} ends the process that runs it ({stop.error}), each time and "
            "with nothing else in it; what the program calls does that: see what, with faulthandler and that seed alone"
        )

    def _ended(self) -> Report:
        """No schedule is left, or no time."""
        doubt = self._search.doubt or self._unfair
        if doubt is not None:
            return self._report(inconclusive=True, reason=doubt)
        if not self._count:
            return self._report(inconclusive=True, reason="no schedule ran: the strategy had nothing to explore")
        return self._report(proof=self._search.proof)

    def _only_one(self, row: Row) -> Report:
        if not row.number:
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
                return self._report(failed=True, reason=_lost(row.seed, row.error))
        if execution.kind is None:
            error = execution.error
            return self._report(inconclusive=True, reason=f"seed {execution.seed}: {error}", cause=error)
        began = _clock()
        again, found = check_again(self._campaign, execution, row.moments, times=CONFIRMATIONS)
        took = (_clock() - began) / CONFIRMATIONS
        if found is None:
            if self._seconds is None:
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
