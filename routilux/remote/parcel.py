"""What travels between a flow and the workers of an executor, as bytes.

Knows routines, slots, events and pickle; knows neither jobs nor executors. Bytes, and not objects, so that each
executor carries the same and what cannot be pickled is found here, by name, and not somewhere in its threads. A routine
is not sent: it is sent *about*. What refers to it (its slots and events, its own methods, itself) arrives as the
routine on the other side; a lock arrives as a fresh one, since there is nobody to share it with.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, cast

from routilux.event import Event
from routilux.exceptions import CannotTravelError, brief
from routilux.routine import Routine
from routilux.runtime import lock_types, new_user_lock, new_user_rlock
from routilux.slot import Slot

__all__ = [
    "CONFIG",
    "Body",
    "Links",
    "Op",
    "Outcome",
    "Recipe",
    "blame",
    "link",
    "links_of",
    "own_attributes",
    "pack",
    "pack_body",
    "pack_outcome",
    "pack_recipe",
    "parts_of",
    "parts_of_state",
    "restore_state",
    "state_of",
    "travels",
    "unpack",
]

BASE = frozenset(vars(Routine()))
"""Attributes that every routine has; of these only the configuration is its state."""

CONFIG = "_config"
"""The attribute that is a routine's configuration."""

_LINKED = (Slot, Event)

_ATOMS = frozenset({int, float, bool, str, bytes, type(None)})


class Recipe(NamedTuple):
    """What stays the same for all activations of one slot.

    Attributes:
        cls: The routine's class; its constructor does not run in a worker.
        flow_id: The flow.
        routine_id: The routine's id there.
        slot: The slot's name.
        handler: The name of a method, or what is called.
        events: The names of the routine's events.
        links: The attributes in which it keeps its slots and events.
        stateless: The class says that its handlers leave the routine as it is.
    """

    cls: type[Routine]
    flow_id: str
    routine_id: str
    slot: str
    handler: str | Callable[..., Any]
    events: tuple[str, ...]
    links: Links
    stateless: bool


class Body(NamedTuple):
    """What one activation brings.

    Attributes:
        job_id: Its job.
        number: Its number there.
        attempt: 1 for the first try.
        state: The routine's; see `state_of`.
        names: Under which the handler is given something.
        values: What, in that order.
    """

    job_id: str
    number: int
    attempt: int
    state: Any
    names: tuple[str, ...]
    values: tuple[Any, ...]


Links = tuple[tuple[str, str, str], ...]
"""Attributes that are slots or events of the routine itself; see `links_of`."""

Op = tuple[str, tuple[Any, ...]]
"""Something that a handler did to its job, and with what: entered when the handler has ended."""


class Outcome(NamedTuple):
    """What became of an activation.

    Attributes:
        state: The routine's afterwards; None when there is nothing to change.
        ops: What the handler emitted and sent, in order.
        spent_ns: How long the handler took, in nanoseconds.
        error: What it raised.
    """

    state: Any
    ops: list[Op]
    spent_ns: int
    error: BaseException | None


_here: ContextVar[Routine | None] = ContextVar("routilux_unpacking", default=None)


def _routine() -> Routine:
    routine = _here.get()
    if routine is None:
        raise pickle.UnpicklingError("a parcel of routilux is read by routilux alone")
    return routine


def _slot(name: str) -> Slot:
    return _find_slot(_routine(), name)


def _event(name: str) -> Event:
    return _find_event(_routine(), name)


def _find_slot(routine: Routine, name: str) -> Slot:
    return routine.get_slot(name) or routine.define_slot(name)


def _find_event(routine: Routine, name: str) -> Event:
    return routine.get_event(name) or routine.define_event(name)


