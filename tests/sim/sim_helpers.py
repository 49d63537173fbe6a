"""What several of these tests need: threads in bulk, and the same program on real threads and simulated."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from routilux_sim import explore


def run_threads(*targets: Callable[[], object]) -> None:
    """Run each target in a thread of its own, and wait for all of them."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def attempt(call: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[object, ...]:
    """Say what a call returned, or what it raised and in which words."""
    try:
        return ("returned", call(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return ("raised", type(error).__name__, str(error))


def elsewhere(call: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[object, ...]:
    """Attempt a call in another thread."""
    said = []
    run_threads(lambda: said.append(attempt(call, *args, **kwargs)))
    return said[0]


def assert_as_on_threads(program: Callable[[], object], schedules: int = 20) -> None:
    """Fail unless a program comes to the same on real threads as in every simulated schedule."""
    real = attempt(program)

    def compare():
        simulated = attempt(program)
        assert simulated == real, f"simulated {simulated!r}, on threads {real!r}"

    explore(compare, schedules=schedules).raise_if_failed()


def outcomes(program: Callable[[], object], schedules: int, seed: int = 0) -> set[object]:
    """Everything that a program returned in so many schedules."""
    seen = set()
    explore(lambda: seen.add(program()), schedules=schedules, seed=seed).raise_if_failed()
    return seen


def ids(programs: Iterable[Callable[..., object]]) -> list[str]:
    """Names for parametrized tests."""
    return [program.__name__ for program in programs]
