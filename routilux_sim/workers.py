"""Several processes run the schedules of one exploration.

They are forked, so each has the program and the strategy as they are. Each runs its part of every round; at the end of
the round all of them learn what there is to learn from it, in the order of the schedules. So they have the same
knowledge at the beginning of each round as one process alone would have, and what comes of a schedule depends on
nothing else. The process that forked them runs none, but sees their results in order, and stops where it would stop if
they were its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
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

__all__ = ["check_can_share", "check_workers", "shared_rows"]

MOST_WORKERS = 1024

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
    numbers = search.round_from(0)
    while numbers:
        for connection in connections:
            connection.send((numbers, lesson))
        rows: list[Row] = []
        stopped, is_end = numbers.stop, False
        for connection in connections:
            part, stop, end = _receive(connection)
            rows += part
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


def _work(campaign: Campaign, search: Search, connection: Connection, place: int, workers: int) -> NoReturn:
    """What a worker does until it is killed."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with campaign.running():
            while True:
                numbers, lesson = connection.recv()
                if lesson is not None:
                    search.learn(*lesson)
                connection.send(_part(search, _share(search, numbers, place, workers)))
                sys.stdout.flush()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0
    finally:
        # Without what the parent has set up for its own end.
        os._exit(code)


def _share(search: Search, numbers: range, place: int, workers: int) -> list[int]:
    """Which schedules of a round are a worker's: those that come out of each other are the first one's."""
    is_sequential = search.is_sequential
    tied = [number for number in numbers if is_sequential(number)]
    loose = [number for number in numbers if not is_sequential(number)] if tied else list(numbers)
    whole = len(numbers) // workers
    mine = max(whole - len(tied), 0)
    if workers == 1 or not place:
        return sorted([*tied, *(loose if workers == 1 else _spread(loose, mine))])
    first = set(_spread(loose, mine))
    return [number for number in loose if number not in first][place - 1 :: workers - 1]


def _spread(numbers: list[int], count: int) -> list[int]:
    """So many of the numbers, evenly."""
    return [numbers[index * len(numbers) // count] for index in range(count)]


def _part(search: Search, numbers: list[int]) -> tuple[list[Row], int | None, Any]:
    """Run schedules up to where one process would stop; say where that is if there is nothing more, and why."""
    rows: list[Row] = []
    for number in numbers:
        row = None if number and search.is_late() else search.run(number)
        if row is None:
            return rows, number, (search.proof, search.doubt, search.reduced)
        execution = row.execution
        schedule = execution.schedule if row.error is not None and execution is not None else None
        rows.append(row._replace(execution=None, moments=None, schedule=schedule))
        if row.error is not None or row.only_one:
            break
    return rows, None, None
