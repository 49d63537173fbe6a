"""What holds of every job, whatever the schedule: nothing is lost, nothing doubled, and all accounts of it agree.

`balance` needs nothing but the job's own state, so that it can judge a document too. `agree` compares a job of which
nothing runs with what its handlers recorded. `fulfil` compares one that is over with the model's forecast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from routilux import JobState
from routilux.job_state import FINAL

from .model import FINAL_OUTCOMES, Forecast, Graph, Run, job_of, received
from .recording import Recording

GRAVITY = ("failed", "error_continued", "skipped", "completed")


class LawError(AssertionError):
    """Something was lost, doubled, or told in two ways."""


def require(holds: bool, law: str, *details: Any) -> None:
    """Raise LawError unless ``holds``."""
    if not holds:
        raise LawError(f"{law}: " + "; ".join(map(repr, details)))


def require_same(law: str, left: Counter[Any], right: Counter[Any]) -> None:
    """Raise LawError unless two multisets are the same."""
    require(left == right, law, {"too many": dict(left - right)}, {"missing": dict(right - left)})


class Ended(NamedTuple):
    """An activation's record in a job's history."""

    routine: int
    slot: str
    attempt: int
    outcome: str


def number(routine_id: str) -> int:
    """A routine's number in the graph."""
    return int(routine_id[1:])


def endings(job: JobState) -> list[Ended]:
    """The records of activations in a job's history."""
    return [
        Ended(number(record.routine_id), record.data["slot"], record.data["attempt"], record.event_name)
        for record in job.execution_history
        if record.kind == "activation"
    ]


def events(job: JobState) -> Counter[tuple[int, str, str]]:
    """The events in a job's history."""
    return Counter(
        (number(record.routine_id), record.event_name, record.data["token"])
        for record in job.execution_history
        if record.kind == "event"
    )


def own(token: str | list[str]) -> str:
    """The token of an activation whose slot merges: what arrived last."""
    return token if isinstance(token, str) else token[-1]


def pending(job: JobState) -> list[Run]:
    """What a job still has to run."""
    return [
        Run(number(task.routine_id), task.slot, own(task.data["token"]), task.attempt, "pending")
        for task in job.pending_tasks
    ]


def deliveries(graph: Graph, emits: Iterable[tuple[int, str, str]]) -> Counter[tuple[int, str, str]]:
    """Which slots events reach, and under which token."""
    return Counter(
        (edge.target, edge.slot, received(edge, token))
        for source, event, token in emits
        for edge in graph.edges
        if (edge.source, edge.event) == (source, event)
    )


def balance(graph: Graph, job: JobState, entry: int, *, is_over: bool = True) -> None:
    """Whatever was emitted has ended once, or is still to be run once; figures and states tell the same.

    A document of a job that has ended while handlers still run (``is_over`` is false) lacks what becomes of those.
    """
    ends, waiting, emits = endings(job), pending(job), events(job)
    delivered = deliveries(graph, emits.elements())
    delivered[entry, "trigger", entry_token(job, waiting, emits)] += 1
    finals = Counter((end.routine, end.slot) for end in ends if end.outcome in FINAL_OUTCOMES)
    owed = Counter((run.routine, run.slot) for run in waiting)
    due = Counter(key[:2] for key in delivered.elements())
    if not is_over:
        require(finals <= due and not owed, "no delivery ends twice", finals, due, owed)
        return
    require_same("every delivery ends or waits, once", finals + owed, due)
    require_same("no event is told twice", emits, Counter(set(emits)))
    strangers = Counter((run.routine, run.slot, run.token) for run in waiting) - delivered
    require(not strangers, "what waits was delivered, and waits once", dict(strangers))
    put_off = Counter((end.routine, end.slot, end.attempt + 1) for end in ends if end.outcome == "retry")
    again = Counter(
        (each.routine, each.slot, each.attempt) for each in [*finals_of(ends), *waiting] if each.attempt > 1
    )
    again += Counter((end.routine, end.slot, end.attempt) for end in ends if end.outcome == "retry" and end.attempt > 1)
    require_same("every retry follows a failure, and every such failure is retried", again, put_off)
    _same_figures(job, ends)
    require(job.events_emitted == emits.total(), "events are counted", job.events_emitted, emits.total())
    if job.status in FINAL:
        require(not waiting, "nothing waits in a job that is over", job.status, waiting)


def entry_token(job: JobState, waiting: list[Run], emits: Counter[tuple[int, str, str]]) -> str:
    """The token that a job began with: that of everything in it, up to the first slash."""
    tokens = [token for _, _, token in emits] or [run.token for run in waiting]
    return tokens[0].split("/", 1)[0] if tokens else ""


def finals_of(ends: list[Ended]) -> list[Ended]:
    """Those that are no failed attempt before another."""
    return [end for end in ends if end.outcome in FINAL_OUTCOMES]


