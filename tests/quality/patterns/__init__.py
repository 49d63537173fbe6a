"""Ordinary threaded programs with one concurrency bug each, and the same programs mended.

A `Pattern` is the state that the threads of a program share; its methods are what they do, `run` starts them and says
what must hold. Its twin inherits all but what was wrong. What the bugs are called and where they were met before is in
``source``; every program here was written for this library, in the manner of the bug that it is named after.
"""

from tests.quality.patterns import (
    caches,
    conditions,
    initialising,
    iterating,
    locking,
    pools,
    reordering,
    structures,
    updates,
    waiting,
)
from tests.quality.patterns._pattern import PATTERNS, Pattern

__all__ = [
    "PATTERNS",
    "Pattern",
    "caches",
    "conditions",
    "initialising",
    "iterating",
    "locking",
    "pools",
    "reordering",
    "structures",
    "updates",
    "waiting",
]
