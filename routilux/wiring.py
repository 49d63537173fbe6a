"""Routines put together: which there are, and what goes from where to where.

Knows routines, slots, events and connections, and keeps the engine's `Graph` in step with them; knows nothing of jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from routilux.connection import Connection
from routilux.engine.routing import Graph, Route
from routilux.event import Event
from routilux.exceptions import DuplicateNameError, UnknownNameError
from routilux.routine import Routine
from routilux.slot import Slot

__all__ = ["RoutineTable", "Wiring"]


class Wiring:
    """The routines of a flow and the connections between them.

    Args:
        flow_id: The flow's, for messages.
    """

    def __init__(self, flow_id: str) -> None:
        self.flow_id = flow_id
        self._graph = Graph()
        self._connections: dict[tuple[str, str, str, str], Connection] = {}

    @property
    def routines(self) -> RoutineTable:
        """Routines by id. Assigning to an id replaces the routine there and keeps its connections."""
        return RoutineTable(self)

    @property
    def connections(self) -> list[Connection]:
        """All connections, in the order in which they were made."""
        return list(self._connections.values())

    def add_routine(self, routine: Routine, routine_id: str | None = None) -> str:
        """Put a routine into the flow and return its id, made up from its class when not given.

        Raises:
            TypeError: Not a Routine.
            ValueError: The id is taken, or the routine is in the flow already.
        """
        if routine_id is None:
            base = type(routine).__name__.lower()
            routine_id = base
            count = 1
            while routine_id in self._graph.nodes:
                count += 1
                routine_id = f"{base}_{count}"
        elif routine_id in self._graph.nodes:
            raise DuplicateNameError(f"flow {self.flow_id!r} has a routine {routine_id!r} already; choose another id")
        self._place(routine_id, routine)
        return routine_id

    def connect(
        self,
        source: str,
        event: str,
        target: str,
        slot: str,
        param_mapping: Mapping[str, str] | None = None,
    ) -> Connection:
        """Send what routine ``source`` emits as ``event`` to ``slot`` of routine ``target``.

        Args:
            source: Id of the emitting routine.
            event: One of its events.
            target: Id of the receiving routine.
            slot: One of its slots.
            param_mapping: ``{name in the event: name in the slot}`` for data to rename.

        Raises:
            ValueError: An unknown routine, event or slot; or the two are connected already.
        """
        connection = Connection(source, event, target, slot, param_mapping)
        if connection.key in self._connections:
            raise DuplicateNameError(f"{source}.{event} and {target}.{slot} are connected already in {self!r}")
        emitted, receiver = self._ends(connection)
        self._connections[connection.key] = connection
        self._route(source, event)
        emitted.connect(receiver, connection.param_mapping)
        return connection

    def _ends(self, connection: Connection) -> tuple[Event, Slot]:
        """The event and the slot that a connection names."""
        source, target = self._node(connection.source_id).routine, self._node(connection.target_id).routine
        event = source.get_event(connection.event)
        if event is None:
            raise UnknownNameError(
                "event", connection.event, source.events, f"routine {connection.source_id!r}", f"for {connection}"
            )
        slot = target.get_slot(connection.slot)
        if slot is None:
            raise UnknownNameError(
                "slot", connection.slot, target.slots, f"routine {connection.target_id!r}", f"for {connection}"
            )
        return event, slot

    def _route(self, source_id: str, event: str) -> None:
        """Put the connections of an event where emits find them, in one step: an emit sees all, or all as before."""
        nodes = self._graph.nodes
        nodes[source_id].route(
            event,
            [
                Route(nodes[c.target_id].target(self._ends(c)[1]), c.param_mapping)
                for c in self._connections.values()
                if (c.source_id, c.event) == (source_id, event)
            ],
        )

    def check_slot(self, routine_id: str, slot_name: str, hint: str = "") -> Slot:
        """Return a routine's slot.

        Raises:
            UnknownNameError: There is no such routine, or it has no such slot; ``hint`` says what to do then.
        """
        routine: Routine = self._node(routine_id).routine
        slot = routine.get_slot(slot_name)
        if slot is None:
            raise UnknownNameError("slot", slot_name, routine.slots, f"routine {routine_id!r}", hint)
        return slot

    def _node(self, routine_id: str) -> Any:
        try:
            return self._graph.nodes[routine_id]
        except (KeyError, TypeError):
            raise UnknownNameError(
                "routine",
                routine_id,
                self._graph.nodes,
                f"flow {self.flow_id!r}",
                "add it with add_routine()",
            ) from None

    def _place(self, routine_id: str, routine: Routine) -> None:
        """Put ``routine`` at ``routine_id`` and route its connections anew; change nothing if they do not fit."""
        if not isinstance(routine, Routine):
            raise TypeError(f"a flow holds Routine objects, not {routine!r}")
        if not isinstance(routine_id, str) or not routine_id:
            raise ValueError(f"a routine's id must be a non-empty string, not {routine_id!r}")
        existing = self._graph.node_of(routine)
        if existing is not None:
            if existing.routine_id == routine_id:
                return
            raise DuplicateNameError(f"{routine!r} is in flow {self.flow_id!r} already, as {existing.routine_id!r}")
        touching = [c for c in self._connections.values() if routine_id in (c.source_id, c.target_id)]
        for connection in touching:
            if connection.source_id == routine_id and routine.get_event(connection.event) is None:
                raise UnknownNameError(
                    "event", connection.event, routine.events, repr(routine), f"{connection} needs it"
                )
            if connection.target_id == routine_id and routine.get_slot(connection.slot) is None:
                raise UnknownNameError("slot", connection.slot, routine.slots, repr(routine), f"{connection} needs it")
        before = [self._ends(connection) for connection in touching]
        self._graph.place(routine_id, routine)
        for connection, (old_event, old_slot) in zip(touching, before, strict=True):
            event, slot = self._ends(connection)
            self._route(connection.source_id, connection.event)
            if event is old_event:
                event.replace(old_slot, slot)
            else:
                old_event.disconnect(old_slot)
                event.connect(slot, connection.param_mapping)


class RoutineTable(MutableMapping[str, Routine]):
    """The routines of a flow by id.

    Assigning to an id that is taken replaces the routine; its connections stay, so the newcomer must have the events
    and slots that they use. Deleting is refused while connections remain.
    """

    def __init__(self, flow: Wiring) -> None:
        self._flow = flow

    def __getitem__(self, routine_id: str) -> Routine:
        return self._flow._graph.nodes[routine_id].routine

    def __setitem__(self, routine_id: str, routine: Routine) -> None:
        self._flow._place(routine_id, routine)

    def __delitem__(self, routine_id: str) -> None:
        node = self._flow._node(routine_id)
        for connection in self._flow.connections:
            if routine_id in (connection.source_id, connection.target_id):
                raise ValueError(f"routine {routine_id!r} cannot be removed: {connection} uses it")
        self._flow._graph.remove(node.routine_id)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._flow._graph.nodes))

    def __len__(self) -> int:
        return len(self._flow._graph.nodes)

    def __repr__(self) -> str:
        return f"RoutineTable({dict(self)!r})"
