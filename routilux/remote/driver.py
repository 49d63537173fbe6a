"""The driver's side of activations that run elsewhere: sent when it is their turn, entered when they have ended.

Knows the engine, parcels and whoever submits them; knows no executor. An outcome is entered by one thread, in one step
for everybody who looks at the job: the routine's new state, what was emitted and sent, then the end. Whoever takes an
activation off the table of those under way enters it, so that an outcome that comes twice, or after its activation was
given up, is entered once or not at all.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from routilux.engine import context, dispatch
from routilux.engine.accounting import CLOSED
from routilux.engine.activation import EPOCH
from routilux.exceptions import CannotTravelError, WorkerLostError
from routilux.remote.admission import Admission
from routilux.remote.parcel import (
    Body,
    Ids,
    Links,
    Outcome,
    Recipe,
    blame,
    links_of,
    pack,
    parts_of,
    parts_of_state,
    restore_state,
    state_of,
    unpack,
)
from routilux.remote.worker import perform
from routilux.schedulers.thread_pool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Hashable

    from routilux.abc import FutureLike, Sender
    from routilux.engine.accounting import JobAccount
    from routilux.engine.activation import Item
    from routilux.engine.dispatch import Dispatcher
    from routilux.engine.routing import Delivery, Target
    from routilux.routine import Routine

__all__ = ["Remote", "run"]


class _Flight(NamedTuple):
    """An activation that was sent."""

    item: Item
    future: FutureLike
    sent_ns: int


class _Known(NamedTuple):
    """A recipe, and what it was made from."""

    bound: object
    links: Links
    events: tuple[str, ...]
    recipe: bytes


class Remote:
    """Runs activations of one engine through a sender.

    Args:
        engine: Whose.
        sender: Submits them.
    """

    def __init__(self, engine: Dispatcher, sender: Sender) -> None:
        self._engine = engine
        self._sender = sender
        self._by_value = sender.by_value
        self._admission = Admission(engine.runtime.lock(), 1)
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._recipes: dict[Target, _Known] = {}
        self._entering: Item | None = None
        self.clerk = ThreadPool(
            engine.runtime, cast("Any", _enter), f"{engine.name}-clerk", 1, leave=context.leave
        )

    def resize(self, limit: int) -> None:
        """Have at most ``limit`` activations under way from now on; what runs goes on."""
        for item in self._admission.resize(limit):
            self._let_come(item)

    def is_entering(self) -> bool:
        """Whether the caller runs in the thread that enters outcomes, which must not wait for one."""
        item = context.current()
        return item is not None and item is self._entering

    def cancel(self, account: JobAccount) -> None:
        """Take back what is under way of a job that was closed from outside, as far as no worker has begun it."""
        for flight in list(self._flights.values()):
            if flight.item[2] is account:
                flight.future.cancel()

    # Out

    def admits(self, item: Item) -> bool:
        """Whether it is the activation's turn to be sent; if not, it comes by again when it is."""
        if self._admission.passes(item):
            return True
        delivery = item[3]
        return (delivery.plain or self._engine.admit(item)) and self._admission.admit(item, _key(delivery))

    def missed(self, item: Item) -> None:
        """Somebody else has taken the activation; its turn is over."""
        self._engine.missed(item)
        self._leave(item)

    def send(self, item: Item) -> None:
        """Send an activation that is on the books as running."""
        engine = self._engine
        began = engine.clock()
        try:
            if item[3].merges:
                item = engine.merged(item)
                context.enter(item)
            if engine.runtime.faults is not None:
                dispatch.meddle(engine.runtime.faults, item)
            future = self._submit(item)
        except BaseException as error:  # noqa: BLE001 - as a handler's own
            self._end(item, lambda: engine.fail(item, error, began))
            return
        self._flights[_name(item)] = _Flight(item, future, engine.clock())
        account = item[2]
        if account.gate == CLOSED and account.revoked:
            # Closed before it was on the table, where `cancel` looks.
            future.cancel()
        future.add_done_callback(partial(_arrived, item))

    def _submit(self, item: Item) -> FutureLike:
        ticket, _, account, delivery, values, attempt = item
        node = delivery.target.node
        routine, data = node.routine, delivery.data(values)
        job = account.job
        ids = Ids(job.flow_id, job.job_id, node.routine_id, ticket % EPOCH, attempt)
        recipe = self._recipe(delivery.target)
        body = Body(state_of(routine), tuple(data), tuple(data.values()), ids)
        try:
            packed = pack(tuple(body), routine, by_value=self._by_value)
        except Exception as error:
            place = f"routine {node.routine_id!r}"
            parts = [*parts_of_state(body.state, place), *parts_of(body.names, body.values, f"{place}, given")]
            raise blame(parts, routine, error, by_value=self._by_value) from error
        return self._sender.submit(perform, recipe, packed, self._by_value)

    def _recipe(self, target: Target) -> bytes:
        """What stays the same for a slot's activations; made again when its routine was given something else."""
        routine = target.node.routine
        links, events = links_of(routine), tuple(routine.events)
        known = self._recipes.get(target)
        if known is None or (known.bound, known.links, known.events) != (target.slot.bound, links, events):
            packed = pack_recipe(target, links, events, by_value=self._by_value)
            known = self._recipes[target] = _Known(target.slot.bound, links, events, packed)
        return known.recipe

    # Back

    def arrived(self, item: Item, future: FutureLike) -> None:
        """A future is done: let the clerk enter its outcome. Called in any thread, of an executor's too."""
        self.clerk.submit((cast("Any", (item, future)),))

    def enter(self, item: Item, future: FutureLike) -> None:
        """Enter an outcome in the books, unless that was done."""
        flight = self._flights.pop(_name(item), None)
        if flight is None:
            return
        self._entering = item
        context.enter(item)
        try:
            self._end(item, partial(self._settle, item, future, flight.sent_ns))
        finally:
            self._entering = None

    def _settle(self, item: Item, future: FutureLike, sent_ns: int) -> None:
        engine, account, node = self._engine, item[2], item[3].target.node
        try:
            reply = future.result()
        except BaseException as cause:  # noqa: BLE001 - whatever an executor says of a worker
            if isinstance(cause, CancelledError) and account.revoked:
                engine.settle(item, "cancelled", None, engine.clock())
                return
            lost = WorkerLostError(f"{account.job.job_id}/{item[0] % EPOCH}", node.routine_id, f"{type(cause).__name__}: {cause}")
            lost.__cause__ = cause
            engine.fail(item, lost, sent_ns)
            return
        try:
            outcome = Outcome(*unpack(reply, node.routine))
        except Exception as error:  # noqa: BLE001 - an object's own way of being unpickled may raise anything
            problem = f"it cannot be read in the driver: {type(error).__name__}: {error}"
            engine.fail(item, CannotTravelError(f"what routine {node.routine_id!r} made", problem), sent_ns)
            return
        began = engine.clock() - outcome.spent_ns
        error = outcome.error
        try:
            self._apply(item, outcome)
        except BaseException as raised:  # noqa: BLE001 - as if the handler had met with it
            error = error or raised
        if error is None:
            engine.settle(item, "completed", None, began)
        else:
            engine.fail(item, error, began)

    def _apply(self, item: Item, outcome: Outcome) -> None:
        """Do in the driver what the handler did from afar."""
        account, node = item[2], item[3].target.node
        if outcome.state is not None:
            restore_state(node.routine, outcome.state)
        for kind, args in outcome.ops:
            if kind == "emit":
                event, keys, values = args
                shapes = node.outgoing.get(event)
                if shapes is None:
                    shapes = node.route(event, ())
                self._engine.emit(account, shapes[keys], values)
            else:
                positional, named = args
                getattr(account.job, kind)(*positional, **named)

    def _end(self, item: Item, end: Any) -> None:
        try:
            end()
        finally:
            self._leave(item)

    def _leave(self, item: Item) -> None:
        """An activation is under way no longer: the next one is."""
        following = self._admission.leave(_key(item[3]))
        if following is not None:
            self._let_come(following)

    def _let_come(self, item: Item | None) -> None:
        """Let an activation come by whose turn it is, or the next one if it is not wanted any more."""
        while item is not None:
            account = item[2]
            with account.lock:
                if item[0] in account.queued:
                    account.lane.submit((item,))
                    return
            self._admission.withdraw(item)
            self._engine.end_turn(item[3].target)
            item = self._admission.leave(_key(item[3]))


