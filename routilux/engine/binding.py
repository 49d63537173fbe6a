"""How a handler gets an event's data: its signature is read once, when the slot is defined, never per call.

Knows signatures and dictionaries; knows neither slots nor jobs.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from inspect import Parameter
from typing import Any

from routilux.exceptions import HandlerArgumentError

__all__ = ["Call", "bind"]

Call = Callable[[dict[str, Any]], Any]


def bind(handler: Callable[..., Any]) -> Call:
    """Make a function of one dictionary that calls ``handler`` with what it asks for.

    * ``**kwargs``: every item by name.
    * One parameter named ``data``: a copy of the dictionary.
    * One parameter of another name: the item of that name, or a copy of the dictionary if there is none.
    * Several: those items that match by name.
    * None at all: nothing.

    Raises:
        TypeError: ``handler`` is not callable, or calling it would not run its body.
    """
    _check(handler)
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except ValueError:  # some built-in functions tell nothing of their parameters
        return lambda data: handler(dict(data))
    by_kind: defaultdict[Any, list[Parameter]] = defaultdict(list)
    for parameter in parameters:
        by_kind[parameter.kind].append(parameter)
    named = by_kind[Parameter.POSITIONAL_OR_KEYWORD] + by_kind[Parameter.KEYWORD_ONLY]
    if by_kind[Parameter.POSITIONAL_ONLY]:
        everything = bool(by_kind[Parameter.VAR_KEYWORD])
        return _bind_positional(handler, by_kind[Parameter.POSITIONAL_ONLY], named, everything)
    if by_kind[Parameter.VAR_KEYWORD]:
        return _bind_all(handler, named)
    if len(named) == 1:
        return _bind_one(handler, named[0])
    if named:
        return _bind_some(handler, named)
    takes_any = bool(by_kind[Parameter.VAR_POSITIONAL])
    return (lambda data: handler(dict(data))) if takes_any else (lambda _data: handler())


def _check(handler: Callable[..., Any]) -> None:
    if not callable(handler):
        raise TypeError(f"a handler must be callable, not {handler!r}")
    body = getattr(handler, "__func__", handler)
    if not (inspect.isroutine(body) or isinstance(body, partial | type)):
        body = type(body).__call__
    if inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body):
        raise TypeError(f"handler {name_of(handler)!r} is 'async def'; give a plain function")
    if inspect.isgeneratorfunction(body):
        raise TypeError(f"handler {name_of(handler)!r} is a generator function: calling it would not run its body")


def name_of(handler: Callable[..., Any]) -> str:
    """The name by which messages call a handler."""
    return getattr(handler, "__name__", None) or type(handler).__name__


def _required(parameters: list[Parameter]) -> frozenset[str]:
    return frozenset(p.name for p in parameters if p.default is Parameter.empty)


def _bind_all(handler: Callable[..., Any], named: list[Parameter]) -> Call:
    required = _required(named)
    if not required:
        return lambda data: handler(**data)

    def call(data: dict[str, Any]) -> Any:
        if not required <= data.keys():
            raise HandlerArgumentError(name_of(handler), required - data.keys(), data)
        return handler(**data)

    return call


def _bind_one(handler: Callable[..., Any], parameter: Parameter) -> Call:
    name = parameter.name
    if parameter.kind is Parameter.KEYWORD_ONLY:
        if name == "data":
            return lambda data: handler(data=dict(data))
        return lambda data: handler(**{name: data[name] if name in data else dict(data)})
    if name == "data":
        return lambda data: handler(dict(data))
    return lambda data: handler(data[name] if name in data else dict(data))


def _bind_some(handler: Callable[..., Any], named: list[Parameter]) -> Call:
    names = frozenset(p.name for p in named)
    required = _required(named)

    def call(data: dict[str, Any]) -> Any:
        if data.keys() == names:
            return handler(**data)
        if not required <= data.keys():
            raise HandlerArgumentError(name_of(handler), required - data.keys(), data)
        return handler(**{name: data[name] for name in names & data.keys()})

    return call


def _bind_positional(
    handler: Callable[..., Any], leading: list[Parameter], named: list[Parameter], everything: bool
) -> Call:
    """What cannot be passed by name goes by position, up to the first item that lacks; the rest by name."""
    if len(leading) == 1 and not named and not everything:
        return _bind_one(handler, leading[0])
    required = _required(leading) | _required(named)

    def call(data: dict[str, Any]) -> Any:
        if not required <= data.keys():
            raise HandlerArgumentError(name_of(handler), required - data.keys(), data)
        front: list[Any] = []
        for parameter in leading:
            if parameter.name not in data:
                break
            front.append(data[parameter.name])
        passed = {p.name for p in leading[: len(front)]}
        rest = data.keys() - passed if everything else {p.name for p in named} & data.keys()
        return handler(*front, **{name: data[name] for name in rest})

    return call
