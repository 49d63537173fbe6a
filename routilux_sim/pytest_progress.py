"""Lines that say how far a long exploration is."""

from __future__ import annotations

import time
from typing import Any

import pytest

__all__ = ["Progress"]

QUIET = 2.0
"""Real seconds before the first line; before each further one it is twice as long as before the last."""

# Bound before the simulated world takes its place.
_clock = time.perf_counter


class Progress:
    """Told after each schedule, it writes a line now and then.

    There is none where nobody would see it: under ``-q``, and in processes of pytest-xdist.

    Args:
        config: Of the run.
        nodeid: Of the test.
        most: How many schedules there are at most.
    """

    def __init__(self, config: pytest.Config, nodeid: str, most: int) -> None:
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")
        self._nodeid = nodeid
        self._most = most
        self._began = _clock()
        self._next = QUIET
        self._wanted = self._reporter is not None and config.getoption("verbose") >= 0

    def __call__(self, count: int) -> None:
        """Hear how many schedules have run."""
        took = _clock() - self._began
        if took < self._next or not self._wanted:
            return
        self._next *= 2
        text = f"routilux-sim: {self._nodeid}: {count:,} of at most {self._most:,} schedules in {took:.0f} s"
        text += f" ({count / took:,.0f}/s), none has failed"
        if self._capture is None:
            self._write(text)
            return
        with self._capture.global_and_fixture_disabled():
            self._write(text)

    def _write(self, text: str) -> None:
        self._reporter.ensure_newline()
        self._reporter.write_line(text)
        self._reporter.flush()
