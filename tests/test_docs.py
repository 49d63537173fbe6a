"""The documentation is right: each of its blocks runs, each page is in the menu, each link within it leads somewhere.

A page's blocks run in a folder of their own, one after the other:

- ``python``: as one module; an error fails the test. With a ``title="file.py"`` it becomes that file instead, as
  blocks of other languages with a title do.
- ``console``: each line after ``$ `` is a command; what follows is among what it prints, but for real seconds and
  what ``…`` stands for. It exits with 0, or as ``<!-- exits with 1 -->`` before the block says.
- ``text`` right after a ``python`` block: is among what that printed.
- any other, or with ``<!-- not run: why -->`` before it: not run, and must say why.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from routilux_sim import pytest_marker, pytest_options
from routilux_sim.pytest_fixture import Sim

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
MENU = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]

COMMANDS = {"routilux-sim", "routilux", "pytest", "python"}
BLOCK = re.compile(
    r"^(?P<comment><!--(?:(?!-->).)*-->\n+)?"
    r"(?P<fence>```+) *(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
WHOLE_PAGE = re.compile(r"<!-- no block of this page is run: .+? -->", re.DOTALL)
# Real time is another one each time.
SECONDS = re.compile(r"\\?-?\d+\\\.\d+(?=\\? ?s\b)")


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    title: str | None
    comment: str
    body: str


def blocks_of(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        title = re.search(r'title="([^"]+)"', found["rest"])
        yield Block(
            text.count("\n", 0, found.start("fence")) + 2,
            found["language"],
            title and title[1],
            " ".join((found["comment"] or "").split()),
            found["body"],
        )


def expect(printed: str, wanted: str, where: str) -> None:
    """Fail unless every line that is wanted is printed, in that order."""
    lines = iter([line.rstrip() for line in printed.splitlines()])
    for line in filter(None, map(str.rstrip, wanted.splitlines())):
        if line == "…":
            continue
        pattern = SECONDS.sub(r"[\\d.]+", re.escape(line)).replace("…", ".*")
        assert any(re.fullmatch(pattern, found) for found in lines), f"{where}: {line!r} is not in\n{printed}"


class Reader:
    """Somebody who follows a page."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.module = types.ModuleType("page")
        self.module.__file__ = str(folder / "page.py")
        self.source: list[str] = []
        self.printed = ""

    def follow(self) -> None:
        for block in blocks_of((DOCS / self.page).read_text(encoding="utf-8")):
            where = f"docs/{self.page}:{block.line}"
            if re.fullmatch(r"<!-- not run: .{10,} -->", block.comment):
                continue
            if block.title is not None:
                path = self.folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.body, encoding="utf-8")
            elif block.language == "python":
                self.run(block, where)
            elif block.language == "console":
                self.type(block, where)
            elif block.language == "text" and self.source:
                expect(self.printed, block.body, where)
            else:
                pytest.fail(f"{where}: a block of {block.language!r} is not run, and no comment before it says why")

    def run(self, block: Block, where: str) -> None:
        # As lines of a file, so that explanations can show them.
        self.source += [""] * (block.line - 1 - len(self.source)) + block.body.splitlines()
        (self.folder / "page.py").write_text("\n".join(self.source), encoding="utf-8")
        code = compile("\n" * (block.line - 1) + block.body, str(self.module.__file__), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, vars(self.module))
        self.printed = printed.getvalue()

    def type(self, block: Block, where: str) -> None:
        status = re.fullmatch(r"<!-- exits with (\d) -->", block.comment)
        for command, wanted in re.findall(r"^\$ ([^\n]*)\n((?:(?!\$ ).*\n)*)", block.body, re.MULTILINE):
            words = shlex.split(command, comments=True)
            assert words[0] in COMMANDS, f"{where}: only {', '.join(sorted(COMMANDS))} are run, not {words[0]!r}"
            done = subprocess.run(
                words, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == int(status[1] if status else 0), f"{where}: {done.stdout}{done.stderr}"
            expect(done.stdout + done.stderr, wanted, where)


def environment() -> dict[str, str]:
    """What a reader's terminal is like: of a usual width, no CI server's, and with none of our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_", "CI"))}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTEST_ADDOPTS": "-p no:randomly -p no:freezer",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }


LONG = {
    "tutorial.md",
    "howto/ci.md",
    "howto/pictures.md",
    "howto/pytest.md",
    "howto/races.md",
    "howto/regressions.md",
    "howto/scenarios.md",
}
"""Each of them starts pytest and other commands many times."""


@pytest.mark.real_time
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.long) if page in LONG else page for page in PAGES]
)
def test_every_block_of_the_page_runs(page, tmp_path, monkeypatch):
    """Who copies the blocks one after the other gets what the page says, or is told why a block is not for that."""
    if WHOLE_PAGE.search((DOCS / page).read_text(encoding="utf-8")):
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    reader = Reader(page, tmp_path)
    monkeypatch.setitem(sys.modules, "page", reader.module)
    try:
        reader.follow()
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
                del sys.modules[name]


def test_the_menu_has_every_page_once():
    """No page is left out, and none is named that is not there."""
    named = re.findall(r"[\w./-]+\.md", MENU)
    assert sorted(named) == PAGES


@pytest.mark.parametrize("package", ["routilux", "routilux_sim"])
def test_the_reference_has_every_public_name(package):
    """What can be imported from a package is on a page, by itself or with the whole of its module."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    there = set()
    for path in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE):
        there |= set(pkgutil.resolve_name(path).__all__) if is_module(path) else {path.rpartition(".")[2]}
    public = {name for name in importlib.import_module(package).__all__ if not name.startswith("_")}
    assert public <= there


def keys_of(schema: object) -> Iterator[str]:
    """The keys that a JSON Schema has for documents, at any depth."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from properties
        for part in (*properties.values(), *(value for name, value in schema.items() if name != "properties")):
            yield from keys_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys_of(part)


def test_the_reference_has_every_key_of_scenarios():
    """Each one that the JSON Schema has is named on the page, by itself or at the end of its path."""
    schema = json.loads((ROOT / "routilux_sim" / "schema" / "scenario.schema.json").read_text(encoding="utf-8"))
    named = set(
        re.findall(r"[a-z_]+", " ".join(re.findall(r"`[^`]+`", (DOCS / "reference" / "scenario.md").read_text())))
    )
    assert {*keys_of(schema)} <= named
    assert "speedup" in {*keys_of(schema)}


def test_the_page_on_pytest_has_every_argument_and_option():
    """The marker's arguments, the options, the ini options without one, and what the fixture has."""
    text = (DOCS / "howto" / "pytest.md").read_text(encoding="utf-8")
    options = {f"--sim-{option.name.replace('_', '-')}" for option in pytest_options._OPTIONS}
    wanted = {f"`{name}=`" for name in pytest_marker._ARGUMENTS} | options
    wanted |= {"--sim-check-determinism", "sim_instrument", "sim_allow_races"}
    wanted |= {f"sim.{name}" for name in vars(Sim) if not name.startswith("_")}
    assert [one for one in sorted(wanted) if one not in text] == []


def is_module(path: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(path) is not None
    return False


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_documentation_lead_somewhere(page):
    """Each relative link is to a page that is there, and to a heading on it."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", BLOCK.sub("", text)):
        name, _, anchor = target.partition("#")
        path = (DOCS / page).parent / name if name else DOCS / page
        assert path.is_file(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{page}: {target}"


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
