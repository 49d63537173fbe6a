"""A connection from an event to a slot, by name, as users read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Connection"]


class Connection:
    """Says that what ``source`` emits as ``event`` goes to ``slot`` of ``target``.

    Attributes:
        source_id: The emitting routine's id.
        event: The event's name.
        target_id: The receiving routine's id.
        slot: The slot's name.
        param_mapping: ``{name in the event: name in the slot}``; empty when nothing is renamed.
    """

    __slots__ = ("event", "param_mapping", "slot", "source_id", "target_id")

    def __init__(
        self,
        source_id: str,
        event: str,
        target_id: str,
        slot: str,
        param_mapping: Mapping[str, str] | None = None,
    ) -> None:
        self.source_id = source_id
        self.event = event
        self.target_id = target_id
        self.slot = slot
        self.param_mapping = check_mapping(param_mapping)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes a connection the same as another."""
        return (self.source_id, self.event, self.target_id, self.slot)

    def __repr__(self) -> str:
        renamed = f", param_mapping={self.param_mapping!r}" if self.param_mapping else ""
        return f"Connection({self.source_id}.{self.event} -> {self.target_id}.{self.slot}{renamed})"


def check_mapping(mapping: Any) -> dict[str, str]:
    """Return a copy of ``mapping``.

    Raises:
        TypeError: It does not map names to names.
        ValueError: Two names would become one.
    """
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping):
        raise TypeError(f"param_mapping must be a mapping {{event name: slot name}}, not {mapping!r}")
    taken: dict[str, str] = {}
    for source, target in mapping.items():
        if not (isinstance(source, str) and isinstance(target, str)):
            raise TypeError(f"param_mapping must map names to names, not {source!r} to {target!r}")
        if target in taken:
            raise ValueError(f"param_mapping renames both {taken[target]!r} and {source!r} to {target!r}")
        taken[target] = source
    return dict(mapping)
