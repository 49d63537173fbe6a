"""Where failures are kept: a folder that version control ignores, a replay file for each."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from routilux_sim.execution import Execution
from routilux_sim.replay_files import save_schedule

__all__ = ["FOLDER", "Artifacts", "path_for"]

FOLDER = ".routilux_sim"
"""The folder's name, if no other is given. It ignores itself."""


def path_for(folder: Path, name: str, suffix: str) -> Path:
    """The file of that name in a folder; what no file name has is replaced."""
    return folder / f"{re.sub(_UNUSUAL, '_', name)}{suffix}"


_UNUSUAL = r"[^\w.\[\]-]+"


class Artifacts:
    """Keeps what is found in one program.

    Args:
        folder: Where; made when something is kept.
        name: What the files' names begin with; what no file name has is replaced.
        program: Where the program is found, as `replay_files.path_of` says it.
        digest: Of its source.

    Attributes:
        original: The file with the schedule that was found first; None until there is one.
        shrunk: The file beside it with the simplest one; likewise.
    """

    def __init__(self, folder: Path, name: str, program: str | None, digest: str | None) -> None:
        self._folder = folder
        self._name = name
        self._program = program
        self._digest = digest
        self.original: Path | None = None
        self.shrunk: Path | None = None

    def keep(self, execution: Execution) -> None:
        """Keep a failing execution's schedule, in the place of any that was kept before.

        Raises:
            OSError: It cannot be written.
        """
        path_for(self._folder, self._name, ".shrunk.replay.json").unlink(missing_ok=True)
        self.original = self._save(execution, "")

    def keep_shrunk(self, execution: Execution) -> None:
        """Keep the schedule of an execution that fails in the simplest way.

        Raises:
            OSError: It cannot be written.
        """
        self.shrunk = self._save(execution, ".shrunk")

    def keep_log(self, execution: Execution) -> None:
        """Keep an execution's log.

        Raises:
            OSError: It cannot be written.
        """
        self._make()
        path_for(self._folder, self._name, ".jsonl").write_bytes(execution.log_bytes())

    def _make(self) -> None:
        folder = self._folder
        if folder.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        if folder.name == FOLDER:
            with suppress(OSError):
                (folder / ".gitignore").write_text("# Made by routilux-sim.\n*\n", encoding="utf-8")

    def _save(self, execution: Execution, suffix: str) -> Path:
        self._make()
        path = path_for(self._folder, self._name, f"{suffix}.replay.json")
        error = execution.error
        save_schedule(
            execution.schedule,
            path,
            None if error is None else f"{type(error).__name__}: {error}",
            kind=execution.kind,
            program=self._program,
            digest=self._digest,
        )
        return path
