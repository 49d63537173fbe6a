"""Small programs, made from a seed, and every schedule of them: what a reduction is held against."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from routilux_sim.execution import Campaign, Execution
from routilux_sim.faults.arming import arm
from routilux_sim.kernel.core import Limits, here


class Cell:
    """A variable whose accesses are scheduling points."""

    def __init__(self, label: str, value: Any = 0) -> None:
        self.label = label
        self.value = value

    def read(self) -> Any:
        kernel = here()
        assert kernel is not None
        kernel.point("read", self)
        return self.value

    def write(self, value: Any) -> None:
        kernel = here()
        assert kernel is not None
        kernel.point("write", self)
        self.value = value


class Plain:
    """A variable that is an attribute, and nothing more."""

    def __init__(self, label: str, value: Any = 0) -> None:
        self.value = value

    def read(self) -> Any:
        return self.value

    def write(self, value: Any) -> None:
        self.value = value


class EverySchedule:
    """Makes every choice in turn: the tape as an odometer."""

    name = "every"
    keeps_seed = True

    def __init__(self) -> None:
        self._tape: list[tuple[int, int]] = []
        self._position = 0
        self._begun = False

    def begin(self, seed: int) -> bool:
        tape = self._tape
        if self._begun:
            while tape and tape[-1][0] + 1 == tape[-1][1]:
                tape.pop()
            if not tape:
                return False
            value, bound = tape.pop()
            tape.append((value + 1, bound))
        self._begun = True
        self._position = 0
        return True

    def pick(self, current: Any, ready: Sequence[Any]) -> int:
        return self.draw("", len(ready) if current is None else len(ready) + 1)

    def draw(self, label: str, bound: int) -> int:
        if self._position == len(self._tape):
            self._tape.append((0, bound))
        value, known = self._tape[self._position]
        assert known == bound
        self._position += 1
        return value


def outcome_of(execution: Execution) -> object:
    """What can be told of an execution from outside."""
    error = execution.error
    if error is None:
        # In words: True is not 1 here.
        return repr(execution.value)
    kind = execution.kind
    return kind, type(error).__name__, str(error) if kind == "exception" else ""


def outcomes(
    program: Callable[[], Any],
    strategy: Any,
    most: int,
    instrument: Sequence[str] | None = None,
    faults: dict[str, Any] | None = None,
) -> tuple[set[object], int] | None:
    """What can come of a program under all schedules that a strategy tries, and how many; None if there are more."""
    found: set[object] = set()
    campaign = Campaign(program, Limits(10_000), instrument=instrument, faults=arm(faults))
    count = 0
    with campaign.running():
        while strategy.begin(0):
            if count == most:
                return None
            count += 1
            execution = campaign.execute(strategy, 0)
            if hasattr(strategy, "end"):
                strategy.end(execution.outcome)
            found.add(outcome_of(execution))
            if execution.outcome.grown:
                strategy.restart()
    return found, count


class World:
    """What the tasks of a generated program share."""

    def __init__(self, kind: type[Any]) -> None:
        self.cells = [kind("a"), kind("b")]
        self.locks: list[Any] = [threading.Lock(), threading.RLock()]
        self.condition = threading.Condition(self.locks[0])
        self.event = threading.Event()
        self.semaphore = threading.Semaphore(1)
        self.queue: Any = queue.Queue(1)
        self.simple: Any = queue.SimpleQueue()
        self.logs: list[list[Any]] = []
        self.timers: list[threading.Timer] = []


Operation = Callable[[World, list[Any]], object]


def _read(world: World, log: list[Any], which: int) -> None:
    log.append(world.cells[which].read())


def _write(world: World, log: list[Any], which: int, value: int) -> None:
    world.cells[which].write(value)


def _add(world: World, log: list[Any], which: int) -> None:
    cell = world.cells[which]
    cell.write(cell.read() + 1)


def _locked(world: World, log: list[Any], which: int, inner: list[tuple[Any, ...]]) -> None:
    with world.locks[which]:
        run(world, log, inner)


def _try_lock(world: World, log: list[Any], which: int, timeout: float, inner: list[tuple[Any, ...]]) -> None:
    lock = world.locks[which]
    got = lock.acquire(timeout=timeout) if timeout else lock.acquire(blocking=False)
    log.append(got)
    if got:
        run(world, log, inner)
        lock.release()


def _if(world: World, log: list[Any], which: int, inner: list[tuple[Any, ...]]) -> None:
    if not world.cells[which].read():
        run(world, log, inner)


def _wait(world: World, log: list[Any], timeout: float | None) -> None:
    with world.condition:
        log.append(world.condition.wait(timeout))


def _wait_for(world: World, log: list[Any], timeout: float | None) -> None:
    with world.condition:
        log.append(bool(world.condition.wait_for(world.cells[0].read, timeout)))


def _notify(world: World, log: list[Any], count: int) -> None:
    with world.condition:
        world.condition.notify(count)


def _event_wait(world: World, log: list[Any], timeout: float | None) -> None:
    log.append(world.event.wait(timeout))


def _is_set(world: World, log: list[Any]) -> None:
    log.append(world.event.is_set())


def _take(world: World, log: list[Any], timeout: float | None) -> None:
    log.append(world.semaphore.acquire(timeout=timeout))


def _put(world: World, log: list[Any], value: int, timeout: float | None) -> None:
    try:
        world.queue.put(value, timeout=timeout)
    except queue.Full:
        log.append("full")


def _get(world: World, log: list[Any], timeout: float | None) -> None:
    try:
        log.append(world.queue.get(timeout=timeout))
    except queue.Empty:
        log.append("empty")


def _simple_get(world: World, log: list[Any], timeout: float | None) -> None:
    try:
        log.append(world.simple.get(timeout=timeout))
    except queue.Empty:
        log.append("empty")


def _timer(world: World, log: list[Any], seconds: float, inner: list[tuple[Any, ...]]) -> None:
    mine: list[Any] = []
    world.logs.append(mine)
    timer = threading.Timer(seconds, run, (world, mine, inner))
    world.timers.append(timer)
    timer.start()
    if seconds < 2:
        timer.cancel()


def _fail(world: World, log: list[Any], which: int) -> None:
    if world.cells[which].read() == 2:
        raise ArithmeticError("two")


OPERATIONS: dict[str, Callable[..., object]] = {
    "read": _read,
    "write": _write,
    "add": _add,
    "locked": _locked,
    "try": _try_lock,
    "if": _if,
    "wait": _wait,
    "wait_for": _wait_for,
    "notify": _notify,
    "event.wait": _event_wait,
    "event.set": lambda world, log: world.event.set(),
    "event.clear": lambda world, log: world.event.clear(),
    "event.is_set": _is_set,
    "take": _take,
    "give": lambda world, log: world.semaphore.release(),
    "put": _put,
    "get": _get,
    "simple.put": lambda world, log, value: world.simple.put(value),
    "simple.get": _simple_get,
    "size": lambda world, log: log.append(world.queue.qsize()),
    "sleep": lambda world, log, seconds: time.sleep(seconds),
    "timer": _timer,
    "fail": _fail,
    "alive": lambda world, log: log.append(threading.active_count()),
}


def run(world: World, log: list[Any], operations: list[tuple[Any, ...]]) -> None:
    """Do what a list of operations says."""
    for name, *arguments in operations:
        OPERATIONS[name](world, log, *arguments)


def _random_operation(random: Random, depth: int = 0) -> tuple[Any, ...]:
    timeout = random.choice([None, 1, 1, 2])
    which = random.randrange(2)
    kinds: list[tuple[Any, ...]] = [
        ("read", which),
        ("write", which, random.randrange(1, 3)),
        ("add", which),
        ("wait", timeout),
        ("wait_for", timeout),
        ("notify", random.randrange(1, 3)),
        ("event.wait", timeout),
        ("event.set",),
        ("event.clear",),
        ("event.is_set",),
        ("take", random.choice([None, 0, 1])),
        ("give",),
        ("put", random.randrange(3), random.choice([None, 0, 1])),
        ("get", random.choice([None, 0, 1])),
        ("simple.put", random.randrange(3)),
        ("simple.get", timeout),
        ("size",),
        ("sleep", random.choice([0, 1, 2])),
        ("fail", which),
        ("alive",),
    ]
    if depth == 0:
        inner = [_random_operation(random, 1)]
        several = [_random_operation(random, 1) for _ in range(random.randrange(1, 3))]
        kinds += [("locked", which, several)] * 5
        kinds += [("try", which, random.choice([0, 0, 1]), inner), ("if", which, inner), ("if", which, several)]
        kinds += [("timer", random.choice([1, 2]), inner)]
    return random.choice(kinds)


def _random_step(random: Random) -> tuple[Any, ...]:
    """One of the operations that are a single step, of which there can be more in a program."""
    which = random.randrange(2)
    return random.choice(
        [
            ("read", which),
            ("write", which, random.randrange(1, 3)),
            ("write", which, random.randrange(1, 3)),
            ("event.set",),
            ("event.is_set",),
            ("locked", 0, [("read", which)]),
            ("take", 0),
            ("give",),
        ]
    )


def small_program(seed: int, kind: type[Any] = Cell) -> tuple[Callable[[], Any], list[list[tuple[Any, ...]]]]:
    """A program of up to three tasks, and what each does; the first is the main one. Its variables are of a kind."""
    random = Random(seed)
    count = random.choice([2, 2, 3])
    longest = 4 if count == 2 else 2
    if seed % 4:
        plan = [[_random_operation(random) for _ in range(random.randrange(1, longest))] for _ in range(count)]
    else:
        plan = [[_random_step(random) for _ in range(random.randrange(1, 3))] for _ in range(3)]

    def program() -> Any:
        world = World(kind)
        logs: list[list[Any]] = [[] for _ in plan]
        threads = [
            threading.Thread(target=run, args=(world, log, operations), name=f"worker-{number}")
            for number, (log, operations) in enumerate(zip(logs[1:], plan[1:], strict=True), 1)
        ]
        for thread in threads:
            thread.start()
        run(world, logs[0], plan[0])
        for thread in threads:
            thread.join()
        for timer in world.timers:
            timer.join()
        # What is looked at here, between scheduling points, nobody changes any more.
        return (
            tuple(tuple(log) for log in logs + world.logs),
            tuple(cell.value for cell in world.cells),
            world.event._flag,
            world.semaphore._value,
        )

    return program, plan


def programs(start: int, count: int) -> Iterator[tuple[int, Callable[[], Any], list[list[tuple[Any, ...]]]]]:
    """So many generated programs, with their seeds."""
    for seed in range(start, start + count):
        program, plan = small_program(seed)
        yield seed, program, plan
