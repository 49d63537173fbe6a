"""Which memory is shared, and which accesses are scheduling points because of that.

A location is an attribute of an object, a whole container, a closure cell or a global variable. Locations that the code
calls by the same name (an attribute of one class, a container in one variable) form a group, and a group is shared as
soon as one of its locations has been accessed by two tasks, at least once by a write, and no synchronization ordered
the two. Accesses to a shared group are scheduling points. To others it does not matter where between two
synchronization operations they come: whatever they find, they find in an order of those that is explored anyway; if
they could find something else, there would be an order of those in which nothing orders them, and it would be seen.

Accesses that are no scheduling points must cost next to nothing: each group keeps, by object, the task that has
accessed it since its last release, and whoever finds itself there is done.

No address is ever mistaken for that of an object that is gone: an object that has been accessed is known by a weak
reference, or kept alive by a plain one until a check finds that nobody else does.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux_sim.judge.happens_before import Clock, Clocks
    from routilux_sim.kernel.core import Kernel
    from routilux_sim.kernel.task import Task

__all__ = ["Group", "Location", "Sharing", "address", "group_of", "now"]

YOUNG = 8
"""Plainly kept objects that have just come, looked through whenever one more would come."""

address: Callable[[Any], int] = object.__hash__
"""What tells an object from all others that live; `id` would do, but every call of that raises an audit event."""

ONLY_OURS = 2
"""References to an object that nobody else refers to, as they are counted: ours, and the count's own."""


class Location:
    """A place in memory, in one execution.

    Args:
        group: The first to access it.
        task: Likewise, by its number.

    Attributes:
        label: Its name for people and labels; empty until somebody has to know it.
        is_numbered: Whether it is told from others of its name by then.
        groups: Those that have accessed it.
        is_shared: Whether tasks have accessed it in an order that can change.
    """

    __slots__ = ("_others", "_read", "_task", "_written", "groups", "is_numbered", "is_shared", "label")

    def __init__(self, group: Group, task: int) -> None:
        self.label = ""
        self.is_numbered = False
        self.groups: tuple[Group, ...] = (group,)
        self.is_shared = False
        # When it was last read and written, by the first task and by others: as many releases of theirs had come.
        self._task = task
        self._read = 0
        self._written = 0
        self._others: dict[int, list[int]] | None = None

    @property
    def is_met(self) -> bool:
        """Whether more than one task has accessed it."""
        return self._others is not None

    def is_known(self) -> bool:
        """Whether one of several groups that have accessed it is shared."""
        return len(self.groups) > 1 and any(group.is_shared for group in self.groups)

    def note(self, task: int, is_write: bool, clock: Clock) -> bool:
        """Note an access; return whether it conflicts with another task's, and nothing orders the two."""
        if task == self._task:
            if is_write:
                self._written = clock[task]
            else:
                self._read = clock[task]
            if self._others is None:
                return False
        else:
            if self._others is None:
                self._others = {}
            self._others.setdefault(task, [0, 0])[is_write] = clock[task]
            seen = clock.get(self._task, 0)
            if self._written > seen or (is_write and self._read > seen):
                return True
        for other, (read, written) in self._others.items():
            if other != task:
                seen = clock.get(other, 0)
                if written > seen or (is_write and read > seen):
                    return True
        return False

    def __repr__(self) -> str:
        return f"<location {self.label or '(not named)'}>"


class Group:
    """Locations of one name.

    Args:
        key: Its name in files.
        label: What its locations are called.
        numbered: Whether already the first of them is told by a number.
        caches: Those of another group that are to be shared with it.

    Attributes:
        reads: By the address of an object, the task whose reads need not be noted again; likewise ``writes``.
        is_shared: Whether accesses are scheduling points.
    """

    __slots__ = ("is_shared", "key", "label", "numbered", "reads", "writes")

    def __init__(self, key: str, label: str, numbered: bool = False, caches: tuple[Any, Any] | None = None) -> None:
        self.key = key
        self.label = label
        self.numbered = numbered
        self.reads: dict[int, Task]
        self.writes: dict[int, Task]
        self.reads, self.writes = ({}, {}) if caches is None else caches
        self.is_shared = now.is_shared(key)

    def forget(self) -> None:
        """Have every access noted again."""
        self.reads.clear()
        self.writes.clear()

    def __repr__(self) -> str:
        return f"<group {self.key}>"


