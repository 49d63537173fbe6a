"""Flows as plain, versioned JSON data, and back.

A routine is stored as the registered name of its class, its configuration, its error handler and what is wired to it;
handlers and merge functions by method name. Reading a document never imports, evaluates or instantiates anything but
registered routine classes, and changes nothing unless all of it is right. Values are JSON's own, plus those types
that an encoder is registered for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from inspect import getattr_static
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from routilux.engine.binding import name_of
from routilux.error_handler import ErrorHandler
from routilux.exceptions import SerializationError, brief
from routilux.routine import Routine
from routilux.slot import Slot

if TYPE_CHECKING:
    from routilux.flow import Flow

__all__ = ["FORMAT", "VERSION", "Reader", "explaining", "from_plain", "register_encoder", "to_plain"]

FORMAT = "routilux/flow"
VERSION = 1
MAX_DEPTH = 100
MAX_BITS = 14_000
"""Of a whole number: CPython reads and writes 4300 digits, and no more unless told otherwise."""
TAG = "$type"


class _Encoder(NamedTuple):
    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_by_type: dict[type, _Encoder] = {}
_by_name: dict[str, _Encoder] = {}


def register_encoder(
    kind: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any], name: str | None = None
) -> None:
    """Let values of exactly the type ``kind`` be stored.

    Args:
        kind: The type.
        encode: Turns a value into JSON data (or into other values that can be encoded).
        decode: Turns that back; it is given data from documents, so it must check them.
        name: What the type is called in documents; by default its module and name.
    """
    encoder = _Encoder(name or f"{kind.__module__}:{kind.__qualname__}", encode, decode)
    _by_type[kind] = _by_name[encoder.name] = encoder


register_encoder(tuple, list, tuple, "tuple")
register_encoder(set, lambda value: sorted(value, key=repr), set, "set")
register_encoder(frozenset, lambda value: sorted(value, key=repr), frozenset, "frozenset")
register_encoder(datetime, datetime.isoformat, datetime.fromisoformat, "datetime")


def to_plain(value: Any, place: str, depth: int = 0) -> Any:
    """Copy ``value`` as JSON data.

    Args:
        value: What to store.
        place: What to call it in an error.
        depth: How deep in the document it stands.

    Raises:
        SerializationError: It holds something that is not JSON and that no encoder is registered for.
    """
    if depth > MAX_DEPTH:
        raise SerializationError(place, f"nested more than {MAX_DEPTH} deep, or contains itself")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return _whole(value, place)
    if kind is float:
        if not math.isfinite(value):
            raise SerializationError(place, f"{brief(value)} is not a JSON number")
        return value
    if kind is list:
        return [to_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    if kind is dict:
        return {_key(key, place): to_plain(item, f"{place}[{key!r}]", depth + 1) for key, item in value.items()}
    encoder = _by_type.get(kind)
    if encoder is None:
        raise SerializationError(
            place,
            f"{brief(value)} is a {kind.__qualname__}, which JSON has not; "
            "store something plain, or register_encoder() for the type",
        )
    try:
        encoded = encoder.encode(value)
    except Exception as error:
        raise SerializationError(place, f"cannot be encoded as {encoder.name}: {error}") from error
    return {TAG: encoder.name, "value": to_plain(encoded, place, depth + 1)}


def _whole(value: int, place: str) -> int:
    if value.bit_length() > MAX_BITS:
        raise SerializationError(place, "is a whole number of more than 4200 digits; store it as something else")
    return value


def _key(key: Any, place: str) -> str:
    if type(key) is not str:
        raise SerializationError(place, f"key {brief(key)} is a {type(key).__qualname__}; JSON keys are strings")
    if key == TAG:
        raise SerializationError(place, f"key {TAG!r} is reserved for encoded types; choose another")
    return key


def from_plain(value: Any, place: str, depth: int = 0) -> Any:
    """Undo `to_plain`.

    Raises:
        SerializationError: ``value`` is not what `to_plain` makes.
    """
    if depth > MAX_DEPTH:
        raise SerializationError(place, f"nested more than {MAX_DEPTH} deep")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return _whole(value, place)
    if kind is float:
        if not math.isfinite(value):
            raise SerializationError(place, f"{brief(value)} is not a JSON number")
        return value
    if isinstance(value, list):
        return [from_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        raise SerializationError(place, f"{brief(value)} is not JSON data")
    for key in value:
        if type(key) is not str:
            raise SerializationError(place, f"key {brief(key)} is not a string")
    if TAG not in value:
        return {key: from_plain(item, f"{place}[{key!r}]", depth + 1) for key, item in value.items()}
    return _decode(value, place, depth)


def _decode(value: dict[str, Any], place: str, depth: int) -> Any:
    name = value[TAG]
    encoder = _by_name.get(name) if isinstance(name, str) else None
    if encoder is None or value.keys() != {TAG, "value"}:
        known = ", ".join(sorted(_by_name))
        raise SerializationError(place, f"{brief(value)} is of no registered type; there are: {known}")
    inner = from_plain(value["value"], place, depth + 1)
    try:
        return encoder.decode(inner)
    except Exception as error:
        raise SerializationError(place, f"cannot be decoded as {name}: {error}") from error


# Flows to data


def flow_to_data(flow: Flow) -> dict[str, Any]:
    """Describe a flow; see `Flow.serialize`."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "flow_id": flow.flow_id,
        "execution_strategy": flow.execution_strategy,
        "max_workers": flow.configured_workers,
        "execution_timeout": flow.execution_timeout,
        "history_limit": flow.history_limit,
        "max_pending": flow.max_pending,
        "error_handler": _handler_to_data(flow.error_handler, "the flow's error handler"),
        "routines": {rid: _routine_to_data(rid, routine) for rid, routine in flow.routines.items()},
        "connections": [
            {
                "source": c.source_id,
                "event": c.event,
                "target": c.target_id,
                "slot": c.slot,
                "param_mapping": dict(c.param_mapping),
            }
            for c in flow.connections
        ],
    }


