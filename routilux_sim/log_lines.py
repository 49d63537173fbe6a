"""Execution logs as bytes and files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from routilux.log import render

__all__ = ["render_all"]


def render_all(lines: Iterable[dict[str, Any]]) -> bytes:
    """Render lines as JSON lines with sorted keys: for one seed, the same bytes every time."""
    return b"".join(render(line) for line in lines)
