"""Steps of a story in words."""

from __future__ import annotations

from routilux_sim.story import Event, Place, Story

__all__ = ["SUSPENDED", "at", "doing", "mark", "waiting"]

SUSPENDED = "suspended in "
"""What the operation of a step begins with by which a task stops to wait."""

_VERBS = {
    "acquire": "acquires",
    "begin": "begins",
    "call": "calls into",
    "clear": "clears",
    "count": "counts the threads",
    "end": "ends",
    "exit": "reaches the end of the program",
    "get": "gets from",
    "is_alive": "asks after",
    "is_set": "looks at",
    "join": "joins",
    "locked": "looks at",
    "notify": "notifies",
    "put": "puts into",
    "qsize": "asks the size of",
    "read": "reads",
    "reacquire": "acquires again",
    "read the clock": "reads the clock",
    "release": "releases",
    "select": "waits in its event loop",
    "set": "sets",
    "shutdown": "shuts down",
    "sleep": "sleeps",
    "stall": "is stalled",
    "start": "starts a thread",
    "started": "goes on after starting a thread",
    "submit": "submits to",
    "take": "takes work from",
    "task_done": "counts off an item of",
    "try-acquire": "tries to acquire",
    "wait": "waits for",
    "write": "writes",
    "yield": "yields",
}


def doing(story: Story, event: Event) -> str:
    """What a task does, as a verb and its object: ``writes Counter.value``."""
    op = event.op
    if op.startswith(SUSPENDED):
        return waiting(story, event)
    verb = _VERBS.get(op, f"does {op!r} on" if event.label else f"does {op!r}")
    called = story.called(event)
    return f"{verb} {called}" if called else verb


def waiting(story: Story, event: Event) -> str:
    """What a task waits for, after ``when``: ``waits to acquire Lock-1``."""
    op = event.op.removeprefix(SUSPENDED)
    called = story.called(event)
    if op == "end":
        return "has ended"
    if op in {"sleep", "stall", "yield", "select", "begin"}:
        return _VERBS[op]
    if op == "wait":
        return f"waits for {called}" if called else "waits"
    return f"waits to {op} {called}".rstrip()


def mark(story: Story, event: Event) -> str:
    """A step beside its source line: ``[write Counter.value]``."""
    called = story.called(event)
    op = f"waits: {event.op.removeprefix(SUSPENDED)}" if event.op.startswith(SUSPENDED) else event.op
    return f"[{op} {called}]" if called else f"[{op}]"


def at(place: Place | None) -> str:
    """A place in brackets, with a space before it; empty if there is none."""
    return "" if place is None else f" ({place.short})"
