"""Routines that can be sent anywhere: of a module, without a constructor's arguments, and with nothing shared.

What a handler has done is in its job's shared log, which comes home with its outcome.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from routilux import Routine


class BoomError(Exception):
    """What handlers raise; made from two arguments, and said with one."""

    def __init__(self, routine_id: str, number: int) -> None:
        super().__init__(f"{routine_id} failed")
        self.number = number


def note(routine: Routine, **entry: object) -> None:
    """Put something in the log of the job at hand."""
    found = routine.get_execution_context()
    found.job_state.append_to_shared_log({"routine": found.routine_id, **entry})


class Source(Routine):
    """Emits the numbers below ``n``."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.entry = self.define_slot("trigger", handler=self.go)
        self.out = self.define_event("out", ["n"])

    def go(self, n: int = 3) -> None:
        for each in range(n):
            self.emit("out", n=each)


class Step(Routine):
    """Naps, fails as often as it is told to, notes what it was given and passes it on."""

    stateless = True
    limit: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.entry = self.define_slot("in", handler=self.work, max_concurrency=self.limit)
        self.out = self.define_event("out", ["n"])

    def work(self, n: int) -> None:
        time.sleep(self.get_config("nap", 0.0))
        self.finish(n)

    def finish(self, n: int) -> None:
        number = int(self.get_activation_id().rpartition("/")[2])
        if n in self.get_config("bad", ()):
            raise BoomError(self.get_execution_context().routine_id, number)
        note(self, n=n)
        self.emit("out", n=n)


class AsyncStep(Step):
    """The same, awaited."""

    async def work(self, n: int) -> None:  # type: ignore[override]
        await asyncio.sleep(self.get_config("nap", 0.0))
        self.finish(n)


class Turns(Step):
    """One at a time, although it has no state."""

    limit = 1

    def work(self, n: int) -> None:
        began = time.monotonic()
        time.sleep(self.get_config("nap", 0.0))
        note(self, n=n, began=began, ended=time.monotonic())


class Flaky(Step):
    """Fails in its first ``failures`` attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.handler_of_errors = None

    def work(self, n: int) -> None:
        attempts = self.get_config("failures", 1)
        from routilux.engine import context  # noqa: PLC0415 - which attempt it is, no public name says

        if context.current()[5] <= attempts:
            raise BoomError("flaky", n)
        self.finish(n)


class Counter(Routine):
    """Has state: each activation finds what the one before it has left."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.define_slot("in", handler=self.add)
        self.define_event("out", ["count"])

    def add(self, n: int) -> None:
        count = len(self.seen)
        time.sleep(self.get_config("nap", 0.0))
        self.seen.append(n)
        assert len(self.seen) == count + 1
        note(self, n=n, count=count + 1)
        self.emit("out", count=count + 1)


class Gatherer(Routine):
    """Gets lists of everything that has come so far."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("in", handler=self.look, merge_strategy="append")

    def look(self, n: list[int]) -> None:
        note(self, n=list(n))
        n.append(-1)  # its own copy


class Reporter(Routine):
    """Sends outputs."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.report)

    def report(self, n: int = 3) -> None:
        for each in range(n):
            self.send_output("progress", n=each)
        found = self.get_execution_context()
        found.job_state.update_shared_data("reported", n)
        found.job_state.update_routine_state(found.routine_id, {"reports": n})


class Flood(Routine):
    """Emits more than a small flow may have queued, and notes each try."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("out", ["n"])

    def go(self, n: int) -> None:
        for each in range(n):
            self.emit("out", n=each)


class Killer(Step):
    """Kills its own process at the first attempt of each fatal number; notes each try in a file."""

    def work(self, n: int) -> None:
        folder = Path(self.get_config("folder"))
        name = self.get_activation_id().replace("/", "-")
        tries = folder / name
        with tries.open("a") as file:
            file.write("x")
        if n in self.get_config("fatal", ()) and len(tries.read_text()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.finish(n)
