"""What users write: a class with slots that take events in and events that go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

from routilux.engine import context
from routilux.engine.activation import EPOCH
from routilux.engine.merging import MergeStrategy
from routilux.error_handler import ErrorHandler, ErrorStrategy
from routilux.event import Event
from routilux.exceptions import DuplicateNameError, UnknownNameError
from routilux.slot import Slot

if TYPE_CHECKING:
    from routilux.flow import Flow
    from routilux.job_state import JobState

__all__ = ["ExecutionContext", "Routine"]


class ExecutionContext(NamedTuple):
    """Where a handler finds itself."""

    flow: Flow
    job_state: JobState
    routine_id: str


class Routine:
    """A step of a workflow. Subclasses define slots, events and handlers in a constructor without arguments.

    Every subclass registers itself under ``module:qualified name``, which is how a stored flow names it; a class that
    nothing else refers to any more drops out of the register.

    Attributes:
        stateless: A class may say that its handlers leave the routine's attributes and configuration as they are. Where
            activations run in other processes (`routilux.schedulers.futures`), those of a stateless routine run at the
            same time; those of any other one after the other, each with what the last one left.
        runs_in_driver: A class may say that its handlers run in the flow's own process wherever the others do.
    """

    stateless: ClassVar[bool] = False
    runs_in_driver: ClassVar[bool] = False

    registry: ClassVar[WeakValueDictionary[str, type[Routine]]] = WeakValueDictionary()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the class for deserialization."""
        super().__init_subclass__(**kwargs)
        Routine.registry[cls.registry_name()] = cls

    @classmethod
    def registry_name(cls) -> str:
        """The name under which stored flows refer to this class."""
        return f"{cls.__module__}:{cls.__qualname__}"

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self._events: dict[str, Event] = {}
        self._config: dict[str, Any] = {}
        self._error_handler: ErrorHandler | None = None

    def define_slot(
        self,
        name: str,
        handler: Callable[..., Any] | None = None,
        merge_strategy: MergeStrategy = "override",
        max_concurrency: int | None = None,
    ) -> Slot:
        """Add an input; its arguments are those of `Slot`.

        Raises:
            ValueError: The routine has a slot of that name, the strategy is unknown, or the limit is below 1.
            TypeError: The handler cannot be called, or calling it would not run it.
        """
        _check_name("slot", name)
        if name in self._slots:
            raise DuplicateNameError(f"{self!r} has a slot {name!r} already; choose another name")
        slot = self._slots[name] = Slot(name, self, handler, merge_strategy, max_concurrency)
        return slot

    def redefine_slot(
        self,
        name: str,
        handler: Callable[..., Any] | None,
        merge_strategy: MergeStrategy = "override",
        max_concurrency: int | None = None,
    ) -> Slot:
        """Add an input, or replace the one of that name; for flows that are read from a document."""
        _check_name("slot", name)
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = Slot(name, self, handler, merge_strategy, max_concurrency)
        else:
            # In place: the constructor may have kept it in an attribute.
            Slot.__init__(slot, name, self, handler, merge_strategy, max_concurrency)
        return slot

    def define_event(self, name: str, output_params: Iterable[str] | None = None) -> Event:
        """Add an output carrying ``output_params``.

        Raises:
            ValueError: The routine has an event of that name.
        """
        _check_name("event", name)
        if name in self._events:
            raise DuplicateNameError(f"{self!r} has an event {name!r} already; choose another name")
        event = self._events[name] = Event(name, self, output_params)
        return event

    def emit(self, event_name: str, flow: Flow | None = None, **data: Any) -> None:
        """Send ``data`` to every slot connected to the event.

        Inside a handler the job at hand is found by itself, and the call returns as soon as the deliveries are queued.
        Outside any running job the connected handlers are called directly, one after the other.

        Args:
            event_name: One of the routine's events.
            flow: Only for a routine that is part of several flows and emits for another one's running job.
            data: What the event carries.

        Raises:
            ValueError: The routine has no such event.
            QueueFullError: More would be queued than the flow's ``max_pending`` allows; nothing is queued then.
        """
        item = context.current()
        if item is not None:
            account = item[2]
            node = item[3].target.node
            if node.routine is not self:
                node = account.engine.node_of(self)
            if node is not None and (flow is None or flow.is_run_by(account.engine)):
                shapes = node.outgoing.get(event_name)
                if shapes is None:
                    self._event(event_name)
                    shapes = node.route(event_name, ())
                account.engine.emit(account, shapes[tuple(data)], tuple(data.values()))
                return
        self._event(event_name).deliver(data)

    def emit_deferred_event(self, event_name: str, **data: Any) -> None:
        """Emit an event when the job at hand is resumed after a pause, also in another process.

        Raises:
            ValueError: The routine has no such event.
            RuntimeError: Called outside any running job.
        """
        self._event(event_name)
        found = self._here("emit_deferred_event")
        found.job_state.add_deferred_event(found.routine_id, event_name, data)

    def send_output(self, output_type: str, **data: Any) -> None:
        """Hand a result or a report to the job's output handler, and keep it in the job's ``output_log``.

        Args:
            output_type: A word for what it is, e.g. ``"progress"``.
            data: What to send.

        Raises:
            RuntimeError: Called outside any running job.
        """
        found = self._here("send_output")
        found.job_state.send_output(found.routine_id, output_type, data)

    def _here(self, what: str) -> ExecutionContext:
        found = self.get_execution_context()
        if found is None:
            raise RuntimeError(f"{what}() belongs to a running job; call it in a handler of {self!r}")
        return found

    def _event(self, name: str) -> Event:
        try:
            return self._events[name]
        except KeyError:
            raise UnknownNameError("event", name, self._events, repr(self), "add it with define_event()") from None

    def set_config(self, /, **values: Any) -> None:
        """Add ``values`` to the routine's configuration."""
        self._config.update(values)

    def get_config(self, key: str, default: Any = None) -> Any:
        """Read one configuration value."""
        return self._config.get(key, default)

    def config(self) -> dict[str, Any]:
        """Copy the configuration."""
        return dict(self._config)

    def get_slot(self, name: str) -> Slot | None:
        """Return the slot of that name, or None."""
        return self._slots.get(name)

    def get_event(self, name: str) -> Event | None:
        """Return the event of that name, or None."""
        return self._events.get(name)

    @property
    def slots(self) -> dict[str, Slot]:
        """The slots by name, a copy."""
        return dict(self._slots)

    @property
    def events(self) -> dict[str, Event]:
        """The events by name, a copy."""
        return dict(self._events)

    def set_error_handler(self, error_handler: ErrorHandler | None) -> None:
        """Handle this routine's errors by ``error_handler``; None leaves them to the flow's.

        Raises:
            TypeError: Something else than an ErrorHandler.
        """
        self._error_handler = check_error_handler(error_handler)

    def get_error_handler(self) -> ErrorHandler | None:
        """Return the routine's own error handler, or None."""
        return self._error_handler

    def set_as_optional(self, strategy: ErrorStrategy | str = ErrorStrategy.CONTINUE) -> None:
        """Let the job go on without this routine."""
        self.set_error_handler(ErrorHandler(strategy))

    def set_as_critical(self, max_retries: int = 3, retry_delay: float = 1.0, retry_backoff: float = 2.0) -> None:
        """Retry this routine, and fail the job when that does not help; the figures are those of `ErrorHandler`."""
        self.set_error_handler(
            ErrorHandler(ErrorStrategy.RETRY, max_retries, retry_delay, retry_backoff, is_critical=True)
        )

    def get_execution_context(self) -> ExecutionContext | None:
        """Say which flow, job and routine id the running handler belongs to; None outside a handler."""
        item = context.current()
        if item is None:
            return None
        account = item[2]
        node = item[3].target.node
        if node.routine is not self:
            node = account.engine.node_of(self)
        if node is None or account.flow is None:
            return None
        return ExecutionContext(account.flow, account.job, node.routine_id)

    def get_activation_id(self) -> str | None:
        """Say which activation the running handler is: one id for all its attempts, and for no other activation.

        For handlers that must not do a thing twice when they are run again (after an error, or because a worker was
        lost). None outside a handler.
        """
        item = context.current()
        return None if item is None else f"{item[2].job.job_id}/{item[0] % EPOCH}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} routine>"


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a {kind}'s name must be a non-empty string, not {name!r}")


def check_error_handler(error_handler: object) -> ErrorHandler | None:
    """Return ``error_handler`` if it is one or None.

    Raises:
        TypeError: It is something else.
    """
    if error_handler is None or isinstance(error_handler, ErrorHandler):
        return error_handler
    raise TypeError(f"an error handler must be an ErrorHandler or None, not {error_handler!r}")
