"""What happens to an activation between an emit and its end: queued, run, retried, settled.

Knows the books of jobs, workers and timers; knows neither how jobs end (`routilux.engine.ending`), begin, pause or are
waited for (`routilux.engine.core`, `control`, `waiting`) nor what threads and time are made of. This is the path that
every activation takes: what few jobs need stands behind one flag, ``account.watched`` or ``delivery.plain``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from routilux.engine import context
from routilux.engine.accounting import CLOSED, HELD, OPEN, Delayed, JobAccount
from routilux.engine.activation import make_activation, renewed
from routilux.engine.ending import Endings
from routilux.engine.journal import BATCH
from routilux.engine.limits import Bound, Turnstile
from routilux.engine.merging import own_copy
from routilux.engine.policy import Action, Decision, decide
from routilux.exceptions import WorkerLostError

if TYPE_CHECKING:
    from routilux.abc import Faults, Runtime
    from routilux.engine.activation import Item
    from routilux.engine.routing import Delivery, Graph, Outlet, Target
    from routilux.error_handler import ErrorHandler
    from routilux.execution_tracker import ExecutionTracker
    from routilux.job_state import DeferredEvent
    from routilux.routine import Routine

__all__ = ["Dispatcher", "call_handler", "run", "words"]

enter = context.enter


class Dispatcher(Endings):
    """Moves the activations of one flow's jobs, in one world.

    Args:
        name: The flow's id, for thread names and messages.
        graph: The flow's routines and connections.
        runtime: The world that it lives in.
        tracker: Is told of jobs that end.
        bound: Limits what is queued, if anything does.

    Attributes:
        error_handler: The flow's own, for routines that have none.
    """

    def __init__(
        self, name: str, graph: Graph, runtime: Runtime, tracker: ExecutionTracker, bound: int | None = None
    ) -> None:
        super().__init__(name, runtime, tracker, None if bound is None else Bound(runtime, bound, name))
        self.graph = graph
        self.error_handler: ErrorHandler | None = None
        self._turnstiles: dict[Target, Turnstile] = {}

    # In

    def node_of(self, routine: Routine) -> Any:
        """The node of a routine, or None."""
        return self.graph.node_of(routine)

    def emit(
        self, account: JobAccount, outlet: Outlet, values: tuple[Any, ...], deferred: DeferredEvent | None = None
    ) -> None:
        """Queue one activation for each of the outlet's deliveries.

        Args:
            account: The job's.
            outlet: The event, with the keys that it comes with.
            values: In the order of those keys.
            deferred: The event, if it was deferred; it is queued however much there is.

        Raises:
            QueueFullError: It is more than the flow may have queued; nothing is queued then.
        """
        if account.watched:
            self._emit_watched(account, outlet, values, deferred)
            return
        first = (next(account.numbers), account.clock(), account, outlet.first, values, 1)
        account.write(first)
        if outlet.single:
            point = self.point
            if point is not None:
                point("emit")
            account.queued[first[0]] = first
            if point is not None:
                point("gate")
            if account.gate:
                self._turned_away(account, (first,))
                return
            lane = account.lane
            lane.put(first)
            if point is not None:
                point("wake")
            if lane.hungry:
                lane.summon()
            return
        self.enqueue(account, self._fan_out(outlet, first))

    def _fan_out(self, outlet: Outlet, first: Item) -> list[Item]:
        """One activation for each delivery; the first has the event's own number."""
        account = first[2]
        items = [first] if outlet.deliveries else []
        for each in outlet.deliveries[1:]:
            items.append((next(account.numbers), first[1], account, each, first[4], 1))
            next(account.journal.repeats)
        return items

    def _emit_watched(
        self, account: JobAccount, outlet: Outlet, values: tuple[Any, ...], deferred: DeferredEvent | None
    ) -> None:
        """`emit` for a job that somebody watches: room is made, it is recorded, instruments are told."""
        if self.runtime.faults is not None:
            self.runtime.faults.before_emit()
        count = len(outlet.deliveries)
        if self.bound is not None and count:
            (self.bound.reserve if deferred is None else self.bound.force)(count)
        first = (next(account.numbers), self.clock(), account, outlet.first, values, 1)
        items: Sequence[Item] = self._fan_out(outlet, first)
        ready = items
        if account.ledger is not None:
            try:
                if deferred is None:
                    ready = account.ledger.emitted(context.current(), items)
                else:
                    ready = account.ledger.undeferred(deferred, items)
            except BaseException:
                self.give_room(count)
                raise
        account.write(first)
        if account.hooks is not None:
            source, event = outlet.first.source, outlet.first.event
            account.hooks.call("emit", account.job, source, event, outlet.first.emitted(values), count)
            for item in items:
                account.hooks.call("activation_queue", make_activation(item))
        self.enqueue(account, ready)

    def enqueue(self, account: JobAccount, items: Sequence[Item]) -> None:
        """Put activations on the books, and before the workers unless the gate says otherwise."""
        point = self.point
        if point is not None:
            point("emit")
        queued = account.queued
        for item in items:
            queued[item[0]] = item
        self.offer(account, items)

    def offer(self, account: JobAccount, items: Sequence[Item]) -> None:
        """Let the workers have what has been put on the books, once, unless the gate says otherwise."""
        if self.point is not None:
            self.point("gate")
        if account.gate:
            self._turned_away(account, items)
        elif items:
            account.lane.submit(items)

    def _turned_away(self, account: JobAccount, items: Sequence[Item]) -> None:
        """The gate was not open: what is queued is held or dropped, whoever queued it."""
        with account.lock:
            # Whoever takes the last look lowers the gate for a moment: under the lock it says whether it stays so.
            gate = account.gate
            if gate == HELD:
                self.hold_locked(account)
            elif gate == OPEN:
                account.lane.submit(items)
        if gate == CLOSED:
            self.drop_queued(account)

    def hold_locked(self, account: JobAccount) -> None:
        """Put aside whatever is queued that no worker has taken."""
        if self.point is not None:
            self.point("hold")
        for item in account.take_queued_locked().values():
            again = renewed(item)
            account.held[again[0]] = again

    # Through

    def merged(self, item: Item) -> Item:
        """Merge what the activation brings with what its slot has gathered; it carries that from now on."""
        ticket, emitted_ns, account, delivery, values, attempt = item
        target, ledger = delivery.target, account.ledger

        def carrying(data: dict[str, Any]) -> Item:
            onward = target.delivery(tuple(data), merged=True)
            return (ticket, emitted_ns, account, onward, tuple(data.values()), attempt)

        def record(data: dict[str, Any]) -> None:
            if ledger is not None:
                ledger.merged(carrying(data), data)

        data = account.gathered(target).merge(
            target.slot.merge_strategy, delivery.data(values), None if ledger is None else record
        )
        account.running[ticket] = item = carrying(data)
        return item

    def admit(self, item: Item) -> bool:
        """Whether it is the activation's turn at its slot; if not, it comes by again when it is."""
        target = item[3].target
        return target.limit is None or self._turnstile(target).admit(item)

    def _turnstile(self, target: Target) -> Turnstile:
        found = self._turnstiles.get(target)
        if found is None:
            fresh = Turnstile(self.runtime.lock(), target.limit or 1)
            found = self._turnstiles.setdefault(target, fresh)
        return found

    def end_turn(self, target: Target) -> None:
        """Let the next activation have its turn at a slot."""
        if target.limit is None:
            return
        turnstile = self._turnstile(target)
        while (item := turnstile.hand_on()) is not None:
            account = item[2]
            with account.lock:
                if item[0] in account.queued:
                    account.lane.submit((item,))
                    return
            turnstile.withdraw(item)

    def missed(self, item: Item) -> None:
        """The activation was taken by somebody else: the worker that came for it leaves the books as they were."""
        account = item[2]
        account.running.pop(item[0], None)
        self.end_turn(item[3].target)
        self.after_end(account)

    def tell_start(self, item: Item) -> None:
        """Let those know who want to: the activation is not queued any more."""
        account = item[2]
        if self.bound is not None:
            self.bound.release(1)
        if account.hooks is not None:
            account.hooks.call("activation_start", make_activation(item))

    def settle(self, item: Item, status: str, error: BaseException | None, began: int) -> None:
        """Enter an activation's end in the books, and finish the job if it was the last.

        Args:
            item: The activation.
            status: The outcome that counts.
            error: What it raised.
            began: When it started.
        """
        ended = self.clock()
        account = item[2]
        name = "late" if account.expired else status
        said = None if error is None else words(error)
        end = (None, item, ended, ended - began, name, said, status)
        journal = account.journal
        if account.watched:
            if account.ledger is not None:
                self._record(account, account.ledger.ended(item, name, ended - began, said))
            if account.hooks is not None:
                account.hooks.call("activation_end", make_activation(item), name, error)
        journal.write(end)
        journal.write_end(end)
        if len(journal.unsummed) >= BATCH:
            journal.relieve()
        if self.point is not None:
            self.point("end")
        account.running.pop(item[0], None)
        if not item[3].plain:
            self.end_turn(item[3].target)
        self.after_end(account)

    def _record(self, account: JobAccount, ready: Sequence[Item]) -> None:
        """Queue what waited for an end to be recorded; fail the job if that could not be done."""
        fault = None if account.ledger is None else account.ledger.fault
        if fault is not None:
            self.close(account, "failed", fault)
        if ready:
            self.enqueue(account, ready)

    def run_special(self, item: Item) -> None:
        """Run an activation whose data must be merged, that must be awaited, whose turn it is, or that may go wrong."""
        delivery = item[3]
        began = self.clock()
        try:
            if delivery.merges:
                item = self.merged(item)
                context.enter(item)
            if delivery.target.is_async:
                self.coroutines.begin(item)
                return
            faults = self.runtime.faults
            if faults is not None:
                meddle(faults, item)
            call_handler(item[3], item)
            if faults is not None:
                faults.after_handler()
        except BaseException as error:  # noqa: BLE001 - as for any other
            self.fail(item, error, began)
        else:
            self.settle(item, "completed", None, began)

    def fail(self, item: Item, error: BaseException, began: int) -> None:
        """Do what the error strategy says about ``error``; if it cannot be asked, the job fails with that."""
        handler = None
        account = item[2]
        try:
            handler = item[3].target.node.error_handler() or self.error_handler
            decision = decide(handler, error, item[5])
        except BaseException as fault:  # noqa: BLE001 - a handler's figures, or its class, may be anybody's
            fault.__context__ = error
            error, decision = fault, Decision(Action.STOP)
        if decision.action is Action.RETRY and handler is not None:
            if not self._retry(item, handler, error, decision.delay, began):
                self.settle(item, Action.STOP.value, error, began)
            return
        if decision.action is Action.STOP:
            self.close(account, "failed", error)
        self.settle(item, decision.action.value, error, began)

    def _retry(self, item: Item, handler: ErrorHandler, error: BaseException, delay: float, began: int) -> bool:
        """Put the next attempt on the timer; False when the job takes nothing more."""
        ticket, _, account, delivery, _, attempt = item
        again = renewed(item, attempts=1)
        ended = self.clock()
        due = ended + round(delay * 1e9)
        if self.bound is not None:
            self.bound.force(1)
        try:
            with account.lock:
                if account.gate == CLOSED:
                    self.give_room(1)
                    return False
                timer = None if account.gate == HELD else self.timers.call_at(due, self._retry_due, again)
                account.delayed[again[0]] = Delayed(again, due, timer)
                account.count_retry_locked(handler)
                ready = () if account.ledger is None else account.ledger.retried(again, due - ended)
                # Before the lock is let go, so that no row of the next attempt can stand above this one.
                name = "lost" if isinstance(error, WorkerLostError) else "retry"
                end = (None, item, ended, ended - began, name, words(error), "retry")
                account.journal.write(end)
                account.journal.write_end(end)
        except RuntimeError as no_thread:
            self.give_room(1)
            error.add_note(f"it was not tried again: {no_thread}")
            self.close(account, "failed", error)
            return False
        if account.ledger is not None:
            self._record(account, ready)
        if len(account.journal.unsummed) >= BATCH:
            account.journal.relieve()
        handler._last_retry_count = attempt  # noqa: SLF001 - a mirror that nothing decides by
        if account.hooks is not None:
            account.hooks.call("activation_retry", make_activation(item), error, delay)
        account.running.pop(ticket, None)
        if not delivery.plain:
            self.end_turn(delivery.target)
        self.after_end(account)
        return True

    def _retry_due(self, item: Item) -> None:
        ticket, _, account = item[:3]
        with account.lock:
            if ticket not in account.delayed or account.gate == HELD:
                return  # closed, or it will be looked at again when the job goes on
            # On the next page before off this one.
            account.queued[ticket] = item
            del account.delayed[ticket]
        try:
            self.offer(account, [item])
        except RuntimeError as no_thread:
            self.abandon(account, no_thread)

    def time_again_locked(self, account: JobAccount) -> None:
        """Put what waits to be tried again on the timer, when a job goes on: at the time that was set."""
        for ticket, (item, due, _) in tuple(account.delayed.items()):
            timer = self.timers.call_at(max(due, self.clock()), self._retry_due, item)
            account.delayed[ticket] = Delayed(item, due, timer)


