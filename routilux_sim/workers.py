"""Several processes run the schedules of one exploration.

They are forked, so each has the program and the strategy as they are. Each runs its part of every round; at the end of
the round all of them learn what there is to learn from it, in the order of the schedules. So they have the same
knowledge at the beginning of each round as one process alone would have, and what comes of a schedule depends on
nothing else. The process that forked them runs none, but sees their results in order, and stops where it would stop if
they were its own.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from routilux_sim.kernel.core import active
from routilux_sim.search import Row, Search
from routilux_sim.strategy import Strategy
from routilux_sim.strategy._protocol import is_divisible

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from routilux_sim.execution import Campaign

__all__ = ["check_can_fork", "check_can_share", "check_workers", "shared_rows"]

MOST_WORKERS = 1024

_clock = time.perf_counter

_Spent = tuple[tuple[float, int], ...]
"""Seconds and schedules: of those that any process may run, and of those that are tied to one."""

_Lesson = tuple[list[Any], frozenset[str]]
"""What is learned from a round: what the strategy is told, and what memory turned out to be shared."""


def check_workers(workers: Any) -> None:
    """Refuse what is no number of processes.

    Raises:
        ValueError: It is not.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers must be a whole number from 1 to {MOST_WORKERS}, not {workers!r}")


def check_can_share(strategy: Strategy, workers: int, check_determinism: bool) -> None:
    """Refuse workers where they cannot be.

    Raises:
        ValueError: The schedules of the strategy come out of each other, or each is to run twice.
        RuntimeError: This process cannot be forked.
    """
    if not is_divisible(strategy):
        raise ValueError(
            f"strategy {strategy.name!r} makes each schedule of those before, so workers={workers} cannot share them; "
            "leave workers at 1, or take 'portfolio'"
        )
    if check_determinism:
        raise ValueError(f"check_determinism works in one process, not with workers={workers}; leave one of them out")
    check_can_fork(workers)


def check_can_fork(workers: int) -> None:
    """Refuse workers where this process cannot be forked.

    Raises:
        RuntimeError: That is so.
    """
    if not hasattr(os, "fork"):
        raise RuntimeError(f"workers={workers} needs os.fork, which this system has not; leave workers at 1")
    if active() is not None:
        raise RuntimeError(f"workers={workers} cannot be forked inside a simulation; explore outside of it")
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others:
        raise RuntimeError(
            f"workers={workers} cannot be forked while other threads run ({', '.join(others)}): they and the locks "
            "they hold would not go on in the workers; end them first, or leave workers at 1"
        )


@contextmanager
def shared_rows(campaign: Campaign, search: Search, workers: int) -> Iterator[Iterator[Row]]:
    """Fork processes that run a search's schedules; what comes of those is to be had in order.

    To be entered before the simulated world is installed. When it is left, the processes are ended.
    """
    from multiprocessing import Pipe  # noqa: PLC0415 - only when there are workers

    children: list[tuple[int, Connection]] = []
    try:
        for place in range(workers):
            ours, theirs = Pipe()
            sys.stdout.flush()
            sys.stderr.flush()
            process = os.fork()
            if not process:
                ours.close()
                for _, other in children:
                    other.close()
                _work(campaign, search, theirs, place, workers)
            theirs.close()
            children.append((process, ours))
        yield _rows(search, [connection for _, connection in children])
    finally:
        for process, connection in children:
            connection.close()
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(process, 0)


def _rows(search: Search, connections: list[Connection]) -> Iterator[Row]:
    """What the workers' schedules come to, in order, up to where one process would have stopped."""
    lesson: _Lesson | None = None
    effort = _Effort()
    numbers = search.round_from(0)
    while numbers:
        task = pickle.dumps((numbers, lesson, effort.ratio))
        for connection in connections:
            connection.send_bytes(task)
        rows: list[Row] = []
        stopped, is_end = numbers.stop, False
        for connection in connections:
            part, stop, end, spent = _receive(connection)
            rows += part
            effort.add(spent)
            if stop is not None and stop < stopped:
                stopped, is_end = stop, True
                search.proof, search.doubt, search.reduced = end
        rows = sorted((row for row in rows if row.number < stopped), key=lambda row: row.number)
        yield from rows
        lesson = [row.note for row in rows], frozenset().union(*(row.grown for row in rows))
        if is_end and search.stops(lesson[1]):
            return
        numbers = search.round_from(stopped)


