"""Simulated dates: ``datetime.now``, ``utcnow`` and ``today``, and ``date.today``.

The types are written in C and cannot be changed, so classes stand in their places that derive from them, make objects
of the real types, and count those as their instances. Classes that programs derived from the real types beforehand get
the methods themselves.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from routilux_sim.kernel.core import here
from routilux_sim.world.captured import is_mutable
from routilux_sim.world.clock import now_ns
from routilux_sim.world.freezing import freezegun_classes
from routilux_sim.world.ready import ORIGINALS as TIME

__all__ = ["date", "datetime", "replacements"]

_Date = dt.date
_Datetime = dt.datetime
_localtime = TIME["localtime"]


def _is_stand(cls: type) -> bool:
    return "_stands_here" in vars(cls)


class _Kind(type):
    """Of a class that stands for another one."""

    def __instancecheck__(cls, instance: object) -> bool:
        if _is_stand(cls):
            return isinstance(instance, cls.__mro__[1])
        return super().__instancecheck__(instance)

    def __eq__(cls, other: object) -> bool:
        # What is kept by type, such as encoders, is found by either.
        return cls is other or (_is_stand(cls) and other is cls.__mro__[1])

    def __hash__(cls) -> int:
        return hash(cls.__mro__[1]) if _is_stand(cls) else super().__hash__()

    def __subclasscheck__(cls, subclass: type) -> bool:
        if _is_stand(cls):
            return issubclass(subclass, cls.__mro__[1])
        return super().__subclasscheck__(subclass)


def _today(cls: Any) -> Any:
    kernel = here()
    if kernel is None:
        return _real(_Date, "today", cls)()
    if _is_stand(cls) and (frozen := freezegun_classes()) is not None:
        return frozen[0].today()
    at = _localtime(now_ns(kernel) // 1_000_000_000)
    return _maker(cls)(at.tm_year, at.tm_mon, at.tm_mday)


def _datetime_today(cls: Any) -> Any:
    return cls.now()


def _now(cls: Any, tz: Any = None) -> Any:
    kernel = here()
    if kernel is None:
        return _real(_Datetime, "now", cls)(tz)
    if _is_stand(cls) and (frozen := freezegun_classes()) is not None:
        return frozen[1].now(tz)
    return _at(cls, now_ns(kernel), tz)


def _utcnow(cls: Any) -> Any:
    kernel = here()
    if kernel is None:
        return _real(_Datetime, "utcnow", cls)()
    return _at(cls, now_ns(kernel), dt.UTC).replace(tzinfo=None)


def _at(cls: Any, nanoseconds: int, tz: Any) -> Any:
    """The date and time, cut to microseconds as the real clock's is."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return _real(_Datetime, "fromtimestamp", cls)(whole, tz).replace(microsecond=rest // 1000)


def _real(kind: Any, name: str, cls: Any) -> Any:
    """The C type's class method, bound to what it shall make objects of."""
    return kind.__dict__[name].__get__(None, _maker(cls))


def _maker(cls: Any) -> Any:
    return cls.__mro__[1] if _is_stand(cls) else cls


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    if _is_stand(cls):
        return cls.__mro__[1](*args, **kwargs)
    return cls.__mro__[cls.__mro__.index(_stand_of(cls)) + 1].__new__(cls, *args, **kwargs)


def _stand_of(cls: type) -> type:
    return next(base for base in cls.__mro__ if _is_stand(base))


def _inherited(kind: Any) -> dict[str, Any]:
    """The C type's other class methods: what they make is of the real type too."""

    def forward(name: str) -> Any:
        return classmethod(lambda cls, *args, **kwargs: _real(kind, name, cls)(*args, **kwargs))

    return {
        name: forward(name)
        for name, value in vars(kind).items()
        if type(value).__name__ == "classmethod_descriptor" and not name.startswith("_")
    }


_DATE_METHODS: dict[str, Any] = {"today": classmethod(_today)}
_DATETIME_METHODS: dict[str, Any] = {
    "now": classmethod(_now),
    "today": classmethod(_datetime_today),
    "utcnow": classmethod(_utcnow),
}


def _stand(kind: Any, methods: dict[str, Any]) -> Any:
    body = {
        "_stands_here": True,
        **_inherited(kind),
        **methods,
        "__new__": _new,
        "__module__": "datetime",
        "__doc__": kind.__doc__,
    }
    return _Kind(kind.__name__, (kind,), body)


date = _stand(_Date, _DATE_METHODS)
datetime = _stand(_Datetime, {**_inherited(_Date), **_inherited(_Datetime), **_DATETIME_METHODS})


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    rows: list[tuple[Any, str, Any]] = [(dt, "date", date), (dt, "datetime", datetime)]
    for kind, methods in ((_Date, _DATE_METHODS), (_Datetime, _DATETIME_METHODS)):
        rows += [(derived, name, method) for derived in _derived(kind) for name, method in methods.items()]
    return rows


def _derived(kind: Any) -> Iterator[type]:
    """Classes of programs that derive straight from ``kind`` and have not replaced its methods."""
    for derived in kind.__subclasses__():
        if (
            is_mutable(derived)
            and not _is_stand(derived)
            and not any(name in vars(derived) for name in _DATETIME_METHODS)
        ):
            yield derived
