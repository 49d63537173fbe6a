"""Says in words what happened in an execution."""

from __future__ import annotations

from routilux_sim.execution import Execution
from routilux_sim.kernel.errors import DeadlockError, LivelockError

__all__ = ["explain"]

SHOWN = 20
_OF_LIVENESS = {"deadlock", "livelock"}


def explain(execution: Execution) -> str:
    """Describe an execution: what went wrong, when, who was left running, and the decisions that led there."""
    error = execution.error
    schedule = execution.schedule
    lines = [_headline(execution)]
    if execution.kind in _OF_LIVENESS:
        lines.append(str(error))
    if execution.fair_from is not None:
        lines.append(f"from step {execution.fair_from} on tasks were scheduled fairly, whatever the strategy")
    if execution.left_running:
        lines.append("left running at the end of the program:")
        for left in execution.left_running:
            lines.append(f"  {left}")
            lines += [f"    {line}" for line in left.stack]
    lines.append(
        f"{len(schedule)} decisions, {schedule.preemptions} of them not the plain choice (value 0); "
        f"run again with seed {execution.seed}"
    )
    first = max(0, len(schedule) - SHOWN)
    if first:
        lines.append(f"  … {first} earlier decisions")
    for index, step in enumerate(schedule.steps[first:], first):
        chosen = step.enabled[step.value] if step.value < len(step.enabled) else f"choice {step.value}"
        mark = "*" if step.value else " "
        lines.append(f" {mark}{index:>5}  {step.label}  ->  {chosen} (of {step.bound})")
    return "\n".join(lines)


def _headline(execution: Execution) -> str:
    where = f" in task {execution.failed_task!r}" if execution.failed_task else ""
    error = execution.error
    if error is None:
        return f"passed, after {execution.elapsed:g} virtual seconds"
    if isinstance(error, DeadlockError | LivelockError):
        what = execution.kind if error.cause == execution.kind else f"{execution.kind} ({error.cause})"
        return f"{what} after {execution.elapsed:g} virtual seconds"
    return f"{type(error).__name__}: {error}{where}, after {execution.elapsed:g} virtual seconds"
