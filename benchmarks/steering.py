"""Other tools that steer threads, on the locked counter: how many schedules a second each explores.

Each runs in a process of its own, because it patches the process or has to be started by its own command:
``python -m benchmarks.steering NAME SCHEDULES`` prints schedules a second. All schedule at random, as ours does by
default, and each program is written as the tool's documentation would have it. A tool that is not installed, or cannot
be on this Python, is left out by name.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fresh import ROOT
from benchmarks.simulated import Counter, locked_counter


class AbsentError(Exception):
    """A tool is not installed here, or does not work here."""


def frontrun(schedules: int) -> float:
    """Two workers on a shared counter, without its watch on input and output, so that it is faster."""
    from frontrun import explore

    began = time.perf_counter()
    result = explore(
        setup=Counter,
        workers=Counter.add,
        count=2,
        invariant=lambda counter: counter.total == 2,
        strategy="random",
        max_attempts=schedules,
        detect_io=False,
    )
    seconds = time.perf_counter() - began
    assert result.property_holds
    return float(result.num_explored / seconds)


def interleave_test(schedules: int) -> float:
    """The very program that ours runs."""
    from interleave_test import explore

    began = time.perf_counter()
    result = explore(locked_counter, iterations=schedules, seed=0)
    seconds = time.perf_counter() - began
    assert result.ok
    return float(result.schedules_run / seconds)


TOOLS: dict[str, Callable[[int], float]] = {"frontrun": frontrun, "interleave-test": interleave_test}
"""By the name of the distribution."""


def rate(name: str, schedules: int) -> float:
    """Schedules a second of a tool, in a fresh process.

    Raises:
        AbsentError: It is not installed, or failed; the last line of what it said is the message.
    """
    return ask("benchmarks.steering", name, str(schedules))[-1]


def ask(module: str, tool: str, *arguments: str) -> list[float]:
    """The numbers that a module prints of a tool, run as a command in a fresh process.

    Raises:
        AbsentError: As for `rate`.
    """
    command = [sys.executable, "-m", module, tool, *arguments]
    if tool.startswith("frontrun"):
        # It refuses to be used in a process that its command has not started.
        starter = Path(sys.executable).with_name("frontrun")
        if not starter.exists():
            raise AbsentError("its command is not there")
        command.insert(0, str(starter))
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
        raise AbsentError(lines[-1].removeprefix("ModuleNotFoundError: "))
    return [float(number) for number in run.stdout.splitlines()[-1].split()]


if __name__ == "__main__":
    print(TOOLS[sys.argv[1]](int(sys.argv[2])))
