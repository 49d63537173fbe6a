"""What simulated tests have come to: in each test's report, and in a line at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from routilux_sim.pytest_first import keep

if TYPE_CHECKING:
    from routilux_sim.execution import Execution
    from routilux_sim.exploration import Report

__all__ = ["Figures", "Summary", "attach", "figures_of"]

_ATTRIBUTE = "routilux_sim"
"""Of pytest's reports; with them it goes from process to process under pytest-xdist."""

VERDICTS = ("failed", "inconclusive", "exhausted", "passed")
"""The worst first: of several, a test's is the worst."""

LEFT_OUT = ("xfailed", "skipped")
"""What a test came to that says so itself, whatever its executions did."""


class Figures:
    """What one test has come to.

    Attributes:
        notes: What was asked for and not done, with the reason.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._verdict: str | None = None
        self._schedules = 0
        self._classes = 0
        self._pairs = 0
        self._seconds = 0.0
        self._virtual = 0.0

    def add_execution(self, execution: Execution, seconds: float) -> None:
        """Count an execution that took so many real seconds."""
        self.judge(execution.verdict)
        self._schedules += 1
        self._seconds += seconds
        self._virtual += execution.elapsed

    def add_report(self, report: Report) -> None:
        """Count an exploration."""
        self.judge(report.verdict)
        self._schedules += report.schedules
        self._seconds += report.seconds
        self._virtual += report.virtual_seconds
        self._classes += report.coverage.classes
        self._pairs += report.coverage.pairs

    def judge(self, verdict: str) -> None:
        """Let a verdict be the test's, if it has none that is worse."""
        known = VERDICTS.index(self._verdict) if self._verdict is not None else len(VERDICTS)
        self._verdict = VERDICTS[min(known, VERDICTS.index(verdict))]

    def told(self) -> dict[str, Any]:
        """All of it, in plain values."""
        return {
            "verdict": self._verdict,
            "schedules": self._schedules,
            "seconds": self._seconds,
            "virtual": self._virtual,
            "classes": self._classes,
            "pairs": self._pairs,
            "notes": self.notes,
        }


_FIGURES = pytest.StashKey[Figures]()


def figures_of(item: pytest.Item) -> Figures:
    """A test's figures, which its report will hold."""
    return item.stash.setdefault(_FIGURES, Figures())


def attach(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put a test's figures in its report."""
    figures = item.stash.get(_FIGURES, None)
    if figures is not None and report.when == "call":
        report.__dict__[_ATTRIBUTE] = figures.told()
        del item.stash[_FIGURES]


class Summary:
    """Gathers the figures of all tests; a plugin of its own, in the process that reports.

    Args:
        config: Of the run.
        seed: The run's.
    """

    def __init__(self, config: pytest.Config, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._told: dict[str, dict[str, Any]] = {}
        self._outcomes: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a test's report."""
        told = getattr(report, _ATTRIBUTE, None)
        if told is not None:
            if report.skipped:
                told = {**told, "verdict": "xfailed" if hasattr(report, "wasxfail") else "skipped"}
            self._told[report.nodeid] = told
            self._outcomes[report.nodeid] = report.failed

    def pytest_sessionfinish(self) -> None:
        """Keep for the next run what failed in this one."""
        keep(self._config, self._seed, self._outcomes)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what the simulated tests have come to, and what was asked for and not done."""
        notes = [(nodeid, note) for nodeid, told in self._told.items() for note in told["notes"]]
        if notes:
            terminalreporter.section("simulated otherwise than asked for")
            for nodeid, note in notes:
                terminalreporter.write_line(f"{nodeid}: {note}")
        if self._told and self._config.getoption("verbose") > -2:
            terminalreporter.ensure_newline()
            terminalreporter.write_line(f"routilux-sim: {', '.join(self._line())}")

    def _line(self) -> Iterator[str]:
        def total(name: str) -> Any:
            return sum(told[name] for told in self._told.values())

        found = [told["verdict"] for told in self._told.values()]
        counts = [f"{found.count(verdict)} {verdict}" for verdict in (*VERDICTS, *LEFT_OUT) if verdict in found]
        yield f"{_many(len(found), 'test', 's')} ({', '.join(counts)})" if counts else _many(len(found), "test", "s")
        schedules, seconds = total("schedules"), total("seconds")
        rate = f" ({schedules / seconds:,.0f}/s)" if seconds > 0 else ""
        yield f"{_many(schedules, 'schedule', 's')} in {seconds:.2f} s{rate}"
        yield f"{in_words(total('virtual'))} of virtual time"
        if total("classes"):
            classes = _many(total("classes"), "happens-before class", "es")
            yield f"coverage {classes} and {_many(total('pairs'), 'ordered conflicting pair', 's')}"


def _many(count: int, word: str, ending: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else ending}"


def in_words(seconds: float) -> str:
    """So many seconds, in units that fit."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    for unit, size, following in (("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < following:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:,.0f} days"
