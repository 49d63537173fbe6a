"""Names a livelock or a starvation: the steps that repeat, who never gets its turn, and who takes it instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from routilux_sim.judge.fairness import Deed, Outcome
from routilux_sim.judge.names import Names
from routilux_sim.judge.stacks import stacks_of, user_frames
from routilux_sim.judge.waits import is_mutex, wait_of
from routilux_sim.kernel.core import Kernel, label_of
from routilux_sim.kernel.errors import LivelockError
from routilux_sim.kernel.task import BLOCKED, DONE, Task

__all__ = ["count", "describe_livelock", "lap_lines", "starved"]

SHOWN = 40
"""Steps of a cycle that are shown."""

_TAKING = {"acquire", "try-acquire", "reacquire"}
_WAITING = {"wait", "reacquire", "release"}
_WAKING = {"notify", "set"}
_SUSPENDED = "suspended in "

_REMEDIES = {
    "livelock": "wait for each other with something that blocks (acquire(), Condition.wait(), Queue.get()) instead of "
    "trying again, or let one of them win: by a fixed order of the locks, or by a pause of random length",
    "starvation": "let who takes it give way for a while after each turn, or hand it over in the order of asking "
    "(a queue), or keep the state that is waited for until the waiter has seen it",
}


def describe_livelock(kernel: Kernel, outcome: Outcome) -> LivelockError:
    """Describe why the program will never end; called from the driver, before the tasks are unwound."""
    alive = [task for task in kernel.tasks if task.state is not DONE]
    names = Names([frame for task in alive for frame in user_frames(task)])
    hungry = starved(alive, outcome.cycle)
    cause = "starvation" if hungry else "livelock"
    lines = [
        f"{cause} after {kernel.now / 1e9:g} virtual seconds: scheduled fairly from step {outcome.begun} on, the tasks "
        f"come back to the same state every {count(len(outcome.cycle), 'step')}, so the program never ends"
    ]
    for task, thing, others in hungry:
        who = ", ".join(repr(other.name) for other in others)
        how = "tells it in vain" if thing.op in _WAKING else "takes it"
        lines.append(f"  {task.name!r} waits for {names.short(thing.obj)} all the time; {who} {how} again and again")
    lines.append(f"  what to do: {_REMEDIES[cause]}")
    steps = lap_lines(outcome.cycle, names)
    lines.append("  the steps that repeat:")
    lines += [f"    {step}" for step in steps[:SHOWN]]
    if len(steps) > SHOWN:
        lines.append(f"    … {len(steps) - SHOWN} more")
    for task in alive:
        if task.state is BLOCKED and not any(deed.task is task for deed in outcome.cycle):
            lines.append(f"  meanwhile task {task.name!r} {wait_of(task, names)}")
    lines += stacks_of(alive)
    return LivelockError("\n".join(lines), cause, tuple(steps), tuple(task.name for task, _, _ in hungry))


def count(number: int, what: str) -> str:
    """A number of things, in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def lap_lines(cycle: Sequence[Deed], names: Names | None = None) -> list[str]:
    """The steps of a cycle in words."""
    lines = []
    for deed in cycle:
        what = ""
        if deed.obj is not None:
            what = f" {names.short(deed.obj) if names is not None else label_of(deed.obj)}"
        place = f", at {deed.place}" if deed.place is not None else ""
        lines.append(f"{deed.task.name!r}: {deed.op}{what}{place}")
    return lines


def starved(alive: Sequence[Task], cycle: Sequence[Deed]) -> list[tuple[Task, Deed, list[Task]]]:
    """Who never gets what it waits for, a step about that, and who gets it; empty if nobody gets ahead of others.

    Args:
        alive: The tasks there are.
        cycle: The steps that repeat.
    """
    found = []
    for task in alive:
        for deed in _wants(task, cycle):
            others = _takers(deed, cycle)
            if others and task not in others:
                found.append((task, deed, others))
                break
    hungry = {task for task, _, _ in found}
    # Those who keep each other from getting ahead are in a livelock.
    return found if any(other not in hungry for _, _, others in found for other in others) else []


def _wants(task: Task, cycle: Sequence[Deed]) -> Iterator[Deed]:
    """A step about each thing that a task tries to have, or to be told."""
    mine = [deed for deed in cycle if deed.task is task]
    if not mine and is_mutex(task.waits_for):
        yield Deed(task, task.op, task.waits_for, None, None)
    for deed in mine:
        if is_mutex(deed.obj) and deed.op.removeprefix(_SUSPENDED) in _TAKING:
            yield deed
    waited_for = {id(deed.obj): deed.obj for deed in mine if deed.op == "wait"}
    if len(waited_for) == 1 and all(deed.op.removeprefix(_SUSPENDED) in _WAITING for deed in mine):
        (obj,) = waited_for.values()
        yield from (deed for deed in cycle if deed.obj is obj and deed.op in _WAKING)


def _takers(wanted: Deed, cycle: Sequence[Deed]) -> list[Task]:
    """Who gets what is wanted, in turn: nobody if it is never free. Of what one is told: who tells it."""
    about = [deed for deed in cycle if deed.obj is wanted.obj]
    if wanted.op in _WAKING:
        return list(dict.fromkeys(deed.task for deed in about if deed.op in _WAKING))
    if all(deed.owner is not None for deed in about):
        return []
    return list(dict.fromkeys(deed.owner for deed in about if deed.owner is not None))
