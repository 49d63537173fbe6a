"""How a slot combines what arrives with what arrived before, within one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from routilux.exceptions import UnknownNameError

if TYPE_CHECKING:
    from routilux.abc import Lock

__all__ = ["Gathered", "Merge", "MergeStrategy", "check_strategy", "own_copy"]

Merge = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
MergeStrategy = str | Merge

NAMED = ("append", "override")


def check_strategy(strategy: object) -> None:
    """Refuse what is neither a strategy's name nor a function.

    Raises:
        ValueError: An unknown name.
        TypeError: Something else that cannot be called.
    """
    if isinstance(strategy, str):
        if strategy not in NAMED:
            raise UnknownNameError("merge strategy", strategy, NAMED, hint="or give a function (old, new) -> merged")
    elif not callable(strategy):
        raise TypeError(f"merge_strategy must be 'override', 'append' or a function (old, new), not {strategy!r}")


class Gathered:
    """What one slot has gathered in one job.

    A lock of its own makes merging atomic, and lets a merge function take its time, or use the job's shared data,
    without standing in anybody else's way.
    """

    __slots__ = ("_lock", "_value")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._value: dict[str, Any] = {}

    def merge(
        self,
        strategy: MergeStrategy,
        new: dict[str, Any],
        record: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Merge ``new`` in; return a snapshot that the caller may change.

        Args:
            strategy: How.
            new: What arrives.
            record: Called with what is gathered then, before anybody else can merge. If it raises, nothing is merged.

        Raises:
            TypeError: A merge function returned something else than a dictionary. Nothing is merged then.
        """
        with self._lock:
            if callable(strategy):
                value = strategy(own_copy(self._value), own_copy(new))
                if not isinstance(value, dict):
                    raise TypeError(f"merge function {strategy!r} must return a dict, not {value!r}")
            else:
                # Only what may yet be taken back needs a copy to append to.
                value = self._value if record is None else own_copy(self._value)
                for key, part in new.items():
                    value.setdefault(key, []).append(part)
            if record is not None:
                record(value)
            self._value = value
            return own_copy(value)

    def value(self) -> dict[str, Any]:
        """What has been gathered so far, a copy."""
        with self._lock:
            return own_copy(self._value)

    def put_back(self, value: dict[str, Any]) -> None:
        """Go on from what was gathered elsewhere."""
        with self._lock:
            self._value = own_copy(value)


def own_copy(merged: dict[str, Any]) -> dict[str, Any]:
    """Copy what its receiver may change without anybody else noticing: the dictionary, and the containers in it."""
    return {key: value.copy() if type(value) in _CONTAINERS else value for key, value in merged.items()}


_CONTAINERS = (list, dict, set)
