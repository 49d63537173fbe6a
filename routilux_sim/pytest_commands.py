"""Commands to be copied from reports: seen from where pytest was started, and taken by a shell as they are."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path

import pytest

__all__ = ["naming", "replaying", "seen"]


def seen(config: pytest.Config, path: str | os.PathLike[str]) -> str:
    """A path as it is seen from where pytest was started: the test may have gone elsewhere since."""
    with suppress(ValueError):
        return os.path.relpath(path, config.invocation_params.dir)
    # On another drive.
    return os.fspath(path)


def naming(item: pytest.Item) -> str:
    """What names a test at the command line; node ids are seen from the project's root."""
    path, separator, rest = item.nodeid.partition("::")
    name = f"{seen(item.config, item.config.rootpath / path)}{separator}{rest}"
    return "'{}'".format(name.replace("'", "'\"'\"'"))


def replaying(item: pytest.Item, path: Path) -> str:
    """The command that runs a test under the schedule in a file."""
    return f"pytest --sim-replay={shlex.quote(seen(item.config, path))} {naming(item)}"
