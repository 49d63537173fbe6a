"""Programs that other processes can import, and what a report says, without how long it took."""

import random
import signal
import threading
from typing import Any

from tests.strategy.small import Variable, guarded, in_threads, reorder


def passing() -> None:
    """Three threads that take one lock."""
    guarded(3)()


def failing() -> None:
    """Five threads that order two writes and two reads."""
    reorder(5)()


class Shelf:
    def __init__(self) -> None:
        self.books = 0
        self.lent = 0


def rare() -> None:
    """Two threads that borrow; a third one of the shelf's attributes is shared in some schedules only."""
    shelf = Shelf()

    def borrow() -> None:
        seen = shelf.books
        shelf.books = seen + 1
        if shelf.books == seen + 2:
            shelf.lent += 1

    in_threads(borrow, borrow)


def unlucky() -> None:
    """Fails in about one of two hundred runs, whatever the schedule."""
    in_threads(lambda: None)
    assert random.random() > 0.005, "bad luck"


DEADLY = 0.002


def is_deadly(seed: int) -> bool:
    """Whether `deadly` kills its process under that seed."""
    return random.Random(seed).random() < DEADLY


def deadly() -> None:
    """Ends its process in about one of five hundred runs."""
    drawn = random.random()
    in_threads(lambda: None)
    if drawn < DEADLY:
        signal.raise_signal(signal.SIGKILL)


def one_way() -> None:
    """Leaves nothing to choose."""


def racy() -> None:
    """Writes what another thread writes, without a lock."""
    shelf = Shelf()

    def add() -> None:
        shelf.books += 1

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def unfinished() -> None:
    """Takes more steps than a test allows."""
    many = Variable("many")
    in_threads(*[lambda: [many.value for _ in range(50)]] * 2)


def plodding() -> None:
    """Takes some milliseconds, really."""
    passing()
    sum(range(200_000))


def impatient() -> None:
    """One thread looks again and again whether another one has been there."""
    flag = Variable("flag")

    def wait() -> None:
        while not flag.value:
            pass

    def come() -> None:
        flag.value = 1

    in_threads(wait, come)


def told(report: Any) -> Any:
    """All that a report says, but for real time."""
    failure = report.failure
    return (
        report.verdict,
        report.schedules,
        report.virtual_seconds,
        report.proof,
        report.reason,
        report.strategies,
        report.coverage.curve,
        report.coverage.pairs,
        report.coverage.unseen,
        report.races,
        failure and (failure.seed, str(failure.exception), failure.schedule.steps, failure.schedule.strategy),
    )
