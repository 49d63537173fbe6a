"""The books of one running job: what is outstanding, what is queued, who waits.

Jobs share nothing that changes. What every activation does to the books is done without a lock, by single steps on
dictionaries, which CPython carries out whole (a lock here is a convoy, see `routilux.engine.journal`). Three rules
make that sound; `runtime.point` stands where they matter, so that the simulator can break in there:

* *First on the books, then look at the gate.* An emit enters its activations, then reads ``gate``; whoever holds or
  closes a job sets ``gate``, then takes what is entered. One of the two always sees the other.
* *Who takes it off ``queued`` has it.* Worker, holder and closer all ``pop`` an activation there; one of them gets it.
  Whoever queues it again, does so under a new ticket: what the workers may still have of the old one is void.
* *Onto the next page before off the last.* An activation is ``running`` before it leaves ``queued``; what is looked at
  in the order queued, running is never missed. Moves the other way (a retry, a hold) are made under ``lock``.

A handler's own activation stays ``running`` until its end, so while something may still emit, the books are not empty.
This module decides nothing and runs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from routilux.abc import LONGEST_WAIT
from routilux.engine.journal import counter
from routilux.engine.merging import Gathered

if TYPE_CHECKING:
    from routilux.abc import Lock, Runtime, Workers
    from routilux.engine.activation import Item
    from routilux.engine.dispatch import Dispatcher
    from routilux.engine.instrumentation import Hooks
    from routilux.engine.ledger import Ledger
    from routilux.engine.routing import Target
    from routilux.error_handler import ErrorHandler
    from routilux.flow import Flow
    from routilux.job_state import JobState
    from routilux.schedulers.timers import Timer

__all__ = ["CLOSED", "HELD", "OPEN", "Delayed", "JobAccount", "Waiter"]

OPEN, HELD, CLOSED = 0, 1, 2
"""What the gate says: activations start; they wait for the gate to open again; nothing starts any more."""


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
        if self._news:
            self._gate.acquire(blocking=False)
            self._news = False

    def park(self, seconds: float | None) -> bool:
        """Wait for news, at most ``seconds``; True when there is some."""
        return self._gate.acquire(timeout=-1 if seconds is None else min(seconds, LONGEST_WAIT))


class Delayed(NamedTuple):
    """An activation that waits to be tried again; the timer is None while its job is held."""

    item: Item
    due_ns: int
    timer: Timer | None


class JobAccount:
    """The books of one running job. Methods whose name ends in ``_locked`` are called with ``lock`` held.

    Attributes:
        job: What users see of it.
        journal: What has happened in it; ``write``, ``write_end`` and ``unsummed`` are the journal's, at hand,
            as ``clock`` is the engine's.
        numbers: Numbers the activations, and the events that nobody takes.
        flow: Keeps the flow alive while the job runs; None once it is over.
        lane: The workers that run its activations.
        workers: How many those were asked to be; None for a job that runs in its caller's thread.
        hooks: Instruments to call, or None; decided once a job.
        ledger: The durable record of it, or None.
        watched: Somebody wants to know of each activation: instruments, a ledger, a bound on what is queued, faults.
        queued: Activations that nobody has taken yet, by ticket, in queue order.
        running: Those whose handler runs, or is just about to.
        dropping: Those that will never run, until that is recorded.
        held: Those that wait for the gate to open; guarded by ``lock``.
        delayed: Those that wait to be tried again; guarded by ``lock``.
        coroutines: Tasks of ``async`` handlers under way, by ticket; only the event loop's thread touches it.
        enclosing: For a job that runs in its caller's thread: the activation whose handler executed it, if any.
        gate: OPEN, HELD or CLOSED.
        paused: Held by `pause`, until it is resumed.
        holds: How many others hold it for a moment.
        rested: Paused, and nothing of it runs any more: its caller's thread, if it ran there, has gone.
        revoked: Closed from outside, so that what still runs is not wanted any more.
        expired: Closed by its deadline.
        drained: Nothing is outstanding, for good.
        over: Drained, and everything that follows from it has been done; who waits for the job waits for this.
        watchers: Waiters that want to hear of every activation's end.
        pausers: Tickets of activations whose handlers wait for the others to come to rest.
        deadline: The timer that will fail the job, while there is one.
        left_ns: Nanoseconds until the deadline, while the job is paused; None when there is none.
    """

    __slots__ = (
        "_gathered",
        "_retries",
        "_waiters",
        "clock",
        "coroutines",
        "deadline",
        "delayed",
        "drained",
        "dropping",
        "enclosing",
        "engine",
        "expired",
        "flow",
        "gate",
        "held",
        "holds",
        "hooks",
        "job",
        "journal",
        "lane",
        "ledger",
        "left_ns",
        "lock",
        "numbers",
        "over",
        "paused",
        "pausers",
        "queued",
        "rested",
        "revoked",
        "running",
        "unsummed",
        "watched",
        "watchers",
        "workers",
        "write",
        "write_end",
    )

    def __init__(self, engine: Dispatcher, flow: Flow, job: JobState, workers: int | None, first: int = 1) -> None:
        self.engine = engine
        self.flow: Flow | None = flow
        self.job = job
        self.journal = job._journal  # noqa: SLF001 - the two halves of a job
        self.lane: Workers
        self.workers = workers
        self.hooks: Hooks | None = None
        self.ledger: Ledger | None = None
        self.watched = False
        self.lock: Lock = engine.runtime.lock()
        self.numbers = counter(first)
        self.clock = engine.clock
        self.write = self.journal.write
        self.write_end = self.journal.write_end
        self.unsummed = self.journal.unsummed
        self.queued: dict[int, Item] = {}
        self.running: dict[int, Item] = {}
        self.dropping: dict[int, Item] = {}
        self.held: dict[int, Item] = {}
        self.delayed: dict[int, Delayed] = {}
        self.coroutines: dict[int, Any] = {}
        self.gate = OPEN
        self.paused = False
        self.holds = 0
        self.rested = False
        self.revoked = False
        self.expired = False
        self.drained = False
        self.over = False
        self.deadline: Timer | None = None
        self.left_ns: int | None = None
        self.enclosing: Item | None = None
        self.watchers: list[Waiter] = []
        self.pausers: set[int] = set()
        self._gathered: dict[Target, Gathered] = {}
        # By identity: a handler's class may compare as it likes.
        self._retries: dict[int, int] = {}
        self._waiters: list[Waiter] = []

    @property
    def sequential(self) -> bool:
        """Whether the job runs in its caller's thread, one activation at a time."""
        return self.workers is None

    def gathered(self, target: Target) -> Gathered:
        """What the slot has gathered in this job."""
        with self.lock:
            found = self._gathered.get(target)
            if found is None:
                found = self._gathered[target] = Gathered(self.engine.runtime.lock())
        return found

    def all_gathered(self) -> dict[Target, Gathered]:
        """What each slot has gathered in this job, a snapshot of the table."""
        with self.lock:
            return dict(self._gathered)

    def take_queued_locked(self) -> dict[int, Item]:
        """Take everything off ``queued`` that no worker takes first, in queue order."""
        taken: dict[int, Item] = {}
        for ticket in tuple(self.queued):
            item = self.queued.pop(ticket, None)
            if item is not None:
                taken[ticket] = item
        return taken

    def outstanding(self) -> int:
        """How many activations are queued, held, delayed or running."""
        return len(self.delayed) + len(self.held) + len(self.queued) + len(self.running) + len(self.dropping)

    def close_locked(self, status: str, error: BaseException | None) -> bool:
        """Give the job a final status, so that nothing more starts; False if it had one."""
        if self.gate == CLOSED:
            return False
        # In this order: who sees a status without taking the lock finds the error that explains it.
        self.job.error = error
        self.job.status = status
        self.paused = False
        self.gate = CLOSED
        return True

    def drain_locked(self) -> bool:
        """Settle that nothing is outstanding any more; False if something is, or if that was settled before."""
        gate = self.gate
        if self.drained or gate == HELD:
            return False
        point = self.engine.point
        # Threads that a handler left behind may emit at any time: the gate goes down before the last look.
        self.gate = CLOSED
        if point is not None:
            point("look")
        if self.delayed or self.held or self.queued or self.running or self.dropping:
            if point is not None:
                point("reopen")
            self.gate = gate
            return False
        self.drained = True
        if gate == OPEN:
            self.job.status = "completed"
        return True

    def enlist_locked(self, waiter: Waiter, every_end: bool) -> None:
        """Let ``waiter`` hear of the job's end and of its coming to rest, or also of every activation's end."""
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
        """Wake everybody who waits for the job: it is over, or has come to rest."""
        for waiter in self._waiters:
            waiter.wake_locked()

    def count_retry_locked(self, handler: ErrorHandler) -> None:
        """Count a retry made on ``handler``'s word."""
        self._retries[id(handler)] = self._retries.get(id(handler), 0) + 1

    def retries_by(self, handler: ErrorHandler) -> int:
        """How many retries this job has made on ``handler``'s word."""
        with self.lock:
            return self._retries.get(id(handler), 0)
