"""Where the next objects will be in memory: made the same for two processes, or another one for the next run.

CPython's allocator hands out blocks of up to 512 bytes, in size classes 16 bytes apart, from pools of 16 KiB. A block
that was freed last is handed out next; a pool that nobody has used before is handed out from its beginning.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from routilux_sim.kernel.trace import address

__all__ = ["settle", "shuffle"]

STEP = 16
LARGEST = 512
POOL = 16_384
MOST = 50_000
"""Blocks of one class after which the allocator is thought to be another one."""


def _maker(size: int) -> Callable[[], Any]:
    """What makes an object of a size class."""
    if size == STEP:
        return object
    if size == 2 * STEP:
        # A whole number above 2**30 takes 32 bytes.
        return lambda: int("2000000000")
    length = size - b"".__sizeof__()
    return lambda: bytes(bytearray(length))


def settle() -> list[Any]:
    """Use up all blocks that were in use before; as long as what is returned lives, new objects are in fresh pools."""
    kept: list[Any] = []
    for size in range(STEP, LARGEST + 1, STEP):
        make = _maker(size)
        fresh = POOL // size - 2
        row, last = 0, 0
        for _ in range(MOST):
            block = make()
            kept.append(block)
            # In units of 16 bytes. Not `id`: auditing hooks are told of it, and it is called a hundred thousand times.
            row = row + 1 if address(block) - last == size // STEP else 0
            last = address(block)
            if row >= fresh:
                break
    return kept


def shuffle(seed: int) -> list[Any]:
    """Leave the free memory in another order: objects made one after the other are not next to each other.

    As long as what is returned lives: a pool of which nothing is used any more is handed out from its beginning again.
    """
    generator = random.Random(seed)  # noqa: S311 - any order will do
    blocks: list[Any] = []
    for size in range(STEP, LARGEST + 1, STEP):
        make = _maker(size)
        blocks += [make() for _ in range(SHUFFLED)]
    kept = blocks[::16]
    generator.shuffle(blocks)
    while blocks:
        blocks.pop()
    return kept


SHUFFLED = 300
"""Blocks of each size class that are put into another order."""
