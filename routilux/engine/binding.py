"""How a handler gets an event's data: its signature is read once, when the slot is defined, never per call.

For each set of names that events come with, a `Binding` plans the call once; what is left to do per event is to pass
values. Knows signatures and names; knows neither slots nor jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from routilux.exceptions import HandlerArgumentError

if TYPE_CHECKING:
    from inspect import Parameter

__all__ = ["Binding", "Call", "bind", "name_of"]

Call = Callable[..., Any]
"""Takes an event's values, in the order of the names that the call was planned for."""


class Binding:
    """A handler and what it asks for.

    Attributes:
        is_async: Calling the handler gives a coroutine.
    """

    __slots__ = ("_plan", "is_async")

    def __init__(self, plan: Callable[[tuple[str, ...]], Call], is_async: bool) -> None:
        self._plan = plan
        self.is_async = is_async

    def plan(self, names: tuple[str, ...]) -> Call:
        """Make the function that calls the handler with values that come under ``names``.

        That function raises HandlerArgumentError when the handler needs something else.
        """
        return self._plan(names)

    def __call__(self, data: dict[str, Any]) -> Any:
        """Call the handler with what it asks for of ``data``."""
        return self._plan(tuple(data))(*data.values())


def bind(handler: Callable[..., Any]) -> Binding:
    """Read what ``handler`` wants to be passed.

    * ``**kwargs``: every item by name.
    * One parameter named ``data``: a copy of the dictionary.
    * One parameter of another name: the item of that name, or a copy of the dictionary if there is none.
    * Several: those items that match by name.
    * None at all: nothing.

    Raises:
        TypeError: ``handler`` is not callable, or calling it would not run its body.
    """
    is_async = _check(handler)
    return Binding(_planner(handler), is_async)


def _check(handler: Callable[..., Any]) -> bool:
    """Refuse what cannot be a handler; say whether it is a coroutine function."""
    import inspect  # noqa: PLC0415 - costs a third of what importing routilux may

    if not callable(handler):
        raise TypeError(f"a handler must be callable, not {handler!r}")
    body = getattr(handler, "__func__", handler)
    if not (inspect.isroutine(body) or isinstance(body, partial | type)):
        body = type(body).__call__
    if inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body):
        raise TypeError(f"handler {name_of(handler)!r} is a generator function: calling it would not run its body")
    return inspect.iscoroutinefunction(body)


def name_of(handler: Callable[..., Any]) -> str:
    """The name by which messages call a handler."""
    return getattr(handler, "__name__", None) or type(handler).__name__


def _planner(handler: Callable[..., Any]) -> Callable[[tuple[str, ...]], Call]:
    import inspect  # noqa: PLC0415 - as above

    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except ValueError:  # some built-in functions tell nothing of their parameters
        return partial(_whole, handler)
    kinds = inspect.Parameter
    leading = [p for p in parameters if p.kind is kinds.POSITIONAL_ONLY]
    named = [p for p in parameters if p.kind in {kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY}]
    everything = any(p.kind is kinds.VAR_KEYWORD for p in parameters)
    if leading and (len(leading) > 1 or named or everything):
        return partial(_positional, handler, leading, named, everything)
    if everything:
        return partial(_all, handler, _required(named))
    if len(leading) + len(named) == 1:
        return partial(_one, handler, (leading + named)[0])
    takes_any = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
    return partial(_whole, handler) if takes_any and not named else partial(_some, handler, named)


def _required(parameters: list[Parameter]) -> frozenset[str]:
    return frozenset(p.name for p in parameters if p.default is p.empty)


def _whole(handler: Callable[..., Any], names: tuple[str, ...]) -> Call:
    """The handler takes the dictionary."""
    return lambda *values: handler(dict(zip(names, values, strict=True)))


def _all(handler: Callable[..., Any], required: frozenset[str], names: tuple[str, ...]) -> Call:
    """The handler takes every item by name."""
    if not required <= set(names):
        return _lacking(handler, required, names)
    return lambda *values: handler(**dict(zip(names, values, strict=True)))


def _one(handler: Callable[..., Any], parameter: Parameter, names: tuple[str, ...]) -> Call:
    """The handler takes one thing: the item of that name, or the dictionary."""
    name = parameter.name
    by_name = parameter.kind is parameter.KEYWORD_ONLY
    if name == "data" or name not in names:
        if by_name:
            return lambda *values: handler(**{name: dict(zip(names, values, strict=True))})
        return _whole(handler, names)
    at = names.index(name)
    if by_name:
        return lambda *values: handler(**{name: values[at]})
    # The very handler where it can be: a function less to go through for each event.
    return handler if len(names) == 1 else lambda *values: handler(values[at])


def _some(handler: Callable[..., Any], named: list[Parameter], names: tuple[str, ...]) -> Call:
    """The handler takes those items that match by name."""
    if not named:
        return lambda *_values: handler()
    required = _required(named)
    if not required <= set(names):
        return _lacking(handler, required, names)
    wanted = [p for p in named if p.name in names]
    in_front = [p.name for p in named[: len(wanted)] if p.kind is not p.KEYWORD_ONLY]
    if tuple(in_front) == names:
        return handler
    if len(in_front) == len(wanted) > 1 and [p.name for p in wanted] == in_front:
        pick = itemgetter(*(names.index(name) for name in in_front))
        return lambda *values: handler(*pick(values))
    places = {p.name: names.index(p.name) for p in wanted}
    return lambda *values: handler(**{name: values[at] for name, at in places.items()})


def _positional(
    handler: Callable[..., Any],
    leading: list[Parameter],
    named: list[Parameter],
    everything: bool,
    names: tuple[str, ...],
) -> Call:
    """What cannot be passed by name goes by position, up to the first item that lacks; the rest by name."""
    required = _required(leading) | _required(named)
    if not required <= set(names):
        return _lacking(handler, required, names)
    front: list[int] = []
    for parameter in leading:
        if parameter.name not in names:
            break
        front.append(names.index(parameter.name))
    passed = {names[at] for at in front}
    rest = set(names) - passed if everything else {p.name for p in named} & set(names)
    places = {name: names.index(name) for name in sorted(rest)}
    return lambda *values: handler(*[values[at] for at in front], **{name: values[at] for name, at in places.items()})


def _lacking(handler: Callable[..., Any], required: frozenset[str], names: tuple[str, ...]) -> Call:
    """Raise when called, not when planned: it is the event that is wrong."""

    def refuse(*_values: Any) -> Any:
        raise HandlerArgumentError(name_of(handler), required - set(names), names)

    return refuse
