"""A timeline in a terminal: a column for each task, a row for each step; and two of them side by side. Needs rich."""

from __future__ import annotations

import linecache
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from routilux_sim.timeline import Choice, Step, Timeline, Wait, parting

__all__ = ["Walk", "columns", "shown", "side_by_side"]

NARROWEST = 18
"""Characters that a task's column has at least."""

BEFORE = 4
"""Steps that two executions have in common and that are shown before the one where they part."""

AFTER = 12
"""Steps that are shown of each from there on."""

AROUND = 3
"""Lines of source before and after the one that a step is in."""

_UP, _DOWN, _RIGHT, _LEFT = (f"\x1b[{letter}" for letter in "ABCD")
"""What a terminal sends for the arrow keys."""

_STYLES = ("cyan", "yellow", "green", "magenta", "blue", "red")


def columns(timeline: Timeline, steps: Iterable[int], width: int, current: int | None = None) -> Table:
    """A table of some steps.

    Args:
        timeline: Of the execution.
        steps: Which, by number, in order.
        width: Characters that there is room for; tasks that no column is left for share the last one.
        current: A step to be pointed at.
    """
    rows = list(steps)
    acting = dict.fromkeys(timeline.steps[index].task for index in rows)
    tasks = [lane.task for lane in timeline.lanes if lane.task in acting]
    room = max(1, (width - 24) // (NARROWEST + 2))
    own, others = (tasks, []) if len(tasks) <= room else (tasks[: room - 1], tasks[room - 1 :])
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), expand=False)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True, style="dim")
    for task in own:
        table.add_column(_plain(timeline.name_of(task), _style(timeline, task)), min_width=NARROWEST)
    if others:
        table.add_column(Text(f"{len(others)} others"), min_width=NARROWEST)
    names = timeline.names()
    deviating = {choice.step for choice in timeline.choices if choice.value}
    for index in rows:
        step = timeline.steps[index]
        sign = ">" if index == current else "*" if index in deviating else ""
        cells: list[Text] = [Text("")] * (len(own) + bool(others))
        name = None if step.task in own else names[step.task]
        cells[own.index(step.task) if step.task in own else -1] = _cell(timeline, step, name)
        failing = index == timeline.failing
        table.add_row(
            Text(f"{sign}{timeline.number(index)}"),
            Text(_seconds(step.t_ns)),
            *cells,
            style="bold red" if failing else "reverse" if index == current else None,
        )
    return table


def _cell(timeline: Timeline, step: Step, name: str | None) -> Text:
    text = Text()
    if name is not None:
        text.append(f"{_visible(name)}: ", _style(timeline, step.task))
    text.append(_visible(step.text), "" if step.is_own else "dim")
    if step.where:
        text.append(f" {_visible(step.where)}", "dim")
    return text


def _plain(text: str, style: str = "") -> Text:
    return Text(_visible(text), style)


