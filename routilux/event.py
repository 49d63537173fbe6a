"""What a routine sends out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from routilux.connection import check_mapping
from routilux.engine.routing import rename

if TYPE_CHECKING:
    from routilux.routine import Routine
    from routilux.slot import Slot

__all__ = ["Event"]


class Event:
    """A named output of a routine.

    Args:
        name: Unique among the routine's events.
        routine: The routine it belongs to.
        output_params: The names of the data that it carries, for readers and tools; an emit is not checked against it.
    """

    __slots__ = ("_listeners", "name", "output_params", "routine")

    def __init__(self, name: str, routine: Routine | None = None, output_params: Iterable[str] | None = None) -> None:
        self.name = name
        self.routine = routine
        self.output_params = list(output_params or ())
        self._listeners: list[tuple[Slot, dict[str, str]]] = []

    def connect(self, slot: Slot, param_mapping: Mapping[str, str] | None = None) -> None:
        """Deliver to ``slot`` when the event is emitted outside any running job. ``Flow.connect`` does this too."""
        self._listeners.append((slot, check_mapping(param_mapping)))

    def disconnect(self, slot: Slot) -> None:
        """Undo every `connect` to ``slot``."""
        self._listeners = [pair for pair in self._listeners if pair[0] is not slot]

    def replace(self, old: Slot, new: Slot) -> None:
        """Deliver to ``new`` what went to ``old``, in its place."""
        self._listeners = [(new if slot is old else slot, mapping) for slot, mapping in self._listeners]

    def deliver(self, data: dict[str, Any]) -> None:
        """Call each connected slot's handler here and now, in the order of connection."""
        for slot, mapping in list(self._listeners):
            slot.receive(rename(data, mapping))

    def __repr__(self) -> str:
        return f"Event({self.name!r}, output_params={self.output_params})"
