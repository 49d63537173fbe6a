"""``threading.local`` for tasks: each has attributes of its own, and the program's own task those of its real thread.

All tasks share one operating-system thread, so what the C type keeps for that thread would be seen by all of them. Its
methods cannot be replaced, but those of classes derived from it can: so ``threading.local`` becomes such a class, plain
objects of the C type are stood in for by one, and while the world is installed every such class asks who is asking.
"""

from __future__ import annotations

import gc
from typing import Any

from routilux_sim.kernel.core import here
from routilux_sim.kernel.task import Task
from routilux_sim.world.captured import is_mutable
from routilux_sim.world.ready import local

__all__ = ["Stand", "replacements"]

_Real: Any = local.__mro__[1]
_real_get = _Real.__getattribute__
_real_set = _Real.__setattr__
_real_delete = _Real.__delattr__


class Stand(local):
    """Stands for an object of the C type that was there before the simulation.

    Args:
        real: That object.
    """

    __slots__ = ("_real",)

    def __init__(self, real: Any = None) -> None:
        _real_slot.__set__(self, real)


_real_slot = Stand.__dict__["_real"]


def _task() -> Task | None:
    """The task that has attributes of its own; None for real threads, and for the task that stands for one."""
    kernel = here()
    task = None if kernel is None else kernel.current
    return None if task is None or task.is_caller else task


def _inner(self: Any) -> Any:
    """The object of the C type that real threads' attributes are in."""
    return _real_slot.__get__(self) if type(self) is Stand else self


def _contents(self: Any, task: Task) -> dict[str, Any]:
    entry = task.storage.get(id(self))
    if entry is None:
        contents: dict[str, Any] = {}
        # The entry keeps the object alive, so that its id is not used twice.
        task.storage[id(self)] = (contents, self)
        if type(self) is not Stand:
            arguments, keywords = _arguments(self)
            type(self).__init__(self, *arguments, **keywords)
        return contents
    found: dict[str, Any] = entry[0]
    return found


def _arguments(self: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the object was made with; the C type keeps it for ``__init__``, which runs once in each thread.

    It tells nobody but the garbage collector: first the positional arguments, then the keywords if there are any,
    before the threads' own data, which has no strings for keys.
    """
    referents = gc.get_referents(self)
    arguments = next((item for item in referents if type(item) is tuple), ())
    keywords = next((item for item in referents if type(item) is dict), {})
    return arguments, keywords if keywords and all(type(key) is str for key in keywords) else {}


def get(self: Any, name: str) -> Any:
    """Replace ``__getattribute__``."""
    task = _task()
    if task is None:
        return _real_get(_inner(self), name)
    contents = _contents(self, task)
    if name == "__dict__":
        return contents
    if name in contents and not _is_data_descriptor(type(self), name):
        return contents[name]
    try:
        return object.__getattribute__(self, name)
    except AttributeError:
        raise AttributeError(f"{_type_name(self)} object has no attribute {name!r}", name=name, obj=self) from None


def _is_data_descriptor(kind: type, name: str) -> bool:
    for base in kind.__mro__:
        if name in base.__dict__:
            return hasattr(type(base.__dict__[name]), "__set__")
    return False


def set_(self: Any, name: str, value: Any) -> None:
    """Replace ``__setattr__``."""
    task = _task()
    if task is None:
        _real_set(_inner(self), name, value)
        return
    contents = _contents(self, task)
    if name == "__dict__":
        raise AttributeError(f"{_type_name(self)} object attribute '__dict__' is read-only")
    if _is_data_descriptor(type(self), name):
        object.__setattr__(self, name, value)
    else:
        contents[name] = value


def delete(self: Any, name: str) -> None:
    """Replace ``__delattr__``."""
    task = _task()
    if task is None:
        _real_delete(_inner(self), name)
        return
    contents = _contents(self, task)
    if name == "__dict__":
        raise AttributeError(f"{_type_name(self)} object attribute '__dict__' is read-only")
    if _is_data_descriptor(type(self), name):
        object.__delattr__(self, name)
        return
    try:
        del contents[name]
    except KeyError:
        raise AttributeError(f"{_type_name(self)} object has no attribute {name!r}", name=name, obj=self) from None


def _type_name(obj: Any) -> str:
    return "'_thread._local'" if type(obj) in {local, Stand} else repr(type(obj).__name__)


def replacements() -> list[tuple[type, str, Any]]:
    """Class, name and what to put there, for every class that derives straight from the C type by now."""
    return [
        (kind, name, function)
        for kind in _Real.__subclasses__()
        if is_mutable(kind)
        for name, function in (("__getattribute__", get), ("__setattr__", set_), ("__delattr__", delete))
        if kind is local or name not in vars(kind)
    ]
