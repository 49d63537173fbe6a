"""Threads and time come through one door, and imports point one way: read off the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import routilux
import routilux_sim

PRODUCTION = Path(routilux.__file__).parent
SIMULATOR = Path(routilux_sim.__file__).parent
FORBIDDEN = {"threading", "_thread", "queue", "time", "uuid", "random", "secrets", "multiprocessing", "asyncio"}
CORE = {"slot", "event", "connection", "error_handler"}


def modules(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", modules(PRODUCTION), ids=lambda path: str(path.relative_to(PRODUCTION)))
def test_only_the_runtime_module_touches_threads_and_time(path):
    """No production module but ``runtime.py`` imports threading, queue, time, uuid or random, or asks for now()."""
    tree = ast.parse(path.read_text())
    if path.name != "runtime.py":
        assert not {name.partition(".")[0] for name in imported(tree)} & FORBIDDEN
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"now", "utcnow", "today"}


@pytest.mark.parametrize("path", modules(PRODUCTION), ids=lambda path: str(path.relative_to(PRODUCTION)))
def test_the_library_never_imports_the_simulator(path):
    """``routilux`` does not know ``routilux_sim``."""
    assert not [name for name in imported(ast.parse(path.read_text())) if name.startswith("routilux_sim")]


@pytest.mark.parametrize("path", modules(SIMULATOR / "kernel"), ids=lambda path: path.name)
def test_the_kernel_knows_neither_the_world_nor_a_strategy_by_name(path):
    """Mechanism does not import policy: it knows the protocol of strategies, and nothing of what tasks wait in."""
    names = [name for name in imported(ast.parse(path.read_text())) if name.startswith("routilux_sim.")]
    allowed = ("routilux_sim.kernel", "routilux_sim.strategy")
    assert [name for name in names if not name.startswith(allowed)] == []
    assert [name for name in names if name.startswith("routilux_sim.strategy.")] == []


def test_importing_the_library_is_light():
    """``import routilux`` brings in neither structlog, asyncio, click, logging nor anything of the simulator."""
    code = (
        "import sys; before = set(sys.modules); import routilux; new = set(sys.modules) - before; "
        "print([n for n in ('structlog', 'asyncio', 'click', 'logging', 'greenlet', 'routilux_sim') if n in new])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_plugin_imports_no_simulator():
    """The pytest plugin, loaded at every pytest start, brings in neither greenlet nor the kernel nor the engine."""
    code = (
        "import sys; import routilux_sim.pytest_plugin; "
        "print([n for n in ('greenlet', 'structlog', 'routilux_sim.kernel', 'routilux.flow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
