"""Coverage of what runs in simulated tasks: each line counted once it ran, in its own file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

FIRST = """
    import time
    from second import chain

    def work(out):
        for i in range(3):
            time.sleep(0.01)
            out.append(i)
        if not chain(out):
            return None  # not run
        out.append("a")
        return out

    def never():
        x = 1  # not run
        y = 2  # not run
        return x + y  # not run
"""

SECOND = """
    import time

    # Lines that the other file's numbers would fall on.
    #
    #
    #
    #
    #
    #
    #
    def chain(out):
        time.sleep(0.01)
        out.append("b")
        for _ in range(2):
            time.sleep(0.02)
            out.append("c")
        if out:
            return True
        return False  # not run

    def other(out):
        for i in range(4):
            time.sleep(0.005)
            out.append(i)
        if i != 3:
            return None  # not run
        raise SystemExit
"""

PROGRAM = """
    import threading, time
    from concurrent.futures import ThreadPoolExecutor
    import pytest
    import first, second
    from routilux_sim import explore

    def program():
        out = []
        bodies = first.work, second.other, second.chain, first.work
        threads = [threading.Thread(target=body, args=(out,)) for body in bodies]
        for thread in threads:
            thread.start()
        time.sleep(0.013)
        with ThreadPoolExecutor(2) as pool:
            assert len(list(pool.map(first.work, [[], [], []]))) == 3
        for thread in threads:
            thread.join()
        if out:
            return out
        return None  # not run

    @pytest.mark.sim(schedules=5)
    def test_marked():
        out = program()
        assert out

    def test_called():
        before = explore(program, schedules=5)
        assert before.failure is None
        after = time.monotonic()
        if not after:
            raise AssertionError  # not run
        assert before.schedules == 5
"""

FILES = {"first.py": FIRST, "second.py": SECOND, "test_program.py": PROGRAM}


@pytest.fixture
def project(pytester):
    """A program in three files; each says which of its lines do not run."""
    for name, text in FILES.items():
        (pytester.path / name).write_text(textwrap.dedent(text))
    return pytester.path


pytest.importorskip("coverage", reason="coverage is not installed")


def python(project, *arguments: str, **environment: str) -> None:
    completed = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "CoverageWarning" not in completed.stdout + completed.stderr


def check(project) -> None:
    """The report says that just the marked lines are missing."""
    report = json.loads((project / "coverage.json").read_text())
    for name in FILES:
        lines = (project / name).read_text().splitlines()
        expected = [number for number, line in enumerate(lines, 1) if line.endswith("# not run")]
        assert report["files"][name]["missing_lines"] == expected, name
    for name, arcs in report["files"].items():
        for start, end in arcs.get("missing_branches", ()):
            lines = (project / name).read_text().splitlines()
            assert lines[max(end, 0) - 1].endswith("# not run"), (name, start, end)


PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--sim-seed=7")


@pytest.mark.parametrize(
    ("core", "options"),
    [
        ("ctrace", ("--branch",)),
        ("ctrace", ("--concurrency=greenlet",)),
        pytest.param(
            "sysmon",
            (),
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12"),
        ),
    ],
)
def test_coverage_run_counts_the_lines_of_tasks(project, core, options):
    """``coverage run -m pytest`` sees every line that runs in a task, and takes none for another file's."""
    python(project, "-m", "coverage", "run", "--source=.", *options, *PYTEST, COVERAGE_CORE=core)
    python(project, "-m", "coverage", "json", "-q")
    check(project)


def test_pytest_cov_counts_the_lines_of_tasks(project):
    """So does ``pytest --cov``."""
    pytest.importorskip("pytest_cov", reason="pytest-cov is not installed")
    python(project, *PYTEST, "--cov=.", "--cov-branch", "--cov-report=json")
    check(project)
