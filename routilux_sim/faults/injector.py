"""Faults in one execution: decides by the plan when they come, and has them come.

Each decision is on the tape: 0 for no fault, else 1 and more for how. Nothing is decided about what cannot come, so a
plan of which nothing can come leaves no trace. When tasks are scheduled fairly, in the end, nothing goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from routilux.abc import Faults
from routilux.engine import context
from routilux_sim.faults.labels import LATENCY, fault_label, nth_word, swarm_label, with_duration
from routilux_sim.faults.plan import KINDS, NO_LATENCIES
from routilux_sim.kernel.labels import label_of
from routilux_sim.world import freezing

if TYPE_CHECKING:
    from routilux_sim.faults.arming import Armed, ArmedFault
    from routilux_sim.kernel.core import Kernel
    from routilux_sim.strategy._protocol import Weigh

__all__ = ["Injector"]

Numbered = list[tuple[int, "ArmedFault"]]
"""Faults, with the numbers by which their calls are counted."""

NTH = "{nth}"

EXISTS = 0.5
"""How likely it is in swarm mode that a fault exists."""


class Injector(Faults):
    """Asked by the engine, the simulated world and the kernel, each where something may go wrong.

    Args:
        kernel: The execution; it must be told all that it is to be told about who watches it.
        weigh: Chooses.
        is_fair: Whether tasks are scheduled fairly by now.

    Attributes:
        label: What the trace calls it.
    """

    label = "faults"

    def __init__(self, kernel: Kernel, weigh: Weigh, is_fair: Callable[[], bool]) -> None:
        self._kernel = kernel
        self._weigh = weigh
        self._is_fair = is_fair
        self._exists: list[bool] = []
        self._planned: dict[str, int] = {}
        self._calls: dict[tuple[int, str], int] = {}
        self._come: dict[tuple[int, str], int] = {}
        self._queues: dict[int, tuple[str, Any]] = {}
        self._jumps: list[tuple[int, int]] = []
        self._halfway: dict[tuple[str, int], list[Any]] = {}
        self._latencies = NO_LATENCIES
        # By kind, as most are asked for often.
        self._raises: Numbered = []
        self._slow: Numbered = []
        self._stalls: Numbered = []
        self._spurious: Numbered = []
        self._full: Numbered = []
        self._stores: Numbered = []
        self._points: Numbered = []
        kernel.faults = self

    # Beginning and end

    def add(self, armed: Armed) -> None:
        """Let a plan's faults come from now on; decide which of them exist, and whether the clock jumps."""
        added: dict[str, Numbered] = {kind: [] for kind in KINDS}
        for each in armed.faults:
            kind = each.fault.kind
            placed = each._replace(place=self._planned.get(kind, 0) + each.place)
            added[kind].append((len(self._exists), placed))
            exists = not armed.swarm or self._decide(swarm_label(kind, placed.place), EXISTS, 1)
            self._exists.append(bool(exists))
        for fault in armed.plan.faults:
            self._planned[fault.kind] = self._planned.get(fault.kind, 0) + 1
        self._latencies = armed.latencies or self._latencies
        self._raises += added["raise"]
        self._slow += added["slow"]
        self._stalls += added["stall"]
        self._spurious += added["spurious"]
        self._full += added["queue"]
        self._stores += added["store"]
        self._points += added["point"]
        self._add_jumps(added["clock"])
        if self._stalls:
            vars(self._kernel)["point"] = self._point

    def _add_jumps(self, clocks: Numbered) -> None:
        for number, armed in clocks:
            fault: Any = armed.fault
            where = "forward" if fault.by > 0 else "back"
            if self._comes(number, armed, "", f"the wall clock jumps {where} by {abs(fault.by):g} s at {fault.at:g} s"):
                self._jumps.append((round(fault.at * 1e9), round(fault.by * 1e9)))
        if self._jumps:
            self._jump()
            vars(self._kernel)["_advance"] = self._advance

    def end(self) -> None:
        """Let go of the kernel."""
        kernel = self._kernel
        kernel.faults = None
        for name in ("_advance", "point"):
            vars(kernel).pop(name, None)

    # Deciding

    def _decide(self, label: str, probability: float, levels: int) -> int:
        return self._kernel.decide(label, 1 + levels, lambda: self._weigh(label, probability, levels))

    def _comes(self, number: int, armed: ArmedFault, subject: str, what: str) -> int:
        """Whether a fault comes at one more call.

        Args:
            number: The fault's.
            armed: The fault.
            subject: Whose calls are counted.
            what: Says what happens; `NTH` in it stands for the call's number.

        Returns:
            0: it does not; else 1 and more for how.
        """
        kernel = self._kernel
        if not self._exists[number] or kernel.ending or kernel.failure is not None:
            return 0
        key = number, subject
        count = self._count(number, subject)
        fault, most = armed.fault, armed.fault.most
        if fault.nth is not None:
            if not fault.nth <= count < fault.nth + (most or 1):
                return 0
        elif most is not None and self._come.get(key, 0) >= most:
            return 0
        if self._is_fair():
            return 0
        said = what.replace(NTH, nth_word(count))
        value = self._decide(fault_label(fault.kind, armed.place, said), fault.probability, armed.levels)
        if value:
            self._come[key] = self._come.get(key, 0) + 1
            if kernel.log is not None:
                kernel.log(
                    "fault", {"fault": fault.kind, "reason": with_duration(fault.kind, said, armed.duration, value)}
                )
        return value

    def _count(self, number: int, subject: str) -> int:
        """Count another call, also for a fault that does not come as another one has come to it."""
        # Which call is the how manyth hangs on the order of all of them.
        self._kernel.touch("count", self)
        key = number, subject
        count = self._calls[key] = self._calls.get(key, 0) + 1
        return count

    @staticmethod
    def _nanoseconds(armed: ArmedFault, value: int) -> int:
        assert armed.duration is not None  # noqa: S101 - asked of those that have one
        return round(armed.duration.at(value - 1) * 1e9)

    # In the engine

    def before_handler(self, routine_id: str, slot: str) -> tuple[float, BaseException | None]:
        """Latency and slowness first; an exception after them."""
        if self._kernel.ending:
            return 0.0, None
        self._halfway.pop(_activation(), None)
        handler = f"{routine_id}.{slot}"
        seconds = 0.0
        latency = self._latencies.of(routine_id, slot)
        if latency is not None:
            seconds += latency.at(self._kernel.draw(f"{LATENCY}{handler}", latency.levels))
        for number, armed in self._slow:
            if _matches(armed.fault, routine_id, slot):
                value = self._comes(number, armed, handler, f"{handler} is slower ... at its {NTH} call")
                if value:
                    seconds += self._nanoseconds(armed, value) / 1e9
        error: Exception | None = None
        for number, armed in self._raises:
            fault: Any = armed.fault
            if armed.error is None or not _matches(fault, routine_id, slot):
                continue
            if error is not None:
                self._count(number, handler)
                continue
            what = f"{handler} raises {armed.error_name} at its {NTH} call"
            if fault.emits is not None:
                what += f", when it has emitted {fault.emits}"
            if self._comes(number, armed, handler, what):
                error = armed.error()
                if fault.emits is not None:
                    self._halfway[_activation()] = [fault.emits, error]
        return seconds, None if _activation() in self._halfway else error

    def before_emit(self) -> None:
        """Raise if the handler is not to emit any more."""
        left = self._halfway.get(_activation()) if self._halfway else None
        if left is None or self._kernel.ending:
            return
        if not left[0]:
            raise left[1]
        left[0] -= 1

    def after_handler(self) -> None:
        """Raise if the handler was to raise halfway, and has come to its end."""
        left = self._halfway.pop(_activation(), None) if self._halfway else None
        if left is not None and not self._kernel.ending:
            raise left[1]

    def wait(self, seconds: float) -> None:
        """Let virtual time go by for the current task."""
        if seconds > 0:
            self._kernel.sleep(round(seconds * 1e9))

    def point(self, name: str) -> None:
        """What the plan has for a point of the code's own naming."""
        task = self._kernel.current
        if task is None or task.quiet:
            return
        error: Exception | None = None
        for number, armed in self._points:
            fault: Any = armed.fault
            if not fnmatchcase(name, fault.name):
                continue
            if error is not None:
                self._count(number, name)
                continue
            action = {
                "raise": f"point {name!r} raises {armed.error_name}",
                "delay": f"point {name!r} is slower ...",
                "stall": f"{task.name} stalls ... at point {name!r}",
            }[fault.action]
            value = self._comes(number, armed, name, f"{action} at its {NTH} pass")
            if value and armed.error is not None:
                error = armed.error()
            elif value and fault.action == "delay":
                self._kernel.sleep(self._nanoseconds(armed, value))
            elif value:
                self._hold(self._nanoseconds(armed, value))
        if error is not None:
            raise error

    def is_full(self, queue: Any) -> bool:
        """Whether a queue with a limit says so; a flow's is called by its id."""
        if isinstance(queue, str):
            name = queue
        else:
            known = self._queues.get(id(queue))
            if known is None:
                # Kept with the queue, whose address must not be used again.
                known = self._queues[id(queue)] = (f"{type(queue).__name__}-{len(self._queues) + 1}", queue)
            name = known[0]
        is_full = False
        for number, armed in self._full:
            fault: Any = armed.fault
            if not fnmatchcase(name, fault.queue):
                continue
            if is_full:
                self._count(number, name)
                continue
            what = f"{name} says that it is full at the {NTH} put"
            is_full = bool(self._comes(number, armed, name, what))
        return is_full

    def store(self, operation: str) -> None:
        """Raise what is raised instead of reading or writing a store of jobs."""
        error: Exception | None = None
        for number, armed in self._stores:
            fault: Any = armed.fault
            if armed.error is None or fault.operation not in {None, operation}:
                continue
            what = f"the {NTH} {operation} of a job store raises {armed.error_name}"
            if error is not None:
                self._count(number, operation)
            elif self._comes(number, armed, operation, what):
                error = armed.error()
        if error is not None:
            raise error

    # In the simulated world

    def spurious(self, condition: Any) -> int | None:
        """Whether a wait that begins now ends without cause, and when."""
        label = label_of(condition)
        found: int | None = None
        for number, armed in self._spurious:
            fault: Any = armed.fault
            if not fnmatchcase(label, fault.condition):
                continue
            if found is not None:
                self._count(number, label)
                continue
            value = self._comes(number, armed, label, f"the {NTH} wait in {label} ends ... without a notify")
            if value:
                found = self._nanoseconds(armed, value)
        return found

    # In the kernel

    def _point(self, op: str, obj: Any = None) -> None:
        """In the place of `Kernel.point`: hold the task before it goes on, if it is to stall."""
        kernel = self._kernel
        me = kernel.current
        if me is not None and not me.quiet:
            what = op if obj is None else f"{op} {label_of(obj)}"
            for number, armed in self._stalls:
                fault: Any = armed.fault
                if fnmatchcase(me.name, fault.task):
                    value = self._comes(number, armed, me.name, f"{me.name} stalls ... before {what}")
                    if value:
                        self._hold(self._nanoseconds(armed, value), obj)
        # Whatever it is by now: who wants to watch it changes its class.
        type(kernel).point(kernel, op, obj)

    def _hold(self, nanoseconds: int, obj: Any = None) -> None:
        """Keep the current task, which could go on, from doing so for a time."""
        kernel = self._kernel
        me = kernel.current
        # Who has come to take a free lock must not be given it meanwhile.
        contenders: list[Any] = getattr(obj, "_contenders", [])
        contends = me in contenders
        if contends:
            contenders.remove(me)
        kernel.block("stall", None, kernel.now + nanoseconds)
        if contends and not obj._held and kernel.ready:  # noqa: SLF001 - its own list is changed as it would
            contenders.append(me)

    def _advance(self) -> bool:
        """In the place of `Kernel._advance`: let the wall clock jump when its time has come."""
        kernel = self._kernel
        moved = type(kernel)._advance(kernel)  # noqa: SLF001 - it stands in for it
        self._jump()
        return moved

    def _jump(self) -> None:
        due = [jump for jump in self._jumps if jump[0] <= self._kernel.now]
        for jump in due:
            self._jumps.remove(jump)
            self._kernel.epoch_ns += jump[1]
            freezing.shift(jump[1])


def _activation() -> tuple[str, int]:
    """Which activation the running code is part of."""
    item = context.current()
    return ("", 0) if item is None else (item[2].job.job_id, item[0])


def _matches(fault: Any, routine_id: str, slot: str) -> bool:
    return fnmatchcase(routine_id, fault.routine) and fnmatchcase(slot, fault.slot)
