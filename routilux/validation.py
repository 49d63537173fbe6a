"""What can be told of a flow without running it: broken connections, routines out of reach, data that will be missing.

Knows the flow's graph, what events declare and what handlers ask for. It cannot know what handlers do: whether they
emit, emit what they declare, or stop. So what cannot work as it is wired is an error, what looks wrong by what is
declared a warning, and what may well be meant a note.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from routilux.engine.routing import rename
from routilux.exceptions import UnknownNameError

if TYPE_CHECKING:
    from routilux.connection import Connection
    from routilux.event import Event
    from routilux.flow import Flow
    from routilux.routine import Routine
    from routilux.slot import Slot

__all__ = ["Finding", "Level", "by_level", "required_parameters", "strong_components", "validate"]

ENTRY_SLOT = "trigger"

SHOWN = 5
"""How many names a message lists before it counts the others."""

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")

N = TypeVar("N", bound=Hashable)


class Finding(NamedTuple):
    """One thing found by `validate`.

    Attributes:
        level: ``"error"``: it cannot work; ``"warning"``: it looks wrong; ``"note"``: it may well be meant.
        kind: What it is, in a word that stays the same: ``"unknown-slot"``, ``"unreachable"`` …
        routine_id: The routine that it is about; None if it is about the flow.
        message: What it is, in words, on one line.
    """

    level: Level
    kind: str
    routine_id: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.message} [{self.kind}]"


def validate(flow: Flow, entry: str | None = None) -> list[Finding]:
    """Look for what is wrong with a flow; nothing is run.

    Args:
        flow: The flow.
        entry: The routine that jobs begin with; when not given, every routine with a slot ``trigger`` may be one.

    Returns:
        The findings, errors first; among those of one level, in the order in which the flow was built.

    Raises:
        ValueError: The flow has no routine ``entry``.
    """
    wiring = _Wiring(flow)
    if entry is not None and entry not in wiring.routines:
        raise UnknownNameError("routine", entry, wiring.routines, f"flow {flow.flow_id!r}")
    found = list(
        chain(
            _broken_connections(wiring),
            _out_of_reach(wiring, entry),
            _mappings(wiring),
            _missing_parameters(wiring),
            _loose_ends(wiring),
            _endless_cycles(wiring),
        )
    )
    return by_level(found)


def by_level(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings, errors first; among those of one level, the order stays."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


class _Wiring:
    """A flow as it is at one moment.

    Attributes:
        routines: By id.
        connections: All of them.
        heard: Events that are connected, as pairs of routine id and name.
        feeds: The sound connections to each slot, by routine id and name; those are sound whose both ends exist.
        leads: The sound connections from each routine.
        successors: The routines that those lead to.
    """

    def __init__(self, flow: Flow) -> None:
        self.routines: dict[str, Routine] = dict(flow.routines)
        self.connections = flow.connections
        self.heard = {(c.source_id, c.event) for c in self.connections}
        self.feeds: defaultdict[tuple[str, str], list[Connection]] = defaultdict(list)
        self.leads: dict[str, list[Connection]] = {routine_id: [] for routine_id in self.routines}
        for connection in self.connections:
            if self.event(connection) is not None and self.slot(connection) is not None:
                self.feeds[connection.target_id, connection.slot].append(connection)
                self.leads[connection.source_id].append(connection)
        self.successors = {routine_id: [c.target_id for c in leads] for routine_id, leads in self.leads.items()}

    def event(self, connection: Connection) -> Event | None:
        """The event that a connection comes from, if it is there."""
        routine = self.routines.get(connection.source_id)
        return None if routine is None else routine.get_event(connection.event)

    def slot(self, connection: Connection) -> Slot | None:
        """The slot that a connection leads to, if it is there."""
        routine = self.routines.get(connection.target_id)
        return None if routine is None else routine.get_slot(connection.slot)

    def slots(self) -> Iterator[tuple[str, Slot]]:
        """Every slot, with its routine's id."""
        for routine_id, routine in self.routines.items():
            for slot in routine.slots.values():
                yield routine_id, slot

    def entries(self) -> list[str]:
        """The routines that a job may begin with."""
        return [routine_id for routine_id, routine in self.routines.items() if routine.get_slot(ENTRY_SLOT)]

    def reached_from(self, routine_ids: Iterable[str]) -> set[str]:
        """Those routines, and all that connections lead to from there."""
        reached = set(routine_ids)
        ahead = list(reached)
        while ahead:
            fresh = [target for target in self.successors[ahead.pop()] if target not in reached]
            reached.update(fresh)
            ahead.extend(fresh)
        return reached


