"""A million activations over two hundred jobs on real threads, under every error strategy: none stuck, memory flat.

Jobs run in crowds of ten over one flow, with the interpreter told to switch threads every ten microseconds. Between
crowds nothing runs, so what is in use then is what the engine has kept. Ends with 1 and a sentence when

* a job does not end in time,
* what became of its activations does not add up to how many there were, or is not what its handlers did,
* a handler ran for an item twice, or for one never,
* a thread is left after the flow's shutdown,
* more memory is in use at the end than after the first fifth, beyond the growth allowed.

    python -m benchmarks.soak [--short]
"""

import argparse
import faulthandler
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.progress import Progress
from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine

WORKERS = 8
CROWD = 10
STOP_EVERY = 20
"""One job in so many is to fail halfway."""

SWITCH_INTERVAL = 1e-5
PATIENCE = 60.0
"""Seconds until a job that has not ended is stuck."""

FLAT_MEGABYTES = 24
"""Growth of resident memory allowed from the first fifth to the end: what a crowd may have queued at once, since memory
once used is given back by whole pages only. A leak of thirty bytes an activation is more."""

FLAT_BLOCKS = 0.01
"""Growth of the number of live blocks allowed, as a fraction; the interpreter counts them exactly."""

RETRY_EVERY, FAIL_EVERY = 5, 3
ENDS = ("completed", "failed", "error_continued", "skipped")
BRANCHES = ("plain", "careless", "lenient", "stubborn")


class Raised(Exception):  # noqa: N818 - what the handlers raise is no error of this program
    """What handlers raise on purpose."""


class Faulty(Exception):  # noqa: N818 - a finding
    """What the soak has found; its text says what."""


class Stuck(Faulty):
    """A job has not ended, or a thread: what each thread is at is of interest."""


@dataclass
class Task:
    """One job's orders, which its events carry, and what its handlers did.

    Attributes:
        number: Which job.
        items: How many items its source emits; each meets a relay, and then one of the branches.
        fatal: The item at which a handler fails the job, if any.
        handled: The items that a branch's handler ended with, however it ended.
        tried: The items that a handler has asked to be tried again.
    """

    number: int
    items: int
    fatal: int | None
    handled: list[int] = field(default_factory=list)
    tried: set[int] = field(default_factory=set)

    @property
    def activations(self) -> int:
        """How many there are unless the job fails."""
        return 1 + 2 * self.items


class Source(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.start)
        self.define_event("out")

    def start(self, task):
        for item in range(task.items):
            self.emit("out", task=task, item=item)


class Relay(Routine):
    """Sends each item down one branch."""

    def __init__(self):
        super().__init__()
        self.define_slot("in", self.relay)
        for branch in BRANCHES:
            self.define_event(branch)

    def relay(self, task, item):
        if item == task.fatal:
            raise Raised(f"job {task.number} is to fail at item {item}")
        self.emit(BRANCHES[item % len(BRANCHES)], task=task, item=item)


class Branch(Routine):
    """Raises for some items: always, or the first time if it is to be retried."""

    def __init__(self):
        super().__init__()
        self.define_slot("in", self.take)

    def take(self, task, item):
        if self.get_error_handler() is not None and self.raises(task, item):
            raise Raised(f"item {item}")
        task.handled.append(item)

    @staticmethod
    def raises(task, item):
        if item % FAIL_EVERY:
            return False
        task.handled.append(item)
        return True


class Stubborn(Branch):
    """Is retried, and does not raise the second time."""

    @staticmethod
    def raises(task, item):
        if item % RETRY_EVERY or item in task.tried:
            return False
        task.tried.add(item)
        return True