class _WeaklyHeld(weakref.ref[Any]):
    """An object that has been accessed, and the locations in it by name."""

    __slots__ = ("key", "locations")

    key: Any
    locations: dict[Any, Location]


class _Held:
    """The same, of a type that allows no weak references."""

    __slots__ = ("key", "locations", "obj")

    key: int
    locations: dict[Any, Location]

    def __init__(self, obj: Any) -> None:
        self.obj = obj


def _no_clock(task: Task) -> Clock:
    """In the place of an execution's clocks when there is none."""
    raise AssertionError(f"{task!r} runs in no execution")


class _Now:
    """The memory of the execution that is under way: there is one at a time, and the hooks must reach it fast.

    Attributes:
        kernel: Runs it; None if none does.
        has_weak_references: The code under test has come to where it makes some.
    """

    def __init__(self) -> None:
        self.kernel: Kernel | None = None
        self._clock: Callable[[Task], Clock] = _no_clock
        self._shared: set[str] = set()
        self._held: dict[int, Any] = {}
        self._young: list[_Held] = []
        self._old: list[_Held] = []
        self._limit = 64
        self._touched: set[Group] = set()
        self._counts: dict[str, int] = {}
        self._at_end: list[Callable[[], object]] = []
        self._on_death = self._died

    def is_shared(self, key: str) -> bool:
        """Whether the group of that name is shared."""
        return key in self._shared

    @property
    def shared(self) -> frozenset[str]:
        """The names of the groups that are shared by now."""
        return frozenset(self._shared)

    def begin(self, kernel: Kernel, clocks: Clocks, shared: Iterable[str]) -> None:
        """Begin an execution, with what orders the doings of its tasks, in which certain groups are shared already."""
        self._clock = clocks.clock
        before, self._shared = self._shared, set(shared)
        for key in before ^ self._shared:
            if key in _groups:
                _groups[key].is_shared = key in self._shared
        self.kernel = kernel
        self.has_weak_references = False

    def end(self) -> None:
        """Forget the execution."""
        self.kernel = None
        self._clock = _no_clock
        self.start_over()
        self._counts.clear()
        held, self._held, self._young, self._old = self._held, {}, [], []
        self._limit = 64
        for call in self._at_end:
            call()
        self._at_end.clear()
        held.clear()

    def at_end(self, call: Callable[[], object]) -> None:
        """Have something called when the execution is forgotten."""
        self._at_end.append(call)

    def start_over(self) -> None:
        """Have all accesses noted again: a task has released something, and what it does now comes after that."""
        for group in self._touched:
            group.forget()
        self._touched.clear()

    def touch(self, task: Task, site: Any, op: str, group: Group, obj: Any, name: Any) -> None:
        """A task is about to access a location: if it is shared, that is a scheduling point.

        Args:
            task: The one that runs.
            site: Where in the program.
            op: ``read`` or ``write``.
            group: What the program calls the location.
            obj: The object that it is in.
            name: Which location in it.
        """
        key = address(obj)
        held = self._held.get(key)
        if held is None:
            held = self._hold(obj, key)
        location = held.locations.get(name)
        if location is None:
            location = held.locations[name] = Location(group, task.number)
        elif group not in location.groups:
            location.groups += (group,)
            if location.is_shared:
                self._share(group)
        is_write = op == "write"
        if not location.is_shared and location.note(task.number, is_write, self._clock(task)):
            location.is_shared = True
            for other in location.groups:
                self._share(other)
        is_point = group.is_shared or location.is_known()
        if not is_point:
            (group.writes if is_write else group.reads)[key] = task
            self._touched.add(group)
            if not location.is_met:
                return
        task.site = site
        kernel = self.kernel
        assert kernel is not None  # noqa: S101 - the sites ask before
        if is_point:
            if not location.is_numbered:
                self._number(location, obj)
            kernel.point(op, location)
        else:
            location.label = location.label or location.groups[0].label or type(obj).__name__
            kernel.access(op, location)

    def share_what_is_read(self) -> None:
        """A task goes round and round: have what it reads and does not write be shared, so that others come on."""
        kernel = self.kernel
        if kernel is None or kernel.ending:
            return
        me = kernel.current
        for group in sorted(self._touched, key=lambda group: group.key):
            read = {key for key, task in group.reads.items() if task is me}
            for held in [self._held[key] for key in read - group.writes.keys() if key in self._held]:
                for location in held.locations.values():
                    for other in location.groups:
                        if other.reads is group.reads:
                            self._share(other)

    def _share(self, group: Group) -> None:
        if not group.is_shared:
            group.is_shared = True
            self._shared.add(group.key)
            group.forget()

    def _number(self, location: Location, obj: Any) -> None:
        """Name a location, and tell it from others of the name. Only scheduling points count: they are in files."""
        location.is_numbered = True
        group = location.groups[0]
        label = group.label or type(obj).__name__
        count = self._counts[label] = self._counts.get(label, 0) + 1
        location.label = label if count == 1 and not group.numbered else f"{label}-{count}"

    def _hold(self, obj: Any, key: int) -> Any:
        held: Any
        try:
            held = _WeaklyHeld(obj, self._on_death)
        except TypeError:
            held = _Held(obj)
        held.key = key
        held.locations = {}
        self._held[key] = held
        if type(held) is _Held:
            self._young.append(held)
            if len(self._young) > YOUNG:
                self.let_go()
        return held

    def _died(self, held: Any) -> None:
        key = held.key
        if key in self._held and self._held[key] is held:
            del self._held[key]
            for location in held.locations.values():
                for group in location.groups:
                    group.reads.pop(key, None)
                    group.writes.pop(key, None)

    def let_go(self, everything: bool = False) -> None:
        """Give up objects that nobody else refers to any more."""
        young, self._young = self._young, []
        if everything or len(self._old) > self._limit:
            young += self._old
            self._old = []
        kept = self._old
        going = []
        for held in young:
            if sys.getrefcount(held.obj) == ONLY_OURS:
                self._died(held)
                going.append(held)
            else:
                kept.append(held)
        self._limit = max(64, 2 * len(kept))
        # Last: whatever their finalizers do, it is all in order here.
        going.clear()


class Sharing:
    """What one campaign knows about shared memory: it only grows.

    Attributes:
        keys: The names of the groups that have been shared in any execution.
    """

    def __init__(self) -> None:
        self.keys: frozenset[str] = frozenset()
        self._start: frozenset[str] = frozenset()

    def begin(self, kernel: Kernel, clocks: Clocks, start: Iterable[str] | None) -> list[str]:
        """Begin an execution; return what is shared from the start."""
        self._start = shared = self.keys if start is None else frozenset(start)
        now.begin(kernel, clocks, shared)
        return sorted(shared)

    def end(self) -> frozenset[str]:
        """End it; return what is shared that was not from the start: there it had no scheduling points."""
        grown = now.shared - self._start
        self.keys |= now.shared
        now.end()
        return grown


_groups: dict[str, Group] = {}
now = _Now()


def group_of(key: str, label: str, numbered: bool = False, caches: tuple[Any, Any] | None = None) -> Group:
    """The group of a name; there is one in a process."""
    found = _groups.get(key)
    if found is None:
        found = _groups[key] = Group(key, label, numbered, caches)
    return found
