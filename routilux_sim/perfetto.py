"""A timeline as trace events in JSON, which https://ui.perfetto.dev and Chrome's tracing show.

As in Google's "Trace Event Format": complete events (``X``), metadata (``M``), flows (``s`` and ``f``) and instants
(``i``), times in microseconds. In virtual time most steps take none, and a viewer shows nothing of what takes no time;
so there are two processes: in one a step takes a microsecond, in the other times are the virtual ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from routilux_sim.timeline import Timeline

__all__ = ["trace_events"]

STEPS, TIME = 1, 2
"""The processes."""


def trace_events(timeline: Timeline) -> dict[str, Any]:
    """The document, ready for `json.dumps`."""
    return {
        "traceEvents": list(_events(timeline)),
        "displayTimeUnit": "ms",
        "otherData": {
            "program": timeline.program,
            "seed": timeline.seed,
            "strategy": timeline.strategy,
            "verdict": timeline.verdict,
            "headline": timeline.headline,
            "steps": timeline.extent(),
        },
    }


def _events(timeline: Timeline) -> Iterator[dict[str, Any]]:
    ends = len(timeline.steps)
    yield from _process(timeline, STEPS, "steps (one a microsecond)")
    yield from _process(timeline, TIME, "virtual time")
    for process, at in ((STEPS, float), (TIME, _virtual(timeline))):
        yield from _spans(timeline, process, at, ends)
    for index, step in enumerate(timeline.steps):
        arguments = {"where": step.where, "function": step.function, "source": step.source, "virtual_ns": step.t_ns}
        yield _span(STEPS, step.task, step.text, "step", index, index + 1, arguments)
    yield from _arrows(timeline)
    if timeline.failing is not None:
        failed = {"name": f"fails: {timeline.headline}", "cat": "failure", "ph": "i", "s": "g"}
        task = timeline.steps[timeline.failing].task
        yield {**failed, "pid": STEPS, "tid": task, "ts": float(timeline.failing)}
        yield {**failed, "pid": TIME, "tid": task, "ts": timeline.steps[timeline.failing].t_ns / 1e3}


def _virtual(timeline: Timeline) -> Callable[[int], float]:
    def at(step: int) -> float:
        last = step >= len(timeline.steps)
        # What began before the first step that is there is drawn from that one on.
        return (timeline.elapsed_ns if last else timeline.steps[max(step, 0)].t_ns) / 1e3

    return at


def _process(timeline: Timeline, process: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": f"{timeline.program}: {name}"}}
    yield {"name": "process_sort_index", "ph": "M", "pid": process, "tid": 0, "args": {"sort_index": process}}
    names = timeline.names()
    for lane in timeline.lanes:
        common = {"ph": "M", "pid": process, "tid": lane.task}
        yield {**common, "name": "thread_name", "args": {"name": names[lane.task]}}
        yield {**common, "name": "thread_sort_index", "args": {"sort_index": lane.task}}


def _spans(timeline: Timeline, process: int, at: Callable[[int], float], ends: int) -> Iterator[dict[str, Any]]:
    """Waits, activities and locks held; the latter on rows of their own, as they need not nest in what a task does."""
    names = timeline.names()
    for wait in timeline.waits:
        # The step by which it stops to wait has a span of its own, and so has the one by which it goes on.
        first = wait.first + 1 if process == STEPS else wait.first
        last = ends if wait.last is None else wait.last
        arguments = {"holder": names.get(wait.holder, ""), "in_time": wait.in_time}
        if at(last) > at(first):
            name = f"waits: {wait.op} {wait.called}".rstrip()
            yield _span(process, wait.task, name, "wait", at(first), at(last), arguments)
    for activity in timeline.activities if process == TIME else ():
        first, last = activity.first, ends if activity.last is None else activity.last
        yield _span(process, activity.task, activity.name, "activity", at(first), at(last), {"status": activity.status})
    for number, hold in enumerate(timeline.holds, 1):
        first, last = max(hold.first, 0), ends if hold.last is None else hold.last
        common = {"name": f"holds {hold.called}", "cat": "lock", "pid": process, "tid": hold.task}
        for phase, when in (("b", first), ("e", last)):
            yield {**common, "id2": {"local": str(number)}, "ph": phase, "ts": at(when)}


def _span(
    process: int, task: int, name: str, category: str, first: float, last: float, arguments: dict[str, Any]
) -> dict[str, Any]:
    span = {"name": name, "cat": category, "ph": "X", "pid": process, "tid": task, "ts": float(first)}
    return {**span, "dur": float(last - first), "args": arguments}


def _arrows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for number, arrow in enumerate(timeline.arrows, 1):
        common = {"name": f"{arrow.edge} {arrow.called}".rstrip(), "cat": "happens-before", "pid": STEPS, "id": number}
        source, target = timeline.steps[arrow.source], timeline.steps[arrow.target]
        # A flow binds to the span that encloses its time.
        yield {**common, "ph": "s", "tid": source.task, "ts": arrow.source + 0.5}
        yield {**common, "ph": "f", "bp": "e", "tid": target.task, "ts": arrow.target + 0.5}
