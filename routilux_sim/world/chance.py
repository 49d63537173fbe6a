"""What would differ from run to run by chance: operating-system randomness."""

from __future__ import annotations

import os
import random
import uuid
from types import MethodType
from typing import Any

from routilux_sim.kernel.core import here

__all__ = ["replacements", "urandom"]

NODE = 0x02_00_00_00_00_01
"""The simulated machine's network address, as ``uuid.getnode()`` tells it; locally administered, so nobody else's."""

_urandom = os.urandom
_getrandom = getattr(os, "getrandom", None)
_getnode = uuid.getnode
_seed = random.Random.seed


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
