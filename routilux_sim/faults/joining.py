"""The faults of one execution: those that were planned, and those that the program adds while it runs.

What is added is found on the tape behind what was planned, kind by kind, in the order in which it was added; a replay
runs the program, which adds it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from routilux_sim.faults.injector import Injector

if TYPE_CHECKING:
    from routilux_sim.faults.arming import Armed
    from routilux_sim.kernel.core import Kernel
    from routilux_sim.strategy._protocol import Weigh
    from routilux_sim.world.runtime import SimRuntime

__all__ = ["Joining"]


class Joining:
    """Has the faults of an execution come, for as long as it is entered.

    Args:
        planned: What may go wrong from the beginning; None: nothing.
        kernel: The execution.
        runtime: Its runtime, whom flows ask.
        weigh: Makes what chooses; called when there is something to choose.
        is_fair: Whether tasks are scheduled fairly by now.
    """

    __slots__ = ("_documents", "_injector", "_is_fair", "_kernel", "_planned", "_runtime", "_weigh")

    def __init__(
        self,
        planned: Armed | None,
        kernel: Kernel,
        runtime: SimRuntime,
        weigh: Callable[[], Weigh],
        is_fair: Callable[[], bool],
    ) -> None:
        self._planned = planned
        self._kernel = kernel
        self._runtime = runtime
        self._weigh = weigh
        self._is_fair = is_fair
        self._injector: Injector | None = None
        self._documents: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._kernel.join_faults = self.join
        if self._planned is not None:
            self._inject()
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.join_faults = None
        self._runtime.faults = None
        if self._injector is not None:
            self._injector.end()
            self._injector = None

    @property
    def has_joined(self) -> bool:
        """Whether the program has added something."""
        return bool(self._documents)

    @property
    def document(self) -> dict[str, Any] | None:
        """What could go wrong, as schedules keep it."""
        planned = None if self._planned is None else self._planned.document
        if not self._documents:
            return planned
        return {**(planned or {"plan": {}, "swarm": False}), "joined": list(self._documents)}

    def begin(self) -> None:
        """Decide, in the first task and before anything else, what is decided once."""
        if self._injector is not None and self._planned is not None:
            self._injector.add(self._planned)

    def join(self, armed: Armed) -> None:
        """Let more go wrong from now on.

        Raises:
            ValueError: There are latencies among it.
        """
        if armed.latencies:
            raise ValueError(
                "faults.latencies: how long handlers take is settled before the program begins; give that to the "
                "marker or in a fixture"
            )
        injector = self._injector or self._inject()
        self._documents.append(armed.document["plan"])
        injector.add(armed)

    def _inject(self) -> Injector:
        self._injector = self._runtime.faults = Injector(self._kernel, self._weigh(), self._is_fair)
        return self._injector
