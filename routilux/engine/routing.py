"""Who gets what: a flow's routines, slots and connections, in the form in which the engine walks them.

Knows names, bindings and mappings; knows nothing of jobs, threads or time. Everything that can be worked out when a
connection is made, or when an event first comes with certain keys, is worked out here once: after that an emit is two
dictionary look-ups, and nothing of a handler's signature is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from routilux.error_handler import ErrorHandler
    from routilux.routine import Routine
    from routilux.slot import Slot

__all__ = ["Delivery", "Graph", "Node", "Outlet", "Route", "Shapes", "Target", "rename"]

MANY_SHAPES = 256
"""Sets of keys remembered for one event; a routine that makes up names as it goes must not fill the memory."""


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
        outgoing: By event name, where it goes. Replaced whole, so whoever looks sees a consistent state.
        targets: By slot name.
    """

    __slots__ = ("outgoing", "routine", "routine_id", "targets")

    def __init__(self, routine_id: str, routine: Routine) -> None:
        self.routine_id = routine_id
        self.routine = routine
        self.outgoing: dict[str, Shapes] = {}
        for event in routine.events:
            self.route(event, ())
        self.targets: dict[str, Target] = {}

    def route(self, event: str, routes: Sequence[Route]) -> Shapes:
        """Send an event along ``routes`` from now on."""
        shapes = self.outgoing[event] = Shapes(self, event, tuple(routes))
        return shapes

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
        merges: Data must be merged with what the job's earlier events brought.
        is_async: The handler is a coroutine function.
        limit: How many of its activations may run at a time; None: any number.
    """

    __slots__ = ("is_async", "limit", "merges", "node", "slot")

    def __init__(self, node: Node, slot: Slot) -> None:
        self.node = node
        self.slot = slot
        self.merges = slot.merge_strategy != "override"
        self.is_async = slot.bound.is_async
        self.limit = slot.max_concurrency

    def delivery(self, names: tuple[str, ...], *, merged: bool = False) -> Delivery:
        """A delivery that comes from no event: an entry, or data as the handler is to see it."""
        return Delivery(self, "", "", names, None, merged=merged)


class Route:
    """A connection as the engine sees it: where to, and under which names."""

    __slots__ = ("mapping", "target")

    def __init__(self, target: Target, mapping: Mapping[str, str] | None) -> None:
        self.target = target
        self.mapping = dict(mapping) if mapping else None


class Delivery:
    """What is the same for all events that come with certain keys along one route.

    Args:
        target: Where it goes; None for an event that nobody takes.
        source: The emitting routine's id; empty when no event was emitted.
        event: The event's name.
        keys: The names that the values are emitted under.
        mapping: Names to change on the way.
        merged: The slot's merge strategy has been applied.

    Attributes:
        call: Calls the handler with the values as they were emitted.
        names: The names under which the handler sees what it is given.
        merges: The slot's merge strategy is still to be applied.
        plain: ``call`` is all there is to it: nothing to merge or to copy, to await or to take turns for.
    """

    __slots__ = ("_pick", "call", "event", "keys", "merges", "names", "plain", "routine_id", "source", "target")

    def __init__(
        self,
        target: Target | None,
        source: str,
        event: str,
        keys: tuple[str, ...],
        mapping: Mapping[str, str] | None,
        *,
        merged: bool = False,
    ) -> None:
        self.source = source
        self.event = event
        self.keys = keys
        self._pick: itemgetter[int] | None = None
        self.names = keys
        if mapping:
            self._rename(mapping)
        self.target = cast("Target", target)  # only what is delivered is asked where to
        if target is not None:
            self.routine_id = target.node.routine_id
            self.merges = target.merges and not merged
            self.plain = not (target.merges or target.is_async or target.limit)
            call = target.slot.bound.plan(self.names)
            self.call = call if self._pick is None else lambda *values: call(*self._picked(values))

    def _rename(self, mapping: Mapping[str, str]) -> None:
        names = tuple(mapping.get(key, key) for key in self.keys)
        if len(set(names)) < len(names):  # a name that stays gives way to a renamed one
            places = rename({key: at for at, key in enumerate(self.keys)}, mapping)
            names = tuple(places)
            self._pick = itemgetter(*places.values())
        self.names = names

    def _picked(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if self._pick is None:
            return values
        picked = self._pick(values)
        return cast("tuple[Any, ...]", picked) if len(self.names) > 1 else (picked,)  # itemgetter of one gives it bare

    def data(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The values under the names that the slot knows: a dictionary of its own for each caller."""
        return dict(zip(self.names, self._picked(values), strict=True))

    def emitted(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The values under the names that they were emitted under."""
        return dict(zip(self.keys, values, strict=True))


class Outlet:
    """An event that comes with certain keys, and where it goes then.

    Attributes:
        deliveries: One a route.
        first: The first of them; when there is none, one that goes nowhere, for the history's sake.
    """

    __slots__ = ("deliveries", "first", "single")

    def __init__(self, node: Node, event: str, keys: tuple[str, ...], routes: tuple[Route, ...]) -> None:
        source = node.routine_id
        self.deliveries = tuple(Delivery(route.target, source, event, keys, route.mapping) for route in routes)
        self.single = len(routes) == 1
        self.first = self.deliveries[0] if routes else Delivery(None, source, event, keys, None)


class Shapes(dict[tuple[str, ...], Outlet]):
    """The outlets of one event, by the keys that it comes with; made as they are asked for."""

    __slots__ = ("_event", "_node", "_routes")

    def __init__(self, node: Node, event: str, routes: tuple[Route, ...]) -> None:
        self._node = node
        self._event = event
        self._routes = routes

    def __missing__(self, keys: tuple[str, ...]) -> Outlet:
        outlet = Outlet(self._node, self._event, keys, self._routes)
        if len(self) < MANY_SHAPES:
            self[keys] = outlet
        return outlet


def rename(data: dict[str, Any], mapping: Mapping[str, str] | None) -> dict[str, Any]:
    """Copy ``data`` with ``{source name: slot name}`` applied.

    Names that the mapping does not mention stay, and give way where a renamed one lands.
    """
    if not mapping:
        return dict(data)
    renamed = {key: value for key, value in data.items() if key not in mapping}
    renamed.update((mapping[key], value) for key, value in data.items() if key in mapping)
    return renamed
