"""One marked test: runs it, judges what came of it, and says so where pytest will show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import pytest

from routilux_sim import given, pytest_points, pytest_races
from routilux_sim import pytest_determinism as determinism
from routilux_sim.pytest_commands import naming, replaying, seen
from routilux_sim.pytest_first import first_of
from routilux_sim.pytest_fixture import Sim
from routilux_sim.pytest_options import DRAWING, artifacts_folder, chosen, command_options, setting
from routilux_sim.pytest_progress import Progress
from routilux_sim.pytest_summary import figures_of

if TYPE_CHECKING:
    from routilux_sim.artifacts import Artifacts
    from routilux_sim.execution import Execution
    from routilux_sim.exploration import Report
    from routilux_sim.findings import Findings
    from routilux_sim.kernel.errors import NondeterminismError
    from routilux_sim.replay_files import ReplayFile

__all__ = ["SimulatedTest"]

# Bound before the simulated world takes its place.
_clock = time.perf_counter


def _is_failure(error: BaseException) -> bool:
    return not isinstance(error, pytest.skip.Exception | pytest.xfail.Exception) and not given.is_control(error)


def _faults(marker: pytest.Mark, handles: list[Sim]) -> dict[str, Any]:
    """What may go wrong: as the fixture was told, or else as the marker says."""
    told = [handle for handle in handles if handle.faults is not None]
    if told:
        return {"faults": told[0].faults, "swarm": told[0].swarm}
    return {"faults": marker.kwargs.get("faults"), "swarm": marker.kwargs.get("swarm", False)}


class SimulatedTest:
    """One marked test.

    Args:
        item: The test.
        marker: Its marker.
        arguments: What it is called with.
        run_seed: The run's.
    """

    def __init__(self, item: pytest.Function, marker: pytest.Mark, arguments: dict[str, Any], run_seed: int) -> None:
        self._item = item
        config = item.config
        # Hypothesis runs failing examples again itself, and would take a second run's draws for further ones.
        self._is_given = given.inner_test(item.obj) is not None
        self._every = determinism.is_wanted(config)
        if self._every and self._is_given:
            self._every = False
            determinism.leave_out(item, "Hypothesis makes its examples")
        # The test need not have it itself: a fixture of its own may have been given it.
        handles = [value for value in item.funcargs.values() if isinstance(value, Sim)]
        self._changeable = determinism.changeable(
            item, {name: value for name, value in arguments.items() if value not in handles}
        )
        fixed = marker.kwargs.get("seed")
        # XOR with the node id's checksum: a test's seed does not depend on which other tests run, nor in what order.
        self._is_fixed = fixed is not None
        self._seed: int = fixed if fixed is not None else run_seed ^ crc32(item.nodeid.encode())
        self._schedules: int = chosen(config, marker, "schedules", 1)
        usual = "random" if self._schedules == 1 else "portfolio"
        self._options = {
            "strategy": chosen(config, marker, "strategy", usual),
            "max_steps": chosen(config, marker, "max_steps", 1_000_000),
            "hang_seconds": marker.kwargs.get("hang_seconds", 30.0),
            "epoch": marker.kwargs.get("epoch"),
            **_faults(marker, handles),
            # Who looks at the log does so in every run.
            "log": bool(handles),
            "invariants": [invariant for handle in handles for invariant in handle.invariants],
            **pytest_races.options_of(config, marker),
            **pytest_points.options_of(config, marker),
        }
        profile = given.derandomizing_profile(item.obj) if self._is_given else None
        option = command_options(config) + ("" if profile is None else f" --hypothesis-profile={profile}")
        self._command = f"pytest --sim-seed={run_seed}{option} {naming(item)}"
        self._failed_at: float | None = None
        self._shown: Execution | None = None
        self._text: str | None = None
        self._kept: Artifacts | None = None

    def run(self, program: Callable[[], object]) -> None:
        """Run the test: once, or once for each example that Hypothesis makes for it."""
        __tracebackhide__ = True
        drawing = self._item.config.stash.get(DRAWING, None)
        if drawing is not None:
            if self._is_given:
                drawing.refuse("Hypothesis makes its examples, and no schedule is of one of them")
            else:
                drawing.draw(program, self._item.nodeid, self._options["invariants"])
            return
        try:
            if self._is_given:
                self._leave_out_first()
                with given.simulated_examples(self._item.obj, self._seed, self._is_fixed, self._simulate):
                    program()
                return
            for path in first_of(self._item).regressions:
                self._run_first(program, path, is_regression=True)
            for path in first_of(self._item).failures:
                self._run_first(program, path, is_regression=False)
            self._simulate(program, self._seed)
        finally:
            self._show()

    def _simulate(self, program: Callable[[], object], seed: int) -> None:
        __tracebackhide__ = True
        try:
            from routilux_sim import explore  # noqa: F401, PLC0415 - what it needs is an extra
        except ModuleNotFoundError as error:
            raise pytest.UsageError(f"simulated tests need {error.name}: pip install 'routilux[sim]'") from error
        replayed = setting(self._item.config, "replay").value
        try:
            if replayed is not None:
                self._run_replay(program, replayed)
            elif self._schedules == 1:
                self._run_once(program, seed)
            else:
                self._explore(program, seed)
        except pytest.fail.Exception as error:
            # Not the program's: a time limit has struck.
            if not hasattr(error, "__notes__"):
                error.add_note(f"simulated under seeds from {seed} up; reproduce with: {self._command}")
            raise

    def _run_once(self, program: Callable[[], object], seed: int) -> None:
        __tracebackhide__ = True
        from routilux_sim.simulation import simulate_checked  # noqa: PLC0415 - only when a test runs

        began = _clock()
        execution, difference, findings = simulate_checked(
            program,
            every=self._every,
            is_failure=self._is_checked,
            on_failure=self._keep_early,
            seed=seed,
            **self._options,
        )
        figures_of(self._item).add_execution(execution, (self._failed_at or _clock()) - began)
        pytest_races.show(self._item, execution.races)
        if findings is not None:
            self._tell(execution, findings)
        self._judge(execution, difference)

    def _explore(self, program: Callable[[], object], seed: int) -> None:
        __tracebackhide__ = True
        from routilux_sim import explore  # noqa: PLC0415 - only when a test runs

        options: dict[str, Any] = {"schedules": self._schedules, "seed": seed, **self._options}
        options |= {"on_failure": self._keep_early, "shrink": not self._is_given, "workers": self._workers()}
        options["progress"] = Progress(self._item.config, self._item.nodeid, self._schedules)
        report = explore(program, check_determinism=self._every, **options)
        if report.nondeterminism is not None and report.unconfirmed is None:
            self._doubt(report.nondeterminism)
            report = explore(program, **options)
        figures_of(self._item).add_report(report)
        pytest_races.show(self._item, report.races)
        self._judge_report(report)

    def _judge_report(self, report: Report) -> None:
        __tracebackhide__ = True
        when = f" in schedule {report.schedules} of at most {self._schedules}"
        if report.failure is not None:
            execution = report.failure.execution
            if _is_failure(cast("BaseException", execution.error)):
                self._text = report.failure.explanation
                self._tell(execution, report.failure.findings)
            self._judge(execution, None, when)
        if report.unconfirmed is not None:
            self._judge(report.unconfirmed, report.nondeterminism, when)
        if report.verdict == "inconclusive":
            try:
                report.raise_if_failed()
            except BaseException as error:
                error.add_note(f"inconclusive{when}; reproduce with: {self._command}")
                raise

    def _workers(self) -> int:
        """How many processes share the schedules; one, where more cannot, which is said."""
        wanted: int = setting(self._item.config, "workers").value or 1
        if wanted == 1:
            return 1
        from routilux_sim.strategy import make_strategy  # noqa: PLC0415 - only when a test runs
        from routilux_sim.workers import check_can_share  # noqa: PLC0415 - only when they are wanted

        try:
            check_can_share(make_strategy(self._options["strategy"]), wanted, self._every)
        except (ValueError, RuntimeError) as error:
            figures_of(self._item).notes.append(f"in one process, not in {wanted}: {error}")
            return 1
        return wanted

    def _run_replay(self, program: Callable[[], object], path: str) -> None:
        """Run the test under the schedule that was asked for."""
        __tracebackhide__ = True
        from routilux_sim.replay_files import load_replay  # noqa: PLC0415 - only when asked for

        kept = load_replay(path)
        self._judge_replayed(program, kept, self._replay(program, kept))

    def _run_first(self, program: Callable[[], object], path: Path, *, is_regression: bool) -> None:
        """Run the test under a schedule that was kept; where it does not fit any more, others are to tell."""
        __tracebackhide__ = True
        from routilux_sim.replay_files import ReplayFileError, load_replay  # noqa: PLC0415 - only when there is one

        try:
            kept = load_replay(path)
        except (ReplayFileError, OSError) as error:
            figures_of(self._item).notes.append(f"not under the schedule of its last failure first: {error}")
            return
        if kept.program != self._item.nodeid:
            return  # Of another test whose file has the same name.
        if kept.kind == "race" and self._options["races"] != "fail":
            if is_regression:
                figures_of(self._item).notes.append(
                    f"not under {seen(self._item.config, path)} first: races are no failures here"
                )
            return
        execution = self._replay(program, kept)
        failure = execution.error
        if failure is None:
            return
        if execution.kind is None:
            if is_regression:
                text = f"{failure}".partition("\n")[0]
                figures_of(self._item).notes.append(
                    f"{seen(self._item.config, path)} says nothing any more: {text}; record it anew, or remove it"
                )
            return
        if _is_failure(failure):
            what = "a kept regression" if is_regression else "the schedule of its last failure"
            failure.add_note(f"under {what}, which is run first: {seen(self._item.config, path)}")
        self._judge_replayed(program, kept, execution)

    def _replay(self, program: Callable[[], object], kept: ReplayFile) -> Execution:
        from routilux_sim import replay  # noqa: PLC0415 - only when there is one

        names = ("hang_seconds", "invariants", "races", "allow_races")
        began = _clock()
        execution = replay(program, kept.path, **{name: self._options[name] for name in names})
        if execution.kind is not None or execution.error is None:
            figures_of(self._item).add_execution(execution, _clock() - began)
        return execution

    def _judge_replayed(self, program: Callable[[], object], kept: ReplayFile, execution: Execution) -> None:
        __tracebackhide__ = True
        pytest_races.show(self._item, execution.races)
        again = replaying(self._item, Path(kept.path))
        if execution.kind is None and execution.error is not None:
            figures_of(self._item).judge("inconclusive")
        elif execution.error is not None and self._is_checked(execution.error):
            self._tell(execution, self._looked_into(program, kept, execution), again)
        self._command = again
        self._judge(execution, None)

    def _looked_into(self, program: Callable[[], object], kept: ReplayFile, execution: Execution) -> Findings | None:
        from routilux_sim.findings import investigate  # noqa: PLC0415 - only for failures
        from routilux_sim.replays import campaign_of  # noqa: PLC0415 - likewise

        names = ("invariants", "log")
        options = {name: self._options[name] for name in names}
        campaign = campaign_of(program, kept.schedule, kind=kept.kind, **options)
        try:
            with campaign.running():
                return investigate(campaign, execution, simplify=False)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a time limit, say; the failure is not to be lost over it
            cast("BaseException", execution.error).add_note(f"looking into it was broken off: {error!r}")
            return None

    def _leave_out_first(self) -> None:
        figures_of(self._item).notes.extend(
            f"not under {seen(self._item.config, path)} first: Hypothesis makes its examples"
            for path in first_of(self._item).regressions
        )

    def _keep_early(self, execution: Execution) -> None:
        """Keep a failure's schedule before it is shrunk; that it cannot be kept is no reason to lose the failure."""
        self._failed_at = _clock()
        if self._is_given or not _is_failure(cast("BaseException", execution.error)):
            return
        kept = self._artifacts()
        with self._noting("its schedule"):
            kept.keep(execution)
            self._kept = kept

    def _artifacts(self) -> Artifacts:
        from routilux_sim.artifacts import Artifacts  # noqa: PLC0415 - when there is something to keep
        from routilux_sim.replay_files import digest_of  # noqa: PLC0415 - likewise

        nodeid = self._item.nodeid
        return Artifacts(artifacts_folder(self._item.config), nodeid, nodeid, digest_of(self._item.path))

    def _tell(self, execution: Execution, findings: Findings | None, again: str | None = None) -> None:
        """Have the report say what is known of a failure, and the note its sentence and how to bring it back."""
        error = cast("BaseException", execution.error)
        if findings is not None:
            from routilux_sim.explanation import explain_findings, sentence_of  # noqa: PLC0415 - only for failures

            self._text = explain_findings(findings, execution, again or self._command)
            error.add_note(sentence_of(findings))
        kept = self._kept
        if kept is None:
            return
        if findings is not None and findings.shrunk is not None:
            with suppress(OSError):
                kept.keep_shrunk(findings.execution)
        path = cast("Path", kept.shrunk or kept.original)
        error.add_note(f"its schedule is kept; run it alone with: {replaying(self._item, path)}")

    def _is_checked(self, error: BaseException) -> bool:
        """Whether a failure is run again, to see whether it comes back."""
        return not self._is_given and _is_failure(error)

    def _judge(self, execution: Execution, found: NondeterminismError | None, when: str = "") -> None:
        __tracebackhide__ = True
        self._keep(execution)
        if execution.error is not None:
            self._fail(execution.error, execution, found, when)
        self._doubt(found)

    def _doubt(self, found: NondeterminismError | None) -> None:
        """The test passed, but a second run did not do the same."""
        __tracebackhide__ = True
        if found is None:
            return
        if not determinism.is_explained(found, self._changeable):
            figures_of(self._item).judge("inconclusive")
            found.add_note(f"reproduce with: {self._command}")
            raise found
        determinism.mark_unchecked(self._item, found, self._changeable)

    def _fail(self, error: BaseException, execution: Execution, found: NondeterminismError | None, when: str) -> None:
        __tracebackhide__ = True
        if _is_failure(error):
            verdict = execution.verdict if execution.kind is None else f"failed ({execution.kind})"
            # A note, unlike a report section, also reaches JUnit XML.
            error.add_note(f"{verdict}{when}, simulated under seed {execution.seed}; reproduce with: {self._command}")
            self._shown = execution
            if found is not None:
                error.add_note(determinism.note_on(found, self._changeable))
        raise error

    def _show(self) -> None:
        """Explain the last execution that failed: of many examples, it is the one that Hypothesis shows."""
        if self._shown is not None:
            from routilux_sim.explanation import explain  # noqa: PLC0415 - only for failures

            self._item.add_report_section("call", "simulation", self._text or explain(self._shown))

    def _keep(self, execution: Execution) -> None:
        if setting(self._item.config, "artifacts").value is None:
            return
        kept = self._artifacts()
        with self._noting("its log"):
            kept.keep_log(execution)
        if execution.error is not None and self._kept is None:
            with self._noting("its schedule"):
                kept.keep(execution)

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Say that something cannot be written, rather than have the test fail over it."""
        try:
            yield
        except OSError as error:
            note = f"{what} is not kept: {error}"
            if note not in figures_of(self._item).notes:
                figures_of(self._item).notes.append(note)
