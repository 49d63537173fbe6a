"""Jobs to try the engine with: small random graphs whose every delivery is known beforehand.

Each activation carries a token that says by which way it came, so no two in a job are alike. What a handler has done
is in its job's shared log, which is stored with the job. All chance comes from `random`, which a simulation seeds.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from routilux import ErrorHandler, Flow, JobState, Routine
from routilux.engine import context
from routilux.exceptions import JobStatusError

BEAT = 0.1
"""Seconds; naps and scripts move in whole beats, so that they meet at the same instants."""

MOST = 8
"""Activations of one job at most."""


class BoomError(Exception):
    """What handlers raise."""


class Step(Routine):
    """Naps, fails as often as it is told to, then logs its token and emits some more."""

    limit: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.busy = 0
        self.define_event("out", ["token"])
        self.define_slot("trigger", handler=self.work, max_concurrency=self.limit)

    def work(self, token: str) -> None:
        self.busy += 1
        try:
            if beats := self.get_config("beats", 0):
                time.sleep(beats * BEAT)
            self.finish(token)
        finally:
            self.busy -= 1

    def finish(self, token: str) -> None:
        if attempt() <= self.get_config("failures", 0):
            raise BoomError(token)
        found = self.get_execution_context()
        found.job_state.append_to_shared_log({"routine": found.routine_id, "token": token})
        for n in range(self.get_config("emits", 0)):
            self.emit("out", token=f"{token}/{found.routine_id}.{n}")


class Turns(Step):
    """A step that does one thing at a time."""

    limit = 1


class AsyncStep(Step):
    """A step that awaits."""

    async def work(self, token: str) -> None:  # type: ignore[override]
        self.busy += 1
        try:
            if beats := self.get_config("beats", 0):
                await asyncio.sleep(beats * BEAT)
            self.finish(token)
        finally:
            self.busy -= 1


def attempt() -> int:
    """Which attempt the running handler is at, from 1."""
    item = context.current()
    assert item is not None
    return item[5]


class Plan:
    """A random graph of two to four steps, and what it delivers.

    Args:
        kinds: The classes of steps to choose from.
        failures: How often a step's activations fail at most before they succeed.
        beats: How many beats a step naps at most.
    """

    def __init__(self, kinds: Iterable[type[Step]] = (Step,), failures: int = 0, beats: int = 2) -> None:
        kinds = tuple(kinds)
        while True:
            names = [f"s{n}" for n in range(random.randint(2, 4))]
            self.targets = {
                name: sorted(
                    random.sample(names[n + 1 :], random.randint(min(1, len(names) - n - 1), len(names) - n - 1))
                )
                for n, name in enumerate(names)
            }
            self.kinds = {name: random.choice(kinds) for name in names}
            self.config = {
                name: {
                    "beats": random.randint(0, beats),
                    "failures": random.randint(0, failures),
                    "emits": random.randint(1, 2) if self.targets[name] else 0,
                }
                for name in names
            }
            if 3 <= len(self.deliveries()) <= MOST:
                return

    def deliveries(self) -> list[tuple[str, str]]:
        """Every delivery of one job, as routine and token, sorted."""
        found = []

        def follow(name: str, token: str) -> None:
            found.append((name, token))
            for n in range(self.config[name]["emits"]):
                for target in self.targets[name]:
                    follow(target, f"{token}/{name}.{n}")

        follow("s0", "t")
        return sorted(found)

    def flow(self, flow_id: str = "flow", **options: Any) -> Flow:
        """A fresh flow of the plan."""
        flow = Flow(flow_id, **{"execution_strategy": "concurrent", **options})
        for name, kind in self.kinds.items():
            step = kind()
            step.set_config(**self.config[name])
            flow.add_routine(step, name)
        for name, targets in self.targets.items():
            for target in targets:
                flow.connect(name, "out", target, "trigger")
        flow.set_error_handler(ErrorHandler("retry", max_retries=5, retry_delay=BEAT, retry_backoff=1.0))
        return flow

    def execute(self, flow: Flow, **options: Any) -> JobState:
        """Run a job of the plan."""
        return flow.execute("s0", {"token": "t"}, **options)

    def attempts(self) -> int:
        """How many times a job's handlers are called."""
        return sum(1 + self.config[name]["failures"] for name, _ in self.deliveries())


class Jobs(list[JobState]):
    """An instrument that lists the jobs that begin: what a handler finds its own job in."""

    def job_start(self, job: JobState) -> None:
        self.append(job)


def collect(into: list[Any]) -> Callable[..., None]:
    """A handler that appends ``n`` to a list."""

    def handler(n: Any) -> None:
        into.append(n)

    return handler


def start_threads(*targets: Callable[[], object]) -> list[threading.Thread]:
    """Start a thread for each target."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    return threads


def join(threads: Iterable[threading.Thread]) -> None:
    """Wait for threads to end."""
    for thread in threads:
        thread.join()


def endings(job: JobState, routine_id: str | None = None) -> list[str]:
    """What has become of a job's activations, or of one routine's, in the order of the history."""
    return [row.event_name for row in job.get_execution_history(routine_id) if row.kind == "activation"]


def busy(flow: Flow) -> int:
    """How many handlers of a flow's steps are at work."""
    return sum(step.busy for step in flow.routines.values() if isinstance(step, Step))


def delivered(job: JobState) -> list[tuple[str, str]]:
    """What a job's handlers have logged, sorted."""
    return sorted((entry["routine"], entry["token"]) for entry in job.get_shared_log())


def random_beats(most: int = 4) -> None:
    """Sleep for a whole number of beats, or not at all."""
    time.sleep(random.randint(0, most) * BEAT)


def pause_and_resume(flow: Flow, job: JobState, times: int = 2) -> None:
    """Stop a job and let it go on, at random moments."""
    for _ in range(times):
        random_beats()
        if flow.pause(job, reason="a test"):
            random_beats(1)
            resume(flow, job)


def resume(flow: Flow, job: JobState) -> None:
    """Let a job go on, unless it has ended."""
    try:
        flow.resume(job)
    except JobStatusError:
        assert job.status in {"completed", "failed", "cancelled"}


def wait(flow: Flow, *jobs: JobState) -> None:
    """Wait for jobs."""
    for job in jobs:
        assert JobState.wait_for_completion(flow, job)


def choose(*actions: Callable[[], Any]) -> Any:
    """Do one of several things."""
    return random.choice(actions)()
