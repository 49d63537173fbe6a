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
        step: Of a loop's iterator, in `hook.step` itself.
    """

    access: int
    bound: int
    step: int


def _sample() -> None:
    items = [0]
    items[0] = 1
    items.append(2)
    for _ in items:
        pass


class _Probe:
    def __init__(self) -> None:
        self.count = 0

    def missed(self, obj: Any) -> None:
        # Two arguments' worth of frames lie between, as for any site.
        self.count = getrefcount(obj)


class _StepProbe:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, iterator: Any, get: Any, site: Any) -> None:  # noqa: ARG002 - called like a hook
        self.count = getrefcount(iterator)


class _Sampling:
    """A selection of one access of each kind."""

    def __init__(self) -> None:
        self.access = _Probe()
        self.bound = _Probe()
        self.step = _StepProbe()

    def call(self, access: Access, place: Place) -> Call | None:  # noqa: ARG002 - a selection's
        if access.what == BOUND:
            return Call(hook.bound, (_not_known, self.bound))
        if access.what == STEP:
            return Call(self.step.__call__, (_not_known, None))
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
    found = Counts(sampling.access.count, sampling.bound.count, sampling.step.count)
    hook.measured(found.step)
    return found
