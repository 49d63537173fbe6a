"""Finds out that a sequence has begun to repeat itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

__all__ = ["period_of"]


def period_of(sequence: Sequence[Hashable], times: int = 3) -> int | None:
    """The length of the shortest piece that the end of ``sequence`` consists of, again and again.

    Looks at the latter half; None if no piece comes there ``times`` times at least. Linear in the length: the shortest
    period of a word is its length without its longest border, which the failure function of Knuth, Morris and Pratt
    (1977) gives.
    """
    word = sequence[len(sequence) // 2 :]
    if not word:
        return None
    borders = [0] * len(word)
    border = 0
    for index in range(1, len(word)):
        while border and word[index] != word[border]:
            border = borders[border - 1]
        if word[index] == word[border]:
            border += 1
        borders[index] = border
    period = len(word) - borders[-1]
    return period if period * times <= len(word) else None
