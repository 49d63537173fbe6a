"""Invariants in schedules and replay files: by name, and by the import path where one leads to them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from routilux.loading import load_callable
from routilux_sim.judge.invariants import Invariant, name_of
from routilux_sim.schedule import NamedInvariant

__all__ = ["load_invariants", "named_invariants", "unreachable"]


def named_invariants(invariants: Iterable[Invariant]) -> tuple[NamedInvariant, ...]:
    """What schedules keep of invariants."""
    return tuple(NamedInvariant(name_of(invariant), _path_of(invariant)) for invariant in invariants)


def _path_of(function: Any) -> str | None:
    """The import path that leads to just this; None if none does, as to what a function has made."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


def load_invariants(
    named: Sequence[NamedInvariant], search: Iterable[Path] = (), only_from: Iterable[str] = ()
) -> list[Invariant]:
    """Import those that can be.

    Args:
        named: As a schedule keeps them.
        search: As for `load_callable`; so is ``only_from``.
        only_from: Modules and packages from which they may be.

    Raises:
        LoadError: A path is malformed, not allowed, or leads to nothing that can be called.
    """
    paths = [invariant.path for invariant in named if invariant.path is not None]
    return [load_callable(path, search, only_from) for path in paths]


def unreachable(named: Sequence[NamedInvariant], failure: str | None) -> str | None:
    """The name of the invariant that a failure is of, if that one cannot be imported; else None."""
    missing = (invariant.name for invariant in named if invariant.path is None)
    return next((name for name in missing if failure is not None and repr(name) in failure), None)
