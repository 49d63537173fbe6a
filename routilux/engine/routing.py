"""Who gets what: a flow's routines, slots and connections, in the form in which the engine walks them.

Knows names, bindings and mappings; knows nothing of jobs, threads or time. Everything that can be worked out when a
connection is made is worked out here, so that an emit is one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux.error_handler import ErrorHandler
    from routilux.routine import Routine
    from routilux.slot import Slot

__all__ = ["Graph", "Node", "Route", "Target", "rename"]


class Graph:
    """The routines of one flow, by id and by identity."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._by_routine: dict[int, Node] = {}

    def place(self, routine_id: str, routine: Routine) -> Node:
        """Put ``routine`` in the flow as ``routine_id``, in place of whatever had that id."""
        self.remove(routine_id)
        node = self.nodes[routine_id] = self._by_routine[id(routine)] = Node(routine_id, routine)
        return node

    def remove(self, routine_id: str) -> None:
        """Take a routine out."""
        node = self.nodes.pop(routine_id, None)
        if node is not None:
            del self._by_routine[id(node.routine)]

    def node_of(self, routine: Routine) -> Node | None:
        """The node of a routine, by identity; None if it is not part of the flow."""
        return self._by_routine.get(id(routine))


class Node:
    """A routine's place in one flow.

    Attributes:
        outgoing: Routes by event name. Tuples are replaced whole, so whoever iterates one sees a consistent state.
        targets: By slot name.
    """

    __slots__ = ("outgoing", "routine", "routine_id", "targets")

    def __init__(self, routine_id: str, routine: Routine) -> None:
        self.routine_id = routine_id
        self.routine = routine
        self.outgoing: dict[str, tuple[Route, ...]] = dict.fromkeys(routine.events, ())
        self.targets: dict[str, Target] = {}

    def target(self, slot: Slot) -> Target:
        """The target for one of the routine's slots, made when first asked for."""
        found = self.targets.get(slot.name)
        if found is None or found.slot is not slot:
            found = self.targets[slot.name] = Target(self, slot)
        return found

    def error_handler(self) -> ErrorHandler | None:
        """The routine's own error handler."""
        return self.routine.get_error_handler()


class Target:
    """A slot of a routine in one flow: where an activation goes.

    Attributes:
        call: Calls the handler with a dictionary.
        merges: Whether data must be merged with what the job's earlier events brought.
    """

    __slots__ = ("call", "merges", "node", "slot")

    def __init__(self, node: Node, slot: Slot) -> None:
        self.node = node
        self.slot = slot
        self.call = slot.bound
        self.merges = slot.merge_strategy != "override"


class Route:
    """A connection as the engine sees it: where to, and under which names."""

    __slots__ = ("mapping", "target")

    def __init__(self, target: Target, mapping: Mapping[str, str] | None) -> None:
        self.target = target
        self.mapping = dict(mapping) if mapping else None


def rename(data: dict[str, Any], mapping: Mapping[str, str] | None) -> dict[str, Any]:
    """Copy ``data`` with ``{source name: slot name}`` applied.

    Names that the mapping does not mention stay, and give way where a renamed one lands.
    """
    if not mapping:
        return dict(data)
    renamed = {key: value for key, value in data.items() if key not in mapping}
    renamed.update((mapping[key], value) for key, value in data.items() if key in mapping)
    return renamed
