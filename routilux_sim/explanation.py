"""Says in words what happened in an execution, and what is known of a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from routilux_sim.execution import Execution
from routilux_sim.faults.labels import is_fault, is_swarm, words_of
from routilux_sim.findings import Findings
from routilux_sim.kernel.errors import DataRaceError, DeadlockError, InvariantError, LivelockError
from routilux_sim.phrases import SUSPENDED, at, doing, mark, waiting
from routilux_sim.schedule import Schedule
from routilux_sim.story import Event, Moment, Story
from routilux_sim.trials import Size

__all__ = ["explain", "explain_findings", "headline_of", "sentence_of"]

SHOWN = 20
"""Decisions that are listed of an execution that nobody has looked into."""

LONG = 60
"""Lines of steps from which on those are left out that do not matter."""

AROUND = 3
"""Lines that are kept before and after one that matters."""

DEVIATIONS = 12
"""Deviations that a sentence lists."""

MARKS = 8
"""Operations of one line that are shown; the same ones in a row count once."""

SOURCE = 64
"""Characters of a source line that are shown."""

_WHOLE = {"deadlock", "invariant", "livelock", "race"}
"""Kinds of failures whose text is a report of its own, of several lines."""


def explain(execution: Execution) -> str:
    """Describe an execution: what went wrong, when, who was left running, and the decisions that led there."""
    schedule = execution.schedule
    lines = _beginning(execution)
    lines.append(
        f"{len(schedule)} decisions, {schedule.deviations} of them not the plain choice (value 0); "
        f"run again with seed {execution.seed}"
    )
    first = max(0, len(schedule) - SHOWN)
    if first:
        lines.append(f"  … {first} earlier decisions")
    for index, step in enumerate(schedule.steps[first:], first):
        chosen = step.enabled[step.value] if step.value < len(step.enabled) else f"choice {step.value}"
        sign = "*" if step.value else " "
        lines.append(f" {sign}{index:>5}  {step.label}  ->  {chosen} (of {step.bound})")
    return "\n".join(lines)


def explain_findings(findings: Findings, original: Execution, command: str | None = None) -> str:
    """Describe a failure that has been looked into.

    Args:
        findings: What is known of it.
        original: The execution that was found first.
        command: What to type to run it again, if there is a command.
    """
    lines = _beginning(findings.execution)
    lines.append(sentence_of(findings))
    conflict = findings.conflict
    # A deadlock's own text has said it.
    if conflict is not None and not (findings.execution.kind in _WHOLE and conflict.text in "\n".join(lines)):
        lines.append(f"{conflict.name}: {conflict.text}")
    lines += _passing(findings)
    if findings.story.events:
        lines.append("what the tasks do, step by step:")
        lines += _steps(findings)
        lines.append("  => " + headline_of(findings.execution).replace("\n", "\n     "))
    if findings.shrunk is not None:
        lines.append(_shrunk(findings))
    if command is not None:
        again = f": {command}"
    # What other strategies decide comes out of the executions before, too.
    elif original.schedule.strategy == "random":
        again = f" seed {original.seed}"
    else:
        again = " replay(program, failure.shrunk)"
    lines.append(f"reproduced {findings.reproduced} of {findings.runs}; run again with{again}")
    return "\n".join(lines)


def sentence_of(findings: Findings) -> str:
    """The schedule in one sentence: what is not as under FIFO."""
    schedule, story = findings.schedule, findings.story
    deviations = findings.deviations
    if not deviations:
        return "FIFO everywhere: the plain schedule fails"
    faults, told = [], []
    for index in deviations:
        label = schedule[index].label
        if is_fault(label):
            faults.append(_deviation(schedule, story, index))
        # That a fault exists says nothing, if it does not come, and else no more than that it comes.
        elif not is_swarm(label):
            told.append(index)
    sentence = "FIFO everywhere"
    if told:
        listed = [_deviation(schedule, story, index) for index in told[:DEVIATIONS]]
        if len(told) > DEVIATIONS:
            listed.append(f"and {len(told) - DEVIATIONS} more")
        sentence += f", except: {'; '.join(listed)}"
    if faults:
        more = [f"{len(faults) - DEVIATIONS} more faults"] if len(faults) > DEVIATIONS else []
        sentence += f"{';' if told else ','} but only if {' and '.join([*faults[:DEVIATIONS], *more])}"
    return sentence


def _deviation(schedule: Schedule, story: Story, index: int) -> str:
    step = schedule[index]
    fault = words_of(step.label, step.value, schedule.faults)
    if fault is not None:
        return fault
    if index >= len(story.moments):
        return f"at step {index} ({step.label}) the choice is {step.value} of {step.bound}"
    event, can_go_on, names = story.moments[index]
    if not names:
        return f"at step {index} {event.op} of {event.name} is {step.value} instead of 0"
    chosen = _name(names, step.value)
    if can_go_on:
        return f"at step {index} {event.name} is preempted before it {_to_do(story, event)}, by {chosen}"
    when = f"when {event.name} {waiting(story, event)}{at(event.place)}, " if event.task else ""
    return f"at step {index}, {when}{chosen} goes on instead of {_name(names, 0)}"


def _to_do(story: Story, event: Event) -> str:
    return f"{doing(story, event)}{at(event.place)}"


def _name(names: Sequence[str], index: int) -> str:
    """A task's name, with its place among those of the same name."""
    name = names[index]
    return name if names.count(name) == 1 else f"{name} (choice {index})"


