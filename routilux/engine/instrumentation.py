"""Fans out to instruments; pays nothing for hooks that none of them has, and disables one that raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from routilux.abc import hook_names

__all__ = ["Disabled", "Hooks"]

_NAMES = tuple(hook_names())

Disabled = dict[tuple[int, str], list[object]]
"""Hooks that have raised, by instrument and name; the instrument is kept, so that its id stays its own."""


class Hooks:
    """The hooks of some instruments, by name."""

    __slots__ = ("_disabled", "_table")

    def __init__(self, instruments: Iterable[object], disabled: Disabled) -> None:
        self._table: dict[str, list[tuple[object, Any]]] = {name: [] for name in _NAMES}
        self._disabled = disabled
        for instrument in instruments:
            for name in _NAMES:
                method = getattr(instrument, name, None)
                if callable(method):
                    self._table[name].append((instrument, method))

    @classmethod
    def of(cls, instruments: Iterable[object], disabled: Disabled) -> Hooks | None:
        """The hooks of ``instruments``, or None when there are none to call."""
        hooks = cls(instruments, disabled)
        return hooks if any(hooks._table.values()) else None

    def call(self, name: str, *args: Any) -> None:
        """Call the hook ``name`` of every instrument that has it."""
        for instrument, method in self._table[name]:
            key = (id(instrument), name)
            if key in self._disabled:
                continue
            try:
                method(*args)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - an observer must not break what it observes
                # Several threads may be in the method at once; one of them has the first word.
                mine = [instrument]
                if self._disabled.setdefault(key, mine) is mine:
                    _complain(name, method, error)


def _complain(name: str, method: Any, error: BaseException) -> None:
    import logging  # noqa: PLC0415 - only when something is wrong: importing it costs more than routilux does

    owner = getattr(method, "__self__", method)
    logging.getLogger("routilux").error(
        "instrument %r raised %r in %s() and will not be called for it again",
        owner,
        error,
        name,
        exc_info=error,
    )