def _broken_connections(wiring: _Wiring) -> Iterator[Finding]:
    for connection in wiring.connections:
        for kind, routine_id, name in (
            ("event", connection.source_id, connection.event),
            ("slot", connection.target_id, connection.slot),
        ):
            routine = wiring.routines.get(routine_id)
            if routine is None:
                message = f"{_arrow(connection)} needs routine {routine_id!r}, which is not in the flow"
                yield Finding("error", "unknown-routine", routine_id, message)
                continue
            names: Iterable[str] = routine.events if kind == "event" else routine.slots
            if name not in names:
                there = _listed(names) or "none"
                message = f"{_arrow(connection)} needs {kind} {name!r} of routine {routine_id!r}; there are: {there}"
                yield Finding("error", f"unknown-{kind}", routine_id, message)


def _out_of_reach(wiring: _Wiring, entry: str | None) -> Iterator[Finding]:
    entries = wiring.entries()
    if entry is not None and entry not in entries:
        message = f"a job cannot begin with routine {entry!r}: it has no slot {ENTRY_SLOT!r}"
        yield Finding("error", "no-entry", entry, message)
    if entry is None and not entries:
        message = f"no job can begin: no routine has a slot {ENTRY_SLOT!r}"
        yield Finding("error", "no-entry", None, message)
        return
    from_any = wiring.reached_from(entries if entry is None else [*entries, entry])
    from_here = from_any if entry is None else wiring.reached_from([entry])
    for routine_id in wiring.routines:
        if routine_id not in from_any:
            message = f"routine {routine_id!r} is out of reach: no connections lead to it from an entry"
            yield Finding("error", "unreachable", routine_id, message)
        elif routine_id not in from_here:
            message = f"routine {routine_id!r} is reached from other entries only, not from {entry!r}"
            yield Finding("note", "other-entry", routine_id, message)


def _mappings(wiring: _Wiring) -> Iterator[Finding]:
    for connection in chain.from_iterable(wiring.leads.values()):
        declared = _declared(wiring, connection)
        if declared is None:
            continue
        for name, renamed in connection.param_mapping.items():
            if name not in declared:
                message = (
                    f"{_arrow(connection)} renames {name!r} to {renamed!r}, "
                    f"but the event declares only {_listed(declared)}"
                )
                yield Finding("warning", "undeclared-name", connection.source_id, message)


def _missing_parameters(wiring: _Wiring) -> Iterator[Finding]:
    for routine_id, slot in wiring.slots():
        required = required_parameters(slot.handler) if slot.handler is not None else frozenset()
        if not required:
            continue
        for origin, names in _supplies(wiring, routine_id, slot):
            if missing := required - names:
                message = (
                    f"the handler of {routine_id!r}.{slot.name!r} needs {_listed(sorted(missing))}, "
                    f"but {origin} brings only {_listed(sorted(names))}"
                )
                yield Finding("warning", "missing-parameter", routine_id, message)


def _supplies(wiring: _Wiring, routine_id: str, slot: Slot) -> Iterator[tuple[str, frozenset[str]]]:
    """From where a slot's handler is given what, as far as that is declared."""
    brought = [(connection, _brought(wiring, connection)) for connection in wiring.feeds[routine_id, slot.name]]
    if slot.merge_strategy == "override":
        yield from ((_arrow(connection), names) for connection, names in brought if names is not None)
    elif slot.merge_strategy == "append" and slot.name != ENTRY_SLOT:
        # Gathered from all of them in turn: it is enough that one supplies a name.
        known = [names for _, names in brought if names is not None]
        if known and len(known) == len(brought):
            yield "all that is connected", frozenset().union(*known)


def _loose_ends(wiring: _Wiring) -> Iterator[Finding]:
    for routine_id, routine in wiring.routines.items():
        for event in routine.events:
            if (routine_id, event) not in wiring.heard:
                message = f"event {event!r} of routine {routine_id!r} goes nowhere"
                yield Finding("note", "unheard-event", routine_id, message)
        for name, slot in routine.slots.items():
            if name != ENTRY_SLOT and not wiring.feeds[routine_id, name]:
                message = f"slot {name!r} of routine {routine_id!r} is fed by no connection"
                yield Finding("note", "unfed-slot", routine_id, message)
            if slot.handler is None:
                message = f"slot {name!r} of routine {routine_id!r} has no handler: what arrives there is dropped"
                yield Finding("note", "no-handler", routine_id, message)