def _passing(findings: Findings) -> Iterator[str]:
    nearest = findings.nearest
    if nearest is None:
        return
    index = nearest.step
    step = nearest.schedule[index]
    failing = findings.schedule[index]
    fault = words_of(failing.label, step.value or failing.value, findings.schedule.faults)
    if fault is not None:
        yield f"it passes {'if' if step.value else 'unless'} {fault}"
        return
    if index >= len(findings.story.moments):
        yield f"it passes if step {index} is {step.value} instead of {findings.schedule[index].value}"
        return
    event, can_go_on, names = findings.story.moments[index]
    if not names:
        yield f"it passes if at step {index} {event.op} is {step.value}"
    elif can_go_on and not step.value:
        yield f"it passes if at step {index} {event.name} goes on and {_to_do(findings.story, event)}"
    elif can_go_on:
        chosen = _name(names, step.value)
        yield f"it passes if at step {index} {event.name}, before it {_to_do(findings.story, event)}, lets {chosen} run"
    else:
        yield f"it passes if at step {index} {_name(names, step.value)} goes on"


def _shrunk(findings: Findings) -> str:
    shrunk = findings.shrunk
    assert shrunk is not None  # noqa: S101 - seen by the caller
    late = ", until time ran out" if shrunk.late else ""
    return f"shrunk from {_size(shrunk.before)} to {_size(shrunk.after)}, in {shrunk.executions} executions{late}"


def _size(size: Size) -> str:
    plural = "" if size.deviations == 1 else "s"
    faults = f", {size.faults} of them faults" if size.faults else ""
    return f"{size.deviations} deviation{plural} ({size.preemptions} preempting{faults})"


class _Line(NamedTuple):
    """A line of the steps.

    Attributes:
        task: Whose.
        where: The place; empty for a deviation.
        source: What stands there; of a deviation, what is to be said of it.
        marks: What is done there.
        matters: Whether it is about what went wrong.
    """

    task: str
    where: str
    source: str
    marks: str
    matters: bool


