"""One thread that runs one event loop: what coroutines of a flow run in.

Knows a runtime, a loop and callables; knows nothing of jobs. Posting appends to a deque, whose appends and pops are
atomic, and wakes the loop only if no wake-up is on its way: waking a loop costs a system call, and a burst of posts
needs one.

No post is lost, because both sides write before they read. A poster appends, then looks whether the thread runs and
whether a wake-up is on its way; the drain says that it has arrived, then looks at the inbox; a thread that ends says
so, then looks at the inbox once more, and has another one started if something has come in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from routilux.abc import Runtime, Thread
from routilux.runtime import finish_loop, running_loop

if TYPE_CHECKING:
    from routilux.runtime import EventLoop

__all__ = ["LoopThread"]

BATCH = 100
"""Callbacks that a drain calls before the loop gets a turn at its timers and files."""


class LoopThread:
    """A thread with an event loop; both start with the first post.

    Args:
        runtime: What the thread and its loop are made of.
        name: The thread's name.
    """

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._point = runtime.point
        self._inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        # Guards starting and ending: `_running` and `_thread`.
        self._mutex = runtime.lock()
        self._running = False
        self._thread: Thread | None = None
        # Held from the moment a wake-up is sent until the drain has arrived: never waited for, only tried.
        self._wake_up = runtime.lock()
        self._loop: EventLoop | None = None
        # What is posted sees none of the context variables of whoever happened to wake the loop.
        self._context = Context()
        self._closing = False
        # True while an idle, closed loop is to stop, and not merely to finish its tasks.
        self._may_stop = False

    @property
    def loop(self) -> EventLoop | None:
        """The event loop, while it runs."""
        return self._loop

    def is_current(self) -> bool:
        """Whether the caller runs in this thread's loop."""
        loop = self._loop
        return loop is not None and running_loop() is loop

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in the loop's thread as soon as possible, after whatever was posted before.

        Any thread may; the loop's own too. What is posted after `close` is called as well. A callback that raises is
        logged, and the next one is called.

        Raises:
            RuntimeError: The thread was needed and could not be started; nothing will be called.
        """
        item = (callback, args)
        self._inbox.append(item)
        if self._point is not None:
            self._point("wake")
        if self._running:
            self._wake()
            return
        try:
            self._start()
        except BaseException:
            self._retract(item)
            raise

    def _wake(self) -> None:
        """Send for the loop's attention, unless somebody has."""
        if self._wake_up.acquire(False):
            loop = self._loop
            if loop is not None:
                # Closed in this very moment: its thread looks at the inbox after that.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._drain, context=self._context)

    def _start(self) -> None:
        """Start the thread; if somebody else has meanwhile, send for its attention."""
        with self._mutex:
            if not self._running:
                self._start_locked()
                return
        # It may have looked at the inbox before it was known to run.
        self._wake()

    def _start_locked(self) -> None:
        try:
            # A loop keeps the context that it is made in.
            loop = self._context.run(self._runtime.new_event_loop)
        except OSError as error:
            raise RuntimeError(f"the event loop of {self._name!r} could not be made: {error}") from error
        try:
            self._thread = self._runtime.start_thread(lambda: self._run(loop), self._name)
        except BaseException:
            loop.close()
            raise
        self._running = True

    def _retract(self, item: object) -> None:
        # Whoever else has posted meanwhile has tried to start the thread, too: each takes back what is its own.
        for index, other in enumerate(list(self._inbox)):
            if other is item:
                del self._inbox[index]
                return

    def _run(self, loop: EventLoop) -> None:
        try:
            self._serve(loop)
        finally:
            with self._mutex:
                self._running = False
            if self._point is not None:
                self._point("end")
            # Posted by somebody who still saw the thread running.
            if self._inbox:
                self._start()

    def _serve(self, loop: EventLoop) -> None:
        """Run the loop until it is closed and idle, then whatever its tasks need to end."""
        self._wake_up.acquire(False)
        self._loop = loop
        loop.call_soon(self._drain, context=self._context)
        self._may_stop = True
        try:
            _run_through(loop)
        finally:
            self._may_stop = False
            try:
                finish_loop(loop)
            finally:
                self._loop = None

    def _drain(self) -> None:
        """Call what has been posted; in the loop's thread."""
        # Released twice is once: a wake-up may find that an earlier one was taken for it.
        with suppress(RuntimeError):
            self._wake_up.release()
        try:
            self._call_batch()
        finally:
            loop = self._loop
            assert loop is not None  # noqa: S101 - it is what calls this
            if self._inbox:
                if self._wake_up.acquire(False):
                    loop.call_soon(self._drain, context=self._context)
            elif self._closing and self._may_stop:
                loop.stop()

    def _call_batch(self) -> None:
        inbox, point = self._inbox, self._point
        for _ in range(BATCH):
            if point is not None:
                point("take")
            try:
                callback, args = inbox.popleft()
            except IndexError:
                return
            try:
                callback(*args)
            except Exception:  # noqa: BLE001 - what others have posted must not suffer
                _log("callback %r of an event loop's thread failed", callback)
            # What has been called must not live on in this frame while a later callback takes its time.
            del callback, args

    def close(self) -> None:
        """Let the loop stop once nothing posted remains.

        Tasks that are left then are cancelled and awaited, asynchronous generators shut down, and the loop is closed.
        Takes no lock, so that a finalizer may call it wherever garbage collection happens to run.
        """
        self._closing = True
        if self._point is not None:
            self._point("close")
        self._wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end, at most ``timeout`` seconds; True when it has ended or never began."""
        deadline = None if timeout is None else self._runtime.monotonic_ns() + round(timeout * 1e9)
        # A thread that ends may start another one, so look again until there is none.
        while (thread := self._alive()) is not None:
            thread.join(None if deadline is None else max(0, deadline - self._runtime.monotonic_ns()) / 1e9)
            if thread.is_alive():
                return False
        return True

    def _alive(self) -> Thread | None:
        with self._mutex:
            thread = self._thread
        return thread if thread is not None and thread.is_alive() else None


def _run_through(loop: EventLoop) -> None:
    """Run the loop until it is stopped, whatever its callbacks and tasks raise."""
    while True:
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit):
            # The two that asyncio lets through; in this thread they are nobody's Ctrl-C, and the other tasks go on.
            _log("an event loop's thread was told to end; it goes on")
        else:
            return


def _log(message: str, *args: object) -> None:
    import logging  # noqa: PLC0415 - only when something is wrong

    logging.getLogger("routilux").exception(message, *args)
