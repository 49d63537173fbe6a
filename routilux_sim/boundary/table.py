"""The boundary as text that can be read in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby

from routilux_sim.boundary.rows import Entry

__all__ = ["WIDTH", "render"]

WIDTH = 80


def render(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines: for each module its names, in groups that share a status and a note."""
    total = 0
    for module, of_module in groupby(entries, key=lambda entry: entry.module):
        if total:
            yield ""
        yield module
        for (status, note, on), group in groupby(of_module, key=lambda entry: (entry.status, entry.note, entry.on)):
            names = [entry.name for entry in group]
            total += len(names)
            yield from _block(status, " ".join(names), 2)
            yield from _block("", f"({note}; through {on})" if on else f"({note})", 4)
    yield ""
    yield f"{total} entry points"


def _block(status: str, text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {status:<10}" + " " * (indent - 2),
        subsequent_indent=" " * (10 + indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
