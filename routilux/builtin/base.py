"""What all built-in routines have in common: checked options, two slots that do the same, data that goes along.

A built-in takes one value out of an event's data, by the option ``key``, and emits the data with what it made of it.
It keeps nothing on itself but its configuration: what must be remembered is gathered by the slots, per job.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from routilux.builtin.options import ConfigurationError, Options, option_value
from routilux.exceptions import HandlerArgumentError, UnknownNameError, brief
from routilux.routine import Routine

__all__ = ["BuiltinRoutine"]

RESERVED = frozenset(
    name
    for name, parameter in inspect.signature(Routine.emit).parameters.items()
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
)
"""Names that `Routine.emit` has for itself, so that no data can go by them."""


Emits = Mapping[str, tuple[str, ...]]
"""Events by name, with the names of the data that each carries."""


class BuiltinRoutine(Routine):
    """A routine with checked options, and the slots ``input`` and ``trigger``, which both call `process`.

    Attributes:
        options: What it can be configured with, by name. A subclass that has more adds to its base's.
        emits: Its events, with the names of the data that each carries beside what came in.
    """

    options: ClassVar[Options] = {}
    emits: ClassVar[Emits] = {"output": ()}

    def __init__(self) -> None:
        super().__init__()
        # Replaced whole by each set_config, so that a running handler sees one configuration throughout.
        self._settings: Mapping[str, Any] = {name: option.default for name, option in self.options.items()}
        self._define_slots()
        for event, params in self.emits.items():
            self.define_event(event, params)

    def _define_slots(self) -> None:
        for slot in ("input", "trigger"):
            self.define_slot(slot, handler=self.process)

    def process(self, data: dict[str, Any]) -> None:
        """Handle one event; what `input` and `trigger` call."""
        raise NotImplementedError(f"{type(self).__name__} must define process(data)")

    # Configuration

    def set_config(self, /, **values: Any) -> None:
        """Set options, all of them or, if one is wrong, none.

        Raises:
            ValueError: An unknown option, or a value that one does not take.
        """
        owner = type(self).__name__
        settings = dict(self._settings)
        for name, value in values.items():
            option = self.options.get(name)
            if option is None:
                raise UnknownNameError("option", name, self.options, owner)
            settings[name] = option_value(owner, name, option, value)
        self.check(settings)
        super().set_config(**{name: _own(value) for name, value in values.items()})
        self._settings = settings

    def configure(self, /, **values: Any) -> Self:
        """Set options, and return the routine: ``flow.add_routine(TextClipper().configure(max_length=80))``."""
        self.set_config(**values)
        return self

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse options that do not go together; for subclasses.

        Args:
            settings: All options, prepared.

        Raises:
            ConfigurationError: Some do not.
        """

    def setting(self, name: str) -> Any:
        """An option in the form in which the routine works with it: checked, its default if it was not set."""
        return self._settings[name]

    def unfit(self, option: str, value: object, allowed: str) -> ConfigurationError:
        """The error that says what an option ``must be``; for `check`."""
        return ConfigurationError(type(self).__name__, option, value, allowed)

    # Data

    def value_of(self, data: Mapping[str, Any]) -> Any:
        """The value to work on: the item that the option ``key`` names, or all data if that is None.

        Raises:
            HandlerArgumentError: The data has no such item.
        """
        key = self.setting("key")
        if key is None:
            return dict(data)
        if key not in data:
            raise HandlerArgumentError(type(self).__name__, [key], data)
        return data[key]

    def place_of(self) -> str:
        """How messages call the value to work on."""
        key = self.setting("key")
        return f"{type(self).__name__}: " + ("the event's data" if key is None else repr(key))

    def wrong_type(self, wanted: str, value: object) -> TypeError:
        """The error for a value that is not ``wanted``."""
        return TypeError(f"{self.place_of()} must be {wanted}, not {brief(value)}")

    def result_in(self, data: Mapping[str, Any], result: object, **more: Any) -> dict[str, Any]:
        """The data to emit: what came in, with ``result`` under ``output_key`` (``key`` if that is None), and ``more``.

        Without either key, the result is the data.

        Raises:
            TypeError: It is to be the data, but is no dictionary by name.
        """
        key = self.setting("output_key")
        if key is None:
            key = self.setting("key")
        if key is not None:
            return {**data, key: result, **more}
        if not isinstance(result, dict):
            raise TypeError(
                f"{type(self).__name__}: without 'key' and 'output_key' the result is what is emitted, so it must be "
                f"a dictionary, not {brief(result)}; set 'output_key'"
            )
        return {**result, **more}

    def send(self, event: str, data: Mapping[Any, Any]) -> None:
        """Emit ``data``, whatever its names.

        Raises:
            ValueError: A name that an event cannot carry.
        """
        for name in data:
            if not isinstance(name, str) or name in RESERVED:
                why = f"{name!r} is emit()'s own" if isinstance(name, str) else f"{brief(name)} is no string"
                raise ValueError(f"{type(self).__name__} cannot emit {event!r}: {why}; give the data another name")
        self.emit(event, **data)


def _own(value: Any) -> Any:
    """Copy the containers of a configuration, so that nobody changes it unchecked; what is in them stays."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        copied = [_own(item) for item in value]
        return copied if isinstance(value, list) else tuple(copied)
    return value
