"""What a scenario's program does, in a simulation or on real threads: execute the jobs, each at its time."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from routilux import runtime as runtimes
from routilux.exceptions import JobStatusError
from routilux.flow import Flow
from routilux.job_state import JobState
from routilux.log import ExecutionLog
from routilux_sim.kernel.active import here
from routilux_sim.scenario.checks import BrokenExpectationError
from routilux_sim.scenario.model import Job, Scenario
from routilux_sim.scenario.observed import Pacer
from routilux_sim.scenario.witness import Ended, LogLines, Witness

__all__ = ["BrokenInvariantError", "Played", "Stage", "play_flow", "play_program"]


class BrokenInvariantError(BrokenExpectationError):
    """An invariant that a scenario names was false at some moment."""


class Stage:
    """Where invariants look: at the flow that is on at the moment.

    Attributes:
        flow: That one; None between flows, when invariants of a flow hold.
    """

    def __init__(self) -> None:
        self.flow: Flow | None = None

    def invariants(self, scenario: Scenario) -> list[Callable[[], object]]:
        """A scenario's invariants, as `explore` asks them at every step."""
        asked = scenario.expect.invariants.items()
        return [holds if scenario.is_program else self._of_flow(path, holds) for path, holds in asked]

    def _of_flow(self, path: str, holds: Callable[..., Any]) -> Callable[[], object]:
        def asks() -> object:
            return True if self.flow is None else holds(self.flow)

        asks.__qualname__ = path
        return asks


class Played:
    """One execution of a scenario's jobs, or of its program.

    Attributes:
        witness: What it was like; of a program, nothing.
        duration: Virtual seconds from the first job's `execute` to the last one's end; of a program, in all.
        log: The lines of its execution log, if any are asked about.
        pacer: What held activations to observed times; None: nothing did.
        value: What a program returned.
    """

    def __init__(self, witness: Witness, log: LogLines | None) -> None:
        self.witness = witness
        self.log = log
        self.pacer: Pacer | None = None
        self.duration = 0.0
        self.value: Any = None

    @property
    def status(self) -> str | None:
        """The jobs' status; several are joined."""
        return ", ".join(dict.fromkeys(ended.status for ended in self.witness.ended.values())) or None


def play_program(scenario: Scenario, program: Callable[..., Any]) -> Played:
    """Call a plain program.

    Raises:
        BrokenInvariantError: On real threads, an invariant is false when it has ended.
    """
    played = Played(Witness(None), _log_lines(scenario, lambda job_id: job_id))
    began = time.monotonic_ns()
    played.value = program(**copy.deepcopy(scenario.arguments))
    played.duration = (time.monotonic_ns() - began) / 1e9
    if here() is None:
        for path, holds in scenario.expect.invariants.items():
            _check_invariant(path, holds)
    return played


def play_flow(
    scenario: Scenario,
    factory: Callable[..., Flow],
    arguments: Mapping[str, Any],
    execution_strategy: str | None,
    stage: Stage,
) -> Played:
    """Execute the jobs, each at its time, and wait for their end.

    Args:
        scenario: Whose jobs.
        factory: Makes the flow.
        arguments: What it gets instead of, and beside, the scenario's own.
        execution_strategy: Of every job, instead of its own; None: its own.
        stage: Where the flow is on.

    Raises:
        BrokenInvariantError: On real threads, an invariant was false.
    """
    flow = factory(**copy.deepcopy({**scenario.arguments, **arguments}))
    only = scenario.jobs[0] if len(scenario.jobs) == 1 else None
    witness = Witness(None if only is None else only.name)
    played = Played(witness, _log_lines(scenario, witness.name_of))
    invariants = _Invariants(flow, scenario.expect.invariants)
    flow.add_instrument(witness)
    if scenario.expect.invariants and here() is None:
        flow.add_instrument(invariants)
    with _paced(scenario, played), _on(stage, flow), flow:
        began = time.monotonic_ns()
        run = partial(_run_job, flow, witness, began, execution_strategy)
        if only is not None and not only.at and not only.actions:
            # In the calling thread: no other is needed, and there are fewer schedules.
            first, last = run(only)
        else:
            first, last = _in_threads(scenario.jobs, run)
        for job in scenario.jobs:
            if job.stays_paused and job.name in witness.jobs:
                flow.cancel(witness.jobs[job.name], "the scenario is over")
    invariants.raise_if_broken()
    played.duration = (last - first) / 1e9
    return played


@contextmanager
def _on(stage: Stage, flow: Flow) -> Iterator[None]:
    """Have a flow on the stage."""
    stage.flow = flow
    try:
        yield
    finally:
        stage.flow = None