def _routine_to_data(routine_id: str, routine: Routine) -> dict[str, Any]:
    place = f"routine {routine_id!r}"
    name = type(routine).registry_name()
    if type(routine) is Routine:
        raise SerializationError(place, "a plain Routine has no class of its own to be made from; derive one")
    if Routine.registry.get(name) is not type(routine):
        raise SerializationError(
            place,
            f"its class {name!r} is not the registered one of that name; a later class took the name over",
        )
    return {
        "class": name,
        "config": {
            _key(key, f"{place}, config"): to_plain(value, f"{place}, config {key!r}")
            for key, value in routine.config().items()
        },
        "error_handler": _handler_to_data(routine.get_error_handler(), f"{place}, error handler"),
        "slots": {
            slot.name: {
                "handler": _method_name(routine, slot.handler, f"{place}, slot {slot.name!r}, handler"),
                "merge_strategy": _merge_to_data(routine, slot, f"{place}, slot {slot.name!r}, merge_strategy"),
                "max_concurrency": slot.max_concurrency,
            }
            for slot in routine.slots.values()
        },
        "events": {event.name: list(event.output_params) for event in routine.events.values()},
    }


def _merge_to_data(routine: Routine, slot: Slot, place: str) -> str | dict[str, str | None]:
    if isinstance(slot.merge_strategy, str):
        return slot.merge_strategy
    return {"method": _method_name(routine, slot.merge_strategy, place)}


def _method_name(routine: Routine, function: Callable[..., Any] | None, place: str) -> str | None:
    if function is None:
        return None
    name = name_of(function)
    if _method(routine, name) != function:
        raise SerializationError(
            place,
            f"{function!r} is not a method of {type(routine).__qualname__}; functions are stored by method name",
        )
    return name


def _method(routine: Routine, name: str) -> Any:
    """The method ``name`` that the routine's own class defines; None for what every Routine has."""
    # Looked up without binding: a document's name must not run a property or a descriptor of somebody's making.
    found = getattr_static(type(routine), name, None)
    if name.startswith("__") or hasattr(Routine, name) or not isinstance(found, _METHODS):
        return None
    return getattr(routine, name)


_METHODS = (FunctionType, staticmethod, classmethod)


