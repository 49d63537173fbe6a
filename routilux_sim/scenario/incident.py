"""Making a scenario of an execution log: the same activations, in the observed order, with the observed durations."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Sequence
from typing import Any

from routilux_sim.scenario.log_reader import LoggedActivation, LoggedJob

__all__ = ["incident"]

_HEAD = """\
# Made by `routilux-sim from-log`. The first schedule keeps to the order and the times that were observed. The others
# draw whether they do: or else what each activation takes is drawn from what its slot took, or what it takes by itself.
"""

_PARAMS = """\
# A log names parameters but does not hold their values: give the jobs theirs.
"""


def incident(jobs: Sequence[LoggedJob], *, name: str, factory: str, params: dict[str, Any], schedules: int) -> str:
    """Write a scenario, as TOML.

    Args:
        jobs: What happened; each has at least one activation.
        name: What to call it.
        factory: The import path of the flow's factory.
        params: What each job's entry gets, in JSON's types.
        schedules: How many to run.

    Raises:
        ValueError: There is no job, or a null in ``params``, which TOML has not.
    """
    if not jobs:
        raise ValueError("an incident needs a job")
    return "\n".join(_written(jobs, name, factory, params, schedules))


def _written(
    jobs: Sequence[LoggedJob], name: str, factory: str, params: dict[str, Any], schedules: int
) -> Iterator[str]:
    began = min(job.start for job in jobs)
    yield _HEAD + f"name = {_text(name)}\n"
    yield f"[flow]\nfactory = {_text(factory)}\n"
    yield f'[run]\nstrategy = "portfolio"\nschedules = {schedules}\n'
    if not params:
        yield _PARAMS.rstrip()
    for job in jobs:
        yield from _job(job, began, params)
    yield "[expect.jobs]"
    for job in jobs:
        paused = job.status is None and job.actions and job.actions[-1][1] == "pause"
        status = "paused" if paused else job.status
        if status is not None:
            yield f"{_text(job.name)} = {{ status = {_text(status)} }}"
    yield from _faults(jobs)
    yield "\n[observed]\nactivations = ["
    rows = [(activation, job) for job in jobs for activation in job.activations]
    for activation, job in sorted(rows, key=lambda row: row[0].start):
        yield f"  {_row(activation, job, began)},"
    yield "]\n"


def _job(job: LoggedJob, began: int, params: dict[str, Any]) -> Iterator[str]:
    yield f"[[job]]\nname = {_text(job.name)}\nat = {_seconds(job.start - began)}"
    entry = min(job.activations, key=lambda activation: activation.number)
    yield f"entry = {_text(entry.routine)}\nparams = {_value(params)}"
    here = all(activation.task == job.task for activation in job.activations)
    yield f'execution_strategy = "{"sequential" if here else "concurrent"}"'
    if job.actions:
        rows = [f'{{ at = {_seconds(at - began)}, do = "{what}" }}' for at, what in job.actions]
        yield f"actions = [{', '.join(rows)}]"
    yield ""


def _row(activation: LoggedActivation, job: LoggedJob, began: int) -> str:
    fields = [
        f"job = {_text(job.name)}",
        f"routine = {_text(activation.routine)}",
        f"slot = {_text(activation.slot)}",
        f"start = {_seconds(activation.start - began)}",
    ]
    if activation.end is not None:
        fields.append(f"end = {_seconds(activation.end - began)}")
    if activation.emits:
        fields.append(f"emits = [{', '.join(_seconds(at - began) for at in activation.emits)}]")
    return f"{{ {', '.join(fields)} }}"


def _faults(jobs: Sequence[LoggedJob]) -> Iterator[str]:
    """What handlers have raised; counted by slot, over all jobs."""
    rows = sorted((activation for job in jobs for activation in job.activations), key=lambda row: row.start)
    counts: dict[tuple[str, str], int] = {}
    for activation in rows:
        place = (activation.routine, activation.slot)
        counts[place] = counts.get(place, 0) + 1
        if activation.error is None or activation.status == "cancelled":
            continue
        kind, _, message = activation.error.partition(": ")
        yield f"\n[[faults.raise]]\nroutine = {_text(place[0])}\nslot = {_text(place[1])}\nnth = {counts[place]}"
        if _is_built_in(kind):
            yield f"error = {_text(kind)}\nmessage = {_text(message or kind)}"
        else:
            yield "# The log does not tell where its class is; name it here: error = 'package.module:Name'."
            yield f"message = {_text(activation.error)}"
        if not activation.is_async:
            yield f"emits = {len(activation.emits)}"


def _is_built_in(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, Exception)


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09}"


def _text(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """JSON data as TOML on one line."""
    if isinstance(value, dict):
        pairs = (f"{_text(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if value is None:
        raise ValueError("null is nothing that a scenario can hold; leave it out")
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