@contextmanager
def _paced(scenario: Scenario, played: Played) -> Iterator[None]:
    """Let activations take as long as they were observed to."""
    if not scenario.observed:
        yield
        return
    runtime = runtimes.current()
    others = runtime.instruments
    played.pacer = Pacer(scenario.observed, played.witness.name_of)
    # Before all others, which are to be told of things when they happen.
    runtime.instruments = (played.pacer, *others)
    try:
        yield
    finally:
        runtime.instruments = others


def _log_lines(scenario: Scenario, name_of: Callable[[str], str]) -> LogLines | None:
    if not scenario.expect.log:
        return None
    lines = LogLines(name_of)
    # The simulated world's, which ends with the execution; the real one's is put back by who runs there.
    runtimes.current().execution_log = ExecutionLog(lines.write)
    return lines


def _in_threads(jobs: tuple[Job, ...], run: Callable[[Job], tuple[int, int]]) -> tuple[int, int]:
    """Run each job in a thread of its name; returns when the first began and the last ended."""
    moments: dict[str, tuple[int, int]] = {}
    errors: list[BaseException] = []

    def one(job: Job) -> None:
        try:
            moments[job.name] = run(job)
        except Exception as error:  # noqa: BLE001 - raised again by who waits
            errors.append(error)

    threads = [threading.Thread(target=one, args=(job,), name=job.name) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return min(first for first, _ in moments.values()), max(last for _, last in moments.values())


def _run_job(flow: Flow, witness: Witness, began: int, execution_strategy: str | None, job: Job) -> tuple[int, int]:
    """Execute a job at its time, do to it what is to be done, and wait for its end; returns when that was."""
    _sleep_until(began + round(job.at * 1e9))
    doing = None
    if job.actions:
        doing = threading.Thread(target=_act, args=(flow, witness, began, job), name=f"{job.name}: actions")
        doing.start()
    first = time.monotonic_ns()
    state = flow.execute(
        job.entry,
        copy.deepcopy(job.params),
        execution_strategy=execution_strategy or job.execution_strategy,
        timeout=job.timeout,
    )
    if doing is not None:
        doing.join()
    if job.stays_paused:
        flow.wait_for(state, or_paused=True)
    else:
        JobState.wait_for_completion(flow, state)
    last = time.monotonic_ns()
    witness.ended[job.name] = Ended(state.status, state.error, (last - first) / 1e9)
    return first, last


def _act(flow: Flow, witness: Witness, began: int, job: Job) -> None:
    """Pause, resume and cancel a job as it is told; what comes after its end does nothing."""
    for action in job.actions:
        _sleep_until(began + round(action.at * 1e9))
        state = witness.jobs.get(job.name)
        if state is None or state.status in {"completed", "failed", "cancelled"}:
            continue
        if action.do == "pause":
            flow.pause(state, "the scenario says so")
        elif action.do == "cancel":
            flow.cancel(state, "the scenario says so")
        elif state.status == "paused":
            with suppress(JobStatusError):  # it may have ended meanwhile
                flow.resume(state)


def _sleep_until(moment_ns: int) -> None:
    left = moment_ns - time.monotonic_ns()
    if left > 0:
        time.sleep(left / 1e9)


class _Invariants:
    """Asks invariants on real threads, where there are no steps: whenever something happens to a job.

    Remembers the first that is false.
    """

    def __init__(self, flow: Flow, invariants: Mapping[str, Callable[..., Any]]) -> None:
        self._flow = flow
        self._invariants = invariants
        self._broken: BrokenInvariantError | None = None

    def raise_if_broken(self) -> None:
        """Raise what has been remembered."""
        if self._broken is not None:
            raise self._broken

    def check(self, *_: object) -> None:
        """Ask them all."""
        if self._broken is not None:
            return
        try:
            for path, holds in self._invariants.items():
                _check_invariant(path, holds, self._flow)
        except BrokenInvariantError as error:
            self._broken = error

    job_start = job_pause = job_resume = job_end = check
    activation_queue = activation_start = activation_end = activation_retry = activation_drop = check
    emit = check


def _check_invariant(path: str, holds: Callable[..., Any], *args: Any) -> None:
    try:
        answer = holds(*args)
    except Exception as error:
        raise BrokenInvariantError(path, f"invariant {path!r} is broken: {type(error).__name__}: {error}") from error
    if answer is not None and not answer:
        raise BrokenInvariantError(path, f"invariant {path!r} is broken: it returned {answer!r}")
