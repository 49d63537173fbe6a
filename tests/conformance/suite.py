"""What of CPython's tests is run, what is expected of each, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

LEFT_OUT = "left out"
FIRST_ORDER = "first order"
HEAVY = "heavy"

PASSES_ALL_THE_SAME = {HEAVY: "passes, under fewer orders", FIRST_ORDER: "passes, if the first come first"}

FIFO = "fifo"

_FUTURES = "test.test_concurrent_futures"
_ASYNCIO = "test.test_asyncio"

MODULES: dict[str, str] = {
    "test.test_thread": ".*",
    "test.test_threading": ".*",
    "test.test_threading_local": ".*",
    "test.test_queue": ".*",
    "test.test_sched": ".*",
    f"{_FUTURES}.test_as_completed": ".*",
    f"{_FUTURES}.test_deadlock": ".*",
    f"{_FUTURES}.test_future": ".*",
    f"{_FUTURES}.test_init": ".*",
    f"{_FUTURES}.test_process_pool": ".*",
    f"{_FUTURES}.test_shutdown": ".*",
    f"{_FUTURES}.test_thread_pool": ".*",
    f"{_FUTURES}.test_wait": ".*",
    f"{_ASYNCIO}.test_context": ".*",
    f"{_ASYNCIO}.test_eager_task_factory": ".*",
    f"{_ASYNCIO}.test_futures": ".*",
    f"{_ASYNCIO}.test_futures2": ".*",
    f"{_ASYNCIO}.test_locks": ".*",
    f"{_ASYNCIO}.test_pep492": ".*",
    f"{_ASYNCIO}.test_queues": ".*",
    f"{_ASYNCIO}.test_runners": ".*",
    f"{_ASYNCIO}.test_staggered": ".*",
    f"{_ASYNCIO}.test_taskgroups": ".*",
    f"{_ASYNCIO}.test_tasks": ".*",
    f"{_ASYNCIO}.test_threads": ".*",
    f"{_ASYNCIO}.test_timeouts": ".*",
    f"{_ASYNCIO}.test_waitfor": ".*",
    # Of these only what is about threads.
    "test.test_context": ".*thread.*",
    "test.test_contextlib": r"LockContext.*",
    "test.test_functools": r"(TestLRU|TestCachedProperty).*",
    "test.test_logging": r"(QueueHandler|QueueListener|Handler|MemoryHandler|Formatter|LogRecord)Test\..*",
    "test.test_threadedtempfile": ".*",
}
"""By module, which of its tests, as a regular expression for ``Class.method``; `test.lock_tests` is part of others."""


class Expectation(NamedTuple):
    """What becomes of a test that is not simply to pass."""

    what: str
    reason: str
    tried: bool


class Group(NamedTuple):
    """One entry of ``left_out.toml``."""

    expectation: Expectation
    patterns: list[str]


def groups() -> list[Group]:
    """The entries of ``left_out.toml`` that are about the running Python."""
    document = tomllib.loads((HERE / "left_out.toml").read_text(encoding="utf-8"))
    return [
        Group(Expectation(entry["what"], entry["reason"], entry.get("tried", True)), entry["tests"])
        for entry in document["group"]
        if VERSION in entry.get("python", [VERSION])
    ]


def expectations(test: str) -> list[Expectation]:
    """What the groups say about ``module Class.method``: at most one may say anything."""
    return [group.expectation for group in groups() if any(fnmatchcase(test, pattern) for pattern in group.patterns)]


class Result(NamedTuple):
    """What came of one test; ``schedule`` is the last one that was tried, ``fifo`` or a seed."""

    test: str
    expectation: Expectation | None
    outcome: str
    reason: str
    schedule: str
    seconds: float

    @property
    def problem(self) -> str | None:
        """What is wrong; None if it is as expected."""
        what = "" if self.expectation is None else self.expectation.what
        may_fail = what == LEFT_OUT or (what == FIRST_ORDER and self.schedule != FIFO)
        if self.outcome == "fails" and not may_fail:
            return f"{self.test} fails under {self.schedule}:\n{self.reason}"
        if self.outcome == "passes" and may_fail:
            return f"{self.test} passes, though listed as {what!r}: take it off that list"
        return None

    def __str__(self) -> str:
        expected = self.expectation
        if expected is not None:
            says = f"{PASSES_ALL_THE_SAME.get(expected.what, expected.what)}: {expected.reason}"
        elif self.outcome == "skips itself":
            says = f"skips itself: {' '.join(self.reason.split())}"
        else:
            says = self.outcome
        return f"{self.test}  {says}"


class MissingError(Exception):
    """The interpreter does not ship a module, or it does not want to run here."""


def run(module: str, directory: Path, seeds: list[int], *, everything: bool = False) -> list[Result]:
    """Run a module's tests, in a process of its own.

    Args:
        module: One of `MODULES`.
        directory: For a temporary file.
        seeds: Of random schedules, after one where the first come first.
        everything: Run what is heavy, or counts on an order, under all of them too.

    Raises:
        MissingError: There is nothing to run.
    """
    to = directory / f"{module}.json"
    plan = {
        "module": module,
        "tests": MODULES[module],
        "groups": [
            {"patterns": group.patterns, "what": group.expectation.what, "tried": group.expectation.tried}
            for group in groups()
        ],
        "seeds": seeds,
        "everything": everything,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.conformance.running", to],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(to.read_text(encoding="utf-8"))
    if "missing" in found:
        raise MissingError(found["missing"])
    return [_result(f"{module} {test}", **entry) for test, entry in found["tests"].items()]


def _result(test: str, **entry: Any) -> Result:
    expected = expectations(test)
    assert len(expected) <= 1, f"{test} is in two groups: {expected}"
    return Result(test, expected[0] if expected else None, **entry)


def listing() -> Path:
    """Where the list for the running interpreter is, if there is one."""
    return HERE / "lists" / f"{sys.version.split()[0]}.txt"


def listed(path: Path) -> list[str]:
    """The lines of a list, each with its module."""
    lines = []
    module = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            module = line.removeprefix("== ")
        elif line and not line.startswith("#"):
            lines.append(f"{module} {line}")
    return lines


def listing_of(results: list[Result]) -> str:
    """What to write there: under the name of each module, its tests."""
    lines = sorted(map(str, results))
    passing = sum("  passes" in line for line in lines)
    text = [
        f"# CPython {sys.version.split()[0]}: {passing} of {len(lines)} tests pass in the simulator.",
        "# Written by python -m tests.conformance --write, and compared with what happens whenever the tests run.",
    ]
    module = ""
    for line in lines:
        name, rest = line.split(" ", 1)
        if name != module:
            module = name
            text += ["", f"== {module}"]
        text.append(rest)
    return "\n".join([*text, ""])
