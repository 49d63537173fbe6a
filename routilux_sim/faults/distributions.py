"""How long something takes: distributions of seconds, and those of a flow's routines.

A distribution has so many levels, and a draw from the choice tape says which. Level 0 is the plain one: the median, the
lowest for a uniform one, the first of a list. So a draw of 0, which is what shrinking strives for and what the strategy
``fifo`` gives, is a duration that somebody would expect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from routilux_sim.faults.reading import Table

__all__ = ["Distribution", "Latencies"]

PERCENT = 100
"""Into so many parts a continuous distribution is cut."""

KINDS = ("constant", "uniform", "normal", "empirical")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Seconds, and how likely they are.

    - ``constant``: always the same ``seconds``.
    - ``uniform``: from ``low`` to ``high``, both included, in steps of a hundredth of the way.
    - ``normal``: around ``mean``, with a standard ``deviation``; nothing below 0, which becomes 0. One of its 99
      percentiles.
    - ``empirical``: one of ``values``, each as likely as the others: durations that somebody has measured.

    Attributes:
        kind: Which of them.
        values: Its numbers: the seconds; low and high; mean and deviation; the values.
    """

    kind: str
    values: tuple[float, ...]

    @classmethod
    def from_dict(cls, data: Any, place: str = "distribution") -> Distribution:
        """Read one: a number of seconds, or a table with ``kind`` and what belongs to it.

        Args:
            data: What to read.
            place: What errors call it.

        Raises:
            ValueError: It is none; names place, value and what is allowed.
        """
        if isinstance(data, Distribution):
            return data
        if not isinstance(data, Mapping):
            word = {"seconds": data}
            seconds = None
            if isinstance(data, int | float):
                seconds = Table(place, word).seconds("seconds")
            if seconds is None:
                raise ValueError(f"{place} must be a number of seconds or a table with a kind, not {data!r}")
            return cls("constant", (seconds,))
        table = Table(place, data)
        if not table.has("kind") and not table.has("seconds"):
            table.refuse("kind", "one of " + ", ".join(map(repr, KINDS)))
        kind = table.choice("kind", KINDS, "constant")
        names = _NAMES.get(kind)
        values = _values(table) if names is None else tuple(_required(table, name) for name in names)
        table.finish()
        if kind == "uniform" and values[0] > values[1]:
            raise ValueError(f"{place}.low must be a number of seconds up to high, {values[1]!r}, not {values[0]!r}")
        return cls(kind, values)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads."""
        names = _NAMES.get(self.kind)
        if names is None:
            return {"kind": self.kind, "values": list(self.values)}
        return {"kind": self.kind, **dict(zip(names, self.values, strict=True))}

    @property
    def levels(self) -> int:
        """From how many durations one is drawn."""
        if self.kind == "constant":
            return 1
        if self.kind == "empirical":
            return len(self.values)
        return PERCENT + 1 if self.kind == "uniform" else PERCENT - 1

    def at(self, level: int) -> float:
        """The seconds of a level, from 0 up to below `levels`."""
        if self.kind == "uniform":
            low, high = self.values
            return low + (high - low) * level / PERCENT
        if self.kind == "normal":
            mean, deviation = self.values
            if not deviation or not level:
                return mean
            # From the middle outwards: 50, 51, 49, 52, 48 …
            percentile = PERCENT // 2 + (-(level // 2) if level % 2 == 0 else level // 2 + 1)
            return max(0.0, NormalDist(mean, deviation).inv_cdf(percentile / PERCENT))
        return self.values[level]

    @property
    def most(self) -> float:
        """The longest, in seconds."""
        return max(self.at(level) for level in range(self.levels))

    def __str__(self) -> str:
        if self.kind == "constant":
            return f"{self.values[0]:g} s"
        if self.kind == "uniform":
            return f"{self.values[0]:g} to {self.values[1]:g} s"
        if self.kind == "normal":
            return f"{self.values[0]:g} ± {self.values[1]:g} s"
        return f"one of {len(self.values)} measured durations"


_NAMES = {"constant": ("seconds",), "uniform": ("low", "high"), "normal": ("mean", "deviation")}


def _required(table: Table, name: str) -> float:
    seconds = table.seconds(name)
    if seconds is None:
        table.refuse(name, "a finite number of seconds from 0 up")
    return seconds


def _values(table: Table) -> tuple[float, ...]:
    words = "a list of numbers of seconds from 0 up, at least one"
    values = table.take("values", words, _are_seconds)
    if values is None:
        table.refuse("values", words)
    return tuple(map(float, values))


def _are_seconds(values: Any) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(
            isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and _fits(value)
            for value in values
        )
    )


def _fits(value: float) -> bool:
    return value < 1e18 if isinstance(value, int) else math.isfinite(value)


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long the handlers of routines take, in virtual time.

    Attributes:
        routines: By the id of a routine, or ``routine.slot`` for one of its slots only, which goes before.
    """

    routines: Mapping[str, Distribution]

    @classmethod
    def from_dict(cls, data: Any, place: str = "latencies") -> Latencies:
        """Read a table of distributions by routine.

        Args:
            data: What to read.
            place: What errors call it.

        Raises:
            ValueError: It is none; names place, value and what is allowed.
        """
        if isinstance(data, Latencies):
            return data
        if not isinstance(data, Mapping):
            raise ValueError(  # noqa: TRY004 - what is read from a file is of a wrong value, whatever its type
                f"{place} must be a table of distributions by routine, not {data!r}"
            )
        for name in data:
            if not isinstance(name, str) or not name:
                raise ValueError(f"{place} has the key {name!r}, which must be the id of a routine")
        return cls({name: Distribution.from_dict(item, f"{place}.{name}") for name, item in data.items()})

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads."""
        return {name: item.to_dict() for name, item in self.routines.items()}

    def of(self, routine_id: str, slot: str) -> Distribution | None:
        """How long the handler of a slot takes; None: no time."""
        routines = self.routines
        return routines.get(f"{routine_id}.{slot}") or routines.get(routine_id)

    def __bool__(self) -> bool:
        return bool(self.routines)