def make_flow(most_activations: int) -> Flow:
    """One source, a relay, and a branch an error strategy; only the relay's errors stop a job."""
    # Every record is kept while a job is looked at: an activation has two, and one more when it is retried.
    flow = Flow(execution_strategy="concurrent", max_workers=WORKERS, history_limit=3 * most_activations + 10)
    flow.add_routine(Source(), "source")
    flow.add_routine(Relay(), "relay")
    flow.connect("source", "out", "relay", "in")
    handlers = {
        "plain": None,
        "careless": ErrorHandler(ErrorStrategy.CONTINUE),
        "lenient": ErrorHandler(ErrorStrategy.SKIP),
        "stubborn": ErrorHandler(ErrorStrategy.RETRY, max_retries=2, retry_delay=0.0002, retry_backoff=1.0),
    }
    for name, handler in handlers.items():
        routine = Stubborn() if name == "stubborn" else Branch()
        routine.set_error_handler(handler)
        flow.add_routine(routine, name)
        flow.connect("relay", name, name, "in")
    return flow


def count_ends(flow: Flow, job: JobState) -> Counter[str]:
    """What became of a job's activations, and how many retries there were, by the tracker; drops by the history."""
    ends: Counter[str] = Counter()
    for routine_id in flow.routines:
        performance = flow.execution_tracker.get_routine_performance(routine_id, job)
        if performance is not None:
            ends.update({name: performance[name] for name in (*ENDS, "retries")})
    # A job that has completed has dropped nothing, or the sum will say so; reading a history takes its time.
    if job.status != "completed":
        ends["dropped"] = sum(
            record.kind == "activation" and record.event_name == "dropped" for record in job.execution_history
        )
    return ends


def expected_ends(task: Task) -> Counter[str]:
    """What becomes of a job's activations when none fails it."""
    failing = Counter(BRANCHES[i % 4] for i in range(0, task.items, FAIL_EVERY))
    retried = sum(BRANCHES[i % 4] == "stubborn" for i in range(0, task.items, RETRY_EVERY))
    continued, skipped = failing["careless"], failing["lenient"]
    return +Counter(
        completed=task.activations - continued - skipped, error_continued=continued, skipped=skipped, retries=retried
    )


def check(flow: Flow, job: JobState, task: Task) -> int:
    """See that a job that is over did what it should have; return how many activations it had.

    Raises:
        Faulty: It did not.
    """
    ends = count_ends(flow, job)
    activations = 1 + int(flow.execution_tracker.get_flow_performance(job)["total_events"])
    told = f"job {task.number} ({job.status}): {dict(ends)}"
    if sum(ends.values()) - ends["retries"] != activations:
        raise Faulty(f"{told} do not add up to its {activations} activations")
    if len(set(task.handled)) != len(task.handled):
        doubled = [item for item, times in Counter(task.handled).items() if times > 1]
        raise Faulty(f"{told}: handled more than once: items {doubled[:10]}")
    if task.fatal is not None:
        if job.status != "failed" or not isinstance(job.error, Raised) or not ends["failed"]:
            raise Faulty(f"{told}, error {job.error!r}: it was to fail at item {task.fatal}")
        return activations
    if job.status != "completed":
        raise Faulty(f"{told}, error {job.error!r}: it was to complete")
    if +ends != (expected := expected_ends(task)):
        raise Faulty(f"{told}, where its handlers make it {dict(expected)}")
    if sorted(task.handled) != list(range(task.items)):
        raise Faulty(f"{told}: items never handled: {sorted(set(range(task.items)) - set(task.handled))[:10]}")
    return activations


