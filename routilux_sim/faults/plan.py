"""Fault plans: what may go wrong in a simulation, as data.

A plan says which faults there may be, and how likely each is; it does nothing by itself. Each fault says when it comes:

- ``nth``: at that call, counted from 1 in each execution, and the next ones up to ``times`` in all (one by default);
- ``probability`` (1 by default): how likely it is, each time that it may come;
- ``times``: how often it comes at most; without ``nth`` as often as there is an occasion, by default.

Calls are counted for each handler, task, condition and so on by itself. What may come at any step of any task, or at
any wait, needs one of the first two. Names may be patterns, as in a shell: ``fetch*``. Swarm testing, where each seed
draws which of the faults exist at all, is after Groce and others, "Swarm testing", 2012.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from routilux_sim.faults.distributions import Distribution, Latencies
from routilux_sim.faults.reading import Table

__all__ = [
    "STORE_OPERATIONS",
    "Clock",
    "Fault",
    "FaultPlan",
    "Point",
    "QueueFull",
    "Raise",
    "Slow",
    "Spurious",
    "Stall",
    "Store",
]

STORE_OPERATIONS = ("read", "write")
"""What is done with a store of jobs."""

INJECTED = "an injected fault"

AT_ONCE = Distribution("constant", (0.0,))

NO_LATENCIES = Latencies({})

ACTIONS = ("raise", "delay", "stall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """When a fault comes; see the module's text.

    Attributes:
        nth: At that occasion, counted from 1; None: at any.
        probability: How likely it is then.
        times: How often at most; None: without end.
    """

    kind: ClassVar[str]
    rare: ClassVar[bool] = False
    """Whether it must be said when it comes: there are too many occasions for all of them."""

    nth: int | None = None
    probability: float = 1.0
    times: int | None = None

    @property
    def most(self) -> int | None:
        """How often it comes at most; None: without end."""
        return 1 if self.times is None and self.nth is not None else self.times

    @property
    def error_name(self) -> str | None:
        """The name or import path of what it raises; None: nothing."""
        return getattr(self, "error", None)

    @classmethod
    def read(cls, table: Table) -> Fault:
        """Read one from a table.

        Raises:
            ValueError: Something in it is not as it must be.
        """
        when: dict[str, Any] = {
            "nth": table.count("nth"),
            "probability": table.probability("probability", 1.0),
            "times": table.count("times"),
        }
        rest = cls._read(table)
        if cls.rare and when["nth"] is None and not table.has("probability"):
            table.refuse("probability", "a number from 0 to 1, unless nth says when the fault comes")
        table.finish()
        return cls(**when, **rest)

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """What is read again as the same."""
        written = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None:
                written[item.name] = value.to_dict() if isinstance(value, Distribution) else value
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise(Fault):
    """A handler raises: instead of running, or halfway.

    Attributes:
        routine: The routine's id.
        slot: The slot's name.
        error: The name of a built-in exception, or an import path.
        message: What the exception says.
        emits: How many events it emits before: it runs until it is about to emit another one, or to return. None: it
            does not run at all.
    """

    kind = "raise"
    routine: str = "*"
    slot: str = "*"
    error: str = "RuntimeError"
    message: str = INJECTED
    emits: int | None = None

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        return {
            "routine": table.text("routine", "*"),
            "slot": table.text("slot", "*"),
            "error": table.error("error", "RuntimeError"),
            "message": table.text("message", INJECTED),
            "emits": table.count("emits", least=0),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Fault):
    """A handler takes longer than it does otherwise: virtual time goes by before it begins.

    Attributes:
        by: How much longer.
        routine: The routine's id.
        slot: The slot's name.
    """

    kind = "slow"
    by: Distribution
    routine: str = "*"
    slot: str = "*"

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        return {
            "by": _distribution(table, "by"),
            "routine": table.text("routine", "*"),
            "slot": table.text("slot", "*"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Fault):
    """A task that could run is held for some virtual time, while others and the clock go on. At any of its steps.

    Attributes:
        by: For how long.
        task: The task's name; workers of a flow are ``flow-1`` and so on.
    """

    kind = "stall"
    rare = True
    by: Distribution
    task: str = "*"

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        return {"by": _distribution(table, "by"), "task": table.text("task", "*")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spurious(Fault):
    """A wait in a condition ends though nobody has notified it, as POSIX allows.

    Attributes:
        after: Virtual time after which it does.
        condition: The condition's label: ``Condition-1`` is the first one made.
    """

    kind = "spurious"
    rare = True
    after: Distribution = AT_ONCE
    condition: str = "*"

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        after = table.value("after")
        return {
            "after": Distribution.from_dict(0 if after is None else after, table.place("after")),
            "condition": table.text("condition", "*"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock(Fault):
    """The wall clock jumps; the monotonic one does not. It comes once.

    Attributes:
        at: Virtual seconds since the beginning.
        by: Seconds forward, or back if below 0.
    """

    kind = "clock"
    at: float
    by: float

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        at, by = table.seconds("at"), table.seconds("by", signed=True)
        if at is None:
            table.refuse("at", "a finite number of seconds from 0 up")
        if not by:
            table.refuse("by", "a finite number of seconds other than 0")
        for key in ("nth", "times"):
            if table.has(key):
                table.refuse(key, "left out: a jump comes once, at its time")
        return {"at": at, "by": by}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFull(Fault):
    """A queue with a limit says that it is full: ``queue.Full``, or `QueueFullError` of a flow with ``max_pending``.

    Who would wait for room without a time limit is not told anything of the kind, and waits, if it is full indeed.

    Attributes:
        queue: The flow's id, or the queue's class and number: ``Queue-1`` is the first one that was put into so.
    """

    kind = "queue"
    queue: str = "*"

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        return {"queue": table.text("queue", "*")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Fault):
    """An operation of a `JobStore` raises, and has done nothing.

    Attributes:
        operation: One of `STORE_OPERATIONS`; None: any.
        error: The name of a built-in exception, or an import path.
        message: What the exception says.
    """

    kind = "store"
    operation: str | None = None
    error: str = "routilux:StoreError"
    message: str = INJECTED

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        chosen = table.choice("operation", STORE_OPERATIONS, "")
        return {
            "operation": chosen or None,
            "error": table.error("error", "routilux:StoreError"),
            "message": table.text("message", INJECTED),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Fault):
    """Something happens where the code says ``fault_point("name")``.

    Attributes:
        name: The point's name.
        action: ``raise``; ``delay``: virtual time goes by; ``stall``: the same, as the task's doing that could run.
        error: The name of a built-in exception, or an import path.
        message: What the exception says.
        by: How much time.

    In the midst of what is a single operation for other tasks, such as a queue's ``_put``, nothing happens.
    """

    kind = "point"
    name: str
    action: str = "raise"
    error: str = "RuntimeError"
    message: str = INJECTED
    by: Distribution | None = None

    @property
    def error_name(self) -> str | None:
        """The name or import path of what it raises; None: nothing."""
        return self.error if self.action == "raise" else None

    @classmethod
    def _read(cls, table: Table) -> dict[str, Any]:
        name = table.text("name")
        if name is None:
            table.refuse("name", "the name of a fault point")
        action = table.choice("action", ACTIONS, "raise")
        if action == "raise" and table.has("by"):
            table.refuse("by", "left out, unless action is 'delay' or 'stall'")
        return {
            "name": name,
            "action": action,
            "error": table.error("error", "RuntimeError"),
            "message": table.text("message", INJECTED),
            "by": None if action == "raise" and table.value("by") is None else _distribution(table, "by"),
        }


def _distribution(table: Table, key: str) -> Distribution:
    value = table.value(key)
    if value is None:
        table.refuse(key, "a number of seconds or a table with a kind")
    return Distribution.from_dict(value, table.place(key))


KINDS: dict[str, type[Fault]] = {
    kind.kind: kind for kind in (Raise, Slow, Stall, Spurious, Clock, QueueFull, Store, Point)
}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What may go wrong, and how long handlers take.

    Attributes:
        faults: By kind, in the order of the kinds: that in which they are asked about.
        latencies: How long the handlers of routines take.
    """

    faults: tuple[Fault, ...] = ()
    latencies: Latencies = NO_LATENCIES

    def __post_init__(self) -> None:
        """Put the faults in the order in which they are read again."""
        kinds = list(KINDS)
        object.__setattr__(self, "faults", tuple(sorted(self.faults, key=lambda fault: kinds.index(fault.kind))))

    @classmethod
    def from_dict(cls, data: Any, place: str = "faults") -> FaultPlan:
        """Read a plan: for each kind of fault an array of tables, and ``latencies`` by routine.

        The kinds are ``raise``, ``slow``, ``stall``, ``spurious``, ``clock``, ``queue``, ``store`` and ``point``. In
        TOML: ``[[faults.raise]]``, ``[faults.latencies]``. Nothing is imported.

        Args:
            data: What to read.
            place: What errors call it.

        Raises:
            ValueError: It is no plan; names place, value and what is allowed.
        """
        if isinstance(data, FaultPlan):
            return data
        table = Table(place, data)
        faults = tuple(kind.read(row) for name, kind in KINDS.items() for row in table.tables(name))
        latencies = table.value("latencies")
        table.finish()
        return cls(faults, Latencies.from_dict({} if latencies is None else latencies, f"{place}.latencies"))

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads."""
        written: dict[str, Any] = {}
        for fault in self.faults:
            written.setdefault(fault.kind, []).append(fault.to_dict())
        if self.latencies:
            written["latencies"] = self.latencies.to_dict()
        return written

    def numbered(self) -> Iterator[tuple[str, int, Fault]]:
        """Each fault with its kind, and its place among those of that kind in the plan."""
        counts: dict[str, int] = {}
        for fault in self.faults:
            index = counts[fault.kind] = counts.get(fault.kind, -1) + 1
            yield fault.kind, index, fault

    @property
    def import_paths(self) -> tuple[str, ...]:
        """The import paths of exceptions that a simulation under the plan imports, each once; not routilux's own."""
        names = (fault.error_name for fault in self.faults)
        return tuple(dict.fromkeys(name for name in names if name and ":" in name and not name.startswith("routilux:")))

    def __bool__(self) -> bool:
        return bool(self.faults or self.latencies)
