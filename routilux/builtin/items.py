"""`Splitter` and `Mapper`: lists taken apart into events, and something done to each item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Option, Options, expression, flag, label, label_or_none, optional, whole
from routilux.builtin.transformations import transformation

__all__ = ["Mapper", "Splitter"]


class Splitter(BuiltinRoutine):
    """Emits one ``output`` an item of the list under ``key``, and then ``done``, with the rest of the event's data.

    ``output`` carries the item under ``output_key``, its ``index`` from 0, and ``total``, how many there are; ``done``
    carries ``total`` and ``count``, the number of items. An empty list gives ``done`` alone. Of a dictionary the items
    are dictionaries of ``key`` and ``value``; the items of a set come in no particular order.

    Events are emitted one after the other: if a handler must be tried again because the flow's queue was full, it emits
    from the beginning.

    Options:
        key, output_key: Where the list is, and where the item goes; ``items`` and ``item``.
        batch_size: How many items one ``output`` carries; above 1 it carries lists of so many (the last one may be
            shorter), and ``index`` and ``total`` count these lists. 1.
        separator: Take strings too, and split them there; None refuses them.
    """

    options: ClassVar[Options] = {
        "key": label("items"),
        "output_key": label("item"),
        "batch_size": whole(1, 1),
        "separator": label_or_none(),
    }
    emits: ClassVar[Emits] = {"output": ("item", "index", "total"), "done": ("total", "count")}

    def process(self, data: dict[str, Any]) -> None:
        """Take one list apart."""
        items = self._items(self.value_of(data))
        size = self.setting("batch_size")
        parts = items if size == 1 else [items[start : start + size] for start in range(0, len(items), size)]
        rest = {name: value for name, value in data.items() if name != self.setting("key")}
        for index, part in enumerate(parts):
            self.send("output", {**rest, self.setting("output_key"): part, "index": index, "total": len(parts)})
        self.send("done", {**rest, "total": len(parts), "count": len(items)})

    def _items(self, value: Any) -> list[Any]:
        separator = self.setting("separator")
        if isinstance(value, str) and separator is not None:
            return value.split(separator) if value else []
        if isinstance(value, dict):
            return [{"key": key, "value": item} for key, item in value.items()]
        if not isinstance(value, list | tuple | set | frozenset | range):
            raise self.wrong_type("a list" if separator is None else "a list or a string", value)
        return list(value)


class Mapper(BuiltinRoutine):
    """Puts something else in place of the value under ``key``, and emits ``output`` with it.

    With ``each`` the value is a list, and every item of it is replaced. What replaces them is the result of a
    ``function`` or of an ``expression``, or of `map_item` in a subclass.

    Options:
        function: A function of the value, or the name of a transformation (`routilux.builtin.transformations`).
        expression: An expression over the event's data, in which ``item`` is the value and, with ``each``, ``index``
            its place.
        each: Whether to map the items of a list, rather than the value itself; False.
        key, output_key: Where the value is, and where the result goes; ``item``, and the same.
    """

    options: ClassVar[Options] = {
        "key": label("item"),
        "output_key": label_or_none(),
        "function": optional(Option(None, "a function or the name of a transformation", transformation)),
        "expression": expression(),
        "each": flag(False),
    }
    emits: ClassVar[Emits] = {"output": ("item",)}

    def check(self, settings: Mapping[str, Any]) -> None:
        """There is one way to map, not two."""
        if settings["function"] is not None and settings["expression"] is not None:
            raise self.unfit("expression", settings["expression"].text, "None where 'function' is set")

    def process(self, data: dict[str, Any]) -> None:
        """Map the value of one event."""
        value = self.value_of(data)
        if not self.setting("each"):
            self.send("output", self.result_in(data, self.map_item(value, {**data, "item": value})))
            return
        if not isinstance(value, list | tuple):
            raise self.wrong_type("a list", value)
        mapped = [self.map_item(item, {**data, "item": item, "index": index}) for index, item in enumerate(value)]
        self.send("output", self.result_in(data, mapped))

    def map_item(self, item: Any, data: dict[str, Any]) -> Any:
        """What takes an item's place; a subclass may do something of its own here.

        Args:
            item: The value.
            data: The event's data, with the value as ``item``.

        Raises:
            ConfigurationError: There is neither a function nor an expression.
        """
        function: Callable[[Any], Any] | None = self.setting("function")
        if function is not None:
            return function(item)
        if self.setting("expression") is not None:
            return self.setting("expression").evaluate(data)
        raise self.unfit("function", None, "set, or 'expression', or map_item() be defined by a subclass")
