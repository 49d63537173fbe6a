"""Small broken programs, and how long ours and others look until one breaks; and how long a proof takes.

Each measurement is made in a process of its own, like those of `benchmarks.steering`:
``python -m benchmarks.hunting TOOL find PROBLEM`` (or ``start``) and ``... TOOL exhaust TASKS`` print seconds and
executions.
A problem is written once, as state, workers and what must hold of the state at the end; each tool is handed that in its
own way, with its own defaults. Each tool has run once before the clock starts: what it imports and patches in a process
is a figure of its own.
"""

import functools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks import steering
from benchmarks.simulated import Counter, Program, locked_counters, run_all

MOST = 10_000
"""Executions before a tool gives up."""


class Found(NamedTuple):
    """Real seconds and executions until the first failure, or the end of the search; nan if nothing was found."""

    seconds: float
    executions: float


class Problem(NamedTuple):
    """State, the threads that work on it, and what must hold when they have ended."""

    setup: Callable[[], Any]
    workers: Sequence[Callable[[Any], object]]
    holds: Callable[[Any], bool]


class Tally:
    """A number without a lock."""

    def __init__(self) -> None:
        self.value = 0

    def add(self) -> None:
        value = self.value
        self.value = value + 1


class Account:
    """Tests and then takes, each under the lock, but not both."""

    def __init__(self) -> None:
        self.balance = 100
        self.lock = threading.Lock()

    def withdraw(self) -> None:
        with self.lock:
            enough = self.balance >= 80
        if enough:
            with self.lock:
                self.balance -= 80


class Lazy:
    """Makes its one resource when first asked."""

    def __init__(self) -> None:
        self.resource: object = None
        self.made = 0

    def get(self) -> object:
        if self.resource is None:
            self.made += 1
            self.resource = object()
        return self.resource


class Mailbox:
    """Says that something is there before it is."""

    def __init__(self) -> None:
        self.is_full = False
        self.letter = ""
        self.seen = "nothing yet"

    def post(self) -> None:
        self.is_full = True
        self.letter = "hello"

    def look(self) -> None:
        if self.is_full:
            self.seen = self.letter


class Forks:
    """Two locks, taken in opposite orders."""

    def __init__(self) -> None:
        self.left, self.right = threading.Lock(), threading.Lock()

    def eat(self) -> None:
        with self.left, self.right:
            pass

    def eat_the_other_way(self) -> None:
        with self.right, self.left:
            pass


class Cache:
    """Computes what it does not hold, and counts that it has."""

    def __init__(self) -> None:
        self.entries: dict[str, int] = {}
        self.computed: list[str] = []

    def get(self) -> int:
        if "key" not in self.entries:
            self.computed.append("key")
            self.entries["key"] = 1
        return self.entries["key"]


class Pair:
    """Two numbers that are to be equal whenever somebody looks, set one after the other by several threads."""

    def __init__(self) -> None:
        self.first = self.second = 0
        self.is_torn = False

    def put(self) -> None:
        self.first = 1
        self.second = 1

    def look(self) -> None:
        first, second = self.first, self.second
        if first != second and second:
            self.is_torn = True


def _empty_or_greeting(box: Mailbox) -> bool:
    return box.seen in {"nothing yet", "hello"}


PROBLEMS = {
    "lost update": Problem(Tally, [Tally.add] * 2, lambda tally: tally.value == 2),
    "check, then act": Problem(Account, [Account.withdraw] * 2, lambda account: account.balance >= 0),
    "lazy initialization": Problem(Lazy, [Lazy.get] * 2, lambda lazy: lazy.made == 1),
    "order": Problem(Mailbox, [Mailbox.post, Mailbox.look], _empty_or_greeting),
    "deadlock": Problem(Forks, [Forks.eat, Forks.eat_the_other_way], lambda _: True),
    "cache": Problem(Cache, [Cache.get] * 3, lambda cache: len(cache.computed) == 1),
    "torn pair": Problem(Pair, [Pair.put] * 3 + [Pair.look], lambda pair: not pair.is_torn),
}


