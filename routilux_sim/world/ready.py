"""What is ready for a simulation long before one begins: real outside it, simulated inside.

It stands for types and functions written in C, which nobody can change: `prepare` puts it in their places, so that
locks made and names captured from then on need not be searched for. Loaded at the start of every pytest, so this module
imports nothing else of the simulator; what happens inside a simulation is told to it by who installs the simulated
world.
"""

from __future__ import annotations

import _queue
import _thread
import functools
import queue
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Any, NoReturn

__all__ = [
    "FUNCTIONS",
    "ORIGINALS",
    "ROWS",
    "TRACERS",
    "Function",
    "Kind",
    "Ready",
    "ReadyLock",
    "ReadyRLock",
    "SimpleQueue",
    "local",
    "originals_of",
    "prepare",
    "refuse_to_derive",
    "switch_off",
    "switch_on",
]

TRACERS = ("coverage.",)
"""Packages whose trace functions run in the midst of a simulation: their locks stay real, and are never waited for."""

_here: Callable[[], Any] | None = None
_prepared = False
_simulated: dict[Any, Callable[..., Any]] = {}
_twins: dict[type, Callable[[Any], Any]] = {}


def switch_on(
    here: Callable[[], Any], simulated: dict[Any, Callable[..., Any]], twins: dict[type, Callable[[Any], Any]]
) -> None:
    """From now on there may be a simulation.

    Args:
        here: Returns the caller's kernel, or None in real threads.
        simulated: What is called inside a simulation: for each class of this module what makes an object, for the name
            of each function of `FUNCTIONS` what is called with the kernel and the arguments.
        twins: For each class what makes the twin of an object that was there before.
    """
    global _here  # noqa: PLW0603 - the one switch that everything in this module looks at
    _simulated.update(simulated)
    _twins.update(twins)
    _here = here


def switch_off() -> None:
    """There is no simulation any more."""
    global _here  # noqa: PLW0603 - as above
    _here = None


class Kind(type):
    """Of a class in the place of a type written in C, its ``real_type``: counts that type's instances as its own."""

    real_type: Any = None

    def __instancecheck__(cls, instance: object) -> bool:
        real = cls.real_type
        return super().__instancecheck__(instance) if real is None else isinstance(instance, real)


class Ready(metaclass=Kind):
    """What is real outside a simulation, and has a twin in each execution; called inside one, makes a simulated one.

    Attributes:
        real: The object that real threads use.
        site: Where it was made: code object and line; None when that is not known.
    """

    __slots__ = ("__weakref__", "_execution", "_twin", "real", "site")
    make_real: Callable[..., Any]
    real: Any
    site: tuple[CodeType, int] | None
    _execution: int
    _twin: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one, over a new real object."""
        is_derived = cls not in _CLASSES
        if _here is not None and _here() is not None and not is_derived:
            if args or kwargs:
                # It may know what is wrong with them.
                cls.make_real(*args, **kwargs)
            return _simulated[cls]()
        real = cls.make_real(*args, **kwargs)
        frame = sys._getframe(1)
        if not is_derived and (not _prepared or str(frame.f_globals.get("__name__")).startswith(TRACERS)):
            return real
        self = cls.over(real)
        self.site = (frame.f_code, frame.f_lineno)
        return self

    @classmethod
    def over(cls, real: Any) -> Any:
        """Make one that stands for an object that is there already."""
        self = object.__new__(cls)
        self.real = real
        self.site = None
        self._execution = 0
        self._twin = None
        return self

    def twin(self, kernel: Any) -> Any:
        """The simulated object of ``kernel``'s execution."""
        if self._execution != kernel.number:
            self._twin = next(_twins[kind] for kind in type(self).__mro__ if kind in _twins)(self)
            self._execution = kernel.number
        return self._twin

    def current(self) -> Any:
        """What the caller is to use."""
        if _here is None or (kernel := _here()) is None:
            return self.real
        return self.twin(kernel)

    def __repr__(self) -> str:
        return repr(self.current())

    def __reduce__(self) -> str:
        raise TypeError(f"cannot pickle {type(self.real).__name__!r} object")


