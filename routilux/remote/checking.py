"""What of a flow cannot travel to workers in other processes, told before anything runs.

Knows parcels and a flow's routines; runs nothing but what pickling runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from routilux.exceptions import CannotTravelError
from routilux.remote.parcel import blame, own_attributes, pack, pack_recipe, parts_of_state, state_of, travels
from routilux.runtime import lock_types
from routilux.validation import Finding

if TYPE_CHECKING:
    from routilux.flow import Flow
    from routilux.routine import Routine

__all__ = ["check_travel"]

_SHAREABLE = (int, float, complex, bool, str, bytes, type(None), tuple, frozenset, type)
"""What two routines may both have, and nobody can tell."""


def check_travel(flow: Flow, *, by_value: bool) -> Iterator[Finding]:
    """Find what cannot travel, and what will not be what it is on threads.

    Args:
        flow: The flow.
        by_value: What workers cannot import travels as code; see `routilux.schedulers.futures.FuturesScheduler`.
    """
    owners: dict[int, tuple[str, str]] = {}
    routines = {id(routine): routine_id for routine_id, routine in flow.routines.items()}
    for routine_id, routine in flow.routines.items():
        if type(routine).runs_in_driver:
            continue
        yield from _slots(flow, routine_id, routine, by_value)
        yield from _state(routine_id, routine, by_value)
        yield from _peers(routine_id, routine, routines)
        yield from _shared(routine_id, routine, owners)


def _slots(flow: Flow, routine_id: str, routine: Routine, by_value: bool) -> Iterator[Finding]:
    said: set[str] = set()
    for slot in routine.slots.values():
        if not travels(routine, slot):
            continue
        try:
            pack_recipe(flow.flow_id, routine_id, routine, slot, by_value=by_value)
        except CannotTravelError as error:
            # A class that cannot be sent is so for each of its slots.
            if str(error) not in said:
                said.add(str(error))
                yield Finding("error", "cannot-travel", routine_id, str(error))


def _state(routine_id: str, routine: Routine, by_value: bool) -> Iterator[Finding]:
    try:
        state = state_of(routine)
    except Exception as error:  # noqa: BLE001 - a class's own __getstate__ may raise anything
        message = f"routine {routine_id!r}: its __getstate__ failed: {type(error).__name__}: {error}"
        yield Finding("error", "cannot-travel", routine_id, message)
        return
    for place, value in parts_of_state(state, f"routine {routine_id!r}"):
        try:
            pack(value, routine, by_value=by_value)
        except Exception as error:  # noqa: BLE001 - an object's own way of being pickled may raise anything
            wrong = blame([(place, value)], routine, error, by_value=by_value)
            yield Finding("error", "cannot-travel", routine_id, str(wrong))


def _peers(routine_id: str, routine: Routine, routines: dict[int, str]) -> Iterator[Finding]:
    for name, value in own_attributes(routine).items():
        other_id = routines.get(id(value))
        if other_id not in {None, routine_id}:
            message = (
                f"attribute {name!r} of routine {routine_id!r} is the flow's routine {other_id!r}: in workers it is a "
                "copy, which is part of no flow; emit what that one is to be told"
            )
            yield Finding("warning", "shared-object", routine_id, message)


def _shared(routine_id: str, routine: Routine, owners: dict[int, tuple[str, str]]) -> Iterator[Finding]:
    locks = lock_types()
    for name, value in own_attributes(routine).items():
        if isinstance(value, locks):
            message = (
                f"attribute {name!r} of routine {routine_id!r} is a lock: each worker has one of its own, which guards "
                "nothing against the others; activations of a routine with state never run at the same time"
            )
            yield Finding("note", "own-lock", routine_id, message)
        elif not (isinstance(value, _SHAREABLE) or callable(value)):
            yield from _owned(routine_id, name, value, owners)


def _owned(routine_id: str, name: str, value: Any, owners: dict[int, tuple[str, str]]) -> Iterator[Finding]:
    other_id, other_name = owners.setdefault(id(value), (routine_id, name))
    if other_id != routine_id:
        message = (
            f"attribute {name!r} of routine {routine_id!r} is the very object that routine {other_id!r} has as "
            f"{other_name!r}: in workers each has a copy of its own; emit what one is to tell the other"
        )
        yield Finding("warning", "shared-object", routine_id, message)
