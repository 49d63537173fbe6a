"""Who runs chunks: processes forked from this one, or whatever an executor has.

A crew takes chunks and gives back what came of them, in any order, or that a process has died of one. Which chunk comes
next, and what becomes of one whose process has died, is none of its business.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, cast

from routilux_sim.campaigns.chunks import Chunk, Knowledge, run_chunk, work_off
from routilux_sim.campaigns.parts import Part

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from routilux_sim.execution import Campaign

__all__ = ["Crew", "Death", "Executor", "ExecutorCrew", "ForkCrew", "HereCrew", "is_death"]

Executor = Any
"""Something with ``submit(fn, *args)`` that returns a future, or a function without arguments that makes one."""

DEATHS = frozenset({"KilledWorker", "LocalRayletDiedError", "NodeDiedError", "OutOfMemoryError", "WorkerCrashedError"})
"""What Dask and Ray call it when a process has died, by the name of the exception: neither is to be imported for it."""

AHEAD = 2
"""So many chunks for each of an executor's processes are handed out at a time: one of them waits beside it."""

REBUILDS = 64
"""An executor that is broken more often in one campaign is given up."""

_clock = time.perf_counter


class Death(NamedTuple):
    """A process has died while a chunk was out.

    Attributes:
        keys: The chunks that are lost by it.
        is_certain: Nothing else ran in that process.
        error: What is known of it, in words.
    """

    keys: tuple[int, ...]
    is_certain: bool
    error: str


class Crew(Protocol):
    """Runs chunks.

    Attributes:
        places: So many may be out at a time.
        least: Real seconds that a chunk is to take at least, if there are schedules enough: below, handing it out and
            beginning it is what takes the time.
    """

    places: int
    least: float

    def give(self, key: int, knowledge: Knowledge, chunk: Chunk) -> None:
        """Have a chunk run."""

    def take(self, timeout: float | None) -> tuple[int, Part] | Death | None:
        """What has come of one; None if nothing has within so many seconds."""

    def close(self) -> None:
        """Let go of those that are out."""


def is_death(error: BaseException) -> bool:
    """Whether a future's exception says that nobody knows what came of its call, because a process is gone."""
    if isinstance(error, BrokenExecutor | CancelledError):
        return True
    return any(kind.__name__ in DEATHS for kind in type(error).__mro__)


class HereCrew:
    """This process itself.

    Args:
        campaign: What it runs.
    """

    places = 1
    least = 1.0

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._done: list[tuple[int, Part]] = []
        self._running = ExitStack()
        self._running.enter_context(campaign.running())

    def give(self, key: int, knowledge: Knowledge, chunk: Chunk) -> None:
        """See `Crew`."""
        self._done.append((key, work_off(self._campaign, knowledge, chunk)))

    def take(self, timeout: float | None) -> tuple[int, Part] | Death | None:  # noqa: ARG002 - a crew's
        """See `Crew`."""
        return self._done.pop()

    def close(self) -> None:
        """See `Crew`."""
        self._running.close()


class ForkCrew:
    """Processes forked from this one, each with one chunk at a time; those that die are replaced.

    Args:
        campaign: What they run.
        workers: How many.
    """

    least = 0.02

    def __init__(self, campaign: Campaign, workers: int) -> None:
        self._campaign = campaign
        self._workers: dict[Connection, tuple[int, int | None]] = {}
        self.places = workers
        try:
            for _ in range(workers):
                self._fork()
        except BaseException:
            self.close()
            raise

    def _fork(self) -> None:
        from multiprocessing import Pipe  # noqa: PLC0415 - only when there are workers

        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if not process:
            ours.close()
            for other in self._workers:
                other.close()
            _serve(self._campaign, theirs)
        theirs.close()
        self._workers[ours] = process, None

    def give(self, key: int, knowledge: Knowledge, chunk: Chunk) -> None:
        """See `Crew`."""
        for connection, (process, busy) in self._workers.items():
            if busy is None:
                self._workers[connection] = process, key
                # One that has died meanwhile is heard of when its answer is taken.
                with suppress(BrokenPipeError):
                    connection.send((knowledge, chunk))
                return
        raise RuntimeError("no process is free")

    def take(self, timeout: float | None) -> tuple[int, Part] | Death | None:
        """See `Crew`."""
        from multiprocessing.connection import wait  # noqa: PLC0415 - likewise

        busy = [connection for connection, (_, key) in self._workers.items() if key is not None]
        for connection in wait(busy, timeout):
            return self._taken(cast("Connection", connection))
        return None

    def _taken(self, connection: Connection) -> tuple[int, Part] | Death:
        process, key = self._workers[connection]
        assert key is not None  # noqa: S101 - only those that are busy were asked
        try:
            answer: Any = connection.recv()
        except (EOFError, ConnectionResetError):
            how = self._bury(connection)
            self._fork()
            return Death((key,), True, how)
        self._workers[connection] = process, None
        if isinstance(answer, BaseException):
            raise answer
        return key, answer

    def _bury(self, connection: Connection) -> str:
        process, _ = self._workers.pop(connection)
        connection.close()
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        return f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"

    def close(self) -> None:
        """See `Crew`."""
        for connection, (process, _) in self._workers.items():
            connection.close()
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(process, 0)
        self._workers.clear()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _serve(campaign: Campaign, connection: Connection) -> NoReturn:
    """What a forked process does until it is killed."""
    code = 1
    try:
        # Ctrl-C goes to all; it is the one that forked us which decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with campaign.running():
            while True:
                knowledge, chunk = connection.recv()
                connection.send(work_off(campaign, knowledge, chunk))
                sys.stdout.flush()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0
    except BaseException as error:
        with suppress(Exception):
            connection.send(RuntimeError(f"a worker process could not go on: {type(error).__name__}: {error}"))
        raise
    finally:
        # Without what the parent has set up for its own end.
        os._exit(code)


