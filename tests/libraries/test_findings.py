"""What docs/findings.md says is about the libraries that are installed, and has the tests that it names."""

from __future__ import annotations

import ast
import re
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "findings.md").read_text(encoding="utf-8")
DISTRIBUTIONS = {"OpenTelemetry SDK": "opentelemetry-sdk"}
SECTIONS = re.findall(r"^## (\S.*) ([\d.]+)$", TEXT, re.MULTILINE)


def names_here():
    for path in HERE.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield node.name


def test_every_test_that_is_named_is_there():
    """And many are named."""
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 20
    assert named <= set(names_here())


@pytest.mark.parametrize(("library", "told"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_the_versions_are_those_installed(library, told):
    """The last number apart: the text is looked at again when another one is installed."""
    installed = version(DISTRIBUTIONS.get(library, library))
    assert installed.split(".")[:2] == told.split(".")[:2]
