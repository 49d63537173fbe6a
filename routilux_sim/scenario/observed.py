"""Lets activations take as long as they took in production: in the order observed, or in others around it.

The first draw of an execution says which. Its plain value keeps to what was observed, moment by moment: no activation
starts, emits or ends before it did. The next one keeps the durations only, and each activation draws its own: as
observed, or as another of the same slot took. The last one lets go of those, too: what takes no virtual time by itself
happens at one instant, in any order. So the plain tape is the incident itself, and a schedule that fails tells by how
little it differs from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from routilux.abc import Instrument
from routilux.engine import context
from routilux.engine.activation import Activation
from routilux.job_state import JobState
from routilux_sim.kernel.active import here
from routilux_sim.kernel.errors import TaskKilled
from routilux_sim.scenario.model import Observed

__all__ = ["KEEP", "Pacer"]

KEEP = "keep to what was observed"
"""The label of the draw that decides how far an execution does: `ALL`, `DURATIONS` or `NOTHING`."""

ALL, DURATIONS, NOTHING = range(3)

OTHERS = 7
"""How many other durations of a slot may be drawn at most, spread from the shortest to the longest."""

Place = tuple[str, str, str]
"""Job, routine and slot."""


class _Pace(NamedTuple):
    """What is left to wait for in an activation under way, in nanoseconds of the clock."""

    emits: list[int]
    end: int | None


class Pacer(Instrument):
    """Holds activations until it is time; for one execution.

    An ``async`` handler that is held holds the others of its event loop, too. The delay of a retry counts from when the
    attempt failed by itself, which may be a little sooner than observed.

    Args:
        rows: What was observed.
        name_of: What the scenario calls a job.

    Attributes:
        started: The activations in the order in which they have started.
    """

    def __init__(self, rows: Sequence[Observed], name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._began = time.monotonic_ns()
        self._rows: dict[Place, list[Observed]] = {}
        self._durations: dict[tuple[str, str], list[int]] = {}
        for row in sorted(rows, key=lambda row: row.start):
            self._rows.setdefault((row.job, row.routine, row.slot), []).append(row)
            if row.end is not None:
                self._durations.setdefault((row.routine, row.slot), []).append(row.end - row.start)
        self._counts: dict[Place, int] = {}
        self._under_way: dict[tuple[str, int], _Pace] = {}
        self._kept = _draw(KEEP, 3)
        self.started: list[Place] = []

    @property
    def keeps(self) -> bool:
        """Whether this execution keeps to the observed order."""
        return self._kept == ALL

    def activation_start(self, activation: Activation) -> None:
        """Wait for the observed start, and note when the activation is to emit and end."""
        place = (self._name_of(activation.job.job_id), activation.routine_id, activation.slot)
        number = self._counts.get(place, 0)
        self._counts[place] = number + 1
        rows = self._rows.get(place, [])
        row = rows[number] if number < len(rows) else None
        if row is not None and self.keeps:
            _sleep_until(self._began + row.start)
        self.started.append(place)
        pace = self._pace(place, row)
        if pace is not None:
            self._under_way[activation.job.job_id, activation.ticket] = pace

    def _pace(self, place: Place, row: Observed | None) -> _Pace | None:
        if row is None or row.end is None or self._kept == NOTHING:
            return None
        if self.keeps:
            return _Pace([self._began + at for at in row.emits], self._began + row.end)
        began, own = time.monotonic_ns(), row.end - row.start
        others = _spread(self._durations[place[1:]], own)
        level = _draw(f"duration of {place[1]}.{place[2]}", 1 + len(others))
        duration = others[level - 1] if level else own
        part = duration / own if own else 1.0
        return _Pace([began + round((at - row.start) * part) for at in row.emits], began + duration)

    def emit(self, job: JobState, routine_id: str, event: str, data: object, targets: int) -> None:  # noqa: ARG002
        """Wait for the time when the activation emitted."""
        item = context.current()
        pace = None if item is None else self._under_way.get((job.job_id, item[0]))
        if pace is not None and pace.emits:
            _sleep_until(pace.emits.pop(0))

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:  # noqa: ARG002
        """Wait for the time when the handler returned."""
        pace = self._under_way.pop((activation.job.job_id, activation.ticket), None)
        if pace is not None and pace.end is not None:
            _sleep_until(pace.end)

    def activation_retry(self, activation: Activation, error: BaseException, delay: float) -> None:  # noqa: ARG002
        """Wait for the time when the attempt failed."""
        self.activation_end(activation, "retry", error)

    def difference(self, rows: Sequence[Observed]) -> str | None:
        """Where the order of starts parts from the observed one, in words; None: nowhere."""
        wanted = [(row.job, row.routine, row.slot) for row in sorted(rows, key=lambda row: row.start)]
        for index in range(max(len(wanted), len(self.started))):
            old = _words(wanted[index]) if index < len(wanted) else "nothing"
            new = _words(self.started[index]) if index < len(self.started) else "nothing"
            if old != new:
                return f"start {index + 1} was {old} in production, and is {new} here"
        return None


def _words(place: Place) -> str:
    job, routine, slot = place
    return f"{routine}.{slot} of {job}"


def _spread(durations: Sequence[int], own: int) -> list[int]:
    """Some durations other than an activation's own, from the shortest to the longest."""
    others = sorted({*durations} - {own})
    if len(others) <= OTHERS:
        return others
    return [others[index * (len(others) - 1) // (OTHERS - 1)] for index in range(OTHERS)]


def _draw(label: str, bound: int) -> int:
    kernel = here()
    return 0 if kernel is None else kernel.draw(label, bound)


def _sleep_until(moment_ns: int) -> None:
    left = moment_ns - time.monotonic_ns()
    if left > 0:
        try:
            time.sleep(left / 1e9)
        except TaskKilled:
            # The execution is over; whatever the task does next ends it again, outside the instrument.
            return