def _exception(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    # Without the class's own constructor, whose arguments nobody has kept; with that of the built-in one beneath it,
    # which sets what is no attribute (an exit code, an error number).
    base = next(each for each in cls.__mro__ if each.__module__ == "builtins")
    error: BaseException = base.__new__(cls, *args)
    cast("Any", base).__init__(error, *args)
    BaseException.args.__set__(error, args)  # type: ignore[attr-defined] # some allow no attribute to be set
    vars(error).update(attributes)
    return error


class _Reducing:
    """Says how to pickle what does not travel as it is."""

    routine: Routine

    def reduced(self, value: Any) -> Any:
        """What ``reducer_override`` is to return."""
        kind = type(value)
        if value is self.routine:
            return _routine, ()
        if _is_link(value, self.routine):
            return (_slot if kind is Slot else _event), (value.name,)
        lock, reentrant = lock_types()
        if kind is lock:
            return new_user_lock, ()
        if kind is reentrant:
            return new_user_rlock, ()
        if isinstance(value, BaseException) and _is_plain(kind):
            return _exception, (kind, value.args, vars(value))
        return NotImplemented


def _is_plain(kind: type[BaseException]) -> bool:
    """Whether an exception's class is somebody's own, and says nothing of how to pickle it."""
    return (
        kind.__module__ != "builtins"
        and kind.__reduce__ is BaseException.__reduce__
        and kind.__reduce_ex__ is object.__reduce_ex__
    )


class _Pickler(_Reducing, pickle.Pickler):
    def __init__(self, file: io.BytesIO, routine: Routine) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.routine = routine

    def reducer_override(self, value: Any) -> Any:
        return self.reduced(value)


@cache
def _by_value() -> Any:
    """A pickler that sends along the code of what workers cannot import: of ``__main__``, of functions, of lambdas."""
    base: Any = import_module("cloudpickle").Pickler  # it comes with Dask and Ray, not with routilux

    class ByValue(_Reducing, base):  # type: ignore[misc] # whatever the installed one is
        def __init__(self, file: io.BytesIO, routine: Routine) -> None:
            super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
            self.routine = routine

        def reducer_override(self, value: Any) -> Any:
            found = self.reduced(value)
            return super().reducer_override(value) if found is NotImplemented else found

    return ByValue


def pack(value: Any, routine: Routine, *, by_value: bool = False) -> bytes:
    """Pickle ``value``, which is about ``routine``.

    Raises:
        Exception: Whatever pickling it raises; `blame` says what it is that cannot be.
    """
    file = io.BytesIO()
    (_by_value() if by_value else _Pickler)(file, routine).dump(value)
    return file.getvalue()


def travels(routine: Routine, slot: Slot) -> bool:
    """Whether activations of a slot are sent: there is something to run, and it need not run in the driver."""
    return slot.handler is not None and not type(routine).runs_in_driver


def pack_recipe(flow_id: str, routine_id: str, routine: Routine, slot: Slot, *, by_value: bool) -> bytes:
    """Pack what a worker needs to know of a slot that has a handler.

    Raises:
        CannotTravelError: The class or the handler cannot be pickled.
    """
    cls, handler = type(routine), slot.handler
    assert handler is not None  # noqa: S101 - what has none does not travel
    name = getattr(handler, "__name__", "")
    found: Any = name if _is_method(routine, handler, name) else handler
    recipe = Recipe(cls, flow_id, routine_id, slot.name, found, tuple(routine.events), links_of(routine), cls.stateless)
    try:
        return pack(tuple(recipe), routine, by_value=by_value)
    except Exception as error:
        place = f"routine {routine_id!r}"
        parts = [(f"{place}, its class", cls), (f"{place}, handler of slot {slot.name!r}", found)]
        hint = (
            "workers look it up by its name: define it at the top level of a module, "
            "or send its code along (by_value=True, with cloudpickle)"
        )
        raise blame(parts, routine, error, by_value=by_value, hint=hint) from error


def _is_method(routine: Routine, handler: Any, name: str) -> bool:
    return getattr(handler, "__self__", None) is routine and getattr(routine, name, None) == handler


def pack_body(body: Body, routine: Routine, *, by_value: bool) -> bytes:
    """Pickle a body: the same as `pack`, and a third of its time when there is nothing but plain values in it."""
    if body.state is None and _ATOMS.issuperset(map(type, body.values)):
        return pickle.dumps(tuple(body), pickle.HIGHEST_PROTOCOL)
    return pack(tuple(body), routine, by_value=by_value)


def pack_outcome(outcome: Outcome, routine: Routine, *, by_value: bool) -> bytes:
    """Pickle an outcome, likewise."""
    state, ops, _, error = outcome
    plain = state is None and error is None
    if plain and all(kind == "emit" and _ATOMS.issuperset(map(type, args[2])) for kind, args in ops):
        return pickle.dumps(tuple(outcome), pickle.HIGHEST_PROTOCOL)
    return pack(tuple(outcome), routine, by_value=by_value)


def unpack(data: bytes, routine: Routine) -> Any:
    """Undo `pack`; ``routine`` stands for the one that it was about."""
    token = _here.set(routine)
    try:
        return pickle.loads(data)  # noqa: S301 - made by `pack`, on one side or the other of the same program
    finally:
        _here.reset(token)


def blame(
    parts: Iterable[tuple[str, Any]],
    routine: Routine,
    error: Exception,
    *,
    by_value: bool,
    hint: str = CannotTravelError.HINT,
) -> CannotTravelError:
    """Find which of ``parts`` (what to call it, what it is) cannot be pickled, after something could not."""
    for place, value in parts:
        try:
            pack(value, routine, by_value=by_value)
        except Exception as found:  # noqa: BLE001 - whatever it is, it is in the way
            problem = f"{brief(value)} cannot be pickled ({type(found).__name__}: {found})"
            return CannotTravelError(place, problem, hint)
    return CannotTravelError(f"an activation of {routine!r}", f"it cannot be pickled: {error}", hint)


def links_of(routine: Routine) -> Links:
    """The attributes in which a routine keeps its own slots and events: attribute, ``"slot"`` or ``"event"``, name."""
    return tuple(
        (name, "slot" if type(value) is Slot else "event", value.name)
        for name, value in vars(routine).items()
        if _is_link(value, routine)
    )


def link(routine: Routine, links: Links) -> None:
    """Give a routine those attributes again."""
    for name, kind, target in links:
        vars(routine)[name] = _find_slot(routine, target) if kind == "slot" else _find_event(routine, target)


def _is_link(value: Any, routine: Routine) -> bool:
    return type(value) in _LINKED and value.routine is routine


def own_attributes(routine: Routine) -> dict[str, Any]:
    """The attributes of a routine that are its state: not what every routine has, nor its slots and events."""
    return {name: value for name, value in vars(routine).items() if name not in BASE and not _is_link(value, routine)}


def state_of(routine: Routine) -> Any:
    """A routine's state: its configuration, and its attributes or what its ``__getstate__`` makes of them.

    None when there is nothing of either.
    """
    config = vars(routine)[CONFIG]
    own = routine.__getstate__() if _has_protocol(routine) else own_attributes(routine)
    return (config, own) if config or own else None


def _has_protocol(routine: Routine) -> bool:
    return type(routine).__getstate__ is not object.__getstate__


def restore_state(routine: Routine, state: Any) -> None:
    """Give a routine the state that `state_of` has found elsewhere, in place of its own."""
    config, own = (None, {}) if state is None else state
    attributes = vars(routine)
    setstate = getattr(routine, "__setstate__", None)
    if setstate is not None:
        setstate(own)
    else:
        for name in own_attributes(routine).keys() - own.keys():
            del attributes[name]
        attributes.update(own)
    attributes[CONFIG] = dict(config or {})


def parts_of_state(state: Any, place: str) -> Iterable[tuple[str, Any]]:
    """What a state consists of, with a name for each part."""
    config, own = (None, {}) if state is None else state
    for key, value in (config or {}).items():
        yield f"{place}, config {key!r}", value
    if isinstance(own, dict):
        for name, value in own.items():
            yield f"{place}, attribute {name!r}", value
    else:
        yield f"{place}, what __getstate__ returns", own


def parts_of(names: Iterable[str], values: Iterable[Any], place: str) -> Iterable[tuple[str, Any]]:
    """Named values, with a name for each that says where it stands."""
    for name, value in zip(names, values, strict=True):
        yield f"{place}, {name!r}", value
