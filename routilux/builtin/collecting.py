"""`Aggregator` and `Batcher`: many events in, one out.

What they gather is kept by the slot's merge function, so per job and atomically. Each merge decides, under the slot's
lock, what the event at hand completes, and puts that beside the state as ``ready``; the handler of that very event
finds it in its snapshot, and emits it. So an event completes at most one thing, each thing is completed by exactly one
event, in whatever order handlers run, and a retried handler finds what it found before. States are values that are
never changed, only replaced: a snapshot holds no more than a reference.

The two slots `input` and `trigger` gather apart, as slots do: events that belong together go to one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Option, Options, flag, label, label_or_none, names, optional, whole
from routilux.builtin.transformations import transformation
from routilux.exceptions import HandlerArgumentError, brief

__all__ = ["Aggregator", "Batcher"]

BLOCK = 256
"""How many items of a pile are copied when one is put on it."""

State = dict[str, Any]
Ready = tuple[str, dict[str, Any]] | None
"""An event that is due, and its data."""


class _Gatherer(BuiltinRoutine):
    """What the two have in common: a state a group, and a merge function that advances it.

    A state is JSON data but for tuples, so that a job can be saved while it gathers.
    """

    options: ClassVar[Options] = {
        "key": label_or_none("item"),
        "group_by": label_or_none(),
        "total_key": label_or_none("total"),
        "skipped_key": label("skipped"),
    }

    def _define_slots(self) -> None:
        for slot in ("input", "trigger"):
            self.define_slot(slot, handler=self.process, merge_strategy=self.gather)

    def gather(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """Merge one event in; the slots' merge function."""
        groups = dict(old.get("groups", {}))
        group = self._group_of(new)
        name = repr(group)
        state, ready = self.advance(groups.get(name, {}), new)
        groups[name] = state
        if ready is not None and self.setting("group_by") is not None:
            event, data = ready
            ready = event, {self.setting("group_by"): group, **data}
        return {"groups": groups, "ready": ready}

    def process(self, data: dict[str, Any]) -> None:
        """Emit what the event at hand completed, if anything."""
        ready: Ready = data["ready"]
        if ready is not None:
            event, carried = ready
            # What is gathered refers to this until the next event, and receivers may change their lists.
            own = {name: list(item) if type(item) is list else item for name, item in carried.items()}
            self.send(event, self.completed(own) if event == "output" else own)

    def completed(self, data: dict[str, Any]) -> dict[str, Any]:
        """What to emit of what is complete; unlike `advance`, it may take its time, and may fail."""
        return data

    def advance(self, state: State, event: dict[str, Any]) -> tuple[State, Ready]:
        """Return the state after an event, and what is due now; changes neither argument."""
        raise NotImplementedError

    def _group_of(self, event: Mapping[str, Any]) -> str | int | None:
        key = self.setting("group_by")
        if key is None:
            return None
        if key not in event:
            raise HandlerArgumentError(type(self).__name__, [key], event)
        group = event[key]
        if not isinstance(group, str | int):
            raise TypeError(f"{type(self).__name__}: {key!r} must be a string or a whole number, not {brief(group)}")
        return group

    def total_in(self, event: Mapping[str, Any], before: int | None) -> int | None:
        """How many items there will be, if the event says so; else what was known before."""
        total = event.get(self.setting("total_key"))
        if total is None:
            return before
        if type(total) is not int or total < 0:
            raise TypeError(f"{self._total_name()} must be a whole number from 0 up, not {brief(total)}")
        return total

    def _total_name(self) -> str:
        return f"{type(self).__name__}: {self.setting('total_key')!r}"

    def item_in(self, event: Mapping[str, Any], *marks: str) -> tuple[Any, ...]:
        """The event's item, or none for one that is skipped or carries only one of the marks, such as ``total``."""
        key, skipped = self.setting("key"), self.setting("skipped_key")
        marks = (*marks, self.setting("total_key"))
        if skipped in event:
            return ()
        if key is None:
            rest = {name: value for name, value in event.items() if name not in marks}
            only_group = rest.keys() <= {self.setting("group_by")}
            return () if only_group and len(rest) < len(event) else (rest,)
        if key not in event:
            if any(mark in event for mark in marks):
                return ()
            raise HandlerArgumentError(type(self).__name__, [key], event)
        return (event[key],)

    def arrived_in(self, event: Mapping[str, Any], item: tuple[Any, ...]) -> int:
        """How many items the event counts for: one that is skipped has arrived as well."""
        return 1 if item or self.setting("skipped_key") in event else 0


# A pile: items in order, cheap to put one on without changing the pile that was


