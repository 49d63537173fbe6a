"""Runs a schedule again in forked processes, which begin with the very same memory: one thing at a time differs.

Two plain runs that differ can only have been told apart by something outside memory. With the free memory in another
order, addresses differ and nothing else; after a collection, only what garbage there is; and a second run in one
process sees what the first has left.
"""

from __future__ import annotations

import gc
import os
import pickle
import random
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from routilux_sim.determinism.memory import settle, shuffle
from routilux_sim.determinism.moments import Recorder
from routilux_sim.determinism.suspects import Call, changes_in, kept_state, watched
from routilux_sim.execution import Campaign, Execution
from routilux_sim.kernel.task import Task
from routilux_sim.schedule import Schedule
from routilux_sim.strategy.recording import RecordingStrategy
from routilux_sim.strategy.replay import ReplayStrategy

__all__ = ["EXPERIMENTS", "Result", "experiment", "record"]

PATIENCE = 15.0
"""Real seconds that the forked runs may take."""

# Bound before the simulated world takes its place.
_fork: Callable[[], int] | None = getattr(os, "fork", None)
_clock = time.monotonic
_sleep = time.sleep


class Result(NamedTuple):
    """What a forked process saw.

    Attributes:
        runs: For each run the digests of its decisions and of its end.
        calls: Calls of something real, if they were watched for.
        changed: What the program's variables held otherwise after the first run, in words, likewise.
    """

    runs: list[list[int]]
    calls: list[Call]
    changed: list[str]


def record(campaign: Campaign, schedule: Schedule, recorder: Recorder, *, log: bool = False) -> Execution:
    """Run a campaign's program once under recorded decisions, and note what it looked like at each."""
    strategy = RecordingStrategy(ReplayStrategy(schedule), recorder)
    strategy.begin(schedule.seed)
    return campaign.execute(strategy, schedule.seed, log=log, enabled=True, points=schedule.points)


def experiment(campaign: Campaign, schedule: Schedule) -> dict[str, Result]:
    """Run a schedule in several processes forked from this one.

    Returns:
        What each experiment of `EXPERIMENTS` saw; without those from which nothing came back in time, and empty where
        the system has no fork.
    """
    if _fork is None:
        return {}
    return _forked(_fork, [lambda one=one: _run(campaign, schedule, one) for one in EXPERIMENTS.values()])  # type: ignore[misc]


class _Experiment(NamedTuple):
    """How a forked process runs the schedule.

    Attributes:
        pause: Real seconds to wait before.
        collect: Collect garbage before.
        addresses: A seed for another order of the free memory; None leaves it as it is.
        runs: How often it runs, one after the other.
        watch: Watch for calls of something real, and for state that is kept; slow.
    """

    pause: float = 0.0
    collect: bool = False
    addresses: int | None = None
    runs: int = 1
    watch: bool = False


EXPERIMENTS = {
    "plain": _Experiment(),
    "later": _Experiment(pause=0.02),
    "elsewhere": _Experiment(addresses=101),
    "elsewhere again": _Experiment(addresses=102),
    "collected": _Experiment(collect=True),
    "twice": _Experiment(runs=2),
    "watched": _Experiment(watch=True),
}


class _Onward:
    """Follows a tape as far as it leads, wherever the program goes, and then goes on at random."""

    name = "replay"

    def __init__(self, schedule: Schedule) -> None:
        self._values = iter([step.value for step in schedule.steps])
        self._random = random.Random(schedule.seed).random  # noqa: S311 - the same every time is what it must be

    def begin(self, seed: int) -> bool:  # noqa: ARG002 - one execution each
        return True

    def pick(self, current: Task | None, ready: Sequence[Task]) -> int:
        return self._next(len(ready) if current is None else len(ready) + 1)

    def draw(self, label: str, bound: int) -> int:  # noqa: ARG002 - the protocol's
        return self._next(bound)

    def weigh(self, label: str, probability: float, levels: int) -> int:  # noqa: ARG002 - the protocol's
        return self._next(1 + levels)

    def _next(self, bound: int) -> int:
        value = next(self._values, bound)
        return value if value < bound else int(self._random() * bound)


def _run(campaign: Campaign, schedule: Schedule, how: _Experiment) -> Result:
    result = Result([], [], [])
    if how.collect:
        gc.collect()
    _sleep(how.pause)
    # Forking leaves traces in the memory, and so do other threads, and garbage that is gone.
    kept = settle()
    if how.addresses is not None:
        kept += shuffle(how.addresses)
    for _ in range(how.runs):
        recorder = Recorder()
        strategy = RecordingStrategy(_Onward(schedule), recorder)
        if how.watch:
            before = kept_state(campaign.program)
            with watched(lambda recorder=recorder: len(recorder.moments)) as calls:  # type: ignore[misc]
                execution = campaign.execute(strategy, schedule.seed)
            result.calls.extend(calls)
            result.changed.extend(changes_in(before, kept_state(campaign.program)))
        else:
            execution = campaign.execute(strategy, schedule.seed)
        end = hash((type(execution.error).__name__, execution.elapsed_ns, execution.steps))
        result.runs.append([*(moment.digest() for moment in recorder.moments), end])
    kept.clear()
    return result


def _forked(fork: Callable[[], int], bodies: Sequence[Callable[[], Result]]) -> dict[str, Result]:
    """Run each body in a process of its own; all begin with the same memory, down to the addresses that are free."""
    pipes = [os.pipe() for _ in bodies]
    children: list[Any] = [None] * len(bodies)
    with warnings.catch_warnings():
        # The children do not touch what other threads of this process may hold.
        warnings.simplefilter("ignore")
        for number in range(len(bodies)):
            children[number] = fork()
            if not children[number]:
                # Given back in the opposite order, the numbers' memory is free in the order in which it was.
                while children:
                    children.pop()
                _live_in_child(bodies[number], pipes[number][1])
    deadline = _clock() + PATIENCE
    found = {}
    try:
        for name, (reading, writing) in zip(EXPERIMENTS, pipes, strict=True):
            os.close(writing)
            text = _read(reading, deadline)
            if text:
                found[name] = pickle.loads(text)  # noqa: S301 - a child of this process wrote it
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for reading, _ in pipes:
            os.close(reading)
    return found


def _live_in_child(body: Callable[[], Result], writing: int) -> None:
    """Run ``body``, send its result, and end the process without anything that a process does at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as it lives
        text = pickle.dumps(body())
        with os.fdopen(writing, "wb") as to_parent:
            to_parent.write(text)
    finally:
        os._exit(0)


def _read(reading: int, deadline: float) -> bytes:
    """Everything that comes before the deadline and the end; nothing if the end does not come."""
    parts: list[bytes] = []
    while (left := deadline - _clock()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return b""
