"""What an operation of a generated program is, and what its kind uses to write one.

An operation is a function of the program's source. It may be called from any thread, at any time, by several threads at
once, and returns the same value each time. So programs may be put together from them at will.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from string import Template
from textwrap import dedent
from typing import Any, NamedTuple, Protocol

SHORT = (1, 2)
"""Milliseconds that surely pass before what is waited for, which does not come."""
LONG = "30"
"""Seconds that surely do not: what is waited for comes within milliseconds."""


class Span(NamedTuple):
    """Virtual milliseconds that something takes: at least, and at most."""

    least: int
    most: int


def exactly(milliseconds: int) -> Span:
    return Span(milliseconds, milliseconds)


def in_turn(*spans: Span) -> Span:
    """One after the other."""
    return Span(sum(span.least for span in spans), sum(span.most for span in spans))


def together(*spans: Span) -> Span:
    """Side by side."""
    return Span(max(span.least for span in spans), max(span.most for span in spans))


def either(*spans: Span) -> Span:
    """Somehow between side by side and one after the other."""
    return Span(together(*spans).least, in_turn(*spans).most)


class Calls(NamedTuple):
    """Operations to call."""

    text: str
    spans: tuple[Span, ...]


Kind = Callable[["Scope"], Span]

KINDS: dict[str, Kind] = {}
"""Operations that use threads, by name."""
ALONE: set[str] = set()
"""Those that change something of the whole process: called by the main thread while it has no other."""
LEAVES: dict[str, Kind] = {}
"""Operations that call no others."""


def kind(function: Kind) -> Kind:
    """Enter a kind of operation: it writes a function's body into a `Scope`, and says how long that takes."""
    KINDS[function.__name__] = function
    return function


def alone(function: Kind) -> Kind:
    """Enter a kind that the main thread must run while it has no other threads."""
    ALONE.add(function.__name__)
    return kind(function)


def leaf(function: Kind) -> Kind:
    """Enter a kind of operation that calls no others."""
    LEAVES[function.__name__] = function
    return function


class Maker(Protocol):
    """What writes the operations that an operation calls."""

    random: Random

    def function(self, depth: int) -> tuple[str, Span]:
        """Write one; return its name, and how long it takes."""


class Scope:
    """What a kind uses to write one operation."""

    def __init__(self, maker: Maker, depth: int) -> None:
        self.random = maker.random
        self.text = ""
        self._maker = maker
        self._depth = depth

    def calls(self, least: int, most: int) -> Calls:
        """Make operations that this one calls; their names as a list in the source."""
        made = [self._maker.function(self._depth + 1) for _ in range(self.random.randint(least, most))]
        return Calls(f"[{', '.join(name for name, _ in made)}]", tuple(span for _, span in made))

    def number(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def one_of(self, *texts: str) -> str:
        return self.random.choice(texts)

    def pause(self, longest: int) -> int:
        """Milliseconds, perhaps none."""
        return self.random.randint(0, longest)

    def short(self) -> int:
        """A timeout that expires, in milliseconds."""
        return self.random.choice(SHORT)

    def patience(self) -> str:
        """A timeout that does not expire, or none."""
        return self.one_of("", LONG)

    def write(self, body: str, **values: Any) -> None:
        """Write the function's body; ``$name`` stands for a value, and ``$name_s`` for milliseconds in seconds."""
        seconds = {f"{name}_s": f"{value / 1000:g}" for name, value in values.items() if isinstance(value, int)}
        self.text = Template(dedent(body).strip("\n")).substitute(values, **seconds)
