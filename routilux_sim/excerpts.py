"""Values in error messages: whole if they are short, else their beginning. What is read from a file may be anything."""

from __future__ import annotations

from typing import Any

__all__ = ["MOST", "excerpt", "shorten"]

MOST = 200
"""Characters of a value that are shown."""


def excerpt(value: Any, most: int = MOST) -> str:
    """A value's ``repr``, shortened."""
    try:
        text = repr(value)
    except ValueError:
        # A number of too many digits.
        text = f"{type(value).__name__} that is too long to be shown"
    return shorten(text, most)


def shorten(text: str, most: int) -> str:
    """A text, or its beginning."""
    return text if len(text) <= most else f"{text[:most]}…"