def program_of(problem: Problem) -> Program:
    """The problem as a program."""

    def program() -> None:
        state = problem.setup()
        run_all([threading.Thread(target=worker, args=(state,)) for worker in problem.workers])
        assert problem.holds(state)

    return program


def find_with_ours(problem: Problem) -> Found:
    """With the default strategy, until the failing schedule has ended: it is replayed and shrunk afterwards."""
    from routilux_sim import explore

    ends: list[float] = []
    began = time.perf_counter()
    report = explore(program_of(problem), schedules=MOST, progress=lambda _: ends.append(time.perf_counter()))
    return Found(ends[-1] - began, report.schedules) if report.verdict == "failed" else NOTHING


NOTHING = Found(float("nan"), MOST)


def find_with_frontrun(problem: Problem, strategy: str) -> Found:
    """Without its replays of a failure, and without its watch on input and output, so that it is faster."""
    from frontrun import explore

    began = time.perf_counter()
    result = explore(
        setup=problem.setup,
        workers=list(problem.workers),
        invariant=problem.holds,
        strategy=strategy,
        reproduce_on_failure=0,
        detect_io=False,
        **{"max_attempts" if strategy == "random" else "max_executions": MOST},
    )
    seconds = time.perf_counter() - began
    return NOTHING if result.property_holds else Found(seconds, result.num_explored)


def find_with_interleave_test(problem: Problem) -> Found:
    """The program that ours runs."""
    from interleave_test import explore

    began = time.perf_counter()
    result = explore(program_of(problem), iterations=MOST, seed=0)
    seconds = time.perf_counter() - began
    return NOTHING if result.ok else Found(seconds, result.schedules_run)


def exhaust_with_ours(tasks: int) -> Found:
    """Every order that matters of so many tasks on a locked counter."""
    from routilux_sim import explore

    began = time.perf_counter()
    report = explore(locked_counters(tasks), schedules=MOST, strategy="dpor")
    seconds = time.perf_counter() - began
    assert report.verdict == "exhausted", report
    return Found(seconds, report.schedules)


def exhaust_with_frontrun(tasks: int) -> Found:
    """The same, without a bound on preemptions, as ours has none."""
    from frontrun import explore

    began = time.perf_counter()
    result = explore(
        setup=Counter,
        workers=Counter.add,
        count=tasks,
        invariant=lambda counter: counter.total == tasks,
        max_executions=MOST,
        preemption_bound=None,
        detect_io=False,
    )
    seconds = time.perf_counter() - began
    assert result.property_holds
    return Found(seconds, result.num_explored)


FINDERS: dict[str, Callable[[Problem], Found]] = {
    "ours": find_with_ours,
    "frontrun": functools.partial(find_with_frontrun, strategy="dpor"),
    "frontrun, at random": functools.partial(find_with_frontrun, strategy="random"),
    "interleave-test": find_with_interleave_test,
}
EXHAUSTERS: dict[str, Callable[[int], Found]] = {"ours": exhaust_with_ours, "frontrun": exhaust_with_frontrun}


def find(tool: str, problem: str) -> Found:
    """How long a tool looks for what breaks a problem, in a fresh process.

    Raises:
        steering.AbsentError: It is not installed, or failed.
    """
    return Found(*steering.ask("benchmarks.hunting", tool, "find", problem))


def start(tool: str) -> Found:
    """How long the first failure takes that a process looks for; otherwise as `find`."""
    return Found(*steering.ask("benchmarks.hunting", tool, "start", "lost update"))


def exhaust(tool: str, tasks: int) -> Found:
    """How long it takes to run every order of so many tasks on a locked counter; otherwise as `find`."""
    return Found(*steering.ask("benchmarks.hunting", tool, "exhaust", str(tasks)))


FAMILIAR = Problem(Counter, [Counter.add] * 2, lambda counter: counter.total == 3)
"""Fails at once, which ends what comes before a measurement."""


def main(tool: str, what: str, of: str) -> None:
    """Measure, and print the two numbers."""
    if what != "start":
        FINDERS[tool](FAMILIAR)
    print(*(EXHAUSTERS[tool](int(of)) if what == "exhaust" else FINDERS[tool](PROBLEMS[of])))


if __name__ == "__main__":
    main(*sys.argv[1:])
