"""What would differ from run to run by chance: operating-system randomness, and orders that come from addresses."""

from __future__ import annotations

import concurrent.futures
import os
import random
from collections.abc import Callable, Iterable
from typing import Any

from routilux_sim.kernel.core import here

__all__ = ["FUTURE_REPLACEMENTS", "acquire_futures", "urandom"]

_urandom = os.urandom
_init = concurrent.futures.Future.__init__
_hash = concurrent.futures.Future.__hash__


def urandom(size: int, /) -> bytes:
    """Replace ``os.urandom``, and with it ``uuid.uuid4`` and ``secrets``: bytes from the execution's seed."""
    return _urandom(size) if here() is None else random.randbytes(size)  # noqa: S311 - predictable is what it must be


def initialize(self: Any) -> None:
    """Replace ``Future.__init__``: number the future, see `hash_of`."""
    kernel = here()
    if kernel is not None:
        self._sim_hash = kernel.ordinal("Future")
    _init(self)


def hash_of(self: Any) -> int:
    """Replace ``Future.__hash__``: ``as_completed`` makes sets, whose order must not be that of addresses."""
    number: int | None = self.__dict__.get("_sim_hash")
    return _hash(self) if number is None else number


def acquire_futures(self: Any, futures: Iterable[Any]) -> None:
    """Replace the constructor of what locks several futures at once: in the order of their numbers, not addresses."""
    self.futures = sorted(futures, key=hash)


FUTURE_REPLACEMENTS: dict[str, Callable[..., Any]] = {"__init__": initialize, "__hash__": hash_of}
"""By name on ``concurrent.futures.Future``."""
