"""Two steps that come in the wrong order, or in between: what a conflict is called when no pattern of accesses fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from routilux_sim.phrases import SUSPENDED, at, doing
from routilux_sim.story import Event, Story

__all__ = ["WINDOW", "Conflict", "order_conflict"]

WINDOW = 200
"""So many accesses of others are looked at between two of one task."""

_LOOKING = {"read", "is_set", "locked", "qsize", "is_alive", "count"}

_Key = tuple[int, str, str, int]
"""Whose step, which operation, to what, for which time."""


class Conflict(NamedTuple):
    """What went wrong.

    Attributes:
        name: A common name for it.
        text: Who did what in which order.
        objects: What it is about: numbers of objects in the story.
    """

    name: str
    text: str
    objects: frozenset[int]


def order_conflict(
    story: Story, deviations: Sequence[int], failed: str | None, passing: Story | None
) -> Conflict | None:
    """Two steps on one object in an order that they do not have where the program passes."""
    if passing is not None:
        for conflict in (_reversed(story, passing), _missing(story, passing, failed)):
            if conflict is not None:
                return conflict
    return next(chain(_overtaken(story, deviations), _interrupted(story, deviations)), None)


def _order_violation(story: Story, early: Event, late: Event, ending: str) -> Conflict:
    then = f"{late.op}s it" if late.op in {"read", "write"} else doing(story, late)
    text = f"{early.name} {doing(story, early)}{at(early.place)} before {late.name} {then}{at(late.place)}"
    return Conflict("order violation", f"{text}{ending}", frozenset({early.obj}))


def _reversed(story: Story, passing: Story) -> Conflict | None:
    """The first two steps that both executions have, on one object and not both only looks, the other way round."""
    order = {key: index for index, (key, _) in enumerate(_keyed(passing))}
    latest: dict[int, list[tuple[int, Event]]] = {}
    for key, event in _keyed(story):
        place = order.get(key)
        if place is None or not event.obj or not event.is_own or event.op.startswith(SUSPENDED):
            continue
        before = latest.setdefault(event.obj, [])
        for there, early in reversed(before[-WINDOW:]):
            if there > place and early.task != event.task and not {early.op, event.op} <= _LOOKING:
                return _order_violation(story, early, event, "; where it passes, it is the other way round")
        before.append((place, event))
    return None


def _missing(story: Story, passing: Story, failed: str | None) -> Conflict | None:
    """The last access of the task that failed, if something comes before it where the program passes."""
    keyed = list(_keyed(story))
    last = next(((key, event) for key, event in reversed(keyed) if event.name == failed), None)
    if last is None or not last[1].obj or not last[1].is_own:
        return None
    here, there = (_before(last, events) for events in (keyed, list(_keyed(passing))))
    # As much as there has happened to it: then it is not that something is missing.
    if there is None or here is None or len(here) >= len(there):
        return None
    done = {key for key, _ in keyed}
    found = next((event for key, event in reversed(there) if key not in done), None)
    return None if found is None else _order_violation(story, last[1], found, ", which comes first where it passes")


def _before(step: tuple[_Key, Event], events: Sequence[tuple[_Key, Event]]) -> list[tuple[_Key, Event]] | None:
    """What others do before a step to the same object, not just looking like it; None if it does not come."""
    found: list[tuple[_Key, Event]] = []
    for key, event in events:
        if key == step[0]:
            return found
        # Numbers of objects differ from one execution to the next, labels do not.
        is_anothers = event.label == step[1].label and event.task != step[1].task and event.is_own
        if is_anothers and not {event.op, step[1].op} <= _LOOKING and not event.op.startswith(SUSPENDED):
            found.append((key, event))
    return None


def _overtaken(story: Story, deviations: Sequence[int]) -> Iterator[Conflict]:
    """What another task does to an object while one is held up that was about to."""
    for index in reversed(deviations):
        if index >= len(story.moments):
            continue
        held, can_go_on, _ = story.moments[index]
        if not can_go_on or not held.obj:
            continue
        for event in story.events:
            if event.decision <= index or event.obj != held.obj or event.op.startswith(SUSPENDED):
                continue
            if event.task == held.task:
                break
            if event.is_own and not {event.op, held.op} <= _LOOKING:
                yield _order_violation(story, event, held, "; it passes the other way round")
                break


def _interrupted(story: Story, deviations: Sequence[int]) -> Iterator[Conflict]:
    """What another task does to an object while one is held up that has just worked on it."""
    for index in reversed(deviations):
        if index >= len(story.moments) or not story.moments[index].can_go_on:
            continue
        held = story.moments[index].event.task
        earlier = [event for event in story.events if event.task == held and event.decision <= index and event.obj]
        if not earlier or not earlier[-1].is_own:
            continue
        first = earlier[-1]
        for event in story.events:
            if event.decision <= index or event.obj != first.obj or event.op.startswith(SUSPENDED):
                continue
            if event.task == held:
                break
            if event.is_own and not {event.op, first.op} <= _LOOKING:
                text = (
                    f"{first.name} {doing(story, first)}{at(first.place)}, and before it is done "
                    f"{event.name} {doing(story, event)}{at(event.place)}"
                )
                yield Conflict("atomicity violation", text, frozenset({first.obj}))
                break


def _keyed(story: Story) -> Iterator[tuple[_Key, Event]]:
    """Events by what they are called in every execution: whose, which, to what, for which time."""
    counts: dict[tuple[int, str, str], int] = {}
    for event in story.events:
        key = (event.task, event.op, event.label)
        count = counts[key] = counts.get(key, 0) + 1
        yield (*key, count), event
