"""Puts rewritten code in the place of the code under test for a campaign, and takes it away again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

from routilux_sim.addresses import address
from routilux_sim.judge.happens_before import Clocks
from routilux_sim.kernel.core import Kernel
from routilux_sim.points import hook
from routilux_sim.points.code_under_test import CodeUnderTest
from routilux_sim.points.plan import Plan, Rewritten
from routilux_sim.points.sharing import Sharing, now
from routilux_sim.points.stores import Stores
from routilux_sim.world import imports

__all__ = ["Instrumentation"]

_done = Rewritten()


class Instrumentation:
    """The memory points of one campaign.

    Args:
        program: The program that is run.
        instrument: ``"auto"``, or names of modules and packages.

    Attributes:
        sharing: What is known to be shared.
        found: How many functions of the code under test there are.
        refused: How many of them could not be rewritten, and are run as they are.
        grown: What turned out to be shared in the latest execution, beyond what was known at its beginning.
    """

    def __init__(self, program: Any, instrument: str | tuple[str, ...]) -> None:
        self._code = CodeUnderTest(program, instrument)
        self._given = instrument if isinstance(instrument, str) else list(instrument)
        self._saved: list[tuple[FunctionType, CodeType, CodeType]] = []
        self._functions: list[FunctionType] = []
        self._modules: set[str] = set()
        self._has_strategies = False
        self._has_weak_references = False
        self.sharing = Sharing()
        self.found = 0
        self.refused = 0
        self.grown: frozenset[str] = frozenset()

    @property
    def granularity(self) -> str:
        """Between what another task may come, in words."""
        if not self.found:
            return "synchronization operations"
        where = "the program's own code" if isinstance(self._given, str) else ", ".join(self._given)
        return f"synchronization operations and accesses to shared memory in {where}"

    @property
    def unseen(self) -> str | None:
        """Why tasks may share what no scheduling point tells of; None if nothing says so."""
        if not self.found:
            return "there is no code in which accesses to memory are scheduling points"
        if self.refused:
            return f"{self.refused} functions could not be rewritten, so their accesses to memory are not seen"
        if self._has_weak_references:
            return "it has weak references, and that the last other reference goes is no scheduling point"
        return None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have the code under test call the hooks."""
        try:
            self._modules.update(sys.modules)
            self._instrument(self._code.functions())
            imports.at_import = self._imported
            yield
        finally:
            imports.at_import = None
            for function, original, rewritten in reversed(self._saved):
                # Somebody else may have put something there.
                if function.__code__ is rewritten:
                    function.__code__ = original
            self._saved.clear()
            self._functions.clear()
            self._modules.clear()

    def _imported(self, name: str) -> None:
        """A module has been imported inside the simulation."""
        module = sys.modules.get(name)
        if name not in self._modules and isinstance(module, ModuleType):
            self._modules.add(name)
            if self._code.contains(module):
                self._instrument(self._code.functions_in(module))

    def _instrument(self, functions: Iterable[FunctionType]) -> None:
        known = set(map(address, self._functions))
        new = [function for function in functions if address(function) not in known]
        self._functions += new
        self.found += len(new)
        # One that the program comes with may choose in the midst of an operation, where nothing else is to be chosen.
        self._has_strategies = self._has_strategies or any(function.__name__ == "pick" for function in new)
        stores = Stores(self._originals(self._functions))
        plans: dict[int, Plan] = {}
        for function in new:
            key = address(function.__globals__)
            plan = plans.get(key)
            if plan is None:
                namespace = function.__globals__
                stores.store_module_attribute(namespace)
                plan = plans[key] = Plan(stores, namespace, _done)
            code = _done.original(function.__code__)
            rewritten = plan.rewritten(code)
            self.refused += plan.refused(code)
            if rewritten is not code:
                function.__code__ = rewritten
                self._saved.append((function, code, rewritten))

    def _originals(self, functions: Iterable[FunctionType]) -> list[tuple[CodeType, dict[str, Any]]]:
        return [(_done.original(function.__code__), function.__globals__) for function in functions]

    def begin(self, kernel: Kernel, start: Iterable[str] | None) -> dict[str, Any]:
        """Begin an execution, in which certain groups are shared from the start; None: all that are known to be."""
        clocks = kernel.edges
        if not isinstance(clocks, Clocks):
            clocks = kernel.edges = Clocks(kernel)
        shared = self.sharing.begin(kernel, clocks, start)
        clocks.at_release = now.start_over
        hook.begin(kernel)
        if self._has_strategies:
            pick, draw = kernel.chooses_by
            kernel.choose_by(hook.paused(pick), hook.paused(draw))
        return {"instrument": self._given, "shared": shared}

    def let_go(self) -> None:
        """Give up objects of which only the points know any more, while the program can still see their ends."""
        now.let_go(everything=True)

    def end(self) -> None:
        """End it."""
        self._has_weak_references = self._has_weak_references or now.has_weak_references
        hook.end()
        self.grown = self.sharing.end()
