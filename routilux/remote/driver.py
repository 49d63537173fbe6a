"""The driver's side of activations that run elsewhere: sent when it is their turn, entered when they have ended.

Knows the engine, parcels and whoever submits them; knows no executor. An outcome is entered by one thread, in one step
for everybody who looks at the job: the routine's new state, what was emitted and sent, then the end. Whoever takes an
activation off the table of those under way enters it, so that an outcome that comes twice, or after its activation was
given up, is entered once or not at all.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from routilux.engine import context, dispatch
from routilux.engine.accounting import CLOSED
from routilux.engine.activation import EPOCH
from routilux.exceptions import CannotTravelError, WorkerLostError
from routilux.remote.lane import Lane, Load
from routilux.remote.parcel import (
    Body,
    Links,
    Outcome,
    blame,
    links_of,
    pack_body,
    pack_recipe,
    parts_of,
    parts_of_state,
    restore_state,
    state_of,
    travels,
    unpack,
)
from routilux.remote.worker import perform
from routilux.schedulers.thread_pool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from routilux.abc import FutureLike, Sender, Workers
    from routilux.engine.accounting import JobAccount
    from routilux.engine.activation import Item
    from routilux.engine.dispatch import Dispatcher
    from routilux.engine.routing import Node, Target

__all__ = ["Remote", "activation_id"]


TOGETHER = 16
"""Activations that travel together at most."""

SHARE = 4
"""Of what may be under way, so large a part may travel together: other workers are to have something to do, too."""


_attending: ContextVar[list[Any] | None] = ContextVar("routilux_attending", default=None)
"""In the thread that sends and enters for a `Remote`: a list with that in it; an empty one once it has done so, for
whatever has got a copy of the thread's context meanwhile."""


class _Cargo(NamedTuple):
    """An activation that is about to be sent."""

    item: Item
    taken_ns: int
    recipe: bytes
    body: bytes


class _Flight(NamedTuple):
    """One that was sent."""

    future: FutureLike
    sent_ns: int


class _Known:
    """What is known of a slot: its recipe and what that was made from, and how long its handler takes."""

    __slots__ = ("bound", "events", "links", "pace_ns", "recipe")

    def __init__(self, bound: object, links: Links, events: tuple[str, ...], recipe: bytes) -> None:
        self.bound = bound
        self.links = links
        self.events = events
        self.recipe = recipe
        self.pace_ns: float | None = None

    def took(self, spent_ns: int) -> None:
        """One more has taken so long; older ones count less and less."""
        self.pace_ns = spent_ns if self.pace_ns is None else 0.8 * self.pace_ns + 0.2 * spent_ns

    def is_brief(self, journey_ns: float) -> bool:
        """Whether it is worth while not to travel alone."""
        return self.pace_ns is not None and self.pace_ns < journey_ns


