"""Tests under Hypothesis's ``@given``: each example is an execution of its own, and Hypothesis itself is not simulated.

The seed of an example's schedule is drawn from Hypothesis, after the arguments and before the body: it is part of the
example. So whatever brings an example back, Hypothesis's database or ``@reproduce_failure``, brings its schedule back.
Where a failure needs a schedule, the arguments shrink further the more schedules each example is given.
The test's own seed decides which examples Hypothesis makes, unless something else has been told to.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = [
    "allow_fixture",
    "derandomizing_profile",
    "inner_test",
    "is_control",
    "is_state_machine",
    "own_constants",
    "simulated_examples",
    "warm_up",
]

SEEDS = 2**32
"""How many schedules there are for Hypothesis to choose from."""


def inner_test(function: Any) -> Any:
    """What a test under ``@given`` runs for each example; None if ``function`` is no such test."""
    if not getattr(function, "is_hypothesis_test", False):
        return None
    return getattr(getattr(function, "hypothesis", None), "inner_test", None)


@functools.cache
def warm_up() -> None:
    """Simulate nothing: what the first simulation of a process takes is not to count towards an example's deadline."""
    with suppress(ModuleNotFoundError):
        from routilux_sim import simulate  # noqa: PLC0415 - what it needs is an extra; running the test says what

        simulate(lambda: None)


def derandomizing_profile(function: Any) -> str | None:
    """The profile of settings that makes a test's examples depend on the test alone; None if none does."""
    from hypothesis import settings  # noqa: PLC0415 - it is there when one of its tests runs

    if not _decorated(function)._hypothesis_internal_use_settings.derandomize:  # noqa: SLF001
        return None
    # Only a profile differs from machine to machine: on a CI server, Hypothesis loads one by itself.
    return settings.get_current_profile_name() if settings().derandomize else None


def is_state_machine(kind: Any) -> bool:
    """Whether a class is the TestCase of a rule-based state machine."""
    return getattr(getattr(kind, "runTest", None), "is_hypothesis_test", False) is True


def is_control(error: BaseException) -> bool:
    """Whether an exception is Hypothesis's own, for instance of ``assume()``, and says nothing about the program."""
    return type(error).__module__.partition(".")[0] == "hypothesis"


def allow_fixture(item: Any, name: str) -> None:
    """Have Hypothesis let a test take a fixture that is the same for all examples, unless it takes others of that kind.

    Args:
        item: The test; if it is not under ``@given``, nothing is done.
        name: The fixture's.
    """
    if inner_test(item.obj) is None or name not in item.fixturenames:
        return
    from hypothesis import HealthCheck, settings  # noqa: PLC0415 - it is there when one of its tests is

    info = item._fixtureinfo  # noqa: SLF001 - as Hypothesis's own plugin does
    known = {each: info.name2fixturedefs[each][-1].scope for each in info.argnames if each in info.name2fixturedefs}
    if [each for each, scope in known.items() if scope == "function"] != [name]:
        return
    test = _decorated(item.obj)
    usual = test._hypothesis_internal_use_settings  # noqa: SLF001 - what its decorators set
    checks = {*usual.suppress_health_check, HealthCheck.function_scoped_fixture}
    test._hypothesis_internal_use_settings = settings(parent=usual, suppress_health_check=checks)  # noqa: SLF001


@contextmanager
def simulated_examples(
    function: Any, seed: int, is_fixed: bool, run: Callable[[Callable[[], object], int], None]
) -> Iterator[None]:
    """For a while, have each example of a test run by ``run``.

    Args:
        function: The test, as ``@given`` has made it.
        seed: Decides which examples there are, and with them their schedules.
        is_fixed: ``seed`` is that of every example's schedule.
        run: Called with a program and the seed to run it under; raises what went wrong.
    """
    handle = function.hypothesis
    inner = handle.inner_test

    @functools.wraps(inner)
    def example(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True

        def program() -> object:
            __tracebackhide__ = True
            return inner(*args, **kwargs)

        run(program, seed if is_fixed else _draw_seed(seed))

    handle.inner_test = example
    try:
        with _seeded(function, seed), own_constants(inner.__module__):
            yield
    finally:
        handle.inner_test = inner


def _decorated(function: Any) -> Any:
    """What ``@given`` has made, in other decorators that may be around it."""
    test = getattr(function, "__func__", function)
    while inner_test(getattr(test, "__wrapped__", None)) is not None:
        test = test.__wrapped__
    return test


@contextmanager
def _seeded(function: Any, seed: int) -> Iterator[None]:
    """Give a test what ``@hypothesis.seed`` gives, if neither that, nor its settings, nor the command line say more."""
    from hypothesis import core  # noqa: PLC0415 - it is there when one of its tests runs

    test = _decorated(function)
    decided = (
        core.global_force_seed is not None
        or test._hypothesis_internal_use_seed is not None  # noqa: SLF001 - what its decorators set
        or test._hypothesis_internal_use_settings.derandomize  # noqa: SLF001 - what its decorators set
    )
    if decided:
        yield
        return
    test._hypothesis_internal_use_seed = seed  # noqa: SLF001 - what its decorators set
    try:
        yield
    finally:
        test._hypothesis_internal_use_seed = None  # noqa: SLF001 - what its decorators set


@contextmanager
def own_constants(name: str) -> Iterator[None]:
    """Have Hypothesis try the constants of the module of that name, and of no others.

    It collects those of every module of the project that happens to be loaded: so a test that runs alone would not make
    the examples that it makes among others.
    """
    try:
        from hypothesis.internal.conjecture import providers  # noqa: PLC0415 - it is there when one of its tests runs
        from hypothesis.internal.constants_ast import Constants, constants_from_module  # noqa: PLC0415
    except ImportError:
        yield  # Of another version, which has none, or has them elsewhere.
        return
    usual = getattr(providers, "_get_local_constants", None)
    module = sys.modules.get(name)
    if usual is None or module is None:
        yield
        return
    constants = Constants() | constants_from_module(module)
    providers.CONSTANTS_CACHE.cache.clear()
    vars(providers)["_get_local_constants"] = lambda: constants
    try:
        yield
    finally:
        vars(providers)["_get_local_constants"] = usual
        providers.CONSTANTS_CACHE.cache.clear()


def _draw_seed(plain: int) -> int:
    from hypothesis.control import current_build_context  # noqa: PLC0415 - it is there when one of its tests runs
    from hypothesis.strategies import integers  # noqa: PLC0415

    data = current_build_context().data
    if data.max_choices == 0:
        return plain  # Given by ``@example``, to which nothing can be added.
    drawn: int = data.draw(integers(0, SEEDS - 1))
    return drawn
