"""Runs generated programs on real threads: ``python -m tests.generated.on_threads 0 200`` prints a line for each."""

from __future__ import annotations

import json
import sys
import time

from tests.generated.programs import make

OFTEN = 1e-5
"""Seconds after which CPython takes another thread's turn: far less than its own 5 ms, so that orders do differ."""


def main() -> None:
    sys.setswitchinterval(OFTEN)
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps({"begun": seed}), flush=True)
        program = make(seed)
        began = time.monotonic()
        value = repr(program.run())
        print(json.dumps({"seed": seed, "value": value, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()
