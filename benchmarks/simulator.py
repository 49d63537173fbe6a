"""How fast the simulator explores, what a decision and a switch cost, and what large programs cost.

Seconds are of processor time, except beside other tools. Goals of larger work are for the whole of it; a tenth of the
work has a tenth of the goal.

python -m benchmarks.simulator [--short] [--no-peers]
"""

import argparse
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks import growth, hunting, simulated, steering
from benchmarks.fresh import NO_LIMIT, Cost, in_a_process, resident_megabytes
from benchmarks.plot import check_suffix
from benchmarks.progress import Progress
from benchmarks.report import Figure, Report, figure_row
from benchmarks.simulated import Program
from routilux_sim import explore
from routilux_sim.execution import Campaign
from routilux_sim.kernel.core import Limits
from routilux_sim.strategy import Strategy, make_strategy

OUTPUT = Path("build/benchmarks")

# The simulator is one thread that never waits, so its processor time is its time on a machine that is its own. Tools
# that pass control between threads wait for those, so beside them both are measured by the wall clock.
cpu_clock = time.process_time
wall_clock = time.perf_counter

DAY = 24 * 60


class Alternate:
    """Switches at every decision."""

    name = "alternate"

    def begin(self, seed: int) -> bool:
        return True

    def pick(self, current: object, ready: object) -> int:
        return 0 if current is None else 1

    def draw(self, label: str, bound: int) -> int:
        return 0


STRATEGIES = ("random", "pct:3", "pos", "surw", "mutation", "dfs:2", "portfolio")


def schedules_per_second(
    program: Program,
    schedules: int,
    clock: Callable[[], float],
    strategy: str = "random",
    workers: int = 1,
    instrument: Sequence[str] | None = None,
) -> float:
    began = clock()
    report = explore(program, schedules=schedules, strategy=strategy, workers=workers, instrument=instrument)
    seconds = clock() - began
    assert report.verdict == "passed", report
    return report.schedules / seconds


