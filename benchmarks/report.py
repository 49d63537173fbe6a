"""What a run of the benchmark says, as data: the table, the JSON document and the plot are three views of it.

Knows no flow and no clock. JSON: ``format`` and ``version`` first; a reader that knows them knows the fields of
`Report.document`.
"""

import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = "routilux"
YARDSTICK = "executor"
DISTRIBUTIONS = ("routilux", "pypeln", "dask", "reactivex", "greenlet", "frontrun", "interleave-test", "matplotlib")


@dataclass
class Case:
    """One shape of work and what it took everybody, in microseconds an activation, the median.

    Attributes:
        goal: The highest ratio to the yardstick that ours may have.
    """

    name: str
    title: str
    activations: int
    goal: float
    microseconds: dict[str, float] = field(default_factory=dict)

    def ratio(self, contender: str) -> float | None:
        """How many times the yardstick's time; None for who has not done the case."""
        spent = self.microseconds.get(contender)
        return None if spent is None else spent / self.microseconds[YARDSTICK]

    def document(self) -> dict[str, object]:
        """The case as plain data, ratios included."""
        return asdict(self) | {"ratios": {name: self.ratio(name) for name in self.microseconds}}


@dataclass
class Figure:
    """One number with its unit and, unless it stands there for comparison, its goal; None if it could not be had.

    Attributes:
        at_least: The goal is the least that it may be, and not the most.
    """

    name: str
    value: float | None
    unit: str
    goal: float | None = None
    note: str = ""
    at_least: bool = False

    def misses(self, tolerance: float) -> bool:
        """Whether it is off its goal by more than the fraction ``tolerance``, which is 2 for three times as slow."""
        if self.value is None or self.goal is None:
            return False
        if self.at_least:
            return self.value * (1 + tolerance) < self.goal
        return self.value > self.goal * (1 + tolerance)


@dataclass
class Report:
    """A whole run.

    Attributes:
        absent: Peers that were left out, and why.
        notes: What a reader must know of a contender.
    """

    short: bool
    workers: int
    cases: list[Case] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    python: str = f"{platform.python_implementation()} {platform.python_version()}"

    @property
    def contenders(self) -> list[str]:
        """Everybody's name, in the order in which they were measured."""
        return list(dict.fromkeys(name for case in self.cases for name in case.microseconds))

    def missed(self, tolerance: float = 0.0) -> Iterator[str]:
        """The goals that are missed by more than the fraction ``tolerance``, in words."""
        for case in self.cases:
            ratio = case.ratio(OURS)
            if ratio is not None and ratio > case.goal * (1 + tolerance):
                yield f"{case.title}: {ratio:.2f} times the {YARDSTICK}'s time, where {case.goal:.2f} is the goal"
        for figure in self.figures:
            if figure.misses(tolerance):
                yield f"{figure.name.strip()}: {figure.value:.4g} {figure.unit}, where {figure.goal:g} is the goal"

    def document(self) -> dict[str, object]:
        """The run as plain data."""
        return {
            "format": "routilux-benchmark",
            "version": 1,
            "date": self.date,
            "python": self.python,
            "machine": {"system": platform.platform(), "processor": platform.machine(), "processors": os.cpu_count()},
            "versions": versions(DISTRIBUTIONS),
            "short": self.short,
            "workers": self.workers,
            "cases": [case.document() for case in self.cases],
            "figures": [asdict(figure) for figure in self.figures],
            "absent": self.absent,
            "notes": self.notes,
            "missed": list(self.missed()),
        }

    def write_json(self, path: Path) -> None:
        """Write `document`, making the folder if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each distribution, or None."""
    found: dict[str, str | None] = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def table_head(contenders: Iterable[str]) -> str:
    """The first line of the table; a ratio to the yardstick stands beside everybody's time but its own."""
    cells = [f"{name:>10}" + ("" if name == YARDSTICK else f"{'ratio':>8}") for name in contenders]
    return f"{'':<26}{''.join(cells)}{'goal':>8}"


def table_row(case: Case, contenders: Iterable[str]) -> str:
    """One case's line."""
    cells = []
    for name in contenders:
        spent = case.microseconds.get(name)
        cells.append(f"{'–':>10}" if spent is None else f"{spent:>10.2f}")
        if name != YARDSTICK:
            cells.append(f"{'':>8}" if spent is None else f"{case.ratio(name):>8.2f}")
    return f"{case.title:<26}{''.join(cells)}{case.goal:>8.2f}"


def figure_row(figure: Figure) -> str:
    """One figure's line."""
    value = f"{'–':>10}" if figure.value is None else f"{figure.value:>10{',.0f' if figure.value >= 1000 else '.4g'}}"
    goal = "" if figure.goal is None else f" (goal {'at least ' if figure.at_least else ''}{figure.goal:g})"
    note = f"  {figure.note}" if figure.note else ""
    return f"{figure.name:<44}{value} {figure.unit}{goal}{note}"
