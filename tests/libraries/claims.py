"""How these tests say that something always holds, or that there is an order in which it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from routilux_sim import Report, replay, simulate
from routilux_sim.judge.verdict import FailureKind
from tests.exploring import explore

__all__ = ["at_once", "breaks", "exact", "holds"]


def at_once(*calls: Callable[[], object]) -> None:
    """Run each call in a thread of its own, named after it, and wait for all of them."""
    threads = [threading.Thread(target=call, name=call.__name__) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def holds(program: Callable[[], object], schedules: int = 300) -> None:
    """A program's own assertions hold in the plain schedule, and in so many others."""
    simulate(program, strategy="fifo").result()
    explore(program, schedules=schedules).raise_if_failed()


def breaks(program: Callable[[], object], kind: FailureKind, words: str, schedules: int = 1000) -> Report:
    """There is a schedule in which a program fails in this way, and it can be replayed."""
    # What is made once in a process, such as a logger's table of levels, is made before schedules are compared.
    simulate(program, strategy="fifo")
    report = explore(program, schedules=schedules)
    assert report.failure is not None, report
    assert report.verdict == "failed"
    assert report.failure.kind == kind, report
    assert words in str(report.failure.exception), report
    again = replay(program, report.failure.schedule)
    assert type(again.error) is type(report.failure.exception)
    assert words in str(again.error)
    return report


def exact(program: Callable[[], Any], schedules: int = 50) -> Any:
    """What a program returns, the same in every schedule: times, for instance."""
    values = []
    simulate(program, strategy="fifo")
    explore(lambda: values.append(program()), schedules=schedules).raise_if_failed()
    assert all(value == values[0] for value in values), values
    return values[0]