def run(item: Item) -> None:
    """Send one activation, or run it in the calling thread if its routine is to run in the driver.

    In place of `routilux.engine.dispatch.run`; a function for the reason given there.
    """
    ticket, _, account, delivery, _, _ = item
    engine = account.engine
    remote = cast("Remote", engine.remote)
    if not travels(delivery.target):
        dispatch.run(item)
        return
    if not remote.admits(item):
        return
    if engine.point is not None:
        engine.point("start")
    account.running[ticket] = item
    if engine.point is not None:
        engine.point("take off")
    if account.queued.pop(ticket, None) is None:
        remote.missed(item)
        return
    account.job.current_routine_id = delivery.routine_id
    context.enter(item)
    if account.watched:
        engine.tell_start(item)
    remote.send(item)


def travels(target: Target) -> bool:
    """Whether activations of a slot are sent: there is something to run, and it need not run in the driver."""
    return target.slot.handler is not None and not type(target.node.routine).runs_in_driver


def pack_recipe(target: Target, links: Links, events: tuple[str, ...], *, by_value: bool) -> bytes:
    """Pack what a worker needs to know of a slot.

    Raises:
        CannotTravelError: The class or the handler cannot be pickled.
    """
    routine, slot = target.node.routine, target.slot
    cls, handler = type(routine), slot.handler
    assert handler is not None  # noqa: S101 - what has none does not travel
    name = getattr(handler, "__name__", "")
    found: Any = name if _is_method(routine, handler, name) else handler
    recipe = Recipe(cls, slot.name, found, events, links, cls.stateless)
    try:
        return pack(tuple(recipe), routine, by_value=by_value)
    except Exception as error:
        place = f"routine {target.node.routine_id!r}"
        parts = [(f"{place}, class", cls), (f"{place}, slot {slot.name!r}, handler", found)]
        raise blame(parts, routine, error, by_value=by_value) from error


def _is_method(routine: Routine, handler: Any, name: str) -> bool:
    return getattr(handler, "__self__", None) is routine and getattr(routine, name, None) == handler


def _key(delivery: Delivery) -> Hashable | None:
    """What activations take turns by: the routine, if it has state."""
    node = delivery.target.node
    return None if type(node.routine).stateless else node


def _name(item: Item) -> tuple[int, int]:
    return id(item[2]), item[0]


def _arrived(item: Item, future: FutureLike) -> None:
    cast("Remote", item[2].engine.remote).arrived(item, future)


def _enter(arrival: Any) -> None:
    """What the clerk's thread does: a function, so that it keeps no engine alive while it is idle."""
    item, future = arrival
    cast("Remote", item[2].engine.remote).enter(item, future)
