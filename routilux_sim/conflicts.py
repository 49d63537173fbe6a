"""Gives what went wrong between two tasks its name.

Memory accesses are judged by who comes between two accesses of one task to one location: the orders that no serial
execution has are those of Lu, Tucek, Qin and Zhou, "AVIO: detecting atomicity violations via access interleaving
invariants" (2006). Without memory accesses, critical sections are looked at in the same way.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from routilux_sim.kernel.errors import DataRaceError, DeadlockError, LivelockError
from routilux_sim.orders import WINDOW, Conflict, order_conflict
from routilux_sim.phrases import SUSPENDED, at, doing
from routilux_sim.story import Event, Place, Story

__all__ = ["Conflict", "conflict_of"]

_CHECKS = ("if ", "if(", "elif ", "while ", "while(")
_TAKING = {"acquire", "try-acquire", "reacquire"}

_PATTERNS = {
    ("read", "write", "write"): "lost update",
    ("read", "write", "read"): "atomicity violation",
    ("write", "write", "read"): "atomicity violation",
    ("write", "read", "write"): "dirty read",
}

_ENDINGS = {
    "lost update": "and {task} writes over that, from what it read before",
    "check-then-act": "and {task} acts on what it saw before",
    "dirty read": "and {task} had not been done with it",
    "atomicity violation": "and to {task} it is not what it was before",
}
_RANKS = {"lost update": 4, "check-then-act": 4, "atomicity violation": 3, "dirty read": 2}


def conflict_of(
    story: Story, error: BaseException, deviations: Sequence[int], failed: str | None, passing: Story | None
) -> Conflict | None:
    """Name what went wrong in an execution; None if it is nothing that is known here.

    Args:
        story: Of the execution.
        error: How it failed.
        deviations: The indices of its decisions that are not the plain choice.
        failed: The name of the task that failed.
        passing: The story of an execution that passes and differs in one decision.
    """
    if isinstance(error, DeadlockError):
        return _of_deadlock(story, error)
    if isinstance(error, LivelockError):
        return Conflict(error.cause, _first_line(error), frozenset())
    if isinstance(error, DataRaceError):
        return Conflict("data race", _first_line(error).removeprefix("data race on "), frozenset())
    # By name, what is read from a class and written to an instance, as defaults are, is one thing.
    found = list(_accesses(story, failed, lambda event: event.obj)) or list(_accesses(story, failed, _stem))
    found += _sections(story)
    if found:
        return max(found, key=lambda one: one.weight(deviations, story)).conflict
    return order_conflict(story, deviations, failed, passing)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _of_deadlock(story: Story, error: DeadlockError) -> Conflict:
    if error.cause != "lock cycle":
        prefix = f"{error.cause}: "
        told = next((line.strip() for line in str(error).splitlines() if line.strip().startswith(prefix)), prefix)
        return Conflict(error.cause, told.removeprefix(prefix), frozenset())
    parts = []
    objects = set()
    for task in error.cycle:
        own = [event for event in story.events if event.task == task.number]
        wanted = _wanted(story, own)
        held = _held(own)
        if wanted is None or not held:
            continue
        objects |= {wanted.obj, *(event.obj for event in held)}
        taken = " and ".join(f"{story.called(event)}{at(event.place)}" for event in held)
        parts.append(f"{task.name} holds {taken} and wants {story.called(wanted)}{at(wanted.place)}")
    return Conflict("lock-order inversion", "; ".join(parts), frozenset(objects))


def _wanted(story: Story, own: list[Event]) -> Event | None:
    """What a task waits for in the end: it has said so when it stopped, or was to take it when another came first."""
    if own and own[-1].op.startswith(SUSPENDED):
        return own[-1]
    task = own[0].task if own else 0
    asked = (moment.event for moment in reversed(story.moments) if moment.event.task == task)
    return next((event for event in asked if event.op in _TAKING), None)


def _held(events: Iterable[Event]) -> list[Event]:
    held: dict[int, Event] = {}
    for event in events:
        if event.op in _TAKING:
            held.setdefault(event.obj, event)
        elif event.op == "release" or event.op.startswith(SUSPENDED):
            held.pop(event.obj, None)
    return list(held.values())


class _Found(NamedTuple):
    """Something between two steps of one task.

    Attributes:
        conflict: What.
        first, last: Those steps.
        rank: The higher, the more it says.
    """

    conflict: Conflict
    first: Event
    last: Event
    rank: int

    def weight(self, deviations: Sequence[int], story: Story) -> tuple[bool, bool, int, int]:
        """What makes it likely to be the one that matters: a deviation comes between, of that task's if possible."""
        spanned = [at for at in deviations if self.first.decision <= at < self.last.decision]
        own = any(at < len(story.moments) and story.moments[at].event.task == self.first.task for at in spanned)
        return own, bool(spanned), self.rank, self.last.decision