def _handler_to_data(handler: ErrorHandler | None, place: str) -> dict[str, Any] | None:
    if handler is None:
        return None
    classes = handler.retryable_exceptions
    return {
        "strategy": handler.strategy.value,
        "max_retries": handler.max_retries,
        "retry_delay": to_plain(handler.retry_delay, f"{place}, retry_delay"),
        "retry_backoff": to_plain(handler.retry_backoff, f"{place}, retry_backoff"),
        "retryable_exceptions": None if classes is None else [_class_name(cls) for cls in classes],
        "is_critical": handler.is_critical,
    }


def _class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


# Data to flows


def flow_from_data(flow: Flow, data: Any) -> None:
    """Make ``flow`` what ``data`` describes; see `Flow.deserialize`."""
    # Around everything: a document need not come from a parser, and its objects may raise whatever they like.
    with explaining("the document"):
        document = Reader(data, "the document")
        document.header(FORMAT, VERSION)
        fresh = _build(type(flow), document)
    flow.adopt(fresh)


def _build(flow_class: type[Flow], document: Reader) -> Flow:
    with document.explaining():
        fresh = flow_class(
            flow_id=document.name("flow_id"),
            execution_strategy=document.take("execution_strategy", str),
            max_workers=document.take("max_workers", int),
            execution_timeout=document.take("execution_timeout", int | float | None),
            history_limit=document.take("history_limit", int),
            max_pending=document.take("max_pending", int | None),
        )
    fresh.set_error_handler(_handler_from_data(document.take("error_handler", dict | None), "the flow's error handler"))
    routines = document.take("routines", dict)
    for routine_id, description in routines.items():
        reader = Reader(description, f"routine {routine_id!r}")
        with reader.explaining():
            fresh.add_routine(_routine_from_data(reader), routine_id)
    for index, description in enumerate(document.take("connections", list)):
        reader = Reader(description, f"connection {index}")
        source, event, target, slot = (reader.take(key, str) for key in ("source", "event", "target", "slot"))
        with reader.explaining():
            fresh.connect(source, event, target, slot, reader.take("param_mapping", dict))
        reader.finish()
    document.finish()
    return fresh


def _routine_from_data(reader: Reader) -> Routine:
    name = reader.take("class", str)
    cls = Routine.registry.get(name)
    if cls is None:
        raise SerializationError(
            f"{reader.place}, 'class'",
            f"no routine class {name!r} is registered; import the module that defines it",
        )
    routine = cls()
    config = reader.take("config", dict)
    routine.set_config(
        **{
            _key(key, f"{reader.place}, config"): from_plain(value, f"{reader.place}, config {key!r}")
            for key, value in config.items()
        }
    )
    handler = reader.take("error_handler", dict | None)
    routine.set_error_handler(_handler_from_data(handler, f"{reader.place}, error handler"))
    for slot_name, description in reader.take("slots", dict).items():
        _slot_from_data(routine, slot_name, Reader(description, f"{reader.place}, slot {slot_name!r}"))
    for event_name, params in reader.take("events", dict).items():
        _event_from_data(routine, event_name, params, f"{reader.place}, event {event_name!r}")
    reader.finish()
    return routine


def _slot_from_data(routine: Routine, name: str, reader: Reader) -> None:
    handler = _method_from_data(routine, reader.take("handler", str | None), f"{reader.place}, 'handler'")
    strategy = reader.take("merge_strategy", str | dict)
    if isinstance(strategy, dict):
        inner = Reader(strategy, f"{reader.place}, 'merge_strategy'")
        strategy = _method_from_data(routine, inner.take("method", str), inner.place)
        inner.finish()
    limit = reader.take("max_concurrency", int | None)
    reader.finish()
    with reader.explaining():
        routine.redefine_slot(name, handler, strategy, limit)


def _event_from_data(routine: Routine, name: str, params: Any, place: str) -> None:
    if not isinstance(params, list) or not all(type(item) is str for item in params):
        raise SerializationError(place, f"must be a list of names, not {brief(params)}")
    event = routine.get_event(name) or routine.define_event(name)
    event.output_params = list(params)


def _method_from_data(routine: Routine, name: str | None, place: str) -> Any:
    if name is None:
        return None
    method = _method(routine, name)
    if method is None:
        raise SerializationError(place, f"{type(routine).__qualname__} defines no method {name!r}")
    return method


