"""What a worker does with an activation: a pure function from what was sent to its outcome.

Knows parcels and handlers; knows neither flows nor jobs, which are in another process. What a handler does to its job
is written down, and entered there when the handler has ended. What it would have to read from there is refused.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from operator import is_
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from routilux import runtime as runtimes
from routilux.engine import context
from routilux.engine.binding import Call, bind
from routilux.exceptions import CannotTravelError, NotHereError
from routilux.remote.parcel import (
    CONFIG,
    Body,
    Op,
    Outcome,
    Recipe,
    blame,
    link,
    pack,
    pack_outcome,
    parts_of,
    parts_of_state,
    restore_state,
    state_of,
    unpack,
)
from routilux.routine import Routine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routilux.abc import Runtime
    from routilux.engine.activation import Item

__all__ = ["perform"]

UNMADE = (
    "a worker imports it by its name: define it where an import finds it, at the top level of a module and not under "
    'if __name__ == "__main__", or send its code along (by_value=True, with cloudpickle)'
)

KEPT = 256
"""Recipes that a worker remembers."""


class _Stages(dict[bytes, "deque[_Stage]"]):
    """By recipe, the routines made after it that nobody uses just now; those of one world, as they may hold its locks.

    Threads share it: a worker of some executors is one.
    """

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.runtime = None if runtime is None else ref(runtime)

    def take(self, recipe: bytes) -> _Stage:
        """One to run a handler of."""
        free = self.get(recipe)
        try:
            return free.pop() if free else _Stage(recipe)
        except IndexError:  # another thread has taken the last one
            return _Stage(recipe)

    def put_back(self, recipe: bytes, stage: _Stage) -> None:
        """It has done its part."""
        free = self.get(recipe)
        if free is None:
            free = self.setdefault(recipe, deque())
            while len(self) > KEPT:
                # Several threads may be at it: some of them find nothing left to forget.
                self.pop(next(iter(self)), None)
        free.append(stage)


_stages = _Stages()


def _stages_here() -> _Stages:
    global _stages  # noqa: PLW0603 - a process has one world at a time, and a simulated one is new each time
    runtime = runtimes.current()
    if _stages.runtime is None or _stages.runtime() is not runtime:
        _stages = _Stages(runtime)
    return _stages


def perform(calls: Sequence[tuple[bytes, bytes]], by_value: bool = False) -> list[bytes]:
    """Run activations one after the other, and return their outcomes.

    Raises nothing: a handler's exception is an outcome.

    Args:
        calls: A `Recipe` and a `Body` for each, packed.
        by_value: How to pack outcomes; see `routilux.remote.parcel.pack`.

    Returns:
        An `Outcome` for each, packed.
    """
    return [_perform(recipe, body, by_value) for recipe, body in calls]


def _perform(recipe: bytes, body: bytes, by_value: bool) -> bytes:
    try:
        return _played(recipe, body, by_value)
    except Exception as error:  # noqa: BLE001 - the others that have travelled along are not to suffer
        return _refusal(CannotTravelError("what a handler has done", f"a worker cannot say it: {_said(error)}"))


def _played(recipe: bytes, body: bytes, by_value: bool) -> bytes:
    stages = _stages_here()
    try:
        stage = stages.take(recipe)
    except BaseException as error:  # noqa: BLE001 - whatever keeps a class from being imported here
        problem = f"it cannot be made there: {_said(error)}"
        return _refusal(CannotTravelError("what a worker is to run", problem, UNMADE))
    try:
        given = Body(*unpack(body, stage.routine))
    except BaseException as error:  # noqa: BLE001 - likewise
        return _refusal(CannotTravelError("what a handler is given", f"a worker cannot read it: {_said(error)}"))
    packed = _packed(stage.play(given), stage, by_value)
    stages.put_back(recipe, stage)
    return packed


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {_message_of(error)}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - an exception's class may be anybody's
        return "(no message: its __str__ failed)"


def _refusal(error: BaseException) -> bytes:
    return pack(tuple(Outcome(None, [], 0, error)), Routine())


class _Stage:
    """One routine in a worker, for one activation at a time: threads of one process may run several."""

    def __init__(self, packed: bytes) -> None:
        self.recipe = recipe = Recipe(*unpack(packed, Routine()))
        self.routine = routine = recipe.cls.__new__(recipe.cls)
        Routine.__init__(routine)
        # Once more, now that there is a routine for its own methods to be bound to.
        handler = Recipe(*unpack(packed, routine)).handler
        for event in recipe.events:
            routine.define_event(event)
        self._binding = bind(getattr(routine, handler) if isinstance(handler, str) else handler)
        routine.define_slot(recipe.slot)
        link(routine, recipe.links)
        self._calls: dict[tuple[str, ...], Call] = {}
        self._outgoing = {event: _Keys(event) for event in recipe.events}
        node = SimpleNamespace(
            routine=routine, routine_id=recipe.routine_id, outgoing=self._outgoing, route=self._route
        )
        target = SimpleNamespace(node=node, slot=SimpleNamespace(name=recipe.slot))
        self._delivery = SimpleNamespace(routine_id=recipe.routine_id, target=target)
        self._bare = dict(vars(routine))

    def _route(self, event: str, _routes: Any) -> _Keys:
        keys = self._outgoing[event] = _Keys(event)
        return keys

    def play(self, given: Body) -> Outcome:
        """Call the handler, and gather what it does."""
        routine, stateless = self.routine, self.recipe.stateless
        account = _Account(self.recipe, given)
        clock = runtimes.current().monotonic_ns
        began = clock()
        before = self._bare
        error: BaseException | None = None
        try:
            # Its configuration may have been changed in place.
            if given.state is not None or before[CONFIG] or not _same(vars(routine), before):
                before[CONFIG].clear()
                restore_state(routine, given.state)
                before = dict(vars(routine))
        except BaseException as raised:  # noqa: BLE001 - a class's own __setstate__; there is no state to take home
            return Outcome(None, [], clock() - began, raised)
        try:
            call = self._calls.get(given.names)
            if call is None:
                call = self._calls[given.names] = self._binding.plan(given.names)
            # An `Item`, as far as `Routine` looks at one.
            context.enter(cast("Item", (given.number, 0, account, self._delivery, given.values, given.attempt)))
            began = clock()
            try:
                self._run(call, given.values)
            finally:
                context.leave()
        except BaseException as raised:  # noqa: BLE001 - the error strategy decides, in the driver
            error = raised
        spent = clock() - began
        if stateless:
            if error is None and not _same(vars(routine), before):
                error = self._changed(before)
            return Outcome(None, account.ops, spent, error)
        try:
            state = state_of(routine)
        except BaseException as raised:  # noqa: BLE001 - a class's own __getstate__
            return Outcome(None, [], spent, error or raised)
        if state is None and given.state is not None:
            state = (None, {})
        return Outcome(state, account.ops, spent, error)

    def _run(self, call: Call, values: tuple[Any, ...]) -> None:
        result = call(*values)
        if self._binding.is_async:
            runtimes.run_to_its_end(result)

    def _changed(self, before: dict[str, Any]) -> BaseException:
        after = vars(self.routine)
        names = sorted(
            name for name in before.keys() | after.keys() if before.get(name, before) is not after.get(name, after)
        )
        return NotHereError(
            f"a handler of routine {self.recipe.routine_id!r} has changed {', '.join(map(repr, names))}, but "
            f"{self.recipe.cls.__qualname__} says stateless = True, so that nothing would come of it; "
            "emit it, or let the class keep its state (stateless = False)"
        )


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the same objects are under the same names, in the same order."""
    return len(one) == len(other) and all(map(is_, one.values(), other.values())) and one.keys() == other.keys()


