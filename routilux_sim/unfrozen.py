"""The real ``time`` and ``datetime`` where freezegun has put its own in their places. Knows nothing of the simulator.

The simulator keeps what is real when it is loaded, which may be while time is frozen.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["API", "put_back", "real_time", "thaw"]

API = "freezegun.api"
"""The module in which freezegun does everything; it has the originals as ``real_time``, ``real_datetime`` and so on."""

_TYPES = {"date": "FakeDate", "datetime": "FakeDatetime"}


def _reals() -> dict[int, Any]:
    """What is real, by the id of what freezegun puts in its place."""
    api = sys.modules.get(API)
    names = [name for name in vars(api) if name.startswith("real_")] if api is not None else []
    pairs = {name: _TYPES.get(name[5:], f"fake_{name[5:]}") for name in names}
    return {id(getattr(api, fake)): getattr(api, name) for name, fake in pairs.items() if hasattr(api, fake)}


@contextmanager
def real_time() -> Iterator[None]:
    """Have the real things in the modules ``time`` and ``datetime`` for a while."""
    reals = _reals()
    here = [(module, name, value) for module in (time, dt) for name, value in vars(module).items()]
    with put_back([(module, name, reals[id(value)]) for module, name, value in here if id(value) in reals]):
        yield


@contextmanager
def put_back(originals: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Have ``originals``, an owner, a name and a value each, in ``time`` and ``datetime`` for a while."""
    rows = [(owner, name, value) for owner, name, value in originals if owner in (time, dt)]
    kept = [(owner, name, vars(owner)[name]) for owner, name, _ in rows]
    for owner, name, value in rows:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in reversed(kept):
            setattr(owner, name, value)


def thaw(package: str) -> None:
    """Give the modules of a package back what is real; freezegun replaces what it finds in all modules."""
    reals = _reals()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package:
            for attribute, value in list(vars(module).items()):
                if id(value) in reals:
                    setattr(module, attribute, reals[id(value)])
