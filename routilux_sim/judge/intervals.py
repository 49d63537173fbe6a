"""Draws calls that overlap: a line for each task, an interval for each call."""

from __future__ import annotations

from collections.abc import Sequence

from routilux_sim.judge.orders import Operation

__all__ = ["draw"]

WIDEST = 100
"""Columns that a drawing may have before its calls are numbered, and written below it."""


def draw(operations: Sequence[Operation]) -> list[str]:
    """Draw a history.

    What overlaps in the drawing overlapped; how long an interval is says how many other calls began or ended in it,
    and how long its text is.
    """
    texts = [str(operation) for operation in operations]
    lines = _lines(operations, texts)
    if max(map(len, lines), default=0) <= WIDEST:
        return lines
    numbers = [str(number) for number in range(1, len(operations) + 1)]
    legend = [f"{number}: {text}" for number, text in zip(numbers, texts, strict=True)]
    return [*_lines(operations, numbers), *legend]


def _lines(operations: Sequence[Operation], texts: Sequence[str]) -> list[str]:
    columns = _columns(operations, texts)
    tasks = list(dict.fromkeys(operation.task for operation in operations))
    width = max(map(len, tasks), default=0)
    lines = []
    for task in tasks:
        line = ""
        for operation, text in zip(operations, texts, strict=True):
            if operation.task != task:
                continue
            begun, ended = columns[operation.begun], columns.get(operation.ended)
            line = line.ljust(begun) + f"|-{text}"
            if ended is not None:
                line = line.ljust(ended, "-") + "|"
        lines.append(f"{task.ljust(width)}  {line}")
    return lines


def _columns(operations: Sequence[Operation], texts: Sequence[str]) -> dict[int | None, int]:
    """Where each beginning and end is drawn: in their order, and so far apart that the texts have room."""
    begun = {operation.begun: 0 for operation in operations}
    ended = {
        operation.ended: (operation.begun, len(text) + 2)
        for operation, text in zip(operations, texts, strict=True)
        if operation.ended is not None
    }
    columns: dict[int | None, int] = {}
    free = 0
    for position in sorted([*begun, *ended]):
        if position in ended:
            start, room = ended[position]
            free = max(free, (columns[start] or 0) + room)
        columns[position] = free
        free += 2
    return columns
