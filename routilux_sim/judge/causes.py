"""Names what a stuck task waits for in vain, and says what to do about it.

Looks at one task at a time that waits for nobody in particular; rings of tasks are `routilux_sim.judge.deadlock`'s.
"""

from __future__ import annotations

import threading
from types import FrameType
from typing import Any, NamedTuple

from routilux_sim.judge.memory import Fact, Memory
from routilux_sim.judge.names import Names
from routilux_sim.judge.stacks import Call, call_of, frames_of, is_engines
from routilux_sim.judge.waits import is_mutex, is_signal, pending_futures, worker_frame
from routilux_sim.kernel.task import DONE, Task

__all__ = ["REMEDIES", "Cause", "Scene"]

REMEDIES = {
    "lock cycle": "take the locks in the same order everywhere, or hold one at a time",
    "lock taken twice": "use an RLock, or split what needs the lock from what takes it; if another task is to release "
    "it, see why it does not",
    "join on itself": "join a thread from outside the ring, from who started it",
    "wait cycle": "let go of the lock before waiting for what needs it: the end of a thread, or a future",
    "pool waits on itself": "submit and return, and wait outside the pool; or give nested work a pool of its own",
    "event loop waits for itself": "await it: asyncio.wrap_future(future), or the coroutine itself",
    "held by an ended task": "take it in a 'with' block, or release it in 'finally'",
    "orphaned lock": "release it where it was taken, before the program waits for it",
    "lost wake-up": "change the state under the lock before notifying, and wait in a loop that checks it first, "
    "as wait_for() does",
    "lost event": "clear it before what sets it can happen again, or use a queue or a condition with a predicate",
    "queue never drained": "keep a consumer until the last put, make the queue larger, or put with a timeout",
    "queue join never ends": "call task_done() once for each item got, also when handling it fails (in 'finally')",
    "barrier never full": "make as many parties as the barrier counts, and let who leaves early abort() it",
    "semaphore never released": "release it in 'finally', or take it in a 'with' block",
    "never notified": "notify after changing what is waited for, on every way out, or wait with a timeout",
    "event never set": "set it on every way out of who is to set it (in 'finally'), or wait with a timeout",
    "future never done": "set its result or exception on every way out, or wait with a timeout",
    "queue never fed": "send an end mark to each consumer before the last producer ends, or get with a timeout",
    "event loop never called": "see to it that what the coroutines await is completed, also when it fails",
    "engine never done": "see what the handlers that have not returned wait for, or give the job a timeout",
    "waits for ever": "see to it that another task lets it go on, or wait with a timeout",
}
"""What may be named as the cause of a deadlock, the most telling first, and what to do about each."""


class Cause(NamedTuple):
    """Why a task waits in vain.

    Attributes:
        name: A key of `REMEDIES`.
        text: What happened, in a sentence that begins with the task.
    """

    name: str
    text: str


