"""Runs one of CPython's test modules in the simulator: each test is a program of its own, under several schedules.

To be run as a process of its own, which these modules may change as they like: their imports patch and measure things,
and some of their tests leave traces. Prints nothing; what came of it goes to a file.
"""

from __future__ import annotations

import importlib
import json
import queue
import re
import sys
import time
import unittest
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from routilux_sim import simulate
from tests.conformance.suite import FIFO, FIRST_ORDER, HEAVY, LEFT_OUT

MAX_STEPS = 1_000_000
HANG_SECONDS = 20.0

# Of what is left out, most of which escapes at once.
FEW_STEPS = 20_000
SHORT_HANG = 1.0


def classes_of(module: Any) -> Iterator[tuple[str, type[unittest.TestCase]]]:
    """The test classes that a module holds, by the names it has for them."""
    for name, value in sorted(vars(module).items()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and name == value.__name__:
            yield name, value


def tests_of(module: Any) -> Iterator[tuple[str, type[unittest.TestCase], str]]:
    """Each test as ``Class.method``, with its class and method."""
    for name, kind in classes_of(module):
        for method in unittest.defaultTestLoader.getTestCaseNames(kind):
            yield f"{name}.{method}", kind, method


def outcome_of(result: unittest.TestResult, error: BaseException | None, support: Any) -> tuple[str, str]:
    """What came of a test in one execution, and why."""
    problems = [text for _, text in result.errors + result.failures]
    if error is not None:
        return "fails", f"{type(error).__name__}: {error}"
    if problems:
        return "fails", problems[0]
    if result.unexpectedSuccesses:
        return "fails", "it is expected to fail, and did not"
    if support.environment_altered:
        return "fails", "it left threads behind"
    if result.skipped:
        return "skips itself", result.skipped[0][1]
    return "passes", ""


class Plan:
    """What is to be run, as `tests.conformance.suite` says it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.module: str = options["module"]
        self._wanted = re.compile(options["tests"])
        self._groups: list[dict[str, Any]] = options["groups"]
        self._seeds: list[int] = options["seeds"]
        self._everything: bool = options["everything"]

    def tests(self, module: Any) -> list[tuple[str, type[unittest.TestCase], str]]:
        """The module's tests, those last that are left out: what is broken off in the midst may leave a mess."""
        tests = [test for test in tests_of(module) if self._wanted.fullmatch(test[0])]
        return sorted(tests, key=lambda test: self.what(test[0]) == LEFT_OUT)

    def _group(self, test: str) -> dict[str, Any]:
        name = f"{self.module} {test}"
        fitting = (group for group in self._groups if any(fnmatchcase(name, text) for text in group["patterns"]))
        return next(fitting, {"what": "", "tried": True})

    def what(self, test: str) -> str:
        """What is to become of a test."""
        return str(self._group(test)["what"])

    def is_tried(self, test: str) -> bool:
        """Whether to run it at all."""
        return bool(self._group(test)["tried"])

    def seeds(self, test: str) -> list[int | None]:
        """Under which schedules; None: first come, first served."""
        if self.what(test) in {FIRST_ORDER, HEAVY} and not self._everything:
            return [None]
        return [None, *self._seeds]


def run_test(kind: type[unittest.TestCase], method: str, seeds: list[int | None], hopeful: bool, support: Any) -> Any:
    """Run a test under each schedule until it does not pass."""
    began = time.perf_counter()
    outcome, reason, schedule = "passes", "", ""
    for seed in seeds:
        schedule = FIFO if seed is None else f"seed {seed}"
        support.environment_altered = False
        result = unittest.TestResult()
        suite = unittest.TestSuite([kind(method)])
        try:
            execution = simulate(
                lambda suite=suite, result=result: suite.run(result),
                strategy="fifo" if seed is None else "random",
                seed=seed or 0,
                max_steps=MAX_STEPS if hopeful else FEW_STEPS,
                hang_seconds=HANG_SECONDS if hopeful else SHORT_HANG,
                log=False,
            )
            error, is_only_one = execution.error, execution.is_only_one
        except KeyboardInterrupt as interruption:
            error, is_only_one = interruption, True
        outcome, reason = outcome_of(result, error, support)
        if outcome != "passes" or is_only_one:
            break
    seconds = round(time.perf_counter() - began, 4)
    return {"outcome": outcome, "reason": reason, "schedule": schedule, "seconds": seconds}


def run_module(plan: Plan) -> dict[str, Any]:
    """Run a module's tests; return what came of each, by ``Class.method``, or why there is nothing to run."""
    try:
        support = importlib.import_module("test.support")
        module = importlib.import_module(plan.module)
    except (ImportError, unittest.SkipTest) as error:
        return {"missing": f"{type(error).__name__}: {error}"}
    support.verbose = False
    # What takes long on a real clock takes none here; the network stays out.
    support.use_resources = {"cpu": None, "walltime": None}
    # Nobody has child processes here: asking for them would escape.
    support.reap_children = lambda: None
    FITTINGS.get(plan.module, lambda _: None)(module)
    found = {}
    for test, kind, method in plan.tests(module):
        if plan.is_tried(test):
            hopeful = plan.what(test) != LEFT_OUT
            found[test] = run_test(kind, method, plan.seeds(test), hopeful, support)
        else:
            found[test] = {"outcome": "not tried", "reason": "", "schedule": "", "seconds": 0.0}
    return {"tests": found}


def _with_the_real_queue(module: Any) -> None:
    """The module imports a second ``queue`` and ``_queue``; what programs use is the first."""
    module.c_queue = queue
    for _, kind in classes_of(module):
        if kind.__name__.startswith("C"):
            kind.queue = queue  # type: ignore[attr-defined]


FITTINGS: dict[str, Callable[[Any], None]] = {"test.test_queue": _with_the_real_queue}
"""What must be done to a module for its tests to be about what is simulated."""


def main() -> None:
    """Read what to run, as JSON, and write what came of it to the file that the command line names."""
    found = run_module(Plan(json.load(sys.stdin)))
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
