"""What routilux costs apart from time an activation: lateness, memory, import time, coroutines that sleep.

Each function measures one thing and returns a number; none knows a goal. A figure that there is no way to have yet is
`UnsupportedError`.
"""

import gc
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Event

from benchmarks.flows import Sink, run_job
from routilux import Flow, JobState, Routine

FORBIDDEN = ("structlog", "asyncio", "logging", "click", "rich", "sqlite3")
"""What ``import routilux`` must not bring in."""

FIRST_INT = 1_000
"""Small integers exist once an interpreter; from here on each is an object, as a real payload would be."""


class UnsupportedError(Exception):
    """This routilux cannot do what was to be measured."""


def waiting_lateness(repeats: int) -> float:
    """Milliseconds from the end of a job's last handler to the return of ``wait_for_completion``, the median."""
    ended: list[int] = []

    class Stamp(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", self.stamp)

        def stamp(self):
            time.sleep(0.0005)
            ended.append(time.perf_counter_ns())

    late = []
    with Flow(execution_strategy="concurrent") as flow:
        flow.add_routine(Stamp(), "stamp")
        for _ in range(repeats):
            run_job(flow, "stamp")
            late.append(time.perf_counter_ns() - ended[-1])
    return median(late) / 1e6


def traced_growth(work: Callable[[], object]) -> int:
    """Bytes that are allocated and not freed by ``work``, while nothing else runs."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


def bytes_a_queued_event(count: int) -> float:
    """Bytes for each event that waits in the queue: its payload of one integer, books and history included.

    The only worker is the one that emits, so nothing is taken from the queue meanwhile.
    """
    grown: list[int] = []

    class Burst(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", self.burst)
            self.define_event("out")

        def burst(self):
            # The first is not counted: it makes what there is one of, however many follow.
            self.emit("out", i=FIRST_INT)
            grown.append(traced_growth(self.emit_all))

        def emit_all(self):
            for i in range(FIRST_INT, FIRST_INT + count):
                self.emit("out", i=i)

    with Flow(execution_strategy="concurrent", max_workers=1) as flow:
        flow.add_routine(Burst(), "burst")
        flow.add_routine(Sink(), "sink")
        flow.connect("burst", "out", "sink", "in")
        run_job(flow, "burst")
    return grown[0] / count


def bytes_a_submitted_call(count: int) -> float:
    """The same for ``ThreadPoolExecutor.submit`` behind a worker that is busy."""
    free, busy = Event(), Event()

    def block() -> None:
        busy.set()
        free.wait()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(block)
        busy.wait()

        def submit_all() -> None:
            for i in range(FIRST_INT, FIRST_INT + count):
                pool.submit(abs, i)

        try:
            return traced_growth(submit_all) / count
        finally:
            free.set()


def sleeping_coroutines(count: int, seconds: float) -> float:
    """Seconds from ``execute`` to the end of a job in which ``count`` coroutine handlers sleep, all at once.

    Raises:
        UnsupportedError: Handlers cannot be ``async def``.
    """
    import asyncio

    class Sleeper(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("in", self.doze)

        async def doze(self, i):
            await asyncio.sleep(seconds)

    class Waker(Routine):
        def __init__(self):
            super().__init__()
            self.define_slot("trigger", self.start)
            self.define_event("out")

        def start(self):
            for i in range(count):
                self.emit("out", i=i)

    try:
        sleeper = Sleeper()
    except TypeError as refusal:
        raise UnsupportedError(str(refusal)) from None
    with Flow(execution_strategy="concurrent") as flow:
        flow.add_routine(Waker(), "waker")
        flow.add_routine(sleeper, "sleeper")
        flow.connect("waker", "out", "sleeper", "in")
        began = time.perf_counter()
        job = flow.execute("waker")
        assert JobState.wait_for_completion(flow, job, timeout=count * seconds + 60)
        took = time.perf_counter() - began
    assert job.status == "completed", job.error
    return took


def _python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` as its own process would be run by a user: with bytecode written at the first run, read later."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603 - ourselves


def import_milliseconds(module: str, repeats: int) -> float:
    """What importing ``module`` adds to the interpreter's start: difference of medians, taken in turn."""

    def seconds(code: str) -> float:
        began = time.perf_counter()
        _python(code)
        return time.perf_counter() - began

    seconds(f"import {module}")
    pairs = [(seconds("pass"), seconds(f"import {module}")) for _ in range(repeats)]
    plain, loaded = zip(*pairs, strict=True)
    return (median(loaded) - median(plain)) * 1e3


def forbidden_imports() -> list[str]:
    """Which of the modules in `FORBIDDEN` come with ``import routilux``."""
    listing = "import sys; before = set(sys.modules); import routilux; print(*set(sys.modules) - before)"
    return sorted(set(FORBIDDEN).intersection(_python(listing).stdout.split()))


def dearest_imports(most: int) -> list[tuple[str, float]]:
    """The modules in which ``import routilux`` spends most time, with milliseconds of their own."""
    _python("import routilux")
    lines = _python("import sys; print('from here', file=sys.stderr); import routilux", "-X", "importtime").stderr
    rows = [line.split("|") for line in lines.partition("from here\n")[2].splitlines()]
    spent = [(name.strip(), int(own.partition(":")[2]) / 1e3) for own, _, name in rows]
    return sorted(spent, key=lambda row: -row[1])[:most]
