"""freezegun beside the simulator: it says where the virtual wall clock stands, and virtual time lets it go on.

Whoever freezes time around a simulation sets the wall clock of its beginning; who does so inside one moves the clock,
by ``tick()`` and ``move_to()`` too, and gives it back at the end of the block. Monotonic time and timeouts stay as they
are. Everything that freezegun has put into modules goes on working, on virtual time; inside a simulation it puts
nothing there, since all that tells time is simulated already.

Only a freezegun that the program has imported is touched; this module never imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.machinery import PathFinder
from typing import Any

from routilux_sim.kernel.core import Kernel, here
from routilux_sim.unfrozen import API, put_back, thaw

__all__ = ["enter", "freezegun_classes", "frozen_epoch_ns", "installed", "leave", "shift"]

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = "time_to_freeze"
"""The attribute in which each of freezegun's clocks keeps the instant at which it stands, in UTC and without a zone."""


def _ns_of(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND * 1_000


class _Clocks:
    """freezegun's clocks in one execution: for each that is frozen the wall clock's reading when the execution began.

    Args:
        api: The module ``freezegun.api``.
        kernel: Whose wall clock they set.
    """

    def __init__(self, api: Any, kernel: Kernel) -> None:
        self._factories: list[Any] = api.freeze_factories
        self._kernel = kernel
        self._unfrozen = kernel.epoch_ns
        self._epochs: dict[int, tuple[int, Any]] = {}
        self._outside = {id(factory) for factory in self._factories}
        for factory in self._factories[:-1]:
            self._epochs[id(factory)] = (_ns_of(vars(factory)[_INSTANT]), factory)
        if self._factories:
            # What the kernel was told to begin with goes before what freezegun says.
            self._epochs[id(self._factories[-1])] = (kernel.epoch_ns, self._factories[-1])

    def read(self, factory: Any) -> datetime:
        epoch_ns, _ = self._epochs[id(factory)]
        return _EPOCH + timedelta(microseconds=(epoch_ns + self._kernel.now) // 1_000)

    def set(self, factory: Any, instant: datetime) -> None:
        # The entry keeps the clock alive, so that its id is not used twice.
        self._epochs[id(factory)] = (_ns_of(instant) - self._kernel.now, factory)
        if id(factory) not in self._outside:
            vars(factory)[_INSTANT] = instant  # For whoever asks it after the simulation.
        self.settle()

    def settle(self) -> None:
        """Let the wall clock be that of the clock frozen last."""
        epoch_ns = self._unfrozen
        if self._factories and id(self._factories[-1]) in self._epochs:
            epoch_ns, _ = self._epochs[id(self._factories[-1])]
        self._kernel.epoch_ns = epoch_ns

    def shift(self, nanoseconds: int) -> None:
        self._unfrozen += nanoseconds
        self._epochs = {key: (epoch_ns + nanoseconds, factory) for key, (epoch_ns, factory) in self._epochs.items()}

    def end(self) -> None:
        self._kernel.epoch_ns = self._unfrozen


_clocks: _Clocks | None = None


def shift(nanoseconds: int) -> None:
    """Let all clocks of freezegun's jump in the execution that is under way."""
    if _clocks is not None:
        _clocks.shift(nanoseconds)


def frozen_epoch_ns() -> int | None:
    """Where freezegun has the wall clock stand, in nanoseconds since 1970; None if time is not frozen."""
    factories = getattr(sys.modules.get(API), "freeze_factories", None)
    return _ns_of(vars(factories[-1])[_INSTANT]) if factories else None


def freezegun_classes() -> tuple[Any, Any] | None:
    """``FakeDate`` and ``FakeDatetime``, inside a simulation while time is frozen; they know about ``tz_offset``."""
    api: Any = sys.modules.get(API)
    if _clocks is None or not getattr(api, "freeze_factories", None):
        return None
    return api.FakeDate, api.FakeDatetime


# What is put into freezegun's module while the simulated world is installed.


class _Instant:
    """The attribute `_INSTANT` of freezegun's clocks: inside a simulation it goes on with the virtual clock."""

    def __get__(self, factory: Any, owner: type) -> Any:
        if factory is None:
            return self
        if here() is None or _clocks is None:
            return vars(factory)[_INSTANT]
        return _clocks.read(factory)

    def __set__(self, factory: Any, instant: datetime) -> None:
        if here() is None or _clocks is None:
            vars(factory)[_INSTANT] = instant
        else:
            _clocks.set(factory, instant)


def _reading(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Replace the ``__call__`` of the clock that goes on with real time."""
    return lambda factory: original(factory) if here() is None else getattr(factory, _INSTANT)


def _quietly(original: Callable[[Any], Any], factories: list[Any]) -> Callable[[Any], Any]:
    """Replace ``start`` and ``stop``: inside a simulation there is nothing to change in any module.

    freezegun changes modules only for the outermost of nested freezes, so each one is made to look like an inner one.
    """

    def function(freezer: Any) -> Any:
        if here() is None or _clocks is None:
            return original(freezer)
        factories.insert(0, None)
        try:
            result = original(freezer)
        finally:
            del factories[0]
        _clocks.settle()
        return result

    return function


def _telling(original: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """Replace what freezegun takes for a function of the real ``time`` module."""

    def function(*args: Any) -> Any:
        kernel = here()
        return original(*args) if kernel is None else simulated(kernel, *args)

    return function


def _rows(api: Any, simulated: Mapping[str, Callable[..., Any]]) -> Iterator[tuple[Any, str, Any]]:
    should_use_real_time = api._should_use_real_time
    # "Real" is what the simulator says, also for modules on freezegun's list of those to ignore.
    yield api, "_should_use_real_time", lambda: here() is not None or should_use_real_time()
    for name, function in simulated.items():
        if hasattr(api, f"real_{name}"):
            yield api, f"real_{name}", _telling(getattr(api, f"real_{name}"), function)
    yield api._freeze_time, "start", _quietly(api._freeze_time.start, api.freeze_factories)
    yield api._freeze_time, "stop", _quietly(api._freeze_time.stop, api.freeze_factories)
    for kind in (api.FrozenDateTimeFactory, api.StepTickTimeFactory, api.TickingDateTimeFactory):
        yield kind, _INSTANT, _Instant()
    yield api.TickingDateTimeFactory, "__call__", _reading(api.TickingDateTimeFactory.__call__)


_ABSENT = object()


class _Patches:
    """What has been put into freezegun's module, and how to take it away again."""

    def __init__(self, simulated: Mapping[str, Callable[..., Any]]) -> None:
        self._simulated = simulated
        self._kept: list[tuple[Any, str, Any]] = []

    def put(self, api: Any) -> None:
        for owner, name, replacement in list(_rows(api, self._simulated)):
            self._kept.append((owner, name, vars(owner).get(name, _ABSENT)))
            setattr(owner, name, replacement)

    def restore(self) -> None:
        for owner, name, original in reversed(self._kept):
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        self._kept.clear()


class _Import:
    """Sees to it that a program may import freezegun inside a simulation: it is shown the real functions and types."""

    def __init__(self, patches: _Patches, originals: list[tuple[Any, str, Any]]) -> None:
        self._patches = patches
        self._originals = originals

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != API:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: Any) -> None:
                with put_back(self._originals):
                    execute(module)
                if here() is not None:
                    self._patches.put(module)
                    _begin(module)

            loader.exec_module = exec_module
        return spec


@contextmanager
def installed(simulated: Mapping[str, Callable[..., Any]], originals: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Make freezegun fit for simulations, for a while.

    Args:
        simulated: By name in the ``time`` module, what is called inside a simulation with the kernel and the arguments.
        originals: Owner, name and what is there outside simulations.
    """
    patches = _Patches(simulated)
    finder: Any = _Import(patches, originals)
    api = sys.modules.get(API)
    if api is None:
        sys.meta_path.insert(0, finder)
    else:
        # freezegun has been through all modules that there were, and so through the simulator's own.
        thaw("routilux_sim")
        patches.put(api)
    try:
        yield
    finally:
        patches.restore()
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


_Kept = tuple[list[tuple[list[Any], list[Any]]], list[tuple[Any, dict[str, Any]]]]


def enter(kernel: Kernel) -> _Kept | None:
    """Let freezegun set the wall clock of an execution, which begins with what is frozen now; then `leave`."""
    api: Any = sys.modules.get(API)
    if api is None:
        return None
    lists = [api.freeze_factories, api.tz_offsets, api.ignore_lists, api.tick_flags]
    moved = [(factory, dict(vars(factory))) for factory in api.freeze_factories]
    _begin(api, kernel)
    return [(each, list(each)) for each in lists], moved


def leave(kept: _Kept | None) -> None:
    """Leave what is frozen as `enter` found it; freezegun may have been imported in between."""
    global _clocks  # noqa: PLW0603 - one execution at a time has the process
    if _clocks is not None:
        _clocks.end()
        _clocks = None
    if kept is None:
        return
    for each, items in kept[0]:
        each[:] = items
    factory: Any
    for factory, attributes in kept[1]:
        vars(factory).update(attributes)


def _begin(api: Any, kernel: Kernel | None = None) -> None:
    global _clocks  # noqa: PLW0603 - as above
    kernel = kernel or here()
    if kernel is not None:
        _clocks = _Clocks(api, kernel)
