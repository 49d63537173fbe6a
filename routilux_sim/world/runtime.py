"""The simulated runtime: what the production engine's threads, locks and clocks are made of in a simulation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakMethod

from routilux.abc import Lock as LockProtocol
from routilux.abc import Runtime, Thread
from routilux_sim.kernel.core import Kernel, here, wall_seconds
from routilux_sim.world.aio import EventLoop
from routilux_sim.world.sync import Lock
from routilux_sim.world.threads import spawn_thread

if TYPE_CHECKING:
    from routilux.runtime import EventLoop as AnyEventLoop

__all__ = ["SimRuntime"]


class SimRuntime(Runtime):
    """Threads, locks and clocks of one execution.

    Attributes:
        label: What the engine's own operations are about.
    """

    label = "engine"

    def __init__(self, kernel: Kernel, instruments: Sequence[object] = ()) -> None:
        self._kernel = kernel
        self._ids: dict[str, itertools.count[int]] = {}
        self._exit_calls: list[WeakMethod[Callable[[], object]]] = []
        self.instruments = instruments

    def point(self, op: str) -> None:
        """A scheduling point of the production engine's own."""
        kernel = self._kernel
        if here() is kernel:
            kernel.point(op)
            if kernel.trace is not None:
                kernel.touch("engine", self)

    def lock(self) -> LockProtocol:
        """Make a simulated lock."""
        return Lock()

    def monotonic_ns(self) -> int:
        """Virtual nanoseconds since the execution began."""
        return self._kernel.now

    def wall_time(self) -> float:
        """The simulated wall clock."""
        return wall_seconds(self._kernel.epoch_ns + self._kernel.now)

    def start_thread(self, target: Callable[[], None], name: str) -> Thread:
        """Start a simulated daemon thread."""
        thread = spawn_thread(self._kernel, target, name)
        # CPython's start() waits until the new thread has begun, which may then get far before start() returns.
        self._kernel.point("started")
        return thread

    def thread_name(self) -> str:
        """The name of the current task."""
        task = self._kernel.current
        return task.name if task is not None else "driver"

    def new_event_loop(self) -> AnyEventLoop:
        """Make a simulated event loop."""
        return EventLoop(self._kernel)

    def new_id(self, prefix: str) -> str:
        """Count: identifiers are the same in every execution of one schedule."""
        return f"{prefix}-{next(self._ids.setdefault(prefix, itertools.count(1)))}"

    def at_exit(self, callback: Callable[[], object], *, early: bool = False) -> None:  # noqa: ARG002 - one end for all
        """Call the bound method ``callback`` when the simulated program ends, if its object is there still."""
        call = WeakMethod(callback)
        if call not in self._exit_calls:
            self._exit_calls.append(call)

    def exit(self) -> None:
        """The end of the program: call what was asked for, the latest first, as ``atexit`` does."""
        while self._exit_calls:
            callback = self._exit_calls.pop()()
            if callback is not None:
                callback()
