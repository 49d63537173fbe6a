"""Runs a program of operations on flows, checking the laws on the way: the same code on real threads and simulated.

Every job is resumed and waited for in the end, whatever was done to it before, and no thread is left.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from routilux import ErrorHandler, Flow, FlowShutdownError, JobState, JobStatusError
from routilux.job_state import FINAL

from . import recording as recordings
from .laws import LawError, agree, balance, fulfil, own, require, require_same
from .model import Forecast, Op, Policy, Program, flat, forecast, job_of
from .recording import Recording, build, error_handler

AT_MOST = 10_000
"""Rounds of waiting for a job."""


class World(NamedTuple):
    """What differs between real threads and simulated ones: how handlers pass the time, and how long is long.

    Attributes:
        nap: Lets so many milliseconds pass.
        look_again: Seconds after which to look whether a handler has paused the job that is waited for.
        patience: Seconds after which a job that nobody pauses should have ended by far.
        haste: What delays before retries are divided by.
    """

    nap: Callable[[int], None]
    look_again: float
    patience: float
    haste: float = 1.0


SIMULATED = World(recordings.sleep, 0.05, 3600.0)
REAL = World(recordings.give_way, 0.002, 20.0, haste=20.0)


class Seat(NamedTuple):
    """Where a job is."""

    flow: Flow
    job: JobState
    entry: int


class Outcome(NamedTuple):
    """What came of a job, as far as the schedule has no say in it; the last three only if it has none at all."""

    status: str | None
    states: tuple[tuple[str, str], ...] = ()
    runs: tuple[Any, ...] = ()
    merged: tuple[Any, ...] = ()


class Observer:
    """An instrument that follows each activation by its token."""

    def __init__(self) -> None:
        self.queued: list[Any] = []
        self.ended: list[Any] = []
        self.dropped: list[Any] = []
        self.left: list[JobState] = []
        """Jobs that go on elsewhere: what they drop is not dropped."""

    def activation_queue(self, activation: Any) -> None:
        self.queued.append(self._name(activation))

    def activation_end(self, activation: Any, status: str, error: BaseException | None) -> None:
        self.ended.append(self._name(activation))

    def activation_drop(self, activation: Any, reason: str) -> None:
        if all(activation.job is not job for job in self.left):
            self.dropped.append(self._name(activation))

    def _name(self, activation: Any) -> tuple[str, str, str]:
        return activation.routine_id, activation.slot, own(activation.data["token"])

    def check(self, unheard: set[int]) -> None:
        """Each activation that was queued has ended or was dropped, once, but for jobs that ended outside any flow."""
        ends = Counter(each for each in [*self.ended, *self.dropped] if job_of(each[2]) not in unheard)
        queued = Counter({each for each in self.queued if job_of(each[2]) not in unheard})
        require_same("instruments hear of each activation's end once", ends, queued)


def perform(program: Program, world: World) -> dict[int, Outcome]:
    """Run a program; return what came of its jobs.

    Raises:
        LawError: A law does not hold.
    """
    return Interpreter(program, world).run()


class Interpreter:
    """One run of a program."""

    def __init__(self, program: Program, world: World) -> None:
        self.program = program
        self.graph = program.graph
        self.world = world
        self.forecasts: dict[int, Forecast] = forecast(program)
        self.recording: Recording = recordings.begin(world.nap, world.haste)
        self.observer = Observer()
        self.flows: list[Flow] = []
        self.seats: dict[int, Seat] = {}
        self.policy: Policy | None = program.policy
        self.flow = self._open(
            build(
                self.graph,
                execution_strategy="concurrent",
                max_workers=program.workers,
                max_pending=100_000 if program.bounded else None,
            )
        )
        self.flow.set_error_handler(error_handler(program.policy))

    def _open(self, flow: Flow) -> Flow:
        if self.program.observed:
            flow.add_instrument(self.observer)
        self.flows.append(flow)
        return flow

    def run(self) -> dict[int, Outcome]:
        """Do all operations, bring all jobs to their end, and check everything."""
        try:
            for op in self.program.ops:
                self.do(op)
            for label in self.seats:
                self.do_wait(Op("wait", label))
        finally:
            ended = [flow.shutdown(wait=True, timeout=self.world.patience) for flow in self.flows]
        require(all(ended), "shutdown leaves no thread", ended)
        alive = [thread.name for thread in threading.enumerate() if thread.name.startswith("machine")]
        require(not alive, "no thread is alive after shutdown", alive)
        if self.program.observed:
            self.observer.check({label for label, seat in self.seats.items() if not self._is_taken_up(seat.job)})
        return {label: self._judge(label) for label in self.seats}

    def _judge(self, label: int) -> Outcome:
        seat, expected = self.seats[label], self.forecasts[label]
        agree(self.graph, seat.job, label, seat.entry, self.recording)
        fulfil(self.graph, seat.job, label, expected, self.recording)
        status = seat.job.status if len(expected.statuses) == 1 else None
        if expected.walk is None:
            return Outcome(status)
        states = sorted((rid, state["status"]) for rid, state in seat.job.routine_states.items())
        runs = sorted(run for run in self.recording.runs if job_of(run[2]) == label)
        merged = sorted(
            (routine, tuple(sorted(max(snapshots, key=len))))
            for (job, routine), snapshots in self.recording.snapshots.items()
            if job == label
        )
        return Outcome(status, tuple(states), tuple(runs), tuple(merged))

    def do(self, op: Op, *, alone: bool = True) -> None:
        """Do one operation; one on a job that has not begun is left out."""
        if op.name in {"execute", "handle", "switch", "restart", "tick", "together"}:
            getattr(self, f"do_{op.name}")(op)
        elif op.job in self.seats:
            getattr(self, f"do_{op.name}")(op, alone) if op.name == "pause" else getattr(self, f"do_{op.name}")(op)

    def do_execute(self, op: Op) -> None:
        entry, hops, strategy = op.args
        job = self.flow.execute(f"r{entry}", {"token": f"{op.job}", "hops": hops}, execution_strategy=strategy)
        self.seats[op.job] = Seat(self.flow, job, entry)
        if strategy == "sequential":
            require(job.status in {*FINAL, "paused"}, "a sequential job has ended, or paused itself", job.status)

    def _is_taken_up(self, job: JobState) -> bool:
        """Whether a flow has the job: one that was loaded is nobody's until it is resumed."""
        return job._account is not None

    def do_pause(self, op: Op, alone: bool) -> None:
        seat = self.seats[op.job]
        if not self._is_taken_up(seat.job):
            return
        paused = seat.flow.pause(seat.job, "by the program")
        if alone and paused and seat.job.status == "paused":
            agree(self.graph, seat.job, op.job, seat.entry, self.recording)
        elif alone and not paused:
            require(seat.job.status in FINAL, "only a job that ended is not paused", seat.job.status)

    def do_resume(self, op: Op) -> None:
        seat = self.seats[op.job]
        try:
            seat.flow.resume(seat.job)
        except JobStatusError:
            require(seat.job.status in FINAL, "only a job that ended cannot be resumed", seat.job.status)

    def do_cancel(self, op: Op) -> None:
        seat = self.seats[op.job]
        cancelled = seat.flow.cancel(seat.job, "by the program")
        require(seat.job.status in FINAL, "a cancelled job has ended", seat.job.status)
        require(not cancelled or seat.job.status == "cancelled", "cancel says what it did", seat.job.status)

    def do_snapshot(self, op: Op) -> None:
        """What a document says of a job that goes on balances, and a job read from it says the same."""
        seat = self.seats[op.job]
        over = not self._is_taken_up(seat.job) or seat.job._account.over
        self._read(seat, seat.job.serialize(), over=over)

    def _read(self, seat: Seat, document: dict[str, Any], *, over: bool = False) -> JobState:
        read = JobState.deserialize(json.loads(json.dumps(document, allow_nan=False)))
        balance(self.graph, read, seat.entry, is_over=over or read.status not in FINAL)
        again = read.serialize()
        require(again == document, "a document survives its reading", document, again)
        return read

    def do_move(self, op: Op) -> None:
        """Stop a job, and let it go on in another flow."""
        seat = self.seats[op.job]
        if self._is_taken_up(seat.job):
            seat.flow.pause(seat.job, "to be moved")
        if seat.job.status != "paused":
            return
        flow = self._open(self._copy(seat.flow))
        self._take_along(op.job, flow, via_file="file" in op.args)
        if "resume" in op.args:
            self.do_resume(op)

    def _copy(self, flow: Flow) -> Flow:
        copy = Flow()
        copy.deserialize(json.loads(json.dumps(flow.serialize(), allow_nan=False)))
        return copy

    def _take_along(self, label: int, flow: Flow, *, via_file: bool) -> None:
        """Let a job that is at rest go on in ``flow``, when it is resumed."""
        seat = self.seats[label]
        agree(self.graph, seat.job, label, seat.entry, self.recording)
        waiting = len(seat.job.pending_tasks)
        if via_file:
            with tempfile.TemporaryDirectory() as directory:
                path = Path(directory, "job.json")
                seat.job.save(path)
                read = JobState.load(path)
        else:
            read = self._read(seat, seat.job.serialize())
        self.observer.left.append(seat.job)
        require(seat.flow.cancel(seat.job, "moved"), "a job at rest can be cancelled", seat.job.status)
        dropped = [each for each in seat.job.execution_history if each.event_name == "dropped"]
        require(len(dropped) == waiting, "what waited is dropped", waiting, dropped)
        self.seats[label] = Seat(flow, read, seat.entry)
        agree(self.graph, read, label, seat.entry, self.recording)

    def do_restart(self, op: Op) -> None:
        """Shut everything down; what is at rest goes on in another flow."""
        for flow in self.flows:
            require(flow.shutdown(wait=True, timeout=self.world.patience), "shutdown ends", flow)
        self._refused(lambda: self.flow.execute("r0", {"token": "refused", "hops": 0}))
        fresh = self._open(self._copy(self.flow))
        for label, seat in self.seats.items():
            if seat.job.status in FINAL:
                continue
            require(seat.job.status == "paused", "shutdown leaves what ended and what is paused", seat.job.status)
            self._refused(lambda seat=seat: seat.flow.resume(seat.job))
            self._take_along(label, fresh, via_file=False)
        self.flow = fresh

    def _refused(self, call: Callable[[], object]) -> None:
        try:
            call()
        except FlowShutdownError:
            return
        raise LawError("a flow that was shut down took work")

    def do_switch(self, op: Op) -> None:
        self.flow.set_execution_strategy(*op.args)

    def do_handle(self, op: Op) -> None:
        handler: ErrorHandler | None = error_handler(op.args[0])
        for flow in self.flows:
            flow.set_error_handler(handler)

    def do_tick(self, op: Op) -> None:
        self.world.nap(*op.args)

    def do_wait(self, op: Op) -> None:
        """Bring a job to its end, resuming it as often as it is paused."""
        seat = self.seats[op.job]
        patience = self.world.look_again if self.forecasts[op.job].pauses else self.world.patience
        for _ in range(AT_MOST):
            if seat.job.status == "paused":
                self.do_resume(op)
            if not self._is_taken_up(seat.job) or JobState.wait_for_completion(seat.flow, seat.job, timeout=patience):
                break
            require(
                patience < self.world.patience or seat.job.status == "paused",
                "a job ends",
                seat.job,
                seat.job.pending_tasks,
            )
        else:
            raise LawError(f"{seat.job!r} never ended")
        require(seat.job.status in FINAL, "a job that is over has a final status", seat.job.status)
        agree(self.graph, seat.job, op.job, seat.entry, self.recording)

    def do_together(self, op: Op) -> None:
        """Do several operations at the same time."""
        failures: list[BaseException] = []

        def attempt(each: Op) -> None:
            try:
                self.do(each, alone=False)
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                failures.append(error)

        threads = [threading.Thread(target=attempt, args=(each,)) for each in op.args]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


__all__ = ["REAL", "SIMULATED", "Interpreter", "Outcome", "World", "flat", "perform"]
