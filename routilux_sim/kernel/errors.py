"""What can go wrong with a simulated program, and what the kernel raises to end one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux_sim.kernel.task import Task

__all__ = [
    "DataRaceError",
    "DeadlockError",
    "DivergenceError",
    "EscapeError",
    "HangError",
    "InconclusiveError",
    "InvariantError",
    "LimitReachedError",
    "LivelockError",
    "NondeterminismError",
    "SimulationError",
    "TaskKilled",
    "TaskStuckError",
    "UnfairScheduleError",
]


class SimulationError(Exception):
    """The root of the simulator's own exceptions."""


class TaskKilled(BaseException):
    """Unwinds a task at the end of an execution. A BaseException, because programs catch ``Exception``."""


class DeadlockError(SimulationError):
    """No task can run, no deadline is coming, and the program has not ended.

    Attributes:
        tasks: The tasks that wait, in the order in which they were made.
        cycle: Those that wait for each other in a ring; empty if there is no ring.
        cause: What went wrong, by one of the names in `routilux_sim.judge.causes.REMEDIES`, e.g. ``"lost wake-up"``.
        shape: What the tasks of the ring wait in, whatever their order; without a ring, what there is to wait in.
    """

    def __init__(self, message: str, tasks: tuple[Task, ...], cycle: tuple[Task, ...], cause: str) -> None:
        super().__init__(message)
        self.tasks = tasks
        self.cycle = cycle
        self.cause = cause
        # Now: once they are unwound, they wait in something else.
        waits = [f"{task.op} {getattr(task.waits_for, 'kind', '')}" for task in cycle or tasks]
        self.shape = tuple(sorted(waits if cycle else set(waits)))


class LivelockError(SimulationError):
    """Tasks run, also when scheduled fairly, and come back to the same state again and again: nobody gets ahead.

    Attributes:
        cause: ``"livelock"``, or ``"starvation"`` if others do get what some task waits for.
        cycle: The steps that repeat, each in words.
        starved: The names of the tasks that never get their turn; empty in a plain livelock.
    """

    def __init__(self, message: str, cause: str, cycle: tuple[str, ...], starved: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.cause = cause
        self.cycle = cycle
        self.starved = starved


class DataRaceError(SimulationError):
    """Two tasks access the same memory, at least one of them to write, and nothing orders them.

    Attributes:
        race: What is accessed, by whom and where: a `routilux_sim.judge.races.Race`.
    """

    def __init__(self, message: str, race: Any = None) -> None:
        super().__init__(message)
        self.race = race


class InvariantError(SimulationError):
    """Something that must always hold did not, or what must come true in time did not; its ``__cause__`` may say why.

    Attributes:
        invariant: The name of the function that said so.
        step: After how many scheduling points and clock readings.
        task: The name of the task whose doing it was.
    """

    def __init__(self, message: str, *, invariant: str, step: int, task: str) -> None:
        super().__init__(message)
        self.invariant = invariant
        self.step = step
        self.task = task


class EscapeError(SimulationError):
    """A program did something that is not simulated, so nothing can be said about it.

    Attributes:
        call: What escaped, in the program's own words where its source is at hand; else None.
        filename, line: Where the program's code called it; None if that is not known.
    """

    def __init__(
        self, message: str, call: str | None = None, filename: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.call = call
        self.filename = filename
        self.line = line


class HangError(EscapeError):
    """A task took no step for so many real seconds: a call that is not simulated waits, or a loop does not end."""


class LimitReachedError(SimulationError):
    """An execution took more steps, or more virtual time, than it was allowed."""


class UnfairScheduleError(LimitReachedError):
    """The strategy kept some task from running until the limit was reached; scheduled fairly, the program ended."""


class TaskStuckError(SimulationError):
    """A task did not let itself be ended: it goes on after every `TaskKilled`."""


class DivergenceError(SimulationError):
    """A program did not follow a recorded schedule.

    Attributes:
        step: The index of the first decision that does not fit.
    """

    def __init__(self, step: int, expected: str, found: str) -> None:
        self.step = step
        self.expected = expected
        self.found = found
        super().__init__(
            f"the schedule does not fit the program at step {step}: expected {expected}, found {found}; "
            "the program has changed, or depends on something that is not simulated"
        )


class InconclusiveError(SimulationError):
    """A simulation shows nothing about the program: something escaped control, diverged, or hit a limit."""


class NondeterminismError(InconclusiveError):
    """A program did not do the same when one schedule was run twice.

    Its ``__cause__`` is the failure that did not come back, if the first run failed.

    Attributes:
        step: The index of the first decision that differs; the number of decisions if only the end does.
        cause: The likely cause: ``addresses``, ``clock``, ``randomness``, ``process``, ``files``, ``outside``,
            ``garbage collection``, ``kept state`` or ``unknown``.
        certain: Whether an experiment has shown the cause; else it is a guess.
        first: What was there the first time, in words; likewise ``second``.
        stack: Where the task stood in the program, innermost first; empty at the end.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int,
        cause: str,
        certain: bool,
        first: str,
        second: str,
        stack: tuple[str, ...],
    ) -> None:
        super().__init__(message)
        self.step = step
        self.cause = cause
        self.certain = certain
        self.first = first
        self.second = second
        self.stack = stack
