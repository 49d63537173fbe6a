"""How many references an object has in a hook when only a local variable has it: counted once, on a sample."""

from __future__ import annotations

import functools
from sys import getrefcount
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from routilux_sim.points import hook
from routilux_sim.points.accesses import BOUND, STEP, Access
from routilux_sim.points.rewriting import Call, Place, rewrite

__all__ = ["Counts", "counts"]


class Counts(NamedTuple):
    """What `getrefcount` says of what nobody else has.

    Attributes:
        access: Of a local variable's container, in the site's method that `hook.access` calls.
        bound: The same, called by `hook.bound`.
        stepped: Of one that a loop's iterator has too, called by `hook.step`.
        step: Of a loop's iterator, in `hook.step` itself.
    """

    access: int
    bound: int
    stepped: int
    step: int


def _sample() -> None:
    items = [0]
    items[0] = 1
    items.append(2)
    for _ in items:
        pass
    for _ in items:
        pass


class _Probe:
    iterators_own = 1000

    def __init__(self) -> None:
        self.count = 0

    def missed(self, obj: Any) -> None:
        self.count = getrefcount(obj)


class _StepProbe(_Probe):
    def __call__(self, iterator: Any, get: Any, site: Any) -> None:  # noqa: ARG002 - called like a hook
        self.count = getrefcount(iterator)


class _Sampling:
    """A selection of one access of each kind."""

    def __init__(self) -> None:
        self.access, self.bound, self.stepped, self.step = _Probe(), _Probe(), _Probe(), _StepProbe()
        self._loops = 0

    def call(self, access: Access, place: Place) -> Call | None:  # noqa: ARG002 - a selection's
        if access.what == BOUND:
            return Call(hook.bound, (_not_known, self.bound))
        if access.what == STEP:
            self._loops += 1
            return Call(hook.step if self._loops == 1 else self.step.__call__, (_not_known, self.stepped))
        return Call(hook.access, (_not_known, self.access)) if access.op == "write" else None

    def inner(self, code: CodeType) -> CodeType:
        return code


def _not_known(key: int) -> Any:  # noqa: ARG001 - what a cache has
    return _Probe


@functools.cache
def counts() -> Counts:
    """Count them; called while no simulation runs."""
    sampling = _Sampling()
    code = rewrite(_sample.__code__, sampling)
    assert code is not None  # noqa: S101 - the sample is simple
    FunctionType(code, {})()
    return Counts(*(probe.count for probe in (sampling.access, sampling.bound, sampling.stepped, sampling.step)))