def refuse_to_derive() -> NoReturn:
    """Raise what CPython raises for a class that is to be derived from a lock's."""
    if sys.version_info >= (3, 13):
        raise TypeError("type '_thread.lock' is not an acceptable base type")
    # There it is a function.
    types.new_class("derived", (ReadyLock.make_real,))
    raise AssertionError


class ReadyLock(Ready):
    """A ``threading.Lock``."""

    def __init_subclass__(cls) -> None:
        refuse_to_derive()

    __slots__ = ()
    # Whichever knows in its own words what is wrong with arguments.
    make_real = staticmethod(_thread.LockType if sys.version_info >= (3, 13) else _thread.allocate_lock)
    real_type = _thread.LockType

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock."""
        if _here is None or (kernel := _here()) is None:
            return self.real.acquire(blocking, timeout)  # type: ignore[no-any-return]
        return self.twin(kernel).acquire(blocking, timeout)  # type: ignore[no-any-return]

    __enter__ = acquire_lock = acquire

    def release(self) -> None:
        """Give the lock back."""
        if _here is None or (kernel := _here()) is None:
            self.real.release()
        else:
            self.twin(kernel).release()

    release_lock = release

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self.current().locked()  # type: ignore[no-any-return]

    locked_lock = locked

    def _at_fork_reinit(self) -> None:
        self.real._at_fork_reinit()

    @property  # type: ignore[misc] # nobody sets it
    def __class__(self) -> type:
        """Whoever asks ``isinstance(lock, type(threading.Lock()))`` gets a yes, wherever the type is from."""
        return _thread.LockType


class ReadyRLock(Ready):
    """A ``threading.RLock``."""

    __slots__ = ()
    make_real = staticmethod(_thread.RLock)
    real_type = _thread.RLock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, or count one more if one has it."""
        if _here is None or (kernel := _here()) is None:
            return self.real.acquire(blocking, timeout)  # type: ignore[no-any-return]
        return self.twin(kernel).acquire(blocking, timeout)  # type: ignore[no-any-return]

    __enter__ = acquire

    def release(self) -> None:
        """Give the lock back once."""
        if _here is None or (kernel := _here()) is None:
            self.real.release()
        else:
            self.twin(kernel).release()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def _is_owned(self) -> bool:
        return self.current()._is_owned()  # type: ignore[no-any-return]

    def _release_save(self) -> Any:
        return self.current()._release_save()

    def _acquire_restore(self, state: Any) -> None:
        self.current()._acquire_restore(state)

    def _at_fork_reinit(self) -> None:
        self.real._at_fork_reinit()

    def __getattr__(self, name: str) -> Any:
        """What only some versions have: ``locked``, ``_recursion_count``."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.current(), name)

    @property  # type: ignore[misc] # nobody sets it
    def __class__(self) -> type:
        """Whoever asks ``isinstance(lock, type(threading.RLock()))`` gets a yes, wherever the type is from."""
        return _thread.RLock


_CLASSES: tuple[type, ...] = (ReadyLock, ReadyRLock)


class local(_thread._local):  # noqa: N801 - the name that programs know
    """``threading.local``; being written in Python, its methods can be replaced while there is a simulation."""

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Any:
        """Make one; it has attributes in the task that makes it from now on, so that ``__init__`` runs once there."""
        self = super().__new__(cls, *args, **kwargs)
        task = None if _here is None or (kernel := _here()) is None else kernel.current
        if task is not None and not task.is_caller:
            task.storage[id(self)] = ({}, self)
        return self


class SimpleQueue(_queue.SimpleQueue[Any]):
    """``queue.SimpleQueue``; as above."""


class Function(functools.partial[Any]):
    """Calls a function in the place of one written in C: as that one, it is not bound where it is a class attribute.

    Args:
        function: What to call.
        original: The function that it stands for, by whose name and module it goes.
    """

    __name__: str
    __qualname__: str

    def __new__(cls, function: Callable[..., Any], original: Callable[..., Any]) -> Any:
        """Make one."""
        self: Any = super().__new__(cls, function)
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = original.__module__
        self.__doc__ = original.__doc__
        return self

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Not bound."""
        return self

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"

    def __reduce__(self) -> Any:
        return self.__name__


