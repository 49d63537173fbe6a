"""What would differ from run to run by chance: operating-system randomness, and orders that come from addresses."""

from __future__ import annotations

import concurrent.futures
import os
import random
import uuid
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

from routilux_sim.kernel.core import here

__all__ = ["FUTURE_REPLACEMENTS", "acquire_futures", "replacements", "urandom"]

NODE = 0x02_00_00_00_00_01
"""The simulated machine's network address, as ``uuid.getnode()`` tells it; locally administered, so nobody else's."""

_urandom = os.urandom
_getrandom = getattr(os, "getrandom", None)
_getnode = uuid.getnode
_seed = random.Random.seed
_init = concurrent.futures.Future.__init__
_hash = concurrent.futures.Future.__hash__


def urandom(size: int, /) -> bytes:
    """Replace ``os.urandom``, and with it ``uuid.uuid4`` and ``secrets``: bytes from the execution's seed."""
    return _urandom(size) if here() is None else random.randbytes(size)  # noqa: S311 - predictable is what it must be


def getrandom(size: int, flags: int = 0) -> bytes:
    """Replace ``os.getrandom``."""
    if here() is None and _getrandom is not None:
        return _getrandom(size, flags)  # type: ignore[no-any-return] # not on every system
    return random.randbytes(size)  # noqa: S311 - as above


def getnode() -> int:
    """Replace ``uuid.getnode``."""
    return _getnode() if here() is None else NODE


def seed(self: Any, a: Any = None, version: int = 2) -> None:
    """Replace ``random.Random.seed``: a generator that nobody seeds draws its seed from the execution's."""
    if a is None and here() is not None:
        a = random.getrandbits(128)
    _seed(self, a, version)


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


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    rows: list[tuple[Any, str, Any]] = [
        (os, "urandom", urandom),
        (random, "_urandom", urandom),
        (random.Random, "seed", seed),
        (random, "seed", MethodType(seed, random._inst)),
        (uuid, "getnode", getnode),
        # Which would ask a C library for the time.
        (uuid, "_generate_time_safe", None),
        (uuid, "_last_timestamp", None),
    ]
    if _getrandom is not None:
        rows.append((os, "getrandom", getrandom))
    return rows
