"""Finding a callable by its import path, for command lines and scenario files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from routilux.exceptions import RoutiluxError

__all__ = ["LoadError", "load_callable", "load_flow_factory"]


class LoadError(RoutiluxError, ValueError):
    """An import path leads nowhere, or to something that cannot be called."""


def load_callable(path: str, search: Iterable[Path] = (), only_from: Iterable[str] = ()) -> Callable[..., Any]:
    """Import ``module:name`` and return what is there.

    Args:
        path: A module's import path, a colon, and the name of a callable in it (dots allowed).
        search: Directories to look in before ``sys.path``; they stay on it, as the module may import more later.
        only_from: Modules and packages; if there are any, nothing is imported but what is one of them or in one, and
            the callable must be defined there: what they have imported from elsewhere is refused.

    Raises:
        LoadError: The path is malformed, not allowed, or leads to nothing that can be called.
    """
    module_name, colon, name = path.partition(":")
    if not (colon and module_name and name):
        raise LoadError(f"{path!r} is not an import path; write 'package.module:name'")
    allowed = tuple(only_from)
    if allowed and not _is_in(module_name, allowed):
        raise LoadError(f"{path!r} is not allowed: only what is in {' or '.join(map(repr, allowed))} may be imported")
    for directory in reversed([str(item) for item in search]):
        if directory not in sys.path:
            sys.path.insert(0, directory)
    try:
        found: Any = import_module(module_name)
    except Exception as error:
        raise LoadError(f"{path!r}: cannot import {module_name!r}: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if allowed and part.startswith("__"):
            raise LoadError(f"{path!r} is not allowed: {part!r} is nothing that a package offers; name a function")
        if not hasattr(found, part):
            raise LoadError(f"{path!r}: there is no {part!r} in {found!r}")
        found = getattr(found, part)
    if not callable(found):
        raise LoadError(f"{path!r} is {found!r}, which cannot be called; name a function")
    home = getattr(found, "__module__", None)
    if allowed and not (isinstance(home, str) and _is_in(home, allowed)):
        raise LoadError(
            f"{path!r} is not allowed: it is from {home!r}, and only what is defined in "
            f"{' or '.join(map(repr, allowed))} may be called"
        )
    factory: Callable[..., Any] = found
    return factory


def _is_in(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def load_flow_factory(path: str, search: Iterable[Path] = (), only_from: Iterable[str] = ()) -> Callable[..., Any]:
    """As `load_callable`, for a function that makes flows: calling it checks that it does.

    Raises:
        LoadError: At once, if the path leads nowhere; when called, if what comes back is not a Flow.
    """
    from routilux.flow import Flow  # noqa: PLC0415 - keeps this module at the bottom

    factory = load_callable(path, search, only_from)

    def make(*args: Any, **kwargs: Any) -> Flow:
        flow = factory(*args, **kwargs)
        if not isinstance(flow, Flow):
            raise LoadError(f"{path!r} returned {flow!r}; it must return a Flow")
        return flow

    return make
