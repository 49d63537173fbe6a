"""What a pattern is, and how it is entered in the list."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Literal

__all__ = ["PATTERNS", "Pattern", "in_threads"]

PATTERNS: dict[str, type[Pattern]] = {}
"""Every pattern, by its name."""


class Pattern:
    """A program with a bug: an instance is what one run of it works on.

    A subclass is a bug, and is entered by its name; a subclass of that is its mended twin. What several bugs have in
    common is a ``family``, and not entered.

    Attributes:
        name: The class's, in words.
        source: Where the bug comes from: a benchmark suite and its program, a project, or "Python".
        kind: How the buggy program fails.
        depth: Preemptions that the bug needs, when everything else goes by FIFO.
        memory: Whether it needs scheduling points at memory accesses; else those at synchronization will do.
        schedules: How many schedules a search of its kind may take.
        max_steps: How many steps an execution of the buggy program may take; few where a livelock is expected.
        challenge: Whether it is known to be out of reach of most searches, so that none is held to it.
        small: Whether the interleavings of the mended twin are few enough to run them all.
        twin: The same program, mended.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    kind: ClassVar[Literal["exception", "deadlock", "livelock"]] = "exception"
    depth: ClassVar[int] = 1
    memory: ClassVar[bool] = True
    schedules: ClassVar[int] = 10_000
    max_steps: ClassVar[int] = 1_000_000
    challenge: ClassVar[bool] = False
    small: ClassVar[bool] = False
    twin: ClassVar[type[Pattern]]
    _family: ClassVar[bool] = True

    def __init_subclass__(cls, *, family: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        parent = next(base for base in cls.__bases__ if issubclass(base, Pattern))
        cls._family = family
        if family:
            return
        if parent._family:
            cls.name = re.sub(r"(?<!^)(?=[A-Z])|(?<=[a-z])(?=[0-9])", "_", cls.__name__).lower()
            PATTERNS[cls.name] = cls
        else:
            assert "twin" not in vars(parent), f"{parent.__name__} has two twins"
            parent.twin = cls

    def run(self) -> None:
        """Start the threads, wait for them, and say what must hold."""
        raise NotImplementedError

    @classmethod
    def buggy(cls) -> None:
        """The program with the bug."""
        cls().run()

    @classmethod
    def mended(cls) -> None:
        """The program without it."""
        cls.twin().run()


def in_threads(*bodies: Callable[[], object]) -> None:
    """Run each in a thread of its own, and wait for all."""
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
