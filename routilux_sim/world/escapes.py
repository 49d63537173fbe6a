"""What cannot be simulated and would escape: using it ends the execution as inconclusive, naming it and a remedy.

Guards stand under the names that `routilux_sim.boundary` lists as escaping; what was captured beforehand, or has other
names, is for `routilux_sim.world.audit`. A debugger may do as it likes.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from routilux_sim import boundary
from routilux_sim.kernel.core import Kernel, here
from routilux_sim.kernel.errors import EscapeError
from routilux_sim.lookalikes import traceback_along
from routilux_sim.world.frames import is_debugged, place_of, stack_from

__all__ = ["NO_IO", "Guard", "error_of", "guard", "is_waiting_file", "replacements"]

NO_IO = "keep real input and output out of the program"

STANDARD_OUTPUTS = (1, 2)
"""File descriptors that a program may write to, whatever they lead to."""


def replacements() -> list[tuple[Any, str, Any]]:
    """Owner, name and what to put there while the simulated world is installed."""
    rows: dict[tuple[int, str], tuple[Any, str, Any]] = {}
    for entry in boundary.entries():
        if entry.status == "escapes" and not entry.on and not entry.event:
            for row in _rows(entry):
                # A class may go by two names.
                rows.setdefault((id(row[0]), row[1]), row)
    return list(rows.values())


def _rows(entry: boundary.Entry) -> list[tuple[Any, str, Any]]:
    """The row of a name; none for one that this system or version of Python does not have."""
    path, _, name = entry.name.rpartition(".")
    what = f"{entry.module}.{entry.name.removesuffix('.__enter__')}()"
    try:
        original = boundary.resolve(entry.module, entry.name)
        owner = boundary.resolve(entry.module, path) if path else sys.modules[entry.module]
    except (ImportError, AttributeError):
        return []
    if isinstance(original, type) and "__init__" in vars(original):
        # A class may be captured, derived from and asked for: it stays, and cannot be made.
        return [(original, "__init__", guard(original, "__init__", what, entry.note))]
    if path:
        return [(owner, name, guard(owner, name, what, entry.note))]
    return [(owner, name, Guard(original, what, entry.note, _CONDITIONS.get((entry.module, name))))]


class Guard:
    """What to put in the place of a module's function.

    It is no function, because one in C, which it stands for, is not bound either where it is a class attribute.

    Args:
        original: The function, or a class written in C.
        what: Its name for people.
        remedy: What to do instead.
        condition: Called with its arguments: whether it would escape; None: always.
    """

    __slots__ = ("_condition", "_original", "_remedy", "_what")

    def __init__(self, original: Any, what: str, remedy: str, condition: Callable[..., bool] | None = None) -> None:
        self._original = original
        self._what = what
        self._remedy = remedy
        self._condition = condition

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, or end the execution."""
        kernel = here()
        if kernel is not None and (self._condition is None or self._condition(*args, **kwargs)):
            _stop(kernel, self._what, self._remedy, sys._getframe(1))
        return self._original(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._original)

    def __repr__(self) -> str:
        return repr(self._original)


def guard(owner: Any, name: str, what: str, remedy: str) -> Callable[..., Any]:
    """What to put in the place of the method ``owner.name``: as `Guard`, without a condition."""
    original = getattr(owner, name)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        kernel = here()
        if kernel is not None:
            _stop(kernel, what, remedy, sys._getframe(1))
        return original(*args, **kwargs)

    guarded.__name__ = name
    guarded.__doc__ = original.__doc__
    return guarded


def _stop(kernel: Kernel, what: str, remedy: str, frame: FrameType) -> None:
    if not is_debugged(frame):
        kernel.stop(error_of(kernel, what, remedy, frame))


def error_of(kernel: Kernel, what: str, remedy: str, frame: FrameType | None) -> EscapeError:
    """The error that says what escaped, and where the program's code is, up the stack from ``frame``."""
    text = f"{what} is not simulated: {remedy}"
    place = place_of(frame)
    if place is None:
        return EscapeError(text)
    task = kernel.current
    text += f"\n  at {place}"
    if task is not None:
        text += f" (task {task.name!r})"
    error = EscapeError(text, place.call, place.filename, place.line)
    error.__traceback__ = traceback_along(stack_from(frame))
    return error


def is_waiting_file(file: Any) -> bool:
    """Whether reading from a path or descriptor, or writing to it, may wait for somebody: a pipe, a socket, a terminal.

    Sources of randomness count too, because what they give is not seeded.
    """
    try:
        status = os.stat(file)
    except (OSError, TypeError, ValueError):
        return False
    mode = status.st_mode
    if stat.S_ISCHR(mode):
        return status.st_rdev not in _harmless_devices()
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _harmless_devices() -> set[int]:
    return {os.stat(path).st_rdev for path in ("/dev/null", "/dev/zero", "/dev/full") if os.path.exists(path)}


def _is_waiting_read(fd: Any = None, *_: Any, **__: Any) -> bool:
    return is_waiting_file(fd)


def _is_waiting_write(fd: Any = None, *_: Any, **__: Any) -> bool:
    return fd not in STANDARD_OUTPUTS and is_waiting_file(fd)


def _is_not_a_selector(*_: Any, **__: Any) -> bool:
    """Whether somebody else asks than the module whose own waiting is guarded."""
    return sys._getframe(2).f_globals.get("__name__") != "selectors"


_CONDITIONS: dict[tuple[str, str], Callable[..., bool]] = {
    ("os", "read"): _is_waiting_read,
    ("os", "readv"): _is_waiting_read,
    ("os", "write"): _is_waiting_write,
    ("os", "writev"): _is_waiting_write,
    **{("select", name): _is_not_a_selector for name in ("poll", "epoll", "kqueue", "devpoll")},
}