def exploring(scale: int, turns: int) -> Iterator[Figure]:
    """How many schedules a second."""
    for program, most, goal in (
        (simulated.locked_counter, 20_000, 9_000),
        (simulated.executor_of_sleeps, 10_000, 3_000),
        (simulated.page_flow, 2_000, 400),
    ):
        schedules = max(most // scale, 10)
        rate = max(schedules_per_second(program, schedules, cpu_clock) for _ in range(turns))
        yield Figure(program.__name__, rate, "schedules/s", goal, at_least=True)


CODE_UNDER_TEST = ("benchmarks.simulated", "examples")


def remembering(scale: int, turns: int) -> Iterator[Figure]:
    """The same with memory points, and what one costs while its object is one task's alone."""
    for program, most, goal in ((simulated.locked_counter, 20_000, None), (simulated.page_flow, 2_000, 400)):
        schedules = max(most // scale, 10)
        rate = max(
            schedules_per_second(program, schedules, cpu_clock, instrument=CODE_UNDER_TEST) for _ in range(turns)
        )
        yield Figure(f"{program.__name__}, memory points", rate, "schedules/s", goal, at_least=True)
    loops = max(200_000 // scale, 100)
    costs = [
        seconds_of_running(simulated.looking(loops), CODE_UNDER_TEST)
        - seconds_of_running(simulated.looking(loops), None)
        for _ in range(turns + 1)
    ]
    points = loops * simulated.LOOKS
    yield Figure("a memory point, unshared", min(costs) / points * 1e9, "ns", 150)


def seconds_of_running(program: Program, instrument: Sequence[str] | None) -> float:
    """Without what it takes to begin and to end."""
    campaign = Campaign(program, Limits(NO_LIMIT), instrument=instrument)
    strategy = make_strategy("fifo")
    with campaign.running():
        strategy.begin(0)
        began = cpu_clock()
        campaign.execute(strategy, 0).result()
        return cpu_clock() - began


def strategic(scale: int, turns: int) -> Iterator[Figure]:
    """How many schedules a second with each strategy, and with two processes."""
    program = simulated.locked_counters(5)
    schedules = max(5_000 // scale, 10)
    for strategy in STRATEGIES:
        rate = max(schedules_per_second(program, schedules, cpu_clock, strategy) for _ in range(turns))
        yield Figure(f"{strategy}, 5 threads", rate, "schedules/s")
    if hasattr(os, "fork") and threading.active_count() == 1:
        schedules = max(20_000 // scale, 10)
        for strategy in ("random", "portfolio"):
            ratios = []
            for _ in range(turns + 1):
                alone = schedules_per_second(program, schedules, wall_clock, strategy)
                ratios.append(schedules_per_second(program, schedules, wall_clock, strategy, workers=2) / alone)
            yield Figure(f"2 workers / 1, {strategy}", median(ratios), "times", 1.8, busy(), at_least=True)


def microseconds_a_step(program: Program, strategy: Strategy) -> float:
    """Of an execution as an exploration has many: nothing but the tape is kept."""
    campaign = Campaign(program, Limits(NO_LIMIT))
    with campaign.running():
        strategy.begin(0)
        began = cpu_clock()
        execution = campaign.execute(strategy, 0)
        seconds = cpu_clock() - began
    execution.result()
    return seconds / execution.steps * 1e6


def deciding(scale: int, turns: int) -> Iterator[Figure]:
    """What a scheduling point costs, the operation that it stands before included."""
    program = simulated.contended(200_000 // scale, 2)
    stays = min(microseconds_a_step(program, make_strategy("fifo")) for _ in range(turns))
    yield Figure("a decision that stays with the task", stays, "us", 0.6)
    switches = min(microseconds_a_step(program, Alternate()) for _ in range(turns))
    yield Figure("a decision that switches", switches, "us", 4)


def steered(scale: int, turns: int, absent: dict[str, str]) -> Iterator[Figure]:
    """Ours and others' on the locked counter, right after each other; what is left out is added to ``absent``.

    The median of the turns' ratios: on a shared machine, the best of each may be of different minutes.
    """
    for name, goal in (("frontrun", 20), ("interleave-test", None)):
        pairs = []
        try:
            for _ in range(turns):
                theirs = steering.rate(name, max(2_000 // scale, 10))
                ours = schedules_per_second(
                    simulated.locked_counter, max(40_000 // scale, 10), wall_clock, instrument=CODE_UNDER_TEST
                )
                pairs.append((ours, theirs))
        except steering.AbsentError as error:
            absent[name] = str(error)
        else:
            yield Figure(f"{name} on locked_counter", median(theirs for _, theirs in pairs), "schedules/s")
            ratio = median(ours / theirs for ours, theirs in pairs)
            yield Figure(f"ours with memory points / {name}", ratio, "times", goal, busy(), at_least=True)


RIVALS = ("frontrun", "frontrun, at random", "interleave-test")


def hunted(turns: int, absent: dict[str, str]) -> Iterator[Figure]:
    """Ours and others' until the first failure of each small broken program; and until all orders have run."""
    there = []
    for name in ("ours", *RIVALS):
        try:
            there.append((name, median(hunting.start(name).seconds for _ in range(turns))))
        except steering.AbsentError as error:
            absent[name] = str(error)
    for name, seconds in there:
        yield Figure(f"{name}, first exploration in a process", seconds * 1e3, "ms")
    rivals = [name for name, _ in there[1:]]
    for problem in hunting.PROBLEMS if rivals else ():
        spent = {name: median(hunting.find(name, problem).seconds for _ in range(turns)) for name in ("ours", *rivals)}
        # What has not found anything is not the best of anybody.
        best = min(rivals, key=lambda name: math.inf if math.isnan(spent[name]) else spent[name])
        note = f"{spent['ours'] * 1e3:.1f} ms and {spent[best] * 1e3:.1f} ms ({best})"
        yield Figure(f"first failure of {problem}, ours / the best of others", spent["ours"] / spent[best], "", 1, note)
    for tasks in (2, 3, 4) if "frontrun" in rivals else ():
        ours, theirs = ([hunting.exhaust(name, tasks) for _ in range(turns)] for name in ("ours", "frontrun"))
        ratio = median(found.seconds for found in ours) / median(found.seconds for found in theirs)
        note = f"{ours[0].executions:.0f} and {theirs[0].executions:.0f} schedules"
        yield Figure(f"exhausting {tasks} tasks on a locked counter, ours / frontrun", ratio, "", 0.2, note)


def busy() -> str:
    """A word of warning if others keep this machine's processors busy: they hold up ours, and not who mostly waits."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"on a machine with a load of {load:.0f}, which is no measure" if load > (os.cpu_count() or 1) else ""


def large_programs(scale: int, turns: int) -> Iterator[Figure]:
    """Many tasks at once, and timers for a day, each in a fresh process."""
    count = 10_000 if scale <= 10 else 10_000 // scale
    costs = [in_a_process("crowd", count) for _ in range(turns)]
    yield Figure(f"{count:,} threads alive at once", min(cost.seconds for cost in costs), "s", 2)
    yield Figure("  what the process grows by", min(cost.megabytes for cost in costs), "MB", 200)
    for name, what, minutes, goal in (
        ("periodic_timers", "1,000 timers that go off every minute", DAY, 20),
        ("timers_in_a_row", "1,000 timers a minute, each a new thread", DAY // 4, 20),
    ):
        now = max(minutes // scale, 1)
        cost = min((in_a_process(name, now, 1_000) for _ in range(turns)), key=lambda cost: cost.seconds)
        yield Figure(f"{now / 60:.1f} h of {what}", cost.seconds, "s", goal / scale, f"{cost.megabytes:.0f} MB")


def grown(costs: Sequence[Cost]) -> Iterator[Figure]:
    """How the cost of an execution grows with its steps."""
    for cost in costs:
        yield Figure(f"{cost.steps:,} steps", cost.seconds / cost.steps * 1e6, "us a step")
    yield Figure("exponent of time over steps", growth.exponent(costs), "", 1.15)
    yield Figure("memory a step at the end", costs[-1].megabytes * 1e6 / costs[-1].steps, "bytes", 250)


def memory_of_exploring(executions: int) -> Figure:
    """By how much the process grows after the first tenth of an exploration."""
    looks: list[float] = []

    def look(count: int) -> None:
        if count in {executions // 10, executions}:
            looks.append(resident_megabytes())

    report = explore(simulated.locked_counter, schedules=executions, progress=look, strategy="random")
    assert report.verdict == "passed", report
    return Figure(f"growth over {executions:,} executions", max(looks[-1] - looks[0], 0.0), "MB", 2)


def run(
    *, short: bool = False, peers: bool = True, scale: int | None = None, say: Callable[[str], object] = print
) -> tuple[Report, list[Cost]]:
    """Measure everything, saying each line as soon as it is known; return it with the costs that a plot shows.

    Args:
        short: A tenth of the work, and fewer turns.
        peers: Measure the other tools that are installed, too.
        scale: Divide the work by this instead, to see that the benchmark works rather than how fast anything is.
        say: Takes each line.
    """
    progress = Progress()
    scale = scale or (10 if short else 1)
    turns = 2 if short else 4
    report = Report(short, workers=1)
    costs: list[Cost] = []

    def figures() -> Iterator[Figure]:
        yield from exploring(scale, turns)
        yield from remembering(scale, turns)
        yield from strategic(scale, turns)
        if peers:
            yield from steered(max(scale // 3, 1), turns + 1, report.absent)
            yield from hunted(turns + 1, report.absent)
        yield from deciding(scale, turns)
        yield memory_of_exploring(max(100_000 // scale, 100))
        yield from large_programs(scale, 1 if short else 2)
        costs.extend(growth.measure_growth(max(1_000_000 // scale, 30_000), turns - 1, progress.show))
        yield from grown(costs)

    say(f"CPython {platform.python_version()}")
    progress.show("measuring")
    for figure in figures():
        report.figures.append(figure)
        progress.clear()
        say(figure_row(figure))
        progress.show("measuring")
    progress.clear()
    for name, reason in report.absent.items():
        say(f"{name}: left out ({reason}; make bench-peers installs it where it can be had)")
    return report, costs


def write(report: Report, costs: Sequence[Cost], json_path: Path, plot_path: Path) -> None:
    """Write the two files; the plot is left out, with a word, without matplotlib."""
    report.write_json(json_path)
    print(f"written: {json_path}")
    try:
        growth.write_plot(costs, plot_path, report.python)
    except ImportError as error:
        print(f"plot: left out ({error}; make bench-peers installs it)")
    else:
        print(f"written: {plot_path}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description="Speed of the simulator.")
    parser.add_argument("--short", action="store_true", help="a tenth of the work")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure those installed")
    parser.add_argument("--json", type=Path, default=OUTPUT / "simulator.json", metavar="PATH", help="%(default)s")
    parser.add_argument("--plot", type=Path, default=OUTPUT / "simulator.svg", metavar="PATH", help=".svg or .png")
    parser.add_argument("--check", action="store_true", help="end with 1 if a goal is missed")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, metavar="FRACTION", help="with --check: how far a goal may be missed"
    )
    options = parser.parse_args(arguments)
    try:
        check_suffix(options.plot)
    except ValueError as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    options = parse(arguments)
    report, costs = run(short=options.short, peers=options.peers)
    write(report, costs, options.json, options.plot)
    missed = list(report.missed(options.tolerance))
    for miss in missed:
        print(f"missed: {miss}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
