"""How fast the simulator explores, and what a decision and a switch cost.

python benchmarks/simulator.py [--short]
"""

import argparse
import platform
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from routilux_sim import explore, simulate


def locked_counter() -> None:
    """Two threads, each adding one to a counter under a lock."""
    total = 0
    lock = threading.Lock()

    def add() -> None:
        nonlocal total
        with lock:
            total += 1

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == 2


def executor_of_sleeps() -> None:
    """An unmodified executor, three sleeps."""
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(time.sleep, [0.2, 0.2, 0.25]))
    assert time.monotonic() == 0.25


def page_flow() -> None:
    """The page's flow, from execute to shutdown."""
    from examples.concurrent_flow_demo import create_concurrent_flow, run_and_wait

    with create_concurrent_flow() as flow:
        _, seconds = run_and_wait(flow, "bench")
    assert seconds == 0.25


def schedules_per_second(program: Callable[[], None], schedules: int) -> float:
    report = explore(program, schedules=schedules)
    assert report.verdict == "passed", report
    return report.schedules / report.seconds


def contended(operations: int, tasks: int) -> Callable[[], None]:
    """A program of scheduling points and nothing else."""

    def program() -> None:
        event = threading.Event()
        is_set = event.is_set

        def body() -> None:
            for _ in range(operations):
                is_set()

        threads = [threading.Thread(target=body) for _ in range(tasks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return program


def decision_costs(operations: int, repeats: int) -> tuple[float, float]:
    """Microseconds of a scheduling point: one that stays with the task, and one that switches."""
    stay = switch = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        fifo = simulate(contended(operations, 2), strategy="fifo", log=False)
        stay = min(stay, (time.perf_counter() - began) / fifo.steps)
        began = time.perf_counter()
        turns = simulate(contended(operations, 2), strategy=Alternate(), log=False)
        switch = min(switch, (time.perf_counter() - began) / turns.steps)
    return stay * 1e6, switch * 1e6


class Alternate:
    """Switches at every decision."""

    name = "alternate"

    def begin(self, seed: int) -> bool:
        return True

    def pick(self, current: object, ready: object) -> int:
        return 0 if current is None else 1

    def draw(self, label: str, bound: int) -> int:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the simulator.")
    parser.add_argument("--short", action="store_true", help="a tenth of the work")
    short = parser.parse_args().short
    scale = 10 if short else 1
    print(f"CPython {platform.python_version()}")
    for program, schedules, goal in (
        (locked_counter, 20_000, 0),
        (executor_of_sleeps, 10_000, 3_000),
        (page_flow, 2_000, 400),
    ):
        rate = max(schedules_per_second(program, schedules // scale) for _ in range(1 if short else 3))
        wanted = f" (goal {goal:,})" if goal else ""
        print(f"{program.__name__:<22}{rate:>10,.0f} schedules/s{wanted}")
    stay, switch = decision_costs(200_000 // scale, 2 if short else 5)
    print(f"a decision that stays   {stay:>8.2f} us (goal 0.6)")
    print(f"a decision that switches{switch:>8.2f} us (goal 4)")


if __name__ == "__main__":
    main()
