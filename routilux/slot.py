"""Where a routine takes events in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from routilux import runtime as runtimes
from routilux.engine.binding import bind, name_of
from routilux.engine.merging import Gathered, MergeStrategy, check_strategy

if TYPE_CHECKING:
    from routilux.routine import Routine

__all__ = ["Slot"]


class Slot:
    """A named input of a routine.

    Args:
        name: Unique among the routine's slots.
        routine: The routine it belongs to.
        handler: Called with each event's data; see `routilux.engine.binding.bind` for what it is passed. None means
            that events end here.
        merge_strategy: ``"override"`` (each event alone), ``"append"`` (values gathered in lists by key) or a
            function ``(old, new) -> merged``. What it gathers is kept per job.
        max_concurrency: How many of the slot's activations run at a time in one flow, over all its jobs; None: as many
            as there are workers. Those whose turn has not come wait without a worker; a sequential job goes on with
            what it has queued behind them.

    Attributes:
        bound: Calls the handler with what it asks for of a dictionary.

    Raises:
        ValueError: An unknown merge strategy, or a limit that is not a number from 1 up.
        TypeError: A handler or strategy that cannot be called.
    """

    __slots__ = ("bound", "handler", "max_concurrency", "merge_strategy", "name", "routine")

    def __init__(
        self,
        name: str,
        routine: Routine | None = None,
        handler: Callable[..., Any] | None = None,
        merge_strategy: MergeStrategy = "override",
        max_concurrency: int | None = None,
    ) -> None:
        check_strategy(merge_strategy)
        if max_concurrency is not None and (type(max_concurrency) is not int or max_concurrency < 1):
            raise ValueError(
                f"max_concurrency of slot {name!r} must be a whole number from 1 up or None, not {max_concurrency!r}"
            )
        self.max_concurrency = max_concurrency
        self.name = name
        self.routine = routine
        self.handler = handler
        self.merge_strategy = merge_strategy
        self.bound = bind(_ignore if handler is None else handler)

    def receive(self, data: dict[str, Any]) -> Any:
        """Hand ``data`` to the handler here and now, outside any job; return what it returns.

        Merged with nothing, as a job's first event is: outside a job nothing is gathered.

        Raises:
            RuntimeError: The handler is ``async``, and there is no event loop to run it in.
        """
        if self.bound.is_async:
            raise RuntimeError(
                f"handler of {self!r} is 'async def' and runs only in a flow; execute the flow, "
                "or await the handler yourself"
            )
        if self.merge_strategy == "override":
            return self.bound(dict(data))
        return self.bound(Gathered(runtimes.current().lock()).merge(self.merge_strategy, data))

    def __repr__(self) -> str:
        handler = name_of(self.handler) if self.handler is not None else None
        return f"Slot({self.name!r}, handler={handler})"


def _ignore(**_data: Any) -> None:
    """Stand in for the handler of a slot that has none."""