class ExecutorCrew:
    """Whatever runs an executor's calls.

    Args:
        target: What is run, as bytes.
        executor: The executor, or what makes one.
        workers: How many processes it has; None: what it says itself.
    """

    # The simulated world is installed for each chunk, which takes some milliseconds.
    least = 0.1

    def __init__(self, target: bytes, executor: Executor, workers: int | None) -> None:
        self._target = target
        self._make: Callable[[], Any] | None = None
        if not hasattr(executor, "submit"):
            if not callable(executor):
                raise TypeError(
                    "executor must have submit(fn, *args), as a ProcessPoolExecutor has, or be a function without "
                    f"arguments that makes such a one, not {executor!r}"
                )
            self._make = executor
            executor = executor()
            if not hasattr(executor, "submit"):
                raise TypeError(f"executor() must return something with submit(fn, *args), not {executor!r}")
        self._executor = executor
        self.places = AHEAD * (workers or _size_of(executor))
        self._done: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._out: dict[int, Any] = {}
        self._rebuilds = 0

    def give(self, key: int, knowledge: Knowledge, chunk: Chunk) -> None:
        """See `Crew`."""
        done = self._done
        try:
            future = self._executor.submit(run_chunk, self._target, knowledge, chunk)
        except BrokenExecutor as error:
            # The others hear of it as well, from their futures.
            future = _Failed(error)
        self._out[key] = future
        future.add_done_callback(lambda future: done.put((key, future)))

    def take(self, timeout: float | None) -> tuple[int, Part] | Death | None:
        """See `Crew`."""
        ends = None if timeout is None else _clock() + timeout
        key, future = -1, None
        # Those of an executor that is no more are passed over.
        while self._out.get(key) is not future or future is None:
            try:
                key, future = self._done.get(timeout=None if ends is None else max(ends - _clock(), 0.0))
            except Empty:
                return None
        try:
            part: Part = future.result()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if not is_death(error):
                raise RuntimeError(
                    f"a chunk of schedules could not be run by the executor: {type(error).__name__}: {error}"
                ) from error
            return self._died(key, error)
        del self._out[key]
        return key, part

    def _died(self, key: int, error: BaseException) -> Death:
        if not isinstance(error, BrokenExecutor):
            del self._out[key]
            return Death((key,), False, _words(error))
        # It says so to all, whoever's fault it was.
        lost = tuple(self._out)
        self._out.clear()
        self._rebuilds += 1
        if self._make is None or self._rebuilds > REBUILDS:
            advice = (
                "give explore(executor=...) a function that makes the executor, and it is made again"
                if self._make is None
                else f"that was the case {self._rebuilds} times"
            )
            raise RuntimeError(f"the executor is broken ({_words(error)}); {advice}") from error
        _shut_down(self._executor)
        self._executor = self._make()
        return Death(lost, False, _words(error))

    def close(self) -> None:
        """See `Crew`; an executor that was given is left as it is, but for the chunks."""
        for future in self._out.values():
            future.cancel()
        self._out.clear()
        if self._make is not None:
            _shut_down(self._executor)


class _Failed:
    """A future of what could not even be submitted."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def add_done_callback(self, call: Callable[[Any], object]) -> None:
        call(self)

    def cancel(self) -> None:
        pass

    def result(self) -> Any:
        raise self._error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]


def _shut_down(executor: Any) -> None:
    """Without waiting; what was begun may go on to its end."""
    shutdown = getattr(executor, "shutdown", None)
    if shutdown is None:
        return
    try:
        shutdown(wait=False, cancel_futures=True)
    except TypeError:
        shutdown(wait=False)


def _size_of(executor: Any) -> int:
    """How many calls an executor runs at a time, as far as it tells."""
    for name in ("workers", "_max_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    client = getattr(executor, "_client", None)
    if client is not None:
        return max(1, len(client.ncores()))
    return os.cpu_count() or 1
