"""Which code is the program's own, and where in it a task stands."""

from __future__ import annotations

import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any

__all__ = ["Where", "describe_where", "is_program_file", "where"]

Where = tuple[tuple[CodeType, int], ...]
"""Code objects and lines, innermost first."""

DEPTH = 8
"""How many frames of the program are kept."""

_paths = sysconfig.get_paths()
_FOREIGN = tuple(
    {_paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {f"{__file__.rpartition('/')[0].rpartition('/')[0]}/", "<"}
)
_known: dict[CodeType, bool] = {}


def is_program_file(name: str) -> bool:
    """Whether a source file is neither the standard library's, nor an installed package's, nor the simulator's."""
    return not name.startswith(_FOREIGN)


def where(frame: FrameType | None = None) -> Where:
    """Where in the program the caller stands; empty in none of it."""
    found: list[tuple[CodeType, int]] = []
    at: Any = sys._getframe(1) if frame is None else frame  # noqa: SLF001 - the only way to see who calls
    while at is not None and len(found) < DEPTH:
        code = at.f_code
        ours = _known.get(code)
        if ours is None:
            ours = _known[code] = is_program_file(code.co_filename)
        if ours:
            found.append((code, at.f_lineno))
        at = at.f_back
    return tuple(found)


def describe_where(stack: Where) -> list[str]:
    """A line for each frame, innermost first."""
    return [f"{code.co_filename}:{line} in {code.co_qualname}" for code, line in stack]
