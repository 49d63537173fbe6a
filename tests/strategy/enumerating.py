"""Brute force: every schedule of a program, by trying the next choice at the last decision that has one left."""

from collections.abc import Iterator
from typing import Any

from routilux_sim.execution import Campaign
from tests.strategy.small import Program


class _Tape:
    """Follows a list of values, then chooses plainly; notes the bounds and which choices would be preemptions."""

    name = "tape"

    def __init__(self, values: list[int]) -> None:
        self.values = values
        self.made: list[tuple[int, int, bool]] = []

    def begin(self, seed: int) -> bool:
        return True

    def pick(self, current: Any, ready: Any) -> int:
        return self._next(len(ready) + (current is not None), current is not None)

    def draw(self, label: str, bound: int) -> int:
        return self._next(bound, False)

    def _next(self, bound: int, preempting: bool) -> int:
        value = self.values[len(self.made)] if len(self.made) < len(self.values) else 0
        self.made.append((value, bound, preempting))
        return value


def all_schedules(program: Program) -> Iterator[tuple[tuple[int, ...], int]]:
    """The values of each schedule, and how many preemptions it has."""
    campaign = Campaign(program)
    values: list[int] | None = []
    with campaign.running():
        while values is not None:
            tape = _Tape(values)
            decisions = len(campaign.execute(tape, 0).outcome.tape)
            made = tape.made[:decisions]
            yield (
                tuple(value for value, _, _ in made),
                sum(1 for value, _, preempting in made if value and preempting),
            )
            values = None
            for position in range(decisions - 1, -1, -1):
                value, bound, _ = made[position]
                if value + 1 < bound:
                    values = [value for value, _, _ in made[:position]] + [value + 1]
                    break