def make_tasks(numbers: Iterable[int], items: int) -> list[Task]:
    """The orders for some jobs; the last of every `STOP_EVERY` is to fail halfway."""
    return [Task(n, items, None if (n + 1) % STOP_EVERY else items // 2) for n in numbers]


def run_crowd(flow: Flow, tasks: Sequence[Task], patience: float, show: Callable[[int], object]) -> int:
    """Run some jobs at the same time and check each; return how many activations they had.

    Raises:
        Faulty: One did not end within ``patience`` seconds, or not as it should have.
    """
    # For a fault that keeps even this thread from going on.
    faulthandler.dump_traceback_later(patience + 30, exit=True)
    jobs = [flow.execute("source", {"task": task}) for task in tasks]
    deadline = time.monotonic() + patience
    for ended, job in enumerate(jobs):
        show(ended)
        while not JobState.wait_for_completion(flow, job, timeout=min(0.5, patience)):
            if time.monotonic() > deadline:
                raise Stuck(stuck(flow, jobs, tasks, patience))
    faulthandler.cancel_dump_traceback_later()
    return sum(check(flow, job, task) for job, task in zip(jobs, tasks, strict=True))


def stuck(flow: Flow, jobs: Sequence[JobState], tasks: Sequence[Task], patience: float) -> str:
    """Say which jobs have not ended, and what they have queued and running."""
    lines = [f"not ended within {patience:g} s:"]
    for job, task in zip(jobs, tasks, strict=True):
        seen: list[tuple[int, int, str]] = []
        if not JobState.wait_for_completion(
            flow, job, timeout=0, progress_callback=lambda *now, seen=seen: seen.append(now)
        ):
            queued, running, status = seen[-1]
            lines.append(f"  job {task.number} ({status}): {queued} queued, {running} running; {job!r}")
    return "\n".join(lines)


class Memory(NamedTuple):
    """What is in use while nothing runs: megabytes of resident memory (None: unknown), and live blocks."""

    resident: float | None
    blocks: int

    @classmethod
    def now(cls) -> "Memory":
        """Look several times and take the least: a worker may hold the last job for an instant after its end."""
        looks = []
        for _ in range(5):
            gc.collect()
            looks.append(sys.getallocatedblocks())
            time.sleep(0.01)
        statm = Path("/proc/self/statm")
        resident = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.exists() else None
        return cls(resident, min(looks))

    def __str__(self) -> str:
        resident = "" if self.resident is None else f"{self.resident:.1f} MB resident, "
        return f"{resident}{self.blocks:,} blocks"

    def check(self, later: "Memory") -> None:
        """See that ``later`` is no more than this and the growth allowed.

        Raises:
            Faulty: It is.
        """
        grown = later.blocks > self.blocks * (1 + FLAT_BLOCKS)
        if self.resident is not None and later.resident is not None:
            grown = grown or later.resident > self.resident + FLAT_MEGABYTES
        if grown:
            raise Faulty(f"memory grew from {self} after the first fifth to {later} at the end")


def soak(jobs: int, activations: int, patience: float = PATIENCE) -> str:
    """Run the whole; return what there is to say.

    Args:
        jobs: How many.
        activations: How many a job has, about.
        patience: Seconds that a crowd may take.

    Raises:
        Faulty: Something is wrong. The flow is left as it is: to shut it down might take for ever.
    """
    began = time.monotonic()
    progress, warm, total = Progress(), None, 0
    flow = make_flow(activations)

    def show(ended: int) -> None:
        seconds = time.monotonic() - began
        progress.show(f"{first + ended} of {jobs} jobs, {total:,} activations, {seconds:.0f} s")

    for first in range(0, jobs, CROWD):
        total += run_crowd(flow, make_tasks(range(first, min(first + CROWD, jobs)), activations // 2), patience, show)
        if warm is None and first + CROWD >= jobs / 5:
            warm = Memory.now()
    progress.clear()
    last = Memory.now()
    if warm is not None:
        warm.check(last)
    if not flow.shutdown(wait=True, timeout=patience):
        raise Stuck(f"threads of the flow are alive {patience:g} s after its last job")
    return (
        f"{total:,} activations over {jobs} jobs in {time.monotonic() - began:.1f} s: none stuck, all accounted for\n"
        f"memory after the first fifth: {warm}\nmemory at the end:            {last}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Many jobs, many errors, for long.")
    parser.add_argument("--short", action="store_true", help="a quarter of the jobs")
    parser.add_argument("--jobs", type=int, help="how many jobs (200)")
    parser.add_argument("--activations", type=int, default=5_100, help="how many a job (%(default)s)")
    options = parser.parse_args(arguments)
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        print(soak(options.jobs or (50 if options.short else 200), options.activations))
    except Faulty as fault:
        print(f"\nsoak failed: {fault}", file=sys.stderr, flush=True)
        if isinstance(fault, Stuck):
            faulthandler.dump_traceback(all_threads=True)
        # The flow would wait at exit for what may never end.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
