"""The functions that rewritten code calls before an access.

Each is given what keeps, by object, which task was the last to make this access; if it is the one that runs, that is
all. Whoever is not found there is for the site of the access to look into.
"""

from __future__ import annotations

from collections.abc import Callable
from gc import get_referents
from sys import getrefcount
from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING, Any

from routilux_sim.points.containers import OUTER_ITERATORS, OWN_ITERATORS, is_container
from routilux_sim.points.sharing import address, now

if TYPE_CHECKING:
    from routilux_sim.kernel.core import Kernel

__all__ = ["HOOKS", "access", "begin", "bound", "containers_behind", "end", "named", "paused", "step", "turn", "weak"]


class Idle:
    """In the place of a kernel when none runs: what nobody has accessed was accessed by its current task."""

    current = None
    steps = -1


_kernel: Any = Idle


def begin(kernel: Kernel) -> None:
    """From now on accesses are of ``kernel``'s tasks."""
    global _kernel  # noqa: PLW0603 - read at every access
    _kernel = kernel


def end() -> None:
    """From now on they are nobody's."""
    global _kernel  # noqa: PLW0603 - as above
    _kernel = Idle


def paused(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does the same as ``call``, while no access is noted."""

    def quietly(*args: Any) -> Any:
        global _kernel  # noqa: PLW0603 - as above
        kernel, _kernel = _kernel, Idle
        try:
            return call(*args)
        finally:
            _kernel = kernel

    return quietly


def access(obj: Any, get: Any, site: Any) -> None:
    """An access to something in ``obj``."""
    if get(address(obj)) is not _kernel.current:
        site.missed(obj)


def bound(method: Any, get: Any, site: Any) -> None:
    """A call of a method, perhaps one of a container."""
    if type(method) in _BOUND:
        obj = method.__self__
        if get(address(obj)) is not _kernel.current:
            site.missed(obj)


_BOUND = {BuiltinMethodType, MethodType, type("".__str__)}


def step(iterator: Any, get: Any, site: Any) -> None:
    """A step of a loop: it reads the container, and takes from the iterator, which others may have too."""
    kind = type(iterator)
    if kind in OWN_ITERATORS:
        # The container comes first, and an iterator at its end has none.
        for obj in get_referents(iterator):
            if get(address(obj)) is not _kernel.current:
                site.missed(obj)
            break
    elif kind in OUTER_ITERATORS:
        for obj in containers_behind(iterator):
            if get(address(obj)) is not _kernel.current:
                site.missed(obj)
    if getrefcount(iterator) > site.iterators_own:
        site.stepped(iterator)


def named(obj: Any, name: Any, site: Any) -> None:
    """An access to an attribute whose name is computed."""
    if isinstance(name, str):
        site.named(obj, name)


def turn() -> None:
    """A loop that steps through nothing begins anew: perhaps it waits for what another task is to write."""
    global _turns, _steps  # noqa: PLW0603 - counted at every turn
    kernel = _kernel
    if kernel.steps != _steps:
        _turns, _steps = 0, kernel.steps
        return
    _turns += 1
    if _turns == PATIENCE:
        _turns = 0
        now.share_what_is_read()


_turns = 0
_steps = -1

PATIENCE = 2_000
"""So many turns of loops without any step of the execution are taken for waiting."""


def weak(name: str) -> None:  # noqa: ARG001 - what is loaded
    """The code is about to use `weakref`: when an object goes, no access tells of it."""
    now.has_weak_references = True


HOOKS: frozenset[Any] = frozenset((access, bound, step, named, turn, weak))


def containers_behind(iterator: Any, depth: int = 3) -> list[Any]:
    """The containers that an iterator of the language's own reads, over other iterators if need be."""
    kind = type(iterator)
    if not depth or (kind not in OWN_ITERATORS and kind not in OUTER_ITERATORS):
        return []
    found = []
    for inner in get_referents(iterator):
        if is_container(type(inner)):
            if kind in OWN_ITERATORS:
                found.append(inner)
        elif type(inner) is tuple:
            for part in inner:
                found += containers_behind(part, depth - 1)
        else:
            found += containers_behind(inner, depth - 1)
    return found
