"""What generated programs come to on real threads, and whether they come to the same in the simulator."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

from routilux_sim import explore
from routilux_sim.strategy import STRATEGIES, Strategy, make_strategy
from tests.generated.programs import Program

ROOT = Path(__file__).parents[2]
SLACK_NS = 2_000
"""What programs that compute with the wall clock's floats are off by."""


class Outcome(NamedTuple):
    """What a program came to on real threads, and how many seconds that took."""

    value: str
    seconds: float


class OddOneOutError(AssertionError):
    """A simulated program came to something else than on real threads."""


def on_threads(first: int, count: int) -> dict[int, Outcome]:
    """Run the programs of these seeds on real threads, in a process of their own, that has nothing else going on."""
    command = [sys.executable, "-m", "tests.generated.on_threads", str(first), str(first + count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, ""), (lines[-1], done.stderr)
    return {line["seed"]: Outcome(line["value"], line["seconds"]) for line in lines if "value" in line}


class Contrary:
    """Lets nobody go on, and the latest come first."""

    name = "contrary"

    def begin(self, seed: int) -> bool:
        self._generator = Random(seed)
        return True

    def pick(self, current: Any, ready: Any) -> int:
        among = len(ready) if current is None else len(ready) + 1
        return among - 1 if self._generator.random() < 0.9 else int(self._generator.random() * among)

    def draw(self, label: str, bound: int) -> int:
        return int(self._generator.random() * bound)


class Reluctant(Contrary):
    """Lets everybody go on, but for a few times."""

    name = "reluctant"

    def pick(self, current: Any, ready: Any) -> int:
        return (
            0
            if self._generator.random() < 0.95
            else int(self._generator.random() * (len(ready) + (current is not None)))
        )


class Ranked(Contrary):
    """Whoever has the highest rank runs, and now and then loses it."""

    name = "ranked"

    def begin(self, seed: int) -> bool:
        self._ranks: dict[int, float] = {}
        return super().begin(seed)

    def pick(self, current: Any, ready: Any) -> int:
        among = [*ready] if current is None else [current, *ready]
        for task in among:
            self._ranks.setdefault(task.number, self._generator.random())
        best = max(range(len(among)), key=lambda n: self._ranks[among[n].number])
        if self._generator.random() < 0.05:
            self._ranks[among[best].number] -= 1
        return best


def strategies(program: Program) -> list[Strategy]:
    """The two plainest and some that no simulator needs; and one of the others, another one for another program."""
    names = sorted(STRATEGIES)
    own = ["fifo", "random", names[crc32(program.source.encode()) % len(names)]]
    return [*map(make_strategy, own), Contrary(), Reluctant(), Ranked()]


def compare(program: Program, expected: str, schedules: int, seed: int = 0, **instead: Callable[[], Any]) -> None:
    """Fail unless a program comes to this in so many schedules of each strategy, in the time that its sleeps take.

    Args:
        program: What to run.
        expected: What it returns.
        schedules: Of each strategy.
        seed: Of the first.
        instead: Names of the program that mean something else: what makes it, inside the simulation.
    """

    def body() -> None:
        began = time.monotonic_ns()
        value = repr(program.run(**{name: make() for name, make in instead.items()}))
        took = time.monotonic_ns() - began
        if value != expected:
            raise OddOneOutError(f"simulated: {value}\non threads: {expected}")
        least, most = program.span
        if not least * 1_000_000 - SLACK_NS <= took <= most * 1_000_000 + SLACK_NS:
            raise OddOneOutError(f"it took {took / 1e6:g} ms, not from {least} to {most}")

    for strategy in strategies(program):
        try:
            explore(body, schedules=schedules, seed=seed, strategy=strategy, max_steps=20_000).raise_if_failed()
        except Exception as error:
            error.add_note(f"{program!r} under {strategy.name}:\n{program.source}")
            raise