def _endless_cycles(wiring: _Wiring) -> Iterator[Finding]:
    order = {routine_id: place for place, routine_id in enumerate(wiring.routines)}
    cycles = [
        sorted(component, key=order.__getitem__)
        for component in strong_components(wiring.successors)
        if len(component) > 1 or component[0] in wiring.successors[component[0]]
    ]
    for members in sorted(cycles, key=lambda members: order[members[0]]):
        if not _has_exit(wiring, set(members)):
            many = (
                f"routines {_listed(members)} feed each other"
                if members[1:]
                else f"routine {members[0]!r} feeds itself"
            )
            message = f"{many}, and nothing leads out: a job that gets there goes on until a handler stops emitting"
            yield Finding("note", "cycle-without-exit", members[0], message)


def _has_exit(wiring: _Wiring, members: set[str]) -> bool:
    """Whether something that is emitted in a cycle need not come round again."""
    for routine_id in members:
        if any((routine_id, event) not in wiring.heard for event in wiring.routines[routine_id].events):
            return True
        for connection in wiring.leads[routine_id]:
            slot = wiring.slot(connection)
            if connection.target_id not in members or slot is None or slot.handler is None:
                return True
    return False


def strong_components(successors: Mapping[N, Sequence[N]]) -> list[list[N]]:
    """Find the strongly connected components of a graph, each after all that it leads to.

    The algorithm is Tarjan's (Depth-first search and linear graph algorithms, SIAM Journal on Computing 1, 1972), with
    a stack of its own in place of recursion, so that the depth of a graph does not matter.

    Args:
        successors: For each node, where its edges lead; every one of those is a key too.
    """
    found = _Components(successors)
    for root in successors:
        if root not in found.index:
            found.search(root)
    return found.components


class _Components(Generic[N]):
    """The state of one search.

    Attributes:
        index: Nodes in the order in which they were found.
        low: The lowest index known to be within reach of a node, by edges among those on the trail.
        trail: Nodes whose component is not complete yet.
    """

    def __init__(self, successors: Mapping[N, Sequence[N]]) -> None:
        self.successors = successors
        self.index: dict[N, int] = {}
        self.low: dict[N, int] = {}
        self.trail: dict[N, None] = {}
        self.path: list[tuple[N, Iterator[N]]] = []
        self.components: list[list[N]] = []

    def search(self, root: N) -> None:
        """Find the components of all nodes that can be reached from ``root``."""
        self._enter(root)
        while self.path:
            node, edges = self.path[-1]
            for target in edges:
                if target not in self.index:
                    self._enter(target)
                    break
                if target in self.trail:
                    self.low[node] = min(self.low[node], self.index[target])
            else:
                self._leave(node)

    def _enter(self, node: N) -> None:
        self.index[node] = self.low[node] = len(self.index)
        self.trail[node] = None
        self.path.append((node, iter(self.successors[node])))

    def _leave(self, node: N) -> None:
        self.path.pop()
        if self.path:
            parent = self.path[-1][0]
            self.low[parent] = min(self.low[parent], self.low[node])
        if self.low[node] == self.index[node]:
            component: list[N] = []
            while not component or component[-1] != node:
                component.append(self.trail.popitem()[0])
            self.components.append(component)


def required_parameters(handler: Callable[..., Any]) -> frozenset[str]:
    """The names without which a handler is not called; see `routilux.engine.binding.bind`.

    A single parameter is never among them: it gets the whole dictionary if there is no item of its name.
    """
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):  # some built-in functions tell nothing of their parameters
        return frozenset()
    everything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}]
    if len(named) == 1 and not everything:
        return frozenset()
    return frozenset(p.name for p in named if p.default is p.empty)


def _declared(wiring: _Wiring, connection: Connection) -> list[str] | None:
    """What an event says that it carries; None if it says nothing."""
    event = wiring.event(connection)
    return None if event is None else event.output_params or None


def _brought(wiring: _Wiring, connection: Connection) -> frozenset[str] | None:
    """Under which names a connection's data arrives; None: nobody says."""
    declared = _declared(wiring, connection)
    return None if declared is None else frozenset(rename(dict.fromkeys(declared), connection.param_mapping))


def _arrow(connection: Connection) -> str:
    return f"{connection.source_id!r}.{connection.event!r} -> {connection.target_id!r}.{connection.slot!r}"


def _listed(names: Iterable[str]) -> str:
    every = [repr(name) for name in names]
    more = f" and {len(every) - SHOWN:,} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
