"""Breaks off an execution that hangs in reality: a task that takes no step for so many real seconds.

A real thread looks now and then at how many steps have been taken; executions pay nothing for it. When they stand
still, it interrupts the simulating thread: the main thread by a signal, which also ends most calls into C that wait,
another one by an exception, which only reaches Python code. It holds off while a debugger has the word, and while the
whole process was stopped. There is one such thread in the process, made when first needed, and asleep while nothing is
simulated.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from _thread import get_ident, start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from weakref import ref

from routilux_sim.kernel.core import Kernel, active
from routilux_sim.kernel.errors import HangError, TaskKilled
from routilux_sim.world.frames import describe_stacks, is_debugged, place_of
from routilux_sim.world.ready import ORIGINALS, ReadyLock

__all__ = ["sooner", "watching"]

LONGEST_NAP = 1.0
"""Real seconds between two looks at most; else an eighth of the time that is allowed."""

GRACE = 2.0
"""Real seconds after which an interrupt that has changed nothing is reported on standard error."""

# Nothing here may wait in virtual time.
_clock = ORIGINALS["monotonic"]
_sleep = ORIGINALS["sleep"]

# Free almost everywhere, and ignored by a process that does not handle it. SIGALRM is others'.
SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)


class _Watch:
    """What is being watched: a campaign.

    Args:
        seconds: Real time that may go by without a step.
        by_signal: Whether the simulating thread is interrupted by a signal.
    """

    __slots__ = ("by_signal", "seconds", "suspect", "thread_id")

    def __init__(self, seconds: float, by_signal: bool) -> None:
        self.seconds = seconds
        self.by_signal = by_signal
        self.thread_id = get_ident()
        # The execution and its steps when it was found hanging.
        self.suspect: tuple[ref[Kernel], int] | None = None


@contextmanager
def watching(seconds: float | None) -> Iterator[None]:
    """Watch the executions that the calling thread runs meanwhile.

    Args:
        seconds: Real time that may go by without a step; None: do not watch.
    """
    if seconds is None:
        yield
        return
    watch = _Watch(seconds, _can_signal())
    previous: Any = None
    if watch.by_signal:
        assert SIGNAL is not None  # noqa: S101 - seen just now
        previous = signal.signal(SIGNAL, lambda _, frame: _interrupted(watch, frame))
    _dog.watch = watch
    _dog.wake()
    try:
        yield
    finally:
        _dog.watch = None
        if watch.by_signal:
            assert SIGNAL is not None  # noqa: S101 - as above
            signal.signal(SIGNAL, previous)


@contextmanager
def sooner(seconds: float) -> Iterator[None]:
    """Break off what hangs after so many real seconds already, if executions are watched and would be given more."""
    watch = _dog.watch
    if watch is None:
        yield
        return
    usual = watch.seconds
    watch.seconds = min(usual, seconds)
    try:
        yield
    finally:
        watch.seconds = usual


def _can_signal() -> bool:
    """Whether the calling thread can be interrupted by our signal: the main thread, if nobody else uses it."""
    return (
        SIGNAL is not None
        and get_ident() == threading.main_thread().ident
        and signal.getsignal(SIGNAL) in {signal.SIG_DFL, signal.SIG_IGN}
    )


def _interrupted(watch: _Watch, frame: FrameType | None) -> None:
    """Handle the signal, in whatever the simulating thread is doing."""
    kernel = active()
    suspect = watch.suspect
    if kernel is None or suspect is None or kernel.current is None:
        return
    execution, steps = suspect
    if execution() is kernel and kernel.steps == steps and not is_debugged(frame):
        kernel.break_off(_error_of(kernel, watch, frame))


def _error_of(kernel: Kernel, watch: _Watch, frame: FrameType | None) -> HangError:
    place = place_of(frame)
    task = kernel.current.name if kernel.current is not None else "?"
    text = (
        f"task {task!r} took no step for {watch.seconds:g} real seconds: a call that is not simulated waits, or a loop "
        "does not end; replace it, let it take steps (time.sleep(0) is one), or set hang_seconds higher if it is slow"
    )
    if place is not None:
        text += f"\n  at {place}"
    text += f"\n{describe_stacks(kernel, frame)}"
    if place is None:
        return HangError(text)
    return HangError(text, place.call, place.filename, place.line)


class _Dog:
    """The watching thread."""

    __slots__ = ("_alive", "_asleep", "_gate", "_leaving", "watch")

    def __init__(self) -> None:
        self.watch: _Watch | None = None
        self.reset()

    def reset(self) -> None:
        """There is no thread; called in a forked child as well."""
        self._alive = False
        self._asleep = False
        self._leaving = False
        self._gate = ReadyLock.make_real()
        self._gate.acquire()

    def wake(self) -> None:
        """Let the thread look at `watch`, which has been set before."""
        if not self._alive:
            self._alive = True
            start_new_thread(self._run, ())
        elif self._asleep:
            self._open()

    def leave(self) -> None:
        """End the thread if it has nothing to do: who forks shall not be warned about a thread of ours."""
        if not self._alive or self.watch is not None:
            return
        self._leaving = True
        for _ in range(1000):
            self._open()
            _sleep(0.001)
            # It is gone from the interpreter's sight a moment earlier than from the system's.
            if self._is_gone():
                break

    def _is_gone(self) -> bool:
        return not self._alive

    def nap(self, seconds: float) -> None:
        """Wait, in the thread, unless there is news."""
        self._gate.acquire(timeout=seconds)

    def _open(self) -> None:
        # Open already: whoever passes next finds the news.
        with contextlib.suppress(RuntimeError):
            self._gate.release()

    def is_on(self, watch: _Watch) -> bool:
        """Whether this is what is to be watched."""
        return self.watch is watch and not self._leaving

    def _run(self) -> None:
        # Debuggers and coverage have no business here.
        sys.settrace(None)
        while not self._leaving:
            watch = self.watch
            if watch is not None:
                _Look(watch).run(self)
                continue
            self._asleep = True
            # Whoever sets the watch after the next line has looked at it sees that we are asleep, and opens the gate.
            if self.watch is None and not self._leaving:
                self._gate.acquire()
            self._asleep = False
        self._leaving = False
        self._alive = False


class _Look:
    """Watching one campaign."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        self._nap = min(LONGEST_NAP, watch.seconds / 8)
        self._seen: ref[Kernel] | None = None
        self._steps = -1
        self._still = 0.0
        self._interrupts = 0

    def run(self, dog: _Dog) -> None:
        woke = _clock()
        while dog.is_on(self._watch):
            dog.nap(self._nap)
            now = _clock()
            # Later than that, the process was stopped, or got no turn.
            passed = min(now - woke, 1.5 * self._nap)
            woke = now
            if self._is_moving():
                self._still = 0.0
                self._interrupts = 0
            else:
                self._still += passed
                if self._still >= self._watch.seconds:
                    self._interrupt()

    def _is_moving(self) -> bool:
        """Whether something has been done since the last look, as far as a task is to do it."""
        kernel = active()
        if kernel is None or kernel.current is None or kernel.thread_id != self._watch.thread_id:
            return True
        if self._seen is not None and self._seen() is kernel and self._steps == kernel.steps:
            return is_debugged(_frame_of(kernel.thread_id))
        self._seen = ref(kernel)
        self._steps = kernel.steps
        return True

    def _interrupt(self) -> None:
        watch = self._watch
        assert self._seen is not None  # noqa: S101 - it has been seen standing still
        watch.suspect = (self._seen, self._steps)
        if watch.by_signal:
            assert SIGNAL is not None  # noqa: S101 - seen when the watch began
            signal.pthread_kill(watch.thread_id, SIGNAL)
        else:
            self._raise_in_thread()
        self._interrupts += 1
        if self._interrupts == 1 + round(GRACE / self._nap):
            self._report()

    def _raise_in_thread(self) -> None:
        kernel = active()
        if kernel is None or self._seen is None or self._seen() is not kernel or kernel.steps != self._steps:
            return
        if not kernel.ending and kernel.failure is None:
            frame = _frame_of(self._watch.thread_id)
            with contextlib.suppress(TaskKilled):
                kernel.condemn(_error_of(kernel, self._watch, frame))
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._watch.thread_id), ctypes.py_object(TaskKilled))

    def _report(self) -> None:
        """Nothing helps: say at least where it hangs."""
        kernel = active()
        if kernel is None:
            return
        error = kernel.failure
        if not isinstance(error, HangError):
            error = _error_of(kernel, self._watch, _frame_of(self._watch.thread_id))
        # Not `sys.stderr`: what stands there may belong to the thread that hangs.
        with contextlib.suppress(OSError):
            os.write(2, f"\nroutilux-sim: a simulation hangs, and cannot be interrupted:\n{error}\n".encode())


def _frame_of(thread_id: int) -> FrameType | None:
    return sys._current_frames().get(thread_id)


_dog = _Dog()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_dog.leave, after_in_child=_dog.reset)
