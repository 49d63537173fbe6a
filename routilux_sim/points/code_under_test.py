"""Finds the functions of the code under test: the program's own module and those of its project that it reaches.

What belongs to a project is neither installed nor part of Python, nor of this package: a module whose file is in none
of those places. Or the modules are named, and are searched wherever they are.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from routilux_sim.addresses import address

__all__ = ["CodeUnderTest", "Instrument", "check_instrument"]

Instrument = Sequence[str] | str | None

_OWN = ("routilux", "routilux_sim")
_paths = sysconfig.get_paths()
_FOREIGN = tuple({_paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_HERE = str(Path(__file__).parent.parent)

LIMIT = 200_000
"""Objects that are looked at; more are hardly functions."""


def check_instrument(instrument: Any) -> str | tuple[str, ...] | None:
    """Return what is to be instrumented, if that can be.

    Raises:
        ValueError: It is neither ``"auto"``, nor a sequence of names of modules or packages, nor None.
    """
    if instrument is None or instrument == "auto":
        return instrument  # type: ignore[no-any-return]
    names = () if isinstance(instrument, str) or not isinstance(instrument, Iterable) else tuple(instrument)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f'instrument must be "auto", a list of module names or None, not {instrument!r}')
    for name in names:
        if name.partition(".")[0] == "routilux_sim":
            raise ValueError(f"instrument={name!r}: the simulator cannot be run under itself; name other modules")
    return names


def _is_under(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


class CodeUnderTest:
    """The functions that are instrumented in one campaign.

    Args:
        program: The program that is run.
        instrument: ``"auto"``, or names of modules and packages.
    """

    def __init__(self, program: Any, instrument: str | tuple[str, ...]) -> None:
        self._program = program
        self._names = None if isinstance(instrument, str) else instrument

    def contains(self, module: ModuleType) -> bool:
        """Whether a module belongs to it."""
        name = str(getattr(module, "__name__", ""))
        if self._names is not None:
            return _is_under(name, self._names)
        if _is_under(name, _OWN) or name.partition(".")[0] in sys.stdlib_module_names:
            return False
        file = getattr(module, "__file__", None)
        if file is None or (name == "__main__" and str(file).startswith("<")):
            # Neither written in C, nor a package without a file of its own; a program may come by standard input.
            return name == "__main__" or getattr(module, "__spec__", None) is None
        return not str(file).startswith((*_FOREIGN, _HERE, "<"))

    def functions(self) -> list[FunctionType]:
        """Find them."""
        roots: list[Any] = [self._program]
        if self._names is not None:
            roots += [module for module in list(sys.modules.values()) if self._is_named(module)]
        return self._search(roots)

    def functions_in(self, module: ModuleType) -> list[FunctionType]:
        """Those of a module that has just been imported, and of what it reaches."""
        return self._search([module])

    def _is_named(self, module: Any) -> bool:
        return isinstance(module, ModuleType) and self.contains(module)

    def _search(self, roots: list[Any]) -> list[FunctionType]:
        """Go from object to object, through the modules under test and not through others."""
        modules = {
            address(vars(module)): module for module in list(sys.modules.values()) if isinstance(module, ModuleType)
        }
        inside: dict[int, bool] = {}
        seen: set[int] = set()
        kept: list[Any] = []
        found: list[FunctionType] = []
        frontier = roots
        while frontier and len(kept) < LIMIT:
            following: list[Any] = []
            for item in frontier:
                if address(item) in seen:
                    continue
                seen.add(address(item))
                kept.append(item)
                following += self._next(item, modules, inside, found)
            frontier = following
        return found

    def _next(
        self, item: Any, modules: dict[int, ModuleType], inside: dict[int, bool], found: list[FunctionType]
    ) -> list[Any]:
        """What is reached from an object."""
        if isinstance(item, FunctionType):
            return self._next_of_function(item, modules, inside, found)
        if isinstance(item, type | ModuleType):
            return self._next_of_scope(item)
        if type(item) is dict and address(item) in modules:
            return [modules[address(item)]]
        if isinstance(item, CodeType | FrameType) or not gc.is_tracked(item) or _is_runners(type(item)):
            return []
        return gc.get_referents(item)

    def _next_of_scope(self, item: type | ModuleType) -> list[Any]:
        """What is reached from a class or a module: nothing, unless it belongs to the code under test."""
        if isinstance(item, ModuleType):
            return list(vars(item).values()) if self.contains(item) else []
        module = sys.modules.get(item.__module__)
        if module is None or not self.contains(module):
            return []
        return [module, *vars(item).values(), *item.__bases__]

    def _next_of_function(
        self, item: FunctionType, modules: dict[int, ModuleType], inside: dict[int, bool], found: list[FunctionType]
    ) -> list[Any]:
        key = address(item.__globals__)
        if key not in inside:
            module = modules.get(key)
            inside[key] = self._has_name(item) if module is None else self.contains(module)
        reached = [cell.cell_contents for cell in item.__closure__ or () if _is_full(cell)]
        reached += item.__defaults__ or ()
        reached += (item.__kwdefaults__ or {}).values()
        reached += vars(item).values()
        if inside[key]:
            found.append(item)
            module = modules.get(key)
            reached += item.__globals__.values() if module is None else [module]
        return reached

    def _has_name(self, function: FunctionType) -> bool:
        """Whether a function of no module there is belongs to the code under test."""
        name = str(function.__globals__.get("__name__"))
        return not _is_under(name, _OWN) if self._names is None else _is_under(name, self._names)


def _is_runners(kind: type) -> bool:
    """Whether a class is the test runner's or the simulator's: their objects know of everything."""
    return str(kind.__module__).startswith(("_pytest.", "pluggy.", "routilux_sim."))


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - to see whether it is there
    except ValueError:
        return False
    return True
