"""Lists each of CPython's tests that run in the simulator, and what came of it: ``python -m tests.conformance``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.conformance import suite


def main() -> None:
    """Run all modules; print the list, or write it where the tests find it."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the list of this interpreter's version")
    parser.add_argument("--seeds", type=int, default=2, help="random orders to try besides first come, first served")
    options = parser.parse_args()
    results: list[suite.Result] = []
    with tempfile.TemporaryDirectory() as directory:
        for module in suite.MODULES:
            try:
                results += suite.run(module, Path(directory), list(range(1, options.seeds + 1)))
            except suite.MissingError as error:
                print(f"# {module} is not here: {error}")  # noqa: T201 - a command line
    if options.write:
        suite.listing().parent.mkdir(exist_ok=True)
        suite.listing().write_text(suite.listing_of(results), encoding="utf-8")
    else:
        print(suite.listing_of(results), end="")  # noqa: T201 - a command line
    for result in results:
        if result.problem is not None:
            print(f"!! {result.problem}")  # noqa: T201 - a command line


if __name__ == "__main__":
    main()
