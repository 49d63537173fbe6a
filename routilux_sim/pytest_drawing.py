"""A simulated test under a schedule that was kept, drawn instead of judged; pytest runs it, for its fixtures' sake."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from routilux_sim.picturing import Picture, of_schedule
from routilux_sim.pytest_options import DRAWING
from routilux_sim.replay_files import ReplayFile

__all__ = ["Drawing"]


class Drawing:
    """What the command line wants to be drawn: a plugin of the pytest that it calls.

    Args:
        kept: The schedule.
        nearest: Whether to look for a schedule that passes, if this one fails.
        first: The first step that is drawn; None: as it is done of itself.

    Attributes:
        picture: What was drawn; None until then.
        problem: Why it could not be.
    """

    def __init__(self, kept: ReplayFile, *, nearest: bool, first: int | None) -> None:
        self._kept = kept
        self._nearest = nearest
        self._first = first
        self._test = ""
        self.picture: Picture | None = None
        self.problem: str | None = None

    def run(self, test: str) -> str:
        """Have pytest run a test, by its node id; returns what it said."""
        self._test = test
        said = io.StringIO()
        # Of options that are set for all runs, none is to bring in another process.
        alone = ["-n", "0"] if importlib.util.find_spec("xdist") is not None else []
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            pytest.main(["-q", *alone, self._located(test)], plugins=[self])
        return said.getvalue().rstrip()

    def _located(self, test: str) -> str:
        """The test as it is seen from here: a node id begins at the project's root."""
        path, colons, rest = test.partition("::")
        for folder in (Path.cwd(), *Path.cwd().parents, *Path(self._kept.path).resolve().parents):
            # A name that no file can have is none of a file's.
            with contextlib.suppress(OSError, ValueError):
                if (folder / path).is_file():
                    return f"{folder / path}{colons}{rest}"
        return f"./{test}"

    def pytest_configure(self, config: pytest.Config) -> None:
        """Have simulated tests call `draw`."""
        config.stash[DRAWING] = self

    def draw(self, program: Callable[[], Any], test: str, invariants: Sequence[Callable[[], object]]) -> None:
        """Draw what a test does, once its fixtures have been set up."""
        command = f"pytest --sim-replay={self._kept.path} '{test}'"
        try:
            self.picture = of_schedule(
                program,
                test,
                self._kept.schedule,
                kind=self._kept.kind,
                nearest=self._nearest,
                command=command,
                invariants=invariants,
                first=self._first,
            )
        except ValueError as error:
            self.problem = str(error)

    def refuse(self, why: str) -> None:
        """Say why a test cannot be drawn."""
        self.problem = f"{self._test}: {why}"
