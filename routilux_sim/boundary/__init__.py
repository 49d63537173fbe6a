"""The boundary between simulation and reality: what becomes of each of the standard library's entry points, as data.

Entry points are what can be called, in the modules that have to do with threads, time, waiting, chance, processes,
input and output, or signals. Constants, exceptions and enumerations are none. Knows nothing of how it is done.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from routilux_sim.boundary import language, network, system, threads
from routilux_sim.boundary.rows import Entry, Status

__all__ = ["LISTED", "STATUSES", "Entry", "Status", "entries", "entry", "entry_points", "is_here", "modules", "resolve"]

STATUSES: tuple[Status, ...] = ("simulated", "seeded", "allowed", "escapes")

LISTED = (*threads.MODULES, *system.MODULES, *network.MODULES, *language.MODULES)
"""The modules whose entry points all have an entry."""


@cache
def entries() -> tuple[Entry, ...]:
    """Every entry, also of names that only other versions of Python or other systems have."""
    return tuple(entry for part in (threads, system, network, language) for entry in part.ENTRIES)


@cache
def _by_name() -> dict[tuple[str, str], Entry]:
    return {(entry.module, entry.name): entry for entry in entries()}


def entry(module: str, name: str) -> Entry | None:
    """The entry of a name; None if there is none."""
    return _by_name().get((module, name))


def modules() -> tuple[str, ...]:
    """The modules that have entries, in the order of the table."""
    return tuple(dict.fromkeys(entry.module for entry in entries()))


def resolve(module: str, name: str) -> Any:
    """What the running Python has under a name, dots leading into classes.

    Raises:
        ImportError: This system does not have the module.
        AttributeError: This version of it does not have the name.
    """
    value: Any = import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def is_here(entry: Entry) -> bool:
    """Whether the running Python has the name of an entry."""
    try:
        resolve(entry.module, entry.name)
    except (ImportError, AttributeError):
        return False
    return True


def entry_points(module: str) -> Iterator[str]:
    """The public names of a module of the running Python that can be called."""
    found = import_module(module)
    declared = set(getattr(found, "__all__", ()))
    for name in sorted(declared | {name for name in dir(found) if not name.startswith("_")}):
        value = getattr(found, name, None)
        if _is_entry_point(value) and (name in declared or _is_home(value, module)):
            yield name


def _is_entry_point(value: object) -> bool:
    if isinstance(value, type):
        return not issubclass(value, BaseException | enum.Enum)
    return callable(value) and not isinstance(value, ModuleType | enum.Enum)


def _is_home(value: object, module: str) -> bool:
    """Whether a module has a name for its own, and has not just imported it for its use."""
    home = getattr(value, "__module__", None)
    return home is None or home.lstrip("_") == module or home in {"posix", "_io"}