def _stem(event: Event) -> str:
    """What an object is called, without its number."""
    stem, _, number = event.label.rpartition("-")
    return stem if number.isdigit() else event.label


def _accesses(story: Story, failed: str | None, key: Callable[[Event], Hashable]) -> Iterator[_Found]:
    by_object: dict[Hashable, list[Event]] = {}
    for event in story.events:
        if event.op in {"read", "write"} and event.obj:
            by_object.setdefault(key(event), []).append(event)
    for events in by_object.values():
        last: dict[int, int] = {}
        for index, event in enumerate(events):
            before = last.get(event.task)
            last[event.task] = index
            if before is not None and 1 < index - before <= WINDOW:
                yield from _between(story, events[before], events[before + 1 : index], event)
        yield from _stale(story, events, last, failed)


def _between(story: Story, first: Event, others: list[Event], last: Event) -> Iterator[_Found]:
    for other in others:
        name = _PATTERNS.get((first.op, other.op, last.op))
        if name is None:
            continue
        if first.op == "read" and _is_check(first.place):
            name = "check-then-act"
        ending = _ENDINGS[name].format(task=last.name)
        text = (
            f"{first.name} {doing(story, first)}{at(first.place)}, {other.name} {other.op}s it{at(other.place)}, "
            f"{ending}{at(last.place)}"
        )
        yield _Found(Conflict(name, text, frozenset({first.obj})), first, last, _RANKS[name])
        return


def _stale(story: Story, events: list[Event], last: dict[int, int], failed: str | None) -> Iterator[_Found]:
    """A task that failed on what it had seen, which others have changed since."""
    for index in last.values():
        seen = events[index]
        change = next((event for event in events[index + 1 :] if event.op == "write"), None)
        if seen.name != failed or seen.op != "read" or change is None or not _is_check(seen.place):
            continue
        text = (
            f"{seen.name} {doing(story, seen)}{at(seen.place)}, {change.name} writes it{at(change.place)}, "
            f"and {seen.name} acts on what it saw"
        )
        after = next((event for event in reversed(story.events) if event.task == seen.task), seen)
        yield _Found(Conflict("check-then-act", text, frozenset({seen.obj})), seen, after, 3)


def _is_check(place: Place | None) -> bool:
    return place is not None and place.source.startswith(_CHECKS)


class _Section(NamedTuple):
    begin: Event
    end: Event


def _sections(story: Story) -> Iterator[_Found]:
    """Two critical sections of one task, and another task's of the same lock in between."""
    by_lock: dict[int, list[_Section]] = {}
    begun: dict[tuple[int, int], Event] = {}
    for event in story.events:
        if not event.is_own:
            continue
        key = (event.task, event.obj)
        if event.op in _TAKING:
            begun[key] = event
        elif event.op == "release" and key in begun:
            by_lock.setdefault(event.obj, []).append(_Section(begun.pop(key), event))
    for sections in by_lock.values():
        last: dict[int, int] = {}
        for index, section in enumerate(sections):
            before = last.get(section.begin.task)
            last[section.begin.task] = index
            if before is None or index - before < 2:
                continue
            first, other = sections[before].begin, sections[before + 1].begin
            lock = story.called(first)
            name = "check-then-act" if _checks_between(first.place, section.begin.place) else "atomicity violation"
            text = (
                f"{first.name} takes {lock}{at(first.place)}, and again{at(section.begin.place)}; in between "
                f"{other.name} takes it{at(other.place)}"
            )
            yield _Found(Conflict(name, text, frozenset({first.obj})), first, section.begin, 1)


def _checks_between(first: Place | None, last: Place | None) -> bool:
    """Whether a line between two places of one function asks for a condition."""
    if first is None or last is None or first[::2] != last[::2]:
        return False
    lines = range(first.line, last.line + 1)
    return any(linecache.getline(first.filename, line).strip().startswith(_CHECKS) for line in lines)
