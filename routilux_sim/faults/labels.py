"""What decisions about faults are called on the tape, and in sentences.

A label is ``fault stall[0]: worker-1 stalls ... before acquire Lock-1``: the kind and its place in the plan, by which
the duration is found that a value stands for, and what happens. Labels hold nothing that changes from run to run.
"""

from __future__ import annotations

import re
from typing import Any

from routilux_sim.faults.distributions import Distribution
from routilux_sim.faults.plan import Fault, FaultPlan

__all__ = ["LATENCY", "fault_label", "is_fault", "is_swarm", "nth_word", "swarm_label", "with_duration", "words_of"]

LATENCY = "latency "

_FAULT = "fault "
_SWARM = "swarm "
_LATER = "..."
"""Where a sentence has the duration."""

_PREPOSITIONS = {"slow": "by", "spurious": "after"}

_LABEL = re.compile(r"fault (\w+)\[(\d+)\]: (.*)", re.DOTALL)


def fault_label(kind: str, index: int, what: str) -> str:
    """The label of a fault that may come; ``...`` in ``what`` stands for how long."""
    return f"{_FAULT}{kind}[{index}]: {what}"


def swarm_label(kind: str, index: int) -> str:
    """The label of the decision whether a fault exists at all."""
    return f"{_SWARM}{kind}[{index}] exists"


def is_fault(label: str) -> bool:
    """Whether a label is that of a fault; it may have the task's name before it, as in a schedule."""
    return _without_task(label).startswith(_FAULT)


def is_swarm(label: str) -> bool:
    """Whether a label is that of the existence of a fault, likewise."""
    return _without_task(label).startswith(_SWARM)


def _without_task(label: str) -> str:
    if label.startswith((_FAULT, _SWARM, LATENCY)):
        return label
    for kind in (_FAULT, _SWARM, LATENCY):
        _, found, rest = label.partition(f": {kind}")
        if found:
            return kind + rest
    return label


def words_of(label: str, value: int, faults: dict[str, Any] | None) -> str | None:
    """What a decision about faults says, as a sentence without an end: "worker-1 stalls for 0.4 s".

    Args:
        label: Of the decision, as on the tape or in a schedule.
        value: What was chosen, not 0.
        faults: What the schedule says of faults.

    Returns:
        The words; None if it is another decision.
    """
    label = _without_task(label)
    plan = _plan_of(faults)
    if label.startswith(LATENCY):
        routine_id, _, slot = label.removeprefix(LATENCY).rpartition(".")
        distribution = plan.latencies.of(routine_id, slot)
        if distribution is None or value >= distribution.levels:
            return None
        return f"{routine_id}.{slot} takes {distribution.at(value):g} s"
    found = _LABEL.fullmatch(label)
    if found is None:
        return None
    kind, index, what = found[1], int(found[2]), found[3]
    same = [fault for fault in plan.faults if fault.kind == kind]
    return with_duration(kind, what, duration_of(same[index]) if index < len(same) else None, value)


def _plan_of(faults: dict[str, Any] | None) -> FaultPlan:
    """All that could go wrong, kind by kind in the order in which labels count it."""
    if faults is None:
        return FaultPlan()
    plan = FaultPlan.from_dict(faults["plan"])
    joined = (FaultPlan.from_dict(data) for data in faults.get("joined", ()))
    return FaultPlan((*plan.faults, *(fault for each in joined for fault in each.faults)), plan.latencies)


def with_duration(kind: str, what: str, duration: Distribution | None, value: int) -> str:
    """What happens, with the duration that a value stands for in its place."""
    if duration is None or not 0 < value <= duration.levels:
        return what
    seconds = duration.at(value - 1)
    words = f"{_PREPOSITIONS.get(kind, 'for')} {seconds:g} s" if seconds or kind != "spurious" else "at once"
    return what.replace(_LATER, words)


def duration_of(fault: Fault) -> Distribution | None:
    """How long a fault lasts, if it does so at all."""
    found: Distribution | None = getattr(fault, "by", None) if fault.kind != "clock" else None
    return getattr(fault, "after", found)


def nth_word(number: int) -> str:
    """A number in words: ``2nd``."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