def _function(original: Callable[..., Any]) -> Callable[..., Any]:
    name = original.__name__

    def function(*args: Any) -> Any:
        if _here is None or (kernel := _here()) is None:
            return original(*args)
        return _simulated[name](kernel, *args)

    return Function(function, original)  # type: ignore[no-any-return] # it may be called


ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(time, name)
    for name in (
        "asctime",
        "clock_gettime",
        "clock_gettime_ns",
        "ctime",
        "gmtime",
        "localtime",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "process_time_ns",
        "sleep",
        "strftime",
        "thread_time",
        "thread_time_ns",
        "time",
        "time_ns",
    )
    if hasattr(time, name)
}
"""CPython's own, by name in the ``time`` module."""

FUNCTIONS = {name: _function(original) for name, original in ORIGINALS.items()}
"""What takes their places."""

ROWS: list[tuple[Any, str, Any, Any]] = [
    (owner, name, vars(owner)[name], replacement)
    for owner, name, replacement in (
        *((time, name, function) for name, function in FUNCTIONS.items()),
        (threading, "Lock", ReadyLock),
        (threading, "_allocate_lock", ReadyLock),
        (threading, "_CRLock", ReadyRLock),
        (threading, "local", local),
        (threading, "_time", FUNCTIONS["monotonic"]),
        (_thread, "allocate_lock", ReadyLock),
        (_thread, "allocate", ReadyLock),
        (_thread, "lock", ReadyLock),
        (_thread, "RLock", ReadyRLock),
        (_thread, "_local", local),
        (queue, "SimpleQueue", SimpleQueue),
        (queue, "time", FUNCTIONS["monotonic"]),
        (_queue, "SimpleQueue", SimpleQueue),
    )
    if name in vars(owner)
]
"""Owner, name, what is there, and what is put there."""

for _kind, _name, _module in (
    (ReadyLock, "lock", "_thread"),
    (ReadyRLock, "RLock", "_thread"),
    # As the C type calls itself in its messages.
    (local, "_thread._local", "_thread"),
    (SimpleQueue, "SimpleQueue", "_queue"),
):
    _kind.__name__ = _name
    _kind.__qualname__ = _name.removeprefix("_thread.")
    _kind.__module__ = _module


def originals_of(module: Any) -> dict[str, Any]:
    """What is under the names of a module when nothing has been replaced."""
    return {**vars(module), **{name: original for owner, name, original, _ in ROWS if owner is module}}


def _captured_in_modules() -> Iterator[tuple[Any, str, Any, Any]]:
    """The same names as other modules have imported them so far; they may make locks at any time."""
    replacements = {id(original): (original, replacement) for _, _, original, replacement in ROWS}
    owners = {id(owner) for owner, _, _, _ in ROWS}
    for module in list(sys.modules.values()):
        if type(module) is not ModuleType or id(module) in owners or module.__name__.startswith(_LEFT_ALONE):
            continue
        for name, value in list(vars(module).items()):
            if id(value) in replacements:
                yield module, name, *replacements[id(value)]


_LEFT_ALONE = ("routilux_sim", "importlib.", "_frozen_importlib")


def prepare() -> Callable[[], None]:
    """Put what is ready in place, also where modules have captured it.

    Returns:
        What takes it away again, where nobody has put something else there since.
    """
    global _prepared  # noqa: PLW0603 - whether what is made now may meet a simulation later
    if _prepared:
        return lambda: None
    put = [row for row in ROWS if vars(row[0])[row[1]] is row[2]] + list(_captured_in_modules())
    for owner, name, _, replacement in put:
        setattr(owner, name, replacement)
    _prepared = True

    def restore() -> None:
        global _prepared  # noqa: PLW0603 - as above
        _prepared = False
        for owner, name, original, replacement in put:
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)

    return restore
