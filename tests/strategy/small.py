"""Small programs with a known number of schedules, or a bug of known depth; every access is a scheduling point."""

import threading
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.core import here

Program = Callable[[], Any]


class Variable:
    """A number in shared memory."""

    def __init__(self, label: str, value: int = 0) -> None:
        self.label = label
        self._value = value

    @property
    def value(self) -> int:
        self._point("read")
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        self._point("write")
        self._value = value

    def _point(self, op: str) -> None:
        kernel = here()
        if kernel is not None:
            kernel.point(op, self)


def in_threads(*bodies: Callable[[], object]) -> None:
    """Run each in a thread of its own, and wait for all."""
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lost_update() -> None:
    """Depth 2: one of two reads what the other one is about to write over."""
    counter = Variable("counter")

    def add() -> None:
        counter.value = counter.value + 1

    in_threads(add, add)
    assert counter.value == 2


def reorder(threads: int) -> Program:
    """A reader must come between the two writes of one of the others, and before the second write of any."""

    def program() -> None:
        first, second = Variable("first"), Variable("second")

        def write() -> None:
            first.value = 1
            second.value = -1

        def read() -> None:
            assert (first.value, second.value) in {(0, 0), (1, -1)}

        in_threads(*[write] * (threads - 1), read)

    return program


def order(length: int) -> Program:
    """Depth 1: only when the second thread runs before a step of the first that has others around it."""

    def program() -> None:
        ready, noise = Variable("ready"), Variable("noise")

        def produce() -> None:
            for _ in range(length):
                noise.value = 1
            ready.value = 1

        def consume() -> None:
            assert ready.value == 1

        in_threads(produce, consume)

    return program


def between(before: int, after: int) -> Program:
    """Depth 2: a thread must be kept from going on at one place among many, until another one is through."""

    def program() -> None:
        state = Variable("state")

        def toggle() -> None:
            for _ in range(before):
                state.value = 0
            state.value = 1
            for _ in range(after):
                state.value = 0

        def look() -> None:
            assert state.value == 0

        in_threads(toggle, look)

    return program


def guarded(threads: int) -> Program:
    """Right: a counter under a lock."""

    def program() -> None:
        counter = Variable("counter")
        lock = threading.Lock()

        def add() -> None:
            with lock:
                counter.value = counter.value + 1

        in_threads(*[add] * threads)
        assert counter.value == threads

    return program


def points(*counts: int) -> Program:
    """Threads that do nothing but so many reads each, of one variable."""

    def program() -> None:
        shared = Variable("shared")

        def body(count: int) -> None:
            for _ in range(count):
                _ = shared.value

        in_threads(*[lambda count=count: body(count) for count in counts])

    return program


def reads(*counts: int) -> Callable[[list[str]], Program]:
    """The same, and the order of the reads is added to a list as a text of thread letters."""

    def recording(into: list[str]) -> Program:
        def program() -> None:
            shared = Variable("shared")
            text: list[str] = []

            def body(letter: str, count: int) -> None:
                for _ in range(count):
                    _ = shared.value
                    text.append(letter)

            bodies = zip("abcd", counts, strict=False)
            in_threads(*[lambda letter=letter, count=count: body(letter, count) for letter, count in bodies])
            into.append("".join(text))

        return program

    return recording