def _steps(findings: Findings) -> Iterator[str]:
    """The steps, grouped by task; a deviation stands where it happens."""
    lines = list(_lines(findings))
    kept = set(range(len(lines)))
    if len(lines) > LONG:
        telling = [index for index, line in enumerate(lines) if line.matters]
        telling = [0, *telling[: LONG // 2], *telling[-LONG // 2 :], len(lines) - 1]
        kept = {near for index in telling for near in range(index - AROUND, index + AROUND + 1)}
    shown = [lines[index] for index in sorted(kept) if 0 <= index < len(lines) and lines[index].marks]
    wide = max((len(line.where) for line in shown), default=0)
    wider = max((len(line.source) for line in shown), default=0)
    task = None
    hidden = 0
    for index, line in enumerate(lines):
        if index not in kept:
            hidden += 1
            continue
        if hidden:
            yield f"  … {hidden} more"
            hidden, task = 0, None
        if line.task != task:
            task = line.task
            yield f"  {task}:"
        yield f"    {line.where:<{wide}}  {line.source:<{wider}}  {line.marks}" if line.marks else f"    {line.source}"


def _lines(findings: Findings) -> Iterator[_Line]:
    story = findings.story
    objects = findings.conflict.objects if findings.conflict is not None else frozenset()
    pending = [
        (index, moment)
        for index, (step, moment) in enumerate(zip(findings.schedule, story.moments, strict=False))
        if step.value
    ]
    pending.reverse()
    # Of a flow, what its engine does in between is not the program's, and would bury it.
    some_own = any(event.is_own for event in story.events)
    group: list[Event] = []
    for event in story.events:
        if some_own and not event.is_own and not _is_telling(event):
            continue
        breaks = bool(pending) and pending[-1][0] < event.decision
        if group and (breaks or (event.task, event.place) != (group[-1].task, group[-1].place)):
            yield _line(story, group, objects)
            group = []
        while pending and pending[-1][0] < event.decision:
            index, moment = pending.pop()
            yield _switch(findings.schedule, story, index, moment)
        group.append(event)
    if group:
        yield _line(story, group, objects)
    for index, moment in reversed(pending):
        yield _switch(findings.schedule, story, index, moment)


def _is_telling(event: Event) -> bool:
    """Of what is not the program's own: a call of the program's that waits, or that has an effect by itself."""
    place = event.place
    return place is not None and place.is_programs and (event.op.startswith(SUSPENDED) or event.op == "emit")


def _mark(story: Story, event: Event) -> str:
    return mark(story, event) if event.is_own or not event.op.startswith(SUSPENDED) else "[waits]"


def _line(story: Story, events: Sequence[Event], objects: frozenset[int]) -> _Line:
    place = events[0].place
    told = [(text, sum(1 for _ in same)) for text, same in groupby(_mark(story, event) for event in events)]
    marks = " ".join(text if times == 1 else f"{text} ×{times}" for text, times in told[:MARKS])
    if len(told) > MARKS:
        marks += f" … {len(told) - MARKS} more"
    source = "" if place is None else place.source
    if len(source) > SOURCE:
        source = f"{source[: SOURCE - 1]}…"
    where = "" if place is None else place.short
    matters = any(event.obj in objects or event.op.startswith(SUSPENDED) for event in events)
    return _Line(events[0].name, where, source, marks, matters)


def _switch(schedule: Schedule, story: Story, index: int, moment: Moment) -> _Line:
    step = schedule[index]
    if not moment.names:
        said = words_of(step.label, step.value, schedule.faults) or f"{moment.event.op} is {step.value}"
        return _Line(moment.event.name, "", f"* step {index}: {said}", "", True)
    chosen = _name(moment.names, step.value)
    if moment.can_go_on:
        text = f"* step {index}: preempted before {mark(story, moment.event)}{at(moment.event.place)}, by {chosen}"
    else:
        text = f"* step {index}: {chosen} goes on, instead of {_name(moment.names, 0)}"
    return _Line(moment.event.name or "at first", "", text, "", True)


def _beginning(execution: Execution) -> list[str]:
    """What went wrong, when, and who was left running."""
    lines = [headline_of(execution)]
    if execution.kind in _WHOLE:
        lines.append(str(execution.error))
    if execution.fair_from is not None:
        lines.append(f"from step {execution.fair_from} on tasks were scheduled fairly, whatever the strategy")
    if execution.left_running:
        lines.append("left running at the end of the program:")
        for left in execution.left_running:
            lines.append(f"  {left}")
            lines += [f"    {line}" for line in left.stack]
    return lines


def headline_of(execution: Execution) -> str:
    """What came of an execution, in one line as far as the program's exceptions are."""
    where = f" in task {execution.failed_task!r}" if execution.failed_task else ""
    error = execution.error
    if error is None:
        return f"passed, after {execution.elapsed:g} virtual seconds"
    if isinstance(error, DeadlockError | LivelockError):
        what = execution.kind if error.cause == execution.kind else f"{execution.kind} ({error.cause})"
        return f"{what} after {execution.elapsed:g} virtual seconds"
    if isinstance(error, DataRaceError) and error.race is not None:
        return f"data race on {error.race.name}, seen{where}, after {execution.elapsed:g} virtual seconds"
    if isinstance(error, InvariantError):
        return f"invariant {error.invariant!r} broken{where}, after {execution.elapsed:g} virtual seconds"
    first, newline, more = str(error).partition("\n")
    said = f": {first}" if first else ""
    return f"{type(error).__name__}{said}{where}, after {execution.elapsed:g} virtual seconds{newline}{more}"