def _put(pile: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    full, rest = pile or ((), ())
    rest = (*rest, item)
    return ((*full, rest), ()) if len(rest) == BLOCK else (full, rest)


def _items(pile: tuple[Any, ...]) -> list[Any]:
    full, rest = pile or ((), ())
    return [item for block in (*full, rest) for item in block]


class Batcher(_Gatherer):
    """Gathers the items of events into lists of ``size``, and emits each as ``output``.

    ``output`` carries the ``items`` and their ``count``. Every item is in exactly one batch, whatever the order of
    events.

    What is left over at the end goes out when the end is known. Either the events say how many items there are, under
    ``total_key``, as those of a Splitter do: the item that is the last to arrive completes the last batch. Or an event
    carries something true under ``flush_key``, with or without an item: what there is goes out. Events overtake each
    other in a concurrent flow, so items may arrive after the flush: they go out at once, each alone, rather than never.
    Where that matters, give ``total`` along with ``flush``: then nothing goes out early.

    Options:
        size: How many items make a batch; 10.
        key: Where an event's item is; ``item``. None: all of the event's data.
        group_by: Name of the data by whose value (a string or whole number) items are batched apart; ``output`` carries
            it too. Give it where one job batches several lists. None: all together.
        total_key, flush_key: See above; ``total`` and ``flush``. None for ``total_key``: no such thing.
        skipped_key: An event that has data of this name counts as an item that has arrived, and adds none; ``skipped``.
            So what a Filter rejects on the way does not leave the others waiting:
            ``connect("filter", "rejected", "batcher", "input", {"item": "skipped"})``.
    """

    options: ClassVar[Options] = {
        **_Gatherer.options,
        "size": whole(10, 1),
        "flush_key": label("flush"),
    }
    emits: ClassVar[Emits] = {"output": ("items", "count")}

    def advance(self, state: State, event: dict[str, Any]) -> tuple[State, Ready]:
        """Put the event's item on the batch, and see whether that completes it."""
        total = self.total_in(event, state.get("total"))
        item = self.item_in(event, self.setting("flush_key"))
        pile, count = state.get("pile", ()), state.get("count", 0)
        seen = state.get("seen", 0) + self.arrived_in(event, item)
        if item:
            pile, count = _put(pile, *item), count + 1
        flushed = state.get("flushed", False) or bool(event.get(self.setting("flush_key")))
        ended = flushed if total is None else seen >= total
        ready: Ready = None
        if count and (ended or count >= self.setting("size")):
            ready = "output", {"items": _items(pile), "count": count}
            pile, count = (), 0
        return {"pile": pile, "count": count, "seen": seen, "total": total, "flushed": flushed}, ready


class Aggregator(_Gatherer):
    """Waits until all that belongs together has arrived, and emits it as one ``output``, once a job (and group).

    What belongs together is

    * with ``count``: so many items;
    * with ``required``: events that together have all of these names; ``output`` then carries the data of all of them
      under their names, the later one's where several have a name;
    * with neither: as many items as the events say under ``total_key``, as those of a Splitter do. An event may also
      carry that alone: connect a Splitter's ``done`` as well, so that an empty list is complete too.

    By number, ``output`` carries the ``items``, their ``count`` and, with ``combine``, the ``result``. What arrives
    afterwards is emitted as ``late``, unless ``repeat`` begins anew.

    Options:
        count, required: See above.
        key: Where an event's item is; ``item``. None: all of the event's data.
        order_by: Name of the data by whose number the items are put in order, if all events have it; ``index``. None,
            or without it: order of arrival.
        combine: A function of the list of items, or the name of a transformation such as ``sum``; see
            `routilux.builtin.transformations`.
        repeat: How often: False, or True with ``count`` or ``required``.
        group_by: Name of the data by whose value (a string or whole number) events are gathered apart; ``output``
            carries it too. None: all together.
        total_key, skipped_key: As for a Batcher; ``total`` and ``skipped``.
    """

    options: ClassVar[Options] = {
        **_Gatherer.options,
        "count": optional(whole(None, 1)),
        "required": optional(names()),
        "order_by": label_or_none("index"),
        "combine": optional(Option(None, "a function or the name of a transformation", transformation)),
        "repeat": flag(False),
    }
    emits: ClassVar[Emits] = {"output": ("items", "count"), "late": ()}

    def check(self, settings: Mapping[str, Any]) -> None:
        """There is one thing to wait for."""
        if settings["count"] is not None and settings["required"] is not None:
            raise self.unfit("required", list(settings["required"]), "None where 'count' is set")
        if settings["repeat"] and settings["count"] is None and settings["required"] is None:
            raise self.unfit("repeat", True, "False unless 'count' or 'required' says when it is time")
        if settings["combine"] is not None and settings["required"] is not None:
            raise self.unfit("combine", settings["combine"], "None where 'required' is set: there is no list of items")

    def advance(self, state: State, event: dict[str, Any]) -> tuple[State, Ready]:
        """Add the event, and see whether that completes the whole."""
        required = self.setting("required")
        if required is not None:
            return self._join(state, event, required)
        item = self.item_in(event)
        if state.get("over"):
            return state, ("late", event) if item else None
        return self._count(state, event, item)

    def _join(self, state: State, event: dict[str, Any], required: tuple[str, ...]) -> tuple[State, Ready]:
        if state.get("over"):
            return state, ("late", event)
        joined = {**state.get("data", {}), **event}
        if joined.keys() >= set(required):
            return self._after(), ("output", joined)
        return {"data": joined}, None

    def _count(self, state: State, event: dict[str, Any], item: tuple[Any, ...]) -> tuple[State, Ready]:
        wanted = self.setting("count")
        if wanted is None:
            wanted = self.total_in(event, state.get("total"))
        pile, seen = state.get("pile", ()), state.get("seen", 0) + self.arrived_in(event, item)
        if item:
            pile = _put(pile, (event.get(self.setting("order_by")), *item))
        if wanted is not None and seen >= wanted:
            return self._after(), ("output", self._whole(_items(pile)))
        return {"pile": pile, "seen": seen, "total": wanted}, None

    def _after(self) -> State:
        return {} if self.setting("repeat") else {"over": True}

    def _whole(self, entries: list[tuple[Any, Any]]) -> dict[str, Any]:
        if all(isinstance(order, int | float) for order, _ in entries):
            entries.sort(key=_order)
        return {"items": [item for _, item in entries], "count": len(entries)}

    def completed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Add the combined result."""
        combine: Callable[[Any], Any] | None = self.setting("combine")
        return data if combine is None else {**data, "result": combine(data["items"])}


def _order(entry: tuple[Any, Any]) -> Any:
    return entry[0]
