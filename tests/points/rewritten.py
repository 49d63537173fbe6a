"""Runs CPython's own tests of some of its modules with every access in them noted, and says which fail only then.

python -m tests.points.rewritten MODULE... prints a line of JSON.
"""

import gc
import importlib
import io
import json
import sys
import types
import unittest
import warnings

from routilux_sim.points import hook
from routilux_sim.points.rewriting import Call, rewrite


class Everything:
    """A selection of every access there is; it counts them as they happen."""

    def __init__(self):
        self.calls = 0
        self.refused = []
        self._done = {}

    def call(self, access, place):
        if access.what == "turn":
            return Call(self._turn, ())
        function = {"bound": self._bound, "step": self._step, "named": self._named}.get(access.what, self._access)
        return Call(function, ("variable", access.name) if access.what == "global" else (access.name,))

    def inner(self, code):
        if code not in self._done:
            made = rewrite(code, self)
            if made is None:
                self.refused.append(code.co_qualname)
            self._done[code] = made or code
        return self._done[code]

    def _access(self, obj, name):
        self.calls += 1

    def _bound(self, method, name):
        assert callable(method)
        self.calls += 1

    def _step(self, iterator, name):
        hook.containers_behind(iterator)
        self.calls += 1

    def _turn(self):
        self.calls += 1

    def _named(self, obj, attribute, name):
        self.calls += 1


def functions_of(names):
    """All functions whose global variables are those of the modules."""
    namespaces = {id(vars(importlib.import_module(name))) for name in names}
    return [
        item for item in gc.get_objects() if isinstance(item, types.FunctionType) and id(item.__globals__) in namespaces
    ]


def unsuccessful(tests):
    """The names of the tests that fail."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(tests)
    runner = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = runner.run(suite)
    return result.testsRun, {str(test) for test, _ in result.errors + result.failures}


def main(names, tests):
    """Run the tests of modules twice, and compare."""
    for test in tests:
        importlib.import_module(test)
    ran, before = unsuccessful(tests)
    everything = Everything()
    functions = functions_of(names)
    for function in functions:
        function.__code__ = everything.inner(function.__code__)
    ran_again, after = unsuccessful(tests)
    return {
        "functions": len(functions),
        "refused": everything.refused,
        "tests": ran,
        "tests again": ran_again,
        "broken": sorted(after - before),
        "calls": everything.calls,
    }


if __name__ == "__main__":
    halfway = sys.argv.index("--")
    sys.stdout.write(json.dumps(main(sys.argv[1:halfway], sys.argv[halfway + 1 :])) + "\n")
