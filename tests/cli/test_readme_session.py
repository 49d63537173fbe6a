"""The session that the README shows is what one gets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.conftest import CommandLine

README = (Path(__file__).parents[2] / "README.md").read_text()
ID = r"[0-9a-f]{12}-\d+"


def plain(text):
    """Without what differs from run to run."""
    text = re.sub(ID, "ID", text)
    text = re.sub(r"\d+\.\d{3}", "SECONDS", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT", text)
    return re.sub(r"\d+ s ago", "AGO", re.sub(r" +", " ", text))


def test_the_readme_shows_what_the_commands_print(tmp_path, monkeypatch):
    """Each command of the block, in order, prints what stands below it."""
    monkeypatch.chdir(tmp_path)
    section = README.partition("## From the command line\n")[2]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)[1]
    routilux, ids = CommandLine(tmp_path), []
    for command, shown in re.findall(r"^\$ routilux (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        arguments = [ids[0] if argument == "1bab" else argument for argument in shlex.split(command)]
        result = routilux(*arguments)
        ids += re.findall(ID, result.output)
        assert plain(result.output) == plain(shown)
    assert ids