class _Keys(dict[tuple[str, ...], tuple[str, tuple[str, ...]]]):
    """What an emit looks up: here, the event's name and its keys."""

    def __init__(self, event: str) -> None:
        self._event = event

    def __missing__(self, keys: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        return self._event, keys


class _Account:
    """The books of a job, as far as a worker has them: what is to be entered there."""

    enclosing = None

    def __init__(self, recipe: Recipe, given: Body) -> None:
        self._recipe = recipe
        self._given = given
        self.ops: list[Op] = []

    @property
    def engine(self) -> _Account:
        """What takes emits."""
        return self

    @property
    def job(self) -> _Job:
        """The job."""
        return _Job(self._recipe, self._given.job_id, self.ops)

    @property
    def flow(self) -> _Elsewhere:
        """The flow."""
        flow_id = self._recipe.flow_id
        # `Routine.emit` may be told for which flow; here it is this one, or it is elsewhere.
        return _Elsewhere(f"flow {flow_id!r}", self._recipe.routine_id, flow_id=flow_id, is_run_by=self._is_engine)

    def _is_engine(self, engine: object) -> bool:
        return engine is self

    def emit(self, _account: object, outlet: tuple[str, tuple[str, ...]], values: tuple[Any, ...]) -> None:
        """Note an emit."""
        self.ops.append(("emit", (*outlet, values)))

    def node_of(self, _routine: Routine) -> None:
        """Of the flow's other routines nothing is known here."""

    def retries_by(self, _handler: object) -> int:
        """Retries made of this activation."""
        return self._given.attempt - 1


class _Elsewhere:
    """Something that has stayed in the driver: asking it for anything says so."""

    def __init__(self, what: str, routine_id: str, **known: Any) -> None:
        vars(self).update(known)
        self._what = what
        self._routine_id = routine_id

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

    def __init__(self, recipe: Recipe, job_id: str, ops: list[Op]) -> None:
        def note(method: str, *args: Any, **named: Any) -> None:
            ops.append((method, (args, named)))

        writes = {method: partial(note, method) for method in self.WRITES}
        super().__init__(f"job {job_id!r}", recipe.routine_id, job_id=job_id, flow_id=recipe.flow_id, **writes)


def _packed(outcome: Outcome, stage: _Stage, by_value: bool) -> bytes:
    """Pack an outcome; if that cannot be, one that says why."""
    routine = stage.routine
    if outcome.error is not None:
        outcome = outcome._replace(error=_travelling(outcome.error, routine, by_value))
    try:
        return pack_outcome(outcome, routine, by_value=by_value)
    except Exception as error:  # noqa: BLE001 - whatever it is, the driver is to hear of it
        place = f"routine {stage.recipe.routine_id!r}"
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
        error = RestoredError(type(error).__qualname__, _message_of(error), text)
    with suppress(Exception):  # some allow no attribute to be set
        error.add_note(f"in a worker:\n{text}")
    return error
