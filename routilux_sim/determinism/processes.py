"""A scenario's log in other processes, where strings hash otherwise: what no second run in one process can show."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

from routilux_sim.determinism.diagnosis import CAUSES, REMEDIES

__all__ = ["difference_between_processes"]

HASH_SEEDS = ("1", "2")


def difference_between_processes(scenario: Path, seed: int | None) -> str | None:
    """Run a scenario file in processes of different PYTHONHASHSEEDs, and say where their logs part; None: nowhere."""
    with tempfile.TemporaryDirectory() as directory:
        logs = [_log(scenario, seed, hash_seed, Path(directory)) for hash_seed in HASH_SEEDS]
    for number, (first, second) in enumerate(zip_longest(*(log.splitlines() for log in logs), fillvalue=b"the end"), 1):
        if first != second:
            return (
                f"with another PYTHONHASHSEED the program does not do the same: line {number} of the log is\n"
                f"    {first.decode()}\n  in one process, and in another\n    {second.decode()}\n"
                f"  cause: perhaps {CAUSES['string hashes']}\n  remedy: {REMEDIES['string hashes']}"
            )
    return None


def _log(scenario: Path, seed: int | None, hash_seed: str, directory: Path) -> bytes:
    log = directory / f"{hash_seed}.jsonl"
    command = [sys.executable, "-m", "routilux_sim", "run", str(scenario), "--log", str(log)]
    if seed is not None:
        command += ["--seed", str(seed)]
    subprocess.run(  # noqa: S603 - this interpreter, and a file that has just been run
        command,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
        capture_output=True,
    )
    return log.read_bytes()
