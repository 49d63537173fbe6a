"""What a worker does with an activation: a pure function from what was sent to its outcome.

Knows parcels and handlers; knows neither flows nor jobs, which are in another process. What a handler does to its job
is written down, and entered there when the handler has ended. What it would have to read from there is refused.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from routilux import runtime as runtimes
from routilux.engine import context
from routilux.engine.binding import Call, bind
from routilux.exceptions import CannotTravelError, NotHereError
from routilux.remote.parcel import (
    Body,
    Ids,
    Op,
    Outcome,
    Recipe,
    blame,
    link,
    pack,
    parts_of,
    parts_of_state,
    restore_state,
    state_of,
    unpack,
)
from routilux.routine import Routine

if TYPE_CHECKING:
    from routilux.engine.activation import Item

__all__ = ["perform"]

KEPT = 256
"""Recipes that a worker remembers."""

_prepared: OrderedDict[bytes, _Prepared] = OrderedDict()


def perform(recipe: bytes, body: bytes, by_value: bool = False) -> bytes:
    """Run one activation, and return its `Outcome`, packed. Raises nothing: a handler's exception is an outcome.

    Args:
        recipe: A `Recipe`, packed.
        body: A `Body`, packed.
        by_value: How to pack the outcome; see `routilux.remote.parcel.pack`.
    """
    try:
        prepared = _prepare(recipe)
        stage = prepared.stage()
    except BaseException as error:  # noqa: BLE001 - whatever keeps a class from being imported here
        return _refusal(CannotTravelError("what a worker is to run", f"it cannot be made there: {_said(error)}"))
    try:
        given = Body(*unpack(body, stage.routine))
    except BaseException as error:  # noqa: BLE001 - likewise
        return _refusal(CannotTravelError("what a handler is given", f"a worker cannot read it: {_said(error)}"))
    outcome = stage.play(given)
    packed = _packed(outcome, given.ids, stage.routine, by_value)
    prepared.stages.append(stage)
    return packed


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _refusal(error: BaseException) -> bytes:
    return pack(tuple(Outcome(None, [], 0, error)), Routine())


def _prepare(recipe: bytes) -> _Prepared:
    found = _prepared.get(recipe)
    if found is None:
        found = _prepared[recipe] = _Prepared(recipe)
        while len(_prepared) > KEPT:
            # Two threads may both be at it: one of them finds nothing left to forget.
            _prepared.popitem(last=False)
    return found


class _Prepared:
    """A recipe, and the routines made after it that nobody uses just now."""

    def __init__(self, recipe: bytes) -> None:
        self._recipe = recipe
        self.stages: deque[_Stage] = deque()

    def stage(self) -> _Stage:
        """A routine to run a handler of: threads of one process may run several at a time."""
        try:
            return self.stages.pop()
        except IndexError:
            return _Stage(self._recipe)


class _Stage:
    """One routine in a worker."""

    def __init__(self, packed: bytes) -> None:
        bare = Routine()
        recipe = Recipe(*unpack(packed, bare))
        self.routine = routine = recipe.cls.__new__(recipe.cls)
        Routine.__init__(routine)
        # Once more, now that there is a routine for its own methods to be bound to.
        handler = unpack(packed, routine)[2]
        for event in recipe.events:
            routine.define_event(event)
        self._binding = bind(getattr(routine, handler) if isinstance(handler, str) else handler)
        routine.define_slot(recipe.slot)
        link(routine, recipe.links)
        self._recipe = recipe
        self._calls: dict[tuple[str, ...], Call] = {}
        self._outgoing = {event: _Keys(event) for event in recipe.events}

    def play(self, given: Body) -> Outcome:
        """Call the handler, and gather what it does."""
        routine = self.routine
        stateless = self._recipe.stateless
        ops: list[Op] = []
        clock = runtimes.current().monotonic_ns
        began = clock()
        error: BaseException | None = None
        try:
            restore_state(routine, given.state)
            before = dict(vars(routine)) if stateless else None
            call = self._calls.get(given.names)
            if call is None:
                call = self._calls[given.names] = self._binding.plan(given.names)
            began = clock()
            context.enter(self._item(given, ops))
            try:
                self._run(call, given.values)
            finally:
                context.leave()
        except BaseException as raised:  # noqa: BLE001 - the error strategy decides, in the driver
            error = raised
        spent = clock() - began
        if before is not None and error is None:
            error = self._changed(before, given.ids)
        state = None if stateless else state_of(routine)
        if state is None and given.state is not None and not stateless:
            state = (None, {})
        return Outcome(state, ops, spent, error)

    def _run(self, call: Call, values: tuple[Any, ...]) -> None:
        result = call(*values)
        if self._binding.is_async:
            import asyncio  # noqa: PLC0415 - only for handlers that need it

            asyncio.run(_awaited(result))

    def _changed(self, before: dict[str, Any], ids: Ids) -> BaseException | None:
        after = vars(self.routine)
        names = sorted(
            name for name in before.keys() | after.keys() if before.get(name, before) is not after.get(name, after)
        )
        if not names:
            return None
        return NotHereError(
            f"a handler of routine {ids.routine_id!r} has changed {', '.join(repr(name) for name in names)}, but "
            f"{self._recipe.cls.__qualname__} says stateless = True, so that nothing would come of it; "
            "emit it, or let the class keep its state (stateless = False)"
        )

    def _item(self, given: Body, ops: list[Op]) -> Item:
        """An activation as far as `Routine` looks at one."""
        ids = given.ids
        node = SimpleNamespace(
            routine=self.routine, routine_id=ids.routine_id, outgoing=self._outgoing, route=self._route
        )
        target = SimpleNamespace(node=node, slot=SimpleNamespace(name=self._recipe.slot))
        delivery = SimpleNamespace(routine_id=ids.routine_id, target=target)
        account = _Account(ids, ops)
        return cast("Item", (ids.number, 0, account, delivery, given.values, ids.attempt))

    def _route(self, event: str, _routes: Any) -> _Keys:
        keys = self._outgoing[event] = _Keys(event)
        return keys


class _Keys(dict[tuple[str, ...], tuple[str, tuple[str, ...]]]):
    """What an emit looks up: here, the event's name and its keys."""

    def __init__(self, event: str) -> None:
        self._event = event

    def __missing__(self, keys: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        return self._event, keys


async def _awaited(result: Any) -> None:
    await result


class _Account:
    """The books of a job, as far as a worker has them: what is to be entered there."""

    enclosing = None

    def __init__(self, ids: Ids, ops: list[Op]) -> None:
        self._ids = ids
        self._ops = ops
        self.engine = self
        self.job = _Job(ids, ops)
        self.flow = _Elsewhere(f"flow {ids.flow_id!r}", ids, flow_id=ids.flow_id)

    def emit(self, _account: object, outlet: tuple[str, tuple[str, ...]], values: tuple[Any, ...]) -> None:
        """Note an emit."""
        event, keys = outlet
        self._ops.append(("emit", (event, keys, values)))

    def node_of(self, _routine: Routine) -> None:
        """Of the flow's other routines nothing is known here."""

    def retries_by(self, _handler: object) -> int:
        """Retries made of this activation."""
        return self._ids.attempt - 1


class _Elsewhere:
    """Something that has stayed in the driver: asking it for anything says so."""

    def __init__(self, what: str, ids: Ids, **known: Any) -> None:
        vars(self).update(known)
        self._what = what
        self._routine_id = ids.routine_id

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotHereError(
            f"{name!r} of {self._what} is in the process of the flow, not in the worker that runs routine "
            f"{self._routine_id!r}; pass on with the event what the handler needs, or let the routine run in the "
            "driver (runs_in_driver = True)"
        )


class _Job(_Elsewhere):
    """A job, as far as a handler can be part of it from afar: it may report, and not look."""

    WRITES = (
        "send_output",
        "add_deferred_event",
        "update_shared_data",
        "append_to_shared_log",
        "update_routine_state",
        "record_execution",
    )

    def __init__(self, ids: Ids, ops: list[Op]) -> None:
        def note(method: str, *args: Any, **named: Any) -> None:
            ops.append((method, (args, named)))

        writes = {method: partial(note, method) for method in self.WRITES}
        super().__init__(f"job {ids.job_id!r}", ids, job_id=ids.job_id, flow_id=ids.flow_id, **writes)


def _packed(outcome: Outcome, ids: Ids, routine: Routine, by_value: bool) -> bytes:
    """Pack an outcome; if that cannot be, one that says why."""
    if outcome.error is not None:
        outcome = outcome._replace(error=_travelling(outcome.error, routine, by_value))
    try:
        return pack(tuple(outcome), routine, by_value=by_value)
    except Exception as error:  # noqa: BLE001 - whatever it is, the driver is to hear of it
        place = f"routine {ids.routine_id!r}"
        parts = [*parts_of_state(outcome.state, place)]
        for kind, args in outcome.ops:
            if kind == "emit":
                parts += parts_of(args[1], args[2], f"{place}, event {args[0]!r}")
            else:
                parts.append((f"{place}, {kind}()", args))
        reason = blame(parts, routine, error, by_value=by_value)
        return pack(tuple(Outcome(None, [], outcome.spent_ns, reason)), routine, by_value=by_value)


def _travelling(error: BaseException, routine: Routine, by_value: bool) -> BaseException:
    """The exception, with its traceback in words; what is known of it, if it cannot be sent."""
    import traceback  # noqa: PLC0415 - only when a handler has failed

    from routilux.exceptions import RestoredError  # noqa: PLC0415 - likewise

    text = "".join(traceback.format_exception(error))
    try:
        # Read back, too: a class of which one instance makes no other is found out here.
        unpack(pack(error, routine, by_value=by_value), routine)
    except Exception:  # noqa: BLE001 - any exception class may be anybody's
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - likewise
            message = "(no message: its __str__ failed)"
        error = RestoredError(type(error).__qualname__, message, text)
    error.add_note(f"in a worker:\n{text}")
    return error