def _visible(text: str) -> str:
    """With escapes for what could move a terminal's cursor or reorder what is shown."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _style(timeline: Timeline, task: int) -> str:
    return _STYLES[[lane.task for lane in timeline.lanes].index(task) % len(_STYLES)]


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:g} s"


class Walk:
    """Goes through a timeline step by step.

    Args:
        timeline: Of the execution.
        everything: Whether steps of the flow engine and of libraries are gone through, too.

    Attributes:
        step: Where it is.
    """

    KEYS = (
        ("n, space, →", "next step"),
        ("p, ←", "step before"),
        ("t", "the same task's next step"),
        ("d", "next decision that is not the plain one"),
        ("f", "failing step"),
        ("g", "first step"),
        ("G", "last step"),
        ("q", "leave"),
    )

    def __init__(self, timeline: Timeline, *, everything: bool) -> None:
        self._timeline = timeline
        self.steps = shown(timeline, everything=everything)
        self._at = 0

    @property
    def step(self) -> int:
        """The number of the step."""
        return self.steps[self._at]

    def go(self, key: str) -> bool:
        """Do what a key says; whether there is such a key."""
        timeline, steps, last = self._timeline, self.steps, len(self.steps) - 1
        deviating = {choice.step for choice in timeline.choices if choice.value}
        later = range(self._at + 1, last + 1)
        if key in {"n", " ", "\r", "\n", _RIGHT, _DOWN}:
            self._at = min(self._at + 1, last)
        elif key in {"p", _LEFT, _UP}:
            self._at = max(self._at - 1, 0)
        elif key == "t":
            mine = timeline.steps[self.step].task
            self._at = next((at for at in later if timeline.steps[steps[at]].task == mine), self._at)
        elif key == "d":
            crossed = (at for at in later if any(steps[at - 1] < one <= steps[at] for one in deviating))
            self._at = next(crossed, self._at)
        elif key == "f" and timeline.failing is not None:
            self._at = steps.index(timeline.failing)
        elif key in {"g", "G"}:
            self._at = 0 if key == "g" else last
        else:
            return False
        return True

    def show(self, width: int, height: int) -> RenderableType:
        """What is to be seen: the steps around, the source, who has and waits for what, the decision before."""
        timeline, index = self._timeline, self.step
        step = timeline.steps[index]
        around = max(3, (height - 16) // 2)
        nearby = self.steps[max(0, self._at - around) : self._at + around + 1]
        parts: list[RenderableType] = [columns(timeline, nearby, width, index)]
        title = f"step {timeline.number(index)} of {timeline.total}, at {_seconds(step.t_ns)}"
        parts.append(_plain(f"{title}: {timeline.name_of(step.task)} {step.text}", "bold"))
        if index == timeline.failing:
            parts.append(_plain(f"fails here: {timeline.headline}", "bold red"))
        before = [choice for choice in timeline.choices if choice.step == index and choice.value]
        parts += [_plain(f"before it: {_decision(choice)}") for choice in before]
        parts += _source(step)
        held = [f"{hold.called} by {timeline.name_of(hold.task)}" for hold in timeline.held_at(index)]
        waiting = [_waits(timeline, wait) for wait in timeline.waiting_at(index)]
        parts.append(_plain(f"locks held: {', '.join(held) or 'none'}"))
        parts.append(_plain(f"waiting: {'; '.join(waiting) or 'nobody'}"))
        return Group(*parts)


def _waits(timeline: Timeline, wait: Wait) -> str:
    by = f" ({timeline.name_of(wait.holder)} has it)" if wait.holder not in {0, wait.task} else ""
    return f"{timeline.name_of(wait.task)} in {wait.op} {wait.called}".rstrip() + by


def _source(step: Step) -> list[Text]:
    if not step.filename:
        return []
    lines = [_plain(f"{step.filename}:{step.line} in {step.function}", "dim")]
    for number in range(max(1, step.line - AROUND), step.line + AROUND + 1):
        text = linecache.getline(step.filename, number).rstrip()
        if text or number == step.line:
            here = number == step.line
            lines.append(_plain(f"{'->' if here else '  '} {number:>5}  {text}", "bold" if here else "dim"))
    return lines


def shown(timeline: Timeline, *, everything: bool) -> list[int]:
    """The steps that are shown: without those of the flow engine and of libraries, if there are others."""
    own = [index for index, step in enumerate(timeline.steps) if step.is_own or index == timeline.failing]
    return list(range(len(timeline.steps))) if everything or not own else own


def _decision(choice: Choice) -> str:
    if not choice.names:
        return f"{choice.label} is {choice.value} of {choice.bound}"
    others = [name for index, name in enumerate(choice.names) if index != choice.value]
    chosen = choice.names[choice.value]
    what = f"is preempted by {chosen}" if choice.preempts else f"-> {chosen} goes on"
    return f"{choice.label} {what} (also possible: {', '.join(others)})"


def side_by_side(
    one: Timeline, other: Timeline, names: tuple[str, str], width: int, *, everything: bool
) -> RenderableType:
    """Where two executions part: the decision, and the steps of both around it.

    Args:
        one: The first execution.
        other: The second one.
        names: What the two are called.
        width: Characters that there is room for.
        everything: Whether steps of the flow engine and of libraries are shown, too.
    """
    at = parting(one, other)
    sides = zip(names, (one, other), strict=True)
    lines: list[RenderableType] = [_plain(f"{name}: {each.headline.partition(chr(10))[0]}") for name, each in sides]
    if at is None:
        return Group(*lines, _plain(f"all {len(one.choices)} decisions are the same"))
    lines.append(_plain(f"the first {at} decisions are the same; they part at decision {at}", "bold"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, width=width)
    for name in names:
        table.add_column(_plain(name), ratio=1)
    table.add_row(*(_parts_at(each, at) for each in (one, other)), style="bold", end_section=True)
    rows = [_around(each, at, everything=everything) for each in (one, other)]
    for index in range(max(map(len, rows))):
        table.add_row(*(row[index] if index < len(row) else Text("") for row in rows))
    return Group(*lines, table)


def _parts_at(timeline: Timeline, at: int) -> Text:
    if at >= len(timeline.choices):
        return _plain("no decision any more")
    return _plain(_decision(timeline.choices[at]))


def _around(timeline: Timeline, at: int, *, everything: bool) -> list[Text]:
    ends = len(timeline.steps)
    step = timeline.choices[at].step if at < len(timeline.choices) else ends
    rows = shown(timeline, everything=everything)
    before = [index for index in rows if index < step][-BEFORE:]
    after = [index for index in rows if index >= step][:AFTER]
    cells = []
    for index in before + after:
        cell = Text(f"{timeline.number(index):>5} ", "dim" if index < step else "")
        cell.append(_cell(timeline, timeline.steps[index], timeline.name_of(timeline.steps[index].task)))
        if index == timeline.failing:
            cell.stylize("bold red")
        cells.append(cell)
    return cells