def _receive(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        raise RuntimeError(
            "a worker process has ended by itself: killed for its memory, or by what the program called; leave workers "
            "at 1 to see where"
        ) from None


class _Effort:
    """How much longer the schedules take that are tied to one process, on average.

    Only who runs what depends on it, and nothing that comes of it.

    Attributes:
        ratio: So many times as long as others.
    """

    def __init__(self) -> None:
        self.ratio = 1.0
        self._seconds = [0.0, 0.0]
        self._counts = [0, 0]

    def add(self, spent: _Spent) -> None:
        """Take in what others and tied ones have taken in a worker's part of a round."""
        for kind, (seconds, count) in enumerate(spent):
            self._seconds[kind] += seconds
            self._counts[kind] += count
        if all(self._counts):
            others, tied = (seconds / count for seconds, count in zip(self._seconds, self._counts, strict=True))
            self.ratio = tied / others if others > 0 else 1.0


def _work(campaign: Campaign, search: Search, connection: Connection, place: int, workers: int) -> NoReturn:
    """What a worker does until it is killed."""
    code = 1
    told: set[int] = set()
    begun = 0
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with campaign.running():
            search.prepare()
            while True:
                numbers, lesson, ratio = connection.recv()
                if lesson is not None:
                    search.learn(*lesson)
                if numbers.start < begun:
                    # Schedules after a proof that was none run again; what was told of them has not been counted.
                    told.clear()
                begun = numbers.stop
                tied = [number for number in numbers if search.is_sequential(number)]
                connection.send(_part(search, _share(numbers, tied, ratio, place, workers), set(tied), told))
                sys.stdout.flush()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0
    finally:
        # Without what the parent has set up for its own end.
        os._exit(code)


def _share(numbers: range, tied: list[int], ratio: float, place: int, workers: int) -> list[int]:
    """Which schedules of a round are a worker's: those that come out of each other are the first one's.

    Args:
        numbers: The round's.
        tied: Those that come out of each other.
        ratio: How many times as long as others they take.
        place: The worker's.
        workers: How many there are.
    """
    if workers == 1:
        return list(numbers)
    ties = set(tied)
    loose = [number for number in numbers if number not in ties]
    effort = len(loose) + ratio * len(tied)
    first = _spread(loose, min(max(round(effort / workers - ratio * len(tied)), 0), len(loose)))
    if not place:
        return sorted([*tied, *first])
    taken = set(first)
    return [number for number in loose if number not in taken][place - 1 :: workers - 1]


def _spread(numbers: list[int], count: int) -> list[int]:
    """So many of the numbers, evenly."""
    return [numbers[index * len(numbers) // count] for index in range(count)]


def _part(
    search: Search, numbers: list[int], tied: set[int], told: set[int]
) -> tuple[list[Row], int | None, Any, _Spent]:
    """Run schedules up to where one process would stop; say where that is if there is nothing more, and why.

    Args:
        search: Runs them.
        numbers: Which.
        tied: Those that come out of each other.
        told: The conflicting pairs that need not be told again; those that are now are added.
    """
    rows: list[Row] = []
    seconds, counts = [0.0, 0.0], [0, 0]
    stop: int | None = None
    end: Any = None
    began = _clock()
    for number in numbers:
        row = None if number and search.is_late() else search.run(number)
        if row is None:
            stop, end = number, (search.proof, search.doubt, search.reduced)
            break
        rows.append(_told(row, told))
        now = _clock()
        kind = number in tied
        seconds[kind] += now - began
        counts[kind] += 1
        began = now
        if (row.error is not None and not row.is_unfair) or row.only_one:
            break
    return rows, stop, end, tuple(zip(seconds, counts, strict=True))


def _told(row: Row, told: set[int]) -> Row:
    """What the parent has to know of a schedule."""
    footprint, execution = row.footprint, row.execution
    if footprint is not None:
        new = tuple([pair for pair in footprint.pairs if pair not in told])
        told.update(new)
        footprint = footprint._replace(pairs=new)
    schedule = execution.schedule if row.error is not None and execution is not None else None
    return row._replace(footprint=footprint, execution=None, moments=None, schedule=schedule)
