"""Runs generated programs on real threads: ``python -m tests.generated.on_threads 0 200`` prints a line for each."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tests.generated.programs import make

OFTEN = 1e-5
"""Seconds after which CPython takes another thread's turn: far less than its own 5 ms, so that orders do differ."""


def tell(**facts: Any) -> None:
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


def main() -> None:
    sys.setswitchinterval(OFTEN)
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        tell(begun=seed)
        program = make(seed)
        began = time.monotonic()
        value = repr(program.run())
        tell(seed=seed, value=value, seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
