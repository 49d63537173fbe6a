"""Makes programs: a tree of operations, written as Python."""

from __future__ import annotations

from random import Random
from textwrap import indent
from typing import Any

from tests.generated import locks, pools, queues, threads  # noqa: F401 - they enter their kinds
from tests.generated.operations import ALONE, KINDS, LEAVES, Scope, Span, in_turn

__all__ = ["Program", "make"]

BUDGET = 9
"""Operations in a program, about."""
DEEPEST = 3

PRELUDE = '''\
import concurrent.futures
import contextlib
import contextvars
import functools
import itertools
import logging
import queue
import re
import sched
import threading
import time
from collections import deque


def attempt(call, *args, **kwargs):
    """What a call returns, or the error that it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def begin(*calls):
    """Start a thread for each call."""
    threads = [threading.Thread(target=call, name=f"thread-{n}") for n, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads


def gather(*calls):
    """What the calls return, each in a thread of its own."""
    results = {}

    def work(n, call):
        results[n] = call()

    for thread in begin(*[functools.partial(work, n, call) for n, call in enumerate(calls)]):
        thread.join()
    return [results.get(n, "no result") for n in range(len(calls))]
'''


class Program:
    """A program made from a seed.

    Attributes:
        source: Python text that defines ``program()``.
        span: How long it takes in virtual time.
        kinds: The kinds of its operations.
    """

    def __init__(self, seed: int, source: str, span: Span, kinds: list[str]) -> None:
        self.seed = seed
        self.source = source
        self.span = span
        self.kinds = kinds
        self._code = compile(source, f"<generated program {seed}>", "exec")

    def run(self, **instead: Any) -> Any:
        """Run it; ``instead`` are names of the program that mean something else."""
        names: dict[str, Any] = {"__name__": "generated"}
        exec(self._code, names)
        names.update(instead)
        return names["program"]()

    def __repr__(self) -> str:
        return f"<program {self.seed}: {', '.join(self.kinds)}>"


class _Maker:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.kinds: list[str] = []
        self._functions: list[str] = []
        self._left = BUDGET

    def function(self, depth: int, name: str | None = None) -> tuple[str, Span]:
        """Write an operation of the kind of that name, or of any."""
        if name is None:
            inner = [key for key in KINDS if key not in ALONE]
            name = self.random.choice(inner if self._left > 0 and depth < DEEPEST else list(LEAVES))
        self._left -= 1
        self.kinds.append(name)
        number = len(self.kinds)
        scope = Scope(self, depth)
        span = (KINDS.get(name) or LEAVES[name])(scope)
        self._functions.append(f"def {name}_{number}():\n{indent(scope.text, '    ')}\n")
        return f"{name}_{number}", span

    def program(self, seed: int) -> Program:
        """Write the whole: each kind has its turn as the first operation."""
        first = list(KINDS)[seed % len(KINDS)]
        made = [self.function(0, first)]
        made += [self.function(0) for _ in range(self.random.randint(1, 2))]
        calls = ", ".join(f"{name}()" for name, _ in made)
        main = f"def program():\n    return [{calls}]\n"
        source = "\n\n".join([PRELUDE, *self._functions, main])
        return Program(seed, source, in_turn(*[span for _, span in made]), self.kinds)


def make(seed: int) -> Program:
    """Make the program of that seed."""
    return _Maker(seed).program(seed)
