"""A line that says how far a long measurement is, on a terminal and nowhere else."""

import sys
from typing import TextIO


class Progress:
    """Rewrites one line of ``stream`` if that is a terminal; writes nothing otherwise."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._visible = stream.isatty()

    def show(self, text: str) -> None:
        """Put ``text`` in place of what the line said before."""
        if self._visible:
            print(f"\r\x1b[K{text}", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        """Leave the line empty, for what is printed to stay."""
        self.show("")