def run(item: Item) -> None:  # noqa: C901, PLR0912 - a fifth of what an activation costs is calling functions
    """Run one activation in the calling thread, and settle what follows from it.

    Raises nothing but the KeyboardInterrupt of an instrument. A function and not a method: the workers' threads call
    it, and an idle thread must not keep an engine alive, nor the routines behind it, which may refer to their flow.
    The calling thread's context stays the activation's until the next one, or until `context.leave`.
    """
    ticket, _, account, delivery, values, _ = item
    engine = account.engine
    point = engine.point
    if point is not None:
        point("start")
    if not delivery.plain and not engine.admit(item):
        return  # another worker will come with it
    account.running[ticket] = item
    if point is not None:
        point("take off")
    if account.queued.pop(ticket, None) is None:
        engine.missed(item)
        return
    account.job.current_routine_id = delivery.routine_id
    if account.watched:
        engine.tell_start(item)
        if engine.runtime.faults is not None:
            enter(item)
            engine.run_special(item)
            return
    enter(item)
    if not delivery.plain:
        engine.run_special(item)
        return
    began = account.clock()
    try:
        delivery.call(*values)
    except BaseException as error:  # noqa: BLE001 - the error strategy decides, and nothing is lost
        engine.fail(item, error, began)
        return
    if account.watched or account.expired:
        engine.settle(item, "completed", None, began)
        return
    # What `settle` does, for most of all activations.
    ended = account.clock()
    end = (None, item, ended, ended - began, "completed", None, "completed")
    account.write(end)
    account.write_end(end)
    if len(account.unsummed) >= BATCH:
        account.journal.relieve()
    if point is not None:
        point("end")
    account.running.pop(ticket, None)  # an interrupt may have cleared the books
    if account.watchers:
        account.notify()
    if point is not None:
        point("last")
    if not account.running and (account.gate or not account.queued):
        engine.quiet(account)


def meddle(faults: Faults, item: Item) -> None:
    """Let happen what is to go wrong before a handler is called."""
    seconds, error = faults.before_handler(item[3].routine_id, item[3].target.slot.name)
    faults.wait(seconds)
    if error is not None:
        raise error


def call_handler(delivery: Delivery, item: Item) -> Any:
    """Call a handler; what was merged is copied, as the next attempt must see it unchanged."""
    if delivery.target.merges:
        return delivery.target.slot.bound(own_copy(delivery.data(item[4])))
    return delivery.call(*item[4])


def words(error: BaseException) -> str:
    """An exception in words, however broken it is."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - an exception that cannot word itself is still only an exception
        return f"{type(error).__name__}: (no message: its __str__ failed)"
