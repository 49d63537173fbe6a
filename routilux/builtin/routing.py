"""`ConditionalRouter` and `Filter`: where an event goes on depends on its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import (
    Condition,
    Option,
    Options,
    choice,
    condition,
    flag,
    label,
    label_or_none,
    prepare_condition,
    require,
)
from routilux.exceptions import brief

__all__ = ["ConditionalRouter", "Filter"]

Route = tuple[str, Condition]


def _routes(value: Any) -> list[Route]:
    pairs = list(value.items()) if isinstance(value, dict) else value
    require(isinstance(pairs, list | tuple))
    routes: list[Route] = []
    for pair in pairs:
        require(isinstance(pair, list | tuple) and len(pair) == 2, f"{brief(pair)} is no pair")
        name, test = pair
        require(isinstance(name, str) and name != "", f"{brief(name)} is no route's name")
        require(name not in dict(routes), f"route {name!r} is there twice")
        try:
            routes.append((name, prepare_condition(test)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"route {name!r}: {error}") from error
    return routes


class ConditionalRouter(BuiltinRoutine):
    """Sends each event on, unchanged, by the first of several conditions that holds, or by all that do.

    Every route is an event of the routine, defined when the routes are configured, so configure before connecting. What
    no condition holds for goes to the event ``default``. An event of a route that is configured away stays, unused.

    A condition is a function of the event's data, or an expression over it (`routilux.builtin.expression`), which can
    be stored. An expression cannot reach attributes, call anything or loop.

    Options:
        routes: ``[(name, condition), …]`` in the order in which they are tried, or a dictionary.
        mode: ``first`` or ``all``: how many of the routes whose conditions hold are taken.
        default: The event for what no condition holds for; ``default``. None drops it.
        on_error: What a condition that raises means: ``raise`` (the activation fails, and the error strategy decides)
            or ``no_match``.
    """

    options: ClassVar[Options] = {
        "routes": Option([], "a list of pairs of name and condition (a function or an expression)", _routes),
        "mode": choice("first", "first", "all"),
        "default": label_or_none("default"),
        "on_error": choice("raise", "raise", "no_match"),
    }
    emits: ClassVar[Emits] = {"default": ()}

    def set_config(self, /, **values: Any) -> None:
        """Set options, and define the events of the routes.

        Raises:
            ValueError: As `BuiltinRoutine.set_config`.
        """
        super().set_config(**values)
        wanted = [name for name, _ in self.setting("routes")]
        if self.setting("default") is not None:
            wanted.append(self.setting("default"))
        for name in wanted:
            if self.get_event(name) is None:
                self.define_event(name)

    def check(self, settings: Mapping[str, Any]) -> None:
        """No route may be called as the default is."""
        if settings["default"] in dict(settings["routes"]):
            raise self.unfit("default", settings["default"], "different from the routes' names")

    def process(self, data: dict[str, Any]) -> None:
        """Send one event on."""
        taken = self.choose(data)
        if not taken and self.setting("default") is not None:
            taken = [self.setting("default")]
        for name in taken:
            self.send(name, data)

    def choose(self, data: dict[str, Any]) -> list[str]:
        """The names of the routes that an event takes; a subclass may choose in a way of its own."""
        taken: list[str] = []
        for name, holds in self.setting("routes"):
            if self._holds(holds, data):
                taken.append(name)
                if self.setting("mode") == "first":
                    break
        return taken

    def _holds(self, condition: Condition, data: dict[str, Any]) -> bool:
        try:
            return condition(dict(data))
        except Exception:
            if self.setting("on_error") == "raise":
                raise
            return False


class Filter(BuiltinRoutine):
    """Emits events for which a condition holds as ``accepted``, and the others as ``rejected``.

    With ``each``, it sorts the items of the list under ``key``: ``accepted`` carries a list of those that the condition
    holds for, ``rejected`` one of the others, and neither is emitted with an empty list. The condition then sees the
    event's data with the item as ``item`` and its place in the list as ``index``.

    A subclass may define `accepts` instead of a condition.

    Options:
        condition: A function of the event's data, or an expression over it.
        each: Whether items of a list are sorted, rather than whole events; False.
        key: Where the list is, with ``each``; ``items``.
        on_error: What a condition that raises means: ``raise`` (the activation fails) or ``reject``.
    """

    options: ClassVar[Options] = {
        "key": label("items"),
        "condition": condition(),
        "each": flag(False),
        "on_error": choice("raise", "raise", "reject"),
    }
    emits: ClassVar[Emits] = {"accepted": (), "rejected": ()}

    def process(self, data: dict[str, Any]) -> None:
        """Sort one event, or the items in it."""
        if not self.setting("each"):
            self.send("accepted" if self._is_accepted(data) else "rejected", data)
            return
        items = self.value_of(data)
        if not isinstance(items, list | tuple):
            raise self.wrong_type("a list", items)
        sorted_out: dict[bool, list[Any]] = {True: [], False: []}
        for index, item in enumerate(items):
            sorted_out[self._is_accepted({**data, "item": item, "index": index})].append(item)
        for accepted, event in ((True, "accepted"), (False, "rejected")):
            if sorted_out[accepted]:
                self.send(event, {**data, self.setting("key"): sorted_out[accepted]})

    def _is_accepted(self, data: dict[str, Any]) -> bool:
        try:
            return bool(self.accepts(dict(data)))
        except Exception:
            if self.setting("on_error") == "raise" or self._has_nothing_to_go_by():
                raise
            return False

    def accepts(self, data: dict[str, Any]) -> bool:
        """Whether the condition holds for an event's data; a subclass may decide in a way of its own.

        Raises:
            ConfigurationError: There is no condition.
        """
        holds: Condition | None = self.setting("condition")
        if holds is None:
            raise self.unfit("condition", None, "set, or accepts() be defined by a subclass")
        return holds(data)

    def _has_nothing_to_go_by(self) -> bool:
        return self.setting("condition") is None and type(self).accepts is Filter.accepts
