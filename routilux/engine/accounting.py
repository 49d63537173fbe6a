"""The books of one running job: what is outstanding, what is queued, who waits.

Jobs share nothing that changes. What every activation does to the books is done without a lock, by single steps
on dictionaries and sets, which CPython carries out whole (a lock here is a convoy, see `routilux.engine.journal`).
Two rules make that sound; `runtime.point` stands where they matter, so that the simulator can break in there:

* *First on the books, then look at the gate.* An emit enters its activations, then reads ``closed``; whoever closes a
  job sets ``closed``, then takes what is entered. One of the two always sees the other.
* *Who takes it off ``queued`` has it.* Worker and closer both ``pop`` an activation there; one of them gets it.

A handler's own activation stays ``pending`` until its end, so while something may still emit, ``pending`` is not empty.
This module decides nothing and runs nothing.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from routilux.abc import LONGEST_WAIT
from routilux.engine.merging import Gathered

if TYPE_CHECKING:
    from routilux.abc import Lock, Runtime, Workers
    from routilux.engine.activation import Activation
    from routilux.engine.dispatch import Engine
    from routilux.engine.instrumentation import Hooks
    from routilux.engine.routing import Target
    from routilux.error_handler import ErrorHandler
    from routilux.flow import Flow
    from routilux.job_state import JobState
    from routilux.schedulers.timers import Timer

__all__ = ["JobAccount", "Waiter"]


class Waiter:
    """A thread waiting for a job: parked on a lock of its own, released when there is news."""

    __slots__ = ("_gate", "_news")

    def __init__(self, runtime: Runtime) -> None:
        self._gate = runtime.lock()
        self._gate.acquire()
        self._news = False

    def wake_locked(self) -> None:
        """Let the waiting thread go on; more calls before it does count once."""
        if not self._news:
            self._news = True
            self._gate.release()

    def rearm_locked(self) -> None:
        """Make the next `park` wait for news again."""
        self._news = False

    def park(self, seconds: float | None) -> bool:
        """Wait for news, at most ``seconds``; True when there is some."""
        return self._gate.acquire(timeout=-1 if seconds is None else min(seconds, LONGEST_WAIT))


class JobAccount:
    """The books of one running job. Methods whose name ends in ``_locked`` are called with ``lock`` held.

    Attributes:
        job: What users see of it.
        journal: What has happened in it.
        flow: Keeps the flow alive while the job runs; None once it is over.
        lane: The workers that run its activations.
        hooks: Instruments to call, or None; decided once a job.
        pending: Every activation that is queued, running or waiting to be retried.
        queued: Those that nobody has taken yet, in queue order.
        delayed: Those waiting to be retried, with their timers; guarded by ``lock``.
        enclosing: For a job that runs in its caller's thread: the activation whose handler executed it, if any.
        closed: Nothing more starts and nothing more is queued.
        expired: It was closed by its deadline.
        drained: ``pending`` is empty for good.
        over: Drained, and everything that follows from it has been done; who waits for the job waits for this.
        watchers: Waiters that want to hear of every activation's end.
    """

    __slots__ = (
        "_gathered",
        "_retries",
        "_waiters",
        "closed",
        "deadline",
        "delayed",
        "drained",
        "enclosing",
        "engine",
        "expired",
        "flow",
        "hooks",
        "job",
        "journal",
        "lane",
        "lock",
        "numbers",
        "over",
        "pending",
        "queued",
        "watchers",
    )

    def __init__(self, engine: Engine, flow: Flow, job: JobState, lane: Workers, hooks: Hooks | None) -> None:
        self.engine = engine
        self.flow: Flow | None = flow
        self.job = job
        self.journal = job._journal  # noqa: SLF001 - the two halves of a job
        self.lane = lane
        self.hooks = hooks
        self.lock: Lock = engine.runtime.lock()
        self.numbers = itertools.count(1)
        self.pending: set[Activation] = set()
        self.queued: dict[Activation, None] = {}
        self.delayed: dict[Activation, Timer] = {}
        self.closed = False
        self.expired = False
        self.drained = False
        self.over = False
        self.deadline: Timer | None = None
        self.enclosing: Activation | None = None
        self.watchers: list[Waiter] = []
        self._gathered: dict[Target, Gathered] = {}
        # By identity: a handler's class may compare as it likes.
        self._retries: dict[int, int] = {}
        self._waiters: list[Waiter] = []

    def gathered(self, target: Target) -> Gathered:
        """What the slot has gathered in this job."""
        with self.lock:
            found = self._gathered.get(target)
            if found is None:
                found = self._gathered[target] = Gathered(self.engine.runtime.lock())
        return found

    def take_queued(self) -> list[Activation]:
        """Take everything off ``queued`` that no worker takes first, in queue order."""
        return [activation for activation in tuple(self.queued) if self.queued.pop(activation, self) is None]

    def running(self) -> list[Activation]:
        """Activations whose handler runs, or is just about to."""
        with self.lock:
            return [a for a in tuple(self.pending) if a not in self.queued and a not in self.delayed]

    def close_locked(self, status: str, error: BaseException | None, expired: bool) -> bool:
        """Give the job a final status, so that nothing more starts; False if it had one."""
        if self.closed:
            return False
        # In this order: who sees a status without taking the lock finds the error that explains it.
        self.job.error = error
        self.expired = expired
        self.job.status = status
        self.closed = True
        return True

    def drain_locked(self) -> bool:
        """Settle that nothing is pending any more; False if something is, or if that was settled before."""
        if self.drained:
            return False
        closed = self.closed
        # Threads that a handler left behind may emit at any time: the gate goes down before the last look.
        self.closed = True
        point = self.engine.point
        if point is not None:
            point("look")
        if self.pending:
            if point is not None:
                point("reopen")
            self.closed = closed
            return False
        self.drained = True
        if not closed:
            self.job.status = "completed"
        return True

    def enlist_locked(self, waiter: Waiter, every_end: bool) -> None:
        """Let ``waiter`` hear of the job's end, or of every activation's."""
        self._waiters.append(waiter)
        if every_end:
            self.watchers.append(waiter)

    def dismiss_locked(self, waiter: Waiter) -> None:
        """Forget a waiter."""
        for listed in (self._waiters, self.watchers):
            if waiter in listed:
                listed.remove(waiter)

    def notify(self) -> None:
        """Tell the watchers that an activation has ended."""
        with self.lock:
            for waiter in self.watchers:
                waiter.wake_locked()

    def announce_locked(self) -> None:
        """Say that the job is over, to everybody who waits for it."""
        self.over = True
        for waiter in self._waiters:
            waiter.wake_locked()

    def count_retry_locked(self, handler: ErrorHandler) -> None:
        """Count a retry made on ``handler``'s word."""
        self._retries[id(handler)] = self._retries.get(id(handler), 0) + 1

    def retries_by(self, handler: ErrorHandler) -> int:
        """How many retries this job has made on ``handler``'s word."""
        with self.lock:
            return self._retries.get(id(handler), 0)
