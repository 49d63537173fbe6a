"""Measures one execution in a process of its own: what it takes in time, and by how much the process has grown.

``python -m benchmarks.fresh PROGRAM [NUMBER ...]`` prints a `Cost` as JSON. PROGRAM is a function of
`benchmarks.simulated` that makes a program of the numbers.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import simulated
from routilux_sim import simulate

ROOT = Path(__file__).parent.parent
NO_LIMIT = 1_000_000_000


class Cost(NamedTuple):
    """Of one execution: scheduling points, seconds of processor time, and megabytes that the process's peak grew by."""

    steps: int
    seconds: float
    megabytes: float


def peak_megabytes() -> float:
    """The most that this process has had in memory so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not the figure of getrusage, which a process takes over from the one that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def resident_megabytes() -> float:
    """What it has now; where that is not told, the most that it has had."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6 if statm.exists() else peak_megabytes()


def measure(name: str, *numbers: int) -> Cost:
    """Run the program once, under the default strategy, in this process."""
    simulate(simulated.locked_counter, log=False)
    program = getattr(simulated, name)(*numbers)
    before = peak_megabytes()
    began = time.process_time()
    execution = simulate(program, log=False, max_steps=NO_LIMIT)
    seconds = time.process_time() - began
    execution.result()
    return Cost(execution.steps, seconds, peak_megabytes() - before)


def in_a_process(name: str, *numbers: int) -> Cost:
    """Do the same in a fresh process.

    Raises:
        subprocess.CalledProcessError: It failed; what it said went to this process's standard error.
    """
    command = [sys.executable, "-m", "benchmarks.fresh", name, *map(str, numbers)]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own
    return Cost(**json.loads(run.stdout))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))._asdict()))
