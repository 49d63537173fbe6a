"""Data races: two accesses to one place in memory, one of them a write, that nothing orders.

Found by happens-before, so in any schedule that has both accesses, whichever comes first. Each place keeps its last
write and, for each task, its last read since then, with the count of the task's releases at the time: an access is
ordered after another if its task has seen that count (the epochs of Flanagan and Freund, "FastTrack", 2009).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from routilux_sim.judge.happens_before import Clocks
from routilux_sim.judge.stacks import Place, is_machinery
from routilux_sim.kernel.core import label_of
from routilux_sim.kernel.errors import DataRaceError
from routilux_sim.kernel.trace import address

if TYPE_CHECKING:
    from routilux_sim.kernel.core import Kernel

__all__ = ["Access", "Call", "Race", "RaceMode", "RacePolicy", "Races", "merge", "policy_of"]

RaceMode = Literal["report", "fail"]

DEPTH = 16
"""So many calls are kept of the stack of an access."""


class Call(NamedTuple):
    """One line of a stack.

    Attributes:
        file, line: Where.
        function: In which function, by its qualified name.
        source: The text of the line; empty if nobody has it.
    """

    file: str
    line: int
    function: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}" + (f": {self.source}" if self.source else "")


class Access(NamedTuple):
    """One of two accesses.

    Attributes:
        task: The task's name.
        op: ``read`` or ``write``.
        stack: Where in the program, innermost first.
        locks: The locks that the task held.
    """

    task: str
    op: str
    stack: tuple[Call, ...]
    locks: tuple[str, ...]

    @property
    def where(self) -> str:
        """File, without its folders, and line."""
        if not self.stack:
            return "?"
        call = self.stack[0]
        return f"{_forward(call.file).rpartition('/')[2]}:{call.line}"

    def __str__(self) -> str:
        locks = f", holding {', '.join(self.locks)}" if self.locks else ", holding no lock"
        return "\n".join([f"{self.task} {self.op}s it{locks}:", *(f"    {call}" for call in self.stack)])


class Race(NamedTuple):
    """Two accesses that nothing orders.

    Attributes:
        name: What is accessed, e.g. ``Counter.value``.
        first, second: The accesses, in the order that this schedule had them in.
        missing: Which order is missing, in words.
    """

    name: str
    first: Access
    second: Access
    missing: str

    @property
    def key(self) -> frozenset[tuple[str, str, str]]:
        """The same for the same two accesses, whichever came first."""
        return frozenset((_plain(self.name), access.op, access.where) for access in (self.first, self.second))

    def __str__(self) -> str:
        return f"data race on {self.name}: {self.missing}\n  {self.first}\n  {self.second}"


class RacePolicy:
    """What is to be done about races.

    Args:
        mode: ``report``: they are listed. ``fail``: the first one ends the execution as a failure.
        allowed: Harmless ones: names (``Counter.value``, also with the module or package before it), places
            (``bank.py:12``) or functions (``Counter.add``) of one of the accesses.

    Raises:
        ValueError: A mode that is none.
        TypeError: A list of the allowed that is a single string, or has something else than strings in it.
    """

    def __init__(self, mode: RaceMode, allowed: Iterable[str] = ()) -> None:
        if mode not in {"report", "fail"}:
            raise ValueError(f"races must be 'report', 'fail' or None, not {mode!r}")
        if isinstance(allowed, str):
            raise TypeError(f"allow_races must be a list of strings, not the string {allowed!r}")
        self.mode = mode
        self.allowed = tuple(allowed)
        for entry in self.allowed:
            if not isinstance(entry, str):
                raise TypeError(f"allow_races must be a list of strings, but {entry!r} is none")

    def allows(self, race: Race) -> bool:
        """Whether a race is known to be harmless."""
        return any(self._is_about(entry, race) for entry in self.allowed)

    def _is_about(self, entry: str, race: Race) -> bool:
        name = _plain(race.name)
        if entry in {name, race.name} or entry.endswith(f".{name}"):
            return True
        for access in (race.first, race.second):
            for call in access.stack[:1]:
                path = _forward(f"{call.file}:{call.line}")
                if path == entry or path.endswith(f"/{entry}") or call.function == entry:
                    return True
        return False


class _Seen(NamedTuple):
    """An access as it is kept until there is something to tell about it."""

    task: str
    op: str
    places: tuple[Place, ...]
    locks: tuple[str, ...]

    def told(self) -> Access:
        return Access(self.task, self.op, tuple(map(_told, self.places)), self.locks)


def _told(place: Place) -> Call:
    return Call(place.code.co_filename, place.line, place.code.co_qualname, place.source())


class _Memory:
    """What is known of one place: its last write, and the reads since."""

    __slots__ = ("obj", "reads", "write")

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.write: tuple[int, int, _Seen] | None = None
        self.reads: dict[int, tuple[int, _Seen]] = {}


class Races(Clocks):
    """Looks for races in an execution.

    Args:
        kernel: Runs the execution; from now on it tells of what orders and what is accessed.
        policy: What is to be done about them.
        edges: The names of the edges that count; None: all.

    Attributes:
        found: Those that are not allowed, each pair of places once.
    """

    def __init__(self, kernel: Kernel, policy: RacePolicy, edges: frozenset[str] | None = None) -> None:
        super().__init__(kernel, edges)
        kernel.edges = self
        kernel.at_point = self.point
        self._policy = policy
        self._memory: dict[int, _Memory] = {}
        self._held: dict[int, list[Any]] = {}
        self._told: set[tuple[str, Any, Any]] = set()
        self._keys: set[frozenset[tuple[str, str, str]]] = set()
        self.found: list[Race] = []

    def acquire(self, edge: str, obj: Any) -> None:
        """Note also which locks the task holds."""
        super().acquire(edge, obj)
        if edge == "lock" and (task := self._kernel.current) is not None and obj.owner is task:
            self._held.setdefault(task.number, []).append(obj)

    def release(self, edge: str, obj: Any) -> None:
        """Note also which locks the task holds."""
        super().release(edge, obj)
        if edge == "lock" and (owner := obj.owner) is not None and obj in (held := self._held.get(owner.number, [])):
            held.remove(obj)

    def point(self, op: str, obj: Any) -> None:
        """Check accesses to memory."""
        if op == "read":
            self.access(obj, is_write=False)
        elif op == "write":
            self.access(obj, is_write=True)

    def access(self, obj: Any, *, is_write: bool) -> None:
        """The current task accesses the memory that ``obj`` stands for.

        Args:
            obj: Something that stays the same for one place in memory; its ``label`` is what people call it.
            is_write: Whether it writes.
        """
        task = self._kernel.current
        if task is None:
            return
        memory = self._memory.get(address(obj))
        if memory is None:
            memory = self._memory[address(obj)] = _Memory(obj)
        clock = self.clock(task)
        me = task.number
        locks = tuple(label_of(lock) for lock in self._held.get(me, ()))
        access = _Seen(task.name, "write" if is_write else "read", _stack(), locks)
        if memory.write is not None:
            number, count, other = memory.write
            if number != me and clock.get(number, 0) < count:
                self._report(obj, number, count, other, access)
        if not is_write:
            memory.reads[me] = clock[me], access
            return
        for number, (count, other) in memory.reads.items():
            if number != me and clock.get(number, 0) < count:
                self._report(obj, number, count, other, access)
        memory.write = me, clock[me], access
        memory.reads.clear()

    def _report(self, obj: Any, number: int, since: int, first: _Seen, second: _Seen) -> None:
        pair = label_of(obj), first.places[:1], second.places[:1]
        if pair in self._told:
            return
        self._told.add(pair)
        race = Race(label_of(obj), first.told(), second.told(), self._missing(number, since, first, second))
        if race.key in self._keys or self._policy.allows(race):
            return
        self._keys.add(race.key)
        self.found.append(race)
        if self._policy.mode == "fail":
            self._kernel.stop(DataRaceError(str(race), race))

    def _missing(self, number: int, since: int, first: _Seen, second: _Seen) -> str:
        """Which order is missing."""
        deeds = self.deeds(number, since)
        if not deeds:
            return (
                f"nothing orders them: since its {first.op}, {first.task} has given back no lock, nor set, put or "
                f"ended anything that {second.task} could know it by"
            )
        return (
            f"nothing orders them: since its {first.op}, {first.task} has {', '.join(dict.fromkeys(deeds))}, but "
            f"{second.task} has not taken, waited for or received any of that"
        )


def policy_of(races: RaceMode | None, allowed: Iterable[str]) -> RacePolicy | None:
    """What is to be done about races; None: they are not looked for."""
    return None if races is None else RacePolicy(races, allowed)


def merge(known: list[Race], more: Sequence[Race]) -> None:
    """Add to a list of races those that are not in it."""
    keys = {race.key for race in known}
    for race in more:
        if race.key not in keys:
            keys.add(race.key)
            known.append(race)


_new_place: Callable[[type[Place], tuple[Any, int]], Place] = tuple.__new__


def _stack() -> tuple[Place, ...]:
    """Where the access is in the program, innermost first."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the public way costs ten times as much
    found: list[Place] = []
    while frame is not None and len(found) < DEPTH:
        if not is_machinery(frame):
            found.append(_new_place(Place, (frame.f_code, frame.f_lasti)))
        frame = frame.f_back
    return tuple(found)


def _forward(path: str) -> str:
    return path.replace("\\", "/")


def _plain(name: str) -> str:
    """A name without the number that tells objects of one kind apart."""
    stem, dash, number = name.rpartition("-")
    return stem if dash and number.isdigit() else name