def _handler_from_data(data: dict[str, Any] | None, place: str) -> ErrorHandler | None:
    if data is None:
        return None
    reader = Reader(data, place)
    names = reader.take("retryable_exceptions", list | None)
    with reader.explaining():
        handler = ErrorHandler(
            strategy=reader.take("strategy", str),
            max_retries=reader.take("max_retries", int),
            retry_delay=reader.take("retry_delay", int | float),
            retry_backoff=reader.take("retry_backoff", int | float),
            retryable_exceptions=None if names is None else [_exception(name, place) for name in names],
            is_critical=reader.take("is_critical", bool),
        )
    reader.finish()
    return handler


def _exception(name: Any, place: str) -> type[BaseException]:
    """Find an exception class among those that exist; nothing is imported and no attribute is followed."""
    for cls in _subclasses(BaseException):
        if _class_name(cls) == name:
            return cls
    raise SerializationError(
        f"{place}, 'retryable_exceptions'",
        f"no exception class {name!r} is loaded; import the module that defines it",
    )


def _subclasses(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    pending = [cls]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(type.__subclasses__(found))


class Reader:
    """Takes the fields of one object in a document, each of its type, and complains about what is missing or extra."""

    def __init__(self, data: Any, place: str) -> None:
        with explaining(place):
            if not isinstance(data, Mapping):
                raise SerializationError(place, f"must be an object, not {brief(data)}")
            self._data = dict(data)
        self.place = place
        self._seen: set[str] = set()

    def take(self, key: str, kind: Any) -> Any:
        """Take the field ``key``, which must be of the type ``kind``."""
        self._seen.add(key)
        if key not in self._data:
            raise SerializationError(self.place, f"lacks {key!r}")
        value = self._data[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind not in {bool, object}) or _is_odd(value):
            raise SerializationError(f"{self.place}, {key!r}", f"must be {_kind_name(kind)}, not {brief(value)}")
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise SerializationError(f"{self.place}, {key!r}", f"must fit into 64 bits, not {brief(value)}")
        return value

    def header(self, name: str, version: int) -> None:
        """Take the format's name and version."""
        if (found := self.take("format", str)) != name:
            raise SerializationError(f"{self.place}, 'format'", f"must be {name!r}, not {brief(found)}")
        if (number := self.take("version", int)) != version:
            raise SerializationError(
                f"{self.place}, 'version'", f"this routilux reads version {version}, not {brief(number)}"
            )

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        """Take a word that must be among ``allowed``."""
        value: str = self.take(key, str)
        if value not in allowed:
            choices = ", ".join(repr(item) for item in allowed)
            raise SerializationError(f"{self.place}, {key!r}", f"must be one of {choices}, not {brief(value)}")
        return value

    def name(self, key: str) -> str:
        """Take a string that must not be empty."""
        value: str = self.take(key, str)
        if not value:
            raise SerializationError(f"{self.place}, {key!r}", "must not be empty")
        return value

    def finish(self) -> None:
        """Refuse whatever has not been taken."""
        extra = [key for key in self._data if key not in self._seen]
        if extra:
            raise SerializationError(
                self.place, f"unknown field {brief(extra[0])}; there are: {', '.join(sorted(self._seen))}"
            )

    def explaining(self, key: str | None = None) -> explaining:
        """Turn whatever goes wrong in a ``with`` body into a SerializationError that names the place."""
        return explaining(self.place if key is None else f"{self.place}, {key!r}")


class explaining:  # noqa: N801 - used as a function
    """Turns whatever goes wrong in a ``with`` body into a SerializationError that names the place."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, SerializationError):
            raise SerializationError(self._place, f"{type(error).__name__}: {_words(error)}") from error


def _words(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - one that cannot word itself is still only an exception
        return "(no message: its __str__ failed)"


def _is_odd(value: Any) -> bool:
    """Whether a value only passes for a string or a number: who made its class may have it do anything."""
    return isinstance(value, str | int | float) and type(value) not in (str, int, float, bool)


def _kind_name(kind: Any) -> str:
    names = {
        str: "a string",
        int: "a whole number",
        float: "a number",
        dict: "an object",
        list: "a list",
        bool: "true or false",
        type(None): "null",
        datetime: "a datetime",
    }
    return " or ".join(names[item] for item in getattr(kind, "__args__", (kind,)))
