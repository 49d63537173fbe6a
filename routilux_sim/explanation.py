"""Says in words what happened in an execution."""

from __future__ import annotations

from routilux_sim.execution import Execution

__all__ = ["explain"]

SHOWN = 20


def explain(execution: Execution) -> str:
    """Describe a failed execution: what went wrong, when, and the decisions that led there."""
    error = execution.error
    schedule = execution.schedule
    lines = [_headline(execution)]
    if execution.kind == "deadlock":
        lines.append(str(error))
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
    if execution.kind == "deadlock":
        return f"deadlock after {execution.elapsed:g} virtual seconds"
    return f"{type(error).__name__}: {error}{where}, after {execution.elapsed:g} virtual seconds"