class Scene:
    """A deadlock, as far as one task's wait is to be explained.

    Args:
        stuck: The tasks that wait.
        names: What things are called.
        memory: What happened before, if that was watched.
    """

    def __init__(self, stuck: list[Task], names: Names, memory: Memory | None) -> None:
        self._stuck = stuck
        self._names = names
        self._memory = memory

    def cause(self, task: Task) -> Cause:
        """Why a task that waits for no other stuck task in particular waits in vain."""
        futures = pending_futures(task)
        if futures:
            return self._future(task, futures)
        if is_engines(task):
            return Cause(
                "engine never done", f"{task.name!r} waits for the flow engine, and nothing is left that it could do"
            )
        if is_mutex(task.waits_for) and task.waits_for.owner is task and is_signal(task):
            return Cause("never notified", f"{task.name!r} waits to be notified by a condition, and nobody notifies it")
        if is_mutex(task.waits_for):
            return self._lock(task, task.waits_for)
        ways = {
            "get": self._fed,
            "put": self._drained,
            "join": self._joined,
            "select": self._loop,
            "acquire": self._semaphore,
            "wait": self._wait,
        }
        return ways.get(task.op, self._other)(task, task.waits_for, call_of(task))

    def _other(self, task: Task, obj: Any, call: Call | None) -> Cause:  # noqa: ARG002 - as the others
        return Cause("waits for ever", f"{task.name!r} waits in {task.op!r}, and nothing ends that")

    def _wait(self, task: Task, obj: Any, call: Call | None) -> Cause:
        if call is not None and issubclass(type(call.receiver), threading.Barrier):
            return self._barrier(task, call.receiver)
        kind = getattr(obj, "kind", None)
        if kind == "Event":
            return self._event(task, obj)
        return self._condition(task, obj)

    def _lock(self, task: Task, lock: Any) -> Cause:
        owner = lock.owner
        name = self._names.short(lock)
        if owner is None:
            return Cause(
                "orphaned lock", f"{task.name!r} waits for {name}, which was taken outside of any task that is here"
            )
        ended = "has ended" if owner.state is DONE else "is not stuck itself"
        taken = self._taken(owner, lock)
        return Cause(
            "held by an ended task", f"{task.name!r} waits for {name}, held{taken} by {owner.name!r}, which {ended}"
        )

    def _taken(self, owner: Task, lock: Any) -> str:
        fact = self.taken(owner, lock)
        return "" if fact is None else fact.since()

    def taken(self, owner: Task, lock: Any) -> Fact | None:
        """How a task took the lock that it holds, if that was watched."""
        if self._memory is None:
            return None
        facts = [self._memory.by(owner, op, lock) for op in ("acquire", "try-acquire", "reacquire")]
        return max((fact for fact in facts if fact is not None), key=lambda fact: fact.step, default=None)

    def _condition(self, task: Task, obj: Any) -> Cause:
        name = self._names.short(obj)
        begun = self._memory.by(task, "wait", obj) if self._memory is not None else None
        sent = self._memory.last("notify", obj) if self._memory is not None else None
        if sent is None or begun is None or sent.waiters:
            again = " again" if sent is not None else ""
            who = f"; the last notify was by {sent}" if sent is not None else ""
            return Cause(
                "never notified", f"{task.name!r} waits to be notified by {name}, and nobody notifies it{again}{who}"
            )
        return Cause(
            "lost wake-up",
            f"{task.name!r} waits for a notify of {name} that was sent before: by {sent}, when nobody waited; "
            f"{task.name!r} began to wait at {begun.now / 1e9:g} s, at {begun.place}",
        )

    def _event(self, task: Task, obj: Any) -> Cause:
        name = self._names.short(obj)
        memory = self._memory
        sent = memory.last("set", obj) if memory is not None else None
        if memory is None or sent is None:
            return Cause("event never set", f"{task.name!r} waits for {name} to be set, and nobody sets it")
        cleared = memory.last("clear", obj)
        if memory.heard(task, obj) >= sent.step or cleared is None:
            return Cause(
                "event never set", f"{task.name!r} waits for {name} to be set again; the last to set it was {sent}"
            )
        return Cause(
            "lost event",
            f"{task.name!r} waits for {name}, which was set and cleared before it saw it: set by {sent}; "
            f"cleared by {cleared}",
        )

    def _semaphore(self, task: Task, obj: Any, call: Call | None) -> Cause:  # noqa: ARG002 - as the others
        name = self._names.short(obj)
        held = self._balance(obj)
        holders = f"; taken and not given back by {', '.join(held)}" if held else ""
        return Cause("semaphore never released", f"{task.name!r} waits for {name}, and nobody releases it{holders}")

    def _balance(self, obj: Any) -> list[str]:
        if self._memory is None:
            return []
        stuck_here = {task for task in self._stuck if task.waits_for is obj}
        lines = []
        for fact in sorted(self._memory.all("acquire", obj), key=lambda fact: fact.task.number):
            given = self._memory.by(fact.task, "release", obj)
            left = fact.count - (fact.task in stuck_here) - (given.count if given is not None else 0)
            if left > 0:
                ended = ", which has ended" if fact.task.state is DONE else ""
                lines.append(f"{fact.task.name!r} ({left}×{ended})")
        return lines

    def _barrier(self, task: Task, barrier: Any) -> Cause:
        name = self._names.of(barrier)
        parties, count = barrier.__dict__.get("_parties"), barrier.__dict__.get("_count")
        called = f"the barrier `{name}`" if name is not None else "a barrier"
        return Cause(
            "barrier never full",
            f"{task.name!r} waits at {called} with {count} of {parties} parties; the others never come",
        )

    def _queue(self, obj: Any, call: Call | None) -> tuple[str, Any]:
        """What a queue is called, and what its putters wait in."""
        receiver = call.receiver if call is not None else None
        if receiver is None:
            return self._names.short(obj), obj
        name = self._names.of(receiver)
        kind = getattr(receiver, "label", type(receiver).__name__)
        sides = receiver.__dict__.get("_sim_sides") if hasattr(receiver, "__dict__") else None
        return (f"`{name}`" if name is not None else kind), sides

    def _fed(self, task: Task, obj: Any, call: Call | None) -> Cause:
        name, sides = self._queue(obj, call)
        puts = self._memory.all("put", getattr(sides, "putters", obj)) if self._memory is not None else []
        if puts:
            told = f"the last to put something was {puts[0]}, {_fate(puts[0].task)}"
        elif self._memory is not None:
            told = "nobody has ever put anything there"
        else:
            told = "nobody puts anything there any more"
        return Cause("queue never fed", f"{task.name!r} waits to get from {name}, which is empty: {told}")

    def _drained(self, task: Task, obj: Any, call: Call | None) -> Cause:
        name, sides = self._queue(obj, call)
        gets = self._memory.all("get", getattr(sides, "getters", obj)) if self._memory is not None else []
        if gets:
            told = f"the last to get something was {gets[0]}, {_fate(gets[0].task)}"
        elif self._memory is not None:
            told = "nobody has ever got anything from it"
        else:
            told = "nobody gets anything from it any more"
        return Cause("queue never drained", f"{task.name!r} waits to put into {name}, which is full: {told}")

    def _joined(self, task: Task, obj: Any, call: Call | None) -> Cause:
        name, sides = self._queue(obj, call)
        left = getattr(call.receiver, "unfinished_tasks", 0) if call is not None else 0
        items = "1 item is not" if left == 1 else f"{left} items are not" if left else "some are not"
        done = self._memory.all("task_done", getattr(sides, "done", obj)) if self._memory is not None else []
        mine = self._memory.by(task, "get", getattr(sides, "getters", obj)) if self._memory is not None else None
        if done:
            told = f"; the last task_done() was by {done[0]}, {_fate(done[0].task)}"
        elif self._memory is not None:
            told = "; nobody has ever called task_done()"
        else:
            told = ""
        if mine is not None:
            told += f"; {task.name!r} is a consumer itself"
        return Cause("queue join never ends", f"{task.name!r} waits until {name} is done, but {items}{told}")

    def _future(self, task: Task, futures: list[Any]) -> Cause:
        name = self._names.of(futures[0])
        called = f"the future `{name}`" if name is not None else "a future"
        mine = worker_frame(task)
        waiting = [future for future in futures if future._state == "PENDING"]  # noqa: SLF001 - as above
        pool = self._full_pool(mine)
        if waiting and pool is not None and mine is not None:
            return Cause(
                "pool waits on itself",
                f"{task.name!r}, a worker of a pool of {pool[0]}, waits for {called} of that pool, which has not "
                f"begun: all workers are busy waiting, and {pool[1]} calls are queued",
            )
        if any(frame.f_code.co_name == "run_forever" for frame in frames_of(task)):
            return Cause(
                "event loop waits for itself",
                f"{task.name!r} waits for {called} in the middle of its event loop, which stands still until then; "
                "what would complete it has to run in that loop",
            )
        return Cause("future never done", f"{task.name!r} waits for {called}, and nobody completes it")

    def _full_pool(self, worker: FrameType | None) -> tuple[int, int] | None:
        """How many workers a pool has and how many calls wait, if none of the workers is free."""
        if worker is None:
            return None
        items = worker.f_locals.get("work_queue")
        size = 0
        for task in self._stuck:
            frame = worker_frame(task)
            if frame is not None and frame.f_locals.get("work_queue") is items:
                size += 1
        queued = items.qsize() if items is not None else 0
        return (size, queued) if queued else None

    def _loop(self, task: Task, obj: Any, call: Call | None) -> Cause:  # noqa: ARG002 - as the others
        return Cause(
            "event loop never called",
            f"the event loop of {task.name!r} has nothing to run and no timer: what its coroutines await never comes",
        )


def _fate(task: Task) -> str:
    return "which has ended" if task.state is DONE else "which is stuck itself"