def _same_figures(job: JobState, ends: list[Ended]) -> None:
    told: Counter[tuple[int, str]] = Counter()
    for routine_id, figures in job.figures().items():
        routine = number(routine_id)
        told[routine, "calls"] = figures.calls
        told[routine, "retry"] = figures.retries
        for name in ("completed", "failed", "error_continued", "skipped"):
            told[routine, name] = getattr(figures, name)
    shown = Counter((end.routine, end.outcome) for end in ends if end.outcome not in {"dropped", "cancelled"})
    shown += Counter((end.routine, "calls") for end in ends if end.outcome != "dropped")
    require_same("figures are those of the history", +told, shown)
    for routine_id, state in job.routine_states.items():
        if state["status"] != "running":
            grave = [name for name in GRAVITY if told[number(routine_id), name]]
            expected = grave[0] if grave else "pending"
            require(state["status"] == expected, "a routine's state is its gravest end", routine_id, state, expected)


def agree(graph: Graph, job: JobState, label: int, entry: int, recording: Recording) -> None:
    """What a job of which nothing runs says of itself is what its handlers did."""
    require(not recording.running.get(label), "nothing runs", recording.running.get(label))
    balance(graph, job, entry)
    runs = [run for run in recording.runs if job_of(run[2]) == label]
    emits = Counter(emit for emit in recording.emits if job_of(emit[2]) == label)
    deferred = Counter(token for token in recording.deferred if job_of(token) == label)
    kept = Counter(event.data["token"] for event in job.deferred_events)
    require(kept <= deferred, "deferred events are those of handlers", kept, deferred)
    shown = events(job)
    late = Counter(token for _, _, token in (shown - emits).elements())
    require_same("every event is in the history, deferred ones once resumed", shown & emits, emits)
    require_same("every deferred event waits, or was emitted", late + kept, deferred)
    ends = endings(job)
    begun = Counter((end.routine, end.slot, end.attempt) for end in ends if end.outcome not in {"dropped", "cancelled"})
    cancelled = Counter((end.routine, end.slot, end.attempt) for end in ends if end.outcome == "cancelled")
    called = Counter((routine, slot, attempt) for routine, slot, _, attempt in runs)
    require(begun <= called <= begun + cancelled, "handlers were called as the history has it", called, begun)
    reached = deliveries(graph, shown.elements())
    reached[entry, "trigger", str(label)] += 1
    strangers = Counter(run[:3] for run in runs if run[3] == 1) - reached
    require(not strangers, "what ran was delivered, and ran once", dict(strangers))
    for run in pending(job):
        tries = len(recording.attempts.get(run[:3], ()))
        require(run.attempt == tries + 1, "what waits has not run yet", run, tries)
    _merged(recording, label)
    require(not recording.broken, "turns are taken", recording.broken)


def _merged(recording: Recording, label: int) -> None:
    """Merging is atomic: each activation of a slot sees all that came before it, and one thing more."""
    for (job, routine), snapshots in recording.snapshots.items():
        if job != label:
            continue
        seen = sorted(set(snapshots), key=len)
        for count, snapshot in enumerate(seen, 1):
            whole = len(snapshot) == count and snapshot == seen[-1][:count]
            require(whole, "merging adds one thing at a time", routine, seen)
        mine = {run[2] for run in recording.runs if run[:2] == (routine, "gather") and job_of(run[2]) == label}
        require({snapshot[-1] for snapshot in seen} == mine, "each merges once", routine, seen, mine)


def fulfil(graph: Graph, job: JobState, label: int, forecast: Forecast, recording: Recording) -> None:
    """A job that is over has come to what the model says."""
    require(job.status in forecast.statuses, "the status is the model's", label, job.status, forecast.statuses)
    require((job.status == "failed") == (job.error is not None), "an error is what fails a job", job.status, job.error)
    if forecast.walk is None:
        return
    ran = [run for run in recording.runs if job_of(run[2]) == label]
    planned = [run[:4] for run in forecast.walk.runs]
    require_same("what ran is the model's", Counter(ran), Counter(planned))
    if forecast.in_order:
        require(ran == planned, "a sequential job runs in queue order", ran, planned)
    shown = Counter((end.routine, end.slot, end.attempt, end.outcome) for end in endings(job))
    expected = Counter((run.routine, run.slot, run.attempt, run.outcome) for run in forecast.walk.runs)
    require_same("the outcomes are the model's", shown, expected)
    emitted = Counter((int(step.name), step.event, step.token) for step in forecast.walk.emits)
    require_same("the events are the model's", events(job), emitted)
    kept = Counter(event.data["token"] for event in job.deferred_events)
    require_same("the deferred events are the model's", kept, Counter(forecast.walk.deferred))
