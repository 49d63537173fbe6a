"""What a built-in routine can be configured with: options by name, each with its default and what it allows.

Knows values; knows nothing of routines but the name of the class that an error must mention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from routilux.builtin.expression import Expression
from routilux.exceptions import RoutiluxError, brief

__all__ = [
    "Condition",
    "ConfigurationError",
    "Option",
    "choice",
    "condition",
    "expression",
    "flag",
    "label",
    "label_or_none",
    "mapping",
    "names",
    "optional",
    "plain",
    "text",
    "whole",
]

Condition = Callable[[dict[str, Any]], bool]
"""Says yes or no to an event's data."""


class ConfigurationError(RoutiluxError, ValueError):
    """A routine is configured with something that it does not take.

    Args:
        routine: The name of the routine's class.
        option: The option, or the options that do not go together.
        value: What was given.
        allowed: What would have been right, as in "must be a whole number from 1 up".
        detail: What is wrong with the value, where there is more to say.
    """

    def __init__(self, routine: str, option: str, value: object, allowed: str, detail: str = "") -> None:
        """Word the message from its parts."""
        self.routine = routine
        self.option = option
        self.value = value
        self.allowed = allowed
        message = f"{routine} option {option!r} must be {allowed}, not {brief(value)}"
        super().__init__(f"{message}: {detail}" if detail else message)


class Option(NamedTuple):
    """One option.

    Attributes:
        default: Its value when nothing is configured; not checked.
        allowed: What it takes, in words that follow "must be".
        prepare: Checks a value and turns it into what the routine works with; raises ValueError or TypeError, with a
            message if ``allowed`` does not say it all.
    """

    default: Any
    allowed: str
    prepare: Callable[[Any], Any]


Options = Mapping[str, Option]


def option_value(routine: str, name: str, option: Option, value: object) -> Any:
    """Prepare ``value`` for an option.

    Raises:
        ConfigurationError: The option does not take it.
    """
    try:
        return option.prepare(value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(routine, name, value, option.allowed, str(error)) from error


def require(condition: bool, problem: str = "") -> None:
    """Refuse a value unless ``condition`` holds.

    Raises:
        ValueError: It does not.
    """
    if not condition:
        raise ValueError(problem)


def whole(default: int | None, least: int) -> Option:
    """A whole number from ``least`` up."""

    def prepare(value: Any) -> Any:
        require(type(value) is int and value >= least)
        return value

    return Option(default, f"a whole number from {least} up", prepare)


def text(default: str) -> Option:
    """A string."""

    def prepare(value: Any) -> Any:
        require(isinstance(value, str))
        return value

    return Option(default, "a string", prepare)


def label(default: str | None) -> Option:
    """A string that is not empty."""

    def prepare(value: Any) -> Any:
        require(isinstance(value, str) and value != "")
        return value

    return Option(default, "a string that is not empty", prepare)


def label_or_none(default: str | None = None) -> Option:
    """A string that is not empty, or None."""
    return optional(label(None))._replace(default=default)


def flag(default: bool) -> Option:
    """True or False."""

    def prepare(value: Any) -> Any:
        require(isinstance(value, bool))
        return value

    return Option(default, "True or False", prepare)


def choice(default: str, *choices: str) -> Option:
    """One of some words."""

    def prepare(value: Any) -> Any:
        require(isinstance(value, str) and value in choices)
        return value

    return Option(default, f"one of {', '.join(map(repr, choices))}", prepare)


def plain(default: Any = None) -> Option:
    """Any value at all."""
    return Option(default, "any value", lambda value: value)


def optional(option: Option) -> Option:
    """The same option, or None, which is the default."""
    return Option(None, f"{option.allowed} or None", lambda value: None if value is None else option.prepare(value))


def names(default: Iterable[str] | None = None) -> Option:
    """Some names, none of them twice; as a tuple."""

    def prepare(value: Any) -> Any:
        require(isinstance(value, list | tuple | set | frozenset))
        require(all(isinstance(item, str) and item for item in value))
        require(len(set(value)) == len(value), "a name is there twice")
        return tuple(sorted(value) if isinstance(value, set | frozenset) else value)

    return Option(default if default is None else tuple(default), "a list of different names", prepare)


def mapping(allowed: str, prepare_item: Callable[[Any], Any]) -> Option:
    """A dictionary by name, whose values ``prepare_item`` checks and prepares; empty by default."""

    def prepare(value: Any) -> Any:
        require(isinstance(value, dict) and all(isinstance(key, str) and key for key in value))
        prepared = {}
        for key, item in value.items():
            try:
                prepared[key] = prepare_item(item)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{key!r}: {str(error) or brief(item)}") from error
        return prepared

    return Option({}, allowed, prepare)


def prepare_condition(value: Any) -> Condition:
    """Make a condition of a function or of an expression's text."""
    if isinstance(value, str):
        return Expression(value).test
    require(callable(value), f"{brief(value)} is neither")
    return lambda data: bool(value(data))


def condition() -> Option:
    """A function of an event's data, or an expression; None by default."""
    return optional(Option(None, "a function of the event's data, an expression", prepare_condition))


def expression() -> Option:
    """The text of an expression; None by default."""
    return optional(Option(None, "an expression", Expression))