class Remote:
    """Runs activations of one engine through a sender.

    Args:
        engine: Whose.
        sender: Submits them.
        sent: Called when the first has been submitted, so that there is an executor.

    Attributes:
        lane: What is to be sent.
        clerk: A thread that sends and enters when no other one does.
        heard: Somebody listens to jobs of this flow, in the thread that enters: that had better be the flow's own.
    """

    def __init__(self, engine: Dispatcher, sender: Sender, sent: Callable[[], object]) -> None:
        self._engine = engine
        self._sender = sender
        self._first_sent: Callable[[], object] | None = sent
        self._by_value = sender.by_value
        self._journey_ns = sender.journey * 1e9
        self.clerk = ThreadPool(engine.runtime, _attend, f"{engine.name}-clerk", 1)
        self.lane = Lane(engine.runtime, self._admits, self._send, _key, self._call_clerk)
        self._here: Workers
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._known: dict[Target, _Known] = {}
        self._arrivals: deque[tuple[tuple[Item, ...], FutureLike]] = deque()
        # Held by whoever enters outcomes; never waited for, only tried.
        self._desk = engine.runtime.lock()
        self.heard = False

    def beside(self, here: Workers) -> Workers:
        """The lane; what does not travel is run by ``here``."""
        self._here = here
        return self.lane

    def is_attending(self) -> bool:
        """Whether the caller runs in a thread that is sending and entering, which must not wait for an outcome."""
        at = _attending.get()
        return bool(at) and at[0] is self  # type: ignore[index] # not None if it is true

    def cancel(self, account: JobAccount) -> None:
        """Take back what is under way of a job that was closed from outside, as far as no worker has begun it."""
        mine = id(account)
        # Copied in one step of the interpreter's: others send meanwhile.
        for (whose, _), flight in self._flights.copy().items():
            if whose == mine:
                _take_back(flight.future)

    # Out

    def _call_clerk(self) -> None:
        self.clerk.submit((cast("Any", self),))

    def attend(self) -> None:
        """What the clerk does when called."""
        load: Load = []
        before, here = _attending.get(), [self]
        _attending.set(here)
        try:
            self._enter_all(load)
            self.lane.pump(load)
        finally:
            self._dispatch(load)
            here.clear()
            _attending.set(before)

    def _admits(self, item: Item) -> bool:
        """Whether an activation is to be sent now; one that does not travel goes to the threads here."""
        delivery = item[3]
        target = delivery.target
        if not travels(target.node.routine, target.slot):
            try:
                self._here.submit((item,))
            except RuntimeError:
                # No thread to be had: CPython 3.12 starts none once the interpreter is ending.
                dispatch.run(item)
                context.leave()
            return False
        return delivery.plain or self._engine.admit(item)

    def _send(self, item: Item, load: Load) -> bool:
        """Take an activation off the queue on its job's books, and load it; False when it is not under way."""
        ticket, _, account, delivery, _, _ = item
        engine, point = self._engine, self._engine.point
        if point is not None:
            point("start")
        account.running[ticket] = item
        if point is not None:
            point("take off")
        if account.queued.pop(ticket, None) is None:
            engine.missed(item)
            return False
        account.job.current_routine_id = delivery.routine_id
        around = context.current()
        context.enter(item)
        try:
            return self._load(item, load)
        except BaseException as error:  # noqa: BLE001 - others wait for this thread
            self._give_up(item, error)
            return False
        finally:
            if around is None:
                context.leave()
            else:
                context.enter(around)

    def _load(self, item: Item, load: Load) -> bool:
        engine, account = self._engine, item[2]
        taken = engine.clock()
        try:
            if account.watched:
                engine.tell_start(item)
            if item[3].merges:
                item = engine.merged(item)
                context.enter(item)
            if engine.runtime.faults is not None:
                dispatch.meddle(engine.runtime.faults, item)
            known = self._look_up(item[3].target)
            cargo = _Cargo(item, taken, known.recipe, self._body(item))
        except BaseException as error:  # noqa: BLE001 - as a handler's own
            engine.fail(item, error, taken)
            return False
        # What is tried again travels alone: should it be what kills its worker, it takes no other along.
        alone = item[5] > 1 or not known.is_brief(self._journey_ns)
        most = min(TOGETHER, self.lane.limit // SHARE)
        if load and (alone or len(load) >= most or load[0].item[2] is not account):
            self._dispatch(load)
        load.append(cargo)
        if alone:
            self._dispatch(load)
        return True

    def _body(self, item: Item) -> bytes:
        ticket, _, account, delivery, values, attempt = item
        node = delivery.target.node
        routine, data = node.routine, delivery.data(values)
        body = Body(account.job.job_id, ticket % EPOCH, attempt, state_of(routine), tuple(data), tuple(data.values()))
        try:
            return pack_body(body, routine, by_value=self._by_value)
        except Exception as error:
            place = f"routine {node.routine_id!r}"
            parts = [*parts_of_state(body.state, place), *parts_of(body.names, body.values, f"{place}, given")]
            raise blame(parts, routine, error, by_value=self._by_value) from error

    def _dispatch(self, load: Load) -> None:
        """Send a load: activations of one job, which travel together."""
        if not load:
            return
        cargo: tuple[_Cargo, ...] = tuple(load)
        load.clear()
        items = tuple(each.item for each in cargo)
        calls = tuple((each.recipe, each.body) for each in cargo)
        try:
            future = self._sender.submit(perform, calls, self._by_value)
        except BaseException as error:  # noqa: BLE001 - whatever an executor says
            future = _Refused(error)
        else:
            if self._first_sent is not None:
                sent, self._first_sent = self._first_sent, None
                sent()
        for each in cargo:
            self._flights[_name(each.item)] = _Flight(future, each.taken_ns)
        account = items[0][2]
        if account.gate == CLOSED and account.revoked:
            # Closed before it was on the table, where `cancel` looks.
            _take_back(future)
        future.add_done_callback(partial(self._arrived, items))

    def _look_up(self, target: Target) -> _Known:
        """What is known of a slot; found out anew when its routine was given something else."""
        routine = target.node.routine
        bound, links, events = target.slot.bound, links_of(routine), tuple(routine.events)
        known = self._known.get(target)
        if known is None or (known.bound, known.links, known.events) != (bound, links, events):
            node = target.node
            recipe = pack_recipe(self._engine.name, node.routine_id, routine, target.slot, by_value=self._by_value)
            known = self._known[target] = _Known(bound, links, events, recipe)
        return known

    # Back

    def _arrived(self, items: tuple[Item, ...], future: FutureLike) -> None:
        """A future is done; called in any thread, often one of the executor's.

        Its outcomes are entered here and now where the executor can bear that, which saves waking another thread. Not
        so when a worker was lost: ``ProcessPoolExecutor`` says so with a lock in hand that submitting takes. Nor when
        there are listeners, which may take their time: other flows wait for the same thread.
        """
        if _name(items[0]) not in self._flights:
            return  # entered before, or somebody is at it
        if items[0][2].job._output_handler is not None:  # noqa: SLF001 - asked for each load
            self.heard = True
        self._arrivals.append((items, future))
        self.lane.come()
        direct = self._sender.direct and not self.heard and not self.is_attending()
        if direct and not future.cancelled() and future.exception() is None:
            self.attend()
        else:
            self._call_clerk()

    def _enter_all(self, load: Load) -> None:
        """Enter what has arrived, unless somebody is at it, who will find it.

        No arrival is left: whoever appends tries the lock after that, and whoever has had it looks once more after
        giving it back.
        """
        while self._arrivals and self._desk.acquire(blocking=False):
            try:
                while self._arrivals:
                    self._enter_load(*self._arrivals.popleft(), load)
            finally:
                self._desk.release()

    def _enter_load(self, items: tuple[Item, ...], future: FutureLike, load: Load) -> None:
        try:
            replies = future.result()
        except BaseException as error:  # noqa: BLE001 - whatever an executor says of a worker
            replies = [error] * len(items)
        for item, reply in zip(items, replies, strict=True):
            flight = self._flights.pop(_name(item), None)
            if flight is None:
                continue  # entered before
            context.enter(item)
            try:
                self._enter(item, reply, flight.sent_ns)
            except BaseException as error:  # noqa: BLE001 - others have arrived, too
                self._give_up(item, error)
            context.leave()
            self.lane.leave(item, load)

    def _give_up(self, item: Item, error: BaseException) -> None:
        """End a job as something could not be entered for it: an instrument raised KeyboardInterrupt."""
        account, delivery = item[2], item[3]
        with suppress(BaseException):  # it is the same that raises again, and the job has it
            if account.running.pop(item[0], None) is not None and not delivery.plain:
                self._engine.end_turn(delivery.target)
            self._engine.abandon(account, error)

    def _enter(self, item: Item, reply: bytes | BaseException, sent_ns: int) -> None:
        """Enter one outcome in the books."""
        engine, target = self._engine, item[3].target
        if isinstance(reply, BaseException):
            self._enter_loss(item, reply, sent_ns)
            return
        try:
            outcome = Outcome(*unpack(reply, target.node.routine))
        except Exception as problem:  # noqa: BLE001 - an object's own way of being unpickled may raise anything
            what = f"what routine {target.node.routine_id!r} made"
            wrong = CannotTravelError(what, f"it cannot be read in the driver: {type(problem).__name__}: {problem}")
            engine.fail(item, wrong, sent_ns)
            return
        self._known[target].took(outcome.spent_ns)
        began = engine.clock() - outcome.spent_ns
        error = self._apply(item, outcome) or outcome.error
        if error is None:
            engine.settle(item, "completed", None, began)
        else:
            engine.fail(item, error, began)

    def _enter_loss(self, item: Item, cause: BaseException, sent_ns: int) -> None:
        engine = self._engine
        if isinstance(cause, CancelledError) and item[2].revoked:
            engine.settle(item, "cancelled", None, engine.clock())
            return
        if isinstance(cause, _NotSentError):
            engine.fail(item, cause.why, sent_ns)
            return
        lost = WorkerLostError(activation_id(item), item[3].routine_id, f"{type(cause).__name__}: {cause}")
        lost.__cause__ = cause
        engine.fail(item, lost, sent_ns)

    def _apply(self, item: Item, outcome: Outcome) -> BaseException | None:
        """Do in the driver what the handler did from afar; return what went wrong with that."""
        try:
            self._do(item[2], item[3].target.node, outcome)
        except BaseException as error:  # noqa: BLE001 - the handler itself would have met with it
            return error
        return None

    def _do(self, account: JobAccount, node: Node, outcome: Outcome) -> None:
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


def _take_back(future: FutureLike) -> None:
    with suppress(Exception):  # it is a wish: an executor that cannot even be asked lets the activation run
        future.cancel()


class _NotSentError(Exception):
    """The executor did not take it."""

    def __init__(self, why: BaseException) -> None:
        super().__init__(why)
        self.why = why


class _Refused:
    """The future of what an executor did not take: done, and failed."""

    def __init__(self, error: BaseException) -> None:
        self._error = _NotSentError(error)

    def result(self) -> Any:
        raise self._error

    def exception(self) -> BaseException | None:
        return self._error

    def cancelled(self) -> bool:
        return False

    def cancel(self) -> bool:
        return False

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        callback(self)


def activation_id(item: Item) -> str:
    """The id of an activation, the same for all its attempts; as `Routine.get_activation_id` says it."""
    return f"{item[2].job.job_id}/{item[0] % EPOCH}"


def _key(item: Item) -> Hashable | None:
    """What activations take turns by: the routine, if it has state."""
    node = item[3].target.node
    return None if type(node.routine).stateless else node


def _name(item: Item) -> tuple[int, int]:
    return id(item[2]), item[0]


def _attend(remote: Any) -> None:
    """What the clerk's thread does: a function, so that it keeps no engine alive while it is idle."""
    cast("Remote", remote).attend()
