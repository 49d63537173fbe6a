"""Says what an execution's end means: the kernel only knows that it could not, or should not, go on."""

from __future__ import annotations

from routilux_sim.judge.deadlock import describe_deadlock
from routilux_sim.judge.fairness import ROUND_IN_CIRCLES, Fairness, Outcome
from routilux_sim.judge.livelock import SHOWN, count, describe_livelock, lap_lines
from routilux_sim.judge.stacks import user_frames
from routilux_sim.kernel.core import STUCK, Kernel
from routilux_sim.kernel.errors import DeadlockError, LimitReachedError, LivelockError, UnfairScheduleError
from routilux_sim.kernel.task import BLOCKED
from routilux_sim.lookalikes import traceback_along

__all__ = ["reason_of"]


def reason_of(kernel: Kernel, fairness: Fairness) -> BaseException | None:
    """What ended an execution, in words; None if it went through. Called from the driver, before tasks are unwound."""
    reason = _reason_of(kernel, fairness)
    if reason is not None and reason.__traceback__ is None and kernel.caller is not None:
        reason.__traceback__ = traceback_along(user_frames(kernel.caller))
    return reason


def _reason_of(kernel: Kernel, fairness: Fairness) -> BaseException | None:
    failure = kernel.failure
    if failure is STUCK:
        return _deadlock(kernel)
    if failure is ROUND_IN_CIRCLES and fairness.outcome is not None:
        return _livelock(kernel, fairness.outcome)
    if failure is None and kernel.steps > fairness.limit:
        return UnfairScheduleError(
            f"the program took more than {fairness.limit} steps; it ended once its tasks were scheduled fairly, so it "
            "needs a higher max_steps, or a strategy that lets every task run"
        )
    if type(failure) is LimitReachedError and fairness.outcome is not None:
        return _with_cycle(failure, fairness)
    return failure


def _deadlock(kernel: Kernel) -> DeadlockError:
    try:
        return describe_deadlock(kernel)
    except Exception as error:  # noqa: BLE001 - a program's objects may be as odd as they like: it is a deadlock still
        stuck = tuple(task for task in kernel.tasks if task.state is BLOCKED)
        names = ", ".join(repr(task.name) for task in stuck)
        text = f"deadlock after {kernel.now / 1e9:g} virtual seconds: {names} wait; describing it failed: {error!r}"
        return DeadlockError(text, stuck, (), "waits for ever")


def _livelock(kernel: Kernel, outcome: Outcome) -> LivelockError:
    try:
        return describe_livelock(kernel, outcome)
    except Exception as error:  # noqa: BLE001 - as above
        return LivelockError(f"livelock; describing it failed: {error!r}", "livelock", tuple(lap_lines(outcome.cycle)))


def _with_cycle(failure: LimitReachedError, fairness: Fairness) -> LimitReachedError:
    outcome = fairness.outcome
    if outcome is None or not outcome.cycle:
        return failure
    steps = count(len(outcome.cycle), "step")
    lines = [
        f"{failure}",
        f"  scheduled fairly from step {outcome.begun} on, it repeats the same {steps}, but that is not called a "
        f"livelock: {outcome.changing}",
    ]
    lines += [f"    {step}" for step in lap_lines(outcome.cycle[:SHOWN])]
    return LimitReachedError("\n".join(lines))
