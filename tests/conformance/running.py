"""Runs one of CPython's test modules in the simulator: each test is a program of its own, under several schedules.

To be run as a process of its own, which these modules may change as they like: their imports patch and measure things,
and some of their tests leave traces. Prints nothing; what came of it goes to a file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from routilux_sim import simulate

FIFO = "fifo"
MAX_STEPS = 1_000_000
HANG_SECONDS = 5.0


def classes_of(module: Any) -> Iterator[tuple[str, type[unittest.TestCase]]]:
    """The test classes that a module holds, by the names it has for them."""
    for name, value in sorted(vars(module).items()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and name == value.__name__:
            yield name, value


def tests_of(module: Any, wanted: re.Pattern[str]) -> Iterator[tuple[str, type[unittest.TestCase], str]]:
    """Each test whose ``Class.method`` fits, with its class and method."""
    for name, kind in classes_of(module):
        for method in unittest.defaultTestLoader.getTestCaseNames(kind):
            if wanted.fullmatch(f"{name}.{method}"):
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


def run_test(kind: type[unittest.TestCase], method: str, schedules: list[str], support: Any) -> dict[str, Any]:
    """Run a test under each schedule until it does not pass."""
    began = time.perf_counter()
    outcome, reason, schedule = "passes", "", FIFO
    for schedule in schedules:
        support.environment_altered = False
        result = unittest.TestResult()
        suite = unittest.TestSuite([kind(method)])
        try:
            error = simulate(
                lambda suite=suite, result=result: suite.run(result),
                strategy="fifo" if schedule == FIFO else "random",
                seed=0 if schedule == FIFO else int(schedule),
                max_steps=MAX_STEPS,
                hang_seconds=HANG_SECONDS,
                log=False,
            ).error
        except KeyboardInterrupt as interruption:
            error = interruption
        outcome, reason = outcome_of(result, error, support)
        if outcome != "passes":
            break
    return {
        "outcome": outcome,
        "reason": reason,
        "schedule": schedule,
        "seconds": round(time.perf_counter() - began, 4),
    }


def run_module(name: str, wanted: re.Pattern[str], without: set[str], schedules: list[str]) -> dict[str, Any]:
    """Run a module's tests; return what came of each, by ``Class.method``, or why there is nothing to run."""
    try:
        support = importlib.import_module("test.support")
        module = importlib.import_module(name)
    except (ImportError, unittest.SkipTest) as error:
        return {"missing": f"{type(error).__name__}: {error}"}
    support.verbose = False
    # What takes long on a real clock takes none here; the network stays out.
    support.use_resources = {"cpu": None, "walltime": None}
    # Nobody has child processes here: asking for them would escape.
    support.reap_children = lambda: None
    found = {}
    for test, kind, method in tests_of(module, wanted):
        found[test] = {"outcome": "not tried"} if test in without else run_test(kind, method, schedules, support)
    return {"tests": found}


def main() -> None:
    """Read what to run from the command line, and write what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--tests", default=".*", help="a regular expression for Class.method")
    parser.add_argument("--without", nargs="*", default=[], help="tests not to be tried")
    parser.add_argument("--schedules", nargs="*", default=[FIFO], help="'fifo', or seeds of random ones")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    found = run_module(options.module, re.compile(options.tests), set(options.without), options.schedules)
    options.to.write_text(json.dumps(found), encoding="utf-8")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
