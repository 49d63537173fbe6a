"""What a suspended task waits for, as the program sees it: a lock, a queue, the end of a thread, a future."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from types import FrameType
from typing import Any

from routilux_sim.judge.names import Names, made_at
from routilux_sim.judge.stacks import call_of, frames_of, is_engines, is_machinery
from routilux_sim.kernel.task import Task

__all__ = ["is_idle_worker", "is_mutex", "is_signal", "pending_futures", "runners", "wait_of", "worker_frame"]

_VERBS = {
    "wait": "be notified by",
    "reacquire": "acquire",
    "select": "be called in",
    "get": "get from",
    "put": "put into",
    "take": "get work from",
}
_POOLS, _SIMULATED_POOLS = "concurrent.futures.thread", "routilux_sim.world.executors"
_OF_QUEUES = {"get", "put", "join"}


def wait_of(task: Task, names: Names) -> str:
    """What a task waits for, in words: ``waits to acquire `LOCK` (Lock-1, made at …)``."""
    return f"waits to {_verb(task, names)}"


def _verb(task: Task, names: Names) -> str:
    obj, op = task.waits_for, task.op
    if obj is None:
        return op
    if isinstance(obj, Task):
        return f"join task {obj.name!r}"
    if pending_futures(task):
        made = made_at(obj)
        return f"be given the result of a future ({made})" if made else "be given the result of a future"
    # What the program waits in may be more than what the task does: queues and barriers wait in conditions.
    call = call_of(task)
    whole = call.receiver if call is not None else None
    if op == "wait" and issubclass(type(whole), threading.Barrier):
        return f"pass {names.describe(whole, obj)}"
    if op in _OF_QUEUES and whole is not None:
        return f"{_VERBS.get(op, op)} {names.describe(whole, obj)}"
    return f"{_VERBS.get(op, op)} {names.describe(obj)}"


def is_mutex(obj: Any) -> bool:
    """Whether it is a simulated lock."""
    return getattr(obj, "kind", None) in {"Lock", "RLock"}


def is_signal(task: Task) -> bool:
    """Whether a task that waits for a lock waits to be told something by it: in a condition, or in the flow engine."""
    call = call_of(task)
    return is_engines(task) or (call is not None and issubclass(type(call.receiver), threading.Condition))


def pending_futures(task: Task) -> list[Any]:
    """The unfinished futures that a task waits for."""
    call = call_of(task)
    if call is None:
        return []
    found: list[Any] = []
    for frame in call.inner:
        if frame.f_globals.get("__name__") == "concurrent.futures._base":
            for name in ("self", "fs", "fut", "pending"):
                value: Any = frame.f_locals.get(name)
                found += list(value) if type(value) in {list, tuple, set, frozenset} else [value]
    futures = dict.fromkeys(value for value in found if issubclass(type(value), Future))
    return [future for future in futures if not _is_done(future)]


def _is_done(future: Any) -> bool:
    return future._state in {"CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED"}  # noqa: SLF001 - done() takes a lock


def runners(tasks: Iterable[Task]) -> dict[int, Task]:
    """By the identities of futures, the tasks of pools that work on them."""
    found = {}
    for task in tasks:
        for frame in frames_of(task):
            module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
            if module == _SIMULATED_POOLS and name == "_run":
                found[id(frame.f_locals.get("future"))] = task
            # What a derived pool's own way to start threads has them run.
            if module == _POOLS and name == "run":
                found[id(getattr(frame.f_locals.get("self"), "future", None))] = task
    return found


def worker_frame(task: Task) -> FrameType | None:
    """The frame of the loop in which a pool's worker takes work; None if the task is no such worker."""
    for frame in frames_of(task):
        if frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") in {_POOLS, _SIMULATED_POOLS}:
            return frame
    return None


def is_idle_worker(task: Task) -> bool:
    """Whether a task is a pool's, waiting for something to do."""
    return worker_frame(task) is not None and all(is_machinery(frame) for frame in frames_of(task))
