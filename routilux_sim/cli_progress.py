"""How far an exploration is, on standard error."""

from __future__ import annotations

import sys
import time

import click

__all__ = ["Progress"]

QUIET = 2.0
"""Real seconds before progress is shown."""

# Bound before the simulated world takes its place.
_clock = time.perf_counter


class Progress:
    """Shows on standard error how far an exploration is, once it takes long.

    Args:
        total: How many schedules there are at most.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = self._shown = _clock()
        self._is_live = sys.stderr.isatty()
        self._open = False
        self._first: tuple[int, float] | None = None

    def __call__(self, count: int) -> None:
        """Hear how many have run."""
        now = _clock()
        if self._first is None:
            # What a campaign file holds has taken no time.
            self._first = count, now
        if now - self._shown < (QUIET if not self._is_live or not self._open else QUIET / 10):
            return
        self._shown = now
        text = f"{count} of at most {self._total} schedules, {now - self._began:.0f} s{self._outlook(count, now)}"
        click.echo(f"\r{text} " if self._is_live else text, err=True, nl=not self._is_live)
        self._open = self._is_live

    def _outlook(self, count: int, now: float) -> str:
        """How fast they come, and how long those that are left will take."""
        had, began = self._first or (0, self._began)
        rate = (count - had) / (now - began) if now > began else 0.0
        if not rate:
            return ""
        return f", {rate:.{0 if rate >= 10 else 1}f}/s, {_in_words(max(self._total - count, 0) / rate)} left"

    def end(self) -> None:
        """Leave the line."""
        if self._open:
            click.echo(err=True)
            self._open = False


def _in_words(seconds: float) -> str:
    """A span of time, as precisely as anybody wants to know it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
